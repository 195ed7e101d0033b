"""Sandbox daemons that die, hang and are restarted by the supervisor: real processes, the real wire."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.base.care import Launcher as LauncherSettings
from gateway.base.config import Backend, Health, Settings, Wallet
from gateway.base.effects import GRANTABLE, Effect
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.flow.errand import Errand
from gateway.plant import Plant, build_wallet
from gateway.rules.lifecycle import Phase
from gateway.sandbox.fleet import Fleet
from gateway.upstream.target import Target
from gateway.upstream.wire import Wire
from tests.fakes import Recorder
from tests.integration.fleet_launcher import FleetLauncher

PATIENCE = 20.0
"""Seconds; nothing here takes a third of it."""


class Bench:
    """A plant in this process in front of a fleet whose daemons wait to be told to load their wallets."""

    def __init__(
        self, fleet: Fleet, thread: ThreadPoolExecutor, own: LauncherSettings | None = None, url: str = ""
    ) -> None:  # fmt: skip
        """Build it; must run on the loop that will serve.

        Args:
            own: the launcher of the one daemon at `url`, which the fleet knows nothing of.
        """
        self.fleet = fleet
        self.loop = asyncio.get_running_loop()
        self.launchers = [FleetLauncher(fleet, index, thread) for index in range(len(fleet))]
        names = [f"ec-{index + 1}" for index in range(len(fleet))]
        wallet = Wallet(
            backends=tuple(
                Backend(name=name, url=url or fleet.url(index), launcher=own or LauncherSettings(kind="fleet"))
                for index, name in enumerate(names)
            )
        )
        settings = Settings(anonymous=True, wallets={"main": wallet}, health=Health(slow_start=0.5))
        self.recorder = Recorder()
        self.wire = Wire(connect=1.0, write=2.0, max_head=65536, max_body=1 << 24, resolve_ttl=30.0)
        by_name = dict(zip(names, self.launchers, strict=True))
        self.plant: Plant = build_wallet(
            "main",
            settings,
            wire=self.wire,
            targets={
                name: Target.make(url or fleet.url(index), fleet.user, fleet.password, keep_alive=False)
                for index, name in enumerate(names)
            },
            watcher=self.recorder,
            emit=self.recorder.emit,
            chance=lambda: 0.5,
            loop=self.loop,
            make_launcher=None if own is not None else lambda _settings, name, _loop: by_name[name],
        )

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for something."""
        async with asyncio.timeout(PATIENCE):
            while not is_so():  # noqa: ASYNC110 - a test looks at what it would not have told it
                await asyncio.sleep(0.02)
        assert is_so(), what

    def are_well(self) -> bool:
        """Whether all are in full service and whole."""
        pool = self.plant.pool
        return all(one.phase is Phase.READY and pool.is_aligned(one) for one in pool.backends)

    def events(self, name: str) -> list[Event]:
        """The events of a name."""
        return [one for one in self.recorder.events if isinstance(one, Event) and one.name == name]

    def steps(self) -> list[object]:
        """The steps of all restarts, in order."""
        return [one.fields["step"] for one in self.events("restart.step")]

    def ask(self, method: str, patience: float = 9.0) -> "asyncio.Future[Any]":
        """Ask as a client; the answer is a result or a failure."""
        row = self.plant.profile.methods[method]
        assert row.effect in GRANTABLE
        assert row.effect is not Effect.ALLOCATE
        future: asyncio.Future[Any] = self.loop.create_future()
        errand = Errand("main", "shop", row, row.effect, b"[]", 1.0, self.loop.time())
        errand.join(future, self.loop.time() + patience)
        self.plant.runner.begin(errand)
        return future


Scene = Callable[[Bench], Coroutine[Any, Any, None]]


def play(scene: Scene, folder: Path, daemons: int) -> Bench:
    """Play a scene once all wallets, which nobody loaded, are loaded and well."""

    async def live(fleet: Fleet, thread: ThreadPoolExecutor) -> Bench:
        bench = Bench(fleet, thread)
        bench.plant.start()
        try:
            await bench.until(bench.are_well, "the wallets are loaded, and all are well")
            await scene(bench)
        finally:
            await bench.plant.stop()
            await bench.wire.close()
        return bench

    with ThreadPoolExecutor(1) as thread, Fleet(daemons, folder, load=False) as fleet:
        return asyncio.run(live(fleet, thread))


