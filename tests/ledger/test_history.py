"""The history in the ledger: written twice it is there once, and what a life left open is closed by who comes after."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.ledger import history, retention
from gateway.ledger.among import AT_ONCE
from gateway.ledger.history import ENDED, KILLED, RUNNING, SILENT, STOPPED, Batch, Before, Life, Ran
from gateway.ledger.schema import audit, availability, incidents, lives, restarts
from gateway.ledger.store import InlineLedger
from gateway.rules.availability import Count, Key
from gateway.rules.deeds import BROKEN_OFF, DONE, Order, Restart
from gateway.rules.stories import Incident, Line

from .conftest import AT

DAY = 86_400.0
TODAY = int(AT // DAY)

FIRST = Life("aa", "gw-1", AT)
SECOND = Life("bb", "gw-1", AT + 100.0)
OTHER = Life("cc", "gw-2", AT)

STORY = Incident(
    "aa-s1", "out_of_service", "warning", "main", "ec-1", "ec-1 is out", AT + 1.0, None,
    (Line(AT + 1.0, "ejected"),), 2, ("a-1",),
)  # fmt: skip
RESTART = Restart("aa-d1", "main", "ec-1", "wedged", "silent", "gateway", AT + 2.0)
ORDER = Order("aa-d2", AT + 3.0, "kim", "session", "10.0.0.9:4", "main", "ec-1", "drain", "new disk")
KEY: Key = (TODAY, "main", "ec-1")
COUNT = Count(10.0, 9.0, 1.0, AT, AT + 11.0, {"wedged": 1.0})

BATCH = Batch({STORY.id: STORY}, {RESTART.id: RESTART}, {ORDER.id: ORDER}, {KEY: COUNT})


def begun(ledger: InlineLedger, life: Life) -> Before:
    """Begin a life."""
    return ledger.transact(lambda connection: history.begin(connection, life, TODAY))


def written(ledger: InlineLedger, life: Life, batch: Batch, at: float, ending: str = RUNNING) -> None:
    """Write a batch."""
    ledger.transact(lambda connection: history.write(connection, life, batch, at, ending))


def test_what_was_written_is_read_as_it_was(ledger: InlineLedger) -> None:
    """Each kind of row, with its gateway."""
    begun(ledger, FIRST)
    written(ledger, FIRST, BATCH, AT + 11.0)

    def read(connection: Connection) -> list[object]:
        return [
            history.read_incidents(connection, AT, AT + 60.0), history.read_restarts(connection, AT, AT + 60.0),
            history.read_orders(connection, AT, AT + 60.0), history.read_counts(connection, TODAY, TODAY),
            history.read_lives(connection, AT),
        ]  # fmt: skip

    assert ledger.transact(read) == [
        [("gw-1", STORY)], [("gw-1", RESTART)], [("gw-1", ORDER)], [("gw-1", KEY, COUNT)],
        [Ran("gw-1", AT, AT + 11.0, RUNNING)],
    ]  # fmt: skip


def test_a_batch_that_is_written_twice_is_there_once(ledger: InlineLedger) -> None:
    """Whoever is not told whether it was done does it again; and a row that changed takes the place of the old one."""
    begun(ledger, FIRST)
    begun(ledger, FIRST)
    written(ledger, FIRST, BATCH, AT + 11.0)
    written(ledger, FIRST, BATCH, AT + 11.0)
    closed = STORY.ended(AT + 4.0)
    written(ledger, FIRST, Batch({closed.id: closed}, counts={KEY: replace(COUNT, watched=20.0)}), AT + 21.0)

    def read(connection: Connection) -> tuple[object, ...]:
        counts = [connection.scalar(select(func.count()).select_from(one)) for one in (lives, restarts, audit)]
        return (history.read_incidents(connection, 0.0, 9e9), counts,
                [count.watched for _, _, count in history.read_counts(connection, 0, 99_999)])  # fmt: skip

    found, counts, watched = ledger.transact(read)
    assert found == [("gw-1", replace(closed, parts=frozenset()))]
    assert (counts, watched) == ([1, 1, 1], [20.0])


def test_gateways_write_side_by_side(ledger: InlineLedger) -> None:
    """Each counts its own seconds; nobody closes what is another one's."""
    for life in (FIRST, OTHER):
        begun(ledger, life)
    theirs = replace(STORY, id="cc-s1")
    written(ledger, FIRST, BATCH, AT + 11.0)
    written(ledger, OTHER, Batch({theirs.id: theirs}, counts={KEY: COUNT}), AT + 11.0)
    before = begun(ledger, SECOND)
    assert before.counts == {KEY: COUNT}
    found = dict(ledger.transact(lambda c: [(one.id, one.closed_at) for _, one in history.read_incidents(c, 0.0, 9e9)]))
    assert found == {"aa-s1": AT + 11.0, "cc-s1": None}
    assert len(ledger.transact(lambda c: history.read_counts(c, TODAY, TODAY))) == 2


