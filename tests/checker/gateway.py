"""The gateway of a run: its configuration, and its process, which is killed and started again.

Rule: times are short, so that much happens in a run; the process is ended here, by its own id.
"""

import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.sandbox.fleet import Fleet
from tests.checker.leaks import Secrets

ROOT = Path(__file__).parents[2]
GATEWAY = ("gateway",)
"""The module to run, with what comes before its command; a planted bug names its launcher."""

PATIENCE = 30.0
"""Seconds after which something that should happen counts as never happening."""

ALL_EFFECTS = ("read", "wallet_read", "local_read", "write", "allocate", "sign", "publish")
DAY_LIMIT = 900_000
"""Satoshi that the client `kiosk` may take out of the wallet in a day."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds in which the gateway has to answer a client, and in which a daemon has to sign."""

    deadline: float = 4.0
    server: float = 2.0


USUAL = Bounds()


def settings(fleet: Fleet, folder: Path, bounds: Bounds, secrets: Secrets, *, has_ledger: bool) -> dict[str, Any]:
    """Return the gateway's configuration, with short times so that much happens in a run."""

    def client(name: str, **more: Any) -> dict[str, Any]:
        password = secrets.of(f"client {name}")
        return {"name": name, "username": name, "password": password, "deadline": bounds.deadline, **more}

    backends = [
        {
            "name": name_of(n),
            "url": fleet.url(n),
            "username": fleet.user,
            "password": fleet.password,
            "wallet_file": str(wallet_file(fleet, n)),
        }
        for n in range(len(fleet))
    ]
    effects = list(ALL_EFFECTS)
    found: dict[str, Any] = {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "clients": [
            client("shop"),
            client("web", errors="http"),
            client("till", effects=effects),
            client("kiosk", effects=effects, max_per_day=DAY_LIMIT / 100_000_000),
            client("auditor"),
        ],
        "wallets": {"main": {"expect_return": 3.0, "start_grace": 20.0, "backends": backends}},
        "timeouts": {"connect": 0.5, "write": 1.0, "fast": 0.5, "heavy": 2.0, "sign": 2.0, "server": bounds.server},
        "health": {
            "probe_interval": 0.3,
            "probe_timeout": 0.3,
            "wedged_after": 0.7,
            "lag_grace": 1.5,
            "slow_start": 0.5,
        },
        "drain_timeout": 5.0,
    }
    if has_ledger:
        found["ledger"] = {"path": str(folder / "ledger" / "ledger.db"), "may_be_lost": True}
    return found


def name_of(daemon: int) -> str:
    """Return how the configuration calls a daemon."""
    return f"ec-{daemon + 1}"


def wallet_file(fleet: Fleet, daemon: int) -> Path:
    """Return where a daemon keeps its wallet."""
    return fleet.directory / f"wallet-{daemon}" / "regtest" / "wallets" / "default_wallet"


class Gateway:
    """`python -m gateway run -c FILE`, killed and started again as often as it takes.

    Its log goes through a pipe, so that a full disk (a limit of its process) does not stop it.
    """

    def __init__(
        self, folder: Path, configure: Callable[[int], dict[str, Any]], launcher: Sequence[str], *,
        inside: Sequence[str] = (), host: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        """Take what `start` starts.

        Args:
            configure: returns the configuration of its first life, its second, ...
            inside: what comes before its command, so that it runs elsewhere.
            host: where its door is.
        """
        self.folder = folder
        self.file = folder / "gateway.yaml"
        self.configure = configure
        self.launcher = launcher
        self.inside = tuple(inside)
        self.host = host
        self.port = 0
        self.admin = 0
        self.lives = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "gateway.log"
        self._errors = folder / "gateway.stderr"
        self._reader: threading.Thread | None = None
        self._is_up = threading.Event()

    def start(self) -> None:
        """Start it and wait until it says that it has; raises RuntimeError when it ends instead."""
        self._is_up.clear()
        self.lives += 1
        self.file.write_text(yaml.safe_dump(self.configure(self.lives), sort_keys=False), encoding="utf-8")
        with self._errors.open("ab") as errors:
            self.process = process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", *self.launcher, "run", "-c", str(self.file)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        # its pipe is closed a moment before it has ended
        if not self._is_up.wait(PATIENCE) or not self.port or process.poll() is not None:
            raise RuntimeError(f"the gateway does not start: {self._errors.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it the hard way, if it has not ended."""
        self.port = 0
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        if self._reader is not None:
            self._reader.join()

    def end(self, patience: float) -> bool:
        """Tell it to stop, and end it the hard way where it does not; return whether it did."""
        self.port = 0
        if self.process is None:
            return True
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()

    def limit_disk(self, *, is_full: bool) -> None:
        """Let no write of its process grow or change a file, or lift that."""
        if self.process is None or self.process.poll() is not None:
            return
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0 if is_full else hard, hard))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with self._log.open("ab") as log, process.stdout as pipe:
            for line in pipe:
                log.write(line)
                log.flush()
                if b'"gateway.started"' in line:
                    told = json.loads(line)
                    self.admin = int(told["admin"].rpartition(":")[2])
                    self.port = int(told["rpc"].rpartition(":")[2])
                    self._is_up.set()
        self._is_up.set()  # it has ended; who waits looks
