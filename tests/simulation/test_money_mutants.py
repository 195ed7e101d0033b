"""The histories with a ledger are worth something: each rule of money that is taken away is missed by one of them.

Rule: a mutant takes away one rule, and the violation that it must cause is named by the number of its invariant.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.flow import pay as pay_room
from gateway.flow import publish as publish_room
from gateway.flow.errand import Errand
from gateway.flow.runner import Runner
from gateway.ledger import addresses, epochs, intents, payments
from gateway.ledger.schema import addresses as address_rows
from gateway.rules.payment import Said, Sign, read_broadcast
from gateway.rules.retry import Tried
from gateway.supervision.election import Election
from gateway.supervision.mirror import Mirror
from gateway.supervision.settle import Settler
from gateway.supervision.standbys import Standbys
from gateway.upstream.wire import Outcome
from tests.simulation.money_world import history
from tests.virtual_time import run_virtual

HISTORIES = 60
"""Histories in which a mutant must be caught; most are caught in the first few."""

Patch = Callable[[pytest.MonkeyPatch], None]

pytestmark = [
    pytest.mark.simulation,
    pytest.mark.timeout(600),
    # a task that is killed before its first step leaves a coroutine behind that nobody began
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


def an_address_stays_in_the_pool(patch: pytest.MonkeyPatch) -> None:
    """What was handed out is not marked, and no constraint keeps it from being handed out again."""

    def take(connection: Connection, wallet: str, *_whom: object) -> str | None:
        waiting = select(address_rows.c.address).where(
            address_rows.c.wallet == wallet, address_rows.c.state == addresses.POOL
        )
        return connection.scalar(waiting.order_by(address_rows.c.place).limit(1))

    patch.setattr(addresses, "take", take)


def any_epoch_counts(patch: pytest.MonkeyPatch) -> None:
    """An answer of an older epoch is told all the same."""
    patch.setattr(epochs, "is_current", lambda *_: True)
    patch.setattr(intents, "is_current", lambda *_: True)


def what_is_unknown_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A call that may have been run is sent again."""
    honest = Runner._went_wrong

    def went_wrong(self: Runner, errand: Errand, backend: Backend, tried: Tried, outcome: Outcome) -> None:
        if errand.live or errand.own is not None or self.loop.time() >= errand.deadline:
            honest(self, errand, backend, tried, outcome)
            return
        errand.tried.append(tried)
        if not self._try_now(errand, self.loop.time()):
            self._wait(errand)

    patch.setattr(Runner, "_went_wrong", went_wrong)


def everybody_counts_as_aligned(patch: pytest.MonkeyPatch) -> None:
    """Wallet reads go past the horizon of a daemon."""
    patch.setattr(Pool, "is_aligned", lambda _self, _backend: True)


def the_pool_is_filled_before_the_standbys(patch: pytest.MonkeyPatch) -> None:
    """An address is handed out as soon as the primary lists it, and a standby that lacks it is not left out."""
    honest: Any = Mirror._list_primary
    lose = Pool.lose_alignment

    def lose_alignment(self: Pool, backend: Backend, reason: str) -> None:
        if not reason.startswith("lists fewer"):
            lose(self, backend, reason)

    async def list_primary(self: Mirror, primary: Backend) -> list[str]:
        listed: list[str] = await honest(self, primary)
        if self.keeper is not None and self.filling is not None:
            await self.filling.tell(self.keeper.mirrored(listed, self.filling.ours))
        return listed

    patch.setattr(Pool, "lose_alignment", lose_alignment)
    patch.setattr(Mirror, "_list_primary", list_primary)


def anybody_is_promoted(patch: pytest.MonkeyPatch) -> None:
    """A standby that lacks addresses becomes primary and is taken at its word."""
    honest = Pool.set_primary

    def set_primary(self: Pool, backend: Backend, epoch: int) -> None:
        honest(self, backend, epoch)
        self.is_primary_checked = True
        self.refresh()

    patch.setattr(Election, "_is_complete", lambda _self, _backend: True)
    patch.setattr(Pool, "set_primary", set_primary)


