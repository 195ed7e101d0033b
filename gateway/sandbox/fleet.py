"""A chain and several daemons on one seed, as child processes, for the tests, the bench and the demo.

The rule: what `Fleet` starts it also ends, and the kernel ends it where the fleet cannot; ports stay the same
over restarts, so that whoever knows a daemon finds it again.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.sandbox.link import SERVER_TIMEOUT
from gateway.sandbox.node import SYNC_DELAY
from gateway.sandbox.ports import free_port
from gateway.sandbox.processes import read_ready
from gateway.sandbox.storage import read_journal

PASSWORD_VARIABLE = "SANDBOX_PASSWORD"  # noqa: S105 - the name of a variable, not a password
_ANSWER_TIMEOUT = 40.0


class Fleet:
    """Daemons 0 to n-1, all started and ready once the constructor returns.

    The kernel kills the children when the thread that started them ends: make a fleet in a thread that stays.

    Args:
        n: how many daemons.
        directory: where wallet files and journals go; one that was used before is gone on with.
        user: name for Basic authentication at each daemon.
        password: password for it.
        seed: any text; equal texts make equal wallets.
        load: load the wallets at each start; the real daemons wait to be told.
        delays: seconds each daemon takes before it listens, by index; missing ones take none.
        ports: RPC ports, by index; missing ones are free ones.
        connected: let the daemons find the chain; else they never meet it until ``control(i, "heal")``.
        server_timeout: seconds a daemon waits for a chain that is lost or silent.
        sync_delay: seconds until a new address is known to the server, and so saved; a kill before loses it.
    """

    def __init__(
        self,
        n: int,
        directory: Path,
        *,
        user: str = "user",
        password: str = "sandbox",  # noqa: S107 - loopback and no real coins
        seed: str = "sandbox",
        load: bool = True,
        delays: Sequence[float] = (),
        ports: Sequence[int] = (),
        connected: bool = True,
        server_timeout: float = SERVER_TIMEOUT,
        sync_delay: float = SYNC_DELAY,
    ) -> None:
        self.directory = Path(directory)
        self.user = user
        self.password = password
        self._seed = seed
        self._flags = ["--load"] * load + ["--lost"] * (not connected)
        self._server_timeout = server_timeout
        self._sync_delay = sync_delay
        self._delays = [*delays, *[0.0] * n][:n]
        self._ports = [port or free_port() for port in [*ports, *[0] * n][:n]]
        self._controls = [free_port() for _ in range(n)]
        self._processes: list[subprocess.Popen[str] | None] = [None] * n
        self._beside: list[subprocess.Popen[str]] = []
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._chain = _launch("gateway.sandbox.chain", [], {})
            self.chain_port = _wait_ready(self._chain)["port"]
            # All at once: their delays and the interpreter's start run side by side.
            for index in range(n):
                self._start(index)
            for index in range(n):
                self._wait(index)
        except BaseException:
            self.stop()
            raise

    def __len__(self) -> int:
        return len(self._processes)

    def __repr__(self) -> str:
        alive = sum(self.is_alive(index) for index in range(len(self)))
        return f"<Fleet {alive} of {len(self)} daemons alive, chain at {self.chain_port}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # What there is

    def port(self, index: int) -> int:
        """The RPC port of a daemon; it stays the same over restarts."""
        return self._ports[index]

    def control_port(self, index: int) -> int:
        """Where the switches of a daemon are thrown; it stays the same over restarts."""
        return self._controls[index]

    def url(self, index: int) -> str:
        """Where a daemon is reached, without credentials."""
        return f"http://127.0.0.1:{self._ports[index]}"

    def pid(self, index: int) -> int:
        """The process of a daemon, the last one where it has ended."""
        process = self._processes[index]
        if process is None:
            raise RuntimeError(f"daemon {index} was never started")
        return process.pid

    def is_alive(self, index: int) -> bool:
        """Whether the process of a daemon runs, frozen or not."""
        process = self._processes[index]
        return process is not None and process.poll() is None

    def journal(self, index: int) -> list[dict[str, Any]]:
        """The calls that a daemon has executed in all its lives: time, id, method, params, result or error."""
        return read_journal(self.journal_path(index))

    def journal_path(self, index: int) -> Path:
        """The file of that journal."""
        return self.directory / f"journal-{index}.jsonl"

    def command(self, index: int) -> list[str]:
        """Program and arguments of a daemon, for whoever starts it again in the fleet's place as a child of ours."""
        return _command("gateway.sandbox.daemon", self._arguments(index))

    @property
    def variables(self) -> dict[str, str]:
        """What a daemon needs in its environment to be started by that command."""
        return {PASSWORD_VARIABLE: self.password, "PYTHONPATH": _search_path()}

    def start_beside(
        self, module: str, arguments: list[str], variables: dict[str, str], *, pass_fds: Sequence[int] = ()
    ) -> int:
        """Start another module of the sandbox with `pass_fds` open; it ends with the fleet, and its pid is returned."""
        process = _launch(module, arguments, variables, pass_fds)
        self._beside.append(process)
        return process.pid

    # Asking

    def rpc(self, index: int, method: str, *params: object, timeout: float = _ANSWER_TIMEOUT, **named: object) -> Any:
        """Call a daemon directly and return the result; raises RpcError with the daemon's error object."""
        body = {"jsonrpc": "2.0", "id": "fleet", "method": method, "params": named or params}
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - always http on loopback
            self.url(index), json.dumps(body).encode(), {"Authorization": f"Basic {credentials}"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310 - the same
            answer = json.load(reply)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def chain(self, command: str, **arguments: object) -> dict[str, Any]:
        """Ask the chain: ``chain("mine", blocks=1)``, ``chain("fund", address=A, sats=1000)``, ``chain("height")``."""
        return tell(self.chain_port, {"cmd": command, **arguments})

    def control(self, index: int, command: str, value: float | None = None) -> dict[str, Any]:
        """Throw a switch of a daemon, such as ``control(0, "behind", 3)``; see `gateway.sandbox.control`."""
        asked: dict[str, object] = {"cmd": command} if value is None else {"cmd": command, "value": value}
        return tell(self._controls[index], asked)

    # Mischief

    def freeze(self, index: int) -> None:
        """Stop the process (SIGSTOP): the kernel goes on taking six connections, nobody is answered."""
        os.kill(self.pid(index), signal.SIGSTOP)

    def thaw(self, index: int) -> None:
        """Let a stopped process run on; it executes what was waiting."""
        os.kill(self.pid(index), signal.SIGCONT)

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """End a daemon the hard way and wait until it is gone; what it had not saved is lost."""
        process = self._processes[index]
        if process is not None and process.poll() is None:
            process.send_signal(number)
            process.wait()

    def start(self, index: int) -> None:
        """Start a daemon again after its end, on the same port, and wait until it serves."""
        if self.is_alive(index):
            raise RuntimeError(f"daemon {index} is still running")
        self._start(index)
        self._wait(index)

    def wait_end(self, index: int, timeout: float = 10.0) -> int:
        """Wait until a daemon that was told to stop has ended, and return its exit code."""
        process = self._processes[index]
        if process is None:
            raise RuntimeError(f"daemon {index} was never started")
        return process.wait(timeout)

    @contextlib.contextmanager
    def wedge(self, index: int) -> Iterator[socket.socket]:
        """Hold a foreign connection that says nothing: while it is open, the daemon serves nobody else."""
        with socket.create_connection(("127.0.0.1", self._ports[index])) as idle:
            yield idle

    def stop(self) -> None:
        """End everything; may be called twice."""
        everyone = [*self._beside, *self._processes, getattr(self, "_chain", None)]
        for process in everyone:
            if process is not None:
                process.kill()
        for process in everyone:
            if process is not None:
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()

    # Inside

    def _start(self, index: int) -> None:
        before = self._processes[index]
        if before is not None and before.stdout is not None:
            before.stdout.close()
        self._processes[index] = _launch("gateway.sandbox.daemon", self._arguments(index), self.variables)

    def _arguments(self, index: int) -> list[str]:
        options = {
            "port": self._ports[index],
            "control": self._controls[index],
            "chain": f"127.0.0.1:{self.chain_port}",
            "data": self.directory / f"wallet-{index}",
            "seed": self._seed,
            "user": self.user,
            "password-env": PASSWORD_VARIABLE,
            "journal": self.journal_path(index),
            "start-delay": self._delays[index],
            "server-timeout": self._server_timeout,
            "sync-delay": self._sync_delay,
        }
        return [f"--{name}={value}" for name, value in options.items()] + self._flags

    def _wait(self, index: int) -> None:
        process = self._processes[index]
        if process is None:
            raise RuntimeError(f"daemon {index} was never started")
        ready = _wait_ready(process)
        self._ports[index], self._controls[index] = ready["port"], ready["control"]


class RpcError(Exception):
    """A daemon answered with an error; ``error`` holds its code and message."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


def _launch(
    module: str, arguments: list[str], variables: dict[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[str]:
    # Sessions of their own: Ctrl-C in a terminal is for the one who started the fleet, who then ends it in order.
    return subprocess.Popen(  # noqa: S603 - our own modules
        _command(module, arguments),
        env={**os.environ, **variables, "PYTHONPATH": _search_path()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=pass_fds,
    )


def _command(module: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments, f"--die-with-parent={os.getpid()}"]


def _search_path() -> str:
    """So that the children find this package from any working directory, installed or not."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


def _wait_ready(process: subprocess.Popen[str]) -> dict[str, int]:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(f"a process of the sandbox ended before it served, with code {process.wait()}")
    return read_ready(line)


def tell(port: int, question: dict[str, object]) -> dict[str, Any]:
    """One JSON line there and one back; raises RuntimeError with the text of a refusal."""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_TIMEOUT) as line:
        line.sendall(json.dumps(question).encode() + b"\n")
        with line.makefile("rb") as file:
            answer: dict[str, Any] = json.loads(file.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer
