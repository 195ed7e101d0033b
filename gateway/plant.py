"""One wallet's rooms put together: pool, runner, prober, mirror; and how they take new settings while they run.

Rule: a reload never forgets a call that is under way.  A backend whose settings did not change keeps its
live state, and so does one where only that changed which its calls do not depend on; a changed or removed one is
drained and a new one starts from nothing, busy until a probe answers.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.base.care import Launcher as LauncherSettings
from gateway.base.config import Backend as BackendSettings
from gateway.base.config import Settings
from gateway.base.config import Wallet as WalletSettings
from gateway.base.errors import NO_BACKEND, NOT_HOLDER, OUTCOME_UNKNOWN, LedgerError, OrderError
from gateway.base.events import Emit, Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.breaker import Breaker
from gateway.fleet.pool import Pool
from gateway.flow.runner import Runner, Watcher
from gateway.flow.sent import Sent
from gateway.profiles import Profile
from gateway.profiles import load as load_profile
from gateway.rules.health import Kind, Limits
from gateway.rules.lifecycle import Phase
from gateway.rules.retry import is_repeatable
from gateway.supervision.mirror import Mirror
from gateway.supervision.prober import Prober, ProbeWatcher
from gateway.supervision.supervisor import Supervisor
from gateway.supervision.ward import Links
from gateway.upstream.launchers import Launcher
from gateway.upstream.wire import Target, Wire

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.closed import Closed
    from gateway.flow.desk import Desk
    from gateway.money import Book, Money


MakeLauncher = Callable[[LauncherSettings, str, asyncio.AbstractEventLoop], Launcher]
"""Makes the launcher of a backend from its settings and its name."""

LAST_WORDS = 1.0
"""Seconds in which broadcasts under way may still end while a wallet without its ledger stops."""

CARE_AGAIN = 1.0
"""Seconds until a supervisor that failed is begun again."""


class Watchers(Watcher, ProbeWatcher, Protocol):
    """Who counts attempts and probes."""


@dataclass(slots=True)
class Plant:
    """Everything of one wallet."""

    name: str
    settings: Settings
    profile: Profile
    pool: Pool
    runner: Runner
    prober: Prober
    mirror: Mirror
    targets: dict[str, Target]
    supervisor: Supervisor
    make_launcher: "MakeLauncher"
    sent: Sent
    money: "Money | None" = None
    """What stands on the ledger, where there is one."""
    closed: "Closed | None" = None
    """What is served in its place while the ledger cannot be opened."""
    own_book: "Book | None" = None
    """Where gateways share wallets: the ledger as this holding of the wallet has it."""
    is_over: bool = False
    _is_opening: bool = False
    _mirror_task: "asyncio.Task[None] | None" = None
    _care_task: "asyncio.Task[None] | None" = None
    _closing: "list[asyncio.Task[None]]" = field(default_factory=list)

    def start(self) -> None:
        """Begin to probe and to mirror."""
        self.prober.start()
        self._mirror_or_not()
        if self.money is not None:
            self.money.start(self.runner.loop)
        self._care_task = self.runner.loop.create_task(self._care(), name=f"care-{self.name}")

    def take_over(self) -> None:
        """Know, before the start, that whoever had the wallet has vanished: frozen, it keeps its connections.

        A daemon that it was speaking to waits for it for ever, and is no daemon on its way up: it served a moment ago.
        Once no call of before can be running there any more, silence is a wedge.
        """
        until = self.runner.loop.time() + self.runner.settings.timeouts.server
        for backend in self.pool.backends:
            backend.may_be_silent_until = until

    async def _care(self) -> None:
        """Run the supervisor for ever; when it fails it is told and begun again."""
        while True:
            try:
                await self.supervisor.run()
            except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
                what = f"{type(error).__name__}: {error}"[:500]
                self.pool.emit(Event("room.failed", self.name, "", {"room": "supervisor", "error": what}, "error"))
            await asyncio.sleep(CARE_AGAIN)

    async def save(self) -> None:
        """Let the daemons that end with the gateway save their wallets; nobody restarts them after this."""
        if self._care_task is not None:
            self._care_task.cancel()
            await asyncio.gather(self._care_task, return_exceptions=True)
        await self.supervisor.stop()
        await self.supervisor.save()

    async def stop(self) -> None:
        """End the background work; daemons are left as they stand, but for those whose parent the gateway is."""
        self.is_over = True
        self.prober.stop()
        if self._care_task is not None:
            self._care_task.cancel()
            await asyncio.gather(self._care_task, return_exceptions=True)
        await self.supervisor.stop()
        if self.money is not None:
            await self.money.stop()
        if self.closed is not None:
            await self.closed.desk.end(LAST_WORDS)
        if self._mirror_task is not None:
            self._mirror_task.cancel()
            await asyncio.gather(self._mirror_task, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self.supervisor.let_go()

    def move_on(self) -> None:
        """Let calls of clients of which nothing was sent go where the wallet is held next; the others may end here."""
        runner = self.runner
        for errand in [one for one in runner.errands if one.own is None and not one.may_have_run]:
            runner.queue.remove(errand)
            runner.flights.drop(errand)
            runner.errands.discard(errand)
            for attempt in errand.live:
                attempt.exchange.abort()
            errand.end(errand.failure(NOT_HOLDER, "the wallet goes to another gateway; nothing was sent"))

    def give_up(self, *, moved: bool = False) -> None:
        """Answer everybody who still waits with what is known of his call; what was not sent never will be.

        Args:
            moved: another gateway gets the wallet, and calls that may be made there go after it.
        """
        self.runner.is_closing = True
        for errand in list(self.runner.errands):
            self.runner.queue.remove(errand)
            for attempt in errand.live:
                if not attempt.exchange.sent:
                    attempt.exchange.abort()
            if moved and (not errand.may_have_run or is_repeatable(errand.effect)):
                failure = errand.failure(NOT_HOLDER, "the wallet goes to another gateway; nothing was changed")
            elif errand.may_have_run:
                failure = errand.failure(OUTCOME_UNKNOWN, "the gateway stops before the daemon has answered")
            else:
                failure = errand.failure(NO_BACKEND, "the gateway stops; nothing was sent")
            errand.end(failure)

    @property
    def desk(self) -> "Desk | None":
        """Who answers calls that may change something; None leaves them to the daemons."""
        if self.closed is not None:
            return self.closed.desk
        return None if self.money is None else self.money.rooms.desk

    async def open_ledger(self, book: "Book") -> bool:
        """Give a wallet its ledger, which could not be opened so far; False where it is too late, or somebody is at it.

        Raises LedgerError.
        """
        if self.closed is None or self._is_opening:
            return False
        self._is_opening = True
        try:
            return await self._open_ledger(book)
        finally:
            self._is_opening = False

    async def _open_ledger(self, book: "Book") -> bool:
        from gateway.money import furnish, open_money_later  # noqa: PLC0415 - as above

        book = self.own_book or book
        pool, runner, loop = self.pool, self.runner, self.runner.loop
        wallet = self.settings.wallets[self.name]
        money = await open_money_later(pool, self.profile, runner, wallet, book, loop)
        found = await book.ledger.run(_standing_orders(self.name))
        if self.is_over:
            return False
        wallet = self.settings.wallets[self.name]
        self._end_mirror()
        self.mirror = Mirror(pool, self.profile, runner.call_on, loop, keeper=money.keeper, known=money.known)
        furnish(money, self.mirror, runner, wallet, loop, self.sent)
        self.money, self.closed = money, None
        self.supervisor.link(*_links(runner, money, self.supervisor.links.clock, found))
        # who was whole by what daemons listed may lack what the ledger knows
        for backend in pool.backends:
            pool.lose_alignment(backend, "its ledger is open now")
        pool.doubt_primary()
        self._mirror_or_not()
        money.start(loop)
        return True

    @property
    def calls(self) -> int:
        """Calls of clients under way or waiting; the gateway's own upkeep is nobody's loss and is not waited for."""
        begun = 0 if self.desk is None else len(self.desk.under_way)
        return begun + sum(errand.own is None for errand in self.runner.errands)

    @property
    def immovable(self) -> int:
        """Calls of clients under way that cannot be made again elsewhere: they may have changed something."""
        begun = 0 if self.desk is None else len(self.desk.under_way)
        sent = [one for one in self.runner.errands if one.own is None and one.may_have_run]
        return max(begun, sum(not is_repeatable(errand.effect) for errand in sent))

    def status(self, now: float) -> dict[str, object]:
        """Return what a person asks first about a wallet; no secret, no address."""
        pool, ledger = self.pool, self.closed or self.money
        return {
            "wallet": self.name,
            "profile": self.profile.name,
            "primary": pool.primary.name,
            "panic": pool.is_panicking,
            "waiting": self.runner.queue.waiting,
            "in_flight": len(self.runner.attempts),
            "ledger": None if ledger is None else ledger.status(),
            "backends": [
                {**_backend_status(pool, backend, now), **self.supervisor.status(backend)} for backend in pool.backends
            ],
        }

    def gauges(self, now: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know now: name, labels, value."""
        pool, wallet = self.pool, {"wallet": self.name}
        yield "queue_waiting_calls", wallet, float(self.runner.queue.waiting)
        yield "calls_in_progress", wallet, float(len(self.runner.errands))
        yield "shared_reads_in_progress", wallet, float(len(self.runner.flights))
        yield "retry_budget_tokens", wallet, self.runner.budget.balance(now)
        yield "panic", wallet, float(pool.is_panicking)
        yield "backends_serving", wallet, float(len(pool.serving))
        if self.money is not None:
            yield from self.money.gauges()
        if self.closed is not None:
            yield "ledger_failing", wallet, 1.0
        yield from self.supervisor.gauges()
        for backend in pool.backends:
            labels = {"wallet": self.name, "backend": backend.name}
            yield "backend_up", labels, float(backend.phase.is_serving)
            yield "backend_level", labels, float(backend.level)
            for phase in Phase:
                yield "backend_phase", {**labels, "phase": phase.value}, float(phase is backend.phase)
            for kind in Kind:
                yield "backend_kind", {**labels, "kind": kind.value}, float(kind is backend.diagnosis.kind)
            yield "backend_primary", labels, float(backend is pool.primary)
            yield "backend_aligned", labels, float(pool.is_aligned(backend))
            yield "backend_circuit_open", labels, float(not backend.breaker.is_closed)
            yield "backend_slots_taken", labels, float(len(backend.occupants))
            yield "backend_score", labels, backend.score
            yield "backend_latency_seconds", labels, backend.latency.value(now)
            if backend.height is not None:
                yield "backend_height_blocks", labels, float(backend.height)
            if backend.listed is not None:
                yield "backend_listed_addresses", labels, float(backend.listed)
            since = self.supervisor.links.clock() - (now - backend.since)
            yield "backend_phase_since_timestamp_seconds", labels, float(round(since))

    def why_not_ready(self) -> list[str]:
        """Return why the wallet can take no call now; empty when it can."""
        if any(backend.takes_calls for backend in self.pool.backends):
            return []
        # a backend that is doubted for the moment has no illness yet, and must not be passed over in silence
        return self.what_ails() or ["no backend takes calls at this moment; a probe is under way"]

    def what_ails(self) -> list[str]:
        """Return what is the matter with each backend that is not well, and with the ledger; empty when all are."""
        ailing = [f"{backend.name}: {backend.ailment}" for backend in self.pool.backends if backend.ailment]
        return ailing if self.closed is None else [*ailing, self.closed.ailment]

    def update(self, settings: Settings, targets: dict[str, Target]) -> None:
        """Take new settings for this wallet; calls under way keep those that they began with."""
        wallet = settings.wallets[self.name]
        profile = load_profile(wallet.profile)
        is_same_kind = _kind(profile) == _kind(self.profile)
        before = self.settings.wallets[self.name]
        kept = {one.name: one for one in before.backends}
        now, before_backends = self.runner.loop.time(), dict(self.pool.by_name)
        same_circuit = settings.breaker == self.settings.breaker
        backends: list[Backend] = []
        for one in wallet.backends:
            old = self.pool.by_name.get(one.name)
            if old is not None and _is_same(kept.get(one.name), one) and is_same_kind:
                if not same_circuit:
                    old.breaker = _breaker(settings)
                old.latency.tau = settings.health.ewma
                backends.append(old)
            else:
                backends.append(_backend(one, self.name, settings, profile, now))
        self.settings = settings
        self.profile = self.runner.profile = self.prober.profile = self.mirror.profile = profile
        left_targets = dict(self.targets)
        self.targets.clear()
        self.targets.update(targets)
        self.runner.update(settings)
        self.prober.update(settings.health, settings.timeouts)
        self.pool.update(
            backends,
            primary=self._primary_of(wallet),
            limits=_limits(settings),
            start_grace=wallet.start_grace,
            expect_return=wallet.expect_return,
            slow_start=settings.health.slow_start,
            lag_blocks=settings.health.lag_blocks,
            mirror=wallet.mirror,
        )
        if self.money is not None:
            self.money.update(wallet, profile)
        launchers = _launchers(wallet, self.make_launcher, self.runner.loop, before, self.supervisor.launchers)
        gone = self.supervisor.update(settings, profile, launchers)
        for name, launcher in gone:
            if launcher.takes_along and name in left_targets:
                # its daemon is told to save, though it is no backend any more
                self.targets.setdefault(name, left_targets[name])
        if gone:
            left = [(before_backends.get(name), launcher) for name, launcher in gone]
            self._closing.append(self.runner.loop.create_task(self.supervisor.parting.close(left)))
        self._mirror_or_not()

    # -- what operators order -------------------------------------------------------------------------------

    def restart(self, backend: str, reason: str) -> str:
        """Restart a daemon in the right way, whatever its health; return a sentence.  Raises OrderError."""
        return self.supervisor.orders.restart(backend, reason)

    async def hold(self, backend: str) -> str:
        """Let nothing restart a backend; return a sentence.  Raises OrderError."""
        return await self.supervisor.orders.hold(backend)

    async def release(self, backend: str) -> str:
        """Take back a hold; return a sentence.  Raises OrderError."""
        return await self.supervisor.orders.release(backend)

    async def drain(self, backend: str) -> str:
        """Give a backend no more calls; return a sentence.  Raises OrderError."""
        return await self.supervisor.orders.drain(backend)

    async def undrain(self, backend: str) -> str:
        """Give a backend calls again; return a sentence.  Raises OrderError."""
        return await self.supervisor.orders.undrain(backend)

    async def promote(self, backend: str) -> str:
        """Make a backend the primary; return a sentence.  Raises OrderError."""
        if self.closed is not None:
            raise OrderError(f"nobody is promoted while the ledger is closed: {self.closed.why}")
        if self.money is None:
            place = f"wallets.{self.name}.primary"
            raise OrderError(f"without a ledger the primary is the one of the configuration; change {place} there")
        return await self.money.rooms.election.order(backend)

    def _primary_of(self, wallet: WalletSettings) -> str:
        """Return the primary after a reload: with a ledger the one of now, as long as it is a backend at all."""
        now = self.pool.primary.name
        if self.money is None:
            return wallet.primary_name
        if any(one.name == now for one in wallet.backends):
            return now
        return self.money.replace_primary(
            wallet.primary_name, [one.name for one in wallet.backends], at_once=self.own_book is None
        )  # fmt: skip

    def _mirror_or_not(self) -> None:
        """Begin or end the mirror as the settings want it: `mirror: false` derives no more addresses."""
        wanted = self.settings.wallets[self.name].mirror or self.money is not None
        if wanted and self._mirror_task is None:
            self._mirror_task = self.runner.loop.create_task(self.mirror.run(), name=f"mirror-{self.name}")
        elif not wanted:
            self._end_mirror()

    def _end_mirror(self) -> None:
        if self._mirror_task is not None:
            self._mirror_task.cancel()
            self._mirror_task = None


