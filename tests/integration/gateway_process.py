"""A real gateway as a process of its own, and how tests speak to it.

Rule: whatever is started here is ended here, by its own process id; ports are always free ones, read from the
line in which the gateway says that it has started.
"""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.sandbox.fleet import Fleet

ROOT = Path(__file__).parents[2]

PATIENCE = 20.0
"""Seconds after which something that should happen counts as never happening; no test measures with it."""

ALL_EFFECTS = ["read", "wallet_read", "local_read", "write", "allocate", "sign", "publish"]

Settings = dict[str, Any]


def client(name: str, **changes: Any) -> dict[str, Any]:
    """A client whose user name and password are its name."""
    return {"name": name, "username": name, "password": name, **changes}


def backends(fleet: Fleet, *, names: str = "ec") -> list[dict[str, Any]]:
    """The daemons of a fleet as the configuration names them."""
    return [
        {"name": f"{names}-{n + 1}", "url": fleet.url(n), "username": fleet.user, "password": fleet.password}
        for n in range(len(fleet))
    ]


def settings_for(backends_of_main: Sequence[Mapping[str, Any]], **changes: Any) -> Settings:
    """Settings in front of backends, with short times so that tests are quick; `changes` replace whole sections."""
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "clients": [
            client("shop"),
            client("web", errors="http"),
            client("till", effects=ALL_EFFECTS),
        ],
        "wallets": {"main": {"expect_return": 5.0, "backends": [dict(one) for one in backends_of_main]}},
        "health": {
            "probe_interval": 0.2,
            "probe_timeout": 0.3,
            "wedged_after": 0.5,
            "lag_grace": 0.5,
            "slow_start": 0.3,
        },
        "drain_timeout": 10.0,
        **changes,
    }


def wait_until(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds; fail with `what` when it never does."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with JSON in it, or with nothing."""

    status: int
    headers: http.client.HTTPMessage
    text: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)

    @property
    def result(self) -> Any:
        """The result; fails with the error where there is one."""
        found = self.json
        assert found.get("error") is None, found
        return found["result"]

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        found = self.json["error"]
        assert isinstance(found, dict), self.json
        return found


class Gateway:
    """`python -m gateway run -c FILE` as a process.

    Args:
        folder: for its configuration and its log.
        settings: written to FILE; more files can be named by `extra`.
        stdout: where its log goes instead of the file that the tests read.
        under: the module that runs it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        stdout: int | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """Start it and wait until it says that it has started."""
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "gateway.yaml"
        self.write(settings)
        self.log_path = folder / "gateway.log"
        self._errors = folder / "stderr.log"
        with self.log_path.open("wb") as log, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *under, "gateway", "run", "-c", str(self.file)],
                cwd=ROOT,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=errors,
            )
        try:
            self.port, self.admin_port = self._ports() if stdout is None else self._ports_of_the_kernel()
            wait_until(self._is_alive, "the gateway's operators' door answers")
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def write(self, settings: Settings) -> None:
        """Write the configuration anew, whole at once, as an editor does."""
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        new.replace(self.file)

    def _ports(self) -> tuple[int, int]:
        wait_until(lambda: self.events("gateway.started") or self.process.poll() is not None, "gateway.started")
        assert self.process.poll() is None, self.log_path.read_text() + self.stderr
        started = self.events("gateway.started")[0]
        # `make testcompiled` would be worth nothing with the sources
        assert started["compiled"] is ("ECGW_COMPILED" in os.environ), started
        rpc, admin = (int(started[door].rpartition(":")[2]) for door in ("rpc", "admin"))
        return rpc, admin

    def _ports_of_the_kernel(self) -> tuple[int, int]:
        """Where it listens, when its log cannot be read: first the calls' door, then the operators'."""

        def are_open() -> bool:
            assert self.process.poll() is None, self.stderr
            return len(listening_ports(self.process.pid)) == 2

        wait_until(are_open, "two doors are open")
        one, other = listening_ports(self.process.pid)
        is_admin = _fetch(one, "GET", "/livez", b"", {}).status == 200
        return (other, one) if is_admin else (one, other)

    def _is_alive(self) -> bool:
        assert self.process.poll() is None, self.stderr
        try:
            return self.admin("/livez").status == 200
        except OSError:
            return False

    # -- its life -------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(patience)

    def stop(self) -> int:
        """End it in order and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it the hard way, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # -- what it says ---------------------------------------------------------------------------------------

    @property
    def stderr(self) -> str:
        """What it wrote to standard error."""
        return self._errors.read_text()

    def events(self, name: str = "", **fields: object) -> list[dict[str, Any]]:
        """The lines of its log so far, those of one name, with these values."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines(keepends=True) if line[-1:] == "\n"]
        return [
            line
            for line in lines
            if (not name or line["event"] == name) and all(line.get(key) == value for key, value in fields.items())
        ]

    def admin(self, path: str) -> Answer:
        """Ask the operators' door."""
        return _fetch(self.admin_port, "GET", path, b"", {})

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a name that carry these labels; 0.0 when there is none."""
        families = text_string_to_metric_families(self.admin("/metrics").text.decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    # -- calls ----------------------------------------------------------------------------------------------

    def post(
        self, body: bytes, *, user: str | None = "shop", path: str = "/", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a body."""
        return _fetch(self.port, "POST", path, body, {**_credentials(user), **(headers or {})})

    def call(self, method: str, *params: object, wait: float | None = None, **how: Any) -> Answer:
        """Make one call; `wait` shortens its deadline, `how` is as for `post`."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        headers = dict(how.pop("headers", None) or {})
        if wait is not None:
            headers["X-Request-Timeout"] = str(wait)
        return self.post(body, headers=headers, **how)

    @contextmanager
    def knock(self) -> Iterator["Line"]:
        """A raw connection to the door."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock:
            line = Line(sock)
            try:
                yield line
            finally:
                line.close()

    # -- how it sees its wallets ----------------------------------------------------------------------------

    def status(self, wallet: str = "main") -> dict[str, Any]:
        """What gateway.status answers."""
        found = self.call("gateway.status", path=f"/wallets/{wallet}").result
        assert isinstance(found, dict)
        return found

    def backend(self, name: str, wallet: str = "main") -> dict[str, Any]:
        """One backend of that."""
        found = next(one for one in self.status(wallet)["backends"] if one["name"] == name)
        assert isinstance(found, dict)
        return found

    def wait_all_well(self, wallet: str = "main") -> None:
        """Wait until every backend is READY, aligned and no longer doubted; calls close a circuit that is half-open."""

        def all_well() -> bool:
            self.call("version", path=f"/wallets/{wallet}")
            return all(
                one["phase"] == "READY" and one["aligned"] and one["circuit"] == "closed" and not one["suspect"]
                for one in self.status(wallet)["backends"]
            )

        try:
            wait_until(all_well, "all backends are well")
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(self.status(wallet), indent=1)}") from None


