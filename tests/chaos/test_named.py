"""The system's own look-up hears of a wallet's name what the run's name server says, and nothing else changes."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos import needs
from chaos.faults.name_fails import NameFails
from chaos.faults.name_gone import NameGone
from chaos.faults.name_hangs import NameHangs
from chaos.faults.name_moves import NameMoves
from chaos.named import HERE, KEEP, THERE, Named, name_of
from chaos.nameserver import ADDRESS, FAILS, GONE, Names
from chaos.relays import Relay
from chaos.script import At
from tests.chaos.bare_stage import Bare, bare, is_refused, said, until


def question(name: str, kind: int = ADDRESS) -> bytes:
    """A datagram that asks for a name."""
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def test_a_name_server_says_what_it_is_told() -> None:
    """Addresses, no such name, nobody can tell, or nothing; its answer names the question."""
    names = Names({"one.test": ["127.0.0.2", "127.0.0.3"], "two.test": []}, {"three.test"}, {"four.test"})
    answer = names.answer(question("One.test"))
    assert answer is not None
    number, flags, asked, found, _, _ = struct.unpack_from("!HHHHHH", answer)
    assert (number, flags & 0xF, asked, found) == (7, 0, 1, 2)
    assert answer[-4:] == socket.inet_aton("127.0.0.3")
    assert question("One.test")[12:] in answer
    assert code(names.answer(question("one.test", 28))) == (0, 0)
    assert code(names.answer(question("two.test"))) == (0, 0)
    assert code(names.answer(question("three.test"))) == (FAILS, 0)
    assert code(names.answer(question("five.test"))) == (GONE, 0)
    assert names.answer(question("four.test")) is None


def code(answer: bytes | None) -> tuple[int, int]:
    """The code of an answer, and how many addresses it has."""
    assert answer is not None
    _, flags, _, found = struct.unpack_from("!HHHH", answer)
    return flags & 0xF, found


async def test_a_relay_carries_both_ways_until_it_is_ended(tmp_path: Path) -> None:
    """And ends what it carries; it can be started again."""
    async with bare(tmp_path) as stage:
        to = stage.wallets[0].port
        relay = Relay("127.0.0.2", to, to)
        await relay.start()
        await relay.start()
        assert await said(to, host="127.0.0.2") == b"hello\n"
        reader, writer = await asyncio.open_connection("127.0.0.2", to)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        await relay.stop()
        with pytest.raises((ConnectionResetError, EOFError)):
            await reader.readexactly(1)
        writer.transport.abort()
        assert is_refused(to, "127.0.0.2")
        await relay.start()
        assert await said(to, host="127.0.0.2") == b"hello\n"
        await relay.stop()
        assert is_refused(to, "127.0.0.2")
        await until(lambda: bool(stage.wallets[0].echo.closed == stage.wallets[0].echo.connections))


LOOK_UP = """
import json, socket, sys
try:
    print(json.dumps(sorted({one[4][0] for one in socket.getaddrinfo(sys.argv[1], 1)})))
except socket.gaierror as error:
    print(json.dumps(error.errno))
"""


def look_up(stage: Bare, name: str) -> list[str] | int:
    """What a program hears that is started where the gateway is: addresses, or the number of an error."""
    command = [*stage.launch.inside, sys.executable, "-c", LOOK_UP, name]
    done = subprocess.run(command, check=True, capture_output=True, timeout=30)
    found: list[str] | int = json.loads(done.stdout)
    return found


@pytest.mark.integration
async def test_a_name_moves_is_gone_and_fails_as_the_system_sees_it(tmp_path: Path) -> None:
    """Each ends, and the other wallet's name is not touched; the machine itself knows none of them."""
    why = needs.missing(Named.needs)
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    name = name_of(0)
    async with bare(tmp_path) as stage:
        moves, gone, fails, hangs = NameMoves(), NameGone(), NameFails(), NameHangs()

        async def hears(one: str = name) -> list[str] | int:
            found: list[str] | int = await asyncio.to_thread(look_up, stage, one)
            return found

        for fault in (moves, gone, fails, hangs):
            await fault.prepare(stage.stage)
        port = stage.wallets[0].port
        try:
            assert stage.launch.urls[0] == f"http://{name}:{port}"
            assert await hears() == [HERE]
            await asyncio.gather(*stage.keep[f"{KEEP} end"][1])
            assert await said(port, host=HERE) == b"hello\n"
            await moves.inject(stage.stage, 0, 0.0)
            assert await hears() == [THERE]
            assert await said(port, host=THERE) == b"hello\n"
            assert is_refused(port, HERE)
            await moves.heal(stage.stage, 0)
            assert await hears() == [HERE]
            assert is_refused(port, THERE)
            for one, told in ((gone, socket.EAI_NONAME), (fails, socket.EAI_AGAIN)):
                await one.inject(stage.stage, 0, 0.0)
                assert await hears() == told
                assert await hears(name_of(1)) == [HERE]
                await one.heal(stage.stage, 0)
                await one.heal(stage.stage, 0)
                assert await hears() == [HERE]
            before = time.time()
            assert "nobody asked" in hangs.hollow(stage.stage, At(0.0, "name_hangs", 0), before)
            await hangs.inject(stage.stage, 0, 0.0)
            asked = asyncio.create_task(hears())
            await until(lambda: not hangs.hollow(stage.stage, At(0.0, "name_hangs", 0), before))
            await hangs.heal(stage.stage, 0)
            assert not asked.done()
            asked.cancel()
            with pytest.raises(socket.gaierror):
                socket.getaddrinfo(name, 1)
        finally:
            await moves.tidy(stage.stage)
            await gone.tidy(stage.stage)