def build_wallet(
    name: str,
    settings: Settings,
    *,
    wire: Wire,
    targets: Mapping[str, Target],
    watcher: Watchers,
    emit: Emit,
    chance: Callable[[], float],
    loop: asyncio.AbstractEventLoop,
    book: "Book | None" = None,
    why_closed: str = "",
    clock: Callable[[], float] = time.time,
    make_launcher: "MakeLauncher | None" = None,
    sent: Sent | None = None,
) -> Plant:
    """Build one wallet's rooms; nothing is started.  Raises LauncherError.

    Args:
        why_closed: why there is no book although the gateway should keep one.
        clock: seconds since 1970.
        make_launcher: as `gateway.upstream.launchers.registry.make`, which it is when absent.
        sent: what this process has sent for the wallet in rooms before these.
    """
    wallet = settings.wallets[name]
    sent = sent or Sent()
    profile = load_profile(wallet.profile)
    pool = Pool(
        name,
        [_backend(one, name, settings, profile, loop.time()) for one in wallet.backends],
        primary=wallet.primary_name,
        limits=_limits(settings),
        start_grace=wallet.start_grace,
        expect_return=wallet.expect_return,
        slow_start=settings.health.slow_start,
        lag_blocks=settings.health.lag_blocks,
        mirror=wallet.mirror,
        emit=emit,
    )
    shared = dict(targets)
    runner = Runner(pool, profile, wire, shared, settings, watcher, chance, loop)
    prober = Prober(pool, profile, wire, shared, settings.health, settings.timeouts, watcher, runner.offer, loop)
    runner.probe_now = prober.slot_is_free
    money = closed = None
    if book is not None:
        from gateway.money import open_money  # noqa: PLC0415 - the engine of the ledger takes 12 MiB

        try:
            money = open_money(pool, profile, runner, wallet, book, loop)
        except LedgerError as error:
            why_closed = str(error)
    if money is not None:
        from gateway.money import furnish  # noqa: PLC0415 - the same

        mirror = Mirror(pool, profile, runner.call_on, loop, keeper=money.keeper, known=money.known)
        furnish(money, mirror, runner, wallet, loop, sent)
    else:
        mirror = Mirror(pool, profile, runner.call_on, loop, is_money_elsewhere=runner.is_money_elsewhere)
    if why_closed:
        from gateway.closed import close  # noqa: PLC0415 - the same

        closed = close(pool, runner, why_closed, sent)
    make = make_launcher or _make_launcher
    found = () if money is None else money.book.ledger.transact(_standing_orders(name))
    links, standing = _links(runner, money, clock, found)
    supervisor = Supervisor(pool, profile, settings, links, _launchers(wallet, make, loop), loop, standing)
    emit(Event("wallet.configured", name, "", {"backends": len(pool.backends), "primary": pool.primary.name}))
    return Plant(name, settings, profile, pool, runner, prober, mirror, shared, supervisor, make, sent, money, closed)


