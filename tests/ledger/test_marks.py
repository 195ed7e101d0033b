"""Labels and freezes in the ledger: last values, in the order in which they changed, and whose they are."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from gateway.ledger import marks
from gateway.ledger.marks import CLIENT, FREEZE, FREEZE_UTXO, FREEZES, FROZEN, GATEWAY, LABEL, LABELS, NONE, Change
from gateway.ledger.schema import holds, metadata
from gateway.ledger.schema import marks as rows_of_marks
from gateway.ledger.store import InlineLedger

COIN = "a" * 64 + ":0"


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A transaction on an empty ledger."""
    ledger = InlineLedger(None)
    metadata.create_all(ledger.engine)
    with ledger.engine.begin() as one:
        yield one
    ledger.close()


def put(connection: Connection, key: str, value: str, owner: str = CLIENT, at: float = 1.0) -> Change | None:
    """Write a coin's freeze."""
    return marks.put(connection, "main", FREEZE_UTXO, key, value, owner, at)


def value_of(connection: Connection, key: str = COIN) -> tuple[str, str]:
    """The last value of a mark and whose it is."""
    found = next(one for one in marks.every(connection, "main") if one.key == key)
    return found.value, found.owner


def test_only_the_last_value_is_kept(connection: Connection) -> None:
    """Three labels of one key are one row, the last."""
    for label in ("one", "two", "three"):
        assert marks.put(connection, "main", LABEL, "x", label, CLIENT, 5.0) is not None
    assert [one.value for one in marks.every(connection, "main")] == ["three"]


