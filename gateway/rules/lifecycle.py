"""The phases of a backend and every legal move between them, as one table.

Rule: a phase changes only by a row of MOVES; a signal without a row leaves the phase as it is.

A phase says what the gateway does with a backend; `rules/health.py` says what is the matter with it.
WARMING gets few calls, READY its full share, all others get none.  A backend that was never READY begins
STARTING and becomes READY without warming up, because at the gateway's own start all are equally cold and
holding all of them back would help nobody.

DRAINING and RESTARTING belong to the supervisor: no diagnosis moves a backend out of them, because a daemon
that is told to stop looks well until it is gone, and sick until it is back.  Whoever puts a backend there
takes it out again, whatever goes wrong.  docs/lifecycle.md is drawn from the table below.
"""

from enum import StrEnum


class Phase(StrEnum):
    """What the gateway does with a backend."""

    STARTING = "STARTING"
    """Waited for: calls that can still make their deadline wait too."""
    WARMING = "WARMING"
    """Back from ejection or restart; its share grows over `health.slow_start` seconds."""
    READY = "READY"
    """In full service."""
    EJECTED = "EJECTED"
    """Out of service until a semantic probe finds it healthy."""
    DRAINING = "DRAINING"
    """Finishes the calls it has, and gets no more, before it is restarted."""
    RESTARTING = "RESTARTING"
    """Being stopped, started, loaded and synced, until all of that is proved."""
    FAILED = "FAILED"
    """Restarted too often in an hour: left alone but for a try every `restart.failed_retry` seconds."""

    @property
    def is_serving(self) -> bool:
        """True when calls may be sent to it."""
        return self in _SERVING

    @property
    def is_in_care(self) -> bool:
        """True when the supervisor alone moves it."""
        return self in _IN_CARE


_SERVING = frozenset({Phase.READY, Phase.WARMING})
_IN_CARE = frozenset({Phase.DRAINING, Phase.RESTARTING})


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
    ORDERED_OUT = "ordered out"
    """It is to be restarted, and answers still."""
    SPARED = "spared"
    """Its restart was called off before anything was stopped."""
    BEGUN = "restart begun"
    """Its process is being stopped, or started."""
    RESTARTED = "restarted"
    """Its new process answers, has its wallet and its chain."""
    MISCARRIED = "restart miscarried"
    """A step of its restart did not end well."""
    GIVEN_UP = "given up"
    """It was restarted as often as an hour allows."""


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
    (Phase.STARTING, Signal.ORDERED_OUT): Phase.DRAINING,
    (Phase.READY, Signal.ORDERED_OUT): Phase.DRAINING,
    (Phase.WARMING, Signal.ORDERED_OUT): Phase.DRAINING,
    (Phase.EJECTED, Signal.ORDERED_OUT): Phase.DRAINING,
    (Phase.FAILED, Signal.ORDERED_OUT): Phase.DRAINING,
    (Phase.DRAINING, Signal.SPARED): Phase.STARTING,
    (Phase.DRAINING, Signal.BEGUN): Phase.RESTARTING,
    (Phase.STARTING, Signal.BEGUN): Phase.RESTARTING,
    (Phase.EJECTED, Signal.BEGUN): Phase.RESTARTING,
    (Phase.FAILED, Signal.BEGUN): Phase.RESTARTING,
    (Phase.RESTARTING, Signal.RESTARTED): Phase.WARMING,
    (Phase.RESTARTING, Signal.MISCARRIED): Phase.EJECTED,
    (Phase.EJECTED, Signal.GIVEN_UP): Phase.FAILED,
    (Phase.STARTING, Signal.GIVEN_UP): Phase.FAILED,
    (Phase.FAILED, Signal.HEALED): Phase.WARMING,
}
"""Every legal move."""


def move(phase: Phase, signal: Signal) -> Phase:
    """Return the phase after `signal`; the same phase where the table has no row."""
    return MOVES.get((phase, signal), phase)
