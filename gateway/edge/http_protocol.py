"""One connection of a client: requests in, answers out, one after another.

Rule: one request is in its turn at a time.  Until it is answered nothing behind it is looked at, and what comes
meanwhile is kept as bytes up to a cap, beyond which the connection is not read: so answers are in order, and neither
one who sends without end nor one who does not read makes the gateway hold more.

    IDLE       no request is in its turn; a head may have begun
    READING    its head was looked at, its body still comes
    ANSWERING  it is whole, and its answer is being found
    LINGERING  it was answered before its body had come: that is read and thrown away for a second, and the connection
               goes on
    ENDING     the last answer was written and our side is closed; what still comes is thrown away until the client
               has closed his, for a second at most: a close with bytes unread resets the connection, and a reset
               destroys the answer on its way
    CLOSED     nothing is read any more

The usual request costs no task, no timer and no parser: its head was seen before, its body came with it.  Its answer
is written at the end of the loop's turn, together with those of others (`HttpServer.post`).
"""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, cast

from gateway.edge.answer import CONTINUE, Answer
from gateway.edge.http_head import Head, NotHttpError
from gateway.edge.http_reader import Incoming, Reader

if TYPE_CHECKING:
    from gateway.edge.http_server import HttpServer

LINGER = 1.0
"""Seconds for which a refused body, and whatever comes after the last answer, is read on."""

SLICE: Final = 16 * 1024
"""Bytes that are parsed at once; as many requests as fit in may wait."""

MOST_HELD: Final = 64 * 1024
"""Bytes that are kept unread; with more, the kernel keeps the rest."""


class Phase(Enum):
    """Where a connection is."""

    IDLE = 0
    READING = 1
    ANSWERING = 2
    LINGERING = 3
    ENDING = 4
    CLOSED = 5


IDLE: Final[Phase] = Phase.IDLE
READING: Final[Phase] = Phase.READING
ANSWERING: Final[Phase] = Phase.ANSWERING
LINGERING: Final[Phase] = Phase.LINGERING
ENDING: Final[Phase] = Phase.ENDING
CLOSED: Final[Phase] = Phase.CLOSED
"""At hand without a look into the class, which costs as much as the comparison."""


class Work(Protocol):
    """What finds an answer."""

    def cancel(self) -> object:
        """Nobody waits for the answer any more."""


