"""An answer of the door, written in one piece.

Rule: what is written is whole: one length, one word about whether the connection stays, no body to who asked for the
head alone.  Nearly every answer is a JSON body with HTTP 200, so that its head is made once a second; the server looks
whether that is over (`turn`), for to ask the clock with each answer costs as much as to put the answer together.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_COMMON: Final = b"Content-Type: application/json\r\nServer: ec-gateway\r\n"
MOST_LENGTHS: Final = 4096
"""Bytes of a body whose line about its length is kept."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What some clients wait for before they send a body."""


class Answer:
    """A JSON answer.

    Args:
        body: the whole of it; may be empty.
        extra: further header lines, each ended by CRLF.
        status: of HTTP.
        is_last: the connection ends with it, whatever the client wants.
    """

    __slots__ = ("body", "extra", "is_last", "status")

    def __init__(self, body: bytes, extra: bytes = b"", status: int = 200, *, is_last: bool = False) -> None:
        """Nothing is written yet."""
        self.body = body
        self.extra = extra
        self.status = status
        self.is_last = is_last

    def __repr__(self) -> str:
        """Status line."""
        return f"<Answer {self.status} {len(self.body)} bytes>"

    def usual(self) -> bytes:
        """Return what is written to a POST of HTTP/1.1 whose connection stays, where the status is 200."""
        body = self.body
        return b"".join((_begin(self.extra), _length(len(body)), body))

    def wire(self, *, is_latest: bool, keep: bool, only_head: bool = False) -> bytes:
        """Return what is written.

        Args:
            is_latest: the request is of HTTP/1.1, not of 1.0.
            keep: the connection stays.
            only_head: it answers a HEAD: the length is that of the body which does not follow.
        """
        if keep:
            fate = b"" if is_latest else b"Connection: keep-alive\r\n"
        else:
            fate = b"Connection: close\r\n" if is_latest else b""
        return b"HTTP/1.%d %d %b\r\n%b%bDate: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
            is_latest, self.status, _REASONS.get(self.status, b"Unknown"), _COMMON, self.extra, _date(),
            len(self.body), fate, b"" if only_head else self.body,
        )  # fmt: skip


class _Second:
    """What is the same for all answers of one second."""

    __slots__ = ("begins", "date", "number")

    def __init__(self) -> None:
        """Begin before all time."""
        self.number = 0
        self.date = b""
        """The value of the Date header."""
        self.begins: dict[bytes, bytes] = {}
        """Heads of usual answers up to their length, by their further lines."""

    def turn(self) -> None:
        """Begin the next one when it is time."""
        now = int(time.time())
        if now != self.number:
            self.number, self.date, self.begins = now, formatdate(now, usegmt=True).encode(), {}


_second: Final = _Second()


def _date() -> bytes:
    """Return the value of the Date header, made once a second."""
    _second.turn()
    return _second.date


def turn() -> None:
    """Let usual answers have another date once their second is over; whoever writes them looks now and then."""
    _second.turn()


_lengths: Final[dict[int, bytes]] = {}


def _length(size: int) -> bytes:
    """Return the end of a head: the length of its body, of which there are few."""
    line = _lengths.get(size)
    if line is None:
        line = b"Content-Length: %d\r\n\r\n" % size
        if size < MOST_LENGTHS:
            _lengths[size] = line
    return line


def _begin(extra: bytes) -> bytes:
    """Return the head of a usual answer up to its length."""
    begins = _second.begins
    if not begins:
        _second.turn()
        begins = _second.begins
    begin = begins.get(extra)
    if begin is None:
        begin = b"HTTP/1.1 200 OK\r\n%b%bDate: %b\r\n" % (_COMMON, extra, _second.date)
        if len(begins) < 2:  # a signed answer has lines of its own, and never the same
            begins[extra] = begin
    return begin
