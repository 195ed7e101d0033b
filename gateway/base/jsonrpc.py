"""JSON-RPC envelopes: what clients send, what goes to a daemon, what comes back.

Rule: ids, params and results pass through as the bytes that were written.  Nothing is decoded that need not
be, so big integers, decimal text and unknown members inside them arrive exactly as they left.

What is made for each call is a plain class: where it is compiled, to look into one costs a tenth of what it costs
with a dataclass or a msgspec.Struct.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.base.errors import INVALID_REQUEST, PARSE_ERROR, Failure, Kind
from gateway.base.own_name import OwnName

MAX_METHOD: Final = 100
"""Characters of a method name; the longest real one has 46."""

MAX_ID: Final = 1000
"""Bytes of an id; it is kept and echoed for each call."""

MAX_NAMES: Final = 100_000
"""Names of members that are looked through for one that is written twice; no call has a hundredth of them."""

MEMBERS: Final = ("method", "params", "id", "jsonrpc")
"""What an envelope is made of."""

_QUOTED: Final = tuple(f'"{name}"'.encode() for name in MEMBERS)

_ABSENT: Final = msgspec.Raw(b"")
"""Default of a member that is not there, told by identity; `Raw | None` would refuse objects."""

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape inside of a JSON string; the group is half of a surrogate pair without the other half."""

_NO_BRACKETS: Final = bytes(sign for sign in range(256) if sign not in b'"[]{}')
_NO_COLONS: Final = bytes(sign for sign in range(256) if sign not in b'":')
_ALL_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_OPENS: Final = b"[{"
_BACKSLASH: Final = ord("\\")
_QUOTE: Final = ord('"')
"""One byte is looked for as a number: as text, `in` costs ten times and `find` five times as much."""
_ID: Final = re.compile(rb'"|-?[0-9]|null$')


class Call:  # noqa: PLW1641 - nobody keeps them by what they say
    """One call as the client wrote it.

    Args:
        method: its name.
        params: raw JSON text, b"" when absent.
        id: raw JSON text, None when absent: a notification; b"null" is answered with null.
        v1: no `jsonrpc` member: answered in the 1.0 shape.
    """

    __slots__ = ("id", "method", "params", "v1")

    def __init__(self, method: str, params: bytes, id: bytes | None, v1: bool) -> None:  # noqa: A002, FBT001 - its members
        """Keep them."""
        self.method = method
        self.params = params
        self.id = id
        self.v1 = v1

    def __repr__(self) -> str:
        """All of it."""
        return f"Call({self.method!r}, {self.params!r}, {self.id!r}, {self.v1!r})"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same in all members."""
        return isinstance(other, Call) and (
            (self.method, self.params, self.id, self.v1) == (other.method, other.params, other.id, other.v1)
        )


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that is not a call; `id` is b"null" where none could be read."""

    failure: Failure
    id: bytes
    v1: bool


class Answer:  # noqa: PLW1641 - nobody keeps them by what they say
    """A daemon's complete answer as raw JSON; exactly one of the two is not None."""

    __slots__ = ("error", "result")

    def __init__(self, result: bytes | None, error: bytes | None) -> None:
        """Keep them."""
        self.result = result
        self.error = error

    def __repr__(self) -> str:
        """All of it."""
        return f"Answer({self.result!r}, {self.error!r})"

    def __eq__(self, other: object) -> bool:
        """Whether it says the same, byte for byte."""
        return isinstance(other, Answer) and (self.result, self.error) == (other.result, other.error)


class Reply:  # noqa: PLW1641 - nobody keeps them by what they say
    """What goes back to a client for one call.

    Args:
        body: raw JSON of the reply object, b"" for a notification.
        status: HTTP status for clients that want statuses.
        retry_after: seconds, for the header of the same name.
    """

    __slots__ = ("body", "retry_after", "status")

    def __init__(self, body: bytes, status: int = 200, retry_after: float | None = None) -> None:
        """Keep them."""
        self.body = body
        self.status = status
        self.retry_after = retry_after

    def __repr__(self) -> str:
        """All of it."""
        return f"Reply({self.body!r}, {self.status}, {self.retry_after})"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same in all members."""
        return isinstance(other, Reply) and (
            (self.body, self.status, self.retry_after) == (other.body, other.status, other.retry_after)
        )


class BadAnswer(Exception):  # noqa: N818 - a finding about a daemon; it is always caught and classified
    """A body that is no answer to our call; `reason` is not_json, not_jsonrpc or foreign_id."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


