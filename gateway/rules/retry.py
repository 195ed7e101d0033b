"""What happens after an attempt that brought no answer: another one, or which error.

Rule: the worst attempt decides.  Once any attempt of a call may have been run, the error is
outcome_unknown, and a call that is not a read (or the same signed bytes again) is not sent twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.base.effects import Effect

QUERY_OF_DEATH = frozenset({"empty", "reset"})
"""How an attempt ends when the request itself ended the daemon; jsonrpclib-pelix 1.2 makes ordinary calls do so."""

SAME_AGAIN = frozenset({"oversized"})
"""Ends that another backend would only repeat."""

EMPTY_LIMIT = 2
"""Backends that one call may cost: its own and one other."""


class Sent(StrEnum):
    """What is known of an attempt that brought no answer."""

    NO = "no"
    """Proved: no byte was written, or it was refused before work."""
    UNKNOWN = "unknown"
    """Bytes were written and no complete answer came."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that ended without an answer."""

    sent: Sent
    reason: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Send it once more, where `tried` backends are left out; `costs` says whether a budget token is needed."""

    costs: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Answer with an error; `unknown` says whether any attempt may have been run."""

    unknown: bool
    reason: str


def is_repeatable(effect: Effect) -> bool:
    """Whether the same call may be sent again though it may have been run: reads, and the same bytes to the chain."""
    return effect.is_read or effect is Effect.PUBLISH


def is_harmless_twice(effect: Effect) -> bool:
    """Whether a client may send the same call again though it may have been run: writes set a value, so those too."""
    return is_repeatable(effect) or effect is Effect.WRITE


def decide(effect: Effect, tried: Sequence[Tried], max_attempts: int) -> TryAgain | GiveUp:
    """Decide after the last of `tried` (at least one) ended without an answer.

    Attempts that were provably not sent are free: they cost the daemon nothing and the backend that refused
    is out of the running, so they end by themselves.
    """
    unknown = [attempt for attempt in tried if attempt.sent is Sent.UNKNOWN]
    if not unknown:
        return TryAgain(costs=False)
    last = unknown[-1].reason
    if not is_repeatable(effect) or any(attempt.reason in SAME_AGAIN for attempt in unknown):
        return GiveUp(unknown=True, reason=last)
    if sum(attempt.reason in QUERY_OF_DEATH for attempt in unknown) >= EMPTY_LIMIT:
        return GiveUp(unknown=True, reason=last)
    if len(unknown) >= max_attempts:
        return GiveUp(unknown=True, reason=last)
    return TryAgain(costs=tried[-1].sent is Sent.UNKNOWN)
