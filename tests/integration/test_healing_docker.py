"""A real gateway in front of wallets in containers of a real Docker engine: what happens to one is cured by itself.

Rule: the engine's own events count what was done to a container; what the gateway says of itself is not asked for that.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.gateway_process import ROOT, Gateway, Settings, wait_until
from tests.integration.healing import (
    PATIENCE,
    SATS,
    TOKEN,
    ask,
    begin,
    heal,
    once,
    reading,
    restarts,
    settings,
    stranger,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.integration.docker_engine import Engine

pytest_plugins = ("tests.integration.docker_engine",)

NET = "heal"

SUBNET = "172.31.250"
"""In the private engine's own range, far from what it gives out by itself."""

MEMORY = 96
"""MiB that a container may take."""

POLICIES = {
    "heal-1": (),
    "heal-2": ("--restart", "unless-stopped"),
    "heal-3": ("--restart", "always", "--init"),
    "heal-solo": (),
}


class Wallets:
    """Containers with one wallet daemon each, on one chain: heal-1 to heal-3 on one seed, heal-solo on another."""

    def __init__(self, engine: "Engine", image: str) -> None:
        """Start them; nobody loads their wallets but a gateway."""
        self.engine = engine
        self.address = {name: f"{SUBNET}.{10 + place}" for place, name in enumerate(POLICIES)}
        engine.run("network", "create", "--subnet", f"{SUBNET}.0/24", NET)
        here = ("--detach", "--network", NET)
        chain = ("--ip", f"{SUBNET}.9", "--name", "heal-chain", "--entrypoint", "python3", image)
        engine.run("run", *here, *chain, "-m", "gateway.sandbox.chain", "--host=0.0.0.0", "--port=7776")
        limits = ("--memory", f"{MEMORY}m", "--memory-swap", f"{MEMORY}m")
        for name, policy in POLICIES.items():
            seed = "solo" if name == "heal-solo" else "trio"
            place = ("--ip", self.address[name], "--name", name)
            engine.run("run", *here, *place, *limits, *policy, image, f"--chain={SUBNET}.9:7776", f"--seed={seed}")

    def end(self) -> None:
        """Take all of them away."""
        self.engine.run("rm", "--force", "--volumes", "heal-chain", *POLICIES, check=False)
        self.engine.run("network", "rm", NET, check=False)

    def backend(self, name: str, container: str = "") -> dict[str, Any]:
        """One of them as the configuration names it."""
        launcher = {"kind": "docker", "host": f"unix://{self.engine.socket}", "container": container or name}
        url = f"http://{self.address.get(name, f'{SUBNET}.99')}:7777"
        return {"name": name, "url": url, "username": "user", "password": "sandbox", "launcher": launcher}

    def tell(self, name: str, port: int, *words: str, check: bool = True) -> None:
        """Throw a switch in a container."""
        self.engine.run("exec", name, "python3", "-m", "gateway.sandbox", "tell", str(port), *words, check=check)

    def fund(self, address: str) -> None:
        """Let an address have coins, in a block."""
        self.tell("heal-chain", 7776, "fund", f"address={address}", f"sats={SATS}")
        self.tell("heal-chain", 7776, "mine", "blocks=1")

    def inspect(self, name: str, what: str) -> str:
        """Ask the engine."""
        return self.engine.run("inspect", "--format", what, name)

    def events(self, name: str, since: float, *kinds: str) -> list[str]:
        """What the engine says was done to a container since a moment, of these kinds."""
        filters = [word for kind in kinds for word in ("--filter", f"event={kind}")]
        span = ("--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--format", "{{.Action}}")
        return self.engine.run("events", "--filter", f"container={name}", *filters, *span).split()


@pytest.fixture(scope="module")
def wallets(engine: "Engine", wallet_image: str) -> Iterator[Wallets]:
    """The containers of this module."""
    some = Wallets(engine, wallet_image)
    try:
        yield some
    finally:
        some.end()


def settings_of(wallets: Wallets, folder: Path, *names: str) -> Settings:
    """Settings in front of some of them."""
    return settings([wallets.backend(name) for name in names], folder / "ledger.db")


@contextmanager
def gateway_of(wallets: Wallets, folder: Path, *names: str) -> Iterator[Gateway]:
    """A gateway in front of some of them, their wallet funded and everybody well."""
    with Gateway(folder, settings_of(wallets, folder, *names)) as one:
        begin(one, wallets.fund)
        yield one


@pytest.fixture(scope="module")
def shared_house(wallets: Wallets, folder: Path) -> Iterator[Gateway]:
    """A gateway in front of three."""
    with gateway_of(wallets, folder / "three", "heal-1", "heal-2", "heal-3") as one:
        yield one


@pytest.fixture
def house(shared_house: Gateway) -> Gateway:
    """The same, with all of them well."""
    shared_house.wait_all_well()
    return shared_house


Harm = Callable[[Wallets, str], AbstractContextManager[None]]


def by_docker(*words: str) -> Harm:
    """A command of Docker's."""
    return lambda wallets, name: once(lambda: wallets.engine.run(*words, name))


def by_signal(number: signal.Signals) -> Harm:
    """A signal to the container's first process, of which Docker knows nothing."""
    return lambda wallets, name: once(lambda: os.kill(int(wallets.inspect(name, "{{.State.Pid}}")), number))


def by_memory(wallets: Wallets, name: str) -> AbstractContextManager[None]:
    """A daemon that takes more with each call, until the kernel ends it."""
    # whoever throws the switch may end with the container
    return once(lambda: wallets.tell(name, 7778, "leak", "value=40", check=False))


def by_stranger(wallets: Wallets, name: str) -> AbstractContextManager[None]:
    """The incident."""
    return stranger(wallets.address[name], 7777)


