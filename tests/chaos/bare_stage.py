"""A stage with nothing on it but what a fault needs, so that a fault is seen by itself in a tenth of a second.

Rule: a wallet here is an echo on loopback, and so is the door.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chaos.programs import Program
from chaos.stage import Launch, Stage
from tests.checker.leaks import Secrets


@dataclass
class Echo:
    """Says back whatever it hears, and counts who comes and who leaves."""

    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    closed: int = 0
    heard: bytes = b""
    server: Any = None
    open: set[asyncio.BaseTransport] = field(default_factory=set)

    async def start(self) -> "Echo":
        """Listen."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: _Line(self), self.host, self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """End it, and every connection."""
        self.server.close()
        for one in self.open:
            cast("asyncio.Transport", one).abort()
        # a transport tells its protocol one turn later
        await asyncio.sleep(0)


class _Line(asyncio.Protocol):
    """One connection of an echo."""

    def __init__(self, echo: Echo) -> None:
        self.echo = echo

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.transport = cast("asyncio.Transport", transport)
        self.echo.connections += 1
        self.echo.open.add(transport)

    def data_received(self, data: bytes) -> None:
        """Say it back."""
        self.echo.heard += data
        self.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Count it."""
        self.echo.closed += 1
        self.echo.open.discard(self.transport)


@dataclass
class Bare:
    """What faults look at."""

    folder: Path
    wallets: list[Any]
    door_port: int = 0
    seed: int = 1
    is_gateway: bool = True
    approach: tuple[str, int] | None = None
    keep: dict[str, Any] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    programs: list[Program] = field(default_factory=list)
    launchers: list[dict[str, Any]] = field(default_factory=list)
    hand: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __post_init__(self) -> None:
        self.launch = Launch([f"http://127.0.0.1:{one.port}" for one in self.wallets])

    async def begin(self, program: Program, port: int = 0) -> Program:
        """Start a program."""
        self.programs.append(program)
        await self.by_hand(program.start, port)
        return program

    async def by_hand(self, what: Any, *arguments: Any) -> Any:
        """Do what blocks, in a thread that lasts as long as the stage."""
        return await asyncio.get_running_loop().run_in_executor(self.hand, what, *arguments)

    def door(self, _number: int) -> tuple[str, int]:
        """Where clients go."""
        return self.approach or ("127.0.0.1", self.door_port)

    def login(self, client: str) -> str:
        """As our gateway has it."""
        return f"{client}:{client}"

    @property
    def stage(self) -> Stage:
        """Itself, for a fault."""
        return cast("Stage", self)


@contextlib.asynccontextmanager
async def bare(folder: Path, wallets: int = 2) -> AsyncIterator[Bare]:
    """Give one with echoes; whatever was begun is ended."""
    echoes = [await Echo().start() for _ in range(wallets)]
    door = await Echo().start()
    one = Bare(folder, [SimpleNamespace(port=echo.port, echo=echo) for echo in echoes], door.port)
    try:
        yield one
    finally:
        for program in one.programs:
            program.kill()
        for echo in (*echoes, door):
            await echo.stop()
        one.hand.shutdown()


async def said(port: int, text: bytes = b"hello\n", *, patience: float = 5.0, host: str = "127.0.0.1") -> bytes:
    """Say something and return all that is answered until as much has come back, or it ends, or patience does."""
    reader, writer = await asyncio.open_connection(host, port)
    got = b""
    try:
        writer.write(text)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(patience):
                while len(got) < len(text) and (more := await reader.read(65536)):
                    got += more
    finally:
        writer.transport.abort()
    return got


def port_of(url: str) -> int:
    """Return the port of an url."""
    return int(url.rpartition(":")[2])


def is_refused(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except ConnectionRefusedError:
        return True
    return False


async def until(holds: Callable[[], bool], patience: float = 10.0) -> None:
    """Wait until something holds; fail where it does not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while not holds():
        assert loop.time() < end, "it did not come to that"
        await asyncio.sleep(0.01)
