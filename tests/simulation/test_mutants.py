"""The histories are worth something: each rule of the gateway that is taken away is missed by one of them.

Rule: a mutant takes away one rule, and the violation it must cause is named by the number of its invariant.
"""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.base.effects import Effect
from gateway.fleet.backend import Backend, Occupant
from gateway.fleet.pool import Pool
from gateway.fleet.slots import Lane
from gateway.flow import runner as runner_room
from gateway.flow.attempt import Attempt
from gateway.flow.errand import Errand
from gateway.flow.runner import Runner
from gateway.rules.retry import Tried
from gateway.supervision.prober import Prober
from gateway.supervision.recall import Recall
from gateway.upstream.wire import Outcome
from tests.simulation.world import history
from tests.virtual_time import run_virtual

HISTORIES = 60
"""Histories in which a mutant must be caught; most are caught in the first few."""

BEGINS = {"nothing_is_hedged": 100}
"""From which seed on, where the histories that show it are rare: a read must meet the frozen daemon's first moment."""

Patch = Callable[[pytest.MonkeyPatch], None]


def nothing(*_args: object, **_more: object) -> None:
    """Do nothing."""


def never_may_have_run(patch: pytest.MonkeyPatch) -> None:
    """Whatever was sent is called not executed."""
    patch.setattr(Errand, "may_have_run", property(lambda _self: False))


def allocations_never_ran(patch: pytest.MonkeyPatch) -> None:
    """The same for allocations alone."""
    honest: Any = Errand.__dict__["may_have_run"]
    patch.setattr(
        Errand, "may_have_run", property(lambda self: self.effect is not Effect.ALLOCATE and honest.fget(self))
    )


def every_end_frees_the_slot(patch: pytest.MonkeyPatch) -> None:
    """A connection that we closed counts as settled."""

    def free(_self: Runner, attempt: Attempt, _outcome: Outcome) -> None:
        attempt.backend.vacate(attempt.occupant)
        attempt.backend.is_stalled = False

    patch.setattr(Runner, "_free_slot", free)


def a_lost_connection_frees_the_slot(patch: pytest.MonkeyPatch) -> None:
    """A connection that the network cut counts as settled."""
    patch.setattr(runner_room, "UNSETTLED", frozenset({"timeout", "write_timeout", "aborted"}))


def a_time_out_frees_the_slot(patch: pytest.MonkeyPatch) -> None:
    """A connection that we waited for too long counts as settled."""
    patch.setattr(runner_room, "UNSETTLED", frozenset({"write_timeout", "aborted", "lost"}))


def an_older_probe_settles(patch: pytest.MonkeyPatch) -> None:
    """Any answered probe settles whatever there is, also what is still being answered."""

    def settle(self: Backend, _dialled_at: float) -> int:
        gone, self.occupants = self.occupants, set()
        return len(gone)

    patch.setattr(Backend, "settle", settle)


def no_probe_settles(patch: pytest.MonkeyPatch) -> None:
    """A slot once unsettled is lost for ever."""
    patch.setattr(Backend, "settle", lambda _self, _dialled_at: 0)
    patch.setattr(Backend, "settle_all", lambda _self: 0)


def there_is_always_a_slot(patch: pytest.MonkeyPatch) -> None:
    """Calls are sent whatever is in the daemon."""
    patch.setattr(Backend, "has_free_slot", property(lambda _self: True))


def money_goes_anywhere(patch: pytest.MonkeyPatch) -> None:
    """Any backend in service takes money calls."""
    honest_list, honest_may = Pool.candidates, Pool.may_take

    def candidates(self: Pool, lane: Lane) -> list[Backend]:
        return self.serving if lane is Lane.MONEY else honest_list(self, lane)

    def may_take(self: Pool, backend: Backend, lane: Lane, *, overflow: bool) -> bool:
        return backend.takes_calls if lane is Lane.MONEY else honest_may(self, backend, lane, overflow=overflow)

    patch.setattr(Pool, "candidates", candidates)
    patch.setattr(Pool, "may_take", may_take)


def every_backend_is_aligned(patch: pytest.MonkeyPatch) -> None:
    """Standbys take wallet reads though they miss addresses."""
    patch.setattr(Pool, "is_aligned", lambda _self, _backend: True)


def the_primary_is_never_doubted(patch: pytest.MonkeyPatch) -> None:
    """Money goes to a primary that came back before anybody looked at its list."""
    patch.setattr(Pool, "doubt_primary", nothing)
    patch.setattr(Pool, "is_repeated", lambda *_: False, raising=False)
    _no_comparison(patch)


