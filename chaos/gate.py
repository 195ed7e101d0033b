"""The gateway as a door of the chaos suite: its configuration with its own default numbers, and its process.

Rule: what a client meets is what is shipped; only what comes after a restart is shorter, for in a run more fails
than in a year.
"""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.leash import leashed
from tests.checker.gateway import Gateway, settings
from tests.checker.leaks import look

if TYPE_CHECKING:
    from chaos.stage import Stage

RESTARTS = {"backoff": 0.5, "backoff_max": 2.0, "max_per_hour": 10_000, "failed_retry": 3.0}
"""Seconds between restarts in a row; all else is as shipped."""

GRACE = 8.0
"""Seconds for which a gateway takes a daemon that it has not seen well since its own start for one that is starting."""

HEALTH = {"slow_start": 1.0}
"""As shipped but for the ten seconds of a slow start: a run has no time to wait for the full strength of its start."""

AS_SHIPPED = ("timeouts", "health", "drain_timeout")
"""What the checker makes short, and we do not."""


class Gate:
    """The gateway's process of a stage."""

    name = "gateway"
    has_ledger = True

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.has_ledger = stage.has_ledger
        launch = stage.launch
        self.process = Gateway(
            stage.folder,
            lambda _life: configuration(stage),
            launch.module,
            # what is put before it has to become it, so that the pid is the gateway's
            inside=_before(launch.inside, launch.environment),
        )

    @property
    def pid(self) -> int:
        """Its process, the last one where it has ended."""
        if self.process.process is None:
            raise RuntimeError("the gateway was never started")
        return self.process.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.process.process is not None and self.process.process.poll() is None

    @property
    def admin(self) -> int:
        """The port of the operator's door."""
        return self.process.admin

    def start(self) -> None:
        """Start it and wait until it says that it has; raises RuntimeError."""
        self.process.start()

    def end(self, patience: float) -> bool:
        """Tell it to stop; return whether it did."""
        self.signal(signal.SIGCONT)
        return self.process.end(patience)

    def kill(self) -> None:
        """End it the hard way."""
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def look(self) -> list[Path]:
        """Write down what the operator is told, for the search of secrets; return the files."""
        return look(self.admin, self.stage.secrets.of("the operator"), self.process.folder, self.process.inside)

    def login(self, client: str) -> str:
        """Each client has its own name and password."""
        return self.stage.secrets.client(client)


def configuration(stage: "Stage") -> dict[str, Any]:
    """Return the gateway's configuration, with what faults have put in the way."""
    found = settings(stage.fleet, stage.folder, stage.bounds, stage.secrets, has_ledger=stage.has_ledger)
    for name in AS_SHIPPED:
        found.pop(name)
    found["listen"]["port"] = stage.door_port
    found["admin"]["token"] = stage.secrets.of("the operator")
    found |= {"restart": RESTARTS, "health": HEALTH}
    wallet = found["wallets"]["main"]
    wallet |= {"expect_return": 0.0, "start_grace": GRACE}
    for n, backend in enumerate(wallet["backends"]):
        backend["url"] = stage.launch.urls[n]
        if stage.launchers:
            backend["launcher"] = stage.launchers[n]
    for change in stage.launch.settings:
        change(found)
    return found


def _before(inside: Sequence[str], environment: dict[str, str]) -> list[str]:
    words = [f"{name}={value}" for name, value in environment.items()]
    return [*leashed(), *inside, *(["env", *words] if words else [])]
