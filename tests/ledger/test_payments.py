"""Keys, holds, freezes, spending and broadcasts as rows."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select

from gateway.ledger import broadcasts, intents, marks, payments
from gateway.ledger.schema import holds, metadata, wallets
from gateway.ledger.schema import intents as intent_rows
from gateway.ledger.store import InlineLedger
from gateway.rules.payment import NOBODY

NAME, SHOP, AT = "main", "shop", 1000.0
HASH = "h" * 64


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An open transaction of an empty ledger with one wallet in epoch 1."""
    ledger = InlineLedger(None)
    metadata.create_all(ledger.engine)
    with ledger.engine.begin() as one:
        one.execute(wallets.insert().values(name=NAME, state="adopted", epoch=1, primary_backend="ec-1", since=AT))
        yield one
    ledger.close()


def begin(connection: Connection, epoch: int = 1, key_hash: str = HASH) -> bool:
    """Begin to sign with a key."""
    before = payments.find_key(connection, NAME, SHOP, key_hash)
    return payments.begin_key(connection, NAME, SHOP, key_hash, "order", "mac", "payto", epoch, AT, before)


def bind(connection: Connection, txid: str, epoch: int = 1, key_hash: str = HASH) -> bool:
    """Bind it to bytes and hold their coin."""
    done = payments.bind_key(connection, NAME, SHOP, key_hash, epoch, "{}", txid, 7, AT)
    if done:
        payments.hold(connection, NAME, txid, {f"coin-{txid}:0": 5}, AT, SHOP, key_hash)
        payments.freeze(connection, NAME, [f"coin-{txid}:0"], AT)
    return done


def publish(connection: Connection, txid: str, at: float = AT, *, own: bool = True) -> broadcasts.Publication | None:
    """Note a broadcast."""
    return broadcasts.publish(connection, NAME, txid, "00", SHOP, at, spends_own=own)


def state_of(connection: Connection, txid: str) -> str:
    """State of a broadcast."""
    found = broadcasts.find_publication(connection, NAME, txid)
    return found.state if found else ""


def test_bytes_are_bound_once_and_only_in_the_epoch_that_began_it(connection: Connection) -> None:
    """The slower one of two, and the one of an older epoch, lose."""
    assert begin(connection)
    assert begin(connection, 2)
    assert not bind(connection, "old", 1)
    assert bind(connection, "new", 2)
    assert not bind(connection, "late", 2)
    found = payments.find_key(connection, NAME, SHOP, HASH)
    assert found is not None
    assert (found.state, found.txid) == ("signed", "new")
    assert not payments.begin_key(connection, NAME, SHOP, HASH, "order", "mac", "payto", 3, AT, found)


def test_only_a_key_that_is_being_signed_is_freed(connection: Connection) -> None:
    """And only by the epoch that signs it."""
    begin(connection)
    payments.free_key(connection, NAME, SHOP, HASH, 2)
    assert payments.find_key(connection, NAME, SHOP, HASH) is not None
    payments.free_key(connection, NAME, SHOP, HASH, 1)
    assert payments.find_key(connection, NAME, SHOP, HASH) is None
    begin(connection)
    bind(connection, "tx")
    payments.free_key(connection, NAME, SHOP, HASH, 1)
    assert payments.find_key(connection, NAME, SHOP, HASH) is not None


def test_a_key_belongs_to_its_client_and_wallet(connection: Connection) -> None:
    """Another's is another key."""
    begin(connection)
    assert payments.find_key(connection, NAME, "till", HASH) is None
    assert payments.find_key(connection, "other", SHOP, HASH) is None
    assert payments.key_facts(connection, NAME, "till", key_hash=HASH) is None


def test_a_coin_is_held_once_however_many_there_are(connection: Connection) -> None:
    """A thousand coins take more than one statement."""
    many = {f"tx:{n}": n for n in range(1000)}
    payments.hold(connection, NAME, "one", many, AT)
    payments.hold(connection, NAME, "two", {"tx:5": 5, "tx:1000": 1}, AT)
    assert len(payments.coins_of(connection, NAME, "one")) == 1000
    assert payments.coins_of(connection, NAME, "two") == {"tx:1000": 1}
    assert len(payments.held(connection, NAME, [*many, "tx:2000"])) == 1000
    payments.release(connection, NAME, "one", AT)
    assert payments.held(connection, NAME, [*many]) == []


