"""Strict readers of HTTP/1.1, of requests and of answers, written from RFC 9112 and from nothing that is tested.

Rule: a message is read only if no two readers could read it differently; everything else is `Doubt`.  So whatever a
door takes that stands behind a doubt, it took alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\x7e]+) +HTTP/1\.([01])\Z")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[!#-'*+.^_`|~0-9A-Za-z-]*(=[!#-'*+.^_`|~0-9A-Za-z-]*)?)*\Z")
"""An extension means nothing here, be it one without a name or a value."""
_NAMELESS = re.compile(rb";(?=[;=]|\Z)")
_NUMBER = re.compile(rb"[0-9]{1,18}\Z")


class Doubt(Exception):  # noqa: N818 - a finding about bytes
    """What stands here could be read in two ways, or in none."""


class Partial(Exception):  # noqa: N818 - the same
    """More has to come."""


@dataclass
class Message:
    """One request or answer; `first` is its first line's parts."""

    first: tuple[bytes, ...]
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_chunked: bool = False
    is_lax: bool = False
    """A chunk has an extension without a name: all read it alike who read it, but it may be refused."""
    has_length: bool = False

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of a header."""
        return [value for one, value in self.headers if one == name]

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.first[1])

    @property
    def says_close(self) -> bool:
        """Whether it is the last of its connection."""
        return b"close" in self._options

    @property
    def says_keep(self) -> bool:
        """Whether more may follow it though it is of HTTP/1.0."""
        return b"keep-alive" in self._options

    @property
    def _options(self) -> list[bytes]:
        return [one.strip(b" \t").lower() for value in self.all(b"connection") for one in value.split(b",")]


@dataclass
class Read:
    """What a stream of bytes holds."""

    messages: list[Message] = field(default_factory=list)
    end: str = "whole"
    """whole, partial or doubt: what follows the last message."""
    rest: bytes = b""


def read_requests(data: bytes) -> Read:
    """Read requests one after the other, as far as there is no doubt."""
    found = Read()
    while True:
        at = data
        # an empty line before a request is passed over, and a line may end with LF alone (RFC 9112, 2.2)
        while at.startswith((b"\r\n", b"\n")):
            at = at[1 if at.startswith(b"\n") else 2 :]
        if not at:
            return found
        try:
            message, data = _message(at, _REQUEST, None)
        except Doubt:
            found.end, found.rest = "doubt", at
            return found
        except Partial:
            found.end, found.rest = "partial", at
            return found
        found.messages.append(message)
        if data and (message.says_close or (message.first[2] == b"0" and not message.says_keep)):
            # whoever says that this was the last one, and then goes on, is in doubt himself
            found.end, found.rest = "doubt", data
            return found


def read_answers(data: bytes, methods: Sequence[bytes] = (), *, is_over: bool = True) -> Read:
    """Read answers; interim ones are passed over.

    Args:
        methods: of the requests that they answer: HEAD is answered without a body.
        is_over: whether the connection has ended, so that a body without a length is whole.
    """
    found = Read()
    while data:
        method = methods[len(found.messages)] if len(found.messages) < len(methods) else b"POST"
        try:
            message, data = _message(data, _STATUS, method, is_over=is_over)
        except Doubt:
            found.end, found.rest = "doubt", data
            return found
        except Partial:
            found.end, found.rest = "partial", data
            return found
        if not 100 <= message.status < 200:
            found.messages.append(message)
    return found


def _message(
    data: bytes, first_line: "re.Pattern[bytes]", method: bytes | None, *, is_over: bool = False
) -> tuple[Message, bytes]:
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        _check_begin(head, first_line)
        raise Partial
    lines = head.split(b"\r\n")
    matched = first_line.match(lines[0])
    if matched is None:
        raise Doubt
    fields = [_FIELD.match(line) for line in lines[1:]]
    headers = [(one[1].lower(), one[2]) for one in fields if one is not None]
    if len(headers) < len(fields):
        raise Doubt
    message = Message(tuple(part or b"" for part in matched.groups()), headers, b"")
    codings, lengths = _check_head(message)
    if method is not None and (
        method == b"HEAD" or message.first[1][:1] == b"1" or message.first[1] in (b"204", b"304")
    ):
        return message, rest
    if codings:
        message.is_chunked = True
        message.body, message.is_lax, rest = _chunks(rest)
    elif lengths:
        message.has_length = True
        length = int(lengths[0])
        if len(rest) < length:
            raise Partial
        message.body, rest = rest[:length], rest[length:]
    elif method is not None:
        if not is_over:
            raise Partial
        message.body, rest = rest, b""
    return message, rest


def _check_head(message: Message) -> tuple[list[bytes], list[bytes]]:
    """Return what is said about the end of the body; raise Doubt where it is not one thing."""
    codings, lengths = message.all(b"transfer-encoding"), message.all(b"content-length")
    if len(message.all(b"host")) > 1:
        raise Doubt
    if codings and (lengths or [one.lower() for one in codings] != [b"chunked"]):
        raise Doubt
    if message.first[0] == b"CONNECT":
        raise Doubt  # what follows it is no HTTP
    if len(lengths) > 1 or any(not _NUMBER.match(one) for one in lengths):
        raise Doubt
    return codings, lengths


def _check_begin(head: bytes, first_line: "re.Pattern[bytes]") -> None:
    """Raise Doubt where what is there of a head can become none."""
    lines = head.split(b"\r\n")
    if len(lines) > 1 and first_line.match(lines[0]) is None:
        raise Doubt
    if any(_FIELD.match(line) is None for line in lines[1:-1]):
        raise Doubt


def _chunks(rest: bytes) -> tuple[bytes, bool, bytes]:
    body, is_lax = b"", False
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            raise Partial
        size = _SIZE.match(line)
        if size is None:
            raise Doubt
        is_lax = is_lax or _NAMELESS.search(line) is not None
        length = int(size[1], 16)
        if length == 0:
            break
        if len(rest) < length + 2:
            raise Partial
        if rest[length : length + 2] != b"\r\n":
            raise Doubt
        body, rest = body + rest[:length], rest[length + 2 :]
    while True:  # trailers, which nobody may take for headers
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            raise Partial
        if not line:
            return body, is_lax, rest
        one = _FIELD.match(line)
        if one is None or one[1].lower() in (b"content-length", b"transfer-encoding"):
            raise Doubt  # a length after the fact is for whoever wants to be fooled