@pytest.mark.parametrize("daemons", [1, 2])
def test_a_killed_daemon_is_back_and_calls_that_can_wait_do(tmp_path: Path, daemons: int) -> None:
    """Started, loaded and whole again; the balance asked for meanwhile is answered."""

    async def scene(bench: Bench) -> None:
        bench.fleet.kill(0)
        # a call that was sent to it just before would be answered by nobody
        await bench.until(lambda: not bench.plant.pool.primary.phase.is_serving, "it is found out")
        answers = [bench.ask("getbalance") for _ in range(5)]
        for answer in await asyncio.gather(*answers):
            assert isinstance(answer, Answer)
            assert answer.result is not None
            assert json.loads(answer.result)
        await bench.until(bench.are_well, "it is back")
        assert bench.launchers[0].orders == ["start"]
        await bench.until(lambda: bool(bench.events("restart.done")), "it is told")
        assert bench.steps() == ["start", "answer", "load", "sync", "align"]

    play(scene, tmp_path, daemons)


@pytest.mark.parametrize("daemons", [1, 2])
def test_a_wedged_daemon_is_killed_and_started(tmp_path: Path, daemons: int) -> None:
    """A foreign idle connection takes it away from everybody: the incident, in seconds."""

    async def scene(bench: Bench) -> None:
        with bench.fleet.wedge(0):
            await bench.until(lambda: bool(bench.events("restart.done")), "it is restarted")
        await bench.until(bench.are_well, "it is back")
        assert bench.launchers[0].orders == ["kill", "start"]

    play(scene, tmp_path, daemons)


def test_a_stopped_process_is_let_go_on(tmp_path: Path) -> None:
    """What was only paused loses nothing."""

    async def scene(bench: Bench) -> None:
        pid = bench.fleet.pid(0)
        bench.fleet.freeze(0)
        await bench.until(lambda: bool(bench.events("restart.done")), "it goes on")
        await bench.until(bench.are_well, "it is back")
        assert bench.fleet.pid(0) == pid
        assert bench.launchers[0].orders == ["start"]

    play(scene, tmp_path, 2)


def test_an_ordered_restart_saves_the_wallet(tmp_path: Path) -> None:
    """Drained, stopped by RPC, and what only `stop` saves is still there; four orders make one restart."""

    async def scene(bench: Bench) -> None:
        address = bench.fleet.rpc(0, "listaddresses")[0]
        assert bench.fleet.rpc(0, "freeze", address)
        for _ in range(4):
            assert "restarted" in bench.plant.restart("ec-1", "a new version")
        await bench.until(lambda: bool(bench.events("restart.done")), "it is restarted")
        await bench.until(bench.are_well, "it is back")
        assert bench.launchers[0].orders == ["start"]
        assert bench.steps() == ["drain", "stop", "start", "answer", "load", "sync", "align"]
        # a freeze is lost by every other end
        assert bench.fleet.rpc(0, "listaddresses", frozen=True) == [address]

    play(scene, tmp_path, 2)


def test_a_daemon_that_is_a_child_of_the_gateway_is_started_saved_and_restarted(tmp_path: Path) -> None:
    """By the process launcher: nobody runs at first, it is killed, and an ordered restart loses nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def live(fleet: Fleet, thread: ThreadPoolExecutor) -> None:
        options = {
            "port": port, "chain": f"127.0.0.1:{fleet.chain_port}", "data": tmp_path / "own", "seed": "sandbox",
            "user": fleet.user, "password-env": "ITS_PASSWORD", "journal": tmp_path / "own.jsonl",
        }  # fmt: skip
        launcher = LauncherSettings.model_validate(
            {
                "kind": "process",
                "command": [
                    sys.executable,
                    "-m",
                    "gateway.sandbox.daemon",
                    *(f"--{k}={v}" for k, v in options.items()),
                ],
                "output": str(tmp_path / "own.log"),
                "env": {"ITS_PASSWORD": fleet.password, "PYTHONPATH": str(Path(__file__).parents[2])},
                "die_with_gateway": True,
            }
        )
        bench = Bench(fleet, thread, launcher, f"http://127.0.0.1:{port}")
        bench.plant.start()
        try:
            await bench.until(bench.are_well, "it is started, and its wallet loaded")
            pid = int((await bench.plant.supervisor.launchers["ec-1"].status()).instance.split()[1])
            os.kill(pid, signal.SIGKILL)
            await bench.until(lambda: bool(bench.events("backend.died")), "its parent hears of it")
            # the second restart in a row waits for its back-off
            await bench.until(lambda: len(bench.events("restart.done")) == 2, "it is told")
            assert isinstance(await bench.ask("getbalance"), Answer)
            bench.plant.restart("ec-1", "once more")
            await bench.until(lambda: len(bench.events("restart.done")) == 3, "it is restarted")
            assert [one.fields["cause"] for one in bench.events("restart.done")] == ["dead", "dead", "order"]
            assert "kill" not in bench.steps()
        finally:
            await bench.plant.stop()
            await bench.wire.close()

    with ThreadPoolExecutor(1) as thread, Fleet(1, tmp_path / "fleet") as fleet:
        asyncio.run(live(fleet, thread))
