"""A real gateway and real daemons without containers: its own children, and programs of a real supervisord.

Rule: a life of a daemon is a line in its output, so that the daemons themselves count how often they were started.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gateway.sandbox.fleet import Fleet, tell
from gateway.sandbox.ports import free_port
from tests.integration.gateway_process import ROOT, Gateway, wait_until
from tests.integration.healing import PATIENCE, SATS, ask, begin, heal, once, settings, stranger

NAMES = ("ec-1", "ec-2")


class Daemons:
    """Two wallet daemons on one seed that somebody else starts: what to start, and how they are.

    Args:
        chain: of the fleet that has no daemon of its own.
    """

    def __init__(self, folder: Path, chain: Fleet) -> None:
        """Choose their ports; nothing is started."""
        folder.mkdir()
        self.folder = folder
        self.chain = chain
        self.port, self.control = ({name: free_port() for name in NAMES} for _ in range(2))
        self.variables = {"ITS_PASSWORD": "sandbox", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def command(self, name: str) -> list[str]:
        """What starts one; its wallet is loaded by nobody but a gateway."""
        options = {
            "port": self.port[name], "control": self.control[name], "chain": f"127.0.0.1:{self.chain.chain_port}",
            "data": self.folder / name, "seed": self.folder.name, "user": "user", "password-env": "ITS_PASSWORD",
            "journal": self.folder / f"{name}.jsonl",
        }  # fmt: skip
        return [sys.executable, "-m", "gateway.sandbox.daemon", *(f"--{key}={value}" for key, value in options.items())]

    def output(self, name: str) -> Path:
        """Where it writes, a line in each life once it serves."""
        return self.folder / f"{name}.log"

    def lives(self, name: str) -> int:
        """How often it was started so far."""
        return self.output(name).read_text().count("ready ")

    def pid(self, name: str) -> int:
        """Its process, 0 when there is none; that there are never two is seen here as well."""
        mark = f"--port={self.port[name]}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found += [int(folder.name)] if mark in words and b"gateway.sandbox.daemon" in words else []
        assert len(found) <= 1
        return found[0] if found else 0

    def backend(self, name: str, launcher: dict[str, Any]) -> dict[str, Any]:
        """One of them as the configuration names it."""
        url = f"http://127.0.0.1:{self.port[name]}"
        return {"name": name, "url": url, "username": "user", "password": "sandbox", "launcher": launcher}

    def fund(self, address: str) -> None:
        """Let an address have coins, in a block."""
        self.chain.chain("fund", address=address, sats=SATS)
        self.chain.chain("mine", blocks=1)

    def end(self) -> None:
        """End those that are there."""
        for name in NAMES:
            pid = self.pid(name)
            if pid:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def chain(folder: Path) -> Iterator[Fleet]:
    """A chain, and no daemon."""
    with Fleet(0, folder / "chain") as one:
        yield one


Harm = Callable[[Daemons, str], AbstractContextManager[None]]


def by_signal(number: signal.Signals) -> Harm:
    """A signal to the daemon."""
    return lambda daemons, name: once(lambda: os.kill(daemons.pid(name), number))


def by_stop(daemons: Daemons, name: str) -> AbstractContextManager[None]:
    """Somebody else tells it to stop, and it ends with exit code 0."""
    return once(lambda: ask("127.0.0.1", daemons.port[name], "stop"))


def by_stranger(daemons: Daemons, name: str) -> AbstractContextManager[None]:
    """The incident."""
    return stranger("127.0.0.1", daemons.port[name])


def check_heals(gateway: Gateway, daemons: Daemons, name: str, harm: Harm, cause: str, lives: int) -> None:
    """Let one be harmed and cured, with so many new lives; what was given out before is still the wallet's."""
    before = daemons.lives(name)
    given = heal(gateway, name, harm(daemons, name), cause)
    assert daemons.lives(name) - before == lives
    assert given in ask("127.0.0.1", daemons.port[name], "listaddresses")


# -- children of the gateway


@pytest.fixture(scope="module")
def children(chain: Fleet, folder: Path) -> Iterator[Daemons]:
    """Daemons that the gateways of this module start."""
    some = Daemons(folder / "children", chain)
    try:
        yield some
    finally:
        some.end()


def family(children: Daemons, folder: Path, **wallet: Any) -> Gateway:
    """A gateway whose children they are, or who are adopted by it."""
    launchers = {
        name: {
            "kind": "process", "command": children.command(name), "output": str(children.output(name)),
            "env": children.variables,
        }
        for name in NAMES
    }  # fmt: skip
    plain = settings([children.backend(name, launchers[name]) for name in NAMES], children.folder / "ledger.db")
    plain["wallets"]["main"].update(wallet)
    return Gateway(folder, plain)


@pytest.fixture(scope="module")
def parent(children: Daemons, folder: Path) -> Iterator[Gateway]:
    """The gateway that starts them."""
    with family(children, folder / "parent") as one:
        begin(one, children.fund)
        yield one


