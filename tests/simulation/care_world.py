"""A wallet whose daemons and launchers go wrong in every way, and a supervisor that cures them, in virtual time.

Rule: everything random comes from one seed, and the judgement rests on what launchers were told to do while a daemon
did what, and on when the world hurt whom; of the gateway's own word only the events of its restarts are asked.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from gateway.base.care import Launcher as LauncherSettings
from gateway.base.care import Preventive, Restart
from gateway.base.config import Backend, Health, Settings, Timeouts, Wallet
from gateway.base.effects import Bound
from gateway.base.errors import OrderError
from gateway.base.events import Event
from gateway.flow.errand import Errand
from gateway.plant import Plant, build_wallet
from gateway.profiles import Method
from gateway.profiles import load as load_profile
from gateway.rules.lifecycle import Phase
from gateway.rules.restart import UNREACHED
from gateway.upstream.launchers import Memory
from tests.fakes import FakeWire, Recorder
from tests.fakes_launcher import CareDaemon, Deed, FakeLauncher

EPOCH = 1_800_000_000.0
"""Seconds between the loop's time and the clock's."""

HOUR = 60.0
"""What the cap counts over; all times are a sixtieth or so of what they are in life."""

RESTART = Restart(
    backoff=1.0, backoff_max=8.0, healthy_after=15.0, max_per_hour=4, failed_retry=20.0, adrift_after=6.0,
    drain_timeout=2.0, stop_timeout=2.0, start_timeout=3.0, load_timeout=3.0, sync_timeout=10.0, align_timeout=5.0,
)  # fmt: skip

TIMEOUTS = Timeouts(fast=1.0, heavy=2.0, server=6.0)

BOUNDS: dict[Bound, float] = {bound: getattr(TIMEOUTS, bound.value) for bound in Bound}
"""Seconds that a call of each class may take."""

SERVICE = {"payto": 4.0, "history": 1.2, "gettransaction": 4.5}
"""Seconds that some calls take; each is within the bound of its class."""

ONE = 30.0
"""Seconds within which one daemon is cured once nothing stands in the way: slow tries, back-off, every step."""

SETTLED = 15.0
"""Seconds that a daemon takes at most to be in full service once it was let back in."""

DESTRUCTIVE = ("kill", "stop")

MEANT = frozenset({"order", "cron", "age", "memory"})
"""Causes of restarts of daemons that may be well."""

OLD_NEWS = 6.0
"""Seconds within which a restart that was begun for an illness may still end a daemon that came round meanwhile."""

SEEN = 2.0
"""Seconds within which the gateway finds out how a daemon is; what was so for a shorter time it may never have seen."""

GROWS = 2
"""Per cent of its limit that a daemon takes more each second; it begins with 40."""


def bound_of(row: Method) -> float:
    """Return the seconds that a call may take."""
    return BOUNDS.get(row.bound, TIMEOUTS.server)


@dataclass
class Life:
    """One life of the gateway."""

    plant: Plant
    began: float


class CareWorld:
    """A wallet of fake daemons with launchers, and one gateway after the other in front of it."""

    def __init__(self, daemons: int, seed: int, *, cron: bool, prevention: bool = False) -> None:
        """Build everything; must run inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        names = [f"ec-{index + 1}" for index in range(daemons)]
        self.daemons = {name: CareDaemon(name, self.loop) for name in names}
        self.launchers = {
            name: FakeLauncher(
                daemon, self.loop, epoch=EPOCH, started_at=EPOCH + self.loop.time(),
                is_blind=self.random.random() < 0.15,
                restarts_by_itself=self.random.random() < 0.2,
            )
            for name, daemon in self.daemons.items()
        }  # fmt: skip
        for name, daemon in self.daemons.items():
            daemon.service = lambda method: SERVICE.get(method, 0.0003)
            self._watch(name, daemon, self.launchers[name])
        self.is_preventive = cron or prevention
        launcher = LauncherSettings(kind="fake", timeout=2.0)
        wallet = Wallet(
            backends=tuple(
                Backend(name=name, url=f"http://127.0.0.1:{20000 + index}", launcher=launcher)
                for index, name in enumerate(names)
            ),
            start_grace=8.0,
            preventive=Preventive(
                cron="* * * * *" if cron else None,
                max_age=25.0 if prevention and seed % 2 else None,
                memory_share=0.8 if prevention and not seed % 2 else None,
            ),
        )
        self.settings = Settings(
            anonymous=True, wallets={"main": wallet}, restart=RESTART, timeouts=TIMEOUTS,
            health=Health(slow_start=1.0, lag_grace=3.0),
        )  # fmt: skip
        self.profile = load_profile("electron-cash")
        self.recorder = Recorder()
        self.events: list[tuple[float, int, Event]] = []
        """When, in which life of the gateway, what."""
        self.lives: list[Life] = []
        self.crashes: list[str] = []
        self.late: list[str] = []
        self.asked: set[asyncio.Task[None]] = set()
        self.quiet_since = dict.fromkeys(names, 0.0)
        """Since when the world left each daemon in peace; in the future while it does not."""
        self.drifts: list[tuple[float, float]] = []
        """From when to when the chain was silent for all; that is found out within two seconds."""
        self.until: dict[tuple[str, str], float] = {}
        """When faults that last are over."""
        self.before: dict[tuple[str, str], object] = {}
        self.cuts: dict[str, float] = {}
        """Since when nobody finds the way to a daemon; a moment between two cuts is not seen."""
        self.cut_until: dict[str, float] = {}
        self.lies_since: dict[str, float] = {}
        """Since when a launcher takes its process for gone; one that begins in the middle of a restart is believed."""
        self.held: dict[str, float] = {}
        """Since when which daemons are held."""
        self.causes: dict[str, tuple[float, str]] = {}
        """When the last restart of each was begun, and why."""
        self.was_well: dict[str, bool] = {}
        """Whether it was well then."""
        self.down: dict[str, float] = {}
        """Those whose process was ended or started by the gateway and that have no wallet yet, since when."""
        self.misdeeds: list[str] = []
        self.loop.set_exception_handler(self._crashed)
        self.faults: tuple[Callable[[str, float], None], ...] = (
            self._die, self._die, self._kill, self._kill_twice, self._freeze, self._freeze, self._freeze_shortly,
            self._wedge, self._wedge, self._pause, self._unload, self._lock_out, self._drift, self._drift,
            self._drift_all, self._drift_all, self._launcher_fails, self._launcher_hangs, self._stays_dead,
            self._cut, self._cut, self._cut_all,
            self._launcher_lies, self._fill,
            self._stop_hangs, self._order, self._order, self._hold, self._drain, self._starts_slowly, self._kill_all,
        )  # fmt: skip

    def _crashed(self, _loop: object, context: dict[str, object]) -> None:
        self.crashes.append(str(context.get("exception") or context.get("message")))

    # -- the gateway --------------------------------------------------------------------------------------------

    @property
    def plant(self) -> Plant:
        """The gateway of now."""
        return self.lives[-1].plant

    def start(self) -> None:
        """Begin a life of the gateway."""
        number = len(self.lives)

        def emit(event: Event) -> None:
            self.events.append((self.loop.time(), number, event))
            if event.name == "restart.begun":
                self.causes[event.backend] = (self.loop.time(), str(event.fields["cause"]))
                self.was_well[event.backend] = self._is_well(event.backend)
            elif event.name in ("restart.done", "restart.failed"):
                self.down.pop(event.backend, None)

        plant = build_wallet(
            "main",
            self.settings,
            wire=FakeWire(self.loop),  # type: ignore[arg-type]  # a fake with the same verbs
            targets={name: daemon.target for name, daemon in self.daemons.items()},  # type: ignore[misc]  # the same
            watcher=self.recorder,
            emit=emit,
            chance=self.random.random,
            loop=self.loop,
            clock=lambda: EPOCH + self.loop.time(),
            make_launcher=lambda _settings, name, _loop: self.launchers[name],
        )
        plant.supervisor.limits = replace(plant.supervisor.limits, hour=HOUR)
        self.lives.append(Life(plant, self.loop.time()))
        # the next gateway knows nothing of what the one before was told
        self.held, self.causes, self.down = {}, {}, {}
        plant.start()

    async def stop(self) -> None:
        """End the life of now; what daemons were sent they still run."""
        self.plant.give_up()
        await self.plant.stop()

    async def restart_gateway(self) -> None:
        """End it in the middle of whatever it does, and begin the next one a moment later."""
        await self.stop()
        await asyncio.sleep(self.random.uniform(0.1, 2.0))
        self.start()

    def ask(self, method: str) -> None:
        """Make one call as a client."""
        task = self.loop.create_task(self._ask(method))
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)

    async def _ask(self, method: str) -> None:
        row, runner = self.profile.methods[method], self.plant.runner
        deadline = self.loop.time() + 9.0
        errand = Errand("main", "shop", row, row.effect, b'["a"]', bound_of(row), self.loop.time())
        member = errand.join(self.loop.create_future(), deadline)
        runner.begin(errand)
        await member.future
        if self.loop.time() > deadline + 1.0:
            self.late.append(f"{method} was answered {self.loop.time() - deadline:.1f} s late")

    # -- faults ---------------------------------------------------------------------------------------------------

    def fault(self) -> None:
        """Let something happen to one daemon, its launcher, or all."""
        name = self.random.choice(list(self.daemons))
        self.random.choice(self.faults)(name, self.random.uniform(0.1, 25.0))

    def _hurt(self, name: str, lasts: float = 0.0) -> None:
        self.quiet_since[name] = max(self.quiet_since[name], self.loop.time() + lasts)

    def _for(self, name: str, lasts: float, target: object, attribute: str, value: object) -> None:
        """Change something for a while; of two such faults the longer one counts."""
        place, until = (name, attribute), self.loop.time() + lasts
        if place not in self.until:
            self.before[place] = getattr(target, attribute)
        self.until[place] = max(self.until.get(place, 0.0), until)
        setattr(target, attribute, value)
        self._hurt(name, lasts)

        def over() -> None:
            if self.until.get(place, 0.0) <= until:
                self.until.pop(place, None)
                setattr(target, attribute, self.before[place])

        self.loop.call_later(lasts, over)

    def _die(self, name: str, _lasts: float) -> None:
        """End by itself, which its launcher hears of."""
        self._hurt(name)
        if self.daemons[name].has_process:
            self.launchers[name].die()

    def _kill(self, name: str, _lasts: float) -> None:
        """End by somebody's hand, and nobody tells."""
        self._hurt(name)
        self.daemons[name].kill()

    def _kill_twice(self, name: str, lasts: float) -> None:
        self._kill(name, 0.0)
        self._hurt(name, lasts / 4)
        self.loop.call_later(lasts / 4, self._kill, name, 0.0)

    def _kill_all(self, _name: str, _lasts: float) -> None:
        for name in self.daemons:
            self._kill(name, 0.0)

    def _freeze(self, name: str, _lasts: float) -> None:
        """Stop in the middle of everything, for good."""
        self._hurt(name)
        if self.daemons[name].is_alive:
            self.daemons[name].freeze()

    def _freeze_shortly(self, name: str, lasts: float) -> None:
        self._hurt(name, lasts / 4)
        if self.daemons[name].is_alive:
            self.daemons[name].freeze()
            self.loop.call_later(lasts / 4, self.daemons[name].thaw)

    def _wedge(self, name: str, _lasts: float) -> None:
        """Have a guest that says nothing and never leaves."""
        self._hurt(name)
        if self.daemons[name].is_alive:
            self.daemons[name].wedge()

    def _pause(self, name: str, _lasts: float) -> None:
        self._hurt(name)
        if self.daemons[name].is_alive:
            self.launchers[name].pause()

    def _unload(self, name: str, _lasts: float) -> None:
        self._hurt(name)
        self.daemons[name].care.is_loaded = False

    def _lock_out(self, name: str, lasts: float) -> None:
        """Let its wallet want another password, and be loaded by nobody."""
        self._for(name, lasts, self.daemons[name].care, "wants_password", "secret")
        self.daemons[name].care.is_loaded = False

    def _drift(self, name: str, lasts: float) -> None:
        """Lose its chain."""
        self._for(name, lasts, self.daemons[name].care, "connected", value=False)

    def _drift_all(self, _name: str, lasts: float) -> None:
        """Let the chain be silent for all."""
        self.drifts.append((self.loop.time(), self.loop.time() + lasts))
        for name in self.daemons:
            self._drift(name, lasts)

    def _cut(self, name: str, lasts: float) -> None:
        """Let nobody find the way to it, as when a name server or a network is away; it is well meanwhile."""
        now = self.loop.time()
        if now - self.cut_until.get(name, 0.0) > SEEN:
            self.cuts[name] = now
        self.cut_until[name] = max(self.cut_until.get(name, 0.0), now + lasts)
        self._for(name, lasts, self.daemons[name], "is_cut", value=True)

    def _cut_all(self, _name: str, lasts: float) -> None:
        for name in self.daemons:
            self._cut(name, lasts)

    def _launcher_fails(self, name: str, lasts: float) -> None:
        self._for(name, lasts, self.launchers[name], "fails", value=True)

    def _launcher_hangs(self, name: str, lasts: float) -> None:
        self._for(name, lasts, self.launchers[name], "hangs", value=True)

    def _launcher_lies(self, name: str, lasts: float) -> None:
        """Take its process for gone, whatever that does."""
        if not self.launchers[name].is_lost:
            self.lies_since[name] = self.loop.time()
        self._for(name, lasts, self.launchers[name], "is_lost", value=True)

    def _fill(self, name: str, _lasts: float) -> None:
        """Stop in the middle of everything, with a queue that is full: nobody is refused, and nobody gets in."""
        self._hurt(name)
        if self.daemons[name].is_alive:
            self.daemons[name].freeze()
            self.daemons[name].is_full = True

    def _stays_dead(self, name: str, lasts: float) -> None:
        """End again at each start."""
        self._for(name, lasts, self.daemons[name], "stays_dead", value=True)
        self.daemons[name].kill()

    def _stop_hangs(self, name: str, lasts: float) -> None:
        self._for(name, lasts, self.daemons[name], "stop_hangs", value=True)

    def _starts_slowly(self, name: str, lasts: float) -> None:
        """Take longer to start than is waited for."""
        self._for(name, lasts, self.daemons[name], "starts_within", 5.0)

    def _order(self, name: str, _lasts: float) -> None:
        for _ in range(self.random.choice([1, 4])):
            try:
                self.plant.restart(name, "an order")
            except OrderError:
                return

    def _hold(self, name: str, lasts: float) -> None:
        self._hurt(name, lasts)
        self._give(self.plant.hold(name), lambda: self.held.setdefault(name, self.loop.time()))

        def release() -> None:
            self.held.pop(name, None)
            self._give(self.plant.release(name))

        self.loop.call_later(lasts, release)

    def _drain(self, name: str, lasts: float) -> None:
        self._hurt(name, lasts)
        self._give(self.plant.drain(name))
        self.loop.call_later(lasts, lambda: self._give(self.plant.undrain(name)))

    def _give(self, order: "Coroutine[Any, Any, str]", given: Callable[[], object] = lambda: None) -> None:
        async def give() -> None:
            await order
            given()

        task = self.loop.create_task(give())
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)

    # -- what the gateway does --------------------------------------------------------------------------------------

    def _watch(self, name: str, daemon: CareDaemon, launcher: FakeLauncher) -> None:
        """Look at each deed in the moment in which it is done."""
        stop = daemon.care.on_stop

        def told_to_stop() -> None:
            self._judge(name, "stop")
            stop()

        def loaded() -> None:
            self.down.pop(name, None)

        def weigh() -> Memory:
            took = 40 + GROWS * int(EPOCH + self.loop.time() - launcher.started_at)
            return Memory(min(99, took), 100)

        def done(deed: Deed) -> None:
            self._judge(name, deed.verb)

        daemon.care.on_stop, daemon.care.on_load = told_to_stop, loaded
        launcher.on_deed, launcher.weigh = done, weigh

    def _judge(self, name: str, verb: str) -> None:
        """Judge one deed by how the daemons are."""
        now, daemon = self.loop.time(), self.daemons[name]
        begun_at, cause = self.causes.get(name, (0.0, "nothing"))
        what = f"{name} was told to {verb} at {now:.2f}"
        if self.held.get(name, now) < begun_at:
            self.misdeeds.append(f"{what}, and is held")
        self.misdeeds += [f"{what}, beside {other}" for other in self.down if other != name]
        if verb == "start" and self._is_second(name, now):
            self.misdeeds.append(f"{what} a second time, because of {cause}, and it listens")
        if verb not in DESTRUCTIVE:
            if not (daemon.is_alive and daemon.care.is_loaded):
                self.down[name] = now
            return
        self.down[name] = now
        if cause in MEANT or not self.was_well.get(name, True) or not self._is_well(name):
            return
        if not daemon.is_cut:
            if now - self.quiet_since[name] >= OLD_NEWS:
                self.misdeeds.append(f"{what} because of {cause}, and nothing was the matter with it")
            return
        # of one that is sick as well nobody can tell by its silence that the way to it is gone, too
        others = [one for one, other in self.daemons.items() if one != name and other.is_cut and self._is_well(one)]
        is_shared = any(self.cuts[one] < begun_at - SEEN for one in others)
        lasted = UNREACHED if self.launchers[name].is_blind else RESTART.adrift_after
        if now - self.cuts[name] < lasted or is_shared:
            self.misdeeds.append(f"{what} because of {cause}, and only the way to it was cut")

    def _is_second(self, name: str, now: float) -> bool:
        """Whether a start makes a second process beside one that could be seen to listen, whoever says what."""
        daemon = self.daemons[name]
        # one that wedged while nobody found the way to it has not been heard since, and looks as if it were away still
        is_found = now - self.cut_until.get(name, 0.0) > SETTLED
        is_seen = daemon.is_alive and now - daemon.listens_since > OLD_NEWS and is_found
        is_known = self.lies_since.get(name, now) < self.causes.get(name, (0.0, ""))[0]
        return self.launchers[name].is_lost and is_known and is_seen

    def _is_well(self, name: str) -> bool:
        """Whether a daemon works, whoever finds the way to it."""
        daemon = self.daemons[name]
        is_sound = daemon.is_alive and not (daemon.is_frozen or daemon.has_idle_guest or daemon.is_saving)
        return is_sound and daemon.care.is_loaded and daemon.care.connected

    # -- what is so -----------------------------------------------------------------------------------------------

    def is_cured(self) -> bool:
        """Whether every daemon is in full service and whole."""
        pool = self.plant.pool
        return all(one.phase is Phase.READY and pool.is_aligned(one) and one.may_serve for one in pool.backends)

    def told(self, name: str) -> list[tuple[float, int, Event]]:
        """The events of a name."""
        return [one for one in self.events if one[2].name == name]

    def violations(self) -> list[str]:
        """Whatever must not be."""
        found = [*self.crashes, *self.late, *self.misdeeds]
        return [*found, *self._storms(), *self._cut_short(), *self._braked(), *self._rounds()]

    def _storms(self) -> list[str]:
        """Where a daemon was restarted more often than an hour allows, orders left out."""
        found = []
        # the cap, the slow tries beyond it, and those that prevent, which wait for health before
        prevented = int(HOUR / RESTART.healthy_after) + 1 if self.is_preventive else 0
        most = RESTART.max_per_hour + int(HOUR / RESTART.failed_retry) + prevented
        for name in self.daemons:
            begun = [
                (at, life)
                for at, life, event in self.told("restart.begun")
                if event.backend == name and event.fields["cause"] != "order"
            ]
            # what the launcher has spoilt was none
            begun = [
                (at, life)
                for (at, life), (after, _) in zip(begun, [*begun[1:], (float("inf"), 0)], strict=False)
                if any(at <= done < after for done in self.launchers[name].done)
            ]
            for first, life in begun:
                # a gateway that was restarted remembers nothing
                within = [at for at, number in begun if first <= at < first + HOUR and number == life]
                if len(within) > most:
                    found.append(f"{name} was restarted {len(within)} times from {first:.1f} on")
                    break
        return found

    def _cut_short(self) -> list[str]:
        """Where a daemon was ended while it worked on a call that still had time, or saved its wallet."""
        found = []
        for name, launcher in self.launchers.items():
            for deed in launcher.deeds:
                if deed.verb in DESTRUCTIVE and deed.was_saving:
                    found.append(f"{name} was ended at {deed.at:.2f}, in the middle of its own stop")
                if deed.verb not in DESTRUCTIVE or deed.works_on is None:
                    continue
                method, lasted = deed.works_on
                row = self.profile.methods[method]
                if row.effect.value == "control" or method == "getinfo":
                    continue
                if lasted < bound_of(row):
                    found.append(f"{name} was ended at {deed.at:.2f}, {lasted:.2f} s into {method}")
        return found

    def _rounds(self) -> list[str]:
        """Where a daemon was restarted for its memory twice in a row, though that had not helped."""
        found = []
        for name in self.daemons:
            before: tuple[int, str] | None = None
            for at, life, event in self.events:
                if event.backend != name or event.name not in ("restart.done", "restart.failed", "backend.died"):
                    continue
                cause = str(event.fields.get("cause", "")) if event.name == "restart.done" else ""
                if before == (life, "memory") and cause == "memory":
                    found.append(f"{name} was restarted at {at:.2f} for its memory, round and round")
                before = (life, cause)
        return found

    def _braked(self) -> list[str]:
        """Where a daemon was restarted for a drift though nobody else was well, or for one that all had."""
        found = []
        for at, _, event in self.told("restart.begun"):
            if event.fields["cause"] not in ("adrift", "lost"):
                continue
            is_shared = any(since + 2.0 < at < until for since, until in self.drifts)
            if len(self.daemons) == 1 or is_shared:
                found.append(f"{event.backend} was restarted at {at:.2f} for a drift that all have")
        return found


