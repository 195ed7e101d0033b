"""A TCP connection without TLS, driven by the loop's own readiness calls.

Rule: it says to its protocol what asyncio's transport would say, in the same order.  asyncio's own costs a task,
three system calls and two turns of the loop for each connection, and a serial daemon wants a connection for each call.
"""

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.upstream.connection import Connection

CHUNK: Final = 64 * 1024
"""Bytes that are read at once.  Python allocates all of it before it reads; beyond the C library's threshold of
128 KiB that is a mapping of memory made and undone for each answer, which costs more than the reading."""

SEGMENT: Final = 1000
"""Bytes of a request that surely go in one packet; a longer one must not wait for the acknowledgement of its head."""


class PlainTransport:
    """The transport of one connected, non-blocking socket.  `start` makes it read: a request is written before that.

    It is an asyncio.Transport in all but name, as its protocol is one, so that both can be compiled.
    """

    __slots__ = ("_buffer", "_fd", "_is_closing", "_loop", "_protocol", "_sock")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: "Connection") -> None:
        """Own the socket."""
        self._loop = loop
        self._sock = sock
        self._protocol = protocol
        self._fd = sock.fileno()
        self._buffer = b""
        self._is_closing = False

    def start(self) -> None:
        """Begin to read."""
        if not self._is_closing:
            self._loop.add_reader(self._fd, self._readable)

    def __repr__(self) -> str:
        """Status line."""
        return f"<PlainTransport fd={self._fd}{' closing' if self._is_closing else ''}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket, and nothing else."""
        return self._sock if name == "socket" else default

    def is_closing(self) -> bool:
        """Whether it was closed, by whichever side."""
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the kernel has not taken yet."""
        return len(self._buffer)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to set: `resume_writing` is called when all is with the kernel."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel, now as many as it takes."""
        if self._is_closing:
            return
        rest = data
        if len(rest) > SEGMENT:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._buffer:
            rest = self._send(rest)
            if rest:
                self._loop.add_writer(self._fd, self._writable)
        self._buffer += rest

    def abort(self) -> None:
        """Close without waiting for anything; the protocol hears of it from the loop."""
        self._close(None)

    def _send(self, data: bytes) -> bytes:
        """Return what the kernel did not take."""
        try:
            return data[self._sock.send(data) :]
        except (BlockingIOError, InterruptedError):
            return data
        except OSError as error:
            self._close(error)
            return b""

    def _writable(self) -> None:
        self._buffer = self._send(self._buffer)
        if not self._buffer and not self._is_closing:
            self._loop.remove_writer(self._fd)
            self._protocol.resume_writing()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._close(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._close(None)

    def _close(self, error: OSError | None) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.remove_reader(self._fd)
        if self._buffer:
            self._buffer = b""
            self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._lost, error)

    def _lost(self, error: OSError | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()