def test_what_was_open_when_the_gateway_was_killed_is_closed_by_the_next_start(ledger: InlineLedger) -> None:
    """As of when it was last seen, with a note; the next one is told that it was killed, and goes on counting."""
    begun(ledger, FIRST)
    written(ledger, FIRST, BATCH, AT + 11.0)
    assert begun(ledger, SECOND) == Before(AT + 11.0, was_killed=True, counts={KEY: COUNT})

    def read(connection: Connection) -> tuple[Incident, Restart, Order]:
        return (history.read_incidents(connection, 0.0, 9e9)[0][1], history.read_restarts(connection, 0.0, 9e9)[0][1],
                history.read_orders(connection, 0.0, 9e9)[0][1])  # fmt: skip

    story, restart, order = ledger.transact(read)
    assert (story.closed_at, story.done[-1]) == (AT + 11.0, Line(SECOND.began_at, ENDED))
    assert (restart.outcome, restart.ended_at, order.outcome, order.done_at) == (
        BROKEN_OFF, AT + 11.0, BROKEN_OFF, AT + 11.0,
    )  # fmt: skip
    endings = ledger.transact(lambda c: [one.ending for one in history.read_lives(c, 0.0)])
    assert endings == [RUNNING, KILLED]


def test_a_story_that_opened_after_the_last_sign_of_life_is_no_shorter_than_nothing(ledger: InlineLedger) -> None:
    """It was written with that very sign."""
    begun(ledger, FIRST)
    late = replace(STORY, opened_at=AT + 12.0)
    written(ledger, FIRST, Batch({late.id: late}), AT + 11.0)
    begun(ledger, SECOND)
    assert ledger.transact(lambda c: history.read_incidents(c, 0.0, 9e9)[0][1].closed_at) == AT + 12.0


def test_a_gateway_that_was_stopped_in_order_was_not_killed(ledger: InlineLedger) -> None:
    """And what it has closed is left as it is."""
    begun(ledger, FIRST)
    closed = STORY.ended(AT + 5.0)
    written(ledger, FIRST, Batch({closed.id: closed}), AT + 11.0, STOPPED)
    assert begun(ledger, SECOND) == Before(AT + 11.0, was_killed=False, counts={})
    assert ledger.transact(lambda c: history.read_incidents(c, 0.0, 9e9)) == [("gw-1", closed)]


def test_the_very_first_start_has_nothing_before_it(ledger: InlineLedger) -> None:
    """Told again it is told the same."""
    assert begun(ledger, FIRST) == begun(ledger, FIRST) == Before(None, was_killed=False, counts={})


def test_another_gateway_that_is_gone_for_good_is_cleaned_up_after(ledger: InlineLedger) -> None:
    """Once it was silent for long, and not before: it may be slow."""
    for life in (FIRST, OTHER):
        begun(ledger, life)
    written(ledger, FIRST, BATCH, AT + 11.0)
    assert ledger.transact(lambda c: history.give_up(c, OTHER, AT + 11.0 + SILENT)) == 0
    assert ledger.transact(lambda c: history.give_up(c, OTHER, AT + 12.0 + SILENT)) == 3
    assert ledger.transact(lambda c: history.give_up(c, OTHER, AT + 12.0 + SILENT)) == 0


