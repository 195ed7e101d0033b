"""The ledger on PostgreSQL: one transaction after another in the whole database, as on one SQLite file.

Rule: a transaction counts when the server said so, or when it was found afterwards; whatever else happens is a
LedgerError, and one of which nobody can find out is an UncertainError.

How it is done:

    turn     each transaction begins with one advisory lock, whoever begins it, so that "look, then write" is as right
             as on a file.  READ COMMITTED: what follows the lock sees all that was committed before it; a stricter
             level would look at the moment before the lock.  Those of one process are asked for one at a time.
    time     a process that is frozen in the middle is thrown out, and the next goes on: the server does it
             (`database.IDLE`), and who waits where the server does not see it (`connections.FREE`)
    seal     the last statement numbers what was written, see `seal`
    thread   the driver has a loop on a thread of its own: callers may wait without one, and a caller that leaves
             takes nothing back
"""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection

from gateway.ledger.complaints import FULL, code_of, is_certain, told
from gateway.ledger.connections import TROUBLE, Connections, driver, within
from gateway.ledger.database import GATEWAY, Database
from gateway.ledger.leases import OfLease
from gateway.ledger.seal import FIND, MARK, OWN, BehindError, Memory, Seal, seal
from gateway.ledger.server import judge_server
from gateway.ledger.store import LedgerError, OlderError, UncertainError, heard
from gateway.ledger.timing import Timing

T = TypeVar("T")

MOST_WAITING = 1000
"""Transactions that may wait for their turn; the next one is refused."""

AGAIN = 0.1
"""Seconds between two looks for what became of a commit."""


