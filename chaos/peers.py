"""HAProxy and nginx as doors of the chaos suite, configured as well as we know how (`bench/peers/`).

Rule: a peer gets the same wallets by the same addresses as our gateway, and one process, whose pid is its own: what is
done to the gateway can be done to it.
"""

import base64
import http.client
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chaos import needs
from chaos.programs import LOOK, PATIENCE, Program, ProgramError
from chaos.templates import fill

if TYPE_CHECKING:
    from chaos.stage import Stage


ASKS = 3.0
"""Seconds in which a peer that has begun to work answers a read, also when it has to ask other wallets for it."""

SOCKETS = ("reads.sock", "writes.sock", "others.sock")
"""Where nginx's ways lie in its folder, as its configuration names them."""


class Peer:
    """A balancer of somebody else before the wallets of a stage.

    Args:
        name: of the program, as in `needs.DOORS`.
        arguments: that are given to it.
        stops: the signal by which it takes no new calls and ends when it has answered those it has.
        leaves: files that it leaves when it is killed, and that keep it from starting again.
    """

    has_ledger = False

    def __init__(
        self, stage: "Stage", name: str, arguments: Sequence[str], stops: signal.Signals, leaves: Sequence[Path] = ()
    ) -> None:
        self.stage = stage
        self.name = name
        self._stops = stops
        self._leaves = leaves
        launch = stage.launch
        words = [f"{key}={value}" for key, value in launch.environment.items()]
        command = [*launch.inside, *(["env", *words] if words else []), needs.found(name) or name, *arguments]
        self.program = Program(name, command, stage.folder)

    @property
    def pid(self) -> int:
        """Its process, the last one where it has ended."""
        return self.program.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.program.is_alive

    def start(self) -> None:
        """Start it and wait until a call is answered through it; raises `programs.ProgramError`."""
        for one in self._leaves:
            one.unlink(missing_ok=True)
        self.program.start(self.stage.door_port)
        # that somebody can connect proves little: nginx listens before it knows whether it can start at all
        end = time.monotonic() + PATIENCE
        why = ""
        while self.is_alive and time.monotonic() < end:
            why = self._ask()
            if not why and self.is_alive:
                return
            time.sleep(LOOK)
        state = "runs, but answers no call" if self.is_alive else "has ended"
        self.kill()
        raise ProgramError(f"{self.name} was started and {state} ({why}); it said: {self.program.said}")

    def end(self, patience: float) -> bool:
        """Tell it to stop in order; return whether it did."""
        self.program.signal(signal.SIGCONT)
        self.program.signal(self._stops)
        until = time.monotonic() + patience
        while self.is_alive and time.monotonic() < until:
            time.sleep(LOOK)
        has_stopped = not self.is_alive
        self.kill()
        return has_stopped

    def kill(self) -> None:
        """End it the hard way."""
        self.program.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self.program.signal(number)

    def _ask(self) -> str:
        """Ask for a read through it; return what came in place of a result, "" for nothing."""
        login = base64.b64encode(self.login("").encode()).decode()
        line = http.client.HTTPConnection("127.0.0.1", self.stage.door_port, timeout=ASKS)
        try:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getinfo", "params": []})
            line.request("POST", "/", body, {"Authorization": f"Basic {login}", "Connection": "close"})
            answer = line.getresponse()
            text = answer.read()
            told = json.loads(text) if answer.status == http.client.OK else {}
            return "" if told.get("result") is not None else f"{answer.status} {text!r:.200}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return repr(error)
        finally:
            line.close()

    def login(self, client: str) -> str:  # noqa: ARG002 - a balancer knows no clients, and passes the daemons' login on
        """Everybody comes in with the daemons' own name and password."""
        return f"{self.stage.fleet.user}:{self.stage.fleet.password}"


def haproxy(stage: "Stage") -> Peer:
    """Return HAProxy."""
    login = f"{stage.fleet.user}:{stage.fleet.password}"
    text = haproxy_text(stage.door_port, addresses(stage.launch.urls), login)
    file = _written(stage.folder / "haproxy.cfg", text)
    # SIGUSR1: no new calls, and an end when those it has are answered
    return Peer(stage, "haproxy", ["-q", "-db", "-f", str(file)], signal.SIGUSR1)


def nginx(stage: "Stage") -> Peer:
    """Return nginx."""
    folder = stage.folder / "nginx"
    folder.mkdir()
    file = _written(folder / "nginx.conf", nginx_text(stage.door_port, addresses(stage.launch.urls), folder))
    sockets = [folder / name for name in SOCKETS]
    return Peer(stage, "nginx", ["-e", "stderr", "-c", str(file), "-p", str(folder)], signal.SIGQUIT, sockets)


def haproxy_text(port: int, wallets: Sequence[str], login: str) -> str:
    """Return HAProxy's configuration.

    Args:
        wallets: `HOST:PORT` each; the first is the one that gives addresses.
        login: NAME:PASSWORD of the daemons, for the checks.
    """
    each = [{"name": f"ec-{n + 1}", "address": one} for n, one in enumerate(wallets)]
    return fill("haproxy.cfg", {"port": port, "credentials": base64.b64encode(login.encode()).decode()}, each)


def nginx_text(port: int, wallets: Sequence[str], folder: Path) -> str:
    """Return nginx's configuration; `folder` is for its files and its sockets inside."""
    out = "max_fails=1 fail_timeout=30s"
    outs = [out, *[f"{out} backup"] * (len(wallets) - 2), "max_fails=0 backup"]
    each = [{"address": one, "outs": outs[n]} for n, one in enumerate(wallets)]
    return fill("nginx.conf", {"port": port, "folder": folder, "at": "@"}, each)


def addresses(urls: Sequence[str]) -> list[str]:
    """Return `HOST:PORT` of each URL."""
    return [f"{found.hostname}:{found.port or 80}" for found in map(urlsplit, urls)]


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
