"""How one wallet stands in the ledger: never met, used before, taken over, refused.

Rule: the list of a wallet that was never met is taken over whole, as given out by others: without a word where nobody
used the wallet, by an operator's order else.  Where it cannot be taken over, or not be gone on with, nothing is given
out, and the words in `reasons` say why and what the way out is.
"""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import addresses, epochs, listing, takeover
from gateway.ledger.epochs import ADOPTED, DOUBTED, NEW, UNADOPTED
from gateway.ledger.store import LedgerError, Transacting
from gateway.ledger.takeover import OtherSeed, Twin
from gateway.profiles import Profile
from gateway.rules.cashaddr import bare
from gateway.supervision import reasons
from gateway.supervision.contact import Contact
from gateway.supervision.lists import NotNow
from gateway.supervision.looks import Looks
from gateway.upstream.questions import CallOn


class Account:
    """One wallet in the ledger.

    Args:
        call_on: makes one upkeep call on one backend.
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, profile: Profile, ledger: Transacting, call_on: CallOn, clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Know nothing; `load` reads the ledger."""
        self.pool = pool
        self.ledger = ledger
        self.clock = clock
        self.loop = loop
        self.looks = Looks(pool, profile, call_on, loop)
        self.contact = Contact(pool, self.looks, loop)
        self.state = NEW
        self.prefix = ""
        """How the daemon begins the addresses that it lists: `bchreg:`, or nothing."""
        self.known = 0
        """Addresses in the ledger."""
        self.free = 0
        """Those of them that wait in the pool."""
        self.planned = 0
        """Addresses that the ledger says daemons may come to list."""
        self.was_compared = False
        """A list was compared with the ledger's since the start."""
        self._refused = ""
        """Why the wallet is not taken over, or not gone on with."""
        self._astray = ""
        """Why nothing is given out although the wallet was taken over."""

    def load(self, connection: Connection, before: Sequence[str] = ()) -> list[str]:
        """Read what the ledger has and return its list; runs inside a transaction of the start.

        Args:
            before: what was read of the list before, see `listing`.

        Raises LedgerError where the list is another one by now.
        """
        name = self.pool.name
        standing = epochs.current(connection, name)
        if standing is not None:
            self.state, self.planned = standing.state, standing.planned
            self._note_prefix(standing.fingerprint)
            other = epochs.twin(connection, name, standing.fingerprint) if standing.is_adopted else None
            self._refused = reasons.twin(name, other) if other is not None else ""
        listed = listing.whole(connection, name, before)
        self.known, self.free = len(listed), addresses.in_pool(connection, name)
        return listed

    def _note_prefix(self, first: str) -> None:
        self.prefix = first[: len(first) - len(bare(first))]

    # -- what others ask ------------------------------------------------------------------------------------

    @property
    def is_adopted(self) -> bool:
        """Whether the wallet was taken over."""
        return self.state in (ADOPTED, DOUBTED)

    @property
    def trouble(self) -> str:
        """Why the wallet is not taken over, or not gone on with, with the way out; "" when it may be."""
        return self._refused or self._astray

    @property
    def why_no_address(self) -> str:
        """Why nothing may be given out, with the way out; "" when something may, or when nobody was heard of yet."""
        return reasons.no_address(self.state, self.trouble, self.pool.name)

    @property
    def why_no_key(self) -> str:
        """Why no payment may be bound to a key; "" when one may."""
        return reasons.no_key(self.state, self._refused, self.pool.name)

    @property
    def why_no_invoice(self) -> str:
        """Why nobody can be told which invoices there are; "" when that is known."""
        return reasons.no_invoice(self.state, self.trouble, self.pool.name)

    # -- first contact and adoption ---------------------------------------------------------------------------

    async def met(self, primary: Backend, listed: list[str]) -> None:
        """Take over a fresh wallet that was never met.  `listed` is with prefixes.

        Raises:
            NotNow: it could not be found out whether it is fresh.
            LedgerError: it could not be written down.
        """
        if self.state != NEW or not listed:
            return
        met, name = await self.contact.look(primary, listed), self.pool.name
        if self.state != NEW:
            return  # an operator's order came between
        if len(met.sides) > 1:
            self._refuse("wallet.several_seeds", reasons.several_seeds(name, met.sides), sides=met.sides)
        elif not met.used:
            await self._take_over(met.longest, "fresh")
        elif await self._settle(UNADOPTED, listed[0]):
            fields: dict[str, object] = {
                "listed": len(met.longest), "used": ", ".join(met.used), "remedy": reasons.remedy(name),
            }  # fmt: skip
            self.pool.emit(Event("wallet.not_adopted", name, primary.name, fields, "error"))

    async def adopt(self, listed: list[str], also: Callable[[Connection], None] = lambda _connection: None) -> str:
        """Take over a used wallet by an operator's order; return a sentence about it.

        One that was adopted before is adopted again: an older ledger was put back, and what waits in its pool may
        have been given out since.

        Args:
            listed: the primary's receiving addresses with prefixes; where another daemon lists more, those count.
            also: writes what else is taken over, in the same transaction.

        Raises LedgerError, or NotNow when a daemon in service does not say what it lists.
        """
        primary, name = self.pool.primary, self.pool.name
        if not listed:
            raise NotNow(f"{primary.name} lists no addresses yet; nothing was adopted, try it again later")
        mine, *others = await self.looks.by_seed(primary, listed)
        left_out = [one.name for side in others for one in side]
        longest = max(mine.values(), key=len)
        if not await self._take_over(longest, "adopted", also, left_out):
            raise LedgerError(f"{self._refused}; nothing was adopted")
        told = f"the wallet {name} is adopted: {len(longest)} addresses count as given out"
        return f"{told}; {', '.join(left_out)} left out, for they have another seed" if left_out else told

    async def _take_over(
        self, listed: list[str], how: str, also: Callable[[Connection], None] = lambda _connection: None,
        left_out: Sequence[str] = (),
    ) -> bool:  # fmt: skip
        name, epoch, at = self.pool.name, self.pool.epoch, self.clock()
        before = await listing.read(self.ledger, name)
        found = await self.ledger.run(lambda c: takeover.take_over(c, name, listed, epoch, at, also, before))
        if isinstance(found, OtherSeed):
            raise LedgerError(reasons.other_seed(name))
        if isinstance(found, Twin):
            self.meet_twin(found)
            return False
        self.known, self.free = found.known, found.free
        self.state, self._refused, self.was_compared = ADOPTED, "", True
        self._note_prefix(listed[0])
        fields: dict[str, object] = {"how": how, "addresses": len(listed)}
        if unseen := [one.name for one in self.pool.backends if not one.phase.is_serving]:
            # addresses that only these gave out are not among them
            fields["not_asked"] = ", ".join(unseen)
        if left_out:
            fields["other_seed"] = ", ".join(left_out)
        self.pool.emit(Event("wallet.adopted", name, "", fields, "warning" if unseen or left_out else "info"))
        self.pool.on_compare()
        return True

    async def _settle(self, state: str, first: str) -> bool:
        """Write down how first contact went; False where an operator's order was faster, or there is a twin."""
        found = await self.ledger.run(lambda c: takeover.settle(c, self.pool.name, state, first))
        if isinstance(found, Twin):
            self.meet_twin(found)
        if found is not True:
            return False
        self.state, self._refused = state, ""
        self._note_prefix(first)
        return True

    # -- what is told of what goes wrong ----------------------------------------------------------------------

    def meet_twin(self, twin: Twin) -> None:
        """Hear that another wallet of this ledger has the same seed."""
        self._refuse("wallet.twin", reasons.twin(self.pool.name, twin.wallet), other=twin.wallet)

    def _refuse(self, event: str, why: str, **fields: object) -> None:
        """Go on with nothing, and say once why."""
        if self._refused != why:
            self._refused = why
            self.pool.emit(Event(event, self.pool.name, "", {**fields, "reason": why}, "error"))

    def only_strangers(self, names: Sequence[str]) -> None:
        """Hear which daemons list other addresses than the ledger, where none lists these; nobody where one may."""
        why = reasons.only_strangers(self.pool.name, names) if names else ""
        if why and not self._astray:
            fields: dict[str, object] = {"backends": ", ".join(names), "reason": why}
            self.pool.emit(Event("wallet.only_strangers", self.pool.name, "", fields, "error"))
        self._astray = why