async def history(seed: int, *, seconds: float = 40.0, prevention: bool = False) -> CareWorld:
    """Live one random history, then leave the world in peace until all is cured or too much time has passed."""
    chance = random.Random(seed)
    daemons, what = chance.choice([1, 2, 2, 3]), chance.random()
    world = CareWorld(daemons, seed, cron=what < 0.15, prevention=prevention or what > 0.9)
    world.start()
    faults = chance.choice([0.05, 0.15, 0.4])
    calls = chance.choice([0.1, 0.3, 1.0])
    restarts = chance.choice([0.0, 0.0, 0.05])
    end = world.loop.time() + seconds
    next_call, next_fault, next_life = (world.loop.time() + chance.expovariate(one) for one in (calls, faults, 0.05))
    if not restarts:
        next_life = float("inf")
    while (at := min(next_call, next_fault, next_life)) < end:
        await asyncio.sleep(max(0.0, at - world.loop.time()))
        if at == next_life:
            await world.restart_gateway()
            next_life = world.loop.time() + chance.expovariate(restarts)
        elif at == next_fault:
            world.fault()
            next_fault = at + chance.expovariate(faults)
        else:
            world.ask(chance.choice(["getbalance", "validateaddress", "history", "gettransaction", "payto"]))
            next_call = at + chance.expovariate(calls)
    # what prevents is no illness: what it begins now is nobody's failure to cure
    peace = max(world.loop.time(), *world.quiet_since.values())
    await asyncio.sleep(peace - world.loop.time() + 0.2)
    deadline = world.loop.time() + len(world.daemons) * ONE + RESTART.failed_retry + SETTLED
    while not world.is_cured() and world.loop.time() < deadline:  # noqa: ASYNC110 - as an operator would look
        await asyncio.sleep(0.5)
    if not world.is_cured():
        status = world.plant.status(world.loop.time())["backends"]
        world.crashes.append(f"not cured: {json.dumps(status, default=str)}")
    while world.asked:
        await asyncio.wait(set(world.asked))
    await world.stop()
    return world
