"""The store: a transaction is whole or nothing, they follow each other, and trouble of the engine is a LedgerError."""

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gateway.ledger.schema import meta, metadata
from gateway.ledger.store import InlineLedger, LedgerError, SqliteLedger, reason

PATIENCE = 10.0
"""Real seconds that a thread is waited for."""


def put(key: str, value: str = "x") -> Callable[[Connection], str]:
    """A transaction that writes one fact."""

    def work(connection: Connection) -> str:
        connection.execute(insert(meta).values(key=key, value=value))
        return key

    return work


def keys(connection: Connection) -> list[str]:
    """What facts there are."""
    return list(connection.scalars(select(meta.c.key).order_by(meta.c.key)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a ledger file."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    """A ledger on this disk, with its tables."""
    with closing(SqliteLedger(path)) as made:
        metadata.create_all(made.engine)
        yield made


class _Hold:
    """A transaction that stays on the ledger's thread until it is let go."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    async def begun(self) -> None:
        """Wait until it is on the thread."""
        await asyncio.to_thread(self.has_begun.wait, PATIENCE)

    def __call__(self, connection: Connection) -> None:
        put("held")(connection)
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE)


class OurError(Exception):
    """What a transaction may raise."""


def test_what_is_committed_is_there_after_the_file_was_closed(path: Path) -> None:
    """In the file itself, and not in its memory."""
    with closing(SqliteLedger(path)) as ledger:
        metadata.create_all(ledger.engine)
        assert ledger.transact(put("a")) == "a"
    with closing(InlineLedger(path)) as again:
        assert again.transact(keys) == ["a"]


def test_every_commit_waits_for_the_disk(ledger: SqliteLedger) -> None:
    """WAL with synchronous FULL (2): an answer that left is on the disk even when the power fails."""

    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.scalar(text(f"PRAGMA {name}")) for name in names)

    assert ledger.transact(pragmas) == ("wal", 2, 1)


@pytest.mark.parametrize("make", [lambda _path: InlineLedger(None), InlineLedger, SqliteLedger])
def test_whatever_is_raised_undoes_all_of_it(make: Callable[[Path], InlineLedger], path: Path) -> None:
    """And comes out as it is, where it is not the engine's."""

    def work(connection: Connection) -> None:
        put("a")(connection)
        raise OurError

    with closing(make(path)) as ledger:
        metadata.create_all(ledger.engine)
        with pytest.raises(OurError):
            ledger.transact(work)
        assert ledger.transact(keys) == []


def test_trouble_of_the_engine_is_a_ledger_error_and_the_next_one_tries_again(ledger: SqliteLedger) -> None:
    """A disk that was full is a disk that may have room now; meanwhile the reason can be read."""
    ledger.transact(put("a"))
    with pytest.raises(LedgerError, match="UNIQUE constraint failed"):
        ledger.transact(put("a"))
    assert ledger.last_error.startswith("UNIQUE constraint failed")
    ledger.transact(put("b"))
    assert ledger.last_error == ""


def test_a_ledger_error_of_the_transaction_itself_undoes_it_too(ledger: SqliteLedger) -> None:
    """Rooms raise it when what they find contradicts what they know."""

    def work(connection: Connection) -> None:
        put("a")(connection)
        raise LedgerError("other addresses")

    with pytest.raises(LedgerError, match="other addresses"):
        ledger.transact(work)
    assert ledger.transact(keys) == []


def test_a_file_that_is_no_ledger_is_a_ledger_error(path: Path) -> None:
    """Whoever put it there."""
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with closing(InlineLedger(path)) as ledger, pytest.raises(LedgerError, match="not a database"):
        ledger.transact(keys)


def test_a_folder_that_cannot_be_written_says_what_would_help(tmp_path: Path) -> None:
    """At the lock already, before anything is made."""
    with pytest.raises(LedgerError, match=r"name another in ledger\.path"):
        SqliteLedger(tmp_path / "gone" / "ledger.db")


def test_a_second_gateway_is_kept_out_until_the_first_lets_go(path: Path) -> None:
    """Two of them would hand out the same pool."""
    with closing(SqliteLedger(path)), pytest.raises(LedgerError, match="in use by another gateway"):
        SqliteLedger(path)
    SqliteLedger(path).close()


def test_a_command_waits_for_its_turn_and_sees_what_was_committed(ledger: SqliteLedger, path: Path) -> None:
    """It writes the same file from another process, without the lock."""
    with closing(InlineLedger(path)) as command:
        ledger.transact(put("a"))
        assert command.transact(keys) == ["a"]
        command.transact(put("b"))
        assert ledger.transact(keys) == ["a", "b"]


