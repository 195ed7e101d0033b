"""Cuts the bytes of one connection into requests.

Rule: a piece in which anything is wrong is believed in nothing: not one request of it is begun.  Whatever is no body
has a cap, also what the parser would gather without a word: a header whose end does not come, trailers, extensions.

A request that asks for another protocol (Upgrade) is answered as any other, which HTTP allows; some clients ask for
HTTP/2 so with their first call.  httptools stops there and leaves the body out, so its head is read anew without the
question.
"""

import re
from typing import Any

import httptools

from gateway.edge.http_head import MAX_FIELDS, MAX_HEAD, MAX_LINE, Head, NotHttpError, read_head

OTHERS = re.compile(rb" (?:RTSP|ICE)/[0-9]\.[0-9]\r?\n")
"""The ends of first lines that the parser takes for HTTP, and nobody else does; no JSON can hold one."""

LONGEST_OTHER = len(b" RTSP/1.0\r\n")

ENDLESS = 1 << 62
"""Bytes; more than come."""


class Incoming:
    """A request whose head has come, and what has come of its body."""

    __slots__ = ("_kept", "head", "is_whole", "most", "size")

    def __init__(self, head: Head) -> None:
        """Nothing of the body has come."""
        self.head = head
        self.is_whole = False
        self.size = 0
        self.most = ENDLESS
        """Bytes of the body that are kept; -1 when nobody wants any."""
        self._kept: bytes | bytearray = b""
        """Never a list of parts: a body in chunks of two bytes would take twenty times its size."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<Incoming {self.size} bytes{' whole' if self.is_whole else ''}>"

    def take(self, data: bytes) -> None:
        """Hear more of the body; what is beyond the cap is counted and thrown away."""
        self.size += len(data)
        if self.size > self.most:
            return
        if not self._kept:
            self._kept = data
            return
        if isinstance(self._kept, bytes):
            self._kept = bytearray(self._kept)
        self._kept += data

    def body(self) -> bytes:
        """Return the body so far."""
        return bytes(self._kept)

    def drop(self) -> None:
        """Let go of the body; nobody wants what still comes."""
        self.most = -1
        self._kept = b""


class Reader:
    """The parser of one connection; made when the first bytes come that nobody has seen before."""

    __slots__ = (
        "_fields", "_fresh", "_heard", "_is_over", "_parser", "_quiet", "_size", "_tail", "_target", "_upgrades",
        "current", "is_between",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin between two requests."""
        self.is_between = True
        """Nothing of another request has come."""
        self.current: Incoming | None = None
        """The request whose body still comes."""
        self._parser: Any = httptools.HttpRequestParser(self)
        self._fresh: list[Incoming] = []
        self._tail = b""
        """The last bytes that came, for what is cut in two."""
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._size = 0
        """Bytes of headers and trailers so far."""
        self._upgrades = False
        self._heard = False
        """The parser had something to say."""
        self._quiet = 0
        """Bytes since it had."""
        self._is_over = False
        """The last request of the connection has come."""

    def feed(self, data: bytes) -> list[Incoming]:
        """Return the requests whose heads ended with these bytes; bodies go on into what was returned before.

        What comes behind a request that is the last of its connection is nothing: neither a request nor an error.

        Raises:
            NotHttpError: something is wrong; nothing that these bytes brought counts, and no more may be fed.
        """
        fresh = self._fresh = []
        if self._is_over:
            return fresh
        self._heard = False
        size = len(data)
        joined = self._tail + data
        self._tail = joined[-LONGEST_OTHER:]
        if (b"RTSP/" in joined or b"ICE/" in joined) and OTHERS.search(joined):
            raise NotHttpError
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                data = self._without_upgrade() + data[stop.args[0] :]
                continue
            except httptools.HttpParserError as error:
                if self._is_over:
                    break
                inner = error.__context__
                if inner is not None and not isinstance(inner, NotHttpError):
                    raise inner from None  # a fault of ours
                raise NotHttpError from None
            break
        self._quiet = 0 if self._heard else self._quiet + size
        if self._quiet > MAX_HEAD:
            raise NotHttpError
        return fresh

    def close(self) -> None:
        """Break the cycle between this and the parser; left to the collector it shows up as pauses."""
        self._parser = None
        self.current = None

    def _without_upgrade(self) -> bytes:
        """Begin anew before a head that the parser stopped at; return it as if its sender asked for nothing more."""
        if not self._upgrades or not self._fresh:
            raise NotHttpError
        asked = self._fresh.pop().head
        lines = [b"%b: %b\r\n" % field for field in self._fields if field[0].lower() != b"upgrade"]
        head = b"%b %b HTTP/1.%d\r\n%b\r\n" % (asked.method.encode(), self._target, asked.is_latest, b"".join(lines))
        self._parser = httptools.HttpRequestParser(self)
        self._upgrades = False
        return head

    # -- parser -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.is_between = False
        self._target = b""
        self._fields = []
        self._size = 0

    def on_url(self, part: bytes) -> None:
        """Gather the target, which may come in parts."""
        self._target += part
        self._heard = True
        if len(self._target) > MAX_LINE:
            raise NotHttpError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; one after the body is counted, and means nothing."""
        self._heard = True
        size = len(name) + len(value)
        self._size += size
        if size > MAX_LINE or self._size > MAX_HEAD or len(self._fields) == MAX_FIELDS:
            raise NotHttpError
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Read the head."""
        parser = self._parser
        self._heard = True
        head = read_head(
            parser.get_method().decode(), self._target, parser.get_http_version(), self._fields,
            is_kept=parser.should_keep_alive(),
        )  # fmt: skip
        self._upgrades = parser.should_upgrade()
        self.current = Incoming(head)
        self._fresh.append(self.current)

    def on_body(self, data: bytes) -> None:
        """Hand on a part of the body."""
        self._heard = True
        if self.current is not None:
            self.current.take(data)

    def on_chunk_header(self) -> None:
        """Hear that a chunk begins."""
        self._heard = True

    def on_message_complete(self) -> None:
        """End the request."""
        if self._upgrades:
            return
        self._heard = True
        self.is_between = True
        if self.current is not None:
            self.current.is_whole = True
            self._is_over = not self.current.head.is_kept
            self.current = None
