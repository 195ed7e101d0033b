"""What has done its work goes in time; what keeps something from happening twice stays for ever."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.base.events import Event
from gateway.ledger import check, retention
from gateway.ledger.events import KEPT, add
from gateway.ledger.retention import DAY, EVERY, keep_small, prune, prune_all
from gateway.ledger.schema import (
    addresses,
    events,
    holds,
    intents,
    invoices,
    keys,
    marks,
    metadata,
    orders,
    publications,
    receipts,
    spending,
)
from gateway.ledger.store import InlineLedger, LedgerError
from tests.virtual_time import run_virtual

from .conftest import AT, fill, key_of


def ids(ledger: InlineLedger, column: Any) -> list[Any]:
    """Return one column in its order."""
    return ledger.transact(lambda connection: list(connection.scalars(select(column).order_by(column))))


def put(ledger: InlineLedger, table: Any, *rows: dict[str, Any]) -> None:
    """Write rows down."""
    ledger.transact(lambda connection: [connection.execute(insert(table).values(row)) for row in rows])


def pruned(ledger: InlineLedger, at: float = AT) -> int:
    """Do all that is due."""
    return run_virtual(prune_all(ledger, at))


def intent(number: int, state: str, days: float | None) -> dict[str, object]:
    """A call that ended some days ago."""
    closed = None if days is None else AT - days * DAY
    return {
        "id": number, "wallet": "main", "epoch": 1, "client": "shop", "method": "payto", "state": state,
        "opened_at": 1.0, "closed_at": closed,
    }  # fmt: skip


def test_intents_go_when_their_outcome_is_long_known(ledger: InlineLedger) -> None:
    """Open ones never, unknown ones after more than a year."""
    put(
        ledger, intents, intent(1, "answered", 31), intent(2, "answered", 29), intent(3, "not_executed", 31),
        intent(4, "withheld", 31), intent(5, "resolved", 31), intent(6, "unknown", 399), intent(7, "unknown", 401),
        intent(8, "open", None),
    )  # fmt: skip
    assert pruned(ledger) == 5
    assert ids(ledger, intents.c.id) == [2, 6, 8]


def test_a_key_becomes_a_tombstone_and_stays(ledger: InlineLedger) -> None:
    """Only six blocks deep and after 90 days; hash and txid say for ever that it was used."""
    old = AT - 91 * DAY
    put(
        ledger, keys, key_of("confirmed", "old", old), key_of("confirmed", "new", AT - 89 * DAY),
        key_of("published", "stuck", old), key_of("signed", "kept", old), key_of("in_progress", "begun", old),
        key_of("confirmed", "late", old, updated_at=AT - DAY),
    )  # fmt: skip
    assert pruned(ledger) == 1
    rows = {row.key_hash: row for row in ledger.transact(lambda connection: connection.execute(select(keys)).all())}
    assert len(rows) == 6
    (stone,) = [row for row in rows.values() if row.state == "tombstone"]
    assert (stone.key, stone.result, stone.txid) == (None, None, "t" * 64)
    assert all(row.result for row in rows.values() if row is not stone)


def publication(txid: str, state: str, days: float) -> dict[str, object]:
    """A broadcast that was last heard of some days ago."""
    return {
        "wallet": "main", "txid": txid, "hex": "00", "state": state, "client": "shop", "first_at": 1.0,
        "last_at": AT - days * DAY,
    }  # fmt: skip


def test_bytes_of_broadcasts_go_when_the_chain_has_spoken_long_ago(ledger: InlineLedger) -> None:
    """What was refused goes whole; what is unknown keeps its bytes for ever."""
    put(
        ledger, publications, publication("a", "confirmed", 91), publication("b", "conflict", 91),
        publication("c", "rejected", 91), publication("d", "unknown", 1000), publication("e", "accepted", 1000),
        publication("f", "confirmed", 89),
    )  # fmt: skip
    assert pruned(ledger) == 3
    found = {row.txid: row.hex for row in ledger.transact(lambda c: c.execute(select(publications)).all())}
    assert found == {"a": "", "b": "", "d": "00", "e": "00", "f": "00"}


def test_a_refusal_is_kept_for_as_long_as_a_key_holds_coins_for_it(ledger: InlineLedger) -> None:
    """Without it the key would count as broadcast, and nobody could give it up."""
    put(ledger, publications, publication("c", "rejected", 91))
    put(
        ledger, holds,
        {"wallet": "main", "outpoint": "x:0", "txid": "c", "client": "shop", "key_hash": "h", "value": 1, "since": AT},
    )  # fmt: skip
    assert pruned(ledger) == 0
    ledger.transact(lambda connection: connection.execute(holds.delete()))
    assert pruned(ledger) == 1


def test_an_invoice_that_was_removed_goes_and_its_address_stays(ledger: InlineLedger) -> None:
    """With what was paid on it; nobody gets the address a second time."""
    ledger.transact(fill)
    assert pruned(ledger) == 0
    ledger.transact(lambda connection: connection.execute(invoices.update().values(removed_at=AT - 91 * DAY)))
    assert pruned(ledger) == 2
    assert ids(ledger, invoices.c.id) == ids(ledger, receipts.c.txid) == []
    states = ledger.transact(lambda connection: list(connection.scalars(select(addresses.c.state))))
    assert states.count("handed") == 2
    assert ledger.transact(check.check) == []


def test_an_invoice_with_more_receipts_than_one_run_takes_goes_last(
    ledger: InlineLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No receipt is ever without its invoice."""
    ledger.transact(fill)
    put(
        ledger, receipts,
        *[{"wallet": "main", "address": "qa1", "txid": f"{n}", "value": 1, "height": 1} for n in range(9)],
    )  # fmt: skip
    ledger.transact(lambda connection: connection.execute(invoices.update().values(removed_at=AT - 91 * DAY)))
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    while ledger.transact(lambda connection: prune(connection, AT, 3)):
        assert ledger.transact(check.check) == []
    assert ids(ledger, receipts.c.txid) == ids(ledger, invoices.c.id) == []


