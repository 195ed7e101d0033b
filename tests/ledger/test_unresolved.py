"""What a person has to look at, and what he may say about it."""

from functools import partial

import pytest
from sqlalchemy import Connection, event, insert, select, update

from gateway.ledger import unresolved
from gateway.ledger.broadcasts import UNSEEN
from gateway.ledger.intents import ANSWERED, RESOLVED
from gateway.ledger.marks import Wish
from gateway.ledger.schema import holds, intents, keys, publications
from gateway.ledger.store import InlineLedger
from gateway.ledger.unresolved import MOST, SIGNED_FOR, CannotResolveError, NoOutcomeError, Unresolved, resolve
from gateway.rules.following import LOOKED_FOR

from .conftest import AT, fill, hash_of, key_of

LATER = AT + 3600.0


@pytest.fixture
def shop(ledger: InlineLedger) -> InlineLedger:
    """A ledger with a small shop in it."""
    ledger.transact(fill)
    return ledger


def listed(ledger: InlineLedger, wallet: str | None = None, at: float = LATER) -> list[Unresolved]:
    """Return what is open."""
    return ledger.transact(lambda connection: unresolved.unresolved(connection, at, wallet))


def said(ledger: InlineLedger, outcome: str, *, executed: bool = False, wallet: str = "main") -> tuple[str, int]:
    """Say something about an outcome."""

    def work(connection: Connection) -> tuple[str, int]:
        return resolve(connection, wallet, outcome, executed=executed, who="kim", reason="looked", at=LATER)

    return ledger.transact(work)


def ids(ledger: InlineLedger) -> list[str]:
    """Return what is open by its ids."""
    return [one.id for one in listed(ledger)]


def test_all_that_is_open_is_listed(shop: InlineLedger) -> None:
    """Calls, broadcasts and keys of which nothing left; without a word that belongs to a customer."""
    call, sent, key = listed(shop)
    assert (call.method, call.client, call.state, call.wallet) == ("payto", "shop", "unknown", "main")
    assert call.id.startswith("call-")
    assert (sent.id, sent.method, sent.opened_at) == (f"broadcast-{'p' * 64}", "broadcast", AT)
    assert "sent 2 times" in sent.note
    assert (key.id, key.state) == (f"key-{hash_of('order-1')}-shop", "signed")
    assert "holds 2 coins" in key.note
    assert "order-1" not in repr(key), "the text of a key is the client's own"
    assert listed(shop, "other") == []
    assert [one.id for one in listed(shop, "main")] == ids(shop)


def test_what_is_usual_is_not_listed(shop: InlineLedger) -> None:
    """A key that was signed just now, and one whose transaction went out."""
    assert [one.id for one in listed(shop, at=AT + 1.0) if one.id.startswith("key-")] == []
    shop.transact(lambda connection: connection.execute(update(keys).values(state="published")))
    assert [one for one in ids(shop) if one.startswith("key-")] == []


def test_a_key_whose_bytes_were_refused_is_listed_and_can_be_given_up(shop: InlineLedger) -> None:
    """Nobody else would free its coins; not before the histories were looked at for an hour."""
    row = {"wallet": "main", "txid": "t" * 64, "hex": "00", "client": "shop", "first_at": AT}
    refused = insert(publications).values(row | {"state": "conflict", "answer": UNSEEN, "last_at": LATER - LOOKED_FOR})
    shop.transact(lambda connection: connection.execute(refused))
    shop.transact(lambda connection: connection.execute(update(keys).values(state="published")))
    assert [one for one in listed(shop) if one.id.startswith("key-")] == []
    (key,) = [one for one in listed(shop, at=LATER + SIGNED_FOR) if one.id.startswith("key-")]
    assert key.note == "its broadcast was refused (conflict); holds 2 coins"
    assert "2 coins are released" in said(shop, key.id)[0]


