"""Which daemon is wrong about the money, told from what all of them say at one height, and what is to be done.

Rule: nobody is cured before a grace period has passed in which every comparison found it odd, one cure is ordered at a
time, and the same daemon is not cured again before its back-off is over.

Real daemons stay wrong while they claim to be synchronized, and a reload of the wallet cures most of that.  With a
majority the others are odd.  Without one (two daemons, or all of them different) nobody knows who is wrong: the
standbys are reloaded first and the primary last, and what is still unequal then is told and left as it is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

SPREAD = 1.0
"""Seconds by which readings may lie apart; what lies further back may be from before a payment."""

BACK_OFF = 60.0
"""Seconds until the second cure of a daemon; doubled with each further one."""

BACK_OFF_MOST = 3600.0

PERSISTS = 6.0
"""Graces after which the odd one against a majority is odd though we go on paying all the time."""

FORGET = 7200.0
"""Seconds of agreement after which earlier cures count no more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one daemon said; amounts in satoshi."""

    backend: str
    is_primary: bool
    height: int
    confirmed: int
    unconfirmed: int
    receiving: int
    """How many receiving addresses it lists; one with fewer than others is behind, and not odd."""
    change: int
    """The same for change."""
    asked_at: float


@dataclass(frozen=True, slots=True)
class Case:
    """What is remembered of one daemon; times are loop time."""

    odd_since: float | None = None
    """Since when every comparison that counted found it odd."""
    compared_at: float = 0.0
    """When it was last found odd."""
    cures: int = 0
    cured_at: float = 0.0
    is_told: bool = False
    """Whether it was told that it stays odd."""

    def may_be_cured(self, now: float) -> bool:
        """Whether its back-off is over."""
        return not self.cures or now - self.cured_at >= back_off(self.cures)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a comparison led to."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    """What to remember until the next one."""
    odd: tuple[str, ...] = ()
    """Who is found odd; without a majority everybody that was compared."""
    has_majority: bool = True
    cure: str | None = None
    """The one whose wallet is to be reloaded."""
    diverged: tuple[str, ...] = ()
    """Those that stay odd after all cures, told once."""
    healed: tuple[str, ...] = ()
    """Those that were told as diverged and agree again."""


def back_off(cures: int) -> float:
    """Return the seconds that must pass after so many cures (at least one) until the next."""
    return min(BACK_OFF_MOST, BACK_OFF * 2.0 ** min(cures - 1, 10))


def comparable(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings that can be laid side by side: one height, one moment, every address there is."""
    readings = list(readings)
    latest = max((one.asked_at for one in readings), default=0.0)
    receiving = max((one.receiving for one in readings), default=0)
    change = max((one.change for one in readings), default=0)
    whole = [
        one
        for one in readings
        if one.receiving == receiving and one.change == change and latest - one.asked_at <= SPREAD
    ]
    heights = Counter(one.height for one in whole)
    height = max(heights, key=lambda each: (heights[each], each), default=0)
    return [one for one in whole if one.height == height]


def odd_ones(readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return who says something else than the majority of comparable readings; all of them where there is none."""
    readings = list(readings)
    votes = Counter((one.confirmed, one.unconfirmed) for one in readings)
    if len(votes) <= 1:
        return ()
    said, count = votes.most_common(1)[0]
    has_majority = count * 2 > len(readings)
    return tuple(
        one.backend for one in readings if not has_majority or (one.confirmed, one.unconfirmed) != said
    )  # fmt: skip


def judge(
    readings: Iterable[Reading], cases: Mapping[str, Case], now: float, grace: float,
    *, stirred_at: float = float("-inf"), may_cure: bool = True,
) -> Finding:  # fmt: skip
    """Say what follows from a comparison.

    Args:
        readings: one of each daemon that answered.
        cases: what the last finding said to remember.
        now: loop time; grace: seconds that a difference must last.
        stirred_at: when a payment of ours was sent last: for a grace nobody knows what the balance should be.
        may_cure: False where reloading a wallet is known not to work.
    """
    compared = comparable(readings)
    odd = odd_ones(compared)
    has_majority = len(odd) < len(compared)
    after = dict(cases)
    for one in compared:
        before = after.get(one.backend, Case())
        after[one.backend] = (
            _found_odd(before, now, grace) if one.backend in odd else _found_well(before, now)
        )  # fmt: skip
    healed = tuple(one.backend for one in compared if one.backend not in odd and _was_told(cases, one.backend))
    # the standbys first, then the primary
    ripe = [
        one.backend
        for one in sorted(compared, key=lambda one: one.is_primary)
        if one.backend in odd and _is_ripe(after[one.backend], now, grace, stirred_at, has_majority)
    ]
    cure = next((name for name in ripe if may_cure and after[name].may_be_cured(now)), None)
    if cure is not None:
        for name in odd:
            # whatever is cured may move the majority: everybody is watched anew
            after[name] = replace(after[name], odd_since=None)
        after[cure] = replace(after[cure], cures=after[cure].cures + 1, cured_at=now)
        return Finding(after, odd, has_majority, cure, (), healed)
    diverged = tuple(name for name in ripe if not after[name].is_told)
    for name in diverged:
        after[name] = replace(after[name], is_told=True)
    return Finding(after, odd, has_majority, None, diverged, healed)


def _was_told(cases: Mapping[str, Case], name: str) -> bool:
    return name in cases and cases[name].is_told


def _is_ripe(case: Case, now: float, grace: float, stirred_at: float, has_majority: bool) -> bool:  # noqa: FBT001 - private
    """Whether a difference lasted for a grace that no payment of ours disturbed, or so long that it is not one's.

    Without a majority the second does not count: a standby that is always a little late would look like that.
    """
    since = now if case.odd_since is None else case.odd_since
    if has_majority and now - since >= PERSISTS * grace:
        return True
    return now - max(since, stirred_at + grace) >= grace


def _found_odd(case: Case, now: float, grace: float) -> Case:
    """Note one more comparison that found it odd; one long after the last begins a new count."""
    is_new = case.odd_since is None or now - case.compared_at > 2 * grace
    return replace(case, odd_since=now if is_new else case.odd_since, compared_at=now)


def _found_well(case: Case, now: float) -> Case:
    """Note that it agrees; its cures are forgotten in the end."""
    forgets = bool(case.cures) and now - case.cured_at >= FORGET
    return replace(case, odd_since=None, is_told=False, cures=0 if forgets else case.cures)
