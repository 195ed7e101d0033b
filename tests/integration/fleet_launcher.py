"""A launcher of sandbox daemons: real processes that a Fleet starts and kills.

Rule: what a Fleet does waits for a process, so it is done in one thread of its own, which lives as long as the test:
the kernel ends the daemons when the thread that started them ends.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.sandbox.fleet import Fleet
from gateway.upstream.launchers import LauncherError, Memory, OnDeath, State, Status


class FleetLauncher:
    """The launcher of one daemon of a fleet."""

    kind = "fleet"
    takes_along = False

    def __init__(self, fleet: Fleet, index: int, thread: ThreadPoolExecutor) -> None:
        """Have ordered nothing."""
        self.fleet = fleet
        self.index = index
        self.thread = thread
        self.orders: list[str] = []

    async def _do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    async def status(self) -> Status:
        """Look at the process."""
        if not self.fleet.is_alive(self.index):
            return Status(State.EXITED)
        pid = self.fleet.pid(self.index)
        with suppress(OSError):
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            paused = fields[0] in "Tt"
            return Status(State.PAUSED if paused else State.RUNNING, instance=f"{pid}-{fields[19]}")
        return Status(State.EXITED)

    async def start(self) -> None:
        """Start it and wait until it listens, or let it go on."""
        self.orders.append("start")
        if self.fleet.is_alive(self.index):
            os.kill(self.fleet.pid(self.index), signal.SIGCONT)
        else:
            await self._do(lambda: self.fleet.start(self.index))

    async def stop(self, grace: float) -> None:
        """End it softly."""
        del grace
        self.orders.append("stop")
        await self._do(lambda: self.fleet.kill(self.index, signal.SIGTERM))

    async def kill(self) -> None:
        """End it by force."""
        self.orders.append("kill")
        await self._do(lambda: self.fleet.kill(self.index))

    async def memory(self) -> Memory | None:
        """Return what it takes."""
        with suppress(OSError):
            pages = int(_read(f"/proc/{self.fleet.pid(self.index)}/statm").split()[1])
            return Memory(pages * os.sysconf("SC_PAGE_SIZE"), 1 << 30)
        return None

    async def read_wallet(self, path: str) -> bytes:
        """Return its wallet file."""
        raise LauncherError(f"{path} is not read here")

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Replace it."""
        del content
        raise LauncherError(f"{path} is not written here")

    def watch(self, on_death: OnDeath) -> None:
        """Hear of nothing: probes find out."""

    async def close(self) -> None:
        """Nothing to close."""


def _read(path: str) -> str:
    return Path(path).read_text(encoding="ascii")
