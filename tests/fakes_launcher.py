"""A launcher of fake daemons in virtual time: it starts, stops and kills them, fails and hangs as a test wants.

Rule: what it did is kept with the time, and whether the daemon worked on a call then, so that a test can judge it.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.upstream.launchers import Death, LauncherError, Memory, OnDeath, State, Status
from gateway.upstream.wire import Fate
from tests.fakes import FakeDaemon, FakeExchange, FakeWallet

FOR_EVER = 1e6
"""Seconds."""


@dataclass
class CareWallet(FakeWallet):
    """A wallet that is loaded, closed and stopped by calls."""

    password: str = ""
    """What it is loaded with."""
    wants_password: str = ""
    """What it must be loaded with; "" for none."""
    on_stop: Callable[[], None] = lambda: None
    on_load: Callable[[], None] = lambda: None
    loads: int = 0

    def answer(self, method: str, params: object) -> object:
        """Run one method."""
        match method:
            case "load_wallet":
                return self._load("")
            case "daemon":
                assert isinstance(params, list)
                return self._load(params[0]["password"])
            case "close_wallet":
                was, self.is_loaded = self.is_loaded, False
                return was
            case "stop":
                self.on_stop()
                return "Daemon stopped"
            case "getinfo":
                found = super().answer(method, params)
                assert isinstance(found, dict)
                return {**found, "default_wallet": "wallet"}
            case _:
                return super().answer(method, params)

    def _load(self, password: str) -> object:
        self.loads += 1
        if password != self.wants_password:
            return {"error": "Incorrect password"}
        self.is_loaded = True
        self.on_load()
        return True


class CareDaemon(FakeDaemon):
    """A daemon with such a wallet, which is loaded at its first start alone."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """Begin alive and loaded."""
        super().__init__(name, loop)
        self.care = CareWallet()
        self.care.addresses = list(self.wallet.addresses)
        self.care.on_stop = self._stop
        self.wallet = self.care
        self.is_told_to_stop = False
        self.stops_within = 0.5
        """Seconds between the answer to the RPC `stop` and the end of the process, or of its port."""
        self.refusal = "refused"
        """How a connection ends when it does not listen."""
        self.is_cut = False
        """Nobody finds the way to it, and it is well."""
        self.listens_since = 0.0
        self.is_full = False
        """Its queue is: no connection comes about, and none is refused."""
        self.goes_on = 0.0
        """Seconds for which the process saves on once its port is closed."""
        self.is_lingering = False
        self.stop_hangs = False
        self.starts_within = 0.5
        """Seconds until its RPC listens."""
        self.stays_dead = False
        """It ends again at each start."""
        self.lives = 1

    def _stop(self) -> None:
        self.is_told_to_stop, self.is_leaving = True, not self.stop_hangs
        if not self.stop_hangs:
            self.loop.call_later(self.stops_within, self._gone, self.lives)

    def _gone(self, life: int) -> None:
        if life == self.lives and self.is_told_to_stop and self.has_process:
            self.save()
            self.kill()
            if self.goes_on:
                self.is_lingering = True
                self.loop.call_later(self.goes_on, self._left, self.lives)

    def _left(self, life: int) -> None:
        if life == self.lives:
            self.is_lingering = False

    def connects(self, exchange: FakeExchange) -> None:
        """Take in a connection, or have none."""
        if not exchange.ended and (self.is_cut or not self.is_alive):
            exchange.end(Fate.NOT_SENT, "resolve" if self.is_cut else self.refusal)
            return
        if not exchange.ended and self.is_full:
            exchange.end(Fate.NOT_SENT, "connect_timeout")
            return
        super().connects(exchange)

    def work(self) -> None:
        """Begin the next request, unless it was told to stop: then it accepts, saves, and answers nobody."""
        if not self.is_saving:
            super().work()

    @property
    def is_saving(self) -> bool:
        """Whether it was told to stop and saves its wallet: who ends it now loses what was not saved."""
        return self.is_lingering or (self.is_leaving and self.is_alive)

    @property
    def has_process(self) -> bool:
        """Whether its process is there, listening or not."""
        return self.is_alive or self._is_booting or self.is_lingering

    _is_booting = is_leaving = False

    def kill(self) -> None:
        """End the process."""
        self._is_booting = self.is_lingering = self.is_full = False
        super().kill()
        self.is_told_to_stop = self.is_leaving = False

    def turn_deaf(self) -> None:
        """Listen no more, while the process is still there."""
        super().kill()
        self._is_booting = True

    def start(self) -> None:
        """Start a process, which listens after a while and has no wallet loaded."""
        if self.has_process:
            return
        self.lives += 1
        self._is_booting = True
        self.care.is_loaded = False
        self.loop.call_later(self.starts_within, self._listen, self.lives)

    def _listen(self, life: int) -> None:
        if life != self.lives or not self._is_booting:
            return
        self._is_booting = False
        if self.stays_dead:
            return
        self.is_alive, self.listens_since = True, self.loop.time()
        self.work()

    def thaw(self) -> None:
        """Go on with what came."""
        self.is_full = False
        super().thaw()


@dataclass
class Deed:
    """One order that was carried out."""

    at: float
    verb: str
    works_on: tuple[str, float] | None
    """Method of a call that the daemon worked on then, and for how long already."""
    was_saving: bool = False
    """The daemon was in the middle of its `stop`."""


@dataclass
class FakeLauncher:
    """The launcher of one daemon."""

    daemon: CareDaemon
    loop: asyncio.AbstractEventLoop
    kind: str = "fake"
    takes_along: bool = False
    deeds: list[Deed] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    """When each order was carried out that was not spoilt."""
    fails: bool = False
    """Every order raises."""
    may_pass: bool = True
    """Whether what it fails by may pass by itself."""
    complains: str = "no such container: make one of that name"
    """With what it fails."""
    start_ends: bool = False
    """Its order to start ends what runs."""
    is_lost: bool = False
    """It takes the daemon's process for gone."""
    seconds: int = 0
    """Starts of a second process beside one that it took for gone, and that could be seen to listen."""
    kill_needs_one: bool = False
    """Its order to kill fails where there is no process, as most commands do."""
    hangs: bool = False
    """No order comes back."""
    is_blind: bool = False
    """It cannot say whether a process is there."""
    restarts_by_itself: bool = False
    """As an engine's own restart policy."""
    usage: Memory | None = None
    weigh: Callable[[], Memory | None] | None = None
    """Says what it takes, where that changes."""
    epoch: float = 0.0
    """Seconds between the loop's time and the clock's."""
    on_deed: "Callable[[Deed], None]" = lambda _deed: None
    takes: float = 0.05
    """Seconds that an order takes."""
    started_at: float = 0.0
    is_closed: bool = False
    closed_beside_process: bool | None = None
    """Whether the daemon's process was there when it was closed."""
    on_death: OnDeath | None = None
    is_paused: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    async def _order(self, verb: str) -> None:
        self.counts[verb] = self.counts.get(verb, 0) + 1
        if self.hangs:
            await asyncio.sleep(FOR_EVER)
        if self.fails:
            raise LauncherError(self.complains, may_pass=self.may_pass)
        await asyncio.sleep(self.takes)
        if verb != "status":
            self.done.append(self.loop.time())

    async def status(self) -> Status:
        """Look."""
        await self._order("status")
        if self.is_blind:
            return Status(State.UNKNOWN)
        if not self.daemon.has_process or self.is_lost:
            return Status(State.EXITED, exit_code=0)
        state = State.PAUSED if self.is_paused else State.RUNNING
        return Status(state, instance=f"life-{self.daemon.lives}", started_at=self.started_at)

    async def start(self) -> None:
        """Start, or let go on."""
        self._note("start")
        await self._order("start")
        if self.is_paused:
            self.is_paused = False
            self.daemon.thaw()
        elif not self.daemon.has_process:
            self._begin()
        elif self.is_lost and self.daemon.is_alive and not self.daemon.is_cut:
            self.seconds += 1

    async def stop(self, grace: float) -> None:
        """End softly."""
        del grace
        self._note("stop")
        await self._order("stop")
        if self.daemon.has_process:
            self.daemon.kill()

    async def kill(self) -> None:
        """End by force."""
        self._note("kill")
        await self._order("kill")
        if self.kill_needs_one and not self.daemon.has_process:
            raise LauncherError("kill ended with code 1: it said «no such process»; run launcher.kill by hand")
        self.is_paused = False
        if self.daemon.has_process:
            self.daemon.kill()

    async def memory(self) -> Memory | None:
        """What it takes."""
        return self.usage if self.weigh is None else self.weigh()

    async def read_wallet(self, path: str) -> bytes:
        """Nothing to read."""
        raise LauncherError(f"{path}: not of this kind")

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Nothing to write."""
        del content
        raise LauncherError(f"{path}: not of this kind")

    def watch(self, on_death: OnDeath) -> None:
        """Remember who listens."""
        self.on_death = on_death

    async def close(self) -> None:
        """Forget him."""
        self.is_closed, self.closed_beside_process = True, self.daemon.has_process
        self.on_death = None

    def pause(self) -> None:
        """Stop it in the middle of everything, as an engine does."""
        self.is_paused = True
        self.daemon.freeze()

    def die(self) -> None:
        """Let the process end by itself, and tell who listens."""
        life = self.daemon.lives
        self.daemon.kill()
        if self.on_death is not None:
            self.loop.call_soon(self.on_death, Death(f"life-{life}", exit_code=0))
        if self.restarts_by_itself:
            self.loop.call_later(0.2, self._begin)

    def _begin(self) -> None:
        if not self.daemon.has_process:
            self.started_at = self.epoch + self.loop.time()
            self.daemon.start()

    def _note(self, verb: str) -> None:
        current = self.daemon.current
        work = None
        if current is not None and self.daemon.finish is not None:
            work = (str(json.loads(current.body)["method"]), self.loop.time() - current.connected_at)
        deed = Deed(self.loop.time(), verb, work, self.daemon.is_saving)
        self.deeds.append(deed)
        self.on_deed(deed)

    def did(self, verb: str) -> int:
        """How often it was ordered so."""
        return sum(one.verb == verb for one in self.deeds)