HARMS: dict[str, tuple[Harm, str, str, list[str]]] = {
    "paused": (by_docker("pause"), "", "wedged", []),
    "killed": (by_docker("kill"), "", "dead", ["start"]),
    "killed, and Docker holds its hand": (by_docker("kill"), "heal-2", "dead", ["start"]),
    "out of memory": (by_memory, "heal-1", "dead", ["start"]),
    "out of memory, brought back by Docker": (by_memory, "heal-2", "dead", ["start"]),
    "stopped": (by_docker("stop", "--time", "5"), "heal-3", "dead", ["start"]),
    "dead, brought back by Docker": (by_signal(signal.SIGKILL), "heal-3", "dead", ["start"]),
    "wedged by a stranger": (by_stranger, "heal-1", "wedged", ["start"]),
    "wedged by a stranger, under a policy": (by_stranger, "heal-3", "wedged", ["start"]),
    "process stopped": (by_signal(signal.SIGSTOP), "heal-2", "wedged", ["start"]),
}
"""What is done, to whom ("" is whoever is primary), what the gateway takes it for, and how often it is started."""


@pytest.mark.parametrize("what", HARMS)
def test_a_container_comes_back_by_itself_and_no_read_is_lost(what: str, house: Gateway, wallets: Wallets) -> None:
    """READY and aligned, with one new life or none; an address given out just before is still the wallet's."""
    harm, name, cause, starts = HARMS[what]
    name = name or str(house.status()["primary"])
    lived, since = wallets.inspect(name, "{{.State.StartedAt}}"), time.time()
    given = heal(house, name, harm(wallets, name), cause)
    assert wallets.events(name, since, "start") == starts
    assert (wallets.inspect(name, "{{.State.StartedAt}}") == lived) == (not starts)
    assert given in ask(wallets.address[name], 7777, "listaddresses")
    assert "memory" not in what or house.events("backend.died", backend=name)[-1]["oom"]


def test_four_orders_to_restart_one_make_one_restart(house: Gateway, wallets: Wallets, tmp_path: Path) -> None:
    """Given at once by the command line; it ends by RPC `stop`, and no read is lost."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    how = ["--url", f"http://127.0.0.1:{house.admin_port}", "--token-file", str(token)]
    before, since = len(restarts(house, "heal-2")), time.time()
    with reading(house) as reads:
        orders = [
            subprocess.Popen([sys.executable, "-m", "gateway", "restart", "heal-2", *how], cwd=ROOT) for _ in range(4)
        ]
        assert [order.wait(PATIENCE) for order in orders] == [0, 0, 0, 0]
        wait_until(lambda: len(restarts(house, "heal-2")) > before, "it is restarted", PATIENCE)
        house.wait_all_well()
        reads.wait_more()
    assert not reads.wrong, reads.wrong
    assert len(house.events("order.done", backend="heal-2", verb="restart")) == 4
    assert sorted(wallets.events("heal-2", since, "start", "die", "kill")) == ["die", "start"]
    assert [one["cause"] for one in restarts(house, "heal-2")[before:]] == ["order"]


def test_a_container_that_does_not_exist_is_told_and_the_others_go_on(house: Gateway, wallets: Wallets) -> None:
    """By an event and an alert that say what to correct; reads are answered, and a death beside it is cured."""
    plain = settings_of(wallets, house.file.parent, "heal-1", "heal-2", "heal-3")
    mistaken = json.loads(json.dumps(plain))
    mistaken["wallets"]["main"]["backends"].append(wallets.backend("heal-9", "nobody"))
    house.write(mistaken)
    try:
        with reading(house) as reads:
            told = "there is no container nobody; create it, or correct launcher.container"
            wait_until(lambda: house.events("restart.failed", backend="heal-9"), "it is told", PATIENCE)
            assert house.events("restart.failed", backend="heal-9")[0]["reason"] == told
            wait_until(lambda: house.events("alert.opened", alert="restart_failed"), "there is an alert", PATIENCE)
            before = len(restarts(house, "heal-1"))
            wallets.engine.run("kill", "heal-1")
            wait_until(lambda: len(restarts(house, "heal-1")) > before, "another one is restarted", PATIENCE)
            reads.wait_more()
        assert not reads.wrong, reads.wrong
    finally:
        house.write(plain)
    wait_until(lambda: len(house.status()["backends"]) == 3, "the mistake is mended")
    house.wait_all_well()


@pytest.fixture(scope="module")
def solo(wallets: Wallets, folder: Path) -> Iterator[Gateway]:
    """A gateway in front of one."""
    with gateway_of(wallets, folder / "one", "heal-solo") as one:
        yield one


@pytest.mark.parametrize("what", ["paused", "killed", "wedged by a stranger"])
def test_a_wallet_with_one_daemon_heals_and_calls_that_can_wait_do(what: str, solo: Gateway, wallets: Wallets) -> None:
    """The incident, in seconds: who calls while nobody serves is answered within its deadline of 9 s, and rightly."""
    solo.wait_all_well()
    harm, _, cause, _ = HARMS[what]
    before, given = len(restarts(solo, "heal-solo")), solo.call("createnewaddress").result
    with harm(wallets, "heal-solo"):
        wait_until(lambda: solo.backend("heal-solo")["phase"] not in ("READY", "WARMING"), "it is found out")
        with reading(solo) as reads:
            wait_until(lambda: len(restarts(solo, "heal-solo")) > before, "it is restarted", PATIENCE)
            reads.wait_more()
    assert not reads.wrong, reads.wrong
    solo.wait_all_well()
    assert [one["cause"] for one in restarts(solo, "heal-solo")[before:]] == [cause]
    assert given in ask(wallets.address["heal-solo"], 7777, "listaddresses")