class PostgresLedger:
    """The ledger of a gateway, or of a command beside it, in a database.

    Args:
        name: what the server calls its connections.
        may_be_behind: go on with a database that has lost something; for the command that adopts it.
    """

    def __init__(self, database: Database, name: str = GATEWAY, *, may_be_behind: bool = False) -> None:
        """Begin the thread; nothing is connected yet.  Raises MisplacedError."""
        self.database = database
        self.last_error = ""
        self._takes_none = ""
        """Why its disk took no write last; nothing says anything against it but a write, no other error either."""
        self.timing = Timing()
        """How long transactions take; looks, which may read years, are none."""
        self.memory = Memory()
        """What was seen committed."""
        self.may_be_behind = may_be_behind
        self._own = OWN + secrets.token_hex(8)
        self._connections = Connections(database, name)
        self._waiting = 0
        self._is_closed = False
        self._turn = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ledger", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        """Status line."""
        what = f"number={self.memory.highest} took={self.timing.last:.3f}s"
        return f"<PostgresLedger {self.database.where} {what} {self.last_error or 'ok'}>"

    # -- what rooms and commands ask --------------------------------------------------------------------------

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction on the ledger's thread.

        A caller that is cancelled leaves; the transaction is done all the same.  Raises LedgerError.
        """
        return await asyncio.shield(heard(asyncio.wrap_future(self._ask(self._do(work, None)))))

    def transact(self, work: Callable[[Connection], T], limit: float | None = None) -> T:
        """Do one transaction and wait for it.

        Args:
            limit: seconds that it may take and wait for others, where that is more than usual.

        Raises LedgerError.
        """
        return self._ask(self._do(work, limit)).result()

    def look(self, work: Callable[[Connection], T], limit: float = 60.0) -> T:
        """Read one moment of the ledger, which keeps nobody from writing meanwhile.

        Args:
            limit: seconds of one statement, and a tenth of what `work` may take between two.

        Raises LedgerError.
        """
        return self._ask(self._look(work, limit)).result()

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Read one moment, as `look` does, within the usual time; it ends also where its caller leaves.

        Raises LedgerError.
        """
        return await asyncio.shield(heard(asyncio.wrap_future(self._ask(self._look(work, self.database.patience)))))

    @property
    def connections_made(self) -> int:
        """How many connections were made so far; a new one may lead to another server than the one before."""
        return self._connections.made

    async def judge(self) -> tuple[str, ...]:
        """Return what may lose payments, as at the start; on a connection of its own that waits for no lock.

        A server that does not answer loses that connection in time.  Raises LedgerError, a MisplacedError for a server
        that cannot keep a ledger at all.
        """
        return await asyncio.shield(heard(asyncio.wrap_future(self._ask(self._judge_server()))))

    def close(self) -> None:
        """Wait for the transactions that were asked for, then let go of the database."""
        if self._is_closed:
            return
        ending = self._ask(self._end())
        self._is_closed = True
        ending.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _ask(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._is_closed:
            coroutine.close()
            raise LedgerError("the ledger is closed, for the gateway is stopping")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    # -- one transaction --------------------------------------------------------------------------------------

    async def _do(self, work: Callable[[Connection], T], limit: float | None) -> T:
        """Do one transaction when it is its turn."""
        with self.timing.measured() as one:
            try:
                async with self._my_turn(limit):
                    one.began_at = self.timing.now()
                    result, older, has_written = await self._in_turn(work, limit)
            except LedgerError as error:
                self.last_error = str(error)
                raise
            except TROUBLE as error:
                self.last_error = told(error, self.database.where)
                self._takes_none = self.last_error if code_of(error) == FULL else self._takes_none
                raise LedgerError(self.last_error) from error
        if has_written:
            self._takes_none = ""
        self.last_error = older or self._takes_none
        return result

    @asynccontextmanager
    async def _my_turn(self, limit: float | None) -> AsyncIterator[None]:
        """Wait for the transactions that were asked for before; raises LedgerError where that takes too long."""
        if self._waiting >= MOST_WAITING:
            raise LedgerError(f"{self._waiting} transactions wait for the database {self.database.where} already")
        self._waiting += 1
        try:
            async with asyncio.timeout(limit or self.database.patience):
                await self._turn.acquire()
        except TimeoutError:
            why = self.last_error or f"the database {self.database.where} is slow"
            raise LedgerError(f"other transactions waited for it until it was too late for this one; {why}") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    async def _in_turn(self, work: Callable[[Connection], T], limit: float | None) -> tuple[T, str, bool]:
        """Do one transaction; return also why none but those of leases are done, "" where all are, and if it wrote."""
        lasts, older = limit or self.database.patience, ""
        try:
            async with self._connections.begun(limit) as connection:
                raw = await driver(connection)
                result = await within(lasts, raw, connection.run_sync(work))
                found = await within(lasts, raw, seal(raw, self._own))
                if not self.may_be_behind:
                    older = await self._judge(raw, found, work)
                is_done = await self._commit(raw)
        except BehindError:
            await self._mark_lost()
            raise
        if not is_done and found.number is not None:
            try:
                await self._find_out(found.number)
            except UncertainError:
                if not older:
                    self.memory.keep_doubtful(found)
                raise
        if not older:
            self.memory.keep(found)
        return result, older, found.number is not None

    async def _judge(self, raw: asyncpg.Connection, found: Seal, work: object) -> str:
        """Judge a database; return what it has lost, where a transaction is done all the same.  Raises LedgerError."""
        try:
            self.memory.judge(found, self.database.where)
        except OlderError as error:
            if not isinstance(work, OfLease):
                raise
            work.older = str(error)
            if isinstance(error, BehindError):
                # numbers go on from here, and would come to be those of what was lost
                await within(self.database.patience, raw, raw.execute(MARK, str(self.memory.highest)))
            return work.older
        return ""

    async def _commit(self, raw: asyncpg.Connection) -> bool:
        """Commit; False where nobody knows whether it was done.  Raises LedgerError where it was not."""
        if raw.is_closed():
            raise LedgerError(f"the database {self.database.where} was lost before the end of the transaction")
        try:
            ended = await within(2 * self.database.statement_timeout, raw, raw.execute("COMMIT"))
        except TROUBLE as error:
            if is_certain(error):
                raise
            return False
        if ended != "COMMIT":
            # the server says so of a transaction in which something had failed
            raise LedgerError(f"the database {self.database.where} undid the transaction")
        return True

    # -- what became of it ------------------------------------------------------------------------------------

    async def _find_out(self, number: int) -> None:
        """Find out whether a transaction was committed.  Raises LedgerError where it was not or nobody knows."""
        end = self._loop.time() + self.database.patience
        while True:
            try:
                is_there = await self._has(number)
                break
            except (*TROUBLE, LedgerError) as error:
                if self._loop.time() >= end:
                    why = str(error) if isinstance(error, LedgerError) else told(error, self.database.where)
                    words = "the connection was lost while it was committed, and whether it was is not known"
                    raise UncertainError(f"{words} ({why})") from error
                await asyncio.sleep(AGAIN)
        if not is_there:
            raise LedgerError(f"the database {self.database.where} was lost before it had committed the transaction")

    async def _has(self, number: int) -> bool:
        """Whether a number is that of the last transaction of this process that was committed.

        It waits for the lock, and so for the end of the one that is asked about.
        """
        async with self._connections.begun() as connection:
            raw = await driver(connection)
            row = await within(self.database.patience, raw, raw.fetchrow(FIND, self._own))
        if row["is_read_only"] == "on":
            raise LedgerError(f"the database {self.database.where} is read-only")
        return bool(row["own"] == str(number))

    async def _mark_lost(self) -> None:
        """Write down what number the database should have, so that nobody goes on with it who does not know."""
        with suppress(*TROUBLE, LedgerError):
            async with self._connections.begun() as connection:
                raw = await driver(connection)
                try:
                    self.memory.judge(await within(self.database.patience, raw, seal(raw, self._own)), "")
                except BehindError:
                    await within(self.database.patience, raw, raw.execute(MARK, str(self.memory.highest)))
                    await within(self.database.patience, raw, raw.execute("COMMIT"))

    # -- the rest ---------------------------------------------------------------------------------------------

    async def _look(self, work: Callable[[Connection], T], limit: float) -> T:
        try:
            async with self._connections.looking(limit) as connection:
                return await connection.run_sync(work)
        except TROUBLE as error:
            raise LedgerError(told(error, self.database.where)) from error

    async def _judge_server(self) -> tuple[str, ...]:
        limit, database = self.database.patience, self.database

        def work(connection: Connection) -> tuple[str, ...] | LedgerError:
            try:
                return judge_server(connection, database, is_lax=True)
            except LedgerError as error:
                # raised in here it would cost the connection, and the next judgement come at once
                return error

        try:
            async with self._connections.looking(limit) as connection:
                raw = await driver(connection)
                found = await within(limit, raw, connection.run_sync(work))
        except TROUBLE as error:
            raise LedgerError(told(error, database.where)) from error
        if isinstance(found, LedgerError):
            raise found
        return found

    async def _end(self) -> None:
        """Let go of the database when everything is done that was asked for."""
        async with self._turn:
            with suppress(*TROUBLE):
                await self._forget_own()
            with suppress(*TROUBLE):
                await self._connections.end()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _forget_own(self) -> None:
        """Take out the row of this process; where that fails a later opening does."""
        if not self.memory.id or self.last_error:
            return
        async with self._connections.begun() as connection:
            raw = await driver(connection)
            await within(self.database.patience, raw, raw.execute("DELETE FROM meta WHERE key = $1", self._own))
            await within(self.database.patience, raw, raw.execute("COMMIT"))
