"""Keeps the ledger's list of addresses and the pool in step with what the daemons list.

Rule: the ledger learns of an address when every daemon in service lists it, and not before; so whatever is handed
out, no daemon in service is blind to it.  The list of a wallet that was never met is taken over whole, as given out
by others: without a word where nobody used the wallet, by an operator's order else.

The mirror does the asking and deriving; this says how many addresses there should be, and writes down what is there.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from gateway.base.errors import Failure
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import addresses, epochs
from gateway.ledger.epochs import ADOPTED, NEW, UNADOPTED
from gateway.ledger.store import Ledger, LedgerError
from gateway.profiles import Method, Profile
from gateway.rules.adoption import is_fresh
from gateway.rules.cashaddr import bare
from gateway.rules.lifecycle import Phase
from gateway.supervision.mirror import NotNow
from gateway.upstream.questions import CallOn

PATIENCE = 10.0
"""Seconds that one question to a daemon may take, queueing included."""

LOOK_FOR_USE = 10.0
"""Seconds between two looks at whether somebody else uses the pool's addresses."""

FIRST_LOOK = 5.0
"""Seconds for which a wallet that is met for the first time waits for daemons that have not come up yet: one of them
may have given out addresses that the primary does not list."""

REFILL_BELOW = 2 / 3
"""The share of the pool below which it is filled up, so that not every allocation costs a derivation."""


