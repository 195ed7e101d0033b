"""The operator's door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.base.config import Admin
from gateway.edge import admin as module
from gateway.edge.admin import AdminDoor
from gateway.edge.descriptors import Descriptors
from gateway.edge.rpc import DoorCounters
from gateway.observe.metrics import Metrics


class State:
    """What the door is told."""

    why: dict[str, list[str]]
    draining = False

    def __init__(self) -> None:
        """Begin ready."""
        self.why = {"main": []}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics with nothing counted."""
    return Metrics(version="1", door=DoorCounters(), dropped_lines=lambda: 3)


async def test_it_tells_alive_from_ready(metrics: Metrics) -> None:
    """Ready fails while a wallet has nobody, and while draining; alive does not."""
    state = State()
    door = AdminDoor(
        Admin(port=0),
        ready=lambda: state.why,
        ailing=lambda: {"main": ["ec-2: wedged: silent"]},
        draining=lambda: state.draining,
        metrics=metrics.text,
    )
    await door.start()
    base = f"http://127.0.0.1:{door.port}"
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(base + path) as response:
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                return response.status, await response.text()

        code, text = await get("/readyz")
        assert code == 200
        assert "ec-2: wedged: silent" in text, "one sick backend is told of and fails nothing"
        state.why = {"main": ["ec-1: dead: refuses connections"]}
        code, text = await get("/readyz")
        assert code == 503
        assert "refuses connections" in text
        state.why, state.draining = {"main": []}, True
        assert (await get("/readyz"))[0] == 503
        assert await get("/livez") == (200, "ok\n")
        code, text = await get("/metrics")
        names = {family.name for family in text_string_to_metric_families(text)}
        assert code == 200
        assert {"ecgw_door_requests", "ecgw_log_lines_dropped", "ecgw_build_info"} <= names
        code, text = await get("/nothing")
        assert code == 404
        assert "/readyz" in text
        async with session.post(base + "/livez") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET, HEAD"
    await door.stop()
    await door.stop()


@pytest.fixture
async def small(metrics: Metrics) -> AsyncIterator[AdminDoor]:
    """A door that takes two connections."""
    door = AdminDoor(
        Admin(port=0), ready=dict, ailing=dict, draining=bool, metrics=metrics.text, descriptors=Descriptors(32)
    )
    await door.start()
    yield door
    await door.stop()


async def test_connections_beyond_the_cap_are_closed(small: AdminDoor) -> None:
    """And when one ends there is room again."""
    assert Descriptors(32).operators == 2
    lines = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        lines.append(writer)
    reader, third = await asyncio.open_connection("127.0.0.1", small.port)
    async with asyncio.timeout(5):
        with suppress(ConnectionError):  # with a reset or without
            assert await reader.read() == b""
        third.close()
        lines.pop().close()
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200"):
            reader, again = await asyncio.open_connection("127.0.0.1", small.port)
            again.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
            again.close()
    lines.pop().close()


async def test_a_head_that_does_not_come_is_not_waited_for(small: AdminDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from who sends nothing nor from who stops in the middle."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.1)
    for sent in (b"", b"GET /livez HT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_what_is_not_http_and_what_fails_is_answered(small: AdminDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 and 500, with the headers of any answer and nothing of what was sent or went wrong."""

    def fail() -> dict[str, list[str]]:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(small, "ready", fail)
    for sent, code in ((b"hunter2\r\n\r\n", b"400"), (b"GET /readyz HTTP/1.0\r\n\r\n", b"500")):
        reader, writer = await asyncio.open_connection("127.0.0.1", small.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.split(b" ")[1] == code
        assert b"nosniff" in answer
        assert b"hunter2" not in answer