def test_a_span_has_what_lasted_into_it(ledger: InlineLedger) -> None:
    """Also what began before it; of one wallet where it is named; what is not over, and then the newest first."""
    ones = [
        replace(STORY, id="1", opened_at=AT, closed_at=AT + 10.0),
        replace(STORY, id="2", opened_at=AT + 5.0, closed_at=AT + 50.0),
        replace(STORY, id="3", opened_at=AT + 20.0, wallet="other"),
        replace(STORY, id="4", opened_at=AT + 40.0, closed_at=AT + 41.0),
    ]
    written(ledger, FIRST, Batch({one.id: one for one in ones}), AT)

    def ids(since: float, until: float, wallet: str | None = None, most: int = 9) -> list[str]:
        found = ledger.transact(lambda c: history.read_incidents(c, since, until, wallet, most))
        return [one.id for _, one in found]

    assert ids(AT + 11.0, AT + 30.0) == ["3", "2"]
    assert ids(AT + 11.0, AT + 30.0, "main") == ["2"]
    assert ids(AT, AT + 99.0, most=2) == ["3", "4"]
    assert ids(AT, AT + 99.0, most=1) == ["3"]
    assert ids(AT, AT + 99.0, most=3) == ["3", "4", "2"]
    assert ids(AT, AT + 15.0, most=3) == ["2", "1"]


def test_no_text_is_longer_than_its_column_or_has_a_zero_byte(ledger: InlineLedger) -> None:
    """What people and daemons say may; PostgreSQL takes neither."""
    written(ledger, FIRST, Batch(orders={"x": replace(ORDER, id="x", who="k\0" + "i" * 100, peer="p" * 100)}), AT)
    (found,) = ledger.transact(lambda c: history.read_orders(c, 0.0, 9e9))
    assert (len(found[1].who), "\0" in found[1].who, len(found[1].peer)) == (63, False, 64)


def test_many_rows_come_in_pieces(ledger: InlineLedger) -> None:
    """No statement names more than an engine takes."""
    many = {f"i{n}": replace(STORY, id=f"i{n}") for n in range(2 * AT_ONCE + 1)}
    written(ledger, FIRST, Batch(many), AT)
    assert ledger.transact(lambda c: c.scalar(select(func.count()).select_from(incidents))) == len(many)


def test_what_is_too_old_or_too_much_goes(ledger: InlineLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind."""
    monkeypatch.setattr(retention, "HISTORY_ROWS", 3)
    old = AT - (retention.HISTORY_DAYS + 1) * DAY
    begun(ledger, replace(FIRST, began_at=old))
    stories = {f"i{n}": replace(STORY, id=f"i{n}", opened_at=AT + n) for n in range(5)}
    stories["old"] = replace(STORY, id="old", opened_at=old)
    deeds = {"old": replace(RESTART, id="old", began_at=old), "new": replace(RESTART, id="new", outcome=DONE)}
    orders = {"old": replace(ORDER, id="old", at=old), "new": replace(ORDER, id="new")}
    written(ledger, FIRST, Batch(stories, deeds, orders, {KEY: COUNT, (int(old // DAY), "main", ""): COUNT}), AT)
    while ledger.transact(lambda connection: retention.prune(connection, AT, parts=retention.HISTORY)):
        pass

    def left(connection: Connection) -> list[list[object]]:
        columns = (incidents.c.id, restarts.c.id, audit.c.id, lives.c.id, availability.c.day)
        return [list(connection.scalars(select(column).order_by(column))) for column in columns]

    assert ledger.transact(left) == [["i2", "i3", "i4"], ["new"], ["new"], [], [TODAY]]


def test_what_must_stay_is_not_touched_by_the_bounds_of_the_history(ledger: InlineLedger) -> None:
    """A few rows of each kind are as many as may be."""
    ledger.transact(lambda c: c.execute(insert(lives).values(id="x", gateway="", began_at=AT, seen_at=AT)))
    written(ledger, FIRST, BATCH, AT)
    assert ledger.transact(lambda connection: retention.prune(connection, AT)) == 0
