"""Keeps the change addresses of each daemon level with those of the one that has most of them.

Rule: a daemon that cannot see a change address in use neither signs nor answers for the wallet; and each has an unused
one in stock, so that it sees the next payment of another daemon with its change.  Change addresses are derived by
payments alone, so one that lacks some is asked for an unsigned payment to the wallet itself, which derives the next
one, spends nothing and goes nowhere.

To be late by one payment can be too late: whose only coin went to a change address that it does not see can put no
payment together any more, and `ec-gateway reinit` is the cure.  A daemon that has an unused one in stock derives none,
however often it is asked; it is blind to nothing then.
"""

import asyncio

import msgspec

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Method
from gateway.supervision.upkeep import DeniedError, Upkeep

UNUSED = b"[false, true, false, false, true, false, true]"
"""Parameters that list unused change addresses, each with what it holds."""

AMOUNT = "0.00001"
"""What the unsigned payment is about, in coins: above dust, below notice."""

AT_ONCE = 100
"""Change addresses derived in one go."""

HEARING = 0.25
"""Seconds in which a daemon hears that the address it has just derived is in use."""

TRIES = 3
"""How often a daemon that derives none is asked again before it counts as having one in stock."""

AGAIN = 5.0
"""Seconds until a daemon that could make no payment is asked again."""


class Horizon:
    """The change addresses of one wallet."""

    def __init__(self, pool: Pool, upkeep: Upkeep) -> None:
        """Have counted nothing."""
        self.pool = pool
        self.upkeep = upkeep
        self.derived = 0
        """Change addresses derived on daemons so far."""
        self._counts: dict[Backend, int] = {}
        self._stock: dict[Backend, int] = {}
        """How many change addresses without history each daemon has."""
        self._level_to: dict[Backend, int] = {}
        """Up to which count a daemon is blind to nothing, though it lists fewer."""
        self._refused_at: dict[Backend, float] = {}
        self._most = 0
        self._told: set[Backend] = set()

    @property
    def is_kept(self) -> bool:
        """Whether this wallet family has payments that can be left unsigned."""
        return self._payment() is not None

    def lost(self, backend: Backend) -> None:
        """Hear that a daemon may have lost what it had not saved."""
        for known in (self._counts, self._stock, self._level_to, self._refused_at):
            known.pop(backend, None)

    def count(self, backend: Backend) -> int | None:
        """Return up to how many change addresses a daemon sees; None where it was not counted."""
        listed = self._counts.get(backend)
        return None if listed is None else max(listed, self._level_to.get(backend, 0))

    def is_behind(self, backend: Backend) -> bool:
        """Whether a daemon may be blind to a change address that another one in service sees."""
        if not self.is_kept:
            return False
        seen = self.count(backend)
        if seen is None:
            return True
        others = (self.count(one) for one in self.pool.backends if one is not backend and one.phase.is_serving)
        return seen < max((count for count in others if count is not None), default=0)

    def lacks(self, backend: Backend) -> bool:
        """Whether a daemon has none in stock, or fewer than were ever seen, and is worth asking for more now."""
        seen = self.count(backend)
        refused_at = self._refused_at.get(backend)
        is_resting = refused_at is not None and self.upkeep.loop.time() - refused_at < AGAIN
        is_short = seen is not None and (seen < self._most or not self._stock.get(backend))
        return self.is_kept and is_short and not is_resting

    async def look(self, backend: Backend) -> list[str]:
        """Count the change addresses of a daemon and return them.  Raises NoAnswerError."""
        listed = await self.upkeep.listed(backend, change=True)
        method = self.upkeep.profile.methods[self.upkeep.profile.list_addresses]
        unused = await self.upkeep.read(backend, method, list[tuple[str, str]], UNUSED)
        self._counts[backend] = len(listed)
        # one that holds coins counts as unused for the daemon, but is not
        self._stock[backend] = sum(not text.strip("0.,") for _, text in unused)
        self._most = max(self._most, len(listed))
        if len(listed) >= self._most:
            self._told.discard(backend)
        return listed

    async def bring_up(self, backend: Backend) -> None:
        """Make a daemon derive the change addresses that it lacks.  Raises NoAnswerError."""
        began, listed, tries = self.upkeep.loop.time(), await self.look(backend), 0
        before = len(listed)
        while listed and self._is_short(backend) and tries < TRIES and len(listed) - before < AT_ONCE:
            try:
                await self._pay_nobody(backend, listed[0])
            except DeniedError:
                self._refused_at[backend] = self.upkeep.loop.time()
                self._tell_behind(backend, self._most - len(listed))
                break
            had = len(listed)
            listed = await self.look(backend)
            if len(listed) == had:
                tries += 1
                await asyncio.sleep(HEARING)
            else:
                tries = 0
        else:
            self._refused_at.pop(backend, None)
            if tries == TRIES or not listed:
                # what it has not derived by now it does not need
                self._level_to[backend] = self._most
                self._refused_at[backend] = self.upkeep.loop.time()
        if len(listed) > before:
            self._tell_derived(backend, len(listed) - before, began)

    def _is_short(self, backend: Backend) -> bool:
        # it may have been lost from sight while this waited
        return backend in self._counts and (self._counts[backend] < self._most or not self._stock[backend])

    async def _pay_nobody(self, backend: Backend, address: str) -> None:
        method = self._payment()
        assert method is not None  # noqa: S101 - `lacks` asked for it
        # by name: only so does the daemon see that no password is needed
        params = {"destination": address, "amount": AMOUNT, "unsigned": True}
        await self.upkeep.ask(backend, method, msgspec.json.encode(params))

    def _payment(self) -> Method | None:
        wanted = {"destination", "amount", "unsigned"}
        rows = self.upkeep.profile.methods.values()
        return next((row for row in rows if row.role == "payment" and wanted <= set(row.params)), None)

    def _tell_derived(self, backend: Backend, addresses: int, began: float) -> None:
        self.derived += addresses
        took = round(self.upkeep.loop.time() - began, 3)
        level = "debug" if addresses == 1 else "info"
        fields: dict[str, object] = {"addresses": addresses, "took": took}
        self.pool.emit(Event("change.derived", self.pool.name, backend.name, fields, level))

    def _tell_behind(self, backend: Backend, missing: int) -> None:
        """Say once that a daemon cannot be brought up; one that only has none in stock may be without money."""
        if backend in self._told or missing <= 0:
            return
        self._told.add(backend)
        remedy = f"if it lasts, `ec-gateway reinit {backend.name}` gives it another daemon's wallet file"
        fields: dict[str, object] = {"missing": missing, "remedy": remedy}
        self.pool.emit(Event("backend.change_behind", self.pool.name, backend.name, fields, "warning"))
