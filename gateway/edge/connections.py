"""Watches over the connections of the operators' door: how many there are, and how long a head may take.

Rule: a connection beyond the cap is closed before a byte is read, and one whose head does not come is closed
as well; aiohttp itself counts neither.  (The clients' door has a server of its own, `http_server`.)
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiohttp import web

from gateway.edge.listening import family_of, listen

__all__ = ["Guard", "Site", "family_of"]

SWEEP = 0.5
"""Seconds between two looks at slow heads."""


class Counts(Protocol):
    """What is counted."""

    connections_open: int
    connections_refused: int
    slow_heads: int

    def count_malformed(self, what: str) -> None:
        """Count a request by what was wrong with it."""


class _Watched(web.RequestHandler):
    """One connection: aiohttp's own handler, watched from outside of its parser."""

    __slots__ = ("_guard", "_head_since")

    def __init__(self, guard: "Guard", manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._guard = guard
        self._head_since = 0.0

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
        super().data_received(data)
        if not self.waits_for_head:
            self._head_since = 0.0
        elif data and not self._head_since:
            self._head_since = self._guard.now()

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
        return not self._messages and self._current_request is None

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
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Any],
        *,
        counters: Counts,
        max_connections: Callable[[], int],
        head_timeout: Callable[[], float],
        refuse: Callable[[int], web.Response],
        **kwargs: Any,
    ) -> None:
        """Begin with no connection; keyword arguments go to aiohttp's handler."""
        super().__init__(handler, handler_cancellation=True, **kwargs)
        self.counters = counters
        self.max_connections = max_connections
        self.head_timeout = head_timeout
        self.refuse = refuse
        self.open: set[_Watched] = set()
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
    """A listening socket, as `listening` opens them.

    Args:
        runner, host, port, context: as aiohttp takes them.
        at_one_go: connections that are accepted before anything is done with the first of them.
        handshake_timeout: seconds.
    """

    __slots__ = ("_handshake_timeout",)

    def __init__(
        self,
        runner: web.ServerRunner,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        at_one_go: int,
        handshake_timeout: float | None = None,
    ) -> None:
        """Begin closed."""
        super().__init__(runner, host, port, ssl_context=context, backlog=at_one_go)
        self._handshake_timeout = handshake_timeout

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        assert self._runner.server is not None  # noqa: S101 - set up before its sites
        self._server = await listen(
            self._runner.server, self._host, self._port, context=self._ssl_context, at_one_go=self._backlog,
            handshake_timeout=self._handshake_timeout,
        )  # fmt: skip
