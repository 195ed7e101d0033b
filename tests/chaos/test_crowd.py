"""Clients that nobody wants behave as their manner says, and are gone when they shall be."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chaos import crowd
from chaos.crowds import Crowded
from chaos.faults.dribble import Dribble
from chaos.faults.flood import Flood
from chaos.faults.hang_up import HangUp
from chaos.faults.slow_reader import SlowReader
from chaos.script import At
from tests.chaos.bare_stage import bare, until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Door:
    """Takes requests, and writes down what it saw of each connection."""

    port: int = 0
    open: int = 0
    whole: int = 0
    heads: list[bytes] = field(default_factory=list)
    resets: int = 0
    bodies: list[object] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request."""
        self.open += 1
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError as left:
                    if left.partial:
                        self.heads.append(left.partial)
                    return
                length = int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0])
                self.bodies.append(json.loads(await reader.readexactly(length)))
                self.whole += 1
                writer.write(ANSWER)
        except OSError:
            self.resets += 1
        except EOFError:
            return
        finally:
            writer.transport.abort()
            self.open -= 1


@contextlib.asynccontextmanager
async def door() -> AsyncIterator[Door]:
    """Give a door."""
    one = Door()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await until(lambda: one.open == 0)


@contextlib.asynccontextmanager
async def mobbed(manner: str, many: int = 1) -> AsyncIterator[Door]:
    """Give a door before which a crowd stands."""
    async with door() as one:
        task = asyncio.create_task(crowd.crowd(manner, "127.0.0.1", one.port, "web:web", many))
        try:
            yield one
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_flood_asks_as_fast_as_it_is_answered() -> None:
    """Over and over, with one read."""
    async with mobbed("flood", 2) as one:
        await until(lambda: one.whole > 50)
    assert {body["method"] for body in one.bodies if isinstance(body, dict)} == {"getbalance"}


async def test_who_hangs_up_does_so_in_the_middle_and_before_the_answer() -> None:
    """Some requests are whole, of others a part has come; all end by a reset."""
    async with mobbed("hang_up") as one:
        await until(lambda: one.whole > 1 and one.resets > 4)


async def test_a_slow_reader_asks_for_much_more_than_it_reads() -> None:
    """Many batches in one go; what it does not read stays with the door."""
    async with mobbed("slow_reader") as one:
        await until(lambda: one.whole > 20)
    assert all(isinstance(body, list) and len(body) == 10 for body in one.bodies)


async def test_a_dribble_never_ends_its_head() -> None:
    """Byte by byte, and no request comes of it."""
    async with mobbed("dribble", 3) as one:
        await asyncio.sleep(0.35)
    await asyncio.sleep(0.02)
    assert one.whole == 0
    assert len(one.heads) == 3
    assert all(b"POST".startswith(head[:4]) and len(head) < 10 for head in one.heads)


@pytest.mark.parametrize("manner", [Dribble, Flood, HangUp, SlowReader], ids=lambda one: one.name)
def test_every_crowd_has_a_manner(manner: type[Crowded]) -> None:
    """And some people in it."""
    assert manner.manner in crowd.MANNERS
    assert manner.usual > 1


@pytest.mark.integration
async def test_a_crowd_comes_with_the_fault_and_leaves_with_its_end(tmp_path: Path) -> None:
    """In a process of its own."""
    async with bare(tmp_path) as stage:
        fault, echo = Dribble(), stage.wallets[0].echo
        stage.door_port = echo.port
        await fault.inject(stage.stage, 0, 5.0)
        await until(lambda: bool(echo.connections >= 5))
        await until(lambda: not fault.hollow(stage.stage, At(0.0, "dribble"), 0.0))
        await fault.heal(stage.stage, 0)
        await fault.heal(stage.stage, 0)
        assert not stage.programs[0].is_alive
        await until(lambda: bool(echo.closed == echo.connections))
