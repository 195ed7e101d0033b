"""The usual answer of the door, HTTP 200 with a JSON body, written in one piece.

Rule: on the wire it reads as aiohttp's own response would.  That one builds a dictionary of headers and writes it
over several coroutines, which costs more than all our policies together; everything unusual (another status, HTTP/1.0)
is still aiohttp's.
"""

import asyncio
import time

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: ec-gateway\r\n"


class Answer:
    """An answer of HTTP/1.1 with status 200, as far as aiohttp's handler asks a response anything.

    Args:
        body: the whole of it; may be empty.
        extra: further header lines, each ended by CRLF.
    """

    __slots__ = ("_body", "_extra", "_is_last", "keep_alive")

    def __init__(self, body: bytes, extra: bytes = b"") -> None:
        """Nothing is written yet."""
        self._body = body
        self._extra = extra
        self._is_last = False
        self.keep_alive = False

    def force_close(self) -> None:
        """Let this be the connection's last answer."""
        self._is_last = True

    def write_to(self, transport: asyncio.Transport | None, *, keep: bool) -> None:
        """Write it; `keep` says whether the client wants to keep the connection.

        Raises:
            ConnectionResetError: the client has gone.
        """
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.keep_alive = keep = keep and not self._is_last
        body = self._body
        transport.write(
            b"%b%bDate: %b\r\nContent-Length: %d\r\n%b\r\n%b"
            % (HEAD, self._extra, _date(), len(body), b"" if keep else b"Connection: close\r\n", body)
        )

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it.  Raises ConnectionResetError when the client has gone."""
        self.write_to(request.transport, keep=bool(request.keep_alive))
        await request.writer.drain()

    async def write_eof(self) -> None:
        """Nothing is left to write."""


_last = (0, b"")


def _date() -> bytes:
    """Return the value of the Date header, made once a second."""
    global _last  # noqa: PLW0603 - a cache of one value
    now = int(time.time())
    if now != _last[0]:
        _last = (now, rfc822_formatted_time().encode())
    return _last[1]
