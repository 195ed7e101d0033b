"""One TCP connection to a daemon, and the parser of what comes over it.

Rule: an answer is complete or it is none; whatever comes unasked, twice or beyond a cap ends the connection.
When one ends, the cycle between parser and protocol is broken by hand; left to the collector it shows up as
pauses of ten milliseconds.
"""

import asyncio
import select
import socket
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from gateway.upstream.outcome import Fate
from gateway.upstream.target import Target

if TYPE_CHECKING:
    from gateway.upstream.wire import Exchange, Wire

KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
"""TCP keep-alive, so that a connection whose host vanished ends at last; a frozen process keeps its kernel."""


ANSWERED: Final[Fate] = Fate.ANSWERED
"""At hand without a look into the class."""

LENGTH_NAMES: Final = frozenset({len("content-length"), len("transfer-encoding")})
"""How long the names are that tell of the end of a body."""


class Connection:
    """One connection and its parser.

    The wire owns it; `exchange` is the call that it carries, None while it is idle.  It is an asyncio.Protocol in all
    but name: a base that is not compiled would keep this class from being so.
    """

    __slots__ = (
        "_poll", "body", "exchange", "first", "first_byte_at", "has_head", "has_length", "head_size", "headers_size",
        "idle_since", "is_between", "is_complete", "is_interim", "is_watched", "is_writing", "kept", "may_be_kept",
        "parser", "silent", "size", "status", "target", "transport", "wants_to_keep", "wire",
    )  # fmt: skip

    def __init__(self, wire: "Wire", target: Target, *, keep: bool, first: "Exchange | None" = None) -> None:
        """Begin unconnected; `keep` says whether it may carry more than one call, `first` is the one it is made for."""
        self.first = first
        self.wire = wire
        self.target = target
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.wants_to_keep = keep
        self.is_writing = False
        self.idle_since = 0.0
        self.kept = 0
        """How often it was kept after an answer."""
        self.is_watched = False
        self._poll: select.poll | None = None
        self.parser: Any = httptools.HttpResponseParser(self)
        self.is_between = not wire.wanted
        """The parser stands between two answers for sure; once it may not, that is not found out again.  Heads that are
        never alike are always its own."""
        self._reset()

    def _reset(self) -> None:
        """Be ready for the next answer; a parser that has seen a whole one begins anew by itself."""
        self.body: list[bytes] = []
        self.size = 0
        self.silent = 0
        """Bytes behind the head in which the parser found nothing to say: trailers, what is told of a chunk."""
        self.head_size = 0
        self.headers_size = 0
        self.status = 0
        self.first_byte_at = 0.0
        self.has_head = False
        self.is_complete = False
        self.is_interim = False
        self.has_length = False
        self.may_be_kept = False

    # -- transport ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and hand it the request that the connection was made for, in the same turn."""
        transport = cast("asyncio.Transport", transport)
        self.transport = transport
        self.wire.opened += 1
        transport.set_write_buffer_limits(high=0)
        first, self.first = self.first, None
        if first is not None:
            first.write_to(self, self.wire.now())

    def watch_over(self) -> None:
        """Let the kernel ask now and then whether the other host is there; only calls that take long need it."""
        if self.is_watched or self.transport is None:
            return
        self.is_watched = True
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def pause_writing(self) -> None:
        """Nothing: the write deadline is set where the write is."""

    def resume_writing(self) -> None:
        """The whole request is with the kernel: from now on the answer's time runs."""
        self.is_writing = False
        if self.exchange is not None:
            self.exchange.expires_at = self.exchange.whole_at

    def data_received(self, data: bytes) -> None:
        """Feed the parser; bytes that nobody asked for end the connection."""
        exchange = self.exchange
        if exchange is None:
            self.wire.be_wary(self.wire.now())
            self.drop()
            return
        now = self.wire.now()
        was_between = self.is_between
        if was_between:
            known = self.wire.heads.split(data)
            if known is not None and len(known[1]) <= self.wire.max_body:
                # nothing of it is noted here, so that nothing has to be forgotten before the next one
                status, self.may_be_kept = known[0]
                exchange.end(ANSWERED, "", status, known[1], now, now)
                return
        self.is_between = False
        if not self.first_byte_at:
            self.first_byte_at = now
        before = self.size
        try:
            self.parser.feed_data(data)
        except TooLarge:
            exchange.end(Fate.UNKNOWN, "oversized")
            return
        except httptools.HttpParserUpgrade:
            exchange.end(Fate.UNKNOWN, "not_http")
            return
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, TooLarge):
                exchange.end(Fate.UNKNOWN, "oversized")
            elif self.is_complete:
                # bytes after a complete answer: the answer counts, the connection is not used again
                self.wants_to_keep = False
                self._answered(exchange, now)
            else:
                exchange.end(Fate.UNKNOWN, "not_http")
            return
        if self.is_complete:
            self.is_between = was_between and self._is_learnt(data)
            self._answered(exchange, now)
        elif self._is_too_much(len(data), is_body=self.size != before):
            exchange.end(Fate.UNKNOWN, "oversized")

    def _is_too_much(self, size: int, *, is_body: bool) -> bool:
        """Whether more came than a head may have before its end, or behind it without anything of the body."""
        if not self.has_head:
            self.head_size += size
            return self.head_size > self.wire.max_head
        self.silent = 0 if is_body else self.silent + size
        return self.silent > self.wire.max_head

    def _is_learnt(self, data: bytes) -> bool:
        """Remember the head of a whole answer; False where the parser may have seen more than that."""
        return self.has_length and self.wire.heads.learn(data, (self.status, self.may_be_kept), self.size)

    def eof_received(self) -> bool:
        """The daemon has said all it will; a body without a length is complete now."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what a connection that ended early means for its call."""
        exchange, self.exchange = self.exchange, None
        self.transport = None
        self.wire.forget(self)
        if self.kept and self.parser is not None and not self.first_byte_at:
            # not closed from here: the daemon has ended what it had said nothing against keeping
            self.wire.saw_end(self, exchange)
        if exchange is not None and not exchange.is_over:
            if self.has_head and not self.has_length and exc is None and not self.is_interim:
                self._answered(exchange, self.wire.now())
            elif exc is not None and not isinstance(exc, ConnectionError):
                # not the daemon's doing: it may be alive behind a broken way, and may still run the call
                exchange.end(Fate.UNKNOWN, "lost")
            elif self.first_byte_at:
                exchange.end(Fate.UNKNOWN, "half")
            else:
                exchange.end(Fate.UNKNOWN, "empty" if exc is None else "reset")
        self.parser = None

    # -- parser -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a response; a second one in the same breath is not ours."""
        if self.is_complete:
            self.wants_to_keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note how the body's end will be told; a head beyond its cap is one also when it comes in one piece."""
        if self.is_complete:
            return
        self.headers_size += len(name) + len(value) + 4
        if self.headers_size > self.wire.max_head:
            raise TooLarge
        if len(name) in LENGTH_NAMES and name.lower() in (b"content-length", b"transfer-encoding"):
            self.has_length = True
        elif len(name) == len(self.wire.wanted) and name.lower() == self.wire.wanted and self.exchange is not None:
            self.exchange.told = value

    def on_headers_complete(self) -> None:
        """Note that the head is whole; 1xx heads are passed over, and so is whatever follows a whole answer."""
        if self.is_complete:
            return
        self.status = self.parser.get_status_code()
        self.is_interim = 100 <= self.status < 200
        self.has_head = not self.is_interim

    def on_body(self, data: bytes) -> None:
        """Gather the body up to its cap."""
        if self.is_complete:
            return
        self.size += len(data)
        if self.size > self.wire.max_body:
            raise TooLarge
        self.body.append(data)

    def on_message_complete(self) -> None:
        """Note that the answer is whole, unless it was an interim one."""
        if self.is_complete:
            return
        if self.is_interim:
            self.has_length = False
            return
        self.is_complete = True
        # asked here, because the parser has forgotten the headers when the next bytes may come
        self.may_be_kept = self.has_length and self.parser.should_keep_alive()

    def _answered(self, exchange: "Exchange", now: float) -> None:
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        exchange.end(ANSWERED, "", self.status, body, self.first_byte_at, now)

    # -- keeping and closing ------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether a kept connection has neither ended nor said anything that the loop has not seen yet."""
        if self._poll is None:
            sock = None if self.transport is None else self.transport.get_extra_info("socket")
            if sock is None or sock.fileno() < 0:
                return False
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def release(self, *, keep: bool, now: float = 0.0) -> None:
        """Let go of the exchange: back among the idle ones at `now` where that is allowed, else closed at once."""
        self.exchange = None
        # one that is closing is told from the others when it is taken, and forgotten as soon as it is closed
        may_keep = keep and self.wants_to_keep and self.may_be_kept and self.transport is not None
        if may_keep and self.wire.keep(self, now):
            if self.has_head:
                self._reset()
            return
        self.drop()

    def drop(self) -> None:
        """Close, without waiting for anything that was not written yet."""
        if self.transport is not None:
            self.transport.abort()
        self.parser = None


class TooLarge(Exception):  # noqa: N818 - thrown through the parser, never seen outside
    """A cap was passed."""
