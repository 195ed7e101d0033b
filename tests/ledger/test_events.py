"""Events are kept in their order, the newest of them, and none of any size."""

import pytest

from gateway.base.events import Event
from gateway.ledger import events
from gateway.ledger.events import KEPT, LONGEST, add, latest
from gateway.ledger.store import InlineLedger


def added(ledger: InlineLedger, event: Event, at: float = 1.0) -> int:
    """Write an event down."""
    return ledger.transact(lambda connection: add(connection, event, at))


def test_events_come_back_oldest_first_with_their_fields(ledger: InlineLedger) -> None:
    """The newest of them, of one wallet where it is named."""
    for n in range(5):
        wallet = "main" if n % 2 else "other"
        event = Event("primary.promoted", wallet, f"ec-{n}", {"epoch": n, "why": {"x"}})
        assert added(ledger, event, float(n)) == n + 1
    found = ledger.transact(lambda connection: latest(connection, 2))
    assert [(one.seq, one.at, one.name, one.wallet, one.backend) for one in found] == [
        (4, 3.0, "primary.promoted", "main", "ec-3"),
        (5, 4.0, "primary.promoted", "other", "ec-4"),
    ]
    assert found[0].fields["epoch"] == 3
    mine = ledger.transact(lambda connection: latest(connection, wallet="main"))
    assert [one.backend for one in mine] == ["ec-1", "ec-3"]


def test_the_oldest_goes_for_the_newest(ledger: InlineLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table never grows past its bound, and numbers are not used again."""
    monkeypatch.setattr(events, "KEPT", 3)
    for _ in range(5):
        added(ledger, Event("x"))
    assert [one.seq for one in ledger.transact(latest)] == [3, 4, 5]
    assert KEPT == 10_000


def test_what_is_too_long_is_cut(ledger: InlineLedger) -> None:
    """A reason may hold a daemon's whole answer."""
    added(ledger, Event("x", fields={"reason": "y" * 100_000}))
    (found,) = ledger.transact(latest)
    assert len(str(found.fields["cut"])) == LONGEST
