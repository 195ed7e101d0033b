"""One wallet's rooms that stand on the ledger, put together.

Rule: a wallet with a ledger begins a new epoch with each start of a gateway, in the very transaction that reads what
the ledger has; what an earlier process left open is called unknown from then on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from gateway.base.cluster import Ledger as LedgerSettings
from gateway.base.config import Wallet
from gateway.base.effects import Effect
from gateway.base.events import Event
from gateway.fleet.pool import Pool
from gateway.flow.allocate import Allocator
from gateway.flow.carry import carrier
from gateway.flow.desk import Desk
from gateway.flow.held_coins import HeldCoins
from gateway.flow.invoices import Invoices
from gateway.flow.marks import Writes
from gateway.flow.outcome import Outcomes
from gateway.flow.pay import Payments
from gateway.flow.runner import Runner
from gateway.flow.sent import Sent
from gateway.ledger import epochs, intents, listing
from gateway.ledger.held import HeldLedger
from gateway.ledger.opening import open_ledger
from gateway.ledger.payments import all_held
from gateway.ledger.store import LedgerError, Transacting
from gateway.profiles import Profile
from gateway.supervision.adoption import Adoption
from gateway.supervision.clerk import Verb
from gateway.supervision.durability import Judged
from gateway.supervision.election import Election, reloaded_away
from gateway.supervision.keeper import Keeper
from gateway.supervision.mirror import Mirror
from gateway.supervision.receipts import Receipts
from gateway.supervision.reconcile import Reconciler
from gateway.supervision.reinit import Reinit
from gateway.supervision.settle import Settler
from gateway.supervision.upkeep import is_plain_file
from gateway.upstream.questions import Questions

Clock = Callable[[], float]

AGAIN = 1.0
"""Seconds until a background room that failed is begun again."""

LAST_WORDS = 1.0
"""Seconds in which calls under way may still be written down while the gateway stops."""


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger of a gateway and what goes with it.

    Args:
        secret: the key that parameters are compared by.
        clock: seconds since 1970.
    """

    ledger: Transacting
    secret: bytes = field(repr=False)
    clock: Clock
    copied: str = ""
    """Of which moment it is where a backup was put back; "" for the one that was in use."""
    warnings: tuple[str, ...] = ()
    """What about it may lose payments, each in a sentence with the way out."""
    judged: Judged | None = None
    """The same ledger where it is a database, which may begin to lose payments at any time."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms of one wallet."""

    adoption: Adoption
    questions: Questions
    allocator: Allocator
    election: Election
    reconciler: Reconciler
    reinit: Reinit
    receipts: Receipts
    settler: Settler
    desk: Desk


