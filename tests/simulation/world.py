"""A whole fleet in virtual time: real pool, runner, prober, mirror and dispatcher; fake daemons and wire.

Rule: everything random comes from one seed, and whatever a client was told is compared at the end with the
journals of the daemons, which the gateway cannot see.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from gateway.base.config import Backend, Client, Hedge, Settings, Timeouts, Wallet
from gateway.base.effects import GRANTABLE
from gateway.base.jsonrpc import Call
from gateway.fleet.backend import Occupant
from gateway.fleet.pool import Pool
from gateway.flow.attempt import Attempt
from gateway.flow.dispatch import Dispatcher
from gateway.plant import Plant, build_wallet
from gateway.upstream.wire import Outcome
from tests.fakes import FakeDaemon, FakeWire, Recorder

READS = (
    "validateaddress",
    "validateaddress",
    "validateaddress",
    "getbalance",
    "listcontacts",
    "history",
    "getaddressbalance",
)
"""As often as they are named."""
MONEY = ("createnewaddress", "addrequest", "setlabel", "payto")

TAGGED_MONEY = frozenset({"addrequest", "setlabel", "payto"})
"""Money calls that carry their tag; createnewaddress has no parameter that could."""

ASKS_CHAIN = frozenset({"getaddressbalance", "payto"})
"""What hangs when the chain is silent."""

HANG = 12.0
"""Seconds that a call hangs there then."""

USUAL = 0.0003
"""Seconds that a call takes."""

SAMPLE = 0.1
"""Seconds between two looks at which daemons are well."""

BEFORE, WITHIN = 1.0, 1.2
"""A read is answered within so many seconds where a daemon was well for so long before and for as long as it takes."""

MOST_ATTEMPTS = 3
"""Daemons that one read may see; as in the configuration."""

BACK_WITHIN = 8.0
"""Seconds after which a daemon that is well again must be in service, with a free slot now and then."""

UNSEEN = 1.2
"""Seconds for which a daemon can be away and no probe sees it."""

SETTLED = "settled by a probe"

ENDS = frozenset(
    {"answered", "refused", "reset", "empty", "half", "lost", "timeout", "connect_timeout", "aborted", SETTLED}
)
"""How calls end; a block of histories that has not seen each of them proves less than it says."""


@dataclass
class Told:
    """What one client was told."""

    method: str
    tag: str
    asked_at: float
    deadline: float
    is_hedging: bool
    """Whether a read would be hedged in time when it was asked."""
    answered_at: float = 0.0
    reply: dict[str, object] = field(default_factory=dict)


def settings(backends: int, **changes: object) -> Settings:
    """Settings for a wallet of so many fake backends."""
    wallet = Wallet(
        backends=tuple(Backend(name=f"ec-{i}", url=f"http://127.0.0.1:{20000 + i}") for i in range(1, backends + 1)),
        start_grace=60,
    )
    return Settings(anonymous=True, wallets={"main": wallet}, **changes)  # type: ignore[arg-type]  # tests pass what fits


CLIENT = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)


@dataclass(frozen=True)
class Loss:
    """Addresses that a daemon forgot when it was killed and came back before a probe could see it.

    Two holes are known and excused, each for these addresses alone: a standby answers wallet reads without
    them until it is compared again, and addrequest, whose answer need not be a new address, may be given one.
    Closing them takes a look at the process, or the ledger.
    """

    backend: str
    at: float
    first: int
    end: int

    def covers(self, index: int) -> bool:
        """Whether it forgot this address."""
        return self.first <= index < self.end


class Ends(Recorder):
    """Counts how attempts ended, and the slots that a probe's answer freed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing seen."""
        super().__init__()
        self.loop = loop
        self.ends: Counter[str] = Counter()
        self.pool: Pool | None = None

    def attempt_ended(self, *args: object) -> None:
        """Count the end of one attempt."""
        attempt, outcome, *_ = args
        assert isinstance(attempt, Attempt)
        assert isinstance(outcome, Outcome)
        self.ends[outcome.reason or "answered"] += 1

    def probe_ended(self, wallet: str, backend: str, outcome: str, seconds: float) -> None:
        """Note what is unsettled now; the pool hears of an answered probe right after this."""
        super().probe_ended(wallet, backend, outcome, seconds)
        found = self.pool.by_name.get(backend) if self.pool is not None else None
        unsettled = [one for one in found.occupants if one.has_left] if found is not None else []
        if found is not None and unsettled and outcome in ("loaded", "synced"):
            self.loop.call_soon(self._count_settled, unsettled, found.occupants)

    def _count_settled(self, unsettled: list[Occupant], left: set[Occupant]) -> None:
        self.ends[SETTLED] += sum(one not in left for one in unsettled)


