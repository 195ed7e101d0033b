"""When another backend becomes primary, and which.

Rule: a promotion costs the answers that the old primary still owes, so it happens only when the primary is out of
service and a backend that lacks nothing is in it; and after one, the next waits, longer each time, so that two sick
daemons do not hand the wallet to and fro.  A primary that comes back stays a standby: nobody is promoted for being
the one that was listed first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

PATIENCE = 3.0
"""Seconds that a primary which was never in service since the gateway's start is waited for."""

CALM = 1.0
"""Seconds between a promotion and the next one; doubled with each beyond the first QUICK within MEMORY."""

QUICK = 3
"""Promotions within MEMORY that are nobody's fault: each of three daemons may fall ill once."""

CALM_MOST = 30.0

MEMORY = 60.0
"""Seconds for which a promotion counts when the next one is considered."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend as far as the election asks.

    Args:
        is_primary: it is the one of now.
        is_serving: in service and trusted at this moment.
        is_out: out of service, not merely doubted for a moment.
        was_ready: it was in service since the gateway's start.
        is_complete: it lists every address that was given out, and may sign.
        is_warm: past its slow start.
        score: health, 0 to 1.
    """

    name: str
    is_primary: bool
    is_serving: bool
    is_out: bool
    was_ready: bool
    is_complete: bool
    is_warm: bool
    score: float


T = TypeVar("T")


def elect(candidates: Sequence[Candidate], promoted_at: Sequence[float], started_at: float, now: float) -> str | None:
    """Return the name of the backend to promote, None when all stays as it is.

    Args:
        candidates: all backends of the wallet, in the order of the configuration.
        promoted_at: when there were promotions, oldest first.
        started_at: when the gateway began to care for the wallet.
    """
    primary = next(one for one in candidates if one.is_primary)
    if not primary.is_out or (not primary.was_ready and now - started_at < PATIENCE):
        return None
    if now < calm_until(promoted_at, now):
        return None
    able = [one for one in candidates if not one.is_primary and one.is_serving and one.is_complete]
    if not able:
        return None
    return max(able, key=lambda one: (one.is_warm, one.score)).name


def calm_until(promoted_at: Sequence[float], now: float) -> float:
    """Return until when nothing is promoted because something was."""
    recent = [at for at in promoted_at if now - at < MEMORY]
    if not recent:
        return 0.0
    return recent[-1] + min(CALM_MOST, CALM * 2.0 ** max(0, len(recent) - QUICK))