class _Envelope(msgspec.Struct):
    """The members of a call, still raw."""

    method: msgspec.Raw = _ABSENT
    params: msgspec.Raw = _ABSENT
    id: msgspec.Raw = _ABSENT
    jsonrpc: msgspec.Raw = _ABSENT


class _Usual(msgspec.Struct):
    """An envelope whose method and version are strings, as nearly all are."""

    method: str
    params: msgspec.Raw = _ABSENT
    id: msgspec.Raw = _ABSENT
    jsonrpc: str = ""


class _Good(msgspec.Struct):
    """The members of a daemon's answer to a call of ours; `result` is still raw."""

    id: str
    result: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


class _Returned(msgspec.Struct):
    """The members of a daemon's answer, still raw."""

    id: msgspec.Raw = _ABSENT
    result: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


_decode_call: Final = msgspec.json.Decoder(_Envelope).decode
_decode_usual: Final = msgspec.json.Decoder(_Usual).decode
_decode_batch: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
_decode_good: Final = msgspec.json.Decoder(_Good).decode
_decode_returned: Final = msgspec.json.Decoder(_Returned).decode
_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_names: Final = msgspec.json.Decoder(dict[OwnName, msgspec.Raw], dec_hook=str.__new__).decode
_encode: Final = msgspec.json.Encoder().encode


# -- what clients send --------------------------------------------------------------------------------------


def parse(body: bytes, *, max_depth: int, max_batch: int) -> Call | Malformed | list[Call | Malformed]:
    """Read a request body; a list is a batch.  Raises nothing: what is wrong comes back as Malformed."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return _malformed(PARSE_ERROR, f"the body is not UTF-8 (byte {error.start}); JSON is sent as UTF-8")
    body = body.strip(b" \t\r\n")
    if not body:
        return _malformed(INVALID_REQUEST, "the body is empty; send one call or a list of calls")
    # a shorter one is deeper only where nothing is closed, and then it is no JSON, as the reader says
    if len(body) > 2 * max_depth and too_deep(body, max_depth):
        return _malformed(PARSE_ERROR, f"the JSON is nested deeper than {max_depth} levels; flatten it")
    if body.startswith(b"{"):
        return _parse_call(body)
    if body.startswith(b"["):
        return _parse_batch(body, max_batch)
    return _not_a_call(body)


def too_deep(body: bytes, max_depth: int) -> bool:
    """Whether brackets outside of strings nest deeper than `max_depth`; few brackets cost two counts.

    Nobody may hold the loop with four megabytes of brackets, so the work is done by a few passes over all of
    them.  To take every `[]` out makes each mountain of brackets lower by exactly one, once the last bracket is
    closed.  While mountains are many that shrinks the text fast; when they are few, each is looked at.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    text = outside_strings(body, _NO_BRACKETS).translate(_ALL_SQUARE)
    while max_depth > 0 and text.count(b"[]") * 32 > len(text):
        text = (text + b"]" if text.endswith(b"[") else text).replace(b"[]", b"")
        max_depth -= 1
    depth = 0
    for mountain in text.replace(b"][", b"] [").split():
        up = mountain.count(b"[")
        depth += up
        if depth > max_depth:
            return True
        depth -= len(mountain) - up
    return False


