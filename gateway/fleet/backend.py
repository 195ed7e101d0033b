"""One wallet daemon as the gateway sees it: phase, slot, unsettled calls, probe, circuit, figures.

Rule: a slot is free only when no call of ours is unsettled there.  Closing a connection frees nothing,
because a daemon runs what it accepted; what frees a slot is an answer, a connection that the daemon ended,
a probe answered that was dialled later (the daemon is serial and its accept queue first in, first out),
or the end of the process.
"""

from typing import Final

from gateway.base.levels import Level
from gateway.fleet.averages import PeakEwma
from gateway.fleet.breaker import Breaker
from gateway.rules.health import Diagnosis, Facts, Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.selection import cost, slow_start_weight

FAULT_WEIGHT: Final = 0.3
"""What one fault takes from the score; three in a row leave a third."""

RECOVERY: Final = 0.1
"""What one success gives back."""


WARMING: Final[Phase] = Phase.WARMING
"""At hand without a look into the class."""


class Occupant:
    """One call of ours in a daemon, from dialling until it is settled; equal to itself alone."""

    __slots__ = ("bound", "dialled_at", "has_left", "is_money")

    def __init__(self, dialled_at: float, bound: float, is_money: bool) -> None:  # noqa: FBT001 - its members
        """Begin; `bound` is the seconds that a call of its class may take."""
        self.dialled_at = dialled_at
        self.bound = bound
        self.is_money = is_money
        self.has_left = False
        """Our connection ended before an answer; the daemon may still run the call."""