def the_mirror_brings_nobody_up(patch: pytest.MonkeyPatch) -> None:
    """A standby that lists less counts as aligned and stays as it is."""

    async def bring_up(self: Standbys, standby: Backend, wanted: list[str], written: int) -> None:
        self._listed[standby] = len(wanted)
        self.pool.mark_aligned(standby, written)

    patch.setattr(Standbys, "_bring_up", bring_up)


def a_key_signs_each_time(patch: pytest.MonkeyPatch) -> None:
    """What was signed with a key is not looked up."""
    patch.setattr(pay_room, "decide", lambda key, *_, **_more: Sign(again=key is not None))
    patch.setattr(payments, "bind_key", lambda *_: True)


def nobody_holds_coins(patch: pytest.MonkeyPatch) -> None:
    """The coins of a key are neither held nor frozen."""
    patch.setattr(payments, "hold", lambda *_, **_more: None)
    patch.setattr(payments, "freeze", lambda *_: [])


def nobody_settles(patch: pytest.MonkeyPatch) -> None:
    """A broadcast of unknown fate is not sent again."""

    async def nothing(_self: Settler, _rows: object) -> None:
        """Send nothing."""

    patch.setattr(Settler, "_send_again", nothing)


def known_bytes_count_as_refused(patch: pytest.MonkeyPatch) -> None:
    """The words for "already there" are passed on as they came."""

    def read(*args: Any) -> Said:
        found = read_broadcast(*args)
        return Said.REJECTED if found is Said.KNOWN else found

    patch.setattr(publish_room, "read_broadcast", read)


def what_was_taken_counts_as_unknown(patch: pytest.MonkeyPatch) -> None:
    """A broadcast that was accepted is called unknown, and the settler finds out later."""

    def read(*args: Any) -> Said:
        found = read_broadcast(*args)
        return Said.UNKNOWN if found in (Said.ACCEPTED, Said.KNOWN) else found

    patch.setattr(publish_room, "read_broadcast", read)


MUTANTS: list[tuple[Patch, str, str, int]] = [
    (an_address_stays_in_the_pool, "1", "", 1),
    (any_epoch_counts, "6: payto", "overtake", 1),
    (any_epoch_counts, "6: setlabel", "overtake", 1),
    (what_is_unknown_is_sent_again, "2", "break_off", 1),
    (everybody_counts_as_aligned, "blind", "", 1),
    (the_pool_is_filled_before_the_standbys, "blind", "lag_behind", 1),
    (anybody_is_promoted, "blind", "come_back_empty", 1),
    (the_mirror_brings_nobody_up, "1", "", 1),
    (a_key_signs_each_time, "2: key", "", 1),
    (nobody_holds_coins, "2", "", 1),
    (nobody_settles, "2: broadcast", "lose_a_broadcast", 1),
    (known_bytes_count_as_refused, "4: broadcast", "", 600),
    (what_was_taken_counts_as_unknown, "9: the outcome of broadcast", "", 1),
]
"""Each mutant, what the violation that it must cause begins with, the plot that brings it out soonest, and the first
seed, behind which comes up soon what is rare."""


@pytest.mark.parametrize(
    ("mutant", "broken", "plot", "first"),
    MUTANTS,
    ids=[f"{mutant.__name__}-{broken}" for mutant, broken, *_ in MUTANTS],
)
def test_a_rule_of_money_taken_away_is_missed(
    mutant: Patch, broken: str, plot: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one history breaks the invariant that the rule keeps."""
    mutant(monkeypatch)
    for seed in range(first, first + HISTORIES):
        if any(one.startswith(broken) for one in run_virtual(history(seed, plot=plot)).violations()):
            return
    pytest.fail(f"{HISTORIES} histories without this rule, and none broke invariant {broken}")
