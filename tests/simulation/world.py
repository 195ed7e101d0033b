"""A whole fleet in virtual time: real pool, runner, prober, mirror and dispatcher; fake daemons and wire.

Rule: everything random comes from one seed, and whatever a client was told is compared at the end with the
journals of the daemons, which the gateway cannot see.
"""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field

from pydantic import SecretStr

from gateway.base.config import Backend, Client, Hedge, Settings, Wallet
from gateway.base.effects import GRANTABLE
from gateway.base.jsonrpc import Call
from gateway.flow.dispatch import Dispatcher
from gateway.plant import Plant, build_wallet
from tests.fakes import FakeDaemon, FakeWire, Recorder

READS = ("validateaddress", "getbalance", "listcontacts", "history")
MONEY = ("createnewaddress", "setlabel", "payto")


@dataclass
class Told:
    """What one client was told."""

    method: str
    tag: str
    asked_at: float
    deadline: float
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


class World:
    """A wallet with fake daemons behind a real gateway core."""

    def __init__(self, backends: int, seed: int, **changes: object) -> None:
        """Build everything; must run inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.settings = settings(backends, **changes)
        self.daemons = [FakeDaemon(f"ec-{i}", self.loop) for i in range(1, backends + 1)]
        self.wire = FakeWire(self.loop)
        self.recorder = Recorder()
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
        self._tags = 0
        self.calm: list[Told] = []
        """Calls made after all faults were healed."""

    def start(self) -> None:
        """Begin to probe and to mirror."""
        self.plant.start()

    async def stop(self) -> None:
        """End the background work."""
        await self.plant.stop()

    def ask(self, method: str, patience: float = 9.0, *, tag: str | None = None) -> "asyncio.Task[None]":
        """Make one call as a client; what it is told is kept."""
        self._tags += 1
        told = Told(method, tag or f"t{self._tags}", self.loop.time(), self.loop.time() + patience)
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
        """Let something happen to one daemon, and heal it later, as chance wants."""
        daemon = self.random.choice(self.daemons)
        after = self.random.uniform(0.01, 12.0)
        match self.random.randrange(11):
            case 0:
                daemon.freeze()
                self.loop.call_later(after, daemon.thaw)
            case 1:
                daemon.wedge()
                self.loop.call_later(after, daemon.unwedge)
            case 2 | 3:
                daemon.kill()
                self.loop.call_later(after, daemon.start)
            case 4:
                word = self.random.choice(["half", "empty", "garbage", "foreign"])
                daemon.mangle = lambda method: word if method != "getinfo" else None
                self.loop.call_later(after, self._unmangle, daemon)
            case 5:
                daemon.wallet.connected = False
                self.loop.call_later(after, self._reconnect, daemon)
            case 7:
                daemon.wallet.is_loaded = False
                self.loop.call_later(after, self._load, daemon)
            case 8:
                daemon.save()
            case 9:
                self.reload(without=daemon)
                self.loop.call_later(after, self.reload)
            case 6:
                slow = self.random.uniform(0.05, 3.0)
                daemon.service = lambda _method: slow
                self.loop.call_later(after, self._hasten, daemon)
            case _:
                daemon.wallet.height -= 5
                daemon.wallet.server_height -= 5
                self.loop.call_later(after, self._catch_up, daemon)

    def reload(self, *, without: FakeDaemon | None = None) -> None:
        """Take new settings: a standby is gone from them or is there again, the hedges are others."""
        wallet = self.settings.wallets["main"]
        gone = without.name if without is not None and without is not self.daemons[0] else ""
        kept = tuple(one for one in wallet.backends if one.name != gone)
        if gone:
            self.reloaded.add(gone)
        settings = self.settings.model_copy(
            update={
                "wallets": {"main": wallet.model_copy(update={"backends": kept})},
                "hedge": Hedge(floor=self.random.choice([0.02, 0.1]), enabled=self.random.random() < 0.8),
            }
        )
        targets = {daemon.name: daemon.target for daemon in self.daemons if daemon.name != gone}
        self.plant.update(settings, targets)  # type: ignore[arg-type]  # fakes with the same verbs

    def _load(self, daemon: FakeDaemon) -> None:
        daemon.wallet.is_loaded = True

    def _unmangle(self, daemon: FakeDaemon) -> None:
        daemon.mangle = lambda _method: None

    def _reconnect(self, daemon: FakeDaemon) -> None:
        daemon.wallet.connected = True

    def _hasten(self, daemon: FakeDaemon) -> None:
        daemon.service = lambda _method: 0.0003

    def _catch_up(self, daemon: FakeDaemon) -> None:
        daemon.wallet.height = daemon.wallet.server_height = 100

    # -- what must hold -----------------------------------------------------------------------------------

    def violations(self) -> list[str]:
        """Return every invariant that this history broke, in words."""
        return [*self._crowded(), *self._mistold(self._runs()), *self._strayed(), *self._blind()]

    def _runs(self) -> Counter[str]:
        """Return how often each tagged call was run by any daemon."""
        runs: Counter[str] = Counter()
        for daemon in self.daemons:
            for _, method, params in daemon.journal:
                if method not in ("getinfo", "listaddresses", "createnewaddress"):
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
            if told.method in ("setlabel", "payto") and runs[told.tag] > 1:
                found.append(f"2: {told.method} {told.tag} ran {runs[told.tag]} times")
        calm = [told for told in self.calm if "result" not in told.reply]
        return found + [f"9: {told.method} failed in the calm: {told.reply}" for told in calm]

    def _blind(self) -> list[str]:
        """Wallet reads that a standby answered though it did not list every address told before they were asked."""
        found: list[str] = []
        told_at = [
            (told.answered_at, int(str(told.reply["result"]).removeprefix("address-")))
            for told in self.told
            if told.method == "createnewaddress" and "result" in told.reply
        ]
        primary = self.plant.pool.primary.name
        for told in self.told:
            result = told.reply.get("result")
            if told.method not in ("getbalance", "history") or not isinstance(result, dict) or result["by"] == primary:
                continue
            highest = max((index for at, index in told_at if at < told.asked_at), default=0)
            if highest >= result["addresses"]:
                found.append(f"{told.method} {told.tag} was answered by {result['by']}, blind to address {highest}")
        return found

    def _strayed(self) -> list[str]:
        """Money calls that were run by a daemon that is no primary."""
        primary = self.plant.pool.primary.name
        return [
            f"6: {daemon.name} is no primary and ran a money call"
            for daemon in self.daemons
            if daemon.name != primary and any(method in ("setlabel", "payto") for _, method, _ in daemon.journal)
        ]


async def history(seed: int, *, seconds: float = 30.0) -> World:
    """Live one random history and return the world after it."""
    chance = random.Random(seed)
    world = World(chance.choice([1, 2, 3, 5]), seed)
    world.start()
    rate = chance.choice([0.1, 2.0, 10.0, 40.0])
    faults = chance.choice([0.02, 0.2, 0.6])
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
            method = chance.choice(READS) if chance.random() < 0.7 else chance.choice(MONEY)
            tag = "same" if method == "getbalance" and chance.random() < 0.3 else None
            task = world.ask(method, chance.choice([0.1, 1.0, 9.0]), tag=tag)
            if chance.random() < 0.05:
                world.loop.call_later(chance.uniform(0.0, 0.05), task.cancel)
                world.told.pop()
            next_call += chance.expovariate(rate)
    while world.tasks:
        await asyncio.wait(set(world.tasks))
    await asyncio.sleep(15.0)
    # every fault is healed by now: whatever is asked is answered, by daemons that nothing of ours wedged
    after = len(world.told)
    for method in (*READS, *MONEY):
        await world.ask(method)
    world.calm = world.told[after:]
    await world.stop()
    return world