class Line:
    """A raw connection, read answer by answer."""

    def __init__(self, sock: socket.socket) -> None:
        """Hold it."""
        self.sock = sock
        self.file = sock.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Write bytes as they are; a door that has closed already is no failure of the writer."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def request(self, body: bytes, *headers: str, **how: Any) -> None:
        """Write one whole request; see `raw_request`."""
        self.send(raw_request(body, *headers, **how))

    def answer(self) -> Answer:
        """Read one answer."""
        status = self.file.readline()
        assert status.startswith(b"HTTP/1."), status
        headers = http.client.parse_headers(self.file)
        return Answer(int(status.split()[1]), headers, self.file.read(int(headers.get("Content-Length", "0"))))

    def is_closed(self) -> bool:
        """Wait until the door has closed the connection; True when nothing more came before."""
        try:
            return self.file.read() == b""
        except (ConnectionResetError, ssl.SSLError):
            return True


def raw_request(body: bytes, *headers: str, user: str | None = "shop", path: str = "/", verb: str = "POST") -> bytes:
    """One HTTP request with just these headers; Content-Length is added when no framing is named."""
    lines = [f"{verb} {path} HTTP/1.1", "Host: x", *headers]
    lines += [f"{name}: {value}" for name, value in _credentials(user).items()]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def listening_ports(pid: int) -> list[int]:
    """The ports on which a process listens, as the kernel lists them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]": int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(inodes.get(str(descriptor.readlink()), 0))
        except OSError:
            continue
    return sorted(port for port in found if port)


def _credentials(user: str | None) -> dict[str, str]:
    if user is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()}


def _fetch(port: int, verb: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(verb, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@dataclass
class Reads:
    """A few reads per second from threads of their own, each answer kept.

    Args:
        asks: rows of method, params and the only right result.
    """

    gateway: Gateway
    asks: Sequence[tuple[str, tuple[object, ...], object]]
    pause: float = 0.1
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, args=(ask,)) for ask in self.asks]
        for thread in self._threads:
            thread.start()
        self.wait_more()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_more(self, rounds: int = 5) -> None:
        """Wait until so many more rounds of reads were answered."""
        wanted = self.answered + len(self.wrong) + rounds * len(self.asks)
        wait_until(lambda: self.answered + len(self.wrong) >= wanted, "reads go on")

    def _run(self, ask: tuple[str, tuple[object, ...], object]) -> None:
        method, params, right = ask
        while not self._over.wait(self.pause):
            try:
                found = self.gateway.call(method, *params).json
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.wrong.append(f"{method}: {error!r}")
                continue
            if found.get("result") == right and "error" not in found:
                self.answered += 1
            else:
                self.wrong.append(f"{method}: {found}")
