"""What the head of a request says, once a parser has cut it into lines.

Rule: a head that two readers could read in two ways is refused.  The parser (llhttp, by httptools) refuses most of
them by itself; what it lets through and others read otherwise is refused here: a header that may come once and comes
twice, no Host, a target that is neither a path nor a URL with a host, a version that is neither 1.0 nor 1.1.
"""

import re
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy, istr

MAX_LINE = 8190
"""Bytes of a target, and of one header with its name."""

MAX_FIELDS = 128
"""Headers of one request."""

MAX_HEAD = 64 * 1024
"""Bytes of a whole head, and of whatever else is no body."""

ONCE = frozenset(
    {
        b"content-length", b"content-location", b"content-range", b"content-type", b"etag", b"host", b"max-forwards",
        b"server", b"transfer-encoding", b"user-agent",
    }
)  # fmt: skip
"""Headers that RFC 9110 allows once."""

MAX_PORT = 65_535

OLD_WEBSOCKET = b"sec-websocket-key1"
"""A draft of websockets sends bytes after its head that no length tells of."""

VERSIONS = {"1.0": False, "1.1": True}

_HOST, _LENGTH, _ENCODING, _EXPECT, _CONNECTION = (
    istr("Host"), istr("Content-Length"), istr("Transfer-Encoding"), istr("Expect"), istr("Connection"),
)  # fmt: skip
_ABSOLUTE = re.compile(
    r"https?://(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?(?:[?#].*)?",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header may hold; a tab is a blank."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(r"[0-9]{1,18}")


class NotHttpError(Exception):
    """These bytes are no request that everybody reads alike; whose they are and what they hold is not said."""


class Head:
    """What a head says.

    Args:
        method: as it was written, such as POST.
        path: of the target, with escapes read.
        headers: by their names in any case.
        is_latest: it is of HTTP/1.1, not of 1.0.
        is_kept: the client wants to go on with the connection.
        length: bytes of the body as Content-Length tells; None without it.
        is_chunked: the body comes in chunks.
    """

    __slots__ = (
        "expects", "headers", "is_chunked", "is_kept", "is_latest", "is_usual", "judged", "length", "method", "path",
    )  # fmt: skip

    def __init__(
        self, method: str, path: str, headers: CIMultiDictProxy[str], *, is_latest: bool, is_kept: bool,
        length: int | None, is_chunked: bool,
    ) -> None:  # fmt: skip
        """Hold what it says."""
        self.method = method
        self.path = path
        self.headers = headers
        self.is_latest = is_latest
        self.is_kept = is_kept
        self.length = length
        self.is_chunked = is_chunked
        self.expects = is_latest and headers.get(_EXPECT, "").lower() == "100-continue"
        """The client waits for a word before it sends its body."""
        self.is_usual = method == "POST" and is_latest and is_kept and bool(length)
        """It is as nearly all are."""
        self.judged: Any = None
        """What the door found about it, so that it need not find it again for the same head."""

    def __repr__(self) -> str:
        """Status line; nothing of what a client wrote."""
        return f"<Head {self.method} length={self.length} chunked={self.is_chunked}>"


def read_head(method: str, target: bytes, version: str, fields: list[tuple[bytes, bytes]], *, is_kept: bool) -> Head:
    """Return what a head says.

    Args:
        fields: names and values of the headers, in their order.
        is_kept: what the parser makes of version and Connection.

    Raises:
        NotHttpError: it could be read in more than one way, or asks for what no server of calls does.
    """
    is_latest = VERSIONS.get(version)
    if is_latest is None or method == "CONNECT":
        raise NotHttpError
    headers = CIMultiDictProxy(CIMultiDict(_fields(fields)))
    if is_latest and _HOST not in headers:
        raise NotHttpError
    if is_kept and not is_latest and any("close" in value.lower() for value in headers.getall(_CONNECTION, ())):
        raise NotHttpError  # of HTTP/1.0, and says both; the parser goes on with it, others would not
    told = headers.get(_LENGTH)
    if told is not None and not _DIGITS.fullmatch(told):
        raise NotHttpError
    coding = headers.get(_ENCODING)
    if coding is not None and (told is not None or not is_latest):
        raise NotHttpError
    return Head(
        method, _path(method, target), headers, is_latest=is_latest, is_kept=is_kept,
        length=None if told is None else int(told), is_chunked=coding is not None and coding.lower() == "chunked",
    )  # fmt: skip


def _fields(fields: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    seen: set[bytes] = set()
    found: list[tuple[str, str]] = []
    for name, value in fields:
        if not _NAME.fullmatch(name) or _FORBIDDEN.search(value):
            raise NotHttpError
        small = name.lower()
        if small in ONCE:
            if small in seen:
                raise NotHttpError
            seen.add(small)
        elif small == OLD_WEBSOCKET:
            raise NotHttpError
        found.append((name.decode("ascii"), value.strip(b" \t").decode("utf-8", "surrogateescape")))
    return found


def _path(method: str, target: bytes) -> str:
    """Return the path of a target: of a path as clients send it, or of a URL as they send it to a proxy."""
    text = target.decode("utf-8", "replace")
    if text.startswith("/"):
        path = text.partition("?")[0].partition("#")[0]
    elif text == "*" and method == "OPTIONS":
        path = text
    else:
        found = _ABSOLUTE.fullmatch(text)
        if found is None or int(found["port"] or 0) > MAX_PORT:
            raise NotHttpError
        path = found["path"] or "/"
    return unquote(path) if "%" in path else path