StandingOrders = tuple[tuple[str, str], ...]
"""Backend and verb of what an operator ordered for good."""


def _standing_orders(wallet: str) -> "Callable[[Connection], StandingOrders]":
    """Return what reads the orders that stand from before."""
    from gateway.ledger import standing  # noqa: PLC0415 - as above

    return lambda connection: tuple((one.backend, one.verb) for one in standing.read(connection, wallet))


def _links(
    runner: Runner, money: "Money | None", clock: Callable[[], float], found: StandingOrders
) -> tuple[Links, StandingOrders]:  # fmt: skip
    """Return what the supervisor needs of other rooms, and the orders that stand from before."""
    if money is None:
        return Links(runner.call_anyway, clock), ()
    from gateway.ledger import standing  # noqa: PLC0415 - as above

    ledger, wallet, rooms = money.book.ledger, runner.pool.name, money.rooms
    at = money.book.clock

    async def keep(backend: str, verb: str, stands: bool) -> None:  # noqa: FBT001 - called by one room alone
        if stands:
            await ledger.run(lambda c: standing.put(c, wallet, backend, verb, at()))
        else:
            await ledger.run(lambda c: standing.take_back(c, wallet, backend, verb))

    links = Links(
        runner.call_anyway, clock, rooms.election.order, rooms.reconciler.held, rooms.reconciler.is_held, keep
    )  # fmt: skip
    return links, found


