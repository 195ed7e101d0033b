"""Invoices, served from the ledger in the daemon's own words.

Rule: the address and its invoice are one transaction, and only then the answer leaves; no daemon is asked for anything,
so invoices outlive every daemon, cannot collide and work while all of them are down.  How far they are paid is what
supervision/receipts.py last wrote down.  An invoice whose caller was told that there is none is none.  Long lists are
read and written out a page at a time on the ledger's thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import INVALID_PARAMS, OUTCOME_UNKNOWN, READ_ONLY, RESULT_WITHHELD, Failure, Kind
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.flow.desk import Handler
from gateway.ledger import invoices
from gateway.ledger.invoices import Kept
from gateway.ledger.marks import Change
from gateway.ledger.store import Ledger, LedgerError, UncertainError
from gateway.rules import cashaddr
from gateway.rules.arguments import arguments
from gateway.rules.invoices import NOT_FOUND, Asked, Invoice, Named, named, read, state, told, wanted
from gateway.rules.methods import Granted

T = TypeVar("T")

AGAIN = 1.0
"""Seconds until an invoice is withdrawn once more, where the ledger could not."""

TRIES = 600
"""How often that is tried; a gateway that stops does not wait for it."""


class HandOut(Protocol):
    """Who gives out addresses: the allocator."""

    def __call__(
        self, client: str, method: str, deadline: float, also: Callable[[Connection, str, float], None]
    ) -> Awaitable[str | Failure]:
        """Take an address (bare) out of the pool by a deadline in loop time; `also` writes in the same transaction."""


class Invoices:
    """The invoices of one wallet.

    Args:
        hand_out: takes addresses out of the pool.
        prefix: how the daemon begins the addresses that it lists: `bchreg:`, or nothing.
        tip: height of the newest block that is known.
        clock: seconds since 1970.
        unknown: why the invoices that the wallet may have of its own are not known, and the way out; "" when they are.
        on_added: called when an invoice was made: there is something to wait for.
        on_marked: hears of each label that was set or taken away, and of no backend ("") where it is true already.
    """

    def __init__(
        self, pool: Pool, ledger: Ledger, hand_out: HandOut, prefix: Callable[[], str], tip: Callable[[], int],
        clock: Callable[[], float], unknown: Callable[[], str] = lambda: "",
        on_added: Callable[[], None] = lambda: None,
        on_marked: Callable[[str, Change], None] = lambda _backend, _change: None,
    ) -> None:  # fmt: skip
        """Serve what the ledger has."""
        self.pool = pool
        self.ledger = ledger
        self.hand_out = hand_out
        self.prefix = prefix
        self.tip = tip
        self.clock = clock
        self.unknown = unknown
        self.on_added = on_added
        self.on_marked = on_marked
        self._network: str | None = None
        """Learnt from the first address, where the daemon lists them without prefix."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who answers the calls of each role."""
        return {
            "invoice_add": self.add,
            "invoice_get": self.get,
            "invoice_list": self.list_,
            "invoice_remove": self.remove,
            "invoice_clear": self.clear,
        }

    # -- calls --------------------------------------------------------------------------------------------

    async def add(self, client: Client, granted: Granted, deadline: float, _key: str | None) -> Answer | Failure:
        """Make an invoice on the next address of the pool; `addrequest`."""
        try:
            asked = read(arguments(granted.method, granted.params))
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error), is_safe=False)
        work = _Adding(self.pool.name, client.name, asked)
        given = await self.hand_out(client.name, granted.method.name, deadline, work)
        if isinstance(given, Failure):
            if given.kind is RESULT_WITHHELD and work.invoice is not None:
                # it may have been written down all the same, and nobody would ever ask for it; or not, and then its
                # address may be somebody else's by now
                await self._withdraw(client.name, work.invoice.id, work.invoice.address, work.at)
            return given
        assert work.invoice is not None  # noqa: S101 - written in the transaction that gave the address
        if work.change is not None:
            self.on_marked("", work.change)
        self.on_added()
        kept = Kept(work.invoice, 0, "")
        return Answer(self._told(kept), None)

    async def get(self, _client: Client, granted: Granted, _deadline: float, _key: str | None) -> Answer | Failure:
        """Tell of the invoice of an address; `getrequest`."""
        found = self._named(granted)
        if isinstance(found, Failure):
            return found
        name = self.pool.name

        def work(connection: Connection) -> bytes | None:
            kept = invoices.find(connection, name, found.addresses)
            return None if kept is None else self._told(kept)

        result = await self._run(work)
        if isinstance(result, Failure):
            return result
        if result is None and not found.is_address:
            return self._no_address(granted, found)
        return Answer(None, NOT_FOUND) if result is None else Answer(result, None)

    async def list_(self, _client: Client, granted: Granted, _deadline: float, _key: str | None) -> Answer | Failure:
        """List the invoices in the order of their addresses, all or those of one state; `listrequests`."""
        try:
            status = wanted(arguments(granted.method, granted.params))
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error), is_safe=False)
        listed: list[bytes] = []
        after: int | None = -1
        while after is not None:
            found = await self._run(self._page(after, status))
            if isinstance(found, Failure):
                return found
            after, told_here = found
            listed += told_here
        return Answer(b"[%b]" % b", ".join(listed), None)

    async def remove(self, _client: Client, granted: Granted, _deadline: float, _key: str | None) -> Answer | Failure:
        """Forget an invoice, but never its address; `rmrequest`."""
        found = self._named(granted)
        if isinstance(found, Failure):
            return found
        name, at = self.pool.name, self.clock()
        result = await self._run(lambda connection: invoices.remove(connection, name, found.addresses, at))
        if isinstance(result, Failure):
            return result
        was_there, changes = result
        if not was_there and not found.is_address:
            return self._no_address(granted, found)
        self._tell_marked(changes)
        return Answer(b"true" if was_there else b"false", None)

    async def clear(self, _client: Client, granted: Granted, _deadline: float, _key: str | None) -> Answer | Failure:
        """Forget the invoices that there are now; `clearrequests`."""
        try:
            arguments(granted.method, granted.params)
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error), is_safe=False)
        name, at = self.pool.name, self.clock()
        until = await self._run(lambda connection: invoices.last_place(connection, name))
        if isinstance(until, Failure):
            return until
        after: int | None = -1
        while after is not None:
            result = await self._run(partial(invoices.clear, wallet=name, after=after, until=until, at=at))
            if isinstance(result, Failure):
                gone = f"some of them are removed by now, and the rest is not ({result.message})"
                return result if after == -1 else self._failure(OUTCOME_UNKNOWN, gone)
            after, changes = result
            self._tell_marked(changes)
        return Answer(b"null", None)

    async def withdraw(self, client: Client, answer: Answer) -> None:
        """Take an invoice back whose caller was told that there is none: his deadline came before the ledger."""
        made = msgspec.json.decode(answer.result or b"{}", type=_Made)
        await self._withdraw(client.name, made.id, cashaddr.bare(made.address), None)

    async def _withdraw(self, client: str, made: str, address: str, given_at: float | None) -> None:
        """Take an invoice back, if it is there.

        Args:
            made: its id.
            given_at: when its address was given out for it, where nobody knows whether it was.
        """
        name, fields = self.pool.name, {"client": client, "invoice": made}
        for _ in range(TRIES):
            try:
                was_there, changes = await self.ledger.run(
                    lambda c: invoices.withdraw(c, name, address, made, given_at, self.clock())
                )
            except LedgerError:
                await asyncio.sleep(AGAIN)
                continue
            self._tell_marked(changes)
            if was_there:
                self.pool.emit(Event("invoice.withdrawn", name, "", dict(fields), "warning"))
            return
        fields["remedy"] = "its caller was told that there is none; remove it with rmrequest"
        self.pool.emit(Event("invoice.not_withdrawn", name, "", dict(fields), "error"))

    # -- words --------------------------------------------------------------------------------------------

    def _page(self, after: int, status: str | None) -> Callable[[Connection], tuple[int | None, list[bytes]]]:
        """Return what reads and writes out one page of invoices behind a place, and says where the next begins."""

        def work(connection: Connection) -> tuple[int | None, list[bytes]]:
            page = invoices.page(connection, self.pool.name, after)
            listed = [self._told(kept, status) for kept in page]
            following = page[-1].place if len(page) == invoices.AT_ONCE else None
            return following, [one for one in listed if one]

        return work

    def _told(self, kept: Kept, status: str | None = None) -> bytes:
        """Return an invoice as the daemon writes it; b"" where another status is wanted."""
        found = state(kept.invoice, kept.receipts, self.tip(), self.clock())
        if status not in {None, found.status}:
            return b""
        return told(kept.invoice, found, self.prefix(), self._network_of(kept.invoice.address))

    def _network_of(self, address: str) -> str | None:
        """Return the network of the wallet: the prefix of its addresses, or what their checksums say."""
        if prefix := self.prefix():
            return prefix.rstrip(":")
        if self._network is None:
            self._network = cashaddr.network_of(address)
        return self._network

    def _named(self, granted: Granted) -> Named | Failure:
        """Return which invoice is meant by the only argument of a call."""
        method = granted.method
        try:
            return named(
                method.params[0], arguments(method, granted.params), self.prefix().rstrip(":") or self._network
            )
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error), is_safe=False)

    def _no_address(self, granted: Granted, found: Named) -> Failure:
        name = granted.method.params[0]
        message = f"{name} is not an address of this wallet's network: {found.addresses[0]}"
        return self._failure(INVALID_PARAMS, message, is_safe=False)

    def _tell_marked(self, changes: list[Change]) -> None:
        for change in changes:
            self.on_marked("", change)

    async def _run(self, work: Callable[[Connection], T]) -> T | Failure:
        """Do one transaction; a wallet whose own invoices the ledger does not know is not spoken for."""
        if why := self.unknown():
            return self._failure(READ_ONLY, why)
        try:
            return await self.ledger.run(work)
        except UncertainError as error:
            return self._failure(OUTCOME_UNKNOWN, f"nobody knows whether it was written down ({error})")
        except LedgerError as error:
            return self._failure(READ_ONLY, f"the ledger, which has the invoices, cannot be used ({error})")

    def _failure(self, kind: Kind, message: str, *, is_safe: bool = True) -> Failure:
        step = "send the same call again" if is_safe else ""
        return Failure(kind, f"{kind.name}: {message}", safe_to_repeat=is_safe, wallet=self.pool.name, next_step=step)


class _Made(msgspec.Struct):
    """What identifies an invoice in an answer."""

    address: str
    id: str


class _Adding:
    """What is written when the address of an invoice leaves the pool; the transaction that counts is the last one."""

    def __init__(self, wallet: str, client: str, asked: Asked) -> None:
        self.wallet = wallet
        self.client = client
        self.asked = asked
        self.at = 0.0
        self.invoice: Invoice | None = None
        self.change: Change | None = None

    def __call__(self, connection: Connection, address: str, at: float) -> None:
        self.at = at
        self.invoice, self.change = invoices.add(connection, self.wallet, self.client, address, self.asked, at)
