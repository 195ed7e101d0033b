"""A wallet of fake daemons with launchers, behind a real gateway core, for scenes about their care."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pydantic import SecretStr

from gateway.base.care import Launcher as LauncherSettings
from gateway.base.care import Restart
from gateway.base.config import Backend as BackendSettings
from gateway.base.config import Settings, Wallet
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.flow.errand import Errand
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger
from gateway.money import Book
from gateway.plant import Plant, build_wallet
from gateway.rules.lifecycle import Phase
from tests.fakes import FakeWire, Recorder
from tests.fakes_launcher import CareDaemon, FakeLauncher
from tests.virtual_time import run_virtual

EPOCH = 1_800_000_000.0
"""Seconds between the loop's time and the clock's: at the start of the loop it is 2027-01-15 08:16:40 UTC."""


class Timed(Recorder):
    """Keeps when each event was."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have heard nothing."""
        super().__init__()
        self.loop = loop
        self.at: list[float] = []
        self.heard: list[Callable[[Event], None]] = []
        """Whoever wants to know of each at once."""

    def emit(self, event: object) -> None:
        """Keep an event."""
        super().emit(event)
        self.at.append(self.loop.time())
        assert isinstance(event, Event)
        for hear in self.heard:
            hear(event)


class CareBench:
    """One wallet, and one gateway in front of it; `begin_again` replaces the gateway.

    Args:
        wallet: settings of the wallet; restart: of restarts.
        ledger: whether the gateway keeps one.
    """

    def __init__(
        self, daemons: int, *, wallet: dict[str, Any] | None = None, restart: dict[str, Any] | None = None,
        password: str = "", ledger: bool = False, launchers: bool = True,
    ) -> None:  # fmt: skip
        """Build everything; must run inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        names = [f"ec-{index + 1}" for index in range(daemons)]
        self.daemons = [CareDaemon(name, self.loop) for name in names]
        self.launchers = [FakeLauncher(daemon, self.loop) for daemon in self.daemons]
        launcher = LauncherSettings(kind="fake", timeout=3.0) if launchers else None
        backends = tuple(
            BackendSettings(
                name=name, url=f"http://127.0.0.1:{20000 + index}", launcher=launcher,
                wallet_password=SecretStr(password),
            )
            for index, name in enumerate(names)
        )  # fmt: skip
        self.settings = Settings(
            anonymous=True,
            wallets={"main": Wallet(backends=backends, **(wallet or {}))},
            restart=Restart(**(restart or {})),
        )
        self.recorder = Timed(self.loop)
        self.book = None
        if ledger:
            store = InlineLedger(None)
            metadata.create_all(store.engine)
            self.book = Book(store, b"x" * 32, self.clock)
        self.plant: Plant = self._build()

    def _build(self) -> Plant:
        return build_wallet(
            "main",
            self.settings,
            wire=FakeWire(self.loop),  # type: ignore[arg-type]  # a fake with the same verbs
            targets={daemon.name: daemon.target for daemon in self.daemons},  # type: ignore[misc]  # the same
            watcher=self.recorder,
            emit=self.recorder.emit,
            chance=lambda: 0.5,
            loop=self.loop,
            book=self.book,
            clock=self.clock,
            make_launcher=self.make_launcher,
        )

    def make_launcher(
        self, _settings: LauncherSettings, name: str, _loop: asyncio.AbstractEventLoop
    ) -> FakeLauncher:  # fmt: skip
        """Return the launcher of a daemon; a new one where a reload wants another."""
        place = next(number for number, one in enumerate(self.launchers) if one.daemon.name == name)
        if self.makes_anew:
            self.launchers[place] = FakeLauncher(self.daemons[place], self.loop)
        return self.launchers[place]

    def reload(self, number: int = 0, **changes: Any) -> None:
        """Give a backend other settings, and let the gateway take them; None for the backend removes it."""
        wallet = self.settings.wallets["main"]
        backends = [
            one.model_copy(update=changes) if place == number else one for place, one in enumerate(wallet.backends)
        ]
        if not changes:
            del backends[number]
        main = wallet.model_copy(update={"backends": tuple(backends)})
        self.settings = self.settings.model_copy(update={"wallets": {"main": main}})
        self.makes_anew = True
        self.plant.update(self.settings, {one.name: self.daemons[int(one.name[3:]) - 1].target for one in backends})  # type: ignore[misc]  # fakes

    makes_anew = False

    def clock(self) -> float:
        """Seconds since 1970."""
        return EPOCH + self.loop.time()

    async def begin_again(self) -> None:
        """End the gateway and begin the next one."""
        self.plant.give_up()
        await self.plant.stop()
        self.plant = self._build()
        self.plant.start()

    def backend(self, number: int = 0) -> Backend:
        """The backend of a daemon, counted from 0."""
        return self.plant.pool.backends[number]

    def status(self, number: int = 0) -> dict[str, Any]:
        """What an operator is shown of it."""
        backends: Any = self.plant.status(self.loop.time())["backends"]
        found: dict[str, Any] = backends[number]
        return found

    def are_well(self) -> bool:
        """Whether all are in full service and whole."""
        pool = self.plant.pool
        return all(one.phase is Phase.READY and pool.is_aligned(one) for one in pool.backends)

    async def until_well(self, patience: float = 60.0) -> None:
        """Wait until all are, and nothing is being done about any; what has just happened shows a moment later."""
        await asyncio.sleep(0.3)
        await self.until(lambda: self.are_well() and not self.plant.supervisor.restarts, patience)

    async def until(self, is_so: Callable[[], bool], patience: float = 60.0) -> None:
        """Wait for something."""
        async with asyncio.timeout(patience):
            while not is_so():  # noqa: ASYNC110 - a test looks at what it would not have told it
                await asyncio.sleep(0.05)

    def told(self, name: str) -> list[Event]:
        """The events of a name."""
        return [one for one in self.recorder.events if isinstance(one, Event) and one.name == name]

    def when(self, name: str) -> list[float]:
        """When they were."""
        return [at for at, event in zip(self.recorder.at, self.recorder.names(), strict=True) if event == name]

    def steps(self) -> list[object]:
        """The steps of all restarts, in order."""
        return [one.fields["step"] for one in self.told("restart.step")]

    def ask(self, method: str, patience: float = 9.0) -> "asyncio.Future[Any]":
        """Ask as a client; the answer is a result or a failure."""
        row, runner = self.plant.profile.methods[method], self.plant.runner
        errand = Errand("main", "shop", row, row.effect, b'["a"]', runner.bound(row.bound), self.loop.time())
        member = errand.join(self.loop.create_future(), self.loop.time() + patience)
        runner.begin(errand)
        return member.future


Scene = Callable[[CareBench], Coroutine[Any, Any, None]]


def play(
    scene: Scene, daemons: int = 2, before: Callable[[CareBench], None] = lambda _bench: None, **how: Any
) -> CareBench:
    """Play a scene once the gateway has run for two seconds; `before` prepares its daemons."""

    async def live() -> CareBench:
        bench = CareBench(daemons, **how)
        before(bench)
        bench.plant.start()
        await asyncio.sleep(2.0)
        await scene(bench)
        await bench.plant.stop()
        assert not bench.told("room.failed"), bench.told("room.failed")
        return bench

    return run_virtual(live())