def test_the_owners_freezes_stay_and_ours_are_lifted(connection: Connection) -> None:
    """Also one that he set before, or lifted and we set again."""
    marks.put(connection, NAME, "freeze_utxo", "his:0", "1", "client", AT)
    marks.put(connection, NAME, "freeze_utxo", "lifted:0", "", "client", AT)
    changes = payments.freeze(connection, NAME, ["his:0", "lifted:0", "ours:0"], AT)
    assert [change.mark.key for change in changes] == ["lifted:0", "ours:0"]
    coins = ["his:0", "lifted:0", "ours:0", "none:0"]
    assert payments.freezes(connection, NAME, coins) == {"lifted:0": True, "ours:0": True}
    assert len(payments.lift(connection, NAME, coins, AT)) == 2
    assert payments.lift(connection, NAME, coins, AT) == []
    lasting = {one.key: one.value for one in marks.every(connection, NAME)}
    assert lasting == {"his:0": "1", "lifted:0": "", "ours:0": ""}


def test_what_only_a_broadcast_holds_is_released_without_the_keys_own(connection: Connection) -> None:
    """A refused broadcast of a key's bytes leaves the key its coins."""
    begin(connection)
    bind(connection, "tx")
    payments.hold(connection, NAME, "tx", {"more:0": 1}, AT)
    payments.release_unkeyed(connection, NAME, "tx", AT)
    assert payments.coins_of(connection, NAME, "tx") == {"coin-tx:0": 5}


def test_spending_counts_a_transaction_once(connection: Connection) -> None:
    """Per client and day."""
    for _ in range(2):
        payments.count_spending(connection, NAME, SHOP, "a", 7, 100)
    payments.count_spending(connection, NAME, SHOP, "b", 7, 10)
    payments.count_spending(connection, NAME, SHOP, "c", 8, 1)
    payments.count_spending(connection, NAME, "till", "d", 7, 1)
    assert payments.spent_on(connection, NAME, SHOP, 7, "") == 110
    assert payments.spent_on(connection, NAME, SHOP, 7, "a") == 10
    assert payments.spent_on(connection, NAME, SHOP, 9, "") == 0
    assert payments.was_signed_here(connection, NAME, "d")
    assert not payments.was_signed_here(connection, NAME, "e")
    assert payments.is_of_client(connection, NAME, SHOP, "c")
    assert not payments.is_of_client(connection, NAME, SHOP, "d")


def test_what_the_chain_took_is_not_unknown_again(connection: Connection) -> None:
    """Neither because a daemon is silent nor because one refuses; six blocks stay six blocks."""
    publish(connection, "tx")
    for heard, state in (
        ("conflict", "conflict"), ("accepted", "accepted"), ("unknown", "accepted"), ("rejected", "accepted"),
        ("confirmed", "confirmed"), ("accepted", "confirmed"), ("conflict", "confirmed"),
    ):  # fmt: skip
        broadcasts.spoke(connection, NAME, "tx", heard, AT)
        assert state_of(connection, "tx") == state
    assert not broadcasts.spoke(connection, NAME, "nothing", "accepted", AT)
    before = publish(connection, "tx", AT + 5)
    assert before is not None
    assert (before.state, state_of(connection, "tx")) == ("confirmed", "confirmed")


def test_news_that_are_none_change_nothing(connection: Connection) -> None:
    """Accepted at the same height, again and again."""
    publish(connection, "tx")
    assert broadcasts.spoke(connection, NAME, "tx", "accepted", AT, height=5)
    assert not broadcasts.spoke(connection, NAME, "tx", "accepted", AT + 9, height=5)
    assert broadcasts.spoke(connection, NAME, "tx", "accepted", AT + 9, height=6)


@pytest.mark.parametrize("refused", ["rejected", "conflict"])
def test_bytes_that_were_refused_may_be_sent_again(connection: Connection, refused: str) -> None:
    """And are unknown while they are; taking that back gives the old state."""
    publish(connection, "tx")
    broadcasts.spoke(connection, NAME, "tx", refused, AT)
    before = publish(connection, "tx", AT + 1, own=False)
    found = broadcasts.find_publication(connection, NAME, "tx")
    assert found is not None
    assert (found.state, found.tries, found.spends_own) == ("unknown", 2, True)
    broadcasts.unpublish(connection, NAME, "tx", before)
    assert state_of(connection, "tx") == refused
    broadcasts.unpublish(connection, NAME, "tx", None)
    assert state_of(connection, "tx") == refused


