"""How long the ledger takes: what failed counts, and what still waits."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from gateway.base.errors import LedgerError
from gateway.ledger.held import HeldLedger
from gateway.ledger.store import InlineLedger
from gateway.ledger.timing import BOUNDS, DONE, FAILED, MINUTE, STUCK, Timing


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.25

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of `timing`."""
    return Clock()


@pytest.fixture
def timing(clock: Clock) -> Timing:
    """Nothing was done yet."""
    return Timing(clock)


def fail(timing: Timing, error: Exception, took: Callable[[], None]) -> None:
    """Let a transaction fail."""

    def work() -> None:
        with timing.measured():
            took()
            raise error

    with pytest.raises(type(error)):
        work()


def test_one_that_failed_counts_as_one_that_was_done(timing: Timing, clock: Clock) -> None:
    """Also what its own work refused was done by the ledger."""
    with timing.measured():
        clock.now += 0.02
    assert timing.last == pytest.approx(0.02)
    fail(timing, LedgerError("it does not answer"), lambda: setattr(clock, "now", clock.now + 4.0))
    assert timing.last == pytest.approx(4.0)
    fail(timing, KeyError("no such key"), lambda: setattr(clock, "now", clock.now + 0.04))
    figures = timing.figures()
    assert (figures.count, figures.failed, figures.waiting, figures.waits) == (3, 1, 0, 0.0)
    assert figures.usual == pytest.approx(4.06 / 3)
    assert figures.slowest == pytest.approx(4.0)
    assert sum(timing.spreads[DONE].counts) == 2
    assert timing.spreads[DONE].total == pytest.approx(0.06)
    assert timing.spreads[FAILED].counts[BOUNDS.index(5.0)] == 1
    assert len(timing.bounds) == len(timing.spreads[FAILED].counts)


def test_one_that_waits_counts_while_it_waits(timing: Timing, clock: Clock) -> None:
    """A frozen database is not shown with how fast it was before."""
    with timing.measured():
        clock.now += 0.036
    with timing.measured():
        clock.now += STUCK
        assert not timing.is_stuck
        clock.now += 0.3
        assert timing.last == timing.waits == timing.figures().slowest == pytest.approx(2.3)
        assert (timing.waiting, timing.figures().waiting, timing.is_stuck) == (1, 1, True)
    assert (timing.waiting, timing.waits, timing.is_stuck) == (0, 0.0, False)


def test_the_wait_for_its_turn_is_no_time_of_the_ledger(timing: Timing, clock: Clock) -> None:
    """But who waits is seen to wait, and one that never had its turn took as long as it waited."""
    with timing.measured() as one:
        clock.now += 1.0
        assert timing.waits == pytest.approx(1.0)
        one.began_at = clock.now
        clock.now += 0.1
    assert timing.last == pytest.approx(0.1)


def test_a_minute_later_nothing_of_it_is_shown(timing: Timing, clock: Clock) -> None:
    """The histograms have it for ever."""
    assert timing.figures().usual is None
    for _ in range(3):
        with timing.measured():
            clock.now += 0.5
    clock.now += MINUTE - 1
    assert timing.figures().count == 2
    clock.now += MINUTE
    assert (timing.figures().count, timing.figures().slowest) == (0, 0.0)
    assert sum(timing.spreads[DONE].counts) == 3


def test_a_ledger_measures_its_transactions_and_rooms_see_it() -> None:
    """On a file as in a database; looked at from another thread while one is under way."""
    ledger = InlineLedger(None)
    began, end = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        began.set()
        assert end.wait(20)

    thread = threading.Thread(target=ledger.transact, args=(work,))
    thread.start()
    assert began.wait(20)
    assert ledger.timing.waiting == 1
    end.set()
    thread.join()
    with pytest.raises(LedgerError):
        ledger.transact(lambda c: c.execute(text("SELECT * FROM nowhere")))
    assert (ledger.timing.figures().count, ledger.timing.figures().failed) == (2, 1)
    assert HeldLedger(ledger, None, 1).timing is ledger.timing  # type: ignore[arg-type]  # nobody is asked who holds
