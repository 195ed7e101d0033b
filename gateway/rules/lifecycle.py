"""The phases of a backend and every legal move between them, as one table.

Rule: a phase changes only by a row of MOVES; a signal without a row leaves the phase as it is.

A phase says what the gateway does with a backend; `rules/health.py` says what is the matter with it.
STARTING and EJECTED get no calls, WARMING gets few, READY its full share.  A backend that was never
READY begins STARTING and becomes READY without warming up, because at the gateway's own start all are
equally cold and holding all of them back would help nobody.
"""

from enum import StrEnum


class Phase(StrEnum):
    """What the gateway does with a backend."""

    STARTING = "STARTING"
    """Waited for: calls that can still make their deadline wait too."""
    WARMING = "WARMING"
    """Back from ejection; its share grows over `health.slow_start` seconds."""
    READY = "READY"
    """In full service."""
    EJECTED = "EJECTED"
    """Out of service until a semantic probe finds it healthy."""

    @property
    def is_serving(self) -> bool:
        """True when calls may be sent to it."""
        return self in _SERVING


_SERVING = frozenset({Phase.READY, Phase.WARMING})


class Signal(StrEnum):
    """What can move a phase."""

    HEALED = "healed"
    """A diagnosis found nothing wrong."""
    SICKENED = "sickened"
    """A diagnosis ended in an illness that ejects."""
    RETURNED = "returned"
    """It came back to life as a new instance and is not ready yet."""
    WARMED = "warmed"
    """Slow start is over."""


MOVES: dict[tuple[Phase, Signal], Phase] = {
    (Phase.STARTING, Signal.HEALED): Phase.READY,
    (Phase.STARTING, Signal.SICKENED): Phase.EJECTED,
    (Phase.READY, Signal.SICKENED): Phase.EJECTED,
    (Phase.WARMING, Signal.SICKENED): Phase.EJECTED,
    (Phase.WARMING, Signal.WARMED): Phase.READY,
    (Phase.EJECTED, Signal.HEALED): Phase.WARMING,
    (Phase.EJECTED, Signal.RETURNED): Phase.STARTING,
    (Phase.READY, Signal.RETURNED): Phase.STARTING,
    (Phase.WARMING, Signal.RETURNED): Phase.STARTING,
}
"""Every legal move."""


def move(phase: Phase, signal: Signal) -> Phase:
    """Return the phase after `signal`; the same phase where the table has no row."""
    return MOVES.get((phase, signal), phase)