def outside_strings(text: bytes, dropped: bytes = b"") -> bytes:
    """Return what stands outside of the strings of a JSON text, without the signs in `dropped`.

    A backslash hides a quote after it, wherever it stands: outside of strings there is none in JSON, and the
    reader refuses it.  Two quotes side by side close what they open, so they go first; most strings are gone then.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(text.translate(None, dropped).replace(b'""', b"").split(b'"')[::2])


def count_names(text: bytes) -> int:
    """Return how many names the objects of a JSON text have together: each has a colon."""
    return len(outside_strings(text, _NO_COLONS))


def _parse_batch(body: bytes, max_batch: int) -> Malformed | list[Call | Malformed]:
    try:
        entries = _decode_batch(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        return _malformed(PARSE_ERROR, f"the body is not JSON ({error})")
    if not entries:
        return _malformed(INVALID_REQUEST, "the batch is empty; send at least one call in it")
    if len(entries) > max_batch:
        return _malformed(INVALID_REQUEST, f"the batch has {len(entries)} calls; at most {max_batch} are taken at once")
    calls: list[Call | Malformed] = []
    for entry in entries:
        raw = bytes(entry)
        calls.append(_parse_call(raw) if raw.startswith(b"{") else _not_a_call(raw))
    return calls


def _parse_call(raw: bytes) -> Call | Malformed:
    return _parse_usual(raw) or _parse_any(raw)


def _parse_usual(raw: bytes) -> Call | None:
    """Read a call that has nothing to be looked at twice; None says nothing about one that has.

    Without a backslash each string stands there as it is read, so that the quotes of its members can be counted.  If
    they are all there are, no other member is there and none is there twice: to count one sign in three texts costs a
    third of looking for four names.
    """
    if _BACKSLASH in raw:
        return None
    try:
        envelope = _decode_usual(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    name, call_id, params = envelope.method, None, b""
    v1 = not envelope.jsonrpc
    quotes = 4 if v1 else 8
    if envelope.id is not _ABSENT:
        call_id = bytes(envelope.id)
        quotes += 2
        if not call_id.isdigit():
            quotes += call_id.count(b'"')
            if not _ID.match(call_id):
                return None
        if len(call_id) > MAX_ID:
            return None
    if envelope.params is not _ABSENT:
        params = bytes(envelope.params)
        quotes += 2
        if _QUOTE in params:
            quotes += params.count(b'"')
        if params[0] not in _OPENS:
            return None
    if quotes != raw.count(b'"') or not 0 < len(name) <= MAX_METHOD:
        return None
    return Call(name, params, call_id, v1)


def _parse_any(raw: bytes) -> Call | Malformed:
    try:
        envelope = _decode_call(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        if with_whole_characters(raw) != raw:
            return _malformed(
                PARSE_ERROR,
                "a text holds half of a character (one \\ud83d of a pair); send whole ones, for that is not JSON",
            )
        return _malformed(PARSE_ERROR, f"the body is not JSON ({error})")
    call_id, answered = None, b"null"
    v1 = envelope.jsonrpc is _ABSENT
    if envelope.id is not _ABSENT:
        call_id = answered = bytes(envelope.id)
        if len(call_id) > MAX_ID or not (call_id.isdigit() or _ID.match(call_id)):
            return _malformed(
                INVALID_REQUEST, f"id must be a string, a number or null of at most {MAX_ID} bytes", v1=v1
            )
    method, params = bytes(envelope.method), bytes(envelope.params)
    doubt = _doubt(raw)
    if doubt:
        return _malformed(INVALID_REQUEST, doubt, answered, v1=v1)
    if not method.startswith(b'"'):
        return _malformed(INVALID_REQUEST, "method must be a string; name the method to call", answered, v1=v1)
    name = _decode_string(method)
    if not 0 < len(name) <= MAX_METHOD:
        return _malformed(INVALID_REQUEST, f"method must have 1 to {MAX_METHOD} characters", answered, v1=v1)
    if params and params[0] not in _OPENS:
        return _malformed(INVALID_REQUEST, "params must be a list or an object; leave it out for none", answered, v1=v1)
    return Call(name, params, call_id, v1)


def _doubt(raw: bytes) -> str:
    """Say which envelope member occurs twice, "" when none does.

    Readers disagree on which of two members counts, so nobody may be made to choose.  Counting quoted names
    is cheap and enough for almost all calls; only where a name occurs more than once is the object looked at.
    A letter of a name can be hidden from the count by one kind of escape alone; it has the object looked at as well.
    """
    count, (method, params, call_id, version) = raw.count, _QUOTED
    if (
        count(method) <= 1 and count(params) <= 1 and count(call_id) <= 1 and count(version) <= 1
        and b"\\u00" not in raw
    ):  # fmt: skip
        return ""
    if count_names(raw) > MAX_NAMES:
        return f"the call has more than {MAX_NAMES} names of members; send fewer"
    names: list[str] = list(_decode_names(raw))
    return next((f"{name} is written twice; write each member once" for name in MEMBERS if names.count(name) > 1), "")


def _not_a_call(raw: bytes) -> Malformed:
    try:
        _decode_raw(raw)  # builds nothing: to read a million numbers takes seconds
    except (msgspec.MsgspecError, RecursionError) as error:
        return _malformed(PARSE_ERROR, f"the body is not JSON ({error})")
    return _malformed(INVALID_REQUEST, "a call is an object with method, params and id")


def _malformed(kind: Kind, message: str, call_id: bytes = b"null", *, v1: bool = False) -> Malformed:
    return Malformed(Failure(kind, f"{kind.name}: {message}", safe_to_repeat=False), call_id, v1)


# -- what goes back to them ---------------------------------------------------------------------------------


def result_reply(call_id: bytes, v1: bool, result: bytes) -> bytes:  # noqa: FBT001 - a member of the call, passed in its order
    """Wrap a raw result in the daemon's own member order."""
    if v1:
        return b'{"result": %b, "id": %b, "error": null}' % (result, call_id)
    return b"".join((b'{"result": ', result, b', "id": ', call_id, b', "jsonrpc": "2.0"}'))


