"""Reads of the ledger for people: one at a time, on a thread of their own, beside whoever writes.

Rule: whoever looks takes no turn of the thread that payments go through, none of the threads that the loop resolves
names with, and no more than one connection of a database.  What is made of the rows is made in that thread as well.  Of
those who wait there are few; one more is told to come back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gateway.base.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.store import Ledger

WAITING = 2
"""Questions that wait while one is answered."""

PATIENCE = 1.0
"""Seconds that a look waits for a file that somebody keeps locked; one that is only written keeps nobody waiting."""

R = TypeVar("R")
T = TypeVar("T")


class BusyError(Exception):
    """Too many ask at once."""


class Reader:
    """Answers one question after the other.

    Args:
        name: of the thread, which is there once somebody has asked.
    """

    def __init__(self, name: str) -> None:
        """Have no thread yet."""
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._asked: set[asyncio.Task[object]] = set()

    async def look(
        self, ledger: "Ledger | None", read: "Callable[[Connection], T]", then: Callable[[T | None], R],
        *, is_light: bool = False,
    ) -> R:  # fmt: skip
        """Read one moment of a ledger, and return what is made of it.

        A caller that leaves changes nothing: what is under way goes on to its end, and counts until then.

        Args:
            then: gets what was read, None where there is no ledger or it cannot be read; it may raise.
            is_light: so little is made of it that what comes from a database needs no thread for that.

        Raises BusyError.
        """
        if len(self._asked) > WAITING:
            raise BusyError(f"{len(self._asked)} questions are being answered already")
        task = asyncio.get_running_loop().create_task(self._in_turn(ledger, read, then, is_light=is_light))
        self._asked.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def close(self) -> None:
        """Answer nobody any more."""
        for task in self._asked:
            task.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()  # no news for the log where whoever asked has left

    async def _in_turn(
        self, ledger: "Ledger | None", read: "Callable[[Connection], T]", then: Callable[[T | None], R],
        *, is_light: bool,
    ) -> R:  # fmt: skip
        async with self._turn:
            if getattr(ledger, "path", None) is not None:
                return await self._in_thread(lambda: then(_read_beside(ledger, read)))
            found = None
            see = getattr(ledger, "see", None)
            if see is not None:
                try:
                    found = await see(read)
                except LedgerError:
                    found = None
            return then(found) if is_light else await self._in_thread(lambda: then(found))

    async def _in_thread(self, work: Callable[[], R]) -> R:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _read_beside(ledger: "Ledger | None", read: "Callable[[Connection], T]") -> T | None:
    """Read one moment of the file of a ledger that is in use; None where that cannot be done."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - the engine takes 12 MiB; it is here by now

    from gateway.ledger.opening import open_reader  # noqa: PLC0415 - as above
    from gateway.ledger.store import InlineLedger  # noqa: PLC0415 - as above

    assert isinstance(ledger, InlineLedger)  # noqa: S101 - nothing else has a file
    assert ledger.path is not None  # noqa: S101 - seen to by who calls
    if ledger.damage:
        # what can still be read of it may be anything
        return None
    try:
        engine = open_reader(ledger.path, patience=PATIENCE)
    except LedgerError:
        return None
    try:
        with engine.begin() as connection:
            return read(connection)
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