class Keeper:
    """The addresses of one wallet.

    Args:
        call_on: makes one upkeep call on one backend.
        size: of the pool.
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, profile: Profile, ledger: Ledger, call_on: CallOn, size: int,
        clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Know nothing; `load` reads the ledger."""
        self.pool = pool
        self.profile = profile
        self.ledger = ledger
        self.call_on = call_on
        self.size = size
        self.clock = clock
        self.loop = loop
        self.state = NEW
        self.prefix = ""
        """How the daemon begins the addresses that it lists: `bchreg:`, or nothing."""
        self.known = 0
        """Addresses in the ledger."""
        self.free = 0
        """Those of them that wait in the pool."""
        self._was_compared = False
        """A list was compared with the ledger's since the start."""
        self._filled = asyncio.Event()
        self._looks_until: float | None = None
        """When first contact waits no more for daemons that are starting."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<Keeper {self.pool.name} {self.state} known={self.known} free={self.free}/{self.size}>"

    def load(self, connection: Connection) -> list[str]:
        """Read what the ledger has and return its list; runs inside a transaction of the start."""
        name = self.pool.name
        standing = epochs.current(connection, name)
        if standing is not None:
            self.state = standing.state
            self._note_prefix(standing.fingerprint)
        listed = addresses.listed(connection, name)
        self.known, self.free = len(listed), addresses.in_pool(connection, name)
        return listed

    # -- what the mirror asks and tells -------------------------------------------------------------------

    def wanted(self) -> int:
        """Return how many addresses the primary should list; 0 while there is nothing to fill."""
        if self.state != ADOPTED:
            return 0
        return self.known + max(0, self.size - self.free)

    async def met(self, primary: Backend, listed: list[str]) -> None:
        """Take over a fresh wallet that was never met.  `listed` is with prefixes.

        Every daemon in service is asked: invoices, labels and addresses that nobody paid to are each one's own.

        Raises:
            NotNow: it could not be found out whether it is fresh.
            LedgerError: it could not be written down.
        """
        if self.state != NEW or not listed:
            return
        if self._looks_until is None:
            self._looks_until = self.loop.time() + FIRST_LOOK
        unseen = [one.name for one in self.pool.backends if one.phase is Phase.STARTING]
        if unseen and self.loop.time() < self._looks_until:
            raise NotNow(f"{', '.join(unseen)} may know more of the wallet and is not yet in service")
        lists = await self._lists(primary, listed)
        used = [one.name for one, held in lists.items() if not await self._is_fresh(one, held)]
        longest = max(lists.values(), key=len)
        if self.state != NEW:
            return  # an operator's order came between
        if not used:
            await self._take_over(longest, "fresh")
        elif await self._settle(UNADOPTED, listed[0]):
            fields: dict[str, object] = {"listed": len(longest), "used": ", ".join(used), "remedy": self.remedy}
            self.pool.emit(Event("wallet.not_adopted", self.pool.name, primary.name, fields, "error"))

    async def _lists(self, primary: Backend, listed: list[str]) -> dict[Backend, list[str]]:
        """Return what each daemon in service lists, with prefixes; other seeds are left out.  Raises NotNow."""
        lists, method = {primary: listed}, self.profile.methods[self.profile.list_addresses]
        for one in self.pool.backends:
            if one is primary or not one.phase.is_serving:
                continue
            held = await self.ask(one, method, self.profile.list_params)
            texts = [text for text in held if isinstance(text, str)] if isinstance(held, list) else []
            shorter = min(len(texts), len(listed))
            if shorter and list(map(bare, texts[:shorter])) == list(map(bare, listed[:shorter])):
                lists[one] = texts
        return lists

    async def _is_fresh(self, backend: Backend, listed: list[str]) -> bool:
        """Return whether a daemon shows no use of its wallet.  Raises NotNow."""
        calls = self.profile.first_contact
        answers = [await self.ask(backend, method, params) for method, params in calls]
        return bool(calls) and is_fresh(len(listed), answers)

    async def mirrored(self, listed: list[str], ours: set[str]) -> bool:
        """Hear that every daemon in service lists these addresses (bare): what is new among them is written down.

        Those that were derived for the pool, as `ours` says, fill it.  Any other came about without us: somebody
        asked a daemon for it, or it was handed out before an older ledger was put back.  It counts as given out.
        So does the whole pool where the first list after a start shows such addresses: of an older ledger nobody
        knows which of its pool were handed out since.
        Return whether it is written down; not where a promotion came between.

        Raises LedgerError, or NotNow when the primary did not say which of them are in use.
        """
        fresh = listed[self.known :]
        if self.state != ADOPTED:
            return False
        if not fresh:
            self._was_compared = True
            return True
        name, epoch, known = self.pool.name, self.pool.epoch, self.known
        strays = set(fresh) - ours
        not_free = strays | await self._in_use(self.pool.primary)
        may_be_older = bool(strays) and not self._was_compared

        def work(connection: Connection) -> bool:
            if not epochs.is_current(connection, name, epoch) or addresses.count(connection, name) != known:
                return False
            if may_be_older:
                addresses.burn(connection, name, addresses.pooled(connection, name), self.clock())
            addresses.add(connection, name, fresh, addresses.POOL, epoch, self.clock())
            addresses.burn(connection, name, not_free & set(fresh), self.clock())
            return True

        is_written, self.known, self.free = await self.ledger.run(
            lambda c: (work(c), addresses.count(c, name), addresses.in_pool(c, name))
        )
        if not is_written:
            return False
        self._was_compared = True
        if strays:
            fields: dict[str, object] = {"addresses": len(strays), "pool_given_up": may_be_older}
            self.pool.emit(Event("address.foreign", name, "", fields, "warning"))
        if self.free:
            self._filled.set()
        if self.free < self.size:
            # not all of it was for the pool, and whoever waits for an address must not wait for the next round
            self.pool.on_compare()
        return True

    async def watch(self) -> None:
        """Look for ever, on every daemon, whether somebody uses addresses that wait in the pool."""
        while True:
            await asyncio.sleep(LOOK_FOR_USE)
            for backend in [one for one in self.pool.backends if one.phase.is_serving]:
                with suppress(NotNow, LedgerError):
                    await self._burn(backend, await self._in_use(backend))

    async def _burn(self, backend: Backend, in_use: set[str]) -> None:
        """Take out of the pool what shows use on a daemon.  Raises LedgerError."""
        name = self.pool.name

        def work(connection: Connection) -> tuple[int, int]:
            burnt = addresses.burn(connection, name, addresses.pooled(connection, name) & in_use, self.clock())
            return burnt, addresses.in_pool(connection, name)

        if not in_use:
            return
        burnt, left = await self.ledger.run(work)
        self.took(left)
        if burnt:
            self.pool.emit(Event("address.burnt", name, backend.name, {"addresses": burnt}, "error"))

    async def _in_use(self, backend: Backend) -> set[str]:
        """Return the receiving addresses (bare) that show history or a request on a daemon; raises NotNow.

        Whoever made those is not this gateway: its invoices are the ledger's, and what it gave out is in no pool.
        """
        listing = self.profile.methods[self.profile.list_addresses]
        found: set[str] = set()
        if {"receiving", "unused", "funded"} <= set(listing.params):
            listed = await self._texts(backend, listing, self.profile.list_params)
            unused = await self._texts(backend, listing, b'{"receiving": true, "unused": true}')
            funded = await self._texts(backend, listing, b'{"receiving": true, "funded": true}')
            # the daemon calls an address used when its coins are spent, and funded while they are not
            found = (listed - unused) | funded
        for method in self.profile.methods.values():
            if method.role == "invoice_list":
                requests = await self.ask(backend, method, b"[]")
                items = requests if isinstance(requests, list) else []
                asked = (one.get("address") for one in items if isinstance(one, dict))
                found |= {bare(one) for one in asked if isinstance(one, str)}
        return found

    async def _texts(self, backend: Backend, method: Method, params: bytes) -> set[str]:
        answer = await self.ask(backend, method, params)
        return {bare(one) for one in answer if isinstance(one, str)} if isinstance(answer, list) else set()

    # -- what allocations ask and tell --------------------------------------------------------------------

    def took(self, left: int) -> None:
        """Hear that an address was handed out and how many are left."""
        self.free = left
        if not left:
            self._filled.clear()
        if left <= self.size * REFILL_BELOW:
            self.pool.on_compare()

    async def wait(self, deadline: float) -> bool:
        """Wait until there is something in the pool; False when the deadline (loop time) came first."""
        if self.free:
            return True
        self._filled.clear()
        self.pool.on_compare()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._filled.wait()
        return self.free > 0

    @property
    def remedy(self) -> str:
        """What an operator does about a wallet that was used before."""
        return f"`ec-gateway ledger adopt -c FILE --wallet {self.pool.name}` takes its addresses over, once"

    # -- adoption -------------------------------------------------------------------------------------------

    async def adopt(self, listed: list[str], also: Callable[[Connection], None] = lambda _connection: None) -> str:
        """Take over a used wallet by an operator's order; return a sentence about it.

        One that was adopted before is adopted again: an older ledger was put back, and what waits in its pool may
        have been given out since.

        Args:
            listed: the primary's receiving addresses with prefixes; where another daemon lists more, those count.
            also: writes what else is taken over, in the same transaction.

        Raises LedgerError, or NotNow when a daemon in service does not say what it lists.
        """
        if not listed:
            raise NotNow(f"{self.pool.primary.name} lists no addresses yet; nothing was adopted, try it again later")
        longest = max((await self._lists(self.pool.primary, listed)).values(), key=len)
        await self._take_over(longest, "adopted", also)
        return f"the wallet {self.pool.name} is adopted: {len(longest)} addresses count as given out"

    async def _take_over(
        self, listed: list[str], how: str, also: Callable[[Connection], None] = lambda _connection: None
    ) -> None:
        name, epoch = self.pool.name, self.pool.epoch

        def work(connection: Connection) -> tuple[int, int]:
            known = addresses.listed(connection, name)
            shown = [bare(one) for one in listed]
            shorter = min(len(known), len(shown))
            if known[:shorter] != shown[:shorter]:
                raise LedgerError(f"the ledger knows other addresses of the wallet {name} than its daemon lists")
            addresses.burn(connection, name, addresses.pooled(connection, name), self.clock())
            addresses.add(connection, name, shown[len(known) :], addresses.FOREIGN, epoch, self.clock())
            also(connection)
            epochs.settle(connection, name, ADOPTED, listed[0])
            return addresses.count(connection, name), addresses.in_pool(connection, name)

        self.known, self.free = await self.ledger.run(work)
        self.state = ADOPTED
        self._note_prefix(listed[0])
        fields: dict[str, object] = {"how": how, "addresses": len(listed)}
        if unseen := [one.name for one in self.pool.backends if not one.phase.is_serving]:
            # addresses that only these gave out are not among them
            fields["not_asked"] = ", ".join(unseen)
        self.pool.emit(Event("wallet.adopted", name, "", fields, "warning" if unseen else "info"))
        self.pool.on_compare()

    async def _settle(self, state: str, first: str) -> bool:
        """Write down how first contact went; False where an operator's order was faster."""
        name = self.pool.name

        def work(connection: Connection) -> bool:
            standing = epochs.current(connection, name)
            if standing is None or standing.state != NEW:
                return False
            epochs.settle(connection, name, state, first)
            return True

        if not await self.ledger.run(work):
            return False
        self.state = state
        self._note_prefix(first)
        return True

    def _note_prefix(self, first: str) -> None:
        self.prefix = first[: len(first) - len(bare(first))]

    async def ask(self, backend: Backend, method: Method, params: bytes) -> object:
        """Return the decoded answer of a daemon to one question.  Raises NotNow."""
        answer = await self.call_on(backend, method, params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure) or answer.result is None:
            raise NotNow(f"{backend.name} did not answer {method.name}")
        try:
            found: object = msgspec.json.decode(answer.result)
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} answered {method.name} with {error}") from None
        return found