def _launchers(
    wallet: WalletSettings, make: "MakeLauncher", loop: asyncio.AbstractEventLoop,
    before: WalletSettings | None = None, kept: Mapping[str, Launcher] | None = None,
) -> dict[str, Launcher]:  # fmt: skip
    """Return the launcher of each backend that has one; whose settings are the same as before is kept.

    A launcher that is the parent of its daemon would end it.  Raises LauncherError.
    """
    was = {} if before is None else {one.name: one.launcher for one in before.backends}
    known = kept or {}
    return {
        one.name: known[one.name]
        if one.name in known and was.get(one.name) == one.launcher
        else make(one.launcher, one.name, loop)
        for one in wallet.backends
        if one.launcher is not None
    }


def fenced(launcher: LauncherSettings, name: str, loop: asyncio.AbstractEventLoop, may: Callable[[], bool]) -> Launcher:
    """Make a launcher that does nothing to its daemon any more once `may` says no.  Raises LauncherError."""
    from gateway.upstream.launchers.fenced import fence  # noqa: PLC0415 - many have no launcher

    return fence(_make_launcher(launcher, name, loop), may)


def _make_launcher(launcher: LauncherSettings, name: str, loop: asyncio.AbstractEventLoop) -> Launcher:
    from gateway.upstream.launchers import registry  # noqa: PLC0415 - many have no launcher

    return registry.make(launcher, name, loop)


