"""A guard between two sockets, with an engine behind it that writes down what it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector, web

from gateway.guard.door import Door
from gateway.guard.rules import Label

OURS, OTHERS = "a" * 64, "b" * 64

LABEL = Label("ecgw.wallet")


def inspected(identity: str, *, ours: bool) -> dict[str, Any]:
    """What the engine says of a container, with all that nobody shall see."""
    return {
        "Id": identity,
        "Name": "/wallet-1" if ours else "/database",
        "Args": ["--password", "hidden"],
        "RestartCount": 0,
        "State": {
            "Status": "running",
            "Running": True,
            "Paused": False,
            "OOMKilled": False,
            "Pid": 4711,
            "ExitCode": 0,
            "Error": "hidden",
            "StartedAt": "2026-11-28T10:00:00Z",
            "Health": {"Status": "healthy", "FailingStreak": 0, "Log": [{"Output": "hidden"}]},
        },
        "Mounts": [{"Source": "/hidden"}],
        "HostConfig": {
            "Memory": 1024,
            "Binds": ["/hidden:/data"],
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        },
        "Config": {
            "Env": ["RPC_PASSWORD=hidden"],
            "Cmd": ["hidden"],
            "Labels": {"note": "hidden"} | ({"ecgw.wallet": "main"} if ours else {}),
        },
    }


STATS = {
    "id": OURS,
    "name": "/wallet-1",
    "networks": {"eth0": {"hidden": 1}},
    "memory_stats": {
        "usage": 100,
        "limit": 1000,
        "stats": {"inactive_file": 5, "total_inactive_file": 6, "cache": 7, "hidden": 8},
    },
}


def died(action: str = "die", *, ours: bool = True, **more: str) -> dict[str, Any]:
    """An event as the engine tells it."""
    attributes = {"image": "hidden", "name": "wallet-1", "exitCode": "137"}
    return {
        "Type": "container",
        "Action": action,
        "status": action,
        "id": OURS,
        "from": "hidden",
        "time": 1,
        "timeNano": 1,
        "Actor": {"ID": OURS, "Attributes": {**attributes, **({"ecgw.wallet": "main"} if ours else {})}},
        **more,
    }


@dataclass
class FakeEngine:
    """Answers as Docker does; `asked` holds the first line of each request that reached it."""

    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """What it says to a target instead of the usual; an answer of None means that it never answers."""
    events: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    """Lines that it tells to the one who listens; None ends the stream."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        path = request.raw_path.partition("?")[0]
        if path in self.answers:
            status, value = self.answers[path]
            if value is None and status == 0:
                await asyncio.Event().wait()
            if isinstance(value, bytes):
                return web.Response(status=status, body=value)
            return web.json_response(value, status=status) if value is not None else web.Response(status=status)
        if path.endswith("/_ping"):
            return web.Response(text="OK", headers={"Api-Version": "1.41", "Server": "hidden"})
        if path.endswith("/events"):
            return await self._tell_events(request)
        name, _, verb = path.rpartition("/containers/")[2].partition("/")
        ours = name in {OURS, OURS[:12], "wallet-1"}
        if not ours and name not in {OTHERS, "database"}:
            return web.json_response({"message": f"No such container: {name}"}, status=404)
        if verb == "json":
            return web.json_response(inspected(OURS if ours else OTHERS, ours=ours))
        if verb == "stats":
            return web.json_response(STATS)
        return web.Response(status=204)

    async def _tell_events(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.events.get()) is not None:
            await response.write(line)
        return response

    def tell(self, *events: dict[str, Any]) -> None:
        """Tell events, in one go."""
        self.events.put_nowait(b"".join(json.dumps(event).encode() + b"\n" for event in events))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    """The engine."""
    fake = FakeEngine()
    server = web.Server(fake.answer, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    yield fake
    await runner.cleanup()


@pytest.fixture
async def door(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Door]:
    """The guard in front of it."""
    del engine
    one = Door(tmp_path / "guard.sock", tmp_path / "engine.sock", LABEL, patience=5.0)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def session(door: Door) -> AsyncIterator[ClientSession]:
    """A well-mannered client of the guard."""
    async with ClientSession("http://guard", connector=UnixConnector(str(door.listen))) as one:
        yield one


async def raw(door: Door, request: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back until the guard closes."""
    reader, writer = await asyncio.open_unix_connection(str(door.listen))
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer
