"""A network of a run's own: each gateway in a network namespace, joined by a bridge, so that ways can be cut.

Rule: nothing of the machine's network is touched and nothing is left: the namespaces have no names, and the kernel
takes them away with the last process and file that hold them.  Only root can make them.

    hub      the run itself, its clients (CLIENTS), the wallets (WALLETS) and the database (DATABASE), by address
    member   a gateway at an address of its own; what is dropped, is dropped on its side
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

CLIENTS, DATABASE, WALLETS = "10.77.0.1", "10.77.0.2", "10.77.0.3"
FIRST_MEMBER = 11
MASK = 24

PORT = 7777
"""Of each gateway's door; it is alone there."""

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""

PATIENCE = 20.0


class NoNetworkError(Exception):
    """Namespaces cannot be made here; the text says why."""


class Network:
    """The hub and its members, for the thread that entered it and all that it starts from then on."""

    def __init__(self, members: int) -> None:
        """Have made nothing."""
        self._members = members
        self._handles: list[int] = []
        self._home = self._hub = -1
        self._sides: list[int] = []

    def __enter__(self) -> Self:
        """Make it and move in.  Raises NoNetworkError."""
        try:
            self._home = self._here()
            self._unshare()
            self._hub = self._here()
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "hub", "type", "bridge")
            for address in (CLIENTS, DATABASE, WALLETS):
                _ip("address", "add", f"{address}/{MASK}", "dev", "hub")
            _ip("link", "set", "hub", "up")
            for n in range(self._members):
                self._join(n)
        except (OSError, subprocess.SubprocessError) as error:
            self._leave()
            raise NoNetworkError(str(error)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Move out; the kernel does the rest when the processes are gone."""
        self._leave()

    def host(self, member: int) -> str:
        """Return the address of a gateway."""
        return f"10.77.0.{FIRST_MEMBER + member}"

    def inside(self, member: int) -> tuple[str, ...]:
        """Return what comes before a command that shall run where a gateway is."""
        return ("nsenter", f"--net={self._path(self._sides[member])}")

    def cut(self, member: int, *others: str) -> None:
        """Let nothing through between a gateway and some addresses; nobody is told."""
        for other in others:
            self._filter(member, "-A", "OUTPUT", "-d", other, "-j", "DROP")
            self._filter(member, "-A", "INPUT", "-s", other, "-j", "DROP")

    def mend(self, member: int) -> None:
        """Let everything through again."""
        self._filter(member, "-F")

    def others(self, member: int) -> tuple[str, ...]:
        """Return the addresses of the other gateways."""
        return tuple(self.host(n) for n in range(self._members) if n != member)

    def _join(self, member: int) -> None:
        self._unshare()
        side = self._here()
        self._sides.append(side)
        _enter(self._hub)
        _ip("link", "add", f"gw{member}", "type", "veth", "peer", "name", "eth0", "netns", self._path(side))
        _ip("link", "set", f"gw{member}", "master", "hub", "up")
        inside = self.inside(member)
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "address", "add", f"{self.host(member)}/{MASK}", "dev", "eth0")
        _run(*inside, "ip", "link", "set", "eth0", "up")
        self.mend(member)

    def _filter(self, member: int, *words: str) -> None:
        _run(*self.inside(member), "iptables", "-w", *words)

    def _unshare(self) -> None:
        if _libc().unshare(NEW_NETWORK):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def _here(self) -> int:
        handle = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._handles.append(handle)
        return handle

    def _path(self, handle: int) -> str:
        return f"/proc/{os.getpid()}/fd/{handle}"

    def _leave(self) -> None:
        if self._home >= 0:
            _enter(self._home)
        while self._handles:
            os.close(self._handles.pop())


@contextlib.contextmanager
def network(members: int) -> Iterator[Network | None]:
    """Give a network; None, said loudly, where none can be made.  Raises NoNetworkError where one must be."""
    with contextlib.ExitStack() as stack:
        try:
            made: Network | None = stack.enter_context(Network(members))
        except NoNetworkError as error:
            if os.environ.get("ECGW_REQUIRE_REAL") == "1":
                raise
            print(f"NO WAYS ARE CUT: {error}; the way out: run as root on Linux", file=sys.stderr)  # noqa: T201 - loud
            made = None
        yield made


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _enter(handle: int) -> None:
    if _libc().setns(handle, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.CalledProcessError as error:
        raise OSError(f"{' '.join(command)}: {error.stderr.strip()}") from None
