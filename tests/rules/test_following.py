"""What becomes of a transaction, by what the histories say."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.coins import Entry
from gateway.rules.following import (
    BACKOFF,
    LOOKED_FOR,
    LOST_AFTER,
    STALE_AFTER,
    Accepted,
    Confirmed,
    Foreign,
    Lost,
    Never,
    Stale,
    Unseen,
    Verdict,
    Waits,
    follow,
    pause,
    unread,
)
from gateway.rules.payment import DEEP

COIN = "coin:0"


def judge(
    *histories: Mapping[str, int],
    state: str = "accepted",
    by: str = "",
    quiet: float = 0.0,
    is_own: bool = True,
    is_whole: bool = True,
    dead: tuple[str, ...] = (),
    stood: float = 0.0,
) -> Verdict:
    """Judge the transaction "tx"; histories are confirmations by txid."""
    read = [{txid: Entry(deep, spends_own=True) for txid, deep in one.items()} for one in histories]
    return follow(
        "tx", state, [COIN], read, {COIN: by} if by else {}, quiet,
        is_own=is_own, is_whole=is_whole, dead=dead, stood=stood,
    )  # fmt: skip


def test_six_blocks_are_the_last_word() -> None:
    """The deepest history counts; five are not six."""
    assert judge({"tx": DEEP}, {}) == Confirmed()
    assert judge({"tx": DEEP - 1}, {"tx": 0}) == Accepted(DEEP - 1, is_everywhere=True)


def test_a_daemon_that_has_not_heard_of_it_keeps_its_freeze() -> None:
    """One history is enough to be accepted, all of them to be everywhere."""
    assert judge({"tx": 0}, {}) == Accepted(0, is_everywhere=False)


def test_only_a_deep_spend_by_another_frees_the_coins() -> None:
    """Not a shallow one, not an unknown one, not its own."""
    assert judge({"other": DEEP}, by="other") == Never("other")
    assert judge({"other": DEEP - 1}, by="other") == Waits()
    assert judge({"other": DEEP}, by="elsewhere") == Waits()
    assert judge({"other": DEEP}, by="tx") == Waits()
    assert judge({"other": DEEP}) == Waits()


def test_what_the_chain_lost_is_sent_again_after_a_while() -> None:
    """If it is the wallet's; without a single history nobody knows."""
    assert judge({}, quiet=LOST_AFTER) == Lost()
    assert judge({}, quiet=LOST_AFTER, is_own=False) == Foreign()
    assert judge({}, quiet=LOST_AFTER - 1) == Waits()
    assert judge(quiet=LOST_AFTER) == Waits()
    assert judge({}, quiet=LOST_AFTER, is_whole=False) == Waits()
    assert judge({}, state="unknown", quiet=LOST_AFTER) == Waits()


def test_what_hangs_on_a_dead_parent_is_dead() -> None:
    """Unless a history has it all the same."""
    assert judge({}, dead=("coin",)) == Never("coin", is_parent=True)
    assert judge({"tx": 0}, dead=("coin",)) == Accepted(0, is_everywhere=True)
    assert judge({}, dead=("another",)) == Waits()


def test_a_conflict_that_stood_for_a_week_is_waited_for_by_nobody() -> None:
    """Where it is in no history, and every daemon was asked; nothing else grows stale."""
    assert judge({}, state="conflict", quiet=LOST_AFTER, stood=STALE_AFTER) == Stale()
    assert judge({}, state="conflict", quiet=LOST_AFTER, stood=STALE_AFTER - 1) == Unseen()
    assert judge({}, state="rejected", quiet=LOST_AFTER, stood=STALE_AFTER) == Unseen()
    assert judge({}, state="conflict", is_whole=False, quiet=LOST_AFTER, stood=STALE_AFTER) == Waits()


@pytest.mark.parametrize("state", ["rejected", "conflict"])
def test_what_was_refused_for_an_hour_and_is_nowhere_was_not_seen(state: str) -> None:
    """By every daemon, and by a process that has looked for a while; before that nothing is said."""
    assert judge({}, state=state, quiet=LOST_AFTER, stood=LOOKED_FOR) == Unseen()
    assert judge({}, state=state, quiet=LOST_AFTER, stood=LOOKED_FOR - 1) == Waits()
    assert judge({}, state=state, quiet=LOST_AFTER - 1, stood=LOOKED_FOR) == Waits()
    assert judge({}, state=state, quiet=LOST_AFTER, stood=LOOKED_FOR, is_whole=False) == Waits()
    assert judge({}, state="unknown", quiet=LOST_AFTER, stood=LOOKED_FOR) == Waits()


def test_deep_spends_are_looked_into_once_the_newest_first() -> None:
    """Plain receipts and shallow ones are not; no more than asked for."""
    history = {
        "old": Entry(100, spends_own=True), "new": Entry(DEEP, spends_own=True), "known": Entry(9, spends_own=True),
        "shallow": Entry(DEEP - 1, spends_own=True), "receipt": Entry(50, spends_own=False),
    }  # fmt: skip
    assert unread([history], {"known"}, 5) == ["new", "old"]
    assert unread([history, history], {"known"}, 1) == ["new"]


@given(st.integers(0, 10**6))
def test_pauses_grow_and_stay_bounded(tries: int) -> None:
    """Never shorter than before, never longer than the last."""
    assert pause(tries) <= pause(tries + 1) <= BACKOFF[-1]
