"""Addresses: each is told once, the list has no gap, and what others use is told to nobody."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update

from gateway.ledger import addresses
from gateway.ledger.addresses import BURNT, FOREIGN, HANDED, POOL
from gateway.ledger.schema import addresses as rows
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError
from gateway.rules.cashaddr import bare

AT = 1_800_000_000.0


@functools.cache
def in_memory() -> InlineLedger:
    """A ledger in memory; its tables are made once for all examples."""
    made = InlineLedger(None)
    metadata.create_all(made.engine)
    return made


def fresh() -> InlineLedger:
    """The same, empty."""
    in_memory().transact(lambda c: c.execute(delete(rows)))
    return in_memory()


@pytest.fixture(name="ledger")
def _ledger() -> InlineLedger:
    return fresh()


def fill(ledger: InlineLedger, found: list[str], state: str = POOL, wallet: str = "main") -> None:
    """Append addresses."""
    ledger.transact(lambda c: addresses.add(c, wallet, found, state, 1, AT))


def take(ledger: InlineLedger, wallet: str = "main") -> str | None:
    """Hand one out."""
    return ledger.transact(lambda c: addresses.take(c, wallet, "shop", "createnewaddress", 1, AT))


@pytest.mark.parametrize(
    ("written", "is_bare"),
    [("qa0", "qa0"), ("bchreg:qa0", "qa0"), ("bitcoincash:qa0", "qa0"), ("a:b:c", "c"), ("", "")],
)
def test_the_prefix_of_a_network_is_no_part_of_an_address(written: str, is_bare: str) -> None:
    """Some answers of the daemon have it and others have not."""
    assert bare(written) == is_bare


def test_addresses_leave_in_the_order_of_derivation(ledger: InlineLedger) -> None:
    """And the row says to whom, by which method, when and in which epoch."""
    fill(ledger, ["qa0", "qa1"], FOREIGN)
    fill(ledger, ["qa2", "qa3"])
    assert [take(ledger), take(ledger), take(ledger)] == ["qa2", "qa3", None]
    found = ledger.transact(
        lambda c: c.execute(select(rows.c.client, rows.c.method, rows.c.epoch, rows.c.at).where(rows.c.state == HANDED))
    ).all()
    assert list(map(tuple, found)) == [("shop", "createnewaddress", 1, AT)] * 2


def test_wallets_do_not_know_each_other(ledger: InlineLedger) -> None:
    """Not even where they list the same addresses."""
    fill(ledger, ["qa0"])
    fill(ledger, ["qa0"], wallet="other")
    assert (take(ledger), take(ledger), take(ledger, "other"), take(ledger, "other")) == ("qa0", None, "qa0", None)


@pytest.mark.parametrize("again", ["qa1", "bchreg:qa1"])
@pytest.mark.parametrize("state", [FOREIGN, POOL, HANDED, BURNT])
def test_an_address_that_is_known_cannot_come_in_again(ledger: InlineLedger, again: str, state: str) -> None:
    """With or without its prefix, and nothing of that transaction remains."""
    fill(ledger, ["bchreg:qa0", "bchreg:qa1"], state)
    with pytest.raises(LedgerError, match="UNIQUE"):
        fill(ledger, ["qa2", again])
    assert ledger.transact(lambda c: addresses.listed(c, "main")) == ["qa0", "qa1"]


def test_two_places_cannot_hold_the_same_address_whoever_writes_them(ledger: InlineLedger) -> None:
    """The constraint is the database's, not this room's."""
    fill(ledger, ["qa0"])
    row = {"wallet": "main", "address": "qa9", "state": POOL, "at": AT}
    with pytest.raises(LedgerError):
        ledger.transact(lambda c: c.execute(insert(rows).values(**row, place=0)))
    with pytest.raises(LedgerError):
        ledger.transact(lambda c: c.execute(insert(rows).values(**{**row, "address": "qa0"}, place=7)))


def test_nothing_is_handed_out_by_a_transaction_that_failed(ledger: InlineLedger) -> None:
    """Whatever was to be written with it: the address is still in the pool."""

    def work(connection: Connection) -> None:
        assert addresses.take(connection, "main", "shop", "addrequest", 1, AT) == "qa0"
        addresses.add(connection, "main", ["qa0"], POOL, 1, AT)

    fill(ledger, ["qa0", "qa1"])
    with pytest.raises(LedgerError):
        ledger.transact(work)
    assert take(ledger) == "qa0"


def test_only_what_waits_in_the_pool_can_be_burnt(ledger: InlineLedger) -> None:
    """One that a customer has stays his, whatever shows on it; that is what it was given out for."""
    fill(ledger, ["qa0"], FOREIGN)
    fill(ledger, ["qa1", "qa2", "qa3"])
    assert take(ledger) == "qa1"
    burnt = ledger.transact(lambda c: addresses.burn(c, "main", ["qa0", "bchreg:qa1", "bchreg:qa2", "elsewhere"], AT))
    assert burnt == 1
    assert (take(ledger), take(ledger)) == ("qa3", None)
    states = ledger.transact(lambda c: list(c.scalars(select(rows.c.state).order_by(rows.c.place))))
    assert states == [FOREIGN, HANDED, BURNT, HANDED]


def test_a_daemon_must_list_up_to_the_last_place_that_is_not_in_the_pool(ledger: InlineLedger) -> None:
    """Burnt ones before it count, pool ones behind it do not."""
    assert ledger.transact(lambda c: addresses.handed_places(c, "main")) == 0
    fill(ledger, ["qa0", "qa1", "qa2", "qa3"])
    assert ledger.transact(lambda c: addresses.handed_places(c, "main")) == 0
    ledger.transact(lambda c: addresses.burn(c, "main", ["qa2"], AT))
    assert ledger.transact(lambda c: addresses.handed_places(c, "main")) == 3
    take(ledger)
    assert ledger.transact(lambda c: addresses.handed_places(c, "main")) == 3


def test_the_list_can_be_read_from_a_place_on(ledger: InlineLedger) -> None:
    """As whoever lays it beside a daemon's needs it."""
    fill(ledger, ["qa0", "qa1", "qa2"])
    assert ledger.transact(lambda c: addresses.listed(c, "main", 1)) == ["qa1", "qa2"]
    assert ledger.transact(lambda c: addresses.listed(c, "main", 3)) == []
    assert ledger.transact(lambda c: addresses.listed(c, "other")) == []


