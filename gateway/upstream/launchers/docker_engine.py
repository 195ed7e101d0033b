"""The HTTP of a Docker engine: which version it speaks, one container of it, its files, and what happens to it.

Rule: the version is the engine's own, told by /_ping and asked again whenever it may have been replaced; nothing here
decides what is done to the container.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp

from gateway.upstream.launchers import LauncherError
from gateway.upstream.launchers.http import Answer, Door, Tls

_SILENCE = 300.0
"""Seconds without an event after which the stream is opened anew: a host that vanished says no good-bye."""

_MAX_EVENT = 1 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the container.

    Args:
        action: die or oom.
        at: nanoseconds since 1970, by the engine's clock.
        exit_code: of a die.
    """

    action: str
    at: int
    exit_code: int | None


class DockerEngine:
    """One container of an engine.

    Args:
        host: unix:///path, http://host:port or https://host:port.
        container: its name or id.
        timeout: seconds for one answer.
        tls: paths of files for https.
    """

    def __init__(self, host: str, container: str, *, timeout: float, tls: Tls) -> None:
        """Keep all of it; nothing is connected yet."""
        self._door: Final = Door(host, key="launcher.host", timeout=timeout, tls=tls)
        self._host: Final = host
        self._container: Final = container
        self._version: str | None = None
        self._since: str = ""
        self._heard = 0

    async def inspect(self) -> dict[str, Any] | None:
        """Return what the engine knows of the container, None when there is no such one."""
        answer = await self._ask("GET", "/json", repeat=True)
        return None if answer.status == 404 else _mapping(self._good(answer, "read"))

    async def stats(self) -> dict[str, Any]:
        """Return one reading of what it takes; `one-shot` spares the engine's second reading a second later."""
        return _mapping(self._good(await self._ask("GET", "/stats?stream=false&one-shot=true", repeat=True), "measure"))

    async def order(self, verb: str, *, limit: float, fine: tuple[int, ...] = (), **query: object) -> int:
        """Give an order: start, stop, kill, unpause.

        Args:
            verb: one of these.
            limit: seconds until the engine must have answered.
            fine: statuses beside 2xx that are an answer and no error, such as 304 for what is so already.
            query: of the URL.

        Raises:
            LauncherError: it cannot be done.
        """
        path = f"/{verb}?{urlencode(query)}" if query else f"/{verb}"
        answer = await self._ask("POST", path, repeat=False, limit=limit)
        return answer.status if answer.status in fine else self._good(answer, verb).status

    async def download(self, path: str) -> bytes:
        """Return a file or folder of the container as a tar archive."""
        answer = await self._ask("GET", f"/archive?{urlencode({'path': path})}", repeat=True)
        if answer.status == 404:
            raise LauncherError(
                f"{_told(answer)}; look at the path {path} and at the container {self._container}", may_pass=False
            )
        return self._good(answer, "copy from").body

    async def upload(self, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder of the container."""
        path, head = f"/archive?{urlencode({'path': folder})}", {"Content-Type": "application/x-tar"}
        self._good(await self._ask("PUT", path, repeat=False, data=archive, headers=head), "copy to")

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens until the stream ends; given again, it goes on where the last one ended.

        Raises:
            LauncherError: the stream cannot be had, or broke.
        """
        # filtered by the engine: a health check alone makes three events each time
        filters = {"type": ["container"], "container": [self._container], "event": ["die", "oom"]}
        query = urlencode({"filters": json.dumps(filters)} | ({"since": self._since} if self._since else {}))
        answer = await self._door.stream(f"{await self._prefix()}/events?{query}", silence=_SILENCE)
        async with answer:
            if answer.status != 200:
                body = await answer.content.read(1 << 16)
                self._good(Answer(answer.status, answer.headers, body), "hear events of")
            async for event in self._parsed(answer):
                # those of the last stream are told again, as `since` counts whole seconds with some engines
                if event.at > self._heard:
                    self._heard = event.at
                    self._since = f"{event.at // 10**9}.{event.at % 10**9:09d}"
                    yield event

    async def close(self) -> None:
        """Close what is open."""
        await self._door.close()

    async def _ask(self, method: str, path: str, *, repeat: bool, **more: Any) -> Answer:
        target = f"/containers/{quote(self._container, safe='')}{path}"
        try:
            answer = await self._door.ask(method, await self._prefix() + target, repeat=repeat, **more)
        except LauncherError:
            # an engine that comes back may be another one
            self._version = None
            raise
        if answer.status == 400 and b"version" in answer.body:
            # it was replaced under a connection that held; it refused, so it did nothing
            self._version = None
            answer = await self._door.ask(method, await self._prefix() + target, repeat=repeat, **more)
        return answer

    async def _prefix(self) -> str:
        """Return /v1.41, or "" for whoever does not tell: engines answer that by their own version."""
        if self._version is None:
            answer = await self._door.ask("GET", "/_ping", repeat=True)
            version = answer.headers.get("Api-Version", "")
            is_one = version.replace(".", "").isdigit()
            if answer.status == 200:
                self._version = f"/v{version}" if is_one else ""
            elif answer.status in (401, 403, 404):
                # a proxy that lets no ping through
                self._version = ""
            else:
                self._good(answer, "ping the engine of")
        return self._version or ""

    async def _parsed(self, answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
        held = b""
        try:
            async for part in answer.content.iter_any():
                *lines, held = (held + part).split(b"\n")
                for event in map(_event, filter(None, lines)):
                    if event is not None:
                        yield event
                if len(held) > _MAX_EVENT:
                    raise LauncherError(f"{self._host} does not speak as a Docker engine does", may_pass=False)
        except TimeoutError:
            # nothing happened for long
            return
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LauncherError(f"{self._host} broke off its events: {error}") from error

    def _good(self, answer: Answer, doing: str) -> Answer:
        """Return an answer that is a success; raise what it says otherwise."""
        told = _told(answer)
        match answer.status:
            case 200 | 201 | 204:
                return answer
            case 401 | 403:
                raise LauncherError(
                    f"{self._host} does not let the gateway {doing} {self._container}: {told};"
                    " allow it in the proxy that stands there",
                    may_pass=False,
                )
            case 404:
                raise LauncherError(
                    f"{self._host} knows no container {self._container}: {told};"
                    " create it, or correct launcher.container",
                    may_pass=False,
                )
            case status:
                raise LauncherError(
                    f"{self._host} could not {doing} {self._container}: {told} (status {status}); look at its log"
                )


def _told(answer: Answer) -> str:
    """Return the engine's own words."""
    try:
        message = json.loads(answer.body)["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.body[:200].decode(errors="replace")
    return str(message).strip()[:300] or "it says nothing"


def _mapping(answer: Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except ValueError as error:
        raise LauncherError(
            "what answers is no Docker engine: no JSON; look at launcher.host", may_pass=False
        ) from error
    if not isinstance(value, dict):
        raise LauncherError("what answers is no Docker engine; look at launcher.host", may_pass=False)
    return value


def _event(line: bytes) -> Event | None:
    """Read a line of the stream, None where it is no event.  Raises ValueError where it is no JSON."""
    raw: Mapping[str, Any] = json.loads(line)
    try:
        attributes = (raw.get("Actor") or {}).get("Attributes") or {}
        code = str(attributes.get("exitCode", ""))
        at = int(raw.get("timeNano") or int(raw.get("time", 0)) * 10**9)
        return Event(str(raw.get("Action", "")), at, int(code) if code.lstrip("-").isdigit() else None)
    except (AttributeError, TypeError, ValueError, OverflowError):
        # the next line may be one
        return None


def hush(task: "asyncio.Task[None]") -> None:
    """Read a task's end, so that nobody misses it."""
    if not task.cancelled():
        task.exception()