@dataclass(slots=True)
class Money:
    """The money of one wallet."""

    pool: Pool
    book: Book
    keeper: Keeper
    known: list[str]
    """What the ledger listed at the start."""
    held: list[str]
    """Coins that were held then."""
    files: dict[str, str | None] = field(default_factory=dict)
    """The wallet file of each backend that lies on this machine."""
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """The password of the wallet of each backend."""
    rooms: Rooms = field(init=False)
    """Set by `furnish`."""
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the background work."""
        rooms = self.rooms
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("election", rooms.election.run),
            ("use", self.keeper.use.run),
            ("reconciler", rooms.reconciler.run),
            ("receipts", rooms.receipts.run),
            ("settler", rooms.settler.run),
        ]
        self._tasks = [
            loop.create_task(self._keep_running(name, work), name=f"{name}-{self.pool.name}") for name, work in works
        ]

    async def _keep_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a room for ever; one that fails is told and begun again, for the others lean on it."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
                what = f"{type(error).__name__}: {error}"[:500]
                self.pool.emit(Event("room.failed", self.pool.name, "", {"room": name, "error": what}, "error"))
            await asyncio.sleep(AGAIN)

    async def stop(self) -> None:
        """End the background work; what clients began is given a moment to be written down."""
        await self.rooms.reinit.stop()
        await self.rooms.reconciler.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.rooms.desk.end(LAST_WORDS)

    def update(self, wallet: Wallet, profile: Profile) -> None:
        """Take new settings."""
        self.keeper.size = wallet.address_pool
        self.keeper.looks.profile = self.rooms.questions.profile = self.rooms.receipts.profile = profile
        self.rooms.reconciler.update(profile)
        tell_primary(self.pool, wallet)
        self.files.clear()
        self.files.update({one.name: one.wallet_file for one in wallet.backends})
        self.passwords = _passwords(wallet)

    def replace_primary(self, primary: str, names: Collection[str], *, at_once: bool = True) -> str:
        """Begin a new epoch because a reload took the primary away; return who is primary then.

        A promotion that is written and not yet heard of counts, where it chose one that stays.  Where the ledger
        cannot be written, the election does it as soon as it can: until then the ledger is an epoch behind, what the
        old primary still answers is withheld, and nothing is given out.

        Args:
            primary: who is meant.
            names: the backends that stay.
            at_once: write it before this returns; a database may take seconds, in which nothing else is done and the
                lease is not renewed, so that where gateways share the wallet the election writes it.
        """
        name, epoch, at, before = self.pool.name, self.pool.epoch, self.book.clock(), self.pool.primary.name

        def work(connection: Connection) -> tuple[str, int]:
            standing = epochs.current(connection, name)
            if standing is not None and standing.epoch != epoch and standing.primary in names:
                return standing.primary, standing.epoch
            written = epoch if standing is None else standing.epoch
            return primary, epochs.promote(connection, name, primary, written, at) or written

        if not at_once:
            # a promotion that is being written has the next epoch, and in each there is one primary
            self.rooms.election.replaced = before
            self.pool.epoch = epoch + 2
            return primary
        try:
            primary, self.pool.epoch = self.book.ledger.transact(work)
        except LedgerError as error:
            self.pool.emit(Event("primary.cannot_be_promoted", name, primary, {"reason": str(error)}, "error"))
            self.rooms.election.replaced = before
            self.pool.epoch = epoch + 1
        else:
            self.pool.emit(reloaded_away(name, primary, before, self.pool.epoch))
        return primary

    def verbs(self) -> Mapping[str, Verb]:
        """Return what an operator may order for this wallet."""
        return {
            "promote": self.rooms.election.order,
            "adopt": self.rooms.adoption.run,
            "reinit": self.rooms.reinit.run,
        }

    def status(self) -> dict[str, object]:
        """Return what an operator asks about the ledger of a wallet; no address, no key."""
        return {
            "state": self.keeper.state,
            "epoch": self.pool.epoch,
            "addresses": self.keeper.known,
            "pool": self.keeper.free,
            "pool_size": self.keeper.size,
            "error": self.book.ledger.last_error or self.keeper.trouble,
            "took_ms": round(self.book.ledger.timing.last * 1000, 2),
        }

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        wallet = {"wallet": self.pool.name}
        yield "epoch", wallet, float(self.pool.epoch)
        yield "pool_addresses", wallet, float(self.keeper.free)
        yield "pool_target_addresses", wallet, float(self.keeper.size)
        yield "ledger_addresses", wallet, float(self.keeper.known)
        ledger = self.book.ledger
        yield "ledger_failing", wallet, float(bool(ledger.last_error) or ledger.timing.is_stuck)
        yield from self.rooms.settler.gauges()


def open_book(settings: LedgerSettings, clock: Clock, *, is_shared: bool = False) -> Book:
    """Open the ledger of a gateway.

    Args:
        is_shared: with other gateways, so that somebody has to hold the leases in it even where it has lost something.

    Raises:
        MisplacedError: the configuration names a place where it cannot be.
        LedgerError: it cannot be relied on now.
    """
    if settings.url:
        from gateway.ledger.opening_postgres import open_database  # noqa: PLC0415 - a file needs no driver for it

        found = open_database(settings, clock(), may_be_behind=is_shared)
        return Book(found.ledger, found.key, clock, found.copied, found.warnings, found.ledger)
    opened = open_ledger(settings, clock())
    return Book(opened.ledger, opened.key, clock, opened.copied)


def open_money(
    pool: Pool, profile: Profile, runner: Runner, wallet: Wallet, book: Book, loop: asyncio.AbstractEventLoop
) -> Money:
    """Begin a new epoch of a wallet and read what the ledger has of it.  Raises LedgerError."""
    keeper = Keeper(pool, profile, book.ledger, runner.call_on, wallet.address_pool, book.clock, loop)
    before = listing.read_now(book.ledger, pool.name)
    return _begun(pool, wallet, book, keeper, book.ledger.transact(_beginning(pool, wallet, book, keeper, before)))


async def open_money_later(
    pool: Pool, profile: Profile, runner: Runner, wallet: Wallet, book: Book, loop: asyncio.AbstractEventLoop
) -> Money:
    """Do the same while the wallet is in use, without keeping anybody waiting.  Raises LedgerError."""
    keeper = Keeper(pool, profile, book.ledger, runner.call_on, wallet.address_pool, book.clock, loop)
    before = await listing.read(book.ledger, pool.name)
    return _begun(pool, wallet, book, keeper, await book.ledger.run(_beginning(pool, wallet, book, keeper, before)))


Beginning = tuple[epochs.Standing, list[tuple[int, str, str]], list[str], list[str]]
"""How a wallet stands, what an earlier process left open, the addresses that are known, and the coins that are held."""


def _beginning(
    pool: Pool, wallet: Wallet, book: Book, keeper: Keeper, before: list[str]
) -> Callable[[Connection], Beginning]:
    names = [backend.name for backend in pool.backends]
    at = book.clock()
    return lambda c: (
        epochs.begin(c, pool.name, wallet.primary_name, names, at),
        intents.orphans(c, pool.name, at),
        keeper.load(c, before),
        all_held(c, pool.name),
    )


def _begun(pool: Pool, wallet: Wallet, book: Book, keeper: Keeper, beginning: Beginning) -> Money:
    standing, left, known, held = beginning
    if standing.primary not in pool.by_name:
        raise LedgerError(f"{standing.primary} is primary in the ledger and was just taken out of the configuration")
    pool.set_primary(pool.by_name[standing.primary], standing.epoch)
    pool.is_primary_checked = not pool.mirror
    for number, client, method in left:
        fields: dict[str, object] = {"intent": number, "client": client, "method": method}
        pool.emit(Event("call.outcome_unknown", pool.name, "", {**fields, "reason": "the gateway ended"}, "warning"))
    tell_primary(pool, wallet)
    return Money(pool, book, keeper, known, held)


def _passwords(wallet: Wallet) -> dict[str, str]:
    return {one.name: one.wallet_password.get_secret_value() for one in wallet.backends}


def tell_primary(pool: Pool, wallet: Wallet) -> None:
    """Warn where `primary:` names another backend than the ledger: that line counts for a new wallet alone."""
    if wallet.primary is None or wallet.primary == pool.primary.name:
        return
    fields: dict[str, object] = {
        "configured": wallet.primary,
        "reason": "the ledger has a primary already, and `primary:` counts for a wallet that is new to it",
        "remedy": f"`ec-gateway promote {wallet.primary} -c FILE --wallet {pool.name}` makes it primary, once",
    }
    pool.emit(Event("primary.not_as_configured", pool.name, pool.primary.name, fields, "warning"))


def furnish(
    money: Money, mirror: Mirror, runner: Runner, wallet: Wallet, loop: asyncio.AbstractEventLoop, sent: Sent
) -> None:
    """Build the rooms that answer calls and those that watch; `sent` is what the wallet sent before."""
    pool, ledger, clock, keeper = money.pool, money.book.ledger, money.book.clock, money.keeper
    profile, carry = runner.profile, carrier(runner)
    coins = HeldCoins(money.held, sent)
    questions = Questions(profile, runner.call_on, loop)
    money.passwords = _passwords(wallet)
    reconciler = Reconciler(
        pool, profile, ledger, runner.call_on, loop, call_anyway=runner.call_anyway,
        password=lambda name: money.passwords.get(name, ""),
        is_plain=lambda name: is_plain_file(money.files.get(name)),
    )  # fmt: skip
    pool.may_read, pool.on_lost = reconciler.may_read, reconciler.lost
    pool.is_held, pool.times_held = reconciler.is_held, reconciler.times_held
    allocator = Allocator(pool, keeper, ledger, clock, loop)
    receipts = Receipts(pool, profile, ledger, runner.call_on, clock, loop)
    invoices = Invoices(
        pool, ledger, allocator.hand_out, lambda: keeper.prefix, lambda: receipts.tip, clock,
        unknown=lambda: keeper.why_no_invoice,
        on_added=receipts.wake, on_marked=reconciler.marked,
    )  # fmt: skip
    payments = Payments(
        pool, questions, ledger, money.book.secret, carry, clock, loop,
        may_sign=reconciler.may_sign, on_marked=reconciler.marked, on_sent=reconciler.stirred, level=reconciler.level,
        unbound=lambda: keeper.why_no_key, coins=coins,
        is_shared=isinstance(ledger, HeldLedger),
    )  # fmt: skip
    writes = Writes(pool, ledger, carry, clock, on_marked=reconciler.marked)
    settler = Settler(
        pool, questions, ledger, payments.publisher.is_sending, clock, loop,
        on_marked=reconciler.marked, write_late=payments.write_late, coins=coins,
    )  # fmt: skip
    money.files = {one.name: one.wallet_file for one in wallet.backends}
    money.rooms = Rooms(
        adoption=Adoption(pool, keeper, mirror, clock, on_marked=reconciler.marked),
        questions=questions,
        allocator=allocator,
        election=Election(pool, ledger, clock, loop, reconciler.may_sign),
        reconciler=reconciler,
        reinit=Reinit(pool, reconciler.upkeep, money.files.get, reconciler.held, is_held=reconciler.is_held),
        receipts=receipts,
        settler=settler,
        desk=Desk(
            pool.name,
            {
                "address": allocator.handle,
                **invoices.handlers,
                "payment": payments.pay,
                "signature": payments.pay,
                "broadcast": payments.broadcast,
                **dict.fromkeys(("label", "freeze", "unfreeze", "freeze_utxo", "unfreeze_utxo"), writes.handle),
            },
            {Effect.SIGN: payments.pay, Effect.WRITE: writes.handle},
            loop,
            {"gateway.outcome": Outcomes(pool, ledger, money.book.secret, lambda: keeper.why_no_key).handle},
            {"invoice_add": invoices.withdraw},
        ),
    )