def test_a_transaction_holds_the_file_from_its_first_statement(ledger: SqliteLedger, path: Path) -> None:
    """BEGIN IMMEDIATE: what was read cannot be another thing when the write comes."""
    with closing(InlineLedger(path)) as command:
        raw = command.engine.raw_connection()
        raw.driver_connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]  # a connection of sqlite3
        raw.close()

        def look(connection: Connection) -> None:
            keys(connection)
            with pytest.raises(LedgerError, match="locked"):
                command.transact(keys)

        ledger.transact(look)
        assert command.transact(keys) == []


async def test_transactions_follow_each_other_in_the_order_of_their_calls(ledger: SqliteLedger) -> None:
    """So that what rooms conclude from one another holds."""
    order: list[int] = []

    def work(number: int) -> Callable[[Connection], int]:
        def run(_connection: Connection) -> int:
            order.append(number)
            return number

        return run

    assert await asyncio.gather(*(ledger.run(work(n)) for n in range(20))) == list(range(20))
    assert order == list(range(20))


async def test_the_loop_goes_on_while_a_transaction_takes_its_time(ledger: SqliteLedger) -> None:
    """A slow disk keeps no read waiting."""
    hold = _Hold()
    task = asyncio.create_task(ledger.run(hold))
    await hold.begun()
    assert not task.done()
    hold.may_end.set()
    await task


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_caller_that_leaves_takes_nothing_back(ledger: SqliteLedger, has_begun: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The transaction is done all the same, whether it was under way or still waited for the thread."""
    hold = _Hold()
    before = asyncio.create_task(ledger.run(hold))
    leaving = before if has_begun else asyncio.create_task(ledger.run(put("waiting")))
    await hold.begun()
    await asyncio.sleep(0)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    hold.may_end.set()
    assert await ledger.run(keys) == (["held"] if has_begun else ["held", "waiting"])
    await asyncio.gather(before, return_exceptions=True)


async def test_a_failure_that_nobody_waits_for_any_more_is_no_noise(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller left, then the disk failed."""
    hold = _Hold()
    before = asyncio.create_task(ledger.run(hold))
    leaving = asyncio.create_task(ledger.run(put("held")))
    await hold.begun()
    leaving.cancel()
    hold.may_end.set()
    await before
    assert await ledger.run(keys) == ["held"]
    assert not caplog.records


async def test_what_is_asked_of_a_closed_ledger_fails_as_a_ledger(path: Path) -> None:
    """A room that is late while the gateway stops."""
    ledger = SqliteLedger(path)
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        await ledger.run(keys)


async def test_closing_waits_for_the_transaction_under_way(path: Path) -> None:
    """It is committed, and only then the lock is free."""
    ledger = SqliteLedger(path)
    metadata.create_all(ledger.engine)
    hold = _Hold()
    task = asyncio.create_task(ledger.run(hold))
    await hold.begun()
    threading.Timer(0.02, hold.may_end.set).start()
    ledger.close()
    await task
    with closing(SqliteLedger(path)) as again:
        assert again.transact(keys) == ["held"]


async def test_a_ledger_in_memory_runs_here_and_now() -> None:
    """As tests and the simulation use it."""
    ledger = InlineLedger(None)
    metadata.create_all(ledger.engine)
    assert await ledger.run(put("a")) == "a"
    assert ledger.transact(keys) == ["a"]
    ledger.close()


def trouble(text: str) -> OperationalError:
    """What the engine raises when the driver says this."""
    return OperationalError("INSERT INTO keys VALUES (?)", {"key": "secret"}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (trouble("disk is full"), "disk is full"),
        (trouble("one\ntwo secret"), "one"),
        (trouble(""), "OperationalError"),
        (SQLAlchemyError("odd\nmore"), "odd"),
    ],
)
def test_a_reason_is_one_line_without_the_statement_and_its_values(error: SQLAlchemyError, says: str) -> None:
    """It goes into the log and to clients."""
    assert reason(error) == says


async def test_an_error_that_nobody_waits_for_any_more_is_no_news_for_the_log(tmp_path: Path) -> None:
    """Whoever left has been told something else, and a traceback for each would hide what matters."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    ledger = SqliteLedger(tmp_path / "ledger.db")
    began, go_on = threading.Event(), threading.Event()

    def work(_connection: Connection) -> None:
        began.set()
        go_on.wait(5.0)
        raise ValueError("too late")

    waiting = asyncio.ensure_future(ledger.run(work))
    await asyncio.to_thread(began.wait, 5.0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go_on.set()
    ledger.close()
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert told == []
