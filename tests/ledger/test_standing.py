"""Orders that stand until they are taken back."""

from gateway.ledger import standing
from gateway.ledger.schema import metadata
from gateway.ledger.standing import Standing
from gateway.ledger.store import InlineLedger


def test_an_order_stands_once_until_it_is_taken_back() -> None:
    """Of one backend of one wallet alone."""
    ledger = InlineLedger(None)
    metadata.create_all(ledger.engine)
    assert ledger.transact(lambda c: standing.put(c, "main", "ec-1", "hold", 1.0))
    assert not ledger.transact(lambda c: standing.put(c, "main", "ec-1", "hold", 2.0))
    assert ledger.transact(lambda c: standing.put(c, "main", "ec-1", "drain", 3.0))
    assert ledger.transact(lambda c: standing.put(c, "other", "ec-1", "hold", 4.0))
    found = ledger.transact(lambda c: standing.read(c, "main"))
    assert sorted(found, key=lambda one: one.at) == [Standing("ec-1", "hold", 1.0), Standing("ec-1", "drain", 3.0)]
    assert ledger.transact(lambda c: standing.take_back(c, "main", "ec-1", "hold"))
    assert not ledger.transact(lambda c: standing.take_back(c, "main", "ec-1", "hold"))
    assert [one.verb for one in ledger.transact(lambda c: standing.read(c, "main"))] == ["drain"]
    ledger.close()
