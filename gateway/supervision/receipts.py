"""Watches what is paid to invoices and writes it down.

Rule: what a daemon shows is taken in at once, what it does not show is not believed at once.  A daemon that lags or is
blind shows less than there is; so a payment counts as gone only when the primary, aligned and not behind, has not shown
it since before its newest block, for a minute, and no other aligned daemon shows it either.

Balance and height are cheap, and the history is not: it is read when one of them has moved, and each minute as a
safeguard.  What a new transaction paid is asked of the daemon that shows it, which has it in its own wallet.  While
a payment is waited for, that is a look each second; for late payments to what is expired or paid, each ten seconds.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from gateway.base.errors import Failure
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import invoices
from gateway.ledger.invoices import Moved
from gateway.ledger.store import Ledger, LedgerError
from gateway.profiles import Profile
from gateway.rules.invoices import PAID, PENDING, UNCONFIRMED, Receipt
from gateway.rules.receipts import (
    FINAL,
    Doubt,
    Key,
    Line,
    Paid,
    Shown,
    doubt,
    hexadecimal,
    lines,
    missing,
    news,
    recipients,
    shown,
    values,
)
from gateway.supervision.lists import NotNow
from gateway.upstream.questions import CallOn

T = TypeVar("T")

PERIOD = 1.0
"""Seconds between two looks while a payment is waited for."""

IDLE = 10.0
"""Seconds between two looks while none is."""

SAFEGUARD = 60.0
"""Seconds after which the history is read although nothing moved."""

REST = 10.0
"""Times as long as it took to read the history, until it is read again: a tenth of a daemon's time at the most.

What counts is the shorter of the last two readings.  A daemon that stands still makes one reading long, and no invoice
should wait for ten times of that; a wallet with a long history makes each of them long.
"""

PATIENCE = 10.0
"""Seconds that one question may take, queueing included."""

LOWER = 600.0
"""Seconds for which the chain must be lower than it was before that is believed."""

AT_ONCE = 20
"""Transactions whose payments are written down together."""

ADDRESSES_AT_ONCE = 500
"""Addresses that are looked up together."""

DEEP = 2 * FINAL
"""Blocks on a transaction after which it is looked at no more."""

HISTORY = b'{"show_addresses": true}'

ASKED = ("getbalance", "history", "gettransaction", "deserialize")
"""Methods without which a wallet family's payments cannot be watched."""


