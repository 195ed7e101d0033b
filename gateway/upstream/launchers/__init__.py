"""Launchers: who starts and stops a wallet daemon, in the same few verbs, one file each.

Rule: a launcher carries out one order for one daemon and tells what it saw; it decides nothing.  Each order ends
within its time limit, raises `LauncherError` with the way out, and may be given again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class LauncherError(Exception):
    """An order could not be carried out.

    Args:
        message: what happened and what to do about it, for the person on call; holds no secret.
        may_pass: True when the same order may work later (an engine that does not answer); False when a person must
            change something first (no such container, no rights).
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        """Keep both."""
        super().__init__(message)
        self.may_pass = may_pass


class State(StrEnum):
    """What is known of the process of a daemon."""

    RUNNING = "running"
    PAUSED = "paused"
    """It exists and is not scheduled."""
    STARTING = "starting"
    """Somebody starts it right now: the engine's own restart policy, a supervisor's back-off."""
    EXITED = "exited"
    ABSENT = "absent"
    """There is nothing of that name to start."""
    UNKNOWN = "unknown"
    """The launcher cannot say, as with a bare command."""


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a daemon's process.

    Args:
        instance: tells one life of the process from the next (StartedAt, pid and start time); "" when unknown or
            not running.
        started_at: seconds since 1970, None when unknown.
        exit_code: of the last end; 0 is a death as well.
        detail: more, in words: "OOM killed".
    """

    state: State
    instance: str = ""
    started_at: float | None = None
    exit_code: int | None = None
    was_oom_killed: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a daemon takes, in bytes, page cache left out; `limit` is its own limit, else the machine's memory."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """Used part of the limit."""
        return self.used / self.limit if self.limit > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Death:
    """A daemon ended, heard from its launcher and not from a connection."""

    instance: str
    exit_code: int | None = None
    was_oom_killed: bool = False


OnDeath = Callable[[Death], None]


class Launcher(Protocol):
    """Starts and stops one daemon.  Each method raises LauncherError and ends within `timeout` or its own `limit`."""

    kind: str
    takes_along: bool
    """Whether the daemon ends with the gateway; whoever closes it lets the daemon save its wallet first."""

    def status(self) -> Awaitable[Status]:
        """Look at the process."""

    def start(self) -> Awaitable[None]:
        """Start it; nothing happens when it runs already.  A paused one is let go on."""

    def stop(self, grace: float) -> Awaitable[None]:
        """End it as its launcher does it softly (SIGTERM), by force after `grace` seconds; returns when it is gone.

        The daemon does not save its wallet on SIGTERM: the RPC `stop` comes before, from the supervisor.
        """

    def kill(self) -> Awaitable[None]:
        """End it by force, also while it is paused or does not answer; returns when that instance is gone."""

    def memory(self) -> Awaitable[Memory | None]:
        """Return what it takes, None when that cannot be known."""

    def read_wallet(self, path: str) -> Awaitable[bytes]:
        """Return a file of the daemon, such as its wallet.  Raises LauncherError where the kind cannot."""

    def write_wallet(self, path: str, content: bytes) -> Awaitable[None]:
        """Replace a file of a daemon that is not running, atomically, owner and rights kept."""

    def watch(self, on_death: OnDeath) -> None:
        """Begin to tell of deaths, where the kind hears of them; reconnects by itself until `close`."""

    def close(self) -> Awaitable[None]:
        """End the watching and close connections; the daemon goes on, unless the launcher is its parent."""


def limit(launcher: Launcher, order: str, timeout: float) -> float:
    """Return the seconds within which an order to a launcher ends, well or not: those that it tells, else `timeout`.

    A launcher whose orders are several has a method `limit(order)` that tells it.

    Args:
        order: status, start, kill or stop; the grace of a stop is left out.
        timeout: the setting of that name.
    """
    # the class is not asked, which may be that of a fence around it
    told: Callable[[str], float] | None = getattr(launcher, "limit", None)
    return timeout if told is None else told(order)


async def heard(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what a launcher's method returns; whatever it raises becomes a LauncherError.

    What answers a launcher may say anything, and one that a package brings may raise anything.
    """
    try:
        return await ask()
    except LauncherError:
        raise
    except Exception as error:
        message = f"its launcher met what it cannot read ({type(error).__name__}); look at what answers it there"
        raise LauncherError(message) from error


@runtime_checkable
class Heir(Protocol):
    """A launcher that may take the daemon of the one which it replaces, when its settings change."""

    def take_over(self, before: Launcher) -> None:
        """Go on with its daemon where it is of the same kind; whoever closes `before` then ends nothing."""
