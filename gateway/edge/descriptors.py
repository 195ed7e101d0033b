"""How many connections the descriptors of this process allow.

Rule: whoever connects, the gateway keeps descriptors for its daemons, its operators and its files; a door that takes
the last one would let healthy daemons look dead.
"""

import fcntl
import resource
import socket
from contextlib import suppress
from dataclasses import dataclass

ADMIN = 320
"""Connections at once at the operators' door."""

LISTENERS = 200
"""Pages at once that the event stream is told to."""

LEAST_KEPT = 64
"""Descriptors; an idle gateway in front of three daemons has about 20 open."""

TOP = 65_535
"""The number of a descriptor that is above all others; the kernel's table up to it takes half a megabyte."""

AT_ONE_GO = 128
"""Connections that asyncio accepts at one go; each has its descriptor before the cap of a door can refuse it."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What may be opened; `limit` is None where there is no end to it.

    A quarter is kept back, and 64 at least where that leaves as many: half of it for connections that are accepted
    only to be refused, a quarter of it for operators, the rest for daemons and files.
    """

    limit: int | None = None

    @staticmethod
    def kept_back(limit: int) -> int:
        """Return how many of a limit no client gets."""
        return max(limit // 4, min(LEAST_KEPT, limit // 2))

    def clients(self, wanted: int) -> int:
        """Return how many of the wanted connections of clients fit."""
        return wanted if self.limit is None else max(1, min(wanted, self.limit - self.kept_back(self.limit)))

    @property
    def operators(self) -> int:
        """How many connections of operators fit."""
        return ADMIN if self.limit is None else max(1, min(ADMIN, self.limit // 16))

    @property
    def at_one_go(self) -> int:
        """How many clients are accepted at one go; asyncio holds four helpings until the first is refused and gone."""
        return AT_ONE_GO if self.limit is None else max(1, min(AT_ONE_GO, self.limit // 32))

    @property
    def listeners(self) -> int:
        """How many of these may listen to the event stream: somebody else gets in beside them."""
        return max(1, min(LISTENERS, self.operators * 5 // 8))

    @property
    def operators_at_one_go(self) -> int:
        """The same for operators, of whom few come at once."""
        return max(1, self.at_one_go // 4)

    def warnings(self, wanted: int) -> list[str]:
        """Return what should be known where not all the wanted connections fit."""
        fit = self.clients(wanted)
        if fit == wanted:
            return []
        return [
            f"listen.max_connections {wanted} is more than {self.limit} open files (ulimit -Hn) allow: {fit} are taken"
        ]


def raise_limit() -> Descriptors:
    """Let this process open as many files as it may, and return how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call the limit endless and refuse to set that
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Descriptors(None if soft == resource.RLIM_INFINITY else soft)


def on_top(sock: socket.socket) -> socket.socket:
    """Return the same socket under the highest number, for a door; the old one is closed.

    When a process is killed, Linux closes what it had open one after the other, the highest number first (measured on
    6.18; it is so since 4.3, where `task_work_run` lost its order).  A client whose connection breaks connects anew
    within a millisecond.  With the door still open then, a gateway that is dead takes the new connection in and breaks
    it as well: the one repetition that HTTP libraries make is wasted, and no front can help any more.  With the door
    closed first it is refused, nothing was sent, and the front takes the next gateway.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    top = TOP if limit == resource.RLIM_INFINITY else min(TOP, limit - 1)
    try:
        moved = socket.socket(fileno=fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, top))
    except OSError:
        # it is taken, or forbidden: the door is as good where it is, while nobody kills it
        return sock
    moved.setblocking(sock.gettimeout() != 0.0)
    sock.close()
    return moved
