"""The held coins that a gateway remembers while its ledger is away."""

import asyncio
import contextlib

import pytest

from gateway.base.errors import LedgerError
from gateway.flow.held_coins import HeldCoins
from gateway.ledger.store import UncertainError

COIN, OTHER = "aa:0", "bb:1"


def test_only_those_that_are_held_are_found() -> None:
    """In the order in which a transaction spends them."""
    coins = HeldCoins([OTHER, COIN])
    assert coins.of([COIN, "cc:2", OTHER]) == [COIN, OTHER]
    assert len(coins) == 2


def test_what_the_ledger_has_now_replaces_what_it_had() -> None:
    """A coin that was freed is not kept from anybody."""
    coins = HeldCoins([COIN])
    coins.learn([OTHER], 0)
    assert coins.of([COIN, OTHER]) == [OTHER]


def test_a_hold_counts_while_it_is_written_and_after() -> None:
    """The ledger may go away between the two."""
    coins = HeldCoins()
    with coins.holding([COIN]):
        assert coins.of([COIN]) == [COIN]
    assert coins.of([COIN]) == [COIN]


def test_what_was_read_before_a_hold_was_written_does_not_undo_it() -> None:
    """The settler reads each second, and hears of it later."""
    coins = HeldCoins()
    with coins.holding([COIN]):
        coins.learn([OTHER], 0)
    assert coins.of([COIN, OTHER]) == [COIN, OTHER]


@pytest.mark.parametrize(
    ("error", "is_held"),
    [(LedgerError("full"), False), (UncertainError("lost"), True), (asyncio.CancelledError(), True)],
)
def test_a_hold_that_may_have_been_written_counts(error: BaseException, is_held: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """And one that was not does not; what was held before is left alone either way."""
    coins = HeldCoins([OTHER])
    with contextlib.suppress(LedgerError, asyncio.CancelledError), coins.holding([COIN, OTHER]):
        raise error
    assert coins.of([COIN, OTHER]) == ([COIN, OTHER] if is_held else [OTHER])


def test_a_transaction_may_hold_none_after_all() -> None:
    """A payment that was refused holds nothing."""
    coins = HeldCoins([OTHER])
    with coins.holding([COIN, OTHER]) as new:
        new.clear()
    assert coins.of([COIN, OTHER]) == [OTHER]
