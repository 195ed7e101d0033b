"""Processes: how one is started in a group of its own, how its end is waited for, and how a whole group is ended.

Rule: nobody's child is mistaken for another: a process is known by its pid and by the moment of its start.  A group is
ended while its leader is still there to hold the number, alive or not yet reaped.
"""

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.upstream.launchers.tether import identity

_NOT_INHERITED = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
"""Signals that a program expects to end it, and that Python or our caller may have switched off."""

HANDED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE")
"""Variables of the gateway that what it starts sees; others may hold passwords that are not its business."""

_LONGEST_IDENTITY = 200

_ALIVE = "RSDTtI"
"""The kernel's letters for a process that is not a zombie: running, sleeping, waiting for a disk, stopped, idle."""


def spawn(command: list[str], environment: Mapping[str, str], output: int) -> int:
    """Start a program by its path, in a session and group of its own, with nothing to read; returns its pid.

    Args:
        command: path and arguments.
        environment: all of it.
        output: descriptor of where its output and errors go.

    Raises:
        OSError: it cannot be started.
    """
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=_NOT_INHERITED,
    )


class Watched:
    """One process, ours or adopted, whose end is waited for.

    Args:
        pid: of the leader of its group.
        is_child: whether it is ours to reap; of others no exit code is known.
        loop: what tells of the end.
        on_end: called once, with the exit code (128 + the number of a signal) or None.
        spares_group: what it has started may outlive it.
    """

    def __init__(
        self,
        pid: int,
        *,
        is_child: bool,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[int | None], None],
        spares_group: bool = False,
    ) -> None:
        """Begin to wait; raises ProcessLookupError when it is gone already."""
        self.pid = pid
        self.instance = identity(pid) if is_child or Path(f"/proc/{pid}").exists() else ""
        self.exit_code: int | None = None
        self.ended = asyncio.Event()
        self.is_child = is_child
        self._spares_group = spares_group
        self._loop = loop
        self._on_end = on_end
        # readable once the process has ended, whoever's child it is
        self._handle = os.pidfd_open(pid)
        loop.add_reader(self._handle, self._end)

    @property
    def is_stopped(self) -> bool:
        """Whether it exists and is not scheduled."""
        return state_of(self.pid) in ("T", "t")

    def signal_group(self, number: int) -> None:
        """Signal the process and all that it has started in its group; nothing happens when it has ended."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def signal(self, number: int) -> None:
        """Signal the process alone; nothing happens when it has ended."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def let_go(self) -> None:
        """Wait no longer; the process goes on."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self.ended.set()

    def _end(self) -> None:
        # what is left of its group would go on writing the same wallet, next to the one that is started next; a child
        # that is not reaped yet holds its number, so nobody else is meant
        if not self._spares_group:
            self.signal_group(signal.SIGKILL)
        if self.is_child:
            with contextlib.suppress(ChildProcessError):
                code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                self.exit_code = code if code >= 0 else 128 - code
        self.let_go()
        self._on_end(self.exit_code)


def state_of(pid: int) -> str:
    """Return the kernel's letter for what a process does, "" when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def is_alive(who: str) -> bool:
    """Return whether the process of an identity still runs, as tether writes it."""
    try:
        pid = int(who.split()[1])
        return identity(pid) == who and state_of(pid) in _ALIVE
    except (OSError, ValueError, IndexError):
        return False


def identity_in(path: Path, user: int | None = None) -> str:
    """Return the identity that a pid file holds, "" where there is none that can be believed.

    Whoever may write that file chooses whom we signal and what we take for our daemon: so it has to be a file of our
    own that nobody else may write, and its process one of our user.  Root alone starts daemons that change theirs.

    Args:
        user: whose both have to be, by number; ours when absent.
    """
    user = os.geteuid() if user is None else user
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, encoding="ascii") as file:
            found = os.fstat(file.fileno())
            is_open_to_others = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
            if not stat.S_ISREG(found.st_mode) or found.st_uid != user or is_open_to_others:
                return ""
            who = file.read(_LONGEST_IDENTITY).strip()
        return who if user == 0 or _user_of(int(who.split()[1])) == user else ""
    except (OSError, ValueError, IndexError):
        return ""


def _user_of(pid: int) -> int:
    """Return the real user of a process, whatever rights its program has beside.  Raises OSError, ValueError."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    raise ValueError(f"no user is told of {pid}")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program that we start: the few that are handed on, and its own."""
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ} | dict(own)


def family(pid: int) -> list[int]:
    """Return a process and all that descends from it, as far as they are there."""
    found, new = [], [pid]
    while new:
        one = new.pop()
        found.append(one)
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                new += map(int, path.read_text().split())
    return found


def started_at(who: str) -> float | None:
    """Return when the process of an identity was started, in seconds since 1970."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int(who.split()[2]) / os.sysconf("SC_CLK_TCK")
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("btime "):
                return int(line.split()[1]) + ticks
    return None
