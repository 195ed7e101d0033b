"""Watches over the connections of the door: how many there are, and how long a head may take.

Rule: a connection beyond the cap is closed before a byte is read, and one whose head does not come is closed
as well; aiohttp itself counts neither.

aiohttp makes a task, a request and a writer for each request, and asks the loop for two more turns.  The usual
request needs none of that: it is answered in the task that its connection has anyway (`_Watched.start`).
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, cast

from aiohttp import HttpVersion11, web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import istr

from gateway.base import trace
from gateway.base.heads import KnownHeads
from gateway.edge.answer import Answer
from gateway.edge.descriptors import on_top
from gateway.rules import forward

SWEEP = 0.5
"""Seconds between two looks at slow heads."""

FORWARDED = istr(forward.FORWARDED)
"""What another gateway sends is signed, so that no two heads of it are alike."""

TRACEPARENT = istr(trace.HEADER)
"""Names the call that it comes with, and no other."""

BACKLOG = 128
"""Connections that the kernel keeps until they are accepted; one more is made to try again a second later."""


class Counts(Protocol):
    """What is counted."""

    connections_open: int
    connections_refused: int
    slow_heads: int

    def count_malformed(self, what: str) -> None:
        """Count a request by what was wrong with it."""


Answers = Callable[["Usual"], Coroutine[Any, Any, web.Response | Answer]]
"""Answers usual requests."""


class Usual:
    """A POST of HTTP/1.1 whose body came with its head, as far as the door asks a request anything."""

    __slots__ = ("body", "headers", "method", "path", "version")

    def __init__(self, message: RawRequestMessage, body: bytes) -> None:
        """Take what the parser found."""
        self.method = message.method
        self.path = "/" if message.path == "/" else message.url.path
        self.headers = message.headers
        self.version = message.version
        self.body = body


def _may_come_again(headers: Mapping[str, str]) -> bool:
    """Whether the same head may come once more, byte for byte."""
    return FORWARDED not in headers and TRACEPARENT not in headers


class _Watched(web.RequestHandler):
    """One connection: aiohttp's own handler, watched from outside of its parser."""

    __slots__ = ("_guard", "_head_since", "_is_between", "_is_busy", "_known")

    def __init__(self, guard: "Guard", manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._guard = guard
        self._head_since = 0.0
        self._is_busy = False
        """A usual request is being handled."""
        self._is_between = True
        """The parser stands between two requests for sure; once it may not, that is not found out again."""
        self._known: tuple[RawRequestMessage, bytes] | None = None
        """A usual request that waits, read without the parser."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or close it at once."""
        guard = self._guard
        if len(guard.open) >= guard.max_connections():
            guard.counters.connections_refused += 1
            cast("asyncio.Transport", transport).abort()
            return
        super().connection_made(transport)
        guard.open.add(self)
        guard.counters.connections_open = len(guard.open)
        self._head_since = guard.now()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        self._guard.open.discard(self)
        self._guard.counters.connections_open = len(self._guard.open)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when the head of the next request began."""
        if self.transport is None:
            return
        # where nobody answers usual requests, all of them are for aiohttp's parser
        was_between, waiter = self._is_between and self._guard.answer is not None, self._waiter
        if was_between and waiter is not None and not waiter.done():
            self._known = self._guard.heads.split(data)
            if self._known is not None:
                self._is_busy = True
                self._head_since = 0.0
                waiter.set_result(None)
                return
        super().data_received(data)
        if was_between:
            usual = self._usual()
            self._is_between = usual is not None and self._guard.heads.learn(
                data, usual[0], usual[1].total_bytes, keep=_may_come_again(usual[0].headers)
            )
        if self._messages or self._is_busy or self._current_request is not None:
            self._head_since = 0.0
        elif data and not self._head_since:
            self._head_since = self._guard.now()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Read on if reading was paused; without asking, aiohttp has nothing parsed anew for each body it hands out."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    async def start(self) -> None:
        """Answer the usual requests; the first that is not usual, and all that follow it, are aiohttp's.

        What aiohttp does around a request (counting it, telling `shutdown` of its end, the time at which an idle
        connection is closed) is done here in the same order.
        """
        loop = self._loop
        while not self._force_close:
            if not self._messages:
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            request, answer = self._next(), self._guard.answer
            if request is None or answer is None:
                self._is_between = False
                await super().start()
                return
            self._request_in_progress = True
            try:
                self._keepalive = await self._answer_usual(*request, answer)
            except asyncio.CancelledError:
                self.force_close()
                raise
            except Exception as error:  # noqa: BLE001 - as aiohttp does: the log gets it, the connection ends
                self.log_exception("Unhandled exception", exc_info=error)
                self.force_close()
            finally:
                self._request_in_progress = False
                if self._handler_waiter is not None:
                    self._handler_waiter.set_result(None)
            if not self._keepalive or self._close or self._force_close:
                break
            self._next_keepalive_close_time = closes_at = loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = loop.call_at(closes_at, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    def _usual(self) -> tuple[RawRequestMessage, StreamReader] | None:
        """Return the request that waits if it is alone, all of it has come, and nothing about it is special."""
        if len(self._messages) != 1 or self._buffer_paused:
            return None
        message, payload = self._messages[0]
        if (
            isinstance(message, RawRequestMessage)
            and message.method == "POST"
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade or message.chunked)
            and payload.total_bytes > 0  # a body without a length has none
            and payload.is_eof()
            and payload.exception() is None
        ):
            return message, payload
        return None

    def _next(self) -> tuple[RawRequestMessage, bytes] | None:
        """Take the usual request that waits; None when it is for aiohttp."""
        known, self._known = self._known, None
        if known is not None or self._guard.answer is None:
            return known
        usual, parser = self._usual(), self._parser
        if usual is None:
            return None
        assert parser is not None  # noqa: S101 - taken away only when the connection is lost, which ends this task
        self._messages.popleft()
        parser.message_consumed()
        return usual[0], usual[1].read_nowait()

    async def _answer_usual(self, message: RawRequestMessage, body: bytes, answer: Answers) -> bool:
        """Answer a usual request; return whether the connection stays."""
        guard = self._guard
        guard.requests_count += 1
        self._is_busy = True
        try:
            response = await answer(Usual(message, body))
        finally:
            self._is_busy = False
        if isinstance(response, Answer):
            try:
                response.write_to(self.transport, keep=True)
                if self._paused:
                    await self._drain_helper()
            except ConnectionError:
                return False
            return response.keep_alive
        task = cast("asyncio.Task[None]", self._task_handler)
        request = guard.request_factory(message, EMPTY_PAYLOAD, self, StreamWriter(self, self._loop), task)
        _, is_gone = await self.finish_response(request, response, None)
        return bool(response.keep_alive) and not is_gone

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP.

        aiohttp would quote the broken bytes in its log and its answer, and these may be a password.
        """
        del exc, message
        self._guard.counters.count_malformed("not_http" if status < 500 else "failed")
        response = self._guard.refuse(status)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        response.force_close()
        return response

    @property
    def waits_for_head(self) -> bool:
        """Whether no request is being handled or queued: what comes now belongs to a head."""
        return not self._messages and self._current_request is None and not self._is_busy

    def check_head(self, now: float, longest: float) -> bool:
        """Return whether this connection's head has taken too long."""
        if not self.waits_for_head:
            self._head_since = 0.0
            return False
        return bool(self._head_since) and now - self._head_since >= longest


class Guard(web.Server):
    """aiohttp's low-level server with a cap on connections and a time-out for heads.

    Args:
        counters: where it counts.
        max_connections, head_timeout: asked anew each time, so that a reload takes effect.
        refuse: makes the answer to something that is not HTTP, from its status.
        answer: answers usual requests; without it they are handled like all others.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Any],
        *,
        counters: Counts,
        max_connections: Callable[[], int],
        head_timeout: Callable[[], float],
        refuse: Callable[[int], web.Response],
        answer: Answers | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin with no connection; keyword arguments go to aiohttp's handler."""
        super().__init__(handler, handler_cancellation=True, **kwargs)
        self.answer = answer
        self.counters = counters
        self.max_connections = max_connections
        self.head_timeout = head_timeout
        self.refuse = refuse
        self.open: set[_Watched] = set()
        self.heads: KnownHeads[RawRequestMessage] = KnownHeads()
        self._loop_of_guard = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop_of_guard.time()

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a new connection."""
        if self._timer is None:
            self._timer = self._loop_of_guard.call_later(SWEEP, self._sweep)
        return _Watched(self, self, loop=self._loop_of_guard, **self._kwargs)

    def _sweep(self) -> None:
        """Close connections whose head does not come; tick only while there are connections."""
        self._timer = None
        now, longest = self.now(), self.head_timeout()
        for one in [one for one in self.open if one.check_head(now, longest)]:
            self.counters.slow_heads += 1
            one.force_close()
        if self.open:
            self._timer = self._loop_of_guard.call_later(SWEEP, self._sweep)


class Site(web.TCPSite):
    """A listening socket.

    Its TLS handshakes have a time-out of ours, for asyncio's own is a minute.  What waits in the kernel costs no
    descriptor, what was accepted does, and asyncio knows one number for both: this takes two.

    Args:
        runner, host, port, context: as aiohttp takes them.
        at_one_go: connections that are accepted before anything is done with the first of them.
        handshake_timeout: seconds.
        is_closed_first: see `on_top`; where the host is an address.
    """

    __slots__ = ("_handshake_timeout", "_is_closed_first")

    def __init__(
        self,
        runner: web.ServerRunner,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        at_one_go: int,
        handshake_timeout: float | None = None,
        *,
        is_closed_first: bool = False,
    ) -> None:
        """Begin closed."""
        super().__init__(runner, host, port, ssl_context=context, backlog=at_one_go)
        self._handshake_timeout = handshake_timeout
        self._is_closed_first = is_closed_first

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        loop, runner, context = asyncio.get_running_loop(), self._runner, self._ssl_context
        assert runner.server is not None  # noqa: S101 - set up before its sites
        where: dict[str, Any] = {"host": self._host, "port": self._port}
        if self._is_closed_first and (family := family_of(self._host)) is not None:
            sock = socket.create_server((self._host, self._port), family=family, backlog=self._backlog)
            where = {"sock": on_top(sock)}
        self._server = server = await loop.create_server(
            runner.server, **where, ssl=context, backlog=self._backlog,
            ssl_handshake_timeout=self._handshake_timeout if context is not None else None,
        )  # fmt: skip
        for sock in server.sockets:
            with sock.dup() as same:
                same.listen(BACKLOG)


def family_of(host: str | None) -> socket.AddressFamily | None:
    """Return the family of an address; None for a name, and for an address with a zone."""
    if host is None or "%" in host:
        return None
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET6 if version == 6 else socket.AF_INET
