"""Connections that nobody wants at a wallet: each fault takes it away from everybody, and gives it back."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.faults import full_queue
from chaos.faults.full_queue import FullQueue
from chaos.faults.half_sent import HALF, HalfSent
from chaos.wallets import NobodyThereError
from tests.chaos.bare_stage import Bare, bare, is_refused, until


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A daemon that takes nobody from its queue, in which there is room for a few."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(5)
        one.settimeout(0.0)
        yield one


async def connects(port: int) -> bool:
    """Whether somebody is let in at once."""
    with socket.socket() as line:
        line.settimeout(0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
                return True
    return False


async def test_a_full_queue_lets_nobody_in_until_its_end(tmp_path: Path, listener: socket.socket) -> None:
    """Whoever comes then hears nothing at all, and is no error either."""
    port = listener.getsockname()[1]
    stage = Bare(tmp_path, [SimpleNamespace(port=port)])
    fault = FullQueue()
    assert await connects(port)
    await fault.inject(stage.stage, 0, 0.0)
    assert not await connects(port)
    await fault.heal(stage.stage, 0)
    await fault.heal(stage.stage, 0)
    # the daemon gets rid of those who have left as soon as it looks
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
    assert await connects(port)


async def test_a_queue_that_does_not_become_full_is_an_error(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a fault that was done; what was connected is let go all the same."""
    monkeypatch.setattr(full_queue, "MOST", 3)
    stage = Bare(tmp_path, [SimpleNamespace(port=listener.getsockname()[1])])
    fault = FullQueue()
    with pytest.raises(RuntimeError, match="wallet 0 is not full after 3 connections"):
        await fault.inject(stage.stage, 0, 0.0)
    await fault.heal(stage.stage, 0)
    assert not stage.keep


async def test_half_a_request_is_held_until_the_end(tmp_path: Path) -> None:
    """Its head never ends: a daemon refuses a whole one without the password, and is free again."""
    async with bare(tmp_path) as stage:
        echo, fault = stage.wallets[0].echo, HalfSent()
        await fault.inject(stage.stage, 0, 2.0)
        await until(lambda: bool(echo.connections == 2 and echo.heard == 2 * HALF))
        assert echo.closed == 0
        await fault.heal(stage.stage, 0)
        await fault.heal(stage.stage, 0)
        await until(lambda: bool(echo.closed == 2))
    assert b"\r\n\r\n" not in HALF
    assert not HALF.endswith(b"\n")


@pytest.mark.parametrize("fault", [HalfSent(), FullQueue()], ids=lambda one: one.name)
async def test_where_nobody_listens_nothing_is_done(tmp_path: Path, fault: HalfSent | FullQueue) -> None:
    """It is just being restarted, which leaves no trace."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert is_refused(port)
        stage = Bare(tmp_path, [SimpleNamespace(port=port)])
        with pytest.raises(NobodyThereError):
            await fault.inject(stage.stage, 0, 0.0)
        await fault.heal(stage.stage, 0)