def test_spending_marks_and_orders_go(ledger: InlineLedger) -> None:
    """Those that nothing asks for any more."""
    day = int(AT // DAY)
    put(
        ledger, spending,
        *[{"wallet": "main", "client": "shop", "txid": str(n), "day": day - n, "satoshi": 1} for n in (0, 400, 401)],
    )  # fmt: skip
    put(
        ledger, marks,
        *[{"wallet": "main", "kind": "freeze_utxo", "key": f"{value}{days}", "value": value, "owner": "gateway",
           "at": AT - days * DAY} for value in ("", "1") for days in (89, 91)],
    )  # fmt: skip
    put(
        ledger, orders,
        *[{"wallet": "main", "verb": "adopt", "at": 1.0, "state": state, "done_at": AT - days * DAY}
          for state in ("done", "failed") for days in (29, 31)],
        {"wallet": "main", "verb": "adopt", "at": 1.0, "state": "taken"},
    )  # fmt: skip
    assert pruned(ledger) == 1 + 1 + 2
    assert ids(ledger, spending.c.txid) == ["0", "400"]
    assert ids(ledger, marks.c.key) == ["189", "191", "89"]
    assert len(ids(ledger, orders.c.id)) == 3


def test_events_beyond_the_bound_go(ledger: InlineLedger) -> None:
    """Should more of them have come in by another way."""
    ledger.transact(lambda connection: add(connection, Event("x"), 1.0))
    put(ledger, events, {"seq": KEPT + 5, "at": 1.0, "name": "y"}, {"seq": 6, "at": 1.0, "name": "z"})
    assert pruned(ledger) == 1
    assert ids(ledger, events.c.seq) == [6, KEPT + 5]


def test_one_transaction_is_small_however_much_is_due(ledger: InlineLedger) -> None:
    """No call waits for thousands of rows; the whole is done all the same."""
    put(ledger, intents, *(intent(number, "answered", 31) for number in range(1, 702)))
    assert ledger.transact(lambda connection: prune(connection, AT)) == retention.AT_ONCE
    assert ledger.transact(lambda connection: prune(connection, AT, 50)) == 50
    assert pruned(ledger) == 701 - 250


def test_nothing_of_a_small_shop_is_due_on_the_same_day(ledger: InlineLedger) -> None:
    """Pruning leaves what is alive."""
    ledger.transact(fill)

    def everything(connection: Connection) -> dict[str, int]:
        tables = metadata.sorted_tables
        return {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables}

    before = ledger.transact(everything)
    assert pruned(ledger, AT + DAY) == 0
    assert ledger.transact(everything) == before


class Forgetful(InlineLedger):
    """A ledger that is away for a while."""

    is_away = False

    async def run(self, work: Any) -> Any:
        """Fail while it is away."""
        if self.is_away:
            raise LedgerError("the disk is gone")
        return self.transact(work)


def test_the_gateway_prunes_each_hour_and_lives_through_a_ledger_that_is_away() -> None:
    """It says when it could not, and tries again an hour later."""
    ledger = Forgetful(None)
    metadata.create_all(ledger.engine)
    told: list[Event] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        task = loop.create_task(keep_small(ledger, lambda: AT + loop.time() - begun, told.append))
        put(ledger, intents, intent(1, "answered", 31))
        ledger.is_away = True
        await asyncio.sleep(EVERY + 1)
        ledger.is_away = False
        assert ids(ledger, intents.c.id) == [1]
        await asyncio.sleep(EVERY)
        assert ids(ledger, intents.c.id) == []
        await asyncio.sleep(EVERY)
        task.cancel()

    run_virtual(story())
    ledger.close()
    assert [(one.name, one.fields) for one in told] == [
        ("ledger.not_pruned", {"error": "the disk is gone"}),
        ("ledger.pruned", {"rows": 1}),
    ]
