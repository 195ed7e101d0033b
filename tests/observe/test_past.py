"""The past of a gateway with a real file: asked beside the thread that payments go through."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import history
from gateway.ledger.history import Batch, Life
from gateway.ledger.opening import open_ledger
from gateway.ledger.store import SqliteLedger
from gateway.observe import past as past_room
from gateway.observe.past import NO_LEDGER, UNREAD, Past, Span
from gateway.rules import availability
from gateway.rules.availability import DAY, Count
from gateway.rules.deeds import Order, Restart
from gateway.rules.stories import Incident
from gateway.rules.telling import day_of

T = TypeVar("T")

AT = 1_800_000_000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """One with a restart in it."""
    settings = Settings(path=str(tmp_path / "ledger.db"), may_be_lost=True)
    restart = Restart("r-1", "main", "ec-1", "dead", "gone", "gateway", AT, AT + 1.0, "done")
    with closing(open_ledger(settings, AT).ledger) as opened:
        opened.transact(lambda c: history.write(c, Life("aa", "", AT), Batch(restarts={restart.id: restart}), AT))
        assert isinstance(opened, SqliteLedger)
        yield opened


def asked(ledger: SqliteLedger) -> tuple[list[object], bool]:
    """Ask for the restarts."""

    async def ask() -> tuple[list[object], bool]:
        past = Past("", lambda: AT)
        past.ledger = ledger
        found = await past.restarts(Span(0.0, 9e9))
        return [row["id"] for row in found.rows], found.complete

    return asyncio.run(ask())


def test_a_question_does_not_wait_for_payments_nor_they_for_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered while a transaction is under way, and asks nothing of the thread that does these."""

    def nobody(_work: Callable[[Connection], T]) -> T:
        raise AssertionError("the ledger's own thread was asked")

    def under_way(connection: Connection) -> tuple[list[object], bool]:
        connection.execute(text("INSERT INTO meta VALUES ('tea', 'is made')"))
        monkeypatch.setattr(ledger, "transact", nobody)
        found = asked(ledger)
        monkeypatch.undo()
        return found

    assert ledger.transact(under_way) == (["r-1"], True)


def test_a_file_that_cannot_be_read_leaves_what_is_remembered(ledger: SqliteLedger) -> None:
    """And says that it is not all."""
    ledger.transact(lambda connection: connection.execute(text("DROP TABLE restarts")))
    assert asked(ledger) == ([], False)
    ledger.transact(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0000'")))
    assert asked(ledger) == ([], False)


def test_why_an_answer_is_not_whole_is_said() -> None:
    """No ledger at all is no trouble; one that is not open is."""

    async def why(*, has_ledger: bool) -> str:
        past = Past("", lambda: AT)
        past.has_ledger = has_ledger
        return (await past.incidents(Span(0.0, 9e9))).why

    assert asyncio.run(why(has_ledger=False)) == NO_LEDGER
    assert asyncio.run(why(has_ledger=True)) == UNREAD


def test_years_are_summed_up_and_written_out_in_a_thread_and_cut_at_a_day(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on meanwhile; what is left out are whole days, the oldest, and the first that is told is named."""
    today, places = int(AT // DAY), ("", "ec-1", "ec-2")
    counts = {
        (day, "main", backend): Count(60.0, 60.0, first_at=day * DAY, last_at=day * DAY + 60.0)
        for day in range(today - 9, today + 1)
        for backend in places
    }
    ledger.transact(lambda c: history.write(c, Life("aa", "", AT), Batch(counts=counts), AT))
    threads: list[str] = []
    plain = availability.shares

    def seen(rows: object, until: float) -> object:
        threads.append(threading.current_thread().name)
        return plain(rows, until)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr(past_room, "shares", seen)

    async def ask(most: int) -> tuple[int, str, str]:
        past = Past("", lambda: AT)
        past.ledger = ledger
        threads.append(threading.current_thread().name)
        found = await past.ask("availability", Span(0.0, AT, most=most), lambda found: found)
        assert found.complete
        return len(found.rows), found.cut, str(found.rows[0]["day"])

    for most, days in ((30, 10), (29, 9), (9, 3), (2, 1)):
        first = day_of(today - days + 1)
        assert asyncio.run(ask(most)) == (3 * days, "" if days == 10 else first, first)
    assert set(threads[1::2]) == {"history_0"}
    assert set(threads[0::2]) == {"MainThread"}
    # what is read of the ledger has a bound as well; the day at which it ends may lack some of its rows
    monkeypatch.setattr(past_room, "MOST_COUNTS", 8)
    assert asyncio.run(ask(30)) == (6, day_of(today - 1), day_of(today - 1))


@pytest.mark.parametrize("is_written", [True, False])
async def test_an_answer_says_whether_there_is_more(ledger: SqliteLedger, *, is_written: bool) -> None:
    """Of each kind, whether the rows are in the ledger or not yet; what is open is told before what is newer."""
    past = Past("", lambda: AT)
    past.ledger = ledger
    rows = (
        [Incident(f"i{n}", "stuck", "warning", "main", "", "", AT - n, None if n == 3 else AT) for n in range(4)],
        [Restart(f"r{n}", "main", "ec-1", "dead", "gone", "gateway", AT - n) for n in range(1, 4)],
        [Order(f"o{n}", AT - n, "kim", "session", "", "main", "", "hold", "", "done", "") for n in range(4)],
    )
    for row in (one for kind in rows for one in kind):
        past.keep(row)
    if is_written:
        batch = past.batch()
        ledger.transact(lambda c: history.write(c, Life("aa", "", AT), batch, AT))
        past = Past("", lambda: AT)
        past.ledger = ledger
    for ask in (past.incidents, past.restarts, past.orders):
        for most, has_more in ((3, True), (4, False), (5, False)):
            found = await ask(Span(0.0, 9e9, most=most))
            assert (len(found.rows), found.has_more, found.complete) == (min(most, 4), has_more, True)
    assert [row["id"] for row in (await past.incidents(Span(0.0, 9e9, most=2))).rows] == ["i3", "i0"]
    past.close()
