"""Epochs: they only grow, one primary in each, and whoever decided in an older one comes too late."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gateway.ledger import epochs
from gateway.ledger.epochs import ADOPTED, DOUBTED, NEW, UNADOPTED, Standing
from gateway.ledger.schema import metadata, wallets
from gateway.ledger.store import InlineLedger

AT = 1_800_000_000.0
NAMES = ["ec-1", "ec-2", "ec-3"]


@functools.cache
def in_memory() -> InlineLedger:
    """A ledger in memory; its tables are made once for all examples."""
    made = InlineLedger(None)
    metadata.create_all(made.engine)
    return made


def fresh() -> InlineLedger:
    """The same, empty."""
    in_memory().transact(lambda c: c.execute(delete(wallets)))
    return in_memory()


def begin(
    ledger: InlineLedger, primary: str = "ec-1", names: list[str] | None = None, wallet: str = "main"
) -> Standing:
    """Start a gateway."""
    return ledger.transact(lambda c: epochs.begin(c, wallet, primary, names or NAMES, AT))


def promote(ledger: InlineLedger, primary: str, epoch: int, wallet: str = "main") -> int | None:
    """Promote."""
    return ledger.transact(lambda c: epochs.promote(c, wallet, primary, epoch, AT))


def test_a_wallet_never_heard_of_has_no_standing_and_no_epoch_is_its_own() -> None:
    """Not even 0, which is the epoch of a wallet without a ledger."""
    ledger = fresh()
    assert ledger.transact(lambda c: epochs.current(c, "main")) is None
    assert not ledger.transact(lambda c: epochs.is_current(c, "main", 0))
    assert promote(ledger, "ec-2", 0) is None


def test_a_new_wallet_begins_with_the_configured_primary() -> None:
    """In epoch 1, met by nobody."""
    ledger = fresh()
    assert begin(ledger) == Standing(NEW, 1, "ec-1", "")
    assert ledger.transact(lambda c: epochs.current(c, "main")) == Standing(NEW, 1, "ec-1", "")


def test_a_gateway_that_starts_keeps_the_primary_it_finds() -> None:
    """The configured one may be the very one that was fled from; the epoch is another all the same."""
    ledger = fresh()
    begin(ledger)
    assert promote(ledger, "ec-3", 1) == 2
    assert begin(ledger) == Standing(NEW, 3, "ec-3", "")


def test_a_primary_that_is_no_backend_any_more_gives_way_to_the_configured_one() -> None:
    """It was taken out of the configuration while no gateway ran."""
    ledger = fresh()
    begin(ledger)
    promote(ledger, "ec-3", 1)
    assert begin(ledger, "ec-2", ["ec-1", "ec-2"]) == Standing(NEW, 3, "ec-2", "")


def test_first_contact_is_remembered_over_starts_and_promotions() -> None:
    """With the first address as what the wallet is known by."""
    ledger = fresh()
    begin(ledger)
    for state in (UNADOPTED, ADOPTED):
        ledger.transact(lambda c, state=state: epochs.settle(c, "main", state, "bchreg:qa0"))  # type: ignore[misc]
        assert begin(ledger).state == state
        promote(ledger, "ec-2", begin(ledger).epoch)
        found = ledger.transact(lambda c: epochs.current(c, "main"))
        assert found is not None
        assert (found.state, found.fingerprint, found.primary) == (state, "bchreg:qa0", "ec-2")


def test_a_promotion_that_was_decided_in_an_older_epoch_does_nothing() -> None:
    """Of two at once one wins, and the other hears of it."""
    ledger = fresh()
    begin(ledger)
    assert promote(ledger, "ec-2", 1) == 2
    assert promote(ledger, "ec-3", 1) is None
    assert promote(ledger, "ec-3", 3) is None
    assert ledger.transact(lambda c: epochs.current(c, "main")) == Standing(NEW, 2, "ec-2", "")


def test_wallets_have_epochs_of_their_own() -> None:
    """A promotion in one fences nothing in the other."""
    ledger = fresh()
    begin(ledger)
    begin(ledger, wallet="other")
    promote(ledger, "ec-2", 1)
    assert ledger.transact(lambda c: epochs.is_current(c, "other", 1))
    assert not ledger.transact(lambda c: epochs.is_current(c, "main", 1))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), min_size=1, unique=True)),
        st.tuples(st.just("promote"), st.sampled_from(NAMES), st.integers(-2, 1)),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(steps)
def test_the_epoch_only_grows_and_each_has_one_primary(done: list[tuple[str, str, object]]) -> None:
    """Over any history; a decision counts only in the epoch that it was made in."""
    ledger = fresh()
    epoch = begin(ledger).epoch
    reigns = {epoch: "ec-1"}
    for what, name, how in done:
        if what == "begin":
            assert isinstance(how, list)
            names = sorted({name, *how})
            now = begin(ledger, name, names)
            assert now.epoch == epoch + 1
            assert now.primary in names
        else:
            assert isinstance(how, int)
            new = promote(ledger, name, epoch + how)
            assert new == (epoch + 1 if how == 0 else None)
        found = ledger.transact(lambda c: epochs.current(c, "main"))
        assert found is not None
        assert found.epoch >= epoch
        assert reigns.setdefault(found.epoch, found.primary) == found.primary
        epoch = found.epoch
        assert ledger.transact(lambda c, epoch=epoch: epochs.is_current(c, "main", epoch))  # type: ignore[misc]


def test_a_plan_grows_in_the_epoch_of_now_and_never_shrinks(ledger: InlineLedger) -> None:
    """What was derived for an earlier plan may be listed at any time."""

    def planned() -> int:
        standing = ledger.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        return standing.planned

    ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], 1.0))
    assert ledger.transact(lambda c: epochs.plan(c, "main", 1, 50))
    assert ledger.transact(lambda c: epochs.plan(c, "main", 1, 40))
    assert planned() == 50
    assert not ledger.transact(lambda c: epochs.plan(c, "main", 2, 60))
    assert planned() == 50
    assert ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], 2.0)).planned == 50


def test_a_twin_is_another_wallet_that_was_taken_over_with_the_same_first_address(ledger: InlineLedger) -> None:
    """With or without the prefix of the network; one that gives nothing out is in nobody's way."""
    for name, state, first in (
        ("main", ADOPTED, "bchreg:qa0"),
        ("shop", UNADOPTED, "bchreg:qa0"),
        ("till", DOUBTED, "qb0"),
    ):
        with ledger.engine.begin() as connection:
            epochs.begin(connection, name, "ec-1", ["ec-1"], 1.0)
            epochs.settle(connection, name, state, first)
    for wallet, first, other in (
        ("main", "bchreg:qa0", None),
        ("shop", "qa0", "main"),
        ("new", "bchreg:qb0", "till"),
        ("new", "bchreg:qc0", None),
    ):
        with ledger.engine.begin() as connection:
            assert epochs.twin(connection, wallet, first) == other