def test_what_a_signer_must_know(connection: Connection) -> None:
    """Every accepted payment of ours, and the last one also when it is six blocks deep; nothing unknown or foreign."""
    assert broadcasts.required(connection, NAME) == []
    for n, (txid, state) in enumerate(
        [("a", "confirmed"), ("b", "accepted"), ("c", "accepted"), ("d", "confirmed"), ("e", "unknown")]
    ):
        publish(connection, txid, AT + n)
        broadcasts.spoke(connection, NAME, txid, state, AT)
    publish(connection, "foreign", AT + 9, own=False)
    broadcasts.spoke(connection, NAME, "foreign", "accepted", AT)
    assert set(broadcasts.required(connection, NAME)) == {"b", "c", "d"}
    broadcasts.lose(connection, NAME, "c", AT)
    assert set(broadcasts.required(connection, NAME)) == {"b", "d"}
    broadcasts.spoke(connection, NAME, "d", "confirmed", AT)
    publish(connection, "f", AT + 20)
    broadcasts.spoke(connection, NAME, "f", "accepted", AT)
    assert set(broadcasts.required(connection, NAME)) == {"b", "f"}


def test_a_payment_goes_through_its_states(connection: Connection) -> None:
    """Signed, published, confirmed; its coins are free at the end, and its freeze as soon as every daemon knows."""
    begin(connection)
    bind(connection, "tx")
    publish(connection, "tx")
    (row,) = broadcasts.followed(connection, NAME, AT)
    assert (row.txid, row.state, row.coins, row.is_frozen) == ("tx", "unknown", {"coin-tx:0": 5}, True)
    broadcasts.seen(connection, NAME, "tx", 0, [], AT, spends_own=True)
    facts = payments.key_facts(connection, NAME, SHOP, key_hash=HASH)
    assert facts is not None
    assert (facts.state, facts.spent) == ("published", 7)
    assert len(broadcasts.seen(connection, NAME, "tx", 0, ["coin-tx:0"], AT, spends_own=True)) == 1
    assert not broadcasts.followed(connection, NAME, AT)[0].is_frozen
    broadcasts.confirm(connection, NAME, "tx", AT)
    assert broadcasts.followed(connection, NAME, AT) == []
    again = payments.key_facts(connection, NAME, SHOP, txid="tx")
    assert again is not None
    assert again.state == "confirmed"


def test_a_deep_conflict_frees_the_coins_and_the_key(connection: Connection) -> None:
    """The same call may be signed anew, another one is still another call; a confirmed key is not freed."""
    begin(connection)
    bind(connection, "tx")
    publish(connection, "tx")
    assert len(broadcasts.never(connection, NAME, "tx", "other", AT)) == 1
    found = payments.find_key(connection, NAME, SHOP, HASH)
    assert found is not None
    assert (found.state, found.epoch, found.result, found.txid) == ("in_progress", NOBODY, None, "tx")
    assert payments.held(connection, NAME, ["coin-tx:0"]) == []
    assert broadcasts.followed(connection, NAME, AT) == []
    assert begin(connection, 1)
    assert bind(connection, "again", 1)
    broadcasts.confirm(connection, NAME, "again", AT)
    broadcasts.never(connection, NAME, "again", "other", AT)
    last = payments.find_key(connection, NAME, SHOP, HASH)
    assert last is not None
    assert last.state == "confirmed"


def test_intents_of_unknown_outcome_are_closed_when_it_is_known(connection: Connection) -> None:
    """Signatures nobody was told; broadcasts of which the chain has spoken, now or before."""
    numbers = [intents.open_(connection, NAME, 1, SHOP, method, AT) for method in ("payto", "broadcast", "setlabel")]
    broadcasts.name_intent(connection, numbers[1], "tx")
    intents.orphans(connection, NAME, AT)
    publish(connection, "tx")

    def states() -> list[str]:
        return list(connection.scalars(select(intent_rows.c.state).order_by(intent_rows.c.id)))

    assert broadcasts.resolve_left(connection, NAME, ["payto"]) == 1
    assert states() == ["resolved", "unknown", "unknown"]
    broadcasts.spoke(connection, NAME, "tx", "accepted", AT)
    assert states() == ["resolved", "resolved", "unknown"]
    late = intents.open_(connection, NAME, 1, SHOP, "broadcast", AT)
    broadcasts.name_intent(connection, late, "tx")
    intents.orphans(connection, NAME, AT)
    assert broadcasts.resolve_left(connection, NAME, ["payto"]) == 1


