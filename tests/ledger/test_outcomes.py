"""What is open is listed; a key is given up only while nothing of it is out."""

import pytest
from sqlalchemy import delete, insert, select, update

from gateway.ledger import broadcasts, marks, outcomes
from gateway.ledger.outcomes import CannotAbandonError, Story, abandon, find
from gateway.ledger.schema import holds, keys, publications
from gateway.ledger.store import InlineLedger
from gateway.rules.following import LOOKED_FOR

from .conftest import AT, fill, hash_of, key_of


@pytest.fixture
def shop(ledger: InlineLedger) -> InlineLedger:
    """A ledger with a small shop in it."""
    ledger.transact(fill)
    return ledger


def story(ledger: InlineLedger, key: str = "order-1") -> Story:
    """Return the only story of a key."""
    (found,) = ledger.transact(lambda connection: find(connection, key))
    return found


def given_up(ledger: InlineLedger, key: str = "order-1", *, after: float = 1.0) -> int:
    """Give a key up, so many seconds later."""
    return ledger.transact(lambda connection: abandon(connection, find(connection, key)[0], AT + after))


def published(ledger: InlineLedger, state: str, answer: str = "") -> None:
    """Let the transaction of order-1 have been broadcast."""
    row = insert(publications).values(
        wallet="main", txid="t" * 64, hex="00", state=state, client="shop", first_at=AT, last_at=AT, answer=answer
    )
    ledger.transact(lambda connection: connection.execute(row))


def test_what_is_not_known_is_listed(shop: InlineLedger) -> None:
    """Calls, broadcasts and keys that are not settled, of one wallet or client where it is named."""
    rows = [
        key_of("in_progress", key, AT + 1, client=client, result=None, txid=None)
        for key, client in (("order-2", "shop"), ("order-3", "till"))
    ]
    rows.append(key_of("confirmed", "order-0", txid="z" * 64))
    shop.transact(lambda connection: connection.execute(insert(keys), rows))
    assert [one.method for one in shop.transact(outcomes.unknown_intents)] == ["payto"]
    assert [one.txid for one in shop.transact(outcomes.unknown_publications)] == ["p" * 64]
    assert [one.key for one in shop.transact(outcomes.open_keys)] == ["order-1", "order-2", "order-3"]
    assert shop.transact(lambda connection: outcomes.unknown_intents(connection, "other")) == []
    assert shop.transact(lambda connection: outcomes.unknown_publications(connection, "other")) == []
    (till,) = shop.transact(lambda connection: outcomes.open_keys(connection, "main", "till"))
    assert (till.key, till.coins, till.held, till.broadcast) == ("order-3", 0, 0, "")


def test_a_key_is_found_by_its_text_its_hash_or_its_txid(shop: InlineLedger) -> None:
    """And shows what it holds."""
    for name in ("order-1", hash_of("order-1"), "t" * 64):
        found = story(shop, name)
        assert (found.key, found.state, found.coins, found.held) == ("order-1", "signed", 2, 100_000)
    assert shop.transact(lambda connection: find(connection, "order-9")) == []
    assert shop.transact(lambda connection: find(connection, "order-1", client="till")) == []


def test_a_key_that_never_left_is_given_up(shop: InlineLedger) -> None:
    """Its coins are free and their freezes lifted, it is empty for ever; other coins stay held."""
    coins = [f"{'c' * 64}:{n}" for n in range(2)]
    shop.transact(lambda c: marks.put(c, "main", marks.FREEZE_UTXO, coins[0], marks.FROZEN, marks.GATEWAY, AT))
    shop.transact(lambda c: marks.put(c, "main", marks.FREEZE_UTXO, coins[1], marks.FROZEN, marks.CLIENT, AT))
    assert given_up(shop) == 2
    found = story(shop, hash_of("order-1"))
    assert (found.key, found.state, found.coins, found.txid) == (None, "abandoned", 0, "t" * 64)
    assert shop.transact(lambda c: c.scalar(select(keys.c.result))) is None
    assert shop.transact(lambda c: list(c.scalars(select(holds.c.txid)))) == ["p" * 64]
    values = {mark.key: mark.value for mark in shop.transact(lambda c: marks.every(c, "main"))}
    assert values == {coins[0]: marks.NONE, coins[1]: marks.FROZEN}, "a client's own freeze stays"


@pytest.mark.parametrize("state", ["unknown", "accepted", "confirmed"])
def test_a_key_whose_bytes_went_out_is_not_given_up(shop: InlineLedger, state: str) -> None:
    """It may be paid, whatever is known of it."""
    published(shop, state)
    with pytest.raises(CannotAbandonError, match=rf"was broadcast through this gateway \({state}\)"):
        given_up(shop)
    assert (story(shop).state, story(shop).coins) == ("signed", 2)


def test_a_key_whose_broadcast_was_refused_is_given_up(shop: InlineLedger) -> None:
    """The chain did not take it."""
    published(shop, "rejected")
    assert given_up(shop) == 2


@pytest.mark.parametrize(
    ("key", "sent", "answer"),
    [
        ("signed", "conflict", ""),
        ("signed", "rejected", broadcasts.AFTER_SILENCE),
        ("published", "rejected", ""),
        ("published", "conflict", broadcasts.AFTER_SILENCE),
    ],
)
def test_a_key_whose_refused_bytes_may_be_out_is_given_up_once_the_histories_were_looked_at(
    shop: InlineLedger, key: str, sent: str, answer: str
) -> None:
    """Its coins are held for an hour, and not for ever: nobody else would free them.

    A gateway that stood still meanwhile has not looked, however late it is.
    """
    shop.transact(lambda connection: connection.execute(update(keys).values(state=key)))
    published(shop, sent, answer)
    with pytest.raises(CannotAbandonError, match="for another 30 min"):
        given_up(shop, after=LOOKED_FOR - 1800.0)
    with pytest.raises(CannotAbandonError, match="nobody has looked at the histories: let the gateway run"):
        given_up(shop, after=30 * LOOKED_FOR)
    shop.transact(lambda connection: broadcasts.unseen(connection, "main", "t" * 64))
    assert shop.transact(lambda c: find(c, "order-1"))[0].may_be_out
    assert given_up(shop, after=LOOKED_FOR) == 2
    assert story(shop, hash_of("order-1")).state == "abandoned"


def test_a_key_that_holds_no_coin_is_given_up_an_hour_later_without_a_look(shop: InlineLedger) -> None:
    """Its bytes are others', and no history of this wallet would ever have them."""
    shop.transact(lambda connection: connection.execute(delete(holds)))
    published(shop, "conflict")
    with pytest.raises(CannotAbandonError, match="for another 60 min"):
        given_up(shop)
    assert given_up(shop, after=LOOKED_FOR) == 0


@pytest.mark.parametrize("state", ["published", "confirmed", "abandoned", "tombstone"])
def test_a_key_that_is_over_or_out_is_not_given_up(shop: InlineLedger, state: str) -> None:
    """Nothing would be released, or what was paid."""
    shop.transact(lambda connection: connection.execute(update(keys).values(state=state)))
    with pytest.raises(CannotAbandonError, match=state):
        given_up(shop)


def test_a_key_that_is_being_signed_is_not_given_up(shop: InlineLedger) -> None:
    """Its process may be about to answer; after another epoch began it can not any more."""
    shop.transact(lambda connection: connection.execute(update(keys).values(state="in_progress", epoch=3, result=None)))
    with pytest.raises(CannotAbandonError, match="being signed now"):
        given_up(shop)
    shop.transact(lambda connection: connection.execute(update(keys).values(epoch=2)))
    assert given_up(shop) == 2
