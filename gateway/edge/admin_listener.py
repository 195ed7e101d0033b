"""One listener of the event stream: an answer that does not end.

Rule: nobody else pays for a listener.  What he does not take is bounded, and so is how long he may keep silent; he
hears no more once he may no longer look.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

STILL = 5.0
"""Seconds between two looks at whether who listens still may."""

MOST_UNSENT = 131_072
"""Bytes that may wait for a listener; behind them the kernel has a buffer of its own."""

GONE = 30_000
"""Milliseconds after which a listener counts as gone that acknowledges nothing, as a laptop that sleeps."""


class Told(Protocol):
    """Who tells listeners, as far as they know."""

    now: Callable[[], float]

    def join(self, listener: "Listener") -> None:
        """Let somebody listen, from a whole snapshot on."""

    def leave(self, listener: "Listener") -> None:
        """Let somebody go."""

    def too_slow(self, listener: "Listener") -> None:
        """Let somebody go who does not take what he is sent."""


class Listener:
    """One answer that does not end; as far as aiohttp's handler asks a response anything.

    Its body ends with its connection and not by a length or chunks: so the same bytes go to all.

    Args:
        still: whether who listens still may; asked now and then.
        peer: from where.
    """

    def __init__(self, stream: Told, still: Callable[[], bool], peer: str) -> None:
        """Have written nothing."""
        self.stream = stream
        self.still = still
        self.peer = peer
        self.headers: CIMultiDict[str] = CIMultiDict({
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "Connection": "close",
            "X-Accel-Buffering": "no",
        })  # fmt: skip
        self.status = 200
        self.keep_alive = False
        self._transport: asyncio.Transport | None = None
        self._over: asyncio.Event = asyncio.Event()
        self._seen_at = stream.now()

    def force_close(self) -> None:
        """It is the last answer of its connection anyway."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the head and begin to listen.  Raises ConnectionResetError when the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport = transport
        is_gone_after(transport, GONE)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        transport.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
        self.stream.join(self)

    async def write_eof(self) -> None:
        """Wait until it is over: until somebody closes it, or the client goes, which cancels this."""
        try:
            await self._over.wait()
        finally:
            self.stream.leave(self)

    def write(self, data: bytes) -> None:
        """Write something whole, or let this listener go if too much of what was written before is unsent."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._over.set()
        elif transport.get_write_buffer_size() > MOST_UNSENT:
            self.stream.too_slow(self)
            transport.abort()
            self._over.set()
        else:
            transport.write(data)

    def see(self, now: float) -> None:
        """Look whether who listens still may."""
        if now - self._seen_at >= STILL:
            self._seen_at = now
            if not self.still():
                self.close()

    def close(self) -> None:
        """End it in order."""
        self.stream.leave(self)
        self._over.set()


def is_gone_after(transport: asyncio.BaseTransport, milliseconds: int) -> None:
    """Have the kernel end a connection whose other side acknowledges nothing for so long, where it knows how."""
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if sock is not None and option is not None:
        with suppress(OSError):  # not over TCP
            sock.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