def error_reply(call_id: bytes, v1: bool, error: bytes) -> bytes:  # noqa: FBT001 - the same
    """Wrap a raw error object."""
    if v1:
        return b'{"result": null, "id": %b, "error": %b}' % (call_id, error)
    return b'{"error": %b, "id": %b, "jsonrpc": "2.0"}' % (error, call_id)


def failure_error(failure: Failure) -> bytes:
    """Return the raw error object of an error of ours."""
    return _encode({"code": failure.kind.code, "message": failure.message, "data": failure.data()})


# -- daemons ------------------------------------------------------------------------------------------------


def with_whole_characters(text: bytes) -> bytes:
    """Return a JSON text in which each half of a surrogate pair is U+FFFD, the character for what is none.

    A program that cuts a text in the middle of an emoji writes such halves, and a Python daemon keeps them in a label
    and sends them back; one label must not make a whole history unreadable.
    """
    return _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], text)


def request(our_id: str, method: str, params: bytes) -> bytes:
    """Return the body of a call to a daemon; `our_id` and `method` are plain names of ours."""
    return b"".join(
        (b'{"jsonrpc": "2.0", "id": "', our_id.encode(), b'", "method": "', method.encode(), b'", "params": ',
         params or b"[]", b"}")
    )  # fmt: skip


def _read_good(body: bytes, our_id: str) -> Answer | None:
    """Read the usual answer to our call, a result; None says nothing about any other."""
    try:
        good = _decode_good(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if good.id != our_id or good.error is not _ABSENT or good.result is _ABSENT:
        return None
    return Answer(bytes(good.result), None)


def read_answer(body: bytes, our_id: str) -> Answer:
    """Read a daemon's answer to the call that we gave `our_id`.

    Raises:
        BadAnswer: not_json; not_jsonrpc (no object with a result or an error); foreign_id.
    """
    try:
        if not body.isascii():
            body.decode()  # what stays raw is not looked into by the decoder, and clients are promised UTF-8
        answer = _read_good(body, our_id)
        if answer is not None:
            return answer
        returned = _decode_returned(body)
    except msgspec.ValidationError:
        raise BadAnswer("not_jsonrpc") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        mended = with_whole_characters(body)
        if mended != body:
            return read_answer(mended, our_id)
        raise BadAnswer("not_json") from None
    if bytes(returned.id) != b'"%b"' % our_id.encode():
        raise BadAnswer("not_jsonrpc" if returned.id is _ABSENT else "foreign_id")
    error = None if returned.error is _ABSENT else bytes(returned.error)
    if error is not None and error != b"null":
        return Answer(None, error)
    if returned.result is _ABSENT:
        raise BadAnswer("not_jsonrpc")
    return Answer(bytes(returned.result), None)
