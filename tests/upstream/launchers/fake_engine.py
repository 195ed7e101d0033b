"""A Docker engine that does what a test says, over a unix socket; its answers have the shape of a real one's."""

import asyncio
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

RUNNING: dict[str, Any] = {
    "Status": "running",
    "Running": True,
    "Paused": False,
    "Restarting": False,
    "OOMKilled": False,
    "Pid": 4711,
    "ExitCode": 0,
    "Error": "",
    "StartedAt": "2026-11-28T15:20:44.123456789Z",
    "FinishedAt": "0001-01-01T00:00:00Z",
}

AGAIN = "2026-11-28T16:00:00.5Z"
"""When the next life of the container starts."""


@dataclass
class FakeEngine:
    """One container named wallet.

    Args:
        version: what /_ping tells, None for a proxy that does not.
        least: the oldest version it takes, as a number after "1.".
        state: of the container, None when there is none.
        refusals: answers instead of the usual ones, by verb: (status, message).
        breaks: how many questions are cut off without an answer.
        events: what each stream of events tells, one after the other; then it stays silent.
    """

    version: str | None = "1.41"
    least: int = 12
    state: dict[str, Any] | None = field(default_factory=lambda: dict(RUNNING))
    stats: dict[str, Any] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    breaks: int = 0
    events: list[list[dict[str, Any]]] = field(default_factory=list)
    files: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """An order to kill waits for it."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each request."""
    is_replaced: bool = False
    """What is written to a file is lost."""

    async def serve(self, path: Path) -> web.AppRunner:
        """Listen on a socket until the runner is cleaned up."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        return runner

    @property
    def orders(self) -> list[str]:
        """The verbs of the orders that came, without their version."""
        return [one.rpartition("/")[2].partition("?")[0] for one in self.asked if one.startswith("POST")]

    async def heard(self, words: str) -> None:
        """Wait for a request that holds these words."""
        while not any(words in one for one in self.asked):
            self.news.clear()
            await self.news.wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        self.news.set()
        if request.path == "/_ping":
            return web.Response(text="OK", headers={"Api-Version": self.version} if self.version else {})
        if request.method == "GET" and self.breaks:
            self.breaks -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        first, _, rest = request.path.removeprefix("/").partition("/")
        if not first.startswith("v1."):
            rest = f"{first}/{rest}"
        elif int(first.removeprefix("v1.")) < self.least:
            return told(400, f"client version is too old: minimum supported API version is 1.{self.least}")
        if rest == "events":
            return await self._tell(request)
        verb = rest.rpartition("/")[2]
        if verb in self.refusals:
            return told(*self.refusals[verb])
        if self.state is None:
            return told(404, "No such container: wallet")
        return await self._container(verb, request, self.state)

    async def _container(self, verb: str, request: web.Request, state: dict[str, Any]) -> web.Response:
        match verb:
            case "json":
                return web.json_response({"State": state})
            case "stats":
                return web.json_response(self.stats)
            case "start":
                state |= {"Status": "running", "StartedAt": AGAIN}
            case "unpause":
                state["Status"] = "running"
            case "stop" | "kill":
                await self.go_on.wait()
                state |= {"Status": "exited", "ExitCode": 137}
            case "archive":
                return await self._archive(request)
        return web.Response(status=204)

    async def _archive(self, request: web.Request) -> web.Response:
        path = request.query["path"]
        if request.method == "PUT":
            with tarfile.open(fileobj=io.BytesIO(await request.read())) as archive:
                for entry in [] if self.is_replaced else archive:
                    content = archive.extractfile(entry)
                    assert content is not None
                    self.files[f"{path}/{entry.name}"] = entry
                    self.contents[f"{path}/{entry.name}"] = content.read()
            return web.Response()
        if path not in self.files:
            return told(404, f"Could not find the file {path} in container wallet")
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            archive.addfile(self.files[path], io.BytesIO(self.contents.get(path, b"")))
        return web.Response(body=out.getvalue())

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        if "events" in self.refusals:
            return told(*self.refusals["events"])
        stream = web.StreamResponse()
        await stream.prepare(request)
        if self.events:
            for event in self.events.pop(0):
                await stream.write(json.dumps(event).encode() + b"\n")
        else:
            await asyncio.Event().wait()
        return stream


def told(status: int, message: str) -> web.Response:
    """Refuse as a real engine does."""
    return web.json_response({"message": message}, status=status)


def event(action: str, at: int, **attributes: str) -> dict[str, Any]:
    """Return an event as a real engine tells it; `at` in seconds."""
    actor = {"ID": "f00d", "Attributes": {"name": "wallet", **attributes}}
    return {"Type": "container", "Action": action, "Actor": actor, "time": at, "timeNano": at * 10**9}