class World:
    """A wallet with fake daemons behind a real gateway core."""

    def __init__(self, backends: int, seed: int, **changes: object) -> None:
        """Build everything; must run inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.settings = settings(backends, **changes)
        self.daemons = [FakeDaemon(f"ec-{i}", self.loop) for i in range(1, backends + 1)]
        self.wire = FakeWire(self.loop)
        self.recorder = Ends(self.loop)
        self.plant: Plant = build_wallet(
            "main",
            self.settings,
            wire=self.wire,  # type: ignore[arg-type]  # a fake with the same verbs
            targets={daemon.name: daemon.target for daemon in self.daemons},  # type: ignore[misc]  # the same
            watcher=self.recorder,
            emit=self.recorder.emit,
            chance=self.random.random,
            loop=self.loop,
        )
        self.dispatcher = Dispatcher(
            {"main": self.plant.runner}, self.recorder, self.recorder.emit, lambda _wallet: {}, self.loop
        )
        self.told: list[Told] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.reloaded: set[str] = set()
        """Backends that a reload took out and brought back: an old probe may be there beside a new one."""
        self.crashes: list[str] = []
        """Exceptions that no callback or task of the gateway may let through."""
        self.loop.set_exception_handler(self._crashed)
        self.recorder.pool = self.plant.pool
        self.hurt_until = dict.fromkeys((daemon.name for daemon in self.daemons), 0.0)
        """When the last fault of each daemon is healed."""
        self.slow: dict[str, Callable[[str], float]] = {}
        """Daemons that take so many seconds for a call."""
        self.silent: Counter[str] = Counter()
        """Daemons whose chain server says nothing, and how many faults make it so."""
        for daemon in self.daemons:
            daemon.service = self._service(daemon.name)
        self.well_since: dict[str, float] = {}
        self.well_spans: dict[str, list[tuple[float, float]]] = {daemon.name: [] for daemon in self.daemons}
        """From when to when the world left each daemon in peace and the gateway had it in service."""
        self.unhurt_since: dict[str, float] = {}
        self.out_of_service: set[str] = set()
        """Daemons that were well for long and in which the gateway saw no free slot all the while."""
        self.losses: list[Loss] = []
        self.reloaded_at: list[float] = []
        self.is_hedging = True
        self.faults: tuple[Callable[[FakeDaemon, float], None], ...] = (
            self._freeze,
            self._freeze,
            self._freeze_shortly,
            self._wedge,
            self._kill,
            self._kill_at_work,
            self._restart_unseen,
            self._restart_between_two,
            self._mangle,
            self._disconnect,
            self._disconnect_all,
            self._fall_behind,
            self._unload,
            self._save,
            self._reload,
            self._slow_down,
            self._slow_down_and_cut,
            self._slow_probes,
            self._slow_probes,
            self._cut,
            self._drop,
            self._drop_now_and_then,
            self._silence,
            self._silence_all,
        )
        """What may happen to a daemon, and for how long."""
        self._sampler: asyncio.TimerHandle | None = None
        self._tags = 0
        self.calm: list[Told] = []
        """Calls made after all faults were healed."""

    def start(self) -> None:
        """Begin to probe and to mirror."""
        self.plant.start()
        self._sample()

    async def stop(self) -> None:
        """End the background work."""
        if self._sampler is not None:
            self._sampler.cancel()
        for daemon in self.daemons:
            self._unwell(daemon.name)
        await self.plant.stop()

    def ask(self, method: str, patience: float = 9.0, *, tag: str | None = None) -> "asyncio.Task[None]":
        """Make one call as a client; what it is told is kept."""
        self._tags += 1
        now = self.loop.time()
        told = Told(method, tag or f"t{self._tags}", now, now + patience, is_hedging=self.is_hedging)
        self.told.append(told)
        task = self.loop.create_task(self._ask(told))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _ask(self, told: Told) -> None:
        params = b"[]" if told.method == "createnewaddress" else json.dumps([told.tag, told.tag]).encode()
        call = Call(told.method, params, b"1", v1=False)
        reply = await self.dispatcher.call("main", CLIENT, call, told.deadline, None)
        told.answered_at = self.loop.time()
        told.reply = json.loads(reply.body)

    # -- faults -------------------------------------------------------------------------------------------

    def fault(self) -> None:
        """Let something happen to one daemon or to all, and heal it later, as chance wants."""
        happen = self.random.choice(self.faults)
        happen(self.random.choice(self.daemons), self.random.uniform(0.01, 12.0))

    def _hurt(self, daemon: FakeDaemon, after: float) -> None:
        """Remember that a daemon is hurt until so many seconds from now."""
        self._unwell(daemon.name)
        self.hurt_until[daemon.name] = max(self.hurt_until[daemon.name], self.loop.time() + after)

    def _heal(self, daemon: FakeDaemon, after: float, heal: Callable[[], object]) -> None:
        """Undo a fault of this moment after so many seconds."""
        self._hurt(daemon, after)
        self.loop.call_later(after, heal)

    def _call_meanwhile(self) -> None:
        """Let an impatient client call in the middle of a fault."""
        self.loop.call_later(0.01, self.ask, "setlabel", 0.3)
        self.loop.call_later(0.02, self.ask, "getbalance", 0.3)

    def _kill(self, daemon: FakeDaemon, after: float) -> None:
        if after < UNSEEN:
            lost = Loss(daemon.name, self.loop.time(), len(daemon.saved), len(daemon.wallet.addresses))
            self.losses.append(lost)
        daemon.kill()
        if after > UNSEEN:
            self._call_meanwhile()
        self._heal(daemon, after, daemon.start)

    def _kill_at_work(self, daemon: FakeDaemon, after: float) -> None:
        """Let it stop in the middle of a call first."""
        daemon.freeze()
        self._call_meanwhile()
        self._hurt(daemon, 0.4)
        self.loop.call_later(0.4, self._kill, daemon, after)

    def _restart_unseen(self, daemon: FakeDaemon, _after: float) -> None:
        """Let it be back before the next probe looks."""
        self._kill(daemon, self.random.choice([0.001, self.random.uniform(0.0, 0.3)]))

    def _restart_between_two(self, _daemon: FakeDaemon, _after: float) -> None:
        """Let the primary forget, unseen, an address that one client was told just before another one asks."""
        self.ask("createnewaddress")
        self.loop.call_later(0.05, self._kill, self.daemons[0], 0.001)
        self.loop.call_later(0.06, self.ask, "createnewaddress")

    def _freeze(self, daemon: FakeDaemon, after: float) -> None:
        daemon.freeze()
        self._heal(daemon, after, daemon.thaw)
        if self.random.random() < 0.3:
            self.loop.call_later(self.random.uniform(0.0, after), self._cut, daemon, 0.0)

    def _freeze_shortly(self, daemon: FakeDaemon, _after: float) -> None:
        self._freeze(daemon, self.random.uniform(0.05, 3.0))

    def _wedge(self, daemon: FakeDaemon, after: float) -> None:
        daemon.wedge()
        self._heal(daemon, after, daemon.unwedge)

    def _cut(self, daemon: FakeDaemon, _after: float) -> None:
        """Break the way to it while it is at work: what it had taken in is run when it goes on."""
        daemon.freeze()
        self.loop.call_later(0.4, daemon.cut)
        self._heal(daemon, 0.6, daemon.thaw)

    def _slow_down(self, daemon: FakeDaemon, after: float) -> None:
        """Let all its calls take long, each the same or each another time."""
        longest = self.random.choice([self.random.uniform(0.05, 3.0), 6.0])
        shortest = self.random.choice([0.0, longest]) if longest < HANG / 4 else 0.0
        self.slow[daemon.name] = lambda _method: self.random.uniform(shortest, longest)
        self._heal(daemon, after, lambda: self.slow.pop(daemon.name, None))

    def _slow_down_and_cut(self, daemon: FakeDaemon, after: float) -> None:
        """The same where the way to it loses the connections of calls again and again."""
        self._slow_down(daemon, after)
        for i in range(int(after / 0.7)):
            self.loop.call_later(0.7 * (i + self.random.random()), lambda: daemon.cut(probes=False))

    def _slow_probes(self, _daemon: FakeDaemon, _after: float) -> None:
        """Let the primary answer a probe so late that the call behind it is given up before, or cut."""
        daemon = self.daemons[0]
        self.slow[daemon.name] = lambda method: 2.6 if method == "getinfo" else 1.2
        for at in (0.01, 0.6, 0.7, 3.0):
            self.loop.call_later(at, self.ask, "setlabel", 9.0)
        if self.random.random() < 0.5:
            self.loop.call_later(2.0, lambda: daemon.cut(probes=False))
        self._heal(daemon, 8.0, lambda: self.slow.pop(daemon.name, None))

    def _drop(self, daemon: FakeDaemon, after: float) -> None:
        daemon.drops_syns = True
        self._call_meanwhile()
        self._heal(daemon, after, lambda: setattr(daemon, "drops_syns", False))

    def _drop_now_and_then(self, daemon: FakeDaemon, after: float) -> None:
        self._hurt(daemon, after + 1.0)
        for i in range(int(after / 0.8) + 1):
            self.loop.call_later(i * 0.8, self._drop, daemon, 0.4)

    def _mangle(self, daemon: FakeDaemon, after: float) -> None:
        words = ["half", "half", "empty", "empty", "garbage", "foreign"]
        self._call_meanwhile()
        daemon.mangle = lambda method: self.random.choice(words) if method != "getinfo" else None
        self._heal(daemon, after, lambda: setattr(daemon, "mangle", lambda _method: None))

    def _disconnect(self, daemon: FakeDaemon, after: float) -> None:
        daemon.wallet.connected = False
        self._heal(daemon, after, lambda: setattr(daemon.wallet, "connected", True))

    def _disconnect_all(self, _daemon: FakeDaemon, after: float) -> None:
        for daemon in self.daemons:
            self._disconnect(daemon, after)

    def _fall_behind(self, daemon: FakeDaemon, after: float) -> None:
        daemon.wallet.height -= 5
        daemon.wallet.server_height -= 5
        self._heal(daemon, after, lambda: self._catch_up(daemon))

    def _catch_up(self, daemon: FakeDaemon) -> None:
        daemon.wallet.height = daemon.wallet.server_height = 100

    def _unload(self, daemon: FakeDaemon, after: float) -> None:
        daemon.wallet.is_loaded = False
        self._heal(daemon, after, lambda: setattr(daemon.wallet, "is_loaded", True))

    def _save(self, daemon: FakeDaemon, _after: float) -> None:
        daemon.save()

    def _silence(self, daemon: FakeDaemon, after: float) -> None:
        """Let its chain server say nothing."""
        self.silent[daemon.name] += 1
        self._heal(daemon, after, lambda: self.silent.subtract([daemon.name]))

    def _silence_all(self, _daemon: FakeDaemon, after: float) -> None:
        for daemon in self.daemons:
            self._silence(daemon, after)

    def _reload(self, daemon: FakeDaemon, after: float) -> None:
        if daemon is not self.daemons[0]:
            self._hurt(daemon, after)
        self.reload(without=daemon)
        self.loop.call_later(after, self.reload)

    def _service(self, name: str) -> Callable[[str], float]:
        """Return what says how long a daemon takes for a method at this moment."""

        def service(method: str) -> float:
            if self.silent[name] > 0 and method in ASKS_CHAIN:
                return HANG
            return self.slow[name](method) if name in self.slow else USUAL

        return service

    def reload(self, *, without: FakeDaemon | None = None) -> None:
        """Take new settings: a standby is gone from them or is there again, the hedges are others."""
        wallet = self.settings.wallets["main"]
        gone = without.name if without is not None and without is not self.daemons[0] else ""
        kept = tuple(one for one in wallet.backends if one.name != gone)
        if gone:
            self.reloaded.add(gone)
        self.reloaded_at.append(self.loop.time())
        self.is_hedging = self.random.random() < 0.8
        settings = self.settings.model_copy(
            update={
                "wallets": {"main": wallet.model_copy(update={"backends": kept})},
                "hedge": Hedge(floor=self.random.choice([0.02, 0.1]), enabled=self.is_hedging),
            }
        )
        targets = {daemon.name: daemon.target for daemon in self.daemons if daemon.name != gone}
        self.plant.update(settings, targets)  # type: ignore[arg-type]  # fakes with the same verbs

    # -- who is well --------------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Look at every daemon: does the world leave it in peace, and does the gateway use it."""
        now = self.loop.time()
        self._sampler = self.loop.call_later(SAMPLE, self._sample)
        for daemon in self.daemons:
            name = daemon.name
            backend = self.plant.pool.by_name.get(name)
            if now < self.hurt_until[name] or not daemon.is_prompt(0.05) or backend is None:
                self._unwell(name)
                continue
            if not (backend.takes_calls and backend.may_serve):
                if name in self.well_since:
                    self.well_spans[name].append((self.well_since.pop(name), now - SAMPLE))
            else:
                self.well_since.setdefault(name, now)
            if not backend.breaker.is_closed or (backend.may_serve and backend.has_free_slot):
                # an open circuit comes back by its own clock, which goes on doubling for half a minute
                self.unhurt_since[name] = now
            elif now - self.unhurt_since.setdefault(name, now) > BACK_WITHIN:
                self.out_of_service.add(f"9: {name} was well for {BACK_WITHIN} s and took no call: {backend!r}")

    def _unwell(self, name: str) -> None:
        """End the span in which a daemon was well."""
        self.unhurt_since.pop(name, None)
        if name in self.well_since:
            self.well_spans[name].append((self.well_since.pop(name), self.loop.time()))

    def _was_well(self, name: str, since: float, until: float) -> bool:
        return any(begin <= since and until <= end for begin, end in self.well_spans[name])

    def _crashed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.crashes.append(f"an exception went through: {context.get('message')} {context.get('exception')!r}")

    # -- what must hold -----------------------------------------------------------------------------------

    def violations(self) -> list[str]:
        """Return every invariant that this history broke, in words."""
        return [
            *self.crashes,
            *self._crowded(),
            *self._mistold(self._runs()),
            *self._twice(),
            *self._strayed(),
            *self._blind(),
            *self._unanswered(),
            *sorted(self.out_of_service),
        ]

    def _told_addresses(self) -> list[tuple[Told, str]]:
        """Return every address that a caller was told, and the call."""
        found: list[tuple[Told, str]] = []
        for told in self.told:
            result = told.reply.get("result")
            if told.method == "createnewaddress" and isinstance(result, str):
                found.append((told, result))
            elif told.method == "addrequest" and isinstance(result, dict):
                found.append((told, str(result["address"])))
        return found

    def _twice(self) -> list[str]:
        """Return the addresses that two callers were told."""
        first: dict[str, Told] = {}
        found: list[str] = []
        primary = self.daemons[0].name
        for told, address in sorted(self._told_addresses(), key=lambda one: one[0].answered_at):
            other = first.setdefault(address, told)
            if other is told:
                continue
            is_excused = told.method == "addrequest" and any(
                loss.backend == primary
                and loss.covers(_index(address))
                and other.asked_at <= loss.at <= told.answered_at
                for loss in self.losses
            )
            if not is_excused:
                found.append(
                    f"1: {address} was told at {other.answered_at:.3f} ({other.tag}) and again at"
                    f" {told.answered_at:.3f} ({told.tag})"
                )
        return found

    def _unanswered(self) -> list[str]:
        """Reads that were not answered at once though a daemon was well, and fewer sick than a call has attempts."""
        found: list[str] = []
        for told in self.told:
            since, until = told.asked_at - BEFORE, told.asked_at + WITHIN
            if told.method != "validateaddress" or not told.is_hedging or told.deadline < until:
                continue
            if any(since <= at <= until for at in self.reloaded_at):
                continue
            well = sum(self._was_well(daemon.name, since, until) for daemon in self.daemons)
            sick = len(self.daemons) - well
            if not well or sick >= MOST_ATTEMPTS:
                continue
            took = told.answered_at - told.asked_at
            # a call that a daemon spoilt costs a token of the budget; without one, or spoilt by two, it ends there
            is_spoilt = sick > 1 or "budget is spent" in json.dumps(told.reply)
            if took > WITHIN or ("result" not in told.reply and not is_spoilt):
                found.append(f"9: {told.tag} was well served by {well} and took {took:.3f} s: {told.reply}")
        return found

    def _runs(self) -> Counter[str]:
        """Return how often each tagged call was run by any daemon."""
        runs: Counter[str] = Counter()
        for daemon in self.daemons:
            for _, method, params in daemon.journal:
                if method not in ("getinfo", "listaddresses", "createnewaddress", "load_wallet"):
                    runs[str(params[0])] += 1  # type: ignore[index]  # ours are lists
        return runs

    def _crowded(self) -> list[str]:
        """Where more of ours was in a daemon than may be."""
        found: list[str] = []
        for daemon in self.daemons:
            if daemon.most_calls > 1:
                found.append(f"5: {daemon.most_calls} unsettled calls of ours in {daemon.name}")
            if daemon.most_probes > 1 and daemon.name not in self.reloaded:
                found.append(f"5: {daemon.most_probes} probes in {daemon.name}")
        return found

    def _mistold(self, runs: Counter[str]) -> list[str]:
        """What clients were told that is not so, or too late."""
        found: list[str] = []
        for told in self.told:
            if not told.reply:
                found.append(f"7: {told.method} {told.tag} was never answered")
                continue
            if told.answered_at > told.deadline + 1.0:
                found.append(f"7: {told.method} {told.tag} was answered {told.answered_at - told.deadline:.3f} s late")
            error = told.reply.get("error")
            shared = told.tag == "same"
            if not shared and isinstance(error, dict) and error["data"]["executed"] == "no" and runs[told.tag]:
                found.append(f"4: {told.method} {told.tag} was called not executed and ran {runs[told.tag]} times")
            if told.method in TAGGED_MONEY and runs[told.tag] > 1:
                found.append(f"2: {told.method} {told.tag} ran {runs[told.tag]} times")
        calm = [told for told in self.calm if "result" not in told.reply]
        return found + [f"9: {told.method} failed in the calm: {told.reply}" for told in calm]

    def _blind(self) -> list[str]:
        """Wallet reads that a standby answered though it did not list every address told before they were asked."""
        found: list[str] = []
        told_at = [(told.answered_at, _index(address)) for told, address in self._told_addresses()]
        primary = self.plant.pool.primary.name
        for told in self.told:
            result = told.reply.get("result")
            if told.method not in ("getbalance", "history") or not isinstance(result, dict) or result["by"] == primary:
                continue
            highest = max((index for at, index in told_at if at < told.asked_at), default=0)
            is_excused = any(
                loss.backend == result["by"] and loss.covers(highest) and loss.at <= told.answered_at
                for loss in self.losses
            )
            if highest >= result["addresses"] and not is_excused:
                found.append(f"{told.method} {told.tag} was answered by {result['by']}, blind to address {highest}")
        return found

    def _strayed(self) -> list[str]:
        """Money calls that were run by a daemon that is no primary."""
        primary = self.plant.pool.primary.name
        return [
            f"6: {daemon.name} is no primary and ran a money call"
            for daemon in self.daemons
            if daemon.name != primary and any(method in TAGGED_MONEY for _, method, _ in daemon.journal)
        ]


def _index(address: str) -> int:
    return int(address.removeprefix("address-"))


async def history(seed: int, *, seconds: float = 30.0) -> World:
    """Live one random history and return the world after it."""
    chance = random.Random(seed)
    # where no call may last long, the gateway gives up many that their daemon still runs
    server = chance.choice([2.0, 2.0, 35.0])
    world = World(chance.choice([1, 2, 3, 5]), seed, timeouts=Timeouts(server=server))
    world.start()
    rate = chance.choice([0.1, 2.0, 10.0, 40.0])
    reads = chance.choice([0.4, 0.7, 0.85])
    faults = chance.choice([0.05, 0.2, 0.6])
    clock = 0.0
    next_call, next_fault = 0.0, 0.5
    while clock < seconds:
        step = min(next_call, next_fault)
        await asyncio.sleep(max(0.0, step - clock))
        clock = step
        if next_fault <= next_call:
            world.fault()
            next_fault += chance.expovariate(faults)
        else:
            method = chance.choice(READS) if chance.random() < reads else chance.choice(MONEY)
            tag = "same" if method == "getbalance" and chance.random() < 0.3 else None
            # a call that must be answered at once is asked with patience, so that lateness would show
            patience = 9.0 if method == "validateaddress" else chance.choice([0.1, 0.6, 9.0])
            task = world.ask(method, patience, tag=tag)
            if chance.random() < 0.05:
                world.loop.call_later(chance.uniform(0.0, 0.05), task.cancel)
                world.told.pop()
            next_call += chance.expovariate(rate)
    while world.tasks:
        await asyncio.wait(set(world.tasks))
    # a fault may last longer than the calls do
    healed = max(world.loop.time(), *world.hurt_until.values())
    await asyncio.sleep(healed - world.loop.time() + 15.0)
    await asyncio.sleep(HANG if any(daemon.current for daemon in world.daemons) else 0.0)
    # every fault is healed by now: whatever is asked is answered, by daemons that nothing of ours wedged
    after = len(world.told)
    for method in (*READS, *MONEY):
        await world.ask(method)
    world.calm = world.told[after:]
    await world.stop()
    return world
