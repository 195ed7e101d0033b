"""A program in a network namespace of its own reaches the wallets, and is reached, until a way is cut; and again."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import needs
from chaos.apart import Apart
from chaos.faults.cut_clients import CutClients
from chaos.faults.cut_wallet import CutWallet
from chaos.programs import Program
from gateway.sandbox.ports import free_port
from tests.chaos.bare_stage import Bare, bare, said

pytestmark = pytest.mark.integration

CALL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=0.4) as line:
    line.sendall(b"hello")
    print(line.recv(5).decode())
"""

SERVE = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as door:
    while True:
        line, _ = door.accept()
        line.sendall(b"in there " + line.recv(99))
        line.close()
"""


def call_from_there(stage: Bare, port: int) -> str:
    """What a program in there hears from a port; "" where nothing comes."""
    command = [*stage.launch.inside, sys.executable, "-c", CALL, str(port)]
    return subprocess.run(command, check=False, capture_output=True, timeout=30, text=True).stdout.strip()


async def test_what_is_cut_is_silent_and_what_is_mended_is_whole(tmp_path: Path) -> None:
    """A wallet's way, another's, and the clients', each by itself."""
    why = needs.missing(Apart.needs)
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    async with bare(tmp_path) as stage:
        # the door itself is in there
        stage.door_port = free_port()
        wallet, clients = CutWallet(), CutClients()
        launcher = {"command": ["wallet"]}
        stage.launchers.append(launcher)
        await wallet.prepare(stage.stage)
        await clients.prepare(stage.stage)
        assert launcher["command"] == ["nsenter", f"--net=/proc/{os.getpid()}/ns/net", "wallet"]
        serve = [*stage.launch.inside, sys.executable, "-c", SERVE, str(stage.door_port)]
        await stage.begin(Program("door", serve, tmp_path))
        first, second = (one.port for one in stage.wallets)

        async def hears(port: int) -> str:
            return await asyncio.to_thread(call_from_there, stage, port)

        async def eventually(port: int, text: str = "hello") -> None:
            for _ in range(100):
                if text.startswith(await hears(port) or "nothing"):
                    return
            pytest.fail("it is never reached")

        await eventually(first)
        await eventually(second)
        # the look whether it listens may have come before it did
        await eventually(stage.door_port, "in there ")
        await wallet.inject(stage.stage, 0, 0.0)
        assert await hears(first) == ""
        assert await hears(second) == "hello"
        assert await said(first, b"hello") == b"hello"
        await wallet.heal(stage.stage, 0)
        await wallet.heal(stage.stage, 0)
        assert await hears(first) == "hello"
        await clients.inject(stage.stage, 0, 0.0)
        assert await said(stage.door_port, b"hello", patience=0.4) == b""
        assert await hears(first) == "hello"
        await clients.heal(stage.stage, 0)
        assert await said(stage.door_port, b"hello", patience=2.0) == b"in there hello"
