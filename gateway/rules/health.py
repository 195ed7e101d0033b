"""What is the matter with a backend, told from facts: five kinds of not ready, each with its own cure.

Rule: a daemon that works on a call of ours is never called sick before that call is older than its class
allows, and a daemon that claims to be well is never believed against its own heights.

The order of the questions is the order of certainty.  A refused connection is proof; silence needs a
probe that got no answer and an excuse that is missing (a call of ours that the daemon may be working on);
a wallet that is not synced needs only the daemon's own words.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.base.levels import Level


class Kind(StrEnum):
    """What a backend is, and with that, what would help it."""

    OK = "ok"
    """Nothing found."""
    STARTING = "starting"
    """Not ready yet, and expected to be: wait."""
    BUSY = "busy"
    """Works on a call that we sent: wait."""
    WEDGED = "wedged"
    """Silent without an excuse: eject; restart when it lasts."""
    ADRIFT = "adrift"
    """Answers, but its wallet is not at the height of the chain or not loaded: eject from reads."""
    DEAD = "dead"
    """Nobody listens there: eject, restart."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one backend at one moment; times are seconds of one monotonic clock, None is "not"."""

    level: Level
    """Highest level of up that the last answered contact showed; NOTHING before the first."""
    top: Level
    """The level at which this profile counts as up."""
    was_ready: bool
    """READY at some time since the gateway's start."""
    grace_until: float
    """Until when not being ready is excused as starting."""
    refused_since: float | None = None
    """First refused connection since it last answered."""
    refused_reason: str = "refuses connections"
    """In words: refused, unreachable, a name that nothing knows."""
    unanswered_since: float | None = None
    """When the first of the probes that are still unanswered was dialled."""
    call_sent_at: float | None = None
    """When the oldest unsettled call of ours was sent."""
    call_bound: float = 0.0
    """How long a call of that class may take."""
    silent_since: float | None = None
    """When it was first found silent without an excuse, by an earlier diagnosis."""
    behind_since: float | None = None
    """Since when its height is further behind the others than is allowed."""
    may_be_silent_until: float = float("inf")
    """Until when it may be on its way up though it accepts and says nothing, within its grace."""
    remark: str = ""
    """What is wrong with the words it answered, where that is known: refused credentials, an error page."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of `health` in the configuration, in seconds."""

    probe_timeout: float
    wedged_after: float
    lag_grace: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The finding.

    `may_return` says whether it could be back by itself, so that a call may wait for it.
    """

    kind: Kind
    reason: str
    is_sick: bool
    """Whether the finding takes it out of service."""
    may_return: bool


def diagnose(facts: Facts, limits: Limits, now: float) -> Diagnosis:
    """Say what is the matter with a backend."""
    excused = now < facts.grace_until
    if facts.refused_since is not None:
        if excused:
            return Diagnosis(Kind.STARTING, f"{facts.refused_reason}, expected back", is_sick=False, may_return=True)
        return Diagnosis(Kind.DEAD, facts.refused_reason, is_sick=True, may_return=False)
    if facts.unanswered_since is not None and now - facts.unanswered_since >= limits.probe_timeout:
        return _diagnose_silence(facts, limits, now, excused=excused)
    if facts.level is Level.NOTHING:
        if excused:
            return Diagnosis(Kind.STARTING, "not heard of yet", is_sick=False, may_return=True)
        return Diagnosis(Kind.DEAD, "never answered", is_sick=True, may_return=False)
    if facts.level < facts.top:
        reason = (facts.level is Level.ACCEPTS and facts.remark) or _MISSING[facts.level]
        if excused:
            return Diagnosis(Kind.STARTING, reason, is_sick=False, may_return=True)
        # whoever refuses our password or is no wallet at all does not come round by itself
        return Diagnosis(Kind.ADRIFT, reason, is_sick=True, may_return=facts.level > Level.ACCEPTS)
    if facts.behind_since is not None and now - facts.behind_since >= limits.lag_grace:
        return Diagnosis(Kind.ADRIFT, "behind the height of the others", is_sick=True, may_return=True)
    return Diagnosis(Kind.OK, "", is_sick=False, may_return=True)


def is_working(facts: Facts, now: float) -> bool:
    """Whether a call of ours is there that may still take its time, which excuses silence."""
    return facts.call_sent_at is not None and now - facts.call_sent_at < facts.call_bound


def _diagnose_silence(facts: Facts, limits: Limits, now: float, *, excused: bool) -> Diagnosis:
    if is_working(facts, now):
        return Diagnosis(Kind.BUSY, "works on a call", is_sick=False, may_return=True)
    if not facts.was_ready and excused and now < facts.may_be_silent_until:
        return Diagnosis(Kind.STARTING, "accepts, does not answer yet", is_sick=False, may_return=True)
    lasted = facts.silent_since is not None and now - facts.silent_since >= limits.wedged_after
    reason = "silent with a call past its bound" if facts.call_sent_at is not None else "silent"
    return Diagnosis(Kind.WEDGED, reason, is_sick=True, may_return=not lasted or excused)


_MISSING = {
    Level.ACCEPTS: "accepts, does not answer in words we know",
    Level.ANSWERS: "no wallet is loaded",
    Level.LOADED: "its wallet is not synced",
}
"""What the next level up would need."""
