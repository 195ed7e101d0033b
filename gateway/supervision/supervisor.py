"""Carries out what the rules say about the backends of one wallet: restarts, reloads and loads of wallets.

Rule: what is done is decided in `rules/restart.py`, from facts that are looked at all together; here it is begun, one
restart at a time, and remembered.  A gateway that is told to stop leaves a daemon where it stands: the next one finds
it running without its wallet, or not running, and goes on from there.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from gateway.base.config import Settings
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Profile
from gateway.rules import records
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Act, Cause, Prevention, Verdict, View
from gateway.rules.restart import decide, sharers, would_return
from gateway.supervision.asking import NotLoadedError
from gateway.supervision.care_orders import CareOrders
from gateway.supervision.charts import Chart, Failure
from gateway.supervision.parting import Parting
from gateway.supervision.relief import see_relief
from gateway.supervision.restarting import Restarting
from gateway.supervision.upkeep import LOADING, CannotReloadError, NoAnswerError
from gateway.supervision.ward import Links, Ward
from gateway.upstream.launchers import Launcher

LOOK = 0.1
"""Seconds between two looks while somebody is not in full service."""

CALM = 1.0
"""The same while all are; whoever falls ill changes his phase, which is heard at once."""

PATIENCE = 5.0
"""Seconds of back-off that a call waits out, in the hope of a restart."""

LOAD_AGAIN, LOAD_AGAIN_MOST, DENIED_AGAIN = 1.0, 60.0, 60.0
"""Seconds until a wallet that could not be loaded is tried again: first, most, and when its password is wrong."""

CRON_COUNTS = 3600.0
"""Seconds after which a time of cron has passed for those that could not be restarted; that is told."""


class Supervisor(Ward):
    """The supervisor of one wallet; how it is made says `Ward`."""

    def __init__(
        self, pool: Pool, profile: Profile, settings: Settings, links: Links, launchers: dict[str, Launcher],
        loop: asyncio.AbstractEventLoop, standing: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        """Have nothing under way."""
        super().__init__(pool, profile, settings, links, launchers, loop, standing)
        self.orders = CareOrders(self, self.look)
        self._others: dict[str, asyncio.Task[None]] = {}
        """Loads and reloads."""
        self._under_way: set[str] = set()
        """Restarts whose daemon has no wallet yet."""
        self._due_since = 0.0
        self.parting = Parting(pool, self.asking, lambda: self.settings.restart.stop_timeout, loop)

    def __repr__(self) -> str:
        """Status line."""
        return f"<Supervisor {self.pool.name} restarting={sorted(self.restarts)} loading={sorted(self._others)}>"

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Care for ever."""
        watching = self.loop.create_task(self.watching.run(), name=f"watching-{self.pool.name}")
        try:
            while True:
                self._woken.clear()
                self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(CALM if self._is_calm() else LOOK):
                        await self._woken.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _is_calm(self) -> bool:
        """Whether nothing can come of looking again soon."""
        if self.restarts or self._others:
            return False
        charts = self.charts
        return all(
            one.phase is Phase.READY and charts[one.name].verdict.cause is None for one in self.pool.backends
        )  # fmt: skip

    async def stop(self) -> None:
        """Leave everything where it stands."""
        tasks = [*self.restarts.values(), *self._others.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def save(self) -> None:
        """Let the daemons that end with the gateway save their wallets, which only their own `stop` does."""
        names = [name for name, one in self.launchers.items() if one.takes_along]
        await asyncio.gather(*(self.parting.save(self.pool.by_name.get(name), self.launchers[name]) for name in names))

    async def let_go(self) -> None:
        """Close the launchers, at the very end: some are the parents of their daemons and take them along."""
        await self.parting.close([(self.pool.by_name.get(name), one) for name, one in self.launchers.items()])

    # -- one look ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at all backends, and begin what is to be done about them now."""
        now = self.loop.time()
        self._see_cron(now)
        for backend in self.pool.backends:
            chart, seen = self.charts[backend.name], self.watching.of(backend.name)
            chart.look(backend, self.limits, now)
            chart.hear(seen, now)
            if not self.limits.enforce:
                # an order is for now, and not for whenever that is changed
                chart.order = ""
            if backend.name not in self.restarts:
                told = see_relief(chart, seen.memory, self.wallet.preventive.memory_share, self.pool.name, now)
                if told is not None:
                    self.pool.emit(told)
        view = self._view()
        for patient in view.patients:
            if sharers(patient, view):
                # who comes round last is not the only one that ever had it: it counts from the next look on
                self.charts[patient.name].shared_at = now
        verdicts = decide(view, self.limits, now)
        for backend in self.pool.backends:
            chart, verdict = self.charts[backend.name], verdicts[backend.name]
            chart.verdict = verdict
            if verdict.gives_up:
                chart.record = records.give_up(chart.record)
            if chart.record.has_failed and verdict.cause in _ILLNESSES and self.limits.enforce:
                self.pool.give_up(backend, now, verdict.reason)
            self._act(backend, chart, verdict, now)
        # after all that was begun: a call may wait for whoever is on his way
        for backend, patient in zip(self.pool.backends, view.patients, strict=True):
            is_on_its_way = backend.name in self.restarts or backend.name in self._others
            self.pool.expect(backend, back=is_on_its_way or would_return(patient, self.limits, now, PATIENCE))

    def _act(self, backend: Backend, chart: Chart, verdict: Verdict, now: float) -> None:
        if verdict.cause is None:
            chart.told = None
            return
        if not self.limits.enforce:
            self._tell_dry(backend, chart, verdict.act or verdict.would, verdict.cause, verdict.reason)
            return
        match verdict.act:
            case Act.RESTART | Act.START:
                self._begin(backend, chart, verdict.act, verdict.cause, verdict.reason, now)
            case Act.RELOAD:
                chart.reloaded_at = now
                self._spawn(self._others, backend.name, self._reload(backend, chart))
            case Act.LOAD:
                self._spawn(self._others, backend.name, self._load(backend, chart))

    def _view(self) -> View:
        preventive = self.wallet.preventive
        return View(
            patients=[self.patient(one) for one in self.pool.backends],
            started_at=self.started_at,
            under_way=frozenset(self._under_way),
            settling=frozenset((set(self.restarts) - self._under_way) | set(self._others)),
            prevention=Prevention(preventive.max_age, preventive.memory_share),
            may_be_cut_off=self.may_be_cut_off(),
        )

    def _see_cron(self, now: float) -> None:
        """Mark all backends when a time of cron has come, and let it go when it is long past."""
        if self.cron.has_come():
            self._due_since = now
            for chart in self.charts.values():
                chart.is_due = True
        elif now - self._due_since >= CRON_COUNTS:
            for backend in self.pool.backends:
                chart = self.charts[backend.name]
                if chart.is_due and backend.name not in self.restarts:
                    self._tell(
                        "restart.left_out", backend, {"cause": "cron", "reason": chart.verdict.reason}, "warning"
                    )
            for chart in self.charts.values():
                chart.is_due = False

    # -- what is done -------------------------------------------------------------------------------------------

    def _begin(self, backend: Backend, chart: Chart, act: Act, cause: Cause, reason: str, now: float) -> None:
        """Begin a restart."""
        chart.record = records.begin(
            chart.record, self.limits, now, is_ordered=cause is Cause.ORDER, prevents=cause.is_preventive
        )
        memory = self.watching.of(backend.name).memory
        chart.share_before = memory.share if cause is Cause.MEMORY and memory is not None else None
        chart.order = ""
        self._under_way.add(backend.name)
        self._spawn(self.restarts, backend.name, self._restart(backend, chart, act, cause, reason))

    async def _restart(self, backend: Backend, chart: Chart, act: Act, cause: Cause, reason: str) -> None:
        name, is_gone = backend.name, self.watching.of(backend.name).is_gone
        is_wedged = self.patient(backend).kind is Kind.WEDGED

        def loaded() -> None:
            self._under_way.discard(name)
            self.wake()

        work = Restarting(
            self.hands(name), backend, cause=cause.value, reason=reason, is_urgent=cause.is_urgent,
            is_gentle=act is Act.START, is_for_gone=cause is Cause.DEAD and is_gone,
            is_wedged=is_wedged, on_loaded=loaded,
        )  # fmt: skip
        is_done = False
        try:
            is_done = await work.run()
        finally:
            loaded()
            now = self.loop.time()
            chart.record = records.end(chart.record, now)
            if work.renewing.has_reached and cause in _ILLNESSES:
                chart.record = records.reach(chart.record, self.limits, now)
            elif not work.renewing.has_reached and not is_done:
                chart.record = records.spoil(chart.record, may_pass=work.may_pass)
            chart.ill_since, chart.reloaded_at, chart.load_at, chart.loads = now, None, 0.0, 0
            failure = None if work.failure is None else Failure(now, *work.failure)
            chart.end(act if work.renewing.has_reached else None, failure, now, is_done=is_done)
            self.watching.forget(name)
            self.counts[name, cause.value, "done" if is_done else "failed"] += 1

    async def _load(self, backend: Backend, chart: Chart) -> None:
        """Load the wallet of a daemon that has none."""
        began = self.loop.time()
        try:
            await self.asking.load(backend, self.settings.restart.load_timeout)
        except (NotLoadedError, NoAnswerError) as error:
            is_denied = isinstance(error, NotLoadedError) and error.is_denied
            pause = min(LOAD_AGAIN_MOST, (DENIED_AGAIN if is_denied else LOAD_AGAIN) * 2.0 ** min(chart.loads, 10))
            chart.loads += 1
            chart.load_at = self.loop.time() + pause
            fields: dict[str, object] = {"reason": str(error), "again_in": pause}
            self._tell("wallet.not_loaded", backend, fields, "error")
        else:
            self._tell("wallet.loaded", backend, {"took": round(self.loop.time() - began, 3)})

    async def _reload(self, backend: Backend, chart: Chart) -> None:
        """Close and load the wallet of a daemon that is adrift."""
        began = self.loop.time()
        fields: dict[str, object] = {"reason": chart.verdict.reason}
        with self.links.held(backend):
            try:
                await self.asking.reload(backend, LOADING)
            except (CannotReloadError, NotLoadedError, NoAnswerError) as error:
                self._tell("backend.not_reloaded", backend, {**fields, "error": str(error)}, "error")
                return
        self._tell("backend.reloaded", backend, {**fields, "took": round(self.loop.time() - began, 3)})

    def _spawn(
        self, tasks: "dict[str, asyncio.Task[None]]", name: str, work: Coroutine[Any, Any, None]
    ) -> None:  # fmt: skip
        task = self.loop.create_task(work, name=f"care-{name}")
        tasks[name] = task

        def ended(task: "asyncio.Task[None]") -> None:
            tasks.pop(name, None)
            self.wake()
            if not task.cancelled() and (error := task.exception()) is not None:
                what = f"{type(error).__name__}: {error}"[:500]
                self.pool.emit(
                    Event("room.failed", self.pool.name, name, {"room": "supervisor", "error": what}, "error")
                )

        task.add_done_callback(ended)

    # -- what it tells --------------------------------------------------------------------------------------------

    def _tell_dry(self, backend: Backend, chart: Chart, act: Act | None, cause: Cause, reason: str) -> None:
        """Tell once what would be done, be it at once or after others."""
        if act is None or chart.told == (act.value, cause.value):
            return
        chart.told = (act.value, cause.value)
        self.counts[backend.name, cause.value, "dry"] += 1
        fields: dict[str, object] = {"act": act.value, "cause": cause.value, "reason": reason}
        self._tell("restart.would_be", backend, fields, "warning")

    def _tell(self, event: str, backend: Backend, fields: dict[str, object], level: str = "info") -> None:
        self.pool.emit(Event(event, self.pool.name, backend.name, fields, level))


_ILLNESSES = frozenset({Cause.DEAD, Cause.WEDGED, Cause.LOST, Cause.ADRIFT})
