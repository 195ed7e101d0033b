"""One wallet's rooms put together: pool, runner, prober, mirror; and how they take new settings while they run.

Rule: a reload never forgets a call that is under way.  A backend whose settings did not change keeps its
live state; a changed or removed one is drained and a new one starts from nothing, busy until a probe answers.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.base.config import Backend as BackendSettings
from gateway.base.config import Settings
from gateway.base.config import Wallet as WalletSettings
from gateway.base.errors import NO_BACKEND, OUTCOME_UNKNOWN
from gateway.base.events import Emit, Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.breaker import Breaker
from gateway.fleet.pool import Pool
from gateway.flow.runner import Runner, Watcher
from gateway.profiles import Profile
from gateway.profiles import load as load_profile
from gateway.rules.health import Kind, Limits
from gateway.rules.lifecycle import Phase
from gateway.supervision.mirror import Mirror
from gateway.supervision.prober import Prober, ProbeWatcher
from gateway.upstream.wire import Target, Wire

if TYPE_CHECKING:
    from gateway.money import Book, Money


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
    money: "Money | None" = None
    """What stands on the ledger, where there is one."""
    _mirror_task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Begin to probe and to mirror."""
        self.prober.start()
        self._mirror_or_not()
        if self.money is not None:
            self.money.start(self.runner.loop)

    async def stop(self) -> None:
        """End the background work."""
        self.prober.stop()
        if self.money is not None:
            await self.money.stop()
        if self._mirror_task is not None:
            self._mirror_task.cancel()
            await asyncio.gather(self._mirror_task, return_exceptions=True)

    def give_up(self) -> None:
        """Answer everybody who still waits with what is known of his call; what was not sent never will be."""
        self.runner.is_closing = True
        for errand in list(self.runner.errands):
            self.runner.queue.remove(errand)
            for attempt in errand.live:
                if not attempt.exchange.sent:
                    attempt.exchange.abort()
            if errand.may_have_run:
                failure = errand.failure(OUTCOME_UNKNOWN, "the gateway stops before the daemon has answered")
            else:
                failure = errand.failure(NO_BACKEND, "the gateway stops; nothing was sent")
            errand.end(failure)

    @property
    def calls(self) -> int:
        """Calls of clients under way or waiting; the gateway's own upkeep is nobody's loss and is not waited for."""
        begun = 0 if self.money is None else len(self.money.rooms.desk.under_way)
        return begun + sum(errand.own is None for errand in self.runner.errands)

    def status(self, now: float) -> dict[str, object]:
        """Return what a person asks first about a wallet; no secret, no address."""
        pool = self.pool
        return {
            "wallet": self.name,
            "profile": self.profile.name,
            "primary": pool.primary.name,
            "panic": pool.is_panicking,
            "waiting": self.runner.queue.waiting,
            "in_flight": len(self.runner.attempts),
            "ledger": None if self.money is None else self.money.status(),
            "backends": [_backend_status(pool, backend, now) for backend in pool.backends],
        }

    def gauges(self, now: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know now: name, labels, value."""
        pool, wallet = self.pool, {"wallet": self.name}
        yield "queue_waiting", wallet, float(self.runner.queue.waiting)
        yield "errands", wallet, float(len(self.runner.errands))
        yield "flights", wallet, float(len(self.runner.flights))
        yield "retry_budget", wallet, self.runner.budget.balance(now)
        yield "panic", wallet, float(pool.is_panicking)
        yield "backends_serving", wallet, float(len(pool.serving))
        if self.money is not None:
            yield from self.money.gauges()
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
                yield "backend_height", labels, float(backend.height)

    def why_not_ready(self) -> list[str]:
        """Return why the wallet can take no call now; empty when it can."""
        if any(backend.takes_calls for backend in self.pool.backends):
            return []
        # a backend that is doubted for the moment has no illness yet, and must not be passed over in silence
        return self.what_ails() or ["no backend takes calls at this moment; a probe is under way"]

    def what_ails(self) -> list[str]:
        """Return what is the matter with each backend that is not well; empty when all are."""
        return [f"{backend.name}: {backend.ailment}" for backend in self.pool.backends if backend.ailment]

    def update(self, settings: Settings, targets: dict[str, Target]) -> None:
        """Take new settings for this wallet; calls under way keep those that they began with."""
        wallet = settings.wallets[self.name]
        profile = load_profile(wallet.profile)
        is_same_kind = _kind(profile) == _kind(self.profile)
        before = self.settings.wallets[self.name]
        kept = {one.name: one for one in before.backends}
        now = self.runner.loop.time()
        same_circuit = settings.breaker == self.settings.breaker
        backends: list[Backend] = []
        for one in wallet.backends:
            old = self.pool.by_name.get(one.name)
            if old is not None and kept.get(one.name) == one and is_same_kind:
                if not same_circuit:
                    old.breaker = _breaker(settings)
                old.latency.tau = settings.health.ewma
                backends.append(old)
            else:
                backends.append(_backend(one, self.name, settings, profile, now))
        self.settings = settings
        self.profile = self.runner.profile = self.prober.profile = self.mirror.profile = profile
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
        self._mirror_or_not()

    def _primary_of(self, wallet: WalletSettings) -> str:
        """Return the primary after a reload: with a ledger the one of now, as long as it is a backend at all."""
        now = self.pool.primary.name
        if self.money is None:
            return wallet.primary_name
        if any(one.name == now for one in wallet.backends):
            return now
        self.money.replace_primary(wallet.primary_name)
        return wallet.primary_name

    def _mirror_or_not(self) -> None:
        """Begin or end the mirror as the settings want it: `mirror: false` derives no more addresses."""
        wanted = self.settings.wallets[self.name].mirror or self.money is not None
        if wanted and self._mirror_task is None:
            self._mirror_task = self.runner.loop.create_task(self.mirror.run(), name=f"mirror-{self.name}")
        elif not wanted and self._mirror_task is not None:
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
) -> Plant:
    """Build one wallet's rooms; nothing is started.  Raises LedgerError."""
    wallet = settings.wallets[name]
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
    money = None
    if book is None:
        mirror = Mirror(pool, profile, runner.call_on, loop, is_money_elsewhere=runner.is_money_elsewhere)
    else:
        from gateway.money import furnish, open_money  # noqa: PLC0415 - the engine of the ledger takes 12 MiB

        money = open_money(pool, profile, runner, wallet, book, loop)
        mirror = Mirror(pool, profile, runner.call_on, loop, keeper=money.keeper, known=money.known)
        furnish(money, mirror, runner, wallet, loop)
    emit(Event("wallet.configured", name, "", {"backends": len(pool.backends), "primary": pool.primary.name}))
    return Plant(name, settings, profile, pool, runner, prober, mirror, shared, money)


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
        "latency_ms": round(backend.latency.value(now) * 1000, 2),
    }
