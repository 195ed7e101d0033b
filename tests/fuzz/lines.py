"""Connections in memory to whatever a program listens with, in virtual time.

Rule: towards the protocol a line behaves as asyncio's transports do, in what is called, in which order and from where;
what is written while the client does not read piles up, and the protocol is told to pause.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tests.virtual_time import VirtualLoop

HIGH, LOW = 64 * 1024, 16 * 1024
"""Bytes not read by the client at which a protocol is told to pause and to resume; asyncio's own."""

Factory = Callable[[], asyncio.BaseProtocol]


class Listening(VirtualLoop):
    """A loop that remembers what it was asked to serve with, so that a door can be reached without a socket."""

    def __init__(self) -> None:
        """Begin with nobody listening."""
        super().__init__()
        self.factories: list[Factory] = []
        self.crashes: list[Mapping[str, Any]] = []
        """What no callback or task may let through."""
        self.set_exception_handler(lambda _loop, context: self.crashes.append(context))

    async def create_server(self, protocol_factory: Factory, *args: Any, **kwargs: Any) -> Any:
        """Remember the factory, and listen as well."""
        self.factories.append(protocol_factory)
        return await super().create_server(protocol_factory, *args, **kwargs)


class Line(asyncio.Transport):
    """One connection, as the program's side sees it; the client's side are the verbs at its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: tuple[str, int] = ("127.0.0.1", 40000)) -> None:
        """Begin unconnected."""
        super().__init__()
        self.loop = loop
        self.peer = peer
        self.protocol: Any = None
        self.got = bytearray()
        """All that the program has written."""
        self.unread = 0
        self.is_lost = False
        self.is_paused = False
        self.has_read_all = True
        """Whether the client reads whatever comes."""
        self._is_closing = False
        self._told_to_pause = False
        self._waiting: deque[bytes | None] = deque()
        """What the client has sent and the program does not read yet; None is the end."""

    # -- what the program does ----------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know who calls, and no socket."""
        return {"peername": self.peer, "sockname": ("127.0.0.1", 7777)}.get(name, default)

    def is_closing(self) -> bool:
        """Whether the program hung up."""
        return self._is_closing

    def is_reading(self) -> bool:
        """Whether the program reads."""
        return not self.is_paused and not self._is_closing

    def pause_reading(self) -> None:
        """Let what comes wait."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Hand over what waits, from the loop."""
        if self.is_paused and not self._is_closing:
            self.is_paused = False
            self.loop.call_soon(self._hand_over)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to set."""

    def get_write_buffer_size(self) -> int:
        """Return what the client has not read."""
        return self.unread

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return where it pauses."""
        return LOW, HIGH

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Talk to another protocol from now on."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom it talks to."""
        found: asyncio.BaseProtocol = self.protocol
        return found

    def can_write_eof(self) -> bool:
        """As TCP can."""
        return True

    def write_eof(self) -> None:
        """Write no more."""

    def write(self, data: Any) -> None:
        """Take what the program says."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"bytes are written, not {type(data).__name__}")
        if self.is_lost or (self._is_closing and not self.unread):
            return
        self.got += data
        if not self.has_read_all:
            self.unread += len(data)
            if self.unread > HIGH and not self._told_to_pause:
                self._told_to_pause = True
                self.protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """Take several pieces."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """End it once all is read."""
        if not self._is_closing:
            self._is_closing = True
            self._waiting.clear()
            if not self.unread:
                self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """End it now."""
        self._is_closing = True
        self.unread = 0
        self._waiting.clear()
        self.loop.call_soon(self._lose, None)

    # -- what the client does -----------------------------------------------------------------------------

    def connect(self, factory: Factory) -> None:
        """Be accepted."""
        self.protocol = factory()
        self.protocol.connection_made(self)

    def send(self, data: bytes) -> None:
        """Send a piece; it waits where the program does not read."""
        if data and not self._is_closing:
            self._waiting.append(data)
            self._hand_over()

    def finish(self) -> None:
        """Send no more, which ends the connection unless the program wants to keep its half."""
        if not self._is_closing:
            self._waiting.append(None)
            self._hand_over()

    def reset(self) -> None:
        """Vanish in the hard way."""
        if not self.is_lost:
            self._is_closing = True
            self.unread = 0
            self._waiting.clear()
            self.loop.call_soon(self._lose, ConnectionResetError(104, "Connection reset by peer"))

    def look_away(self) -> None:
        """Read nothing for now."""
        self.has_read_all = False

    def look(self) -> None:
        """Read all that is there and whatever comes."""
        self.has_read_all, self.unread = True, 0
        if self._told_to_pause and not self.is_lost:
            self._told_to_pause = False
            self.protocol.resume_writing()
        if self._is_closing:
            self.loop.call_soon(self._lose, None)

    @property
    def held(self) -> int:
        """How many bytes the program has not taken in."""
        return sum(len(piece) for piece in self._waiting if piece is not None)

    def _hand_over(self) -> None:
        while self._waiting and not self.is_paused and not self._is_closing:
            piece = self._waiting.popleft()
            if piece is None:
                if not self.protocol.eof_received():
                    self.close()
            elif isinstance(self.protocol, asyncio.BufferedProtocol):
                self._fill(self.protocol, piece)
            else:
                self.protocol.data_received(piece)

    def _fill(self, protocol: asyncio.BufferedProtocol, piece: bytes) -> None:
        while piece:
            room = memoryview(protocol.get_buffer(len(piece)))
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
            protocol.buffer_updated(count)
            piece = piece[count:]

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connection_lost(error)
