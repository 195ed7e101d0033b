"""The connections of the clients' door: how many there are, how long they may be silent, and how they end.

Rule: a connection beyond the cap is closed before a byte is read, and one whose head does not come is closed as well;
one coarse sweep, ticking only while there are connections, looks after all of them.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from gateway.base import trace
from gateway.base.heads import KnownHeads
from gateway.edge.answer import Answer, turn
from gateway.edge.http_head import Head
from gateway.edge.http_protocol import Connection
from gateway.edge.listening import listen
from gateway.rules import forward

SWEEP: Final = 0.5
"""Seconds between two looks at the connections."""

TOGETHER: Final = 8
"""Answers that are written together; with more, clients would only begin when the gateway has ended."""


class Counts(Protocol):
    """What is counted."""

    connections_open: int
    connections_refused: int
    slow_heads: int


class Door(Protocol):
    """What requests mean.  Nothing of it raises: whatever goes wrong is an answer."""

    @property
    def body_timeout(self) -> float:
        """Seconds for a body that does not come with its head."""

    def admit(self, head: Head) -> Any:
        """Look at a head: an Answer when its body does not matter, else what `run` is handed."""

    def most(self, ready: Any) -> int:
        """Return the bytes that the body may have."""

    def run(self, head: Head, ready: Any, body: bytes, connection: Connection) -> None:
        """Find the answer; `connection.answer` is called with it and the turn, from in here or later."""

    def slow_body(self) -> Answer:
        """Answer a body that did not come in time."""

    def too_large(self, ready: Any) -> Answer:
        """Answer a body that is larger than `most`."""

    def not_http(self) -> Answer:
        """Answer bytes that are no HTTP."""


class HttpServer:
    """Serves HTTP/1.0 and 1.1.

    Args:
        door: what requests mean.
        counters: where it counts.
        max_connections, head_timeout: asked anew each time, so that a reload takes effect.
        keepalive_timeout: seconds that a connection may be idle.
    """

    def __init__(
        self,
        door: Door,
        *,
        counters: Counts,
        max_connections: Callable[[], int],
        head_timeout: Callable[[], float],
        keepalive_timeout: float,
    ) -> None:
        """Begin with no connection."""
        self.door = door
        self.counters = counters
        self.max_connections = max_connections
        self.head_timeout = head_timeout
        self.keepalive_timeout = keepalive_timeout
        self.loop = asyncio.get_running_loop()
        self.now: Callable[[], float] = self.loop.time
        self.open: set[Connection] = set()
        self.heads: KnownHeads[Head] = KnownHeads()
        self.in_flight = 0
        """Requests whose heads were looked at and that are not answered."""
        self._outbox: list[Connection] = []
        """Whose answers are to be written in this turn of the loop."""
        self.is_draining = False
        """Each answer is the last of its connection."""
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event | None = None
        """Set when no request is under way; made by who waits for that, so that no request pays for it."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<HttpServer connections={len(self.open)} in_flight={self.in_flight}>"

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self)

    async def start(
        self, host: str, port: int, context: ssl.SSLContext | None, *, at_one_go: int, handshake_timeout: float
    ) -> int:
        """Listen, and return the port.  Raises OSError where that cannot be."""
        self._listener = await listen(
            cast("Callable[[], asyncio.Protocol]", self), host, port,
            context=context, at_one_go=at_one_go, handshake_timeout=handshake_timeout,
            is_closed_first=True,
        )  # fmt: skip
        # asyncio's are a tuple, as the types say, and uvloop's a list
        sockets: Iterable[socket.socket] = cast("Any", self._listener).sockets
        found: int = next(iter(sockets)).getsockname()[1]
        return found

    # -- connections --------------------------------------------------------------------------------------

    def take(self, connection: Connection) -> bool:
        """Count a new connection; False when there are enough."""
        if len(self.open) >= self.max_connections():
            self.counters.connections_refused += 1
            return False
        self.open.add(connection)
        self.counters.connections_open = len(self.open)
        if self._timer is None:
            turn()
            self._timer = self.loop.call_later(SWEEP, self._sweep)
        return True

    def leave(self, connection: Connection) -> None:
        """Count a connection out."""
        self.open.discard(connection)
        self.counters.connections_open = len(self.open)

    def learn(self, data: bytes, head: Head, length: int) -> None:
        """Remember a head that came with its whole body and nothing else, unless it cannot come again.

        What another gateway sends is signed, so that no two heads of it are alike; a trace names one call.
        """
        keep = forward.FORWARDED not in head.headers and trace.HEADER not in head.headers
        if keep:
            self.heads.learn(data, head, length)

    def post(self, connection: Connection) -> None:
        """Write what a connection keeps back, at the end of this turn of the loop.

        Each write wakes somebody.  Written together, the first wakes him and the others find him awake, which saves a
        tenth of the CPU of a call; and who was woken by one answer does not send the next call before the others of
        this turn are read.
        """
        if not self._outbox:
            self.loop.call_soon(self._send)
        self._outbox.append(connection)
        if len(self._outbox) >= TOGETHER:
            self._send()

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        for connection in outbox:
            try:
                connection.send()
            except Exception as error:  # noqa: BLE001 - what is wrong with one connection must not cost the others their answers
                self.loop.call_exception_handler({"message": f"{connection!r} cannot write", "exception": error})

    def answered(self) -> None:
        """Hear that a request was answered, or that nobody waits for it any more."""
        self.in_flight -= 1
        if self._quiet is not None and not self.in_flight:
            self._quiet.set()

    def _sweep(self) -> None:
        self._timer = None
        turn()
        now, head_timeout, keepalive_timeout = self.now(), self.head_timeout(), self.keepalive_timeout
        for connection in list(self.open):
            connection.look(now, head_timeout, keepalive_timeout)
        if self.open:
            self._timer = self.loop.call_later(SWEEP, self._sweep)

    # -- its end ------------------------------------------------------------------------------------------

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 - draining is told its time, it does not fail by it
        """Listen no more and wait for requests under way; connections stay open until `stop`."""
        if self._listener is not None:
            self._listener.close()
        if not self.in_flight:
            return
        self._quiet = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._quiet.wait()

    async def stop(self) -> None:
        """Close all connections; what was written is sent."""
        for connection in list(self.open):
            connection.shut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in range(3):
            # a transport tells its protocol of its end one turn later, one over TLS later still
            await asyncio.sleep(0)