class Connection:
    """A connection; `work` is what finds the answer of the request in its turn, where that is not there at once.

    It is an asyncio.Protocol in all but name: a base that is not compiled would keep this class from being so.
    """

    __slots__ = (
        "_head", "_held", "_incoming", "_is_broken", "_is_full", "_is_paused", "_keep", "_out", "_reader", "_ready",
        "_since", "_timer", "_unsent", "_unsent_since", "_waiting", "began", "phase", "server", "transport", "turn",
        "work",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        """Begin unconnected."""
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.phase = CLOSED
        self.work: Work | None = None
        self.began = 0.0
        """When the request in its turn began, or since when it is idle; 0.0 until that is looked at."""
        self.turn = 0
        """The number of that request; an answer to another one is let go."""
        self._head: Head | None = None
        self._incoming: Incoming | None = None
        """The request in its turn, where it was parsed."""
        self._ready: object = None
        """What the door made of its head, while its body comes."""
        self._reader: Reader | None = None
        self._waiting: list[Incoming] | None = None
        """Requests behind it that are parsed."""
        self._held = b""
        """What came behind them."""
        self._since: float | None = None
        """When the head began that comes; None while none does."""
        self._timer: asyncio.TimerHandle | None = None
        self._keep = True
        self._is_paused = False
        """The client does not read what it is sent."""
        self._is_full = False
        """It is not read from."""
        self._is_broken = False
        """What follows the waiting requests is no HTTP."""
        self._out = b""
        """Answers that are to be written in this turn of the loop."""
        self._unsent = 0
        """Bytes that the client had not taken when it was last looked at."""
        self._unsent_since = 0.0
        """Since when there are as many."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<Connection {self.phase.name} held={len(self._held)}>"

    # -- transport ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or close it at once."""
        server = self.server
        transport = cast("asyncio.Transport", transport)
        if not server.take(self):
            transport.abort()
            return
        self.transport = transport
        self.phase = IDLE
        self.began = self._since = server.now()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out, and let whoever finds an answer know that nobody waits for it."""
        del exc
        self.server.leave(self)
        self.transport = None
        self._end()

    def data_received(self, data: bytes) -> None:
        """Begin the request, go on with it, or keep the bytes until its turn."""
        phase = self.phase
        if phase is IDLE and not self._is_paused and not self._held and not self._waiting:
            reader = self._reader
            if reader is None or reader.is_between:
                known = self.server.heads.split(data)
                if known is not None:
                    self._begin(known[0], known[1])
                    return
            self._feed(data)
        elif (phase is READING or phase is LINGERING) and not self._held:
            self._feed(data)
        elif phase is not ENDING and phase is not CLOSED:
            self._hold(data)

    def eof_received(self) -> bool:
        """Hear that the client says no more: the connection is closed."""
        return False

    def pause_writing(self) -> None:
        """Begin nothing more until the client reads."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self._go_on()

    # -- requests -----------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        """Parse, a slice at a time, as long as a request can use it."""
        for start in range(0, len(data), SLICE):
            if start and (self.phase is ANSWERING or self._waiting or (self._is_paused and self.phase is IDLE)):
                self._hold(data[start:])
                return
            if self.phase is ENDING or self.phase is CLOSED:
                return
            self._feed_slice(data[start : start + SLICE] if len(data) > SLICE else data)

    def _feed_slice(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            reader = self._reader = Reader()
        was_between = reader.is_between
        try:
            fresh = reader.feed(data)
        except NotHttpError:
            self._is_broken = True
            self._refuse_bytes()
            return
        if self._incoming is not None:
            self._body_came(self._incoming)
        if fresh:
            first = fresh[0]
            if was_between and len(fresh) == 1 and first.is_whole and first.head.is_usual:
                self.server.learn(data, first.head, first.size)
            self._waiting = fresh
            self._go_on()
        elif self._since is None and not reader.is_between and self.phase is IDLE:
            self._since = self.server.now()

    def _refuse_bytes(self) -> None:
        """Answer bytes that are no HTTP, unless the request in its turn was answered already."""
        if self.phase is LINGERING:
            self._finish()
            return
        if self.phase is IDLE:
            self.server.in_flight += 1
        self.phase = ANSWERING
        self._stop_timer()
        # what came of a body is not believed either
        self._incoming = None
        self.answer(self.turn, self.server.door.not_http())

    def _go_on(self) -> None:
        """Let the next request have its turn, and read on what was kept."""
        if self.phase is IDLE and self._waiting and not self._is_paused:
            incoming = self._waiting.pop(0)
            if not self._waiting:
                self._waiting = None
            if incoming.is_whole:
                self._begin(incoming.head, incoming.body(), incoming)
            else:
                self._begin(incoming.head, None, incoming)
        if not self._held or self._waiting or self.phase is ANSWERING or (self._is_paused and self.phase is IDLE):
            return
        held, self._held = self._held, b""
        self._feed(held)
        if self._is_full and len(self._held) <= MOST_HELD and self.transport is not None:
            self._is_full = False
            self.transport.resume_reading()

    def _begin(self, head: Head, body: bytes | None, incoming: Incoming | None = None) -> None:
        """Let a request have its turn; `body` is None while it still comes."""
        server = self.server
        self._since = None
        self._head = head
        self._incoming = incoming
        self._keep = head.is_kept
        self.phase = ANSWERING
        self.began = server.now()
        self.turn += 1
        server.in_flight += 1
        ready = server.door.admit(head)
        if isinstance(ready, Answer):
            self.answer(self.turn, ready)
        elif body is not None and (incoming is None or incoming.size <= server.door.most(ready)):
            server.door.run(head, ready, body, self)
        elif incoming is not None:
            self._ready = ready
            self.phase = READING
            incoming.most = server.door.most(ready)
            self._timer = server.loop.call_later(server.door.body_timeout, self._slow_body)
            if head.expects and not incoming.is_whole and self.transport is not None:
                self.send()
                self.transport.write(CONTINUE)
            self._body_came(incoming)

    def _body_came(self, incoming: Incoming) -> None:
        """Look whether a body that was waited for is whole, or too large."""
        if self.phase is LINGERING:
            if incoming.is_whole:
                self._stop_timer()
                self._turn_ended()
        elif incoming.size > incoming.most:
            self._refuse_body(self.server.door.too_large(self._ready))
        elif incoming.is_whole:
            self._stop_timer()
            ready, self._ready = self._ready, None
            self.phase = ANSWERING
            assert self._head is not None  # noqa: S101 - of the request in its turn
            self.server.door.run(self._head, ready, incoming.body(), self)

    def _slow_body(self) -> None:
        self._timer = None
        self._refuse_body(self.server.door.slow_body())

    def _refuse_body(self, answer: Answer) -> None:
        self._stop_timer()
        self._ready = None
        self.phase = ANSWERING
        self.answer(self.turn, answer)

    def answer(self, turn: int, answer: Answer) -> None:
        """Write the answer to the request of that number; one that nobody waits for any more is let go."""
        transport = self.transport
        if turn != self.turn or self.phase is not ANSWERING or transport is None:
            return
        server, head, incoming = self.server, self._head, self._incoming
        self.work = None
        is_left = incoming is not None and not incoming.is_whole
        keep = self._keep and not answer.is_last and not server.is_draining and not self._is_broken
        if is_left and head is not None and head.expects:
            # whoever waited for a word before his body may send the next request instead: nobody could tell them apart
            keep = False
        self._keep = keep
        if head is not None and head.is_usual and keep and answer.status == 200:
            data = answer.usual()
            if server.in_flight > 1:
                self._out = self._out + data if self._out else data
                server.post(self)
            else:
                transport.write(data)
        else:
            self.send()
            is_latest, only_head = head is None or head.is_latest, head is not None and head.method == "HEAD"
            transport.write(answer.wire(is_latest=is_latest, keep=keep, only_head=only_head))
        server.answered()
        if incoming is not None and is_left and keep:
            self.phase = LINGERING
            incoming.drop()
            self._timer = server.loop.call_later(LINGER, self._finish)
            if self._held:
                server.loop.call_soon(self._go_on)
            return
        self.phase = IDLE
        self._turn_ended()

    def send(self) -> None:
        """Write the answers that were kept back."""
        out, self._out = self._out, b""
        if out and self.transport is not None and not self.transport.is_closing():
            self.transport.write(out)

    def _turn_ended(self) -> None:
        """Let the next request come, or end."""
        if not self._keep:
            self._finish()
            return
        self._head = self._incoming = None
        self.phase = IDLE
        self.began = 0.0
        if self._waiting or self._held:
            # not at once: whoever gave this answer has work of his own to end
            self.server.loop.call_soon(self._go_on)
        elif self._reader is not None and not self._reader.is_between:
            self._since = self.server.now()

    def _hold(self, data: bytes) -> None:
        """Keep bytes until the request in its turn is answered."""
        self._held = self._held + data if self._held else data
        if len(self._held) > MOST_HELD and not self._is_full and self.transport is not None:
            self._is_full = True
            self.transport.pause_reading()

    # -- its end ------------------------------------------------------------------------------------------

    def look(self, now: float, head_timeout: float, keepalive_timeout: float) -> None:
        """Close it when a head does not come, when it was idle for too long, or when no answer is taken for as long."""
        phase = self.phase
        if self._is_paused or phase is ENDING or phase is CLOSED:
            self._look_at_unsent(now, keepalive_timeout)
        elif phase is not IDLE:
            return
        elif self._since is not None:
            if now - self._since >= head_timeout:
                self.server.counters.slow_heads += 1
                self._close()
        elif not self.began:
            self.began = now
        elif now - self.began >= keepalive_timeout and not self._waiting and not self._held:
            self._close()

    def shut(self) -> None:
        """Close it now; whoever finds an answer is told that nobody waits for it."""
        self._close()

    def _look_at_unsent(self, now: float, longest: float) -> None:
        """Give up a client that takes nothing of what is written: he would hold it, and his connection, for ever."""
        transport = self.transport
        if transport is None:
            return
        unsent = transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif unsent and now - self._unsent_since >= longest:
            self._end()
            transport.abort()

    def _finish(self) -> None:
        """Say that nothing more comes, and throw away what does, until the client has closed as well."""
        transport, incoming = self.transport, self._incoming
        is_left = incoming is not None and not incoming.is_whole
        is_behind = is_left or self._is_broken or bool(self._held or self._waiting)
        self._end(ENDING)
        if transport is None:
            return
        is_halved = transport.can_write_eof()
        if not is_halved and not is_behind:
            # over TLS one side cannot be closed alone; nothing is known to come that would be left unread
            self._close()
            return
        self._timer = self.server.loop.call_later(LINGER, self._finished)
        if self._is_full:
            self._is_full = False
            transport.resume_reading()
        if is_halved:
            try:
                transport.write_eof()
            except OSError:  # it is reset already
                self._close()

    def _finished(self) -> None:
        self._timer = None
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._timer = self.server.loop.call_later(LINGER, self._finished)  # he still takes it; see `look`
        else:
            self._close()

    def _close(self) -> None:
        """Close once all that was written has been sent."""
        self._end()
        if self.transport is not None:
            self.transport.close()

    def _end(self, phase: Phase = CLOSED) -> None:
        """Let go of everything but the transport."""
        self.send()
        was, self.phase = self.phase, phase
        self._stop_timer()
        if was is ANSWERING or was is READING:
            self.server.answered()
        work, self.work = self.work, None
        if work is not None:
            work.cancel()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._waiting = self._incoming = self._head = self._ready = None
        self._held = b""

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