@pytest.mark.parametrize("wallet", ["main", None])
def test_thousands_that_are_well_cost_nothing(shop: InlineLedger, wallet: str | None) -> None:
    """Three statements, few rows, and an index for each table that grows: payments wait for none of it."""
    paid = [key_of("published", f"paid-{n}", AT, txid=f"{n:064x}") for n in range(5_000)]
    shop.transact(lambda connection: connection.execute(insert(keys), paid))
    statements, plans = list[str](), list[str]()

    def count(connection: Connection, _cursor: object, said: str, given: tuple[object, ...], *_: object) -> None:
        if not said.startswith("EXPLAIN"):
            statements.append(said)
            plans.extend(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", given))

    event.listen(shop.engine, "before_cursor_execute", count)
    found = listed(shop, wallet)
    event.remove(shop.engine, "before_cursor_execute", count)
    assert [one.id.split("-")[0] for one in found] == ["call", "broadcast", "key"]
    assert len([one for one in statements if one.startswith("SELECT")]) == 3
    assert all("LIMIT" in one for one in statements if one.startswith("SELECT"))
    for table in ("keys", "holds", "publications", "intents"):
        assert [one for one in plans if one.startswith(f"SEARCH {table} USING")], table
        assert f"SCAN {table}" not in plans


def test_more_than_a_person_can_look_at_is_cut(shop: InlineLedger) -> None:
    """The oldest are those that are shown."""
    signed = [key_of("signed", f"new-{n}", AT + n, txid=f"{n:064x}") for n in range(MOST + 1)]
    shop.transact(lambda connection: connection.execute(insert(keys), signed))
    found = [one for one in listed(shop) if one.id.startswith("key-")]
    assert len(found) == MOST
    assert found[0].opened_at == AT
    assert max(one.opened_at for one in found) < AT + MOST


def test_a_note_that_holds_an_address_is_not_shown(shop: InlineLedger) -> None:
    """A label says what a customer bought; other notes are blotted."""
    wish = Wish("label", "bchreg:qa1", "two pizzas", AT)
    for note in (wish.note(), f"sent to {'q' * 30}1"):
        shop.transact(partial(note_down, note=note))
        (call, *_) = listed(shop)
        assert "pizza" not in call.note
        assert "qa1" not in call.note
        assert "qqqq" not in call.note


def note_down(connection: Connection, note: str) -> None:
    """Write a note to every call."""
    connection.execute(update(intents).values(note=note, request="r1"))


@pytest.mark.parametrize("executed", [True, False])
def test_a_call_is_closed_by_what_a_person_says(shop: InlineLedger, *, executed: bool) -> None:
    """His name, his word and his reason stay in the ledger; it is said once."""
    (call, *_) = ids(shop)
    told, left = said(shop, call, executed=executed)
    word = "executed" if executed else "not executed"
    assert told.endswith(f"is closed as {word}")
    assert left == 0
    row = shop.transact(lambda c: c.execute(select(intents).where(intents.c.state == RESOLVED)).one())
    assert row.note == f"kim says that it was {word}: looked"
    assert call not in ids(shop)
    with pytest.raises(CannotResolveError, match="is resolved"):
        said(shop, call)


def test_it_is_said_how_many_are_left(shop: InlineLedger) -> None:
    """An alert about them may close when none is."""
    row = {"wallet": "main", "epoch": 3, "client": "shop", "method": "broadcast", "state": "unknown", "opened_at": AT}
    shop.transact(lambda c: c.execute(insert(intents).values(row)))
    first, second = (one for one in ids(shop) if one.startswith("call-"))
    assert said(shop, first)[1] == 1
    assert said(shop, second)[1] == 0


def test_a_key_that_never_left_is_given_up(shop: InlineLedger) -> None:
    """Its coins are free, and their freezes are lifted by whoever keeps marks."""
    key = f"key-{hash_of('order-1')}-shop"
    with pytest.raises(CannotResolveError, match="seen on the chain"):
        said(shop, key, executed=True)
    told, _ = said(shop, key)
    assert "2 coins are released" in told
    assert [one.txid for one in shop.transact(lambda c: c.execute(select(holds)).all())] == ["p" * 64]
    with pytest.raises(CannotResolveError, match="cannot be given up"):
        said(shop, key)


def test_the_same_key_of_another_client_is_another(shop: InlineLedger) -> None:
    """Clients choose their keys as they like."""
    shop.transact(lambda c: c.execute(insert(keys), [key_of("signed", "order-1", AT, client="till", txid="e" * 64)]))
    said(shop, f"key-{hash_of('order-1')}-till")
    states = shop.transact(lambda c: dict(c.execute(select(keys.c.client, keys.c.state)).all()))
    assert states == {"shop": "signed", "till": "abandoned"}


def test_a_broadcast_is_the_chains_to_settle(shop: InlineLedger) -> None:
    """Nothing that a person says may free coins that may be spent."""
    with pytest.raises(CannotResolveError, match="until the chain has spoken"):
        said(shop, f"broadcast-{'p' * 64}")
    assert len(listed(shop)) == 3


@pytest.mark.parametrize(
    "outcome", ["", "call-", "call-999", "call-x", "call-9999999999999999999999", "call-\u0661", "key-", "key-00-shop",
                f"broadcast-{'9' * 64}", "label-1"],
)  # fmt: skip
def test_what_is_not_there_is_said_so(shop: InlineLedger, outcome: str) -> None:
    """With where to look."""
    with pytest.raises(NoOutcomeError, match="GET /api/v1/outcomes"):
        said(shop, outcome)


def test_an_outcome_of_another_wallet_is_not_there(shop: InlineLedger) -> None:
    """Who holds that one has the say; and an answered call is no outcome."""
    (call, *_) = ids(shop)
    with pytest.raises(NoOutcomeError):
        said(shop, call, wallet="savings")
    shop.transact(lambda c: c.execute(update(intents).values(state=ANSWERED)))
    with pytest.raises(CannotResolveError, match="is answered"):
        said(shop, call)
