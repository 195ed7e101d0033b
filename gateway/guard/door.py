"""The door of the socket guard: takes requests on one Unix socket and asks the engine on another.

Rule: it decides nothing (`rules.py` does) and copies nothing: a request to the engine is written from the decision,
an answer to the caller from what `answers.py` leaves of the engine's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, UnixConnector, web
from yarl import URL

from gateway.guard import answers, rules
from gateway.guard.rules import Allowed, Asked, Kind, Label, Refused

PATIENCE = 30.0
"""Seconds for one answer of the engine, beside the grace that a stop was given."""

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes that the engine may answer; an inspect has some kilobytes."""

LARGEST_EVENT = 128 * 1024
"""Bytes of one event."""

MOST_AT_ONCE = 32
"""Requests under way, streams of events apart; a gateway has one or two for each daemon."""

MOST_STREAMS = 128
"""Streams of events; a gateway has one for each daemon, for as long as it runs."""

NOT_OURS = "there is no such container with the label {label}"
"""Said of a container that is not there and of one that is not ours alike, so that nobody can ask around."""


class EngineError(Exception):
    """The engine gave no answer that can be used.

    Args:
        status: what the caller is told.
        message: what happened and what to do about it.
    """

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status


class Door:
    """The guard as it runs.

    Args:
        listen: where it makes its socket; the folder has to be there.
        engine: the socket of the engine.
        label: what makes a container ours.
        patience: seconds for one answer of the engine.
        log: a structlog logger.
    """

    def __init__(
        self, listen: Path, engine: Path, label: Label, *, patience: float = PATIENCE, log: Any = None
    ) -> None:
        """Begin closed."""
        self.listen = listen
        self.engine = engine
        self.label = label
        self.patience = patience
        self._under_way = 0
        self._streams = 0
        self._runner: web.ServerRunner | None = None
        self._session: ClientSession | None = None
        self.log = log or structlog.get_logger()

    def __repr__(self) -> str:
        """Say where it stands."""
        counts = f"under_way={self._under_way} streams={self._streams}"
        return f"<Door {self.listen} to {self.engine} for {self.label} {counts}>"

    async def start(self) -> None:
        """Listen.  Raises OSError where the socket cannot be made."""
        # a connection for each request: one kept over a restart of the engine would fail the next order
        connector = UnixConnector(str(self.engine), force_close=True, limit=0)
        self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
        server = web.Server(
            self._handle, handler_cancellation=True, access_log=None, auto_decompress=False, lingering_time=0
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.listen)).start()
        # who reaches the folder may ask: the gateway runs as another user than whoever may open the engine's socket
        self.listen.chmod(0o666)

    async def stop(self) -> None:
        """Close."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def why_not(self) -> str:
        """Return why the engine cannot be asked, nothing when it can."""
        try:
            status, _, _ = await self._ask("GET", "/_ping")
        except EngineError as error:
            return str(error)
        return "" if status == 200 else f"the engine answers its ping with {status}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        decision = rules.decide(_asked(request), self.label)
        if isinstance(decision, Refused):
            self.log.warning("guard.refused", method=request.method, target=request.raw_path[:200], why=decision.reason)
            return _told(decision.status, decision.reason, close=True)
        # a stream lasts: counted among the rest, those of many daemons would leave no room for an order
        is_stream = decision.kind is Kind.EVENTS
        if is_stream and self._streams >= MOST_STREAMS:
            return _told(503, f"{MOST_STREAMS} streams of events are open already; close one", close=True)
        if not is_stream and self._under_way >= MOST_AT_ONCE:
            return _told(503, f"{MOST_AT_ONCE} requests are under way already; ask again later", close=True)
        self._streams += is_stream
        self._under_way += not is_stream
        try:
            return await self._answer(request, decision)
        except EngineError as error:
            self.log.warning("guard.engine_failed", target=request.raw_path[:200], status=error.status, why=str(error))
            return _told(error.status, str(error))
        finally:
            self._streams -= is_stream
            self._under_way -= not is_stream

    async def _answer(self, request: web.BaseRequest, allowed: Allowed) -> web.StreamResponse:
        if allowed.kind is Kind.PING:
            status, headers, _ = await self._ask("GET", allowed.target())
            kept = {"Api-Version": headers["Api-Version"]} if "Api-Version" in headers else {}
            return web.Response(text="OK" if status == 200 else "", status=status, headers=kept)
        if allowed.kind is Kind.EVENTS:
            return await self._relay_events(request, allowed)
        status, inspected = await self._inspect(allowed)
        found = answers.full_id(inspected, self.label) if status == 200 else ""
        if not found:
            return self._not_found(status, inspected)
        if allowed.kind is Kind.INSPECT:
            return _json(200, answers.trim_inspect(inspected, self.label))
        if allowed.kind is Kind.STATS:
            status, _, body = await self._ask("GET", allowed.target(found))
            if status == 200:
                return _json(200, answers.trim_stats(_mapping(body)))
        else:
            status, _, body = await self._ask("POST", allowed.target(found), allowed.patience)
            self.log.info("guard.ordered", verb=allowed.verb, container=allowed.container, id=found[:12], status=status)
        if status in (204, 304):
            return web.Response(status=status)
        return _told(status, answers.trim_message(_parsed(body)))

    async def _inspect(self, allowed: Allowed) -> tuple[int, Mapping[str, Any]]:
        about = Allowed(Kind.INSPECT, allowed.version, allowed.container, "json")
        status, _, body = await self._ask("GET", about.target(allowed.container))
        return status, _mapping(body)

    def _not_found(self, status: int, answer: Mapping[str, Any]) -> web.Response:
        message = answers.trim_message(answer)
        if status == 400 and "version" in message:
            return _told(status, message)  # the engine does not speak the version that was asked for
        if status >= 500:
            return _told(status, message)
        return _told(404, NOT_OURS.format(label=self.label))

    async def _ask(self, method: str, target: str, more: float = 0.0) -> tuple[int, Mapping[str, str], bytes]:
        """Ask the engine; return status, headers and body.  Raises EngineError."""
        assert self._session is not None  # noqa: S101 - made by start
        timeout = ClientTimeout(total=self.patience + more)
        try:
            async with self._session.request(
                method, URL("http://engine" + target, encoded=True), timeout=timeout, allow_redirects=False
            ) as response:
                body = bytearray()
                async for part in response.content.iter_chunked(64 * 1024):
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        raise EngineError(502, f"the engine answers with more than {LARGEST_ANSWER} bytes")
                return response.status, response.headers, bytes(body)
        except TimeoutError:
            raise EngineError(504, f"the engine did not answer within {self.patience + more:.0f} s") from None
        except (ClientError, OSError) as error:
            raise EngineError(502, self._unreachable(error)) from None

    def _unreachable(self, error: Exception) -> str:
        cause = getattr(error, "os_error", error)
        if isinstance(cause, PermissionError):
            return f"the guard may not open {self.engine}; run it as root without capabilities, or in that file's group"
        if isinstance(cause, FileNotFoundError):
            return f"there is no {self.engine}; mount the engine's socket into the guard's container"
        return f"the engine at {self.engine} cannot be reached ({type(cause).__name__})"

    async def _relay_events(self, request: web.BaseRequest, allowed: Allowed) -> web.StreamResponse:
        """Tell the deaths of our containers for as long as both ends stay."""
        assert self._session is not None  # noqa: S101 - made by start
        # no time-out for the stream: nothing may happen for a week
        timeout = ClientTimeout(total=None, sock_connect=self.patience)
        response: web.StreamResponse | None = None
        try:
            async with self._session.get(
                URL("http://engine" + allowed.target(), encoded=True), timeout=timeout, allow_redirects=False
            ) as upstream:
                if upstream.status != 200:
                    return _told(upstream.status, answers.trim_message(_parsed(await upstream.content.read(64 * 1024))))
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                await response.prepare(request)
                async for line in _lines(upstream):
                    event = answers.trim_event(_parsed(line), self.label)
                    if event is not None:
                        await response.write(json.dumps(event).encode() + b"\n")
        except (ClientError, OSError) as error:
            if response is None:
                raise EngineError(502, self._unreachable(error)) from None
            self.log.warning("guard.events_ended", why=self._unreachable(error))
        return response


async def _lines(upstream: ClientResponse) -> AsyncIterator[bytes]:
    """Yield one event after the other; ends where the engine does, or where it sends what is no event."""
    waiting = b""
    async for part in upstream.content.iter_any():
        *lines, waiting = (waiting + part).split(b"\n")
        for line in lines:
            yield line
        if len(waiting) > LARGEST_EVENT:
            return


def _asked(request: web.BaseRequest) -> Asked:
    headers = request.headers
    connection = {word.strip().lower() for line in headers.getall("Connection", []) for word in line.split(",")}
    return Asked(
        request.method,
        request.raw_path,
        has_body="Transfer-Encoding" in headers or headers.getall("Content-Length", ["0"]) != ["0"],
        upgrades="Upgrade" in headers or "upgrade" in connection,
    )


def _told(status: int, message: str, *, close: bool = False) -> web.Response:
    """Answer in the engine's own shape for errors."""
    response = _json(status, {"message": message})
    if close:
        # what else came on this connection is not looked at
        response.force_close()
    return response


def _json(status: int, value: Mapping[str, Any]) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode() + b"\n", content_type="application/json")


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _mapping(body: bytes) -> Mapping[str, Any]:
    found = _parsed(body)
    return found if isinstance(found, dict) else {}


async def serve(door: Door, stopped: asyncio.Event) -> None:
    """Run a door until it is told to stop.  Raises OSError where it cannot listen."""
    try:
        await door.start()
        door.log.info("guard.started", listen=str(door.listen), engine=str(door.engine), label=str(door.label))
        if trouble := await door.why_not():
            door.log.warning("guard.engine_away", why=trouble)
        await stopped.wait()
        door.log.info("guard.stopped")
    finally:
        await door.stop()