def test_each_change_is_later_than_all_before_it_though_the_clock_stands_still(connection: Connection) -> None:
    """Also across kinds, and when the clock is set back; the change says what was newest before."""
    first = marks.put(connection, "main", LABEL, "x", "one", CLIENT, 100.0)
    second = marks.put(connection, "main", FREEZE, "y", FROZEN, CLIENT, 100.0)
    third = marks.put(connection, "main", LABEL, "x", "one", CLIENT, 50.0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert 100.0 == first.mark.at < second.mark.at < third.mark.at
    assert (second.before, third.before) == (first.mark.at, second.mark.at)
    assert [one.key for one in marks.every(connection, "main")] == ["y", "x"]


def test_wallets_do_not_see_each_other(connection: Connection) -> None:
    """Neither values, nor times."""
    marks.put(connection, "other", LABEL, "x", "theirs", CLIENT, 100.0)
    change = marks.put(connection, "main", LABEL, "x", "ours", CLIENT, 1.0)
    assert change is not None
    assert change.mark.at == 1.0
    assert [one.value for one in marks.every(connection, "main")] == ["ours"]


def test_what_changed_since_is_told_by_kind_and_in_order(connection: Connection) -> None:
    """Strictly after the time that was asked for, oldest first."""
    marks.put(connection, "main", LABEL, "a", "A", CLIENT, 1.0)
    marks.put(connection, "main", FREEZE, "b", FROZEN, CLIENT, 2.0)
    marks.put(connection, "main", LABEL, "c", "C", CLIENT, 3.0)
    assert [one.key for one in marks.changed_since(connection, "main", LABELS, 0.0)] == ["a", "c"]
    assert [one.key for one in marks.changed_since(connection, "main", LABELS, 1.0)] == ["c"]
    assert [one.key for one in marks.changed_since(connection, "main", FREEZES, 0.0)] == ["b"]
    assert marks.newest(connection, "main", FREEZES) == 2.0
    assert marks.newest(connection, "main", LABELS) == 3.0
    assert marks.newest(connection, "nobody", LABELS) == 0.0


def test_reading_in_pieces_leaves_nothing_out_where_times_are_equal(connection: Connection) -> None:
    """Rows that somebody wrote at one time come together, whatever the size of a piece."""
    rows = [
        {"wallet": "main", "kind": LABEL, "key": f"k{n}", "value": "v", "owner": CLIENT, "at": at}
        for n, at in enumerate([1.0, 2.0, 2.0, 2.0, 3.0])
    ]
    connection.execute(insert(rows_of_marks), rows)
    seen: list[str] = []
    since = 0.0
    while piece := marks.changed_since(connection, "main", LABELS, since, 2):
        seen += [one.key for one in piece]
        since = piece[-1].at
    assert sorted(seen) == ["k0", "k1", "k2", "k3", "k4"]
    assert len(seen) == 5


def test_a_freeze_of_the_gateway_is_lifted_by_it(connection: Connection) -> None:
    """Put, and taken away again."""
    assert put(connection, COIN, FROZEN, GATEWAY) is not None
    assert value_of(connection) == (FROZEN, GATEWAY)
    assert put(connection, COIN, NONE, GATEWAY) is not None
    assert value_of(connection) == (NONE, GATEWAY)


def test_a_freeze_of_the_owner_is_not_lifted_by_the_gateway(connection: Connection) -> None:
    """Neither one that was there before the gateway's, nor one that came on top of it."""
    put(connection, COIN, FROZEN, CLIENT)
    assert put(connection, COIN, FROZEN, GATEWAY) is None
    assert put(connection, COIN, NONE, GATEWAY) is None
    assert value_of(connection) == (FROZEN, CLIENT)
    other = "b" * 64 + ":1"
    put(connection, other, FROZEN, GATEWAY)
    put(connection, other, FROZEN, CLIENT)
    assert put(connection, other, NONE, GATEWAY) is None
    assert value_of(connection, other) == (FROZEN, CLIENT)


def test_what_the_owner_has_lifted_the_gateway_may_freeze(connection: Connection) -> None:
    """And lifting what nobody froze leaves no row."""
    assert put(connection, COIN, NONE, GATEWAY) is None
    assert marks.every(connection, "main") == []
    put(connection, COIN, FROZEN, CLIENT)
    put(connection, COIN, NONE, CLIENT)
    assert put(connection, COIN, FROZEN, GATEWAY) is not None
    assert value_of(connection) == (FROZEN, GATEWAY)


def test_a_coin_is_held_while_its_row_is_there(connection: Connection) -> None:
    """Of this wallet, and this very coin."""
    connection.execute(insert(holds).values(wallet="main", outpoint=COIN, txid="f" * 64, since=1.0))
    assert marks.is_held(connection, "main", COIN)
    assert not marks.is_held(connection, "other", COIN)
    assert not marks.is_held(connection, "main", "a" * 64 + ":1")


def test_pruning_takes_only_old_marks_that_are_none(connection: Connection) -> None:
    """Labels and freezes that hold stay however old they are."""
    put(connection, "old and lifted", NONE, CLIENT, 1.0)
    put(connection, "old and frozen", FROZEN, CLIENT, 2.0)
    put(connection, "lifted now", NONE, CLIENT, 100.0)
    assert marks.prune(connection, "main", 50.0) == 1
    assert {one.key for one in marks.every(connection, "main")} == {"old and frozen", "lifted now"}


@pytest.mark.long
@given(
    st.lists(
        st.tuples(
            st.sampled_from([CLIENT, GATEWAY]), st.sampled_from([FROZEN, NONE]), st.floats(0, 100), st.integers(0, 2)
        ),
        max_size=30,
    )
)
def test_whoever_replays_the_changes_in_order_has_the_last_values(
    steps: list[tuple[str, str, float, int]],
) -> None:
    """Whatever the clock does: a daemon given everything after its number has what the ledger has."""
    ledger = InlineLedger(None)
    metadata.create_all(ledger.engine)
    daemon: dict[str, str] = {}
    clients: dict[str, str] = {}
    since = 0.0
    with ledger.engine.begin() as connection:
        for owner, value, at, key in steps:
            put(connection, str(key), value, owner, at)
            if owner == CLIENT:
                clients[str(key)] = value
            if key == 0:
                for mark in marks.changed_since(connection, "main", FREEZES, since, 1):
                    daemon[mark.key], since = mark.value, mark.at
        for mark in marks.changed_since(connection, "main", FREEZES, since):
            daemon[mark.key] = mark.value
        assert daemon == {one.key: one.value for one in marks.every(connection, "main")}
        assert all(daemon[key] == FROZEN for key, value in clients.items() if value == FROZEN)
    ledger.close()