class Backend:
    """Live state of one daemon.  Changes of phase are the pool's; everything here is bookkeeping."""

    def __init__(  # noqa: PLR0915 - one line a fact
        self,
        name: str,
        wallet: str,
        *,
        slots: int,
        is_serial: bool,
        top: Level,
        breaker: Breaker,
        ewma: float,
        grace_until: float,
        now: float = 0.0,
    ) -> None:
        """Begin STARTING: after the gateway's start every backend counts as busy until a probe answers."""
        self.name = name
        self.wallet = wallet
        self.slots = slots
        self.is_serial = is_serial
        self.top = top
        self.breaker = breaker
        self.latency = PeakEwma(ewma)
        self.score = 1.0
        self.phase = Phase.STARTING
        self.since = now
        """When the phase began."""
        self.slow_start = 0.0
        self.diagnosis = Diagnosis(Kind.STARTING, "not heard of yet", is_sick=False, may_return=True)
        self.occupants: set[Occupant] = set()
        self.is_suspect = False
        """Missed a deadline: gets nothing more until a probe answers."""
        self.suspected_of = ""
        """How the attempt ended that made it suspect."""
        self.is_stalled = False
        """A call there takes unusually long right now."""
        self.is_stranger = False
        """It lists other addresses than are known: its wallet is another one."""
        self.is_drained = False
        """An operator keeps calls from it, or it was taken out of the configuration."""
        self.is_expected = False
        """It is being restarted, or would be at once if it died now; `Pool.expect` sets it."""
        self.step = ""
        """What is being done about it now, in words; "" when nothing is."""
        self.takes_calls = False
        """Whether the pool routes calls there, made anew by `Pool.refresh`."""
        self.takes_wallet_reads = False
        """The same for reads that need every address."""
        self.aligned_to: int | None = None
        """The wallet's write count up to which its addresses are known to be complete; None is unaligned."""
        self.probe_dialled_at: float | None = None
        """The probe whose connection is still there; it is never repeated beside itself."""
        self.unanswered_since: float | None = None
        """The first probe dialled since the last one that ended in anything but a connect time-out."""
        self.probe_holds_slot = False
        self.probe_is_due = False
        self.probe_is_late = False
        """The unanswered probe is older than any probe of a healthy daemon."""
        self.heard_at = 0.0
        """Last complete answer, call or probe."""
        self.probed_at = 0.0
        """Last answered probe."""
        self.level = Level.NOTHING
        self.remark = ""
        """What was wrong with its last answer to a probe, in words; "" when nothing was."""
        self.height: int | None = None
        self.listed: int | None = None
        """How many receiving addresses it listed last."""
        self.was_ready = False
        self.grace_until = grace_until
        self.may_be_silent_until = float("inf")
        """Within that grace: until when it may accept and say nothing; of one that served others a moment ago, less."""
        self.refused_since: float | None = None
        self.refused_reason = "refuses connections"
        self.is_out_of_reach = False
        """Not refused by its host, but not found or not reached: nobody knows whether something runs there."""
        self.silent_since: float | None = None
        self.behind_since: float | None = None

    def __repr__(self) -> str:
        """Status line for an operator."""
        extras = "".join(
            text
            for flag, text in (
                (self.is_suspect, " suspect"),
                (self.is_stalled, " stalled"),
                (not self.breaker.is_closed, f" circuit={self.breaker.state}"),
                (self.diagnosis.kind is not Kind.OK, f" {self.diagnosis.kind}: {self.diagnosis.reason}"),
            )
            if flag
        )
        return f"<Backend {self.name} {self.phase} score={self.score:.2f} in_flight={len(self.occupants)}{extras}>"

    # -- the slot ---------------------------------------------------------------------------------------------

    @property
    def has_free_slot(self) -> bool:
        """Whether one more call may be sent; a probe that goes through the slot takes it as well."""
        return len(self.occupants) + self.probe_holds_slot < self.slots

    @property
    def may_serve(self) -> bool:
        """Whether calls may go there at all, free slot or not."""
        return self.phase.is_serving and not self.is_suspect and not self.is_drained and self.breaker.would_admit()

    @property
    def ailment(self) -> str:
        """What is the matter with it, in words for a person; "" when nothing is."""
        if self.phase.is_in_care:
            return f"is being restarted ({self.step})" if self.step else "is being restarted"
        if self.phase is Phase.FAILED:
            return f"restarted too often ({self.diagnosis.reason or 'well now'})"
        if self.diagnosis.kind is not Kind.OK:
            return f"{self.diagnosis.kind}, {self.diagnosis.reason}"
        if self.is_drained:
            return "drained"
        if self.is_stranger:
            return "lists other addresses than before, as with another seed"
        if self.is_suspect:
            return f"suspected ({self.suspected_of}), waits for a probe"
        if not self.breaker.is_closed:
            return f"circuit {self.breaker.state}"
        return ""

    def occupy(self, now: float, bound: float, *, is_money: bool) -> Occupant:
        """Take a slot for a call that is dialled now."""
        occupant = Occupant(now, bound, is_money)
        self.occupants.add(occupant)
        return occupant

    def vacate(self, occupant: Occupant) -> None:
        """Free the slot of a call that was answered, never sent, or ended by the daemon's own side."""
        self.occupants.discard(occupant)

    def settle(self, dialled_at: float) -> int:
        """Free what a probe dialled at `dialled_at` and answered has proved to be over; return how many."""
        return self._forget([one for one in self.occupants if one.has_left and one.dialled_at < dialled_at])

    def settle_old(self, now: float, longest: float) -> int:
        """Free what even the slowest class would have finished; only for daemons that are not serial."""
        if self.is_serial:
            return 0
        return self._forget([one for one in self.occupants if one.has_left and now - one.dialled_at >= longest])

    def settle_all(self) -> int:
        """Free everything whose connection is gone: the process that ran it is."""
        return self._forget([one for one in self.occupants if one.has_left])

    def renew(self) -> None:
        """Forget what was known of a process that is gone: its calls, its circuit, its figures, its level."""
        self.settle_all()
        self.breaker.reset()
        self.latency.reset()
        self.score = 1.0
        self.is_stalled = False
        self.level = Level.NOTHING
        self.may_be_silent_until = float("inf")
        self.remark = ""
        self.height = self.listed = self.silent_since = self.behind_since = None

    @property
    def last_bound(self) -> float | None:
        """When the last call of ours there will have had all the time of its class; None when none is there."""
        return max((one.dialled_at + one.bound for one in self.occupants), default=None)

    def _forget(self, gone: list[Occupant]) -> int:
        self.occupants.difference_update(gone)
        return len(gone)

    # -- figures ----------------------------------------------------------------------------------------------

    def price(self, now: float) -> float:
        """Return what one more call here costs, for selection."""
        weight = 1.0 if self.phase is not WARMING else slow_start_weight(self.since, now, self.slow_start)
        return cost(self.latency.value(now), len(self.occupants), self.score, weight)

    def note_success(self, now: float, seconds: float) -> None:
        """Count a complete answer."""
        self.heard_at = now
        self.latency.add(seconds, now)
        self.recover()

    def recover(self) -> None:
        """Take back a part of the distrust: it answered a call, or a probe that shows it well."""
        if self.score < 1.0:
            self.score = min(1.0, self.score + RECOVERY)

    def note_fault(self) -> None:
        """Count an attempt that the backend spoilt."""
        self.score *= 1.0 - FAULT_WEIGHT

    # -- facts ------------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        """Return what is known, for `rules.health.diagnose`."""
        oldest = min(self.occupants, key=_place, default=None)
        return Facts(
            level=self.level,
            top=self.top,
            was_ready=self.was_ready,
            grace_until=self.grace_until,
            may_be_silent_until=self.may_be_silent_until,
            refused_since=self.refused_since,
            refused_reason=self.refused_reason,
            unanswered_since=self.unanswered_since,
            call_sent_at=None if oldest is None else oldest.dialled_at,
            call_bound=0.0 if oldest is None else oldest.bound,
            silent_since=self.silent_since,
            behind_since=self.behind_since,
            remark=self.remark,
        )


def _place(occupant: Occupant) -> tuple[float, float]:
    # those of one moment stand in no order: the one that may take longest is what a daemon is given time for
    return occupant.dialled_at, -occupant.bound