def _is_same(before: BackendSettings | None, after: BackendSettings) -> bool:
    """Whether calls to a daemon go on as before: how it is started and how its wallet is opened is no part of them."""
    if before is None:
        return False
    care = {"launcher": before.launcher, "wallet_password": before.wallet_password, "wallet_file": before.wallet_file}
    return after.model_copy(update=care) == before


def _backend(one: BackendSettings, wallet: str, settings: Settings, profile: Profile, now: float) -> Backend:
    return Backend(
        one.name,
        wallet,
        slots=1 if profile.serial else (one.slots or profile.slots),
        is_serial=profile.serial,
        top=Level.LOADED if profile.chain == "offline" else Level.SYNCED,
        breaker=_breaker(settings),
        ewma=settings.health.ewma,
        grace_until=now + settings.wallets[wallet].start_grace,
        now=now,
    )


def _kind(profile: Profile) -> tuple[object, ...]:
    """Return what of a profile the live state of a backend depends on; its methods may change beneath it."""
    return profile.serial, profile.keep_alive, profile.slots, profile.chain


def _breaker(settings: Settings) -> Breaker:
    circuit = settings.breaker
    return Breaker(circuit.failures, circuit.open_for, circuit.open_for_max, circuit.trials)


def _limits(settings: Settings) -> Limits:
    health = settings.health
    return Limits(health.probe_timeout, health.wedged_after, health.lag_grace)


def _backend_status(pool: Pool, backend: Backend, now: float) -> dict[str, object]:
    return {
        "name": backend.name,
        "primary": backend is pool.primary,
        "phase": backend.phase.value,
        "kind": backend.diagnosis.kind.value,
        "reason": backend.diagnosis.reason,
        "for_seconds": round(now - backend.since, 1),
        "level": backend.level.name.lower(),
        "height": backend.height,
        "aligned": pool.is_aligned(backend),
        "circuit": backend.breaker.state,
        "score": round(backend.score, 2),
        "in_flight": len(backend.occupants),
        "suspect": backend.is_suspect,
        "expected": backend.is_expected,
        "latency_ms": round(backend.latency.value(now) * 1000, 2),
    }