class Receipts:
    """The payments to one wallet's invoices.

    Args:
        call_on: makes one upkeep call on one backend.
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, profile: Profile, ledger: Ledger, call_on: CallOn, clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Begin with nothing seen."""
        self.pool = pool
        self.profile = profile
        self.ledger = ledger
        self.call_on = call_on
        self.clock = clock
        self.loop = loop
        self.readings = 0
        """How often the history was read."""
        self._is_open = False
        self._tip = 0
        self._lower_since: float | None = None
        self._wake = asyncio.Event()
        self._seen: tuple[str, bytes, int] | None = None
        """Backend, balance and height that the last reading of the history was for."""
        self._read_at = 0.0
        self._rests_until = 0.0
        self._took = 0.0
        """Seconds that the last reading of the history took."""
        self._doubts: dict[Key, Doubt] = {}
        self._done: set[str] = set()
        """Transactions so deep that nothing about them can change, and written down where they are payments."""

    def __repr__(self) -> str:
        """Status line."""
        waits = "waits" if self._is_open else "idle"
        return f"<Receipts {self.pool.name} {waits} tip={self._tip} doubts={len(self._doubts)}>"

    @property
    def tip(self) -> int:
        """Height of the newest block that is known, 0 before any was."""
        primary = self.pool.primary
        return max(self._tip, primary.height or 0) if primary.phase.is_serving else self._tip

    def wake(self) -> None:
        """Hear that there is a new invoice to wait for."""
        self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            with suppress(NotNow, LedgerError):
                await self.look()
            await asyncio.sleep(PERIOD)
            if not self._is_open:
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE - PERIOD):
                        await self._wake.wait()
            self._wake.clear()

    async def look(self) -> None:
        """Look once whether something moved, and write down what was paid.

        Raises:
            NotNow: a daemon did not answer.
            LedgerError: it could not be read or written down.
        """
        name, at = self.pool.name, self.clock()
        self._is_open, is_any = await self.ledger.run(
            lambda connection: (invoices.is_open(connection, name, at), invoices.is_any(connection, name))
        )
        if not is_any or any(one not in self.profile.methods for one in ASKED):
            return
        backend = self._source()
        height = backend.height or 0
        self._note_height(height)
        balance = await self._ask(backend, "getbalance", b"[]")
        seen, now = (backend.name, balance, height), self.loop.time()
        has_moved = seen != self._seen or now >= self._read_at + SAFEGUARD
        if has_moved and now >= self._rests_until:
            await self._read(backend, height)
            self._seen, self._read_at = seen, now

    def _source(self) -> Backend:
        """Return the primary, or else another backend that sees every address; raises NotNow."""
        primary = self.pool.primary
        if primary.takes_wallet_reads:
            return primary
        if not self.pool.aligned:
            raise NotNow("no daemon that sees every address is in service")
        return self.pool.aligned[0]

    def _note_height(self, height: int) -> None:
        """Take in the height of a daemon; the chain does not grow shorter because another one answers."""
        now = self.loop.time()
        if height >= self._tip or (self._lower_since is not None and now - self._lower_since >= LOWER):
            self._tip, self._lower_since = height, None
        elif self._lower_since is None:
            self._lower_since = now

    # -- one reading --------------------------------------------------------------------------------------

    async def _read(self, backend: Backend, height: int) -> None:
        """Read the history of a daemon and write down what it shows.

        Args:
            height: of the daemon, before it was asked.
        """
        began = self.loop.time()
        self.readings += 1
        history = await self._history(backend)
        before, self._took = self._took, self.loop.time() - began
        self._rests_until = self.loop.time() + REST * min(before, self._took)
        open_lines = [one for one in history if one.txid not in self._done]
        paid = await self._paid(open_lines)
        found = shown(open_lines, paid)
        fresh, moved = news(found, paid, is_ahead=height >= self._tip)
        await self._write(backend, moved, [])
        await self._take_in(backend, fresh)
        self._done.update(one.txid for one in open_lines if one.confirmations > DEEP)
        gone, sunk = await self._lost(backend, height, found)
        await self._write(backend, sunk, gone)

    async def _paid(self, found: list[Line]) -> Paid:
        """Return what is known to be paid to the addresses in some lines, a few at a time."""
        name = self.pool.name
        paid: dict[str, dict[str, Receipt]] = {}
        for some in _few(recipients(found), ADDRESSES_AT_ONCE):
            paid |= await self.ledger.run(partial(invoices.watched, wallet=name, among=some))
        return paid

    async def _take_in(self, backend: Backend, fresh: dict[str, dict[str, int]]) -> None:
        """Write down new payments, a few transactions at a time; one that is not told keeps no other waiting.

        Raises NotNow when one was not told.
        """
        untold: NotNow | None = None
        for some in _few(list(fresh.items()), AT_ONCE):
            valued: list[Receipt] = []
            for txid, heights in some:
                try:
                    valued += await self._value(backend, txid, heights)
                except NotNow as error:
                    untold = error
            await self._write(backend, valued, [])
        if untold is not None:
            raise untold

    async def _write(self, backend: Backend, seen: list[Receipt], gone: list[Receipt]) -> None:
        name = self.pool.name
        if seen or gone:
            changed = await self.ledger.run(lambda connection: invoices.receive(connection, name, seen, gone))
            for one in changed:
                self._tell(backend, one)

    async def _value(self, backend: Backend, txid: str, heights: dict[str, int]) -> list[Receipt]:
        """Return what a transaction paid to some addresses, each with the height that is to be written down."""
        raw = await self._ask(backend, "gettransaction", msgspec.json.encode([txid]))
        try:
            told = await self._ask(backend, "deserialize", msgspec.json.encode([hexadecimal(raw)]))
            return values(told, txid, heights)
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} does not tell what {txid} paid: {error}") from None

    # -- payments that are not shown any more -------------------------------------------------------------

    async def _lost(self, backend: Backend, height: int, found: Shown) -> tuple[list[Receipt], list[Receipt]]:
        """Return the payments that are gone, and those that have left their block, after every doubt is answered."""
        if backend is not self.pool.primary or height < self._tip:
            return [], []
        name, above = self.pool.name, height - FINAL
        among = await self.ledger.run(lambda connection: invoices.young(connection, name, above))
        self._doubts, ripe = doubt(self._doubts, missing(found, among), height, self.loop.time())
        paid: Paid = {one.address: {} for one in ripe}
        for other in self.pool.aligned if ripe else ():
            if other is not backend and (other.height or 0) >= self._tip:
                ripe = list(missing(shown(await self._history(other), paid), ripe).values())
        gone = [one for one in ripe if (one.address, one.txid) not in found]
        return gone, [Receipt(one.address, one.txid, one.value, 0) for one in ripe if one not in gone]

    # -- daemons ------------------------------------------------------------------------------------------

    async def _history(self, backend: Backend) -> list[Line]:
        raw = await self._ask(backend, "history", HISTORY)
        try:
            return lines(raw)
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} shows no history: {error}") from None

    async def _ask(self, backend: Backend, name: str, params: bytes) -> bytes:
        answer = await self.call_on(backend, self.profile.methods[name], params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure) or answer.result is None:
            raise NotNow(f"{backend.name} did not answer {name}")
        return answer.result

    def _tell(self, backend: Backend, one: Moved) -> None:
        order = (PENDING, UNCONFIRMED, PAID)
        is_back = order.index(one.after) < order.index(one.before)
        name = "invoice.payment_gone" if is_back else "invoice.paid" if one.after == PAID else "invoice.received"
        fields: dict[str, object] = {"id": one.id, "before": one.before, "after": one.after}
        self.pool.emit(Event(name, self.pool.name, backend.name, fields, "warning" if is_back else "info"))


def _few(many: list[T], size: int) -> Iterable[list[T]]:
    return (many[start : start + size] for start in range(0, len(many), size))
