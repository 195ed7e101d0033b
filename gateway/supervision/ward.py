"""The backends of one wallet as the supervisor knows them: charts, processes, settings, and what is told of all that.

Rule: nothing is begun here.  A chart is about the daemon and outlives the backend that a reload replaces; who hears of
a death ejects at once, and leaves to the next look what is done about it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from gateway.base.config import Settings, Wallet
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Profile
from gateway.rules.patients import Patient
from gateway.rules.records import Limits, lift
from gateway.supervision.asking import Asking
from gateway.supervision.charts import Chart, patient, status
from gateway.supervision.hands import Hands
from gateway.supervision.schedule import Cron, Watching
from gateway.supervision.upkeep import LOADING, is_plain_file
from gateway.upstream.launchers import Death, Heir, Launcher
from gateway.upstream.questions import CallOn


@dataclass(frozen=True, slots=True)
class Links:
    """What the supervisor needs of other rooms.

    Args:
        call: makes an upkeep call on a backend in service or not.
        clock: seconds since 1970.
        promote: makes another backend primary; None without a ledger.
        held: keeps a backend from wallet reads and signing while its wallet is reloaded.
        is_in_hands: whether somebody else works on its wallet.
        keep: writes down that an order (`hold`, `drain`) of a backend stands or not; None where nothing lasts.
    """

    call: CallOn
    clock: Callable[[], float]
    promote: Callable[[str], Awaitable[str]] | None = None
    held: Callable[[Backend], AbstractContextManager[None]] = lambda _backend: nullcontext()
    is_in_hands: Callable[[Backend], bool] = lambda _backend: False
    keep: Callable[[str, str, bool], Awaitable[None]] | None = None


class Ward:
    """What is known and remembered of the backends of one wallet.

    Args:
        launchers: by backend; those without one are never restarted.
        standing: orders from before: backend and verb (`hold`, `drain`).
    """

    def __init__(
        self, pool: Pool, profile: Profile, settings: Settings, links: Links, launchers: dict[str, Launcher],
        loop: asyncio.AbstractEventLoop, standing: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        """Begin with every restart allowed at once."""
        self.pool = pool
        self.settings = settings
        self.links = links
        self.launchers = launchers
        self.loop = loop
        self.asking = Asking(pool, profile, links.call, self._password, loop, self._is_plain)
        self.limits = _limits(settings)
        self.watching = Watching(pool, launchers, loop, self.wake)
        self.cron = Cron(self.wallet.preventive, links.clock)
        self.charts: dict[str, Chart] = {}
        self.counts: Counter[tuple[str, str, str]] = Counter()
        """Restarts by backend, cause and end: done, failed, or dry (only told)."""
        self.started_at = loop.time()
        self.may_be_cut_off: Callable[[], bool] = lambda: False
        """Whether another gateway has yet to try daemons that are not reached from here; where wallets are shared."""
        self.restarts: dict[str, asyncio.Task[None]] = {}
        """Under way or settling."""
        self._woken = asyncio.Event()
        pool.on_phase = self.wake
        self._watched: set[str] = set()
        for name, verb in standing:
            self.stand(name, verb, on=True)
        self._take_over()

    def link(self, links: Links, standing: tuple[tuple[str, str], ...]) -> None:
        """Take other links and the orders that stand, from a ledger that was opened after the start."""
        self.links = links
        for name, verb in standing:
            self.stand(name, verb, on=True)
        self._take_over()
        self.wake()

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    def update(
        self, settings: Settings, profile: Profile, launchers: Mapping[str, Launcher]
    ) -> list[tuple[str, Launcher]]:  # fmt: skip
        """Take new settings; return the launchers that are no longer used, by backend, for the caller to close."""
        before, loaded_by = self.wallet.preventive, self._loaded_by()
        self.settings, self.asking.profile, self.limits = settings, profile, _limits(settings)
        if self.wallet.preventive != before:
            self.cron = Cron(self.wallet.preventive, self.links.clock)
        for name, how in self._loaded_by().items():
            if name in self.charts and loaded_by.get(name) != how:
                # what failed with the old password says nothing of the new one
                self.charts[name].loads, self.charts[name].load_at = 0, 0.0
        gone = [(name, one) for name, one in self.launchers.items() if launchers.get(name) is not one]
        for name, one in gone:
            if name in self.charts:
                # what failed by the launcher alone says nothing of another one
                self.charts[name].record = lift(self.charts[name].record)
            heir = launchers.get(name)
            if isinstance(heir, Heir):
                # a child goes on with the launcher that comes after
                self._try(name, "take_over", partial(heir.take_over, one))
            del self.launchers[name]
            self._watched.discard(name)
            self.watching.forget(name)
        self.launchers.update(launchers)
        self._take_over()
        self.wake()
        return gone

    def _take_over(self) -> None:
        """Have a chart of every backend there is now, and hear of deaths from every launcher."""
        now = self.loop.time()
        for backend in self.pool.backends:
            chart = self.charts.setdefault(backend.name, Chart(backend.name, ill_since=now))
            chart.meet(backend, now)
            if chart.is_drained and not backend.is_drained:
                self.pool.drain(backend, drained=True)
            launcher = self.launchers.get(backend.name)
            if launcher is not None and backend.name not in self._watched:
                self._watched.add(backend.name)
                self._try(backend.name, "watch", partial(launcher.watch, self._listener(backend.name)))

    def _try(self, name: str, what: str, do: Callable[[], None]) -> None:
        """Have a launcher do what no wallet waits for; one that a package brings may raise anything."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - as said
            fields: dict[str, object] = {"order": what, "error": f"{type(error).__name__}: {error}"[:500]}
            self.pool.emit(Event("launcher.failed", self.pool.name, name, fields, "error"))

    def _listener(self, name: str) -> Callable[[Death], None]:
        """Return who hears of the deaths of one backend."""

        def heard(death: Death) -> None:
            backend = self.pool.by_name.get(name)
            if backend is None:
                return
            fields: dict[str, object] = {"exit_code": death.exit_code, "oom": death.was_oom_killed}
            self.pool.emit(Event("backend.died", self.pool.name, name, fields, "warning"))
            self.watching.forget(name)
            if not backend.phase.is_in_care:
                # a probe tells at once whether another one has taken its place
                self.pool.refused(backend, self.loop.time(), "gone")
            self.pool.on_doubt(backend)
            self.wake()

        return heard

    def stand(self, name: str, verb: str, *, on: bool) -> None:
        """Remember that an order stands, or does not."""
        chart = self.charts.setdefault(name, Chart(name))
        if verb == "hold":
            chart.is_held = on
        else:
            chart.is_drained = on

    def patient(self, backend: Backend) -> Patient:
        """Return a backend as the rules are asked about it."""
        return patient(
            self.charts[backend.name], backend, self.pool, self.watching.of(backend.name), self.limits,
            self.loop.time(), self.links.clock(), self.settings.timeouts.connect,
            can_restart=backend.name in self.launchers,
            can_reload=self.asking.can_reload,
            is_in_hands=self.links.is_in_hands(backend),
            # no question of its class, which a fence around it would answer
            start_ends=getattr(self.launchers.get(backend.name), "start_ends", False),
        )  # fmt: skip

    def hands(self, name: str) -> Hands:
        """Return what a restart of a backend works with."""
        one = next(one for one in self.wallet.backends if one.name == name)
        chart, launcher = self.charts[name], self.launchers[name]
        return Hands(
            pool=self.pool,
            launcher=launcher,
            asking=self.asking,
            limits=self.settings.restart,
            start_grace=self.wallet.start_grace,
            launcher_timeout=one.launcher.timeout if one.launcher is not None else LOADING,
            clock=self.links.clock,
            loop=self.loop,
            promote=self.links.promote,
            is_ours=lambda: self.launchers.get(name) is launcher,
            known_since=lambda instance: chart.knows(instance, self.loop.time()),
        )

    def status(self, backend: Backend) -> Mapping[str, object]:
        """Return what an operator asks about the care of a backend."""
        seen, now = self.watching.of(backend.name), self.loop.time()
        found = status(self.charts.get(backend.name), backend, seen, self.limits, now, self.links.clock())
        launcher = self.launchers.get(backend.name)
        return {**found, "launcher": None if launcher is None else launcher.kind}

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        for (name, cause, end), count in self.counts.items():
            labels = {"wallet": self.pool.name, "backend": name, "cause": cause, "outcome": end}
            yield "restarts_total", labels, float(count)
        for backend in self.pool.backends:
            labels = {"wallet": self.pool.name, "backend": backend.name}
            chart, seen = self.charts[backend.name], self.watching.of(backend.name)
            yield "backend_held", labels, float(chart.is_held)
            yield "backend_drained", labels, float(chart.is_drained)
            yield "backend_restarting", labels, float(backend.name in self.restarts)
            if seen.memory is not None:
                yield "backend_memory_bytes", labels, float(seen.memory.used)
                yield "backend_memory_limit_bytes", labels, float(seen.memory.limit)
            if (grows := seen.grows()) is not None:
                yield "backend_memory_growth_bytes_per_second", labels, grows

    @property
    def wallet(self) -> Wallet:
        """The settings of this wallet."""
        return self.settings.wallets[self.pool.name]

    def _loaded_by(self) -> dict[str, tuple[str, str | None]]:
        """Return what each wallet is loaded with."""
        return {one.name: (one.wallet_password.get_secret_value(), one.wallet_file) for one in self.wallet.backends}

    async def _is_plain(self, name: str) -> bool:
        return await is_plain_file(next((one.wallet_file for one in self.wallet.backends if one.name == name), None))

    def _password(self, name: str) -> str:
        return next((one.wallet_password.get_secret_value() for one in self.wallet.backends if one.name == name), "")


def _limits(settings: Settings) -> Limits:
    restart = settings.restart
    return Limits(
        enforce=restart.enforce,
        backoff=restart.backoff,
        backoff_max=restart.backoff_max,
        healthy_after=restart.healthy_after,
        max_per_hour=restart.max_per_hour,
        failed_retry=restart.failed_retry,
        adrift_after=restart.adrift_after,
        wedged_after=settings.health.wedged_after,
        settled_after=settings.timeouts.server,
        start_timeout=restart.start_timeout,
    )
