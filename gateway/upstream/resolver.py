"""Host names to addresses, without blocking the loop and never two addresses at once.

Rule: one look-up per name at a time; an address that failed makes the next one's turn and the name is looked
up again, so that a daemon that moved is found as soon as its name says so.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Returns the numeric addresses of a name, best first; raises OSError."""


@dataclass(slots=True)
class _Entry:
    """What is known of one name."""

    addresses: list[str] = field(default_factory=list)
    good_until: float = 0.0
    turn: int = 0
    pending: "asyncio.Task[list[str]] | None" = None


async def system_lookup(host: str, port: int) -> list[str]:
    """Look a name up as the system does, in a thread.  Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_numeric(host: str) -> bool:
    """Whether a host is an address already."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class Resolver:
    """A small cache of names.

    Args:
        ttl: seconds that an answer counts.
        lookup: asks; the system's by default.
    """

    def __init__(self, ttl: float, lookup: Lookup = system_lookup) -> None:
        """Begin with nothing known."""
        self.ttl = ttl
        self._lookup = lookup
        self._entries: dict[str, _Entry] = {}

    async def address(self, host: str, port: int) -> str:
        """Return the address whose turn it is.

        Raises:
            OSError: the name is not known, or nobody could be asked and no earlier answer is left.
        """
        loop = asyncio.get_running_loop()
        entry = self._entries.setdefault(host, _Entry())
        if not entry.addresses or loop.time() >= entry.good_until:
            entry.addresses = await self._ask(entry, host, port)
            entry.good_until = loop.time() + self.ttl
        return entry.addresses[entry.turn % len(entry.addresses)]

    async def _ask(self, entry: _Entry, host: str, port: int) -> list[str]:
        """Ask once for all who want to know; whoever leaves does not end the question for the others."""
        if entry.pending is None:
            entry.pending = asyncio.ensure_future(self._lookup(host, port))
        pending = entry.pending
        try:
            found = await asyncio.shield(pending)
        except OSError:
            entry.addresses = []
            raise
        finally:
            if pending.done() and entry.pending is pending:
                entry.pending = None
        if not found:
            raise OSError(f"{host} has no address")
        return found

    def failed(self, host: str) -> None:
        """Hear that a connection to the current address failed: look up again, and take the next one."""
        entry = self._entries.get(host)
        if entry is not None:
            entry.good_until = 0.0
            entry.turn += 1
