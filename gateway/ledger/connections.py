"""The connections to a database, and transactions on them as the driver has them.

Rule: nothing under way is ever cancelled on the server, for a COMMIT that waits for a synchronous standby would then be
one without it.  Whatever takes too long loses its connection instead, and so does whatever broke one.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.complaints import LATE, is_of_connection
from gateway.ledger.database import IDLE, LOCK, Database, engine_of

T = TypeVar("T")

TROUBLE = (
    SQLAlchemyError,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # of a connection that the server has just ended, before the driver has come to see it
    asyncpg.InternalClientError,
)
"""What the engine and its driver raise."""

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED; {limits}SELECT pg_advisory_xact_lock({lock})"

GIVE_BACK = 1.0
"""Seconds that a ROLLBACK may take."""

LOOK = IDLE / 4
"""Seconds between two looks at who has the lock, once that has taken as long as anybody may stand still."""

FREE = f"""
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = {LOCK >> 32} AND objid = {LOCK & 0xFFFF_FFFF}
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND state = 'active' AND wait_event = 'ClientRead' AND clock_timestamp() - query_start > interval '{IDLE} s'
"""  # noqa: S608 - of our own numbers alone
"""Ends whoever has the lock and was frozen between the two halves of a statement.

The driver has a new statement parsed, reads what it is like, and only then says that it be carried out.  In between the
server waits for the client as for one that is in the middle of talking (protocol: Flush, not Sync): to none of its own
limits is that a transaction that stands still (measured on 15: for as long as the client was frozen).  The sessions of
the same user may be ended without further rights."""


class Connections:
    """A bounded number of connections to one database.

    Args:
        name: what the server calls them.
    """

    def __init__(self, database: Database, name: str) -> None:
        """Begin with none."""
        self.database = database
        self.engine = engine_of(database, name)
        self.made = 0
        """How many there were so far."""
        event.listen(self.engine.sync_engine, "connect", self._count)
        self._looks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def begun(self, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Give one in a transaction that has the lock; what is not committed at the end is undone.

        Args:
            limit: seconds for each statement and for the wait, where that is more than usual.
        """
        begin = BEGIN.format(limits="" if limit is None else limits(limit, limit, limit), lock=LOCK)
        connection, raw = await self._started(begin, limit or self.database.patience)
        try:
            yield connection
        except BaseException as error:
            await _let_go(connection, raw, is_spoilt=isinstance(error, TROUBLE) and is_of_connection(error))
            raise
        await _let_go(connection, raw)

    @asynccontextmanager
    async def looking(self, limit: float) -> AsyncIterator[AsyncConnection]:
        """Give one that reads one moment, without the lock.

        Args:
            limit: seconds for each statement, and a tenth of those that may pass between two.
        """
        connection = await self._connected()
        raw = await driver(connection)
        is_spoilt = True
        try:
            # a cursor wants a transaction that the driver knows of
            moment = raw.transaction(isolation="repeatable_read", readonly=True)
            await within(limit, raw, moment.start())
            await within(limit, raw, raw.execute(limits(limit, limit, 10 * limit)))
            yield connection
            await within(limit, raw, moment.rollback())
            is_spoilt = False
        finally:
            await _let_go(connection, raw, is_spoilt=is_spoilt)

    def _count(self, _connection: object, _record: object) -> None:
        self.made += 1

    async def end(self) -> None:
        """End all of them."""
        async with asyncio.timeout(self.database.connect_timeout):
            await self.engine.dispose()

    async def _connected(self) -> AsyncConnection:
        """Give one without a transaction."""
        async with asyncio.timeout(2 * self.database.connect_timeout):
            return await self.engine.connect()

    async def _started(self, begin: str, lasts: float) -> tuple[AsyncConnection, asyncpg.Connection]:
        """Begin a transaction; connections that a restart of the server has left behind are passed by."""
        for left in reversed(range(self.database.pool + 1)):
            connection = await self._connected()
            raw = await driver(connection)
            try:
                await self._begin(lasts, raw, begin)
            except TROUBLE as error:
                is_stale = is_of_connection(error) and not isinstance(error, TimeoutError)
                await _let_go(connection, raw, is_spoilt=is_of_connection(error))
                if not is_stale or not left:
                    raise
            else:
                return connection, raw
        raise AssertionError  # the last one is given or raised

    async def _begin(self, lasts: float, raw: asyncpg.Connection, begin: str) -> None:
        """Begin a transaction; who keeps its lock and is frozen where the server does not see it is ended meanwhile."""
        loop = asyncio.get_running_loop()
        beginning = loop.create_task(within(lasts, raw, raw.execute(begin)))
        done, _ = await asyncio.wait({beginning}, timeout=IDLE)
        while not done:
            if not self._looks:
                # in a task of its own: with the lock in hand nobody waits for a look, and no look is broken off
                look = loop.create_task(self._free())
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)
            done, _ = await asyncio.wait({beginning}, timeout=LOOK)
        await beginning

    async def _free(self) -> None:
        """End whoever keeps the lock and is frozen where the server does not see it."""
        with suppress(*TROUBLE):
            connection = await self._connected()
            raw = await driver(connection)
            is_spoilt = True
            try:
                await within(self.database.connect_timeout, raw, raw.execute(FREE))
                is_spoilt = False
            finally:
                await _let_go(connection, raw, is_spoilt=is_spoilt)


async def driver(connection: AsyncConnection) -> asyncpg.Connection:
    """Return the driver's own connection."""
    found = (await connection.get_raw_connection()).driver_connection
    assert isinstance(found, asyncpg.Connection)  # noqa: S101 - the engine's driver
    return found


async def within(seconds: float, raw: asyncpg.Connection, work: Coroutine[Any, Any, T]) -> T:
    """Do something with a connection; where it takes too long the connection is ended, and nothing is cancelled.

    Raises TimeoutError then.
    """
    task = asyncio.get_running_loop().create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        return task.result()
    raw.terminate()
    await asyncio.wait({task})
    if task.cancelled() or task.exception() is not None:
        raise TimeoutError(LATE)
    return task.result()


def limits(statement: float, lock: float, idle: float) -> str:
    """Return what sets the limits of one transaction, in seconds."""
    names = {"statement_timeout": statement, "lock_timeout": lock, "idle_in_transaction_session_timeout": idle}
    return "".join(f"SET LOCAL {name} = {int(1000 * seconds)}; " for name, seconds in names.items())


async def _let_go(connection: AsyncConnection, raw: asyncpg.Connection, *, is_spoilt: bool = False) -> None:
    """Give a connection back, without a transaction; one that is of no use any more is ended."""
    if not is_spoilt and not raw.is_closed() and raw.is_in_transaction():
        try:
            await within(GIVE_BACK, raw, raw.execute("ROLLBACK"))
        except TROUBLE:
            is_spoilt = True
    if is_spoilt or raw.is_closed():
        raw.terminate()
        if not connection.invalidated:
            await connection.invalidate()
    await connection.close()
