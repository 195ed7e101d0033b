"""One wallet daemon of a run: what can be done to it, whoever starts it again.

Rule: a deed goes to the process that lives now, or to none.  Where the gateway is the launcher (`is_launched`), nobody
here starts a daemon; before any other door an operator's supervisor does, which is `bring_back`.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.sandbox.fleet import Fleet, RpcError
from tests.checker.gateway import wallet_file
from tests.checker.launched import LaunchedFleet, Living

PATIENCE = 20.0
"""Seconds in which a daemon that nothing stands in the way of has its wallet."""

LOOK = 0.03
STOPPED = frozenset({"T", "t"})


class NobodyThereError(Exception):
    """There is no daemon to hurt now, because it is just being restarted."""


class Wallet:
    """Daemon `number` of a fleet.

    Args:
        hand: a thread that lasts as long as the run, for what blocks and for what starts processes.
    """

    def __init__(self, fleet: Fleet, number: int, hand: ThreadPoolExecutor) -> None:
        self.fleet = fleet
        self.number = number
        self._hand = hand
        self._stopped: set[int] = set()
        """Processes that were stopped here and not let go on."""
        self._held: list[Any] = []

    def __repr__(self) -> str:
        return f"<Wallet {self.number} port={self.port} {'alive' if self.is_alive else 'ended'}>"

    @property
    def port(self) -> int:
        """Of its RPC; the same in all its lives."""
        return self.fleet.port(self.number)

    @property
    def control_port(self) -> int:
        """Where its switches are thrown."""
        return self.fleet.control_port(self.number)

    @property
    def url(self) -> str:
        """Where it is reached directly, without credentials."""
        return self.fleet.url(self.number)

    @property
    def pid(self) -> int:
        """The process that lives now, or lived last."""
        return self.fleet.pid(self.number)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, frozen or not."""
        return self.fleet.is_alive(self.number)

    @property
    def is_stopped(self) -> bool:
        """Whether its process stands still."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return self.is_alive and text.rpartition(")")[2].split()[0] in STOPPED

    @property
    def is_launched(self) -> bool:
        """Whether the gateway starts it."""
        return isinstance(self.fleet, LaunchedFleet)

    @property
    def file(self) -> Path:
        """Where it keeps its wallet."""
        return wallet_file(self.fleet, self.number)

    @property
    def life(self) -> int:
        """What is another number in each of its lives."""
        return self.pid

    # -- deeds ----------------------------------------------------------------------------------------------

    async def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon that lives now.  Raises NobodyThereError."""
        if not self.is_alive:
            raise NobodyThereError
        living = self._living()
        if living is not None:
            living.signal(number)
        else:
            os.kill(self.pid, number)

    async def freeze(self) -> None:
        """Stop it (SIGSTOP) and return when it stands still.  Raises NobodyThereError."""
        pid = self.pid
        await self.signal(signal.SIGSTOP)
        self._stopped.add(pid)
        await self.until(lambda: self.is_stopped or self.pid != pid or not self.is_alive, 1.0)

    async def thaw(self) -> None:
        """Let it go on, if it is the process that was stopped."""
        if self.pid in self._stopped and self.is_alive:
            with contextlib.suppress(NobodyThereError):
                await self.signal(signal.SIGCONT)
        self._stopped.clear()

    async def kill(self) -> None:
        """End it (SIGKILL) and return when it is gone.  Raises NobodyThereError."""
        if not self.is_alive:
            raise NobodyThereError
        living = self._living()
        await self.by_hand(living.kill if living is not None else lambda: self.fleet.kill(self.number))

    def mark(self) -> None:
        """Note that the end of the daemon that lives now is a deed of ours, and not the gateway's."""
        living = self._living()
        if living is not None:
            living.by_checker = True

    async def hold(self) -> None:
        """Take it away from everybody by a foreign connection that says nothing.  Raises NobodyThereError."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            raise NobodyThereError from None
        self._held.append(writer)

    async def let_go(self) -> None:
        """Close what is held."""
        while self._held:
            self._held.pop().transport.abort()

    async def switch(self, name: str, value: float | None = None) -> None:
        """Throw a switch of the sandbox.  Raises NobodyThereError."""
        try:
            await self.by_hand(self.fleet.control, self.number, name, value)
        except (OSError, ValueError):
            raise NobodyThereError from None

    async def heal(self) -> None:
        """Take all switches back; one that was restarted has none on."""
        if self.is_alive and not self.is_stopped:
            with contextlib.suppress(NobodyThereError):
                await self.switch("heal")

    async def call(self, method: str, *params: object, patience: float = 5.0) -> Any:
        """Ask the daemon itself, past every door.  Raises RpcError, OSError."""
        return await self.by_hand(lambda: self.fleet.rpc(self.number, method, *params, timeout=patience))

    async def replace_file(self, with_: Path) -> None:
        """Put another wallet file in the place of its own, while it does not run or stands still."""
        await self.by_hand(shutil.copy, with_, self.file)

    async def bring_back(self) -> None:
        """Start it and load its wallet where nobody else does; see that it is there where the gateway does.

        Raises TimeoutError when it does not come back.
        """
        if not self.is_launched:
            if not self.is_alive:
                await self.by_hand(self.fleet.start, self.number)
            await self.load()

    async def load(self) -> None:
        """Load its wallet; nothing happens when it is loaded.  Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await self.call("load_wallet")
            except (OSError, RpcError) as error:
                if time.monotonic() > end:
                    raise TimeoutError(f"wallet {self.number} is not loaded: {error}") from None
                await asyncio.sleep(0.1)
            else:
                return

    def is_back(self, since: float) -> bool:
        """Whether it runs and, if its life began after a time (seconds since 1970), has its wallet."""
        if isinstance(self.fleet, LaunchedFleet):
            return self.fleet.is_back(self.number, since)
        return self.is_alive and not self.is_stopped

    async def until(self, holds: Callable[[], bool], longest: float) -> bool:
        """Wait until something holds; return whether it does at the end of `longest` seconds."""
        end = time.monotonic() + longest
        while not holds():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(LOOK)
        return True

    async def by_hand(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """Do in the wallet's own thread what blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._hand, what, *arguments)

    def _living(self) -> Living | None:
        return self.fleet.lives.now(self.number) if isinstance(self.fleet, LaunchedFleet) else None
