"""Host names to addresses, without blocking the loop and never two addresses at once.

Rule: one look-up per name at a time; an address that failed makes the next one's turn and the name is looked
up again, so that a daemon that moved is found as soon as its name says so.  A name server that is silent takes no
daemon away: what it said before counts until it answers.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Returns the numeric addresses of a name, best first; raises OSError."""

STALE_FOR = 1.0
"""Seconds for which an earlier answer stands in when nobody could be asked."""

PATIENCE = 0.04
"""Seconds for which an answer is awaited while there is an earlier one, which most probably is right still."""

AFTER_FAILURE = 1.0
"""The same after a connection to the earlier one has failed."""

UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""What look-ups say when they were answered, and the answer is that there is no such name."""


@dataclass(slots=True)
class _Entry:
    """What is known of one name."""

    addresses: list[str] = field(default_factory=list)
    good_until: float = 0.0
    """By the loop's time; 0.0 once a connection has failed."""
    failed: str = ""
    """The address that failed last; the one after it is used."""
    pending: "asyncio.Task[None] | None" = None
    asked_at: float = 0.0
    """When that question began."""


async def system_lookup(host: str, port: int) -> list[str]:
    """Look a name up as the system does.  Raises OSError, UnicodeError.

    In a thread of its own: the loop's are few, and those that wait for a silent name server would keep all others from
    theirs, uvloop's `sock_connect` to plain numbers among them.  There is one look-up per name, and the end of the
    process waits for none.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str], error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[str] = []
        error: Exception | None = None
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError) as caught:
            error = caught
        # a loop that is closed wants to know nothing
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, found, error)

    threading.Thread(target=ask, name=f"name {host}", daemon=True).start()
    return await answer


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
            if entry.pending is None:
                entry.pending = loop.create_task(self._ask(entry, host, port))
                entry.pending.add_done_callback(_heard)
                entry.asked_at = loop.time()
            pending = entry.pending
            if entry.addresses:
                patience = PATIENCE if entry.good_until else AFTER_FAILURE
                await asyncio.wait({pending}, timeout=max(0.0, entry.asked_at + patience - loop.time()))
            if pending.done() or not entry.addresses:
                # whoever leaves does not end the question for the others
                await asyncio.shield(pending)
        addresses = entry.addresses
        if entry.failed in addresses:
            return addresses[(addresses.index(entry.failed) + 1) % len(addresses)]
        return addresses[0]

    async def _ask(self, entry: _Entry, host: str, port: int) -> None:
        """Ask once for all who want to know, and note the answer also when all of them have left."""
        loop = asyncio.get_running_loop()
        try:
            found = await self._lookup(host, port)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, f"{host} has no address")
            entry.addresses, entry.good_until = found, loop.time() + self.ttl
        except OSError as error:
            is_unknown = isinstance(error, socket.gaierror) and error.errno in UNKNOWN_NAME
            if is_unknown or not entry.addresses:
                entry.addresses = []
                raise
            # the name server is away, the daemon need not be
            entry.good_until = loop.time() + STALE_FOR
        finally:
            entry.pending = None

    def failed(self, host: str, address: str) -> None:
        """Hear that a connection to an address failed: look the name up again, and take the next one."""
        entry = self._entries.get(host)
        if entry is not None:
            entry.good_until = 0.0
            entry.failed = address

    def close(self) -> None:
        """Ask nobody any more."""
        for entry in self._entries.values():
            if entry.pending is not None:
                entry.pending.cancel()


def _heard(task: "asyncio.Task[None]") -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
