"""What the mirror tells about a wallet's daemons: what they derived, and who lists other addresses.

Rule: a state is told once, when it begins; what is counted is told each time.
"""

import asyncio

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool


class Tidings:
    """The events of one wallet's mirror."""

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing told."""
        self.pool = pool
        self.loop = loop
        self.derived = 0
        """Addresses derived so far."""
        self.strangers: set[str] = set()
        """Backends that list other addresses than are known."""
        self.is_blind = False
        """The primary's list cannot be read."""

    def tell_derived(self, backend: Backend, addresses: int, began: float) -> None:
        """Say how many addresses a daemon derived, since when (loop time)."""
        self.derived += addresses
        took = round(self.loop.time() - began, 3)
        # one address for each allocation is the daily bread and would fill the log
        level = "debug" if addresses == 1 and backend is not self.pool.primary else "info"
        fields: dict[str, object] = {"addresses": addresses, "took": took}
        self.pool.emit(Event("mirror.derived", self.pool.name, backend.name, fields, level))

    def tell_stranger(self, backend: Backend, held: list[str], wanted: list[str]) -> None:
        """Say once that a daemon lists another address at the same place: it holds another seed."""
        self.pool.lose_alignment(backend, "lists other addresses than the primary")
        self.pool.mark_stranger(backend, is_stranger=True)
        if backend.name in self.strangers:
            return
        self.strangers.add(backend.name)
        place = next(i for i, (one, other) in enumerate(zip(held, wanted, strict=False)) if one != other)
        self.pool.emit(Event("backend.diverged", self.pool.name, backend.name, {"first_index": place}, level="error"))

    def is_kin(self, backend: Backend) -> None:
        """Hear that a daemon lists what is known."""
        self.strangers.discard(backend.name)
        self.pool.mark_stranger(backend, is_stranger=False)

    def tell_lost(self, primary: Backend, missing: int) -> None:
        """Say that told addresses are not to be found again."""
        fields: dict[str, object] = {"addresses": missing}
        self.pool.emit(Event("mirror.address_lost", self.pool.name, primary.name, fields, level="error"))

    def tell_blind(self, primary: Backend, reason: str) -> None:
        """Say once that the primary's list cannot be read, so that nothing can be compared."""
        if not self.is_blind:
            self.is_blind = True
            self.pool.emit(Event("mirror.blind", self.pool.name, primary.name, {"reason": reason}, level="error"))