def nobody_compares_answers(patch: pytest.MonkeyPatch) -> None:
    """A new address is told though it was told before."""
    _no_comparison(patch)


def _no_comparison(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Runner, "_is_repeated", lambda *_: False)


def the_mirror_forgets_what_was_told(patch: pytest.MonkeyPatch) -> None:
    """What clients were told is not remembered, nor what was listed, and nobody compares."""
    patch.setattr(Recall, "hear", nothing)
    _no_comparison(patch)


def everything_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A call that may have been run is repeated, money or not, at the same daemon too."""
    honest = Runner._went_wrong

    def went_wrong(self: Runner, errand: Errand, backend: Backend, tried: Tried, outcome: Outcome) -> None:
        if errand.live or self.loop.time() >= errand.deadline:
            honest(self, errand, backend, tried, outcome)
            return
        errand.tried.append(tried)
        if not self._try_now(errand, self.loop.time()):
            self._wait(errand)

    patch.setattr(Runner, "_went_wrong", went_wrong)


def nobody_watches_deadlines(patch: pytest.MonkeyPatch) -> None:
    """A call waits for as long as it takes."""
    patch.setattr(Runner, "_expire", nothing)


def nothing_is_hedged(patch: pytest.MonkeyPatch) -> None:
    """A read stays with the daemon that fell silent."""
    patch.setattr(Runner, "_hedge", nothing)


def suspicion_is_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A probe's answer lifts no suspicion."""
    honest = Pool.probe_answered

    def probe_answered(self: Pool, backend: Backend, now: float, dialled_at: float) -> None:
        suspected = backend.is_suspect
        honest(self, backend, now, dialled_at)
        backend.is_suspect = suspected
        self.refresh()

    patch.setattr(Pool, "probe_answered", probe_answered)


def probes_pile_up(patch: pytest.MonkeyPatch) -> None:
    """An unanswered probe is repeated beside itself."""
    honest = Prober._consider

    def consider(self: Prober, backend: Backend) -> None:
        self._pending.pop(backend, None)
        honest(self, backend)

    patch.setattr(Prober, "_consider", consider)


def nobody_hears_of_a_free_slot(patch: pytest.MonkeyPatch) -> None:
    """Waiting calls are not looked at when a slot comes free."""
    patch.setattr(Runner, "offer", nothing)


def an_answer_keeps_the_slot(patch: pytest.MonkeyPatch) -> None:
    """Every tenth answered call keeps its slot."""
    honest, count = Backend.vacate, [0]

    def vacate(self: Backend, occupant: Occupant) -> None:
        count[0] += 1
        if count[0] % 10:
            honest(self, occupant)

    patch.setattr(Backend, "vacate", vacate)


MUTANTS: list[tuple[Patch, str]] = [
    (never_may_have_run, "4"),
    (allocations_never_ran, "4: addrequest"),
    (every_end_frees_the_slot, "5"),
    (a_lost_connection_frees_the_slot, "5"),
    (a_time_out_frees_the_slot, "5"),
    (an_older_probe_settles, "5"),
    (no_probe_settles, "9"),
    (there_is_always_a_slot, "5"),
    (money_goes_anywhere, "6"),
    (every_backend_is_aligned, "blind"),
    (the_primary_is_never_doubted, "1"),
    (nobody_compares_answers, "1"),
    (the_mirror_forgets_what_was_told, "1"),
    (everything_is_sent_again, "2"),
    (nobody_watches_deadlines, "7"),
    (nothing_is_hedged, "9"),
    (suspicion_is_for_ever, "9"),
    (probes_pile_up, "5"),
    (nobody_hears_of_a_free_slot, "9"),
    (an_answer_keeps_the_slot, "9"),
]
"""Each mutant and what the violation that it must cause begins with, or says."""


@pytest.mark.simulation
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mutant", "broken"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_a_rule_taken_away_is_missed(mutant: Patch, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one history breaks the invariant that the rule keeps."""
    mutant(monkeypatch)
    begin = BEGINS.get(mutant.__name__, 1)
    for seed in range(begin, begin + HISTORIES):
        found = run_virtual(history(seed)).violations()
        if any(one.startswith(broken) or (broken == "blind" and "blind to" in one) for one in found):
            return
    pytest.fail(f"{HISTORIES} histories without this rule, and none broke invariant {broken}")
