"""One try on one backend: permit, slot, send, classify, record.

Rule: a permit and a slot are taken before the wire is touched and are given back exactly once, by what the
wire reports; whether a byte was handed to the socket decides what may be said of the call afterwards.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.base.jsonrpc import Answer, BadAnswer, read_answer, request
from gateway.base.trace import HEADER
from gateway.fleet.backend import Backend, Occupant
from gateway.fleet.breaker import Permit
from gateway.rules.retry import Sent, Tried
from gateway.upstream.wire import Exchange, Fate, Outcome, Target, Wire

if TYPE_CHECKING:
    from gateway.flow.errand import Errand

REFUSED_BEFORE_WORK: Final = frozenset({401, 403, 404, 405, 411, 413, 501})
"""HTTP statuses with which a wallet daemon turns a request away before it looks at the call."""

UNSETTLED: Final = frozenset({"timeout", "write_timeout", "aborted", "lost"})
"""Ends that are ours or the network's: the daemon may still find the request in its accept queue and run it."""

NOT_LISTENING: Final = frozenset({"refused", "unreachable", "resolve", "tls"})
"""No connection, and none to be had soon."""


NOT_SENT: Final[Fate] = Fate.NOT_SENT
UNKNOWN: Final[Fate] = Fate.UNKNOWN
"""At hand without a look into the class."""


class Attempt:
    """One sending of an errand's call to one backend."""

    __slots__ = (
        "backend",
        "errand",
        "exchange",
        "hop",
        "is_hedge",
        "occupant",
        "on_end",
        "our_id",
        "permit",
        "started_at",
    )

    exchange: Exchange

    def __init__(
        self, errand: "Errand", backend: Backend, permit: Permit, occupant: Occupant, our_id: str,
        on_end: Callable[["Attempt", Outcome], None], now: float, *, is_hedge: bool,
    ) -> None:  # fmt: skip
        """Hold the permit and the slot; nothing is sent yet."""
        self.errand = errand
        self.backend = backend
        self.permit = permit
        self.occupant = occupant
        self.our_id = our_id
        self.on_end = on_end
        self.started_at = now
        self.is_hedge = is_hedge
        self.hop = ""
        """Its id within the trace of its call."""

    def send(self, wire: Wire, target: Target, whole: float, *, tells_trace: bool = False) -> None:
        """Hand the request to the wire; `on_end` hears once how it ended.

        Args:
            tells_trace: the daemon may be told which trace the call belongs to.
        """
        errand = self.errand
        body = request(self.our_id, errand.method.name, errand.params)
        more, trace = b"", errand.trace
        if trace is not None:
            self.hop = trace.hop()
            if tells_trace:
                more = f"\r\n{HEADER}: {trace.header(self.hop)}".encode()
        # a read that is repeated goes over a connection of its own: the kept ones may all have been closed at once
        reuse = errand.is_read and not errand.tried
        self.exchange = wire.send(target, body, whole=whole, reuse=reuse, on_end=self.ended, more=more)

    def ended(self, outcome: Outcome) -> None:
        """Hear how it ended."""
        self.on_end(self, outcome)


def classify(outcome: Outcome, our_id: str) -> Answer | Tried:
    """Say what the end of an attempt means.

    Only a complete body that is a JSON-RPC answer to our own id is an answer, with whatever HTTP status it came.
    """
    if outcome.fate is NOT_SENT:
        return Tried(Sent.NO, outcome.reason)
    if outcome.fate is UNKNOWN:
        return Tried(Sent.UNKNOWN, outcome.reason)
    try:
        return read_answer(outcome.body, our_id)
    except BadAnswer as bad:
        unread = _unread(outcome.body) if bad.reason == "foreign_id" else None
        if unread is not None:
            return Answer(None, unread)
        if outcome.status in REFUSED_BEFORE_WORK:
            return Tried(Sent.NO, f"status_{outcome.status}")
        if outcome.status != 200:
            return Tried(Sent.UNKNOWN, f"status_{outcome.status}")
        return Tried(Sent.UNKNOWN, bad.reason)


UNREAD = frozenset({-32700, -32600})
"""Codes of JSON-RPC for a request that the daemon could not read; it cannot know its id then."""


class _Code(msgspec.Struct):
    code: int = 0


class _Unread(msgspec.Struct):
    error: _Code
    id: None = None


class _Error(msgspec.Struct):
    error: msgspec.Raw


_decode_unread = msgspec.json.Decoder(_Unread).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def _unread(body: bytes) -> bytes | None:
    """Return the error of a daemon that could not read our request, None for anything else.

    It came over the connection of that request, so it is about no other; the call was not run, and nothing is
    wrong with the daemon.
    """
    try:
        if _decode_unread(body).error.code in UNREAD:
            return bytes(_decode_error(body).error)
    except msgspec.MsgspecError:
        pass
    return None