@pytest.mark.parametrize(
    ("name", "harm", "cause", "lives"),
    [
        pytest.param("ec-1", by_signal(signal.SIGKILL), "dead", 1, id="killed"),
        pytest.param("ec-2", by_stop, "dead", 1, id="ended with exit code 0"),
        pytest.param("ec-1", by_signal(signal.SIGSTOP), "wedged", 0, id="process stopped"),
        pytest.param("ec-2", by_stranger, "wedged", 1, id="wedged by a stranger"),
    ],
)
def test_a_child_comes_back_by_itself_and_no_read_is_lost(
    name: str, harm: Harm, cause: str, lives: int, parent: Gateway, children: Daemons
) -> None:
    """The gateway has started both; what was only stopped goes on, and every other end is followed by one start."""
    parent.wait_all_well()
    check_heals(parent, children, name, harm, cause, lives)


def test_the_next_gateway_adopts_the_children_and_lets_a_busy_one_finish(
    parent: Gateway, children: Daemons, tmp_path: Path
) -> None:
    """The gateway is killed while a call runs; who still works on it is not ended, and heals like any child later."""
    parent.wait_all_well()
    before = {name: (children.pid(name), children.lives(name)) for name in NAMES}
    caller = Thread(target=_call_until_it_is_gone, args=(parent,))
    caller.start()
    # the call that runs there, or the next one, has no end until it is told to
    tell(children.control["ec-1"], {"cmd": "freeze"})
    wait_until(lambda: parent.backend("ec-1")["kind"] == "busy", "a call runs there")
    parent.kill()
    caller.join()
    # a daemon that it has not heard of may be starting, and is waited for; here that is soon over
    with family(children, tmp_path / "next", start_grace=1.0) as heir:
        wait_until(lambda: heir.backend("ec-2")["phase"] == "READY", "the other one serves")
        hint = "it may be working on a call"
        wait_until(lambda: heir.backend("ec-1")["care"] == hint, "it is spared, though it is silent")
        until = time.monotonic() + 3 * _WEDGED_AFTER
        wait_until(lambda: time.monotonic() > until, "it is silent for longer than any daemon may be")
        tell(children.control["ec-1"], {"cmd": "heal"})
        heir.wait_all_well()
        assert {name: (children.pid(name), children.lives(name)) for name in NAMES} == before
        assert not heir.events("restart.begun")
        check_heals(heir, children, "ec-1", by_signal(signal.SIGKILL), "dead", 1)


_WEDGED_AFTER = 0.5
"""Of the settings that these tests use."""


def _call_until_it_is_gone(gateway: Gateway) -> None:
    """Make calls whose class has time, so that nobody who works on one is restarted."""
    with suppress(OSError, ValueError, http.client.HTTPException):
        while True:
            gateway.call("history")


# -- programs of supervisord

SUPERVISED = """
[supervisord]
nodaemon=true
logfile={folder}/log
pidfile={folder}/pid
childlogdir={folder}
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """
[program:{name}]
command={command}
environment={environment}
autorestart={autorestart}
startsecs=0
stdout_logfile={output}
redirect_stderr=true
"""


@pytest.fixture(scope="module")
def programs(chain: Fleet, folder: Path) -> Iterator[Daemons]:
    """Daemons that a supervisord runs; ec-2 is one that it brings back by itself."""
    some = Daemons(folder / "programs", chain)
    conf = some.folder / "conf"
    told = SUPERVISED.format(folder=some.folder)
    for name in NAMES:
        told += PROGRAM.format(
            name=name,
            command=" ".join(some.command(name)),
            environment=",".join(f'{key}="{value}"' for key, value in some.variables.items()),
            autorestart="true" if name == "ec-2" else "false",
            output=some.output(name),
        )
    conf.write_text(told)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            wait_until(lambda: all(some.pid(name) for name in NAMES), "supervisord has started both", PATIENCE)
            yield some
        finally:
            process.terminate()
            process.wait(PATIENCE)
            some.end()


@pytest.fixture(scope="module")
def boss(programs: Daemons, folder: Path) -> Iterator[Gateway]:
    """A gateway that asks this supervisord."""
    url = f"unix://{programs.folder}/s.sock"
    backends = [programs.backend(name, {"kind": "supervisor", "url": url, "program": name}) for name in NAMES]
    with Gateway(folder / "boss", settings(backends, programs.folder / "ledger.db")) as one:
        begin(one, programs.fund)
        yield one


@pytest.mark.parametrize(
    ("name", "harm", "cause"),
    [
        pytest.param("ec-1", by_signal(signal.SIGKILL), "dead", id="killed"),
        pytest.param("ec-2", by_signal(signal.SIGKILL), "dead", id="killed, brought back by supervisord"),
        pytest.param("ec-1", by_stop, "dead", id="ended with exit code 0"),
        pytest.param("ec-2", by_signal(signal.SIGSTOP), "wedged", id="process stopped"),
        pytest.param("ec-1", by_stranger, "wedged", id="wedged by a stranger"),
    ],
)
def test_a_program_comes_back_by_itself_and_no_read_is_lost(
    name: str, harm: Harm, cause: str, boss: Gateway, programs: Daemons
) -> None:
    """One new life each time, whether supervisord starts it by itself or waits to be told."""
    boss.wait_all_well()
    check_heals(boss, programs, name, harm, cause, 1)