def test_adding_nothing_changes_nothing(ledger: InlineLedger) -> None:
    """An empty list is no statement."""
    fill(ledger, [])
    assert ledger.transact(lambda c: addresses.count(c, "main")) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from([FOREIGN, POOL])),
        st.tuples(st.just("take")),
        st.tuples(st.just("burn"), st.sets(st.integers(0, 30), max_size=4)),
        st.tuples(st.just("add again"), st.integers(0, 30)),
        st.tuples(st.just("take in vain")),
    ),
    max_size=25,
)


class _InVainError(Exception):
    """What ends a transaction."""


@pytest.mark.long
@settings(deadline=None)
@given(steps)
def test_no_address_is_told_twice_and_the_list_has_no_gap(done: list[tuple[object, ...]]) -> None:
    """Over any history of additions, allocations, burnings and failures."""
    ledger = fresh()
    told: list[str] = []
    derived = 0
    burnt: set[str] = set()

    def take_in_vain(connection: Connection) -> None:
        addresses.take(connection, "main", "shop", "x", 1, AT)
        raise _InVainError

    for what, *how in done:
        if what == "add":
            count, state = how
            assert isinstance(count, int)
            fill(ledger, [f"bchreg:qa{derived + n}" for n in range(count)], str(state))
            derived += count
        elif what == "take" and (address := take(ledger)) is not None:
            told.append(address)
        elif what == "burn":
            (places,) = how
            assert isinstance(places, set)
            pooled = ledger.transact(lambda c: addresses.pooled(c, "main"))
            asked = {f"qa{place}" for place in places}
            count = ledger.transact(lambda c, asked=asked: addresses.burn(c, "main", asked, AT))  # type: ignore[misc]
            burnt |= asked & pooled
            assert count == len(asked & pooled)
        elif what == "add again" and (known := ledger.transact(lambda c: addresses.listed(c, "main"))):
            (place,) = how
            assert isinstance(place, int)
            with pytest.raises(LedgerError):
                fill(ledger, ["qa-new", known[place % len(known)]])
        elif what == "take in vain":
            with pytest.raises(_InVainError):
                ledger.transact(take_in_vain)
    assert len(told) == len(set(told))
    assert not burnt & set(told)
    assert ledger.transact(lambda c: addresses.listed(c, "main")) == [f"qa{n}" for n in range(derived)]
    places = ledger.transact(lambda c: list(c.scalars(select(rows.c.place).order_by(rows.c.place))))
    assert places == list(range(derived))
    left = ledger.transact(lambda c: (addresses.in_pool(c, "main"), addresses.pooled(c, "main")))
    assert left[0] == len(left[1])


def test_a_row_that_slips_away_under_the_hand_is_not_told(ledger: InlineLedger) -> None:
    """The last line of defence: who cannot mark the row as handed out has nothing to tell."""
    fill(ledger, ["qa0"])

    class Thief:
        """A connection on which somebody else is faster."""

        def __init__(self, inner: Connection) -> None:
            self.inner = inner

        def execute(self, statement: object, values: object = None) -> object:
            if getattr(statement, "is_update", False):
                self.inner.execute(update(rows).values(state=HANDED))
            return self.inner.execute(statement, values)  # type: ignore[call-overload]  # whatever take asks

    with pytest.raises(AssertionError, match="taken twice"):
        ledger.transact(lambda c: addresses.take(Thief(c), "main", "shop", "x", 1, AT))  # type: ignore[arg-type]