def test_what_was_given_up_is_known_by_its_transaction(connection: Connection) -> None:
    """The command of the operator marks it so."""
    begin(connection)
    bind(connection, "tx")
    assert not payments.was_given_up(connection, NAME, "tx")
    connection.exec_driver_sql("update keys set state = 'abandoned'")
    assert payments.was_given_up(connection, NAME, "tx")


def test_the_same_bytes_of_a_new_key_were_not_given_up(connection: Connection) -> None:
    """Whoever asks for the transaction is told of that key, and the old one is told that it has an heir."""
    begin(connection)
    bind(connection, "tx")
    connection.exec_driver_sql("update keys set state = 'abandoned'")
    connection.exec_driver_sql("delete from holds")
    old = payments.key_facts(connection, NAME, SHOP, key_hash=HASH)
    assert old is not None
    assert not old.has_heir
    begin(connection, key_hash="i" * 64)
    bind(connection, "tx", key_hash="i" * 64)
    assert not payments.was_given_up(connection, NAME, "tx")
    assert payments.is_bound(connection, NAME, "tx")
    old = payments.key_facts(connection, NAME, SHOP, key_hash=HASH)
    new = payments.key_facts(connection, NAME, SHOP, txid="tx")
    assert old is not None
    assert new is not None
    assert (old.state, old.has_heir, new.state, new.has_heir) == ("abandoned", True, "signed", False)


def test_a_parent_that_is_missing_or_dead_is_found(connection: Connection) -> None:
    """By what stands with it for good; another refusal of it later changes nothing."""
    payments.hold(connection, NAME, "child", {"parent:0": 1, "other:1": 1}, AT)
    assert payments.missing_parent(connection, NAME, "child") is None
    publish(connection, "parent")
    assert payments.missing_parent(connection, NAME, "child") == ("parent", "unknown")
    broadcasts.spoke(connection, NAME, "parent", "conflict", AT)
    assert broadcasts.dead(connection, NAME, ["parent", "other"]) == set()
    broadcasts.never(connection, NAME, "parent", "winner", AT)
    for state in ("rejected", "conflict"):
        publish(connection, "parent")
        broadcasts.spoke(connection, NAME, "parent", state, AT)
        assert broadcasts.dead(connection, NAME, ["parent", "other"]) == {"parent"}
    assert payments.missing_parent(connection, NAME, "child") == ("parent", "conflict")
    broadcasts.never(connection, NAME, "child", "parent", AT, is_parent=True)
    assert broadcasts.dead(connection, NAME, ["child"]) == set(), "it was never sent, and nothing is kept of it"
    begin(connection)
    bind(connection, "signed")
    broadcasts.never(connection, NAME, "signed", "parent", AT, is_parent=True)
    assert broadcasts.dead(connection, NAME, ["signed"]) == {"signed"}
    publish(connection, "parent")
    broadcasts.spoke(connection, NAME, "parent", "accepted", AT)
    assert broadcasts.dead(connection, NAME, ["parent"]) == set(), "what the chain has counts before all that"


def test_what_nobody_knew_the_owner_of_is_released_and_the_wallets_own_stays(connection: Connection) -> None:
    """Bytes turned out to be others'; a coin that is known to be a key's is the key's."""
    begin(connection)
    bind(connection, "tx")
    payments.hold(connection, NAME, "tx", {"theirs:0": 0}, AT, SHOP, HASH)
    payments.hold(connection, NAME, "tx", {"plain:0": 3}, AT)
    payments.release_foreign(connection, NAME, "tx", AT)
    assert payments.coins_of(connection, NAME, "tx") == {"coin-tx:0": 5}


def test_what_is_followed_comes_in_order(connection: Connection) -> None:
    """The oldest first; what holds nothing and is settled is not, nor what is foreign a week later."""
    publish(connection, "late", AT + 5)
    payments.hold(connection, NAME, "early", {"x:0": 1}, AT)
    publish(connection, "foreign", AT, own=False)
    broadcasts.spoke(connection, NAME, "foreign", "accepted", AT)
    assert [row.txid for row in broadcasts.followed(connection, NAME, AT)] == ["early", "foreign", "late"]
    week = AT + broadcasts.WATCHED
    assert [row.txid for row in broadcasts.followed(connection, NAME, week)] == ["early", "late"]
    assert len(list(connection.scalars(select(holds.c.outpoint)))) == 1
