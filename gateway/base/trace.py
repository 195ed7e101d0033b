"""The trace that a call belongs to: W3C Trace Context, as far as a gateway needs it.

Rule: what comes in is believed only when it is exactly what the standard says; anything else is replaced by a trace of
our own, as if nothing had come.  Every hop gets an id of its own, and the flags go on as they came.

    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
                 |  |                                |                flags: bit 0 = the caller records this trace
                 |  |                                parent-id: who sent this, 8 bytes
                 |  trace-id: the whole journey, 16 bytes
                 version; a later one begins as 00 does, and may go on after one more dash

`tracestate` is not passed on: it belongs to those who record, and nobody here does.

On its way through a gateway it travels beside the call (`CURRENT`), not in it: a dozen signatures would carry what none
of them looks at.  Whoever serves a request sets it, in the task in which the call is made.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

HEADER = "traceparent"

UNRECORDED = "00"
"""Flags of a trace that begins here: nobody records it, as far as we know."""

KNOWN_FLAGS = 0b11
"""Recorded, and that the trace-id is random; what a later version means by the others is not ours to say."""

FIRST_OF_64, FIRST_OF_128 = 1 << 63, 1 << 127
"""What is set in fresh ids, of which none may be zero: the leftmost bit, as sampling goes by the right ones."""

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)

LONGEST = 512
"""Characters of a header of a later version that are looked at; that of ours has 55."""

Bits = Callable[[int], int]
"""Returns so many random bits."""


class Trace:
    """Where a call belongs, and this gateway's own part of it.

    Args:
        whole: the id of the whole journey, 32 hex digits.
        parent: the id of whoever called us, 16 hex digits; "" where the journey begins here.
        flags: two hex digits.
        bits: makes new ids.
    """

    __slots__ = ("_span", "bits", "flags", "id", "parent")

    def __init__(self, whole: str, parent: str, flags: str, bits: Bits) -> None:
        """Keep them."""
        self.id = whole
        self.parent = parent
        self.flags = flags
        self.bits = bits
        self._span = ""

    def __repr__(self) -> str:
        """Return it as a header."""
        return self.header(self.span)

    @property
    def span(self) -> str:
        """The id of what this gateway does for the call; nobody but the log asks for it, so it is made when asked."""
        if not self._span:
            self._span = self.hop()
        return self._span

    def hop(self) -> str:
        """Return a fresh id for one sending of the call."""
        return (self.bits(64) | FIRST_OF_64).to_bytes(8).hex()

    def header(self, hop: str) -> str:
        """Return what goes along with that sending."""
        return f"00-{self.id}-{hop}-{self.flags}"


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("trace", default=None)
"""Of the call that is being served in this task; None in what the gateway does by itself."""


def place() -> dict[str, object]:
    """Return what a line of the log says about the call that is being served."""
    trace = CURRENT.get()
    return {} if trace is None else {"trace": trace.id}


def begin(told: str | None, bits: Bits) -> Trace:
    """Return the trace of a request.

    Args:
        told: its header, None where there is none or more than one.
    """
    if told is not None:
        found = TRACEPARENT.fullmatch(told) if len(told) <= LONGEST else None
        if found is not None and _is_valid(found):
            return Trace(found[2], found[3], f"{int(found[4], 16) & KNOWN_FLAGS:02x}", bits)
    return Trace((bits(128) | FIRST_OF_128).to_bytes(16).hex(), "", UNRECORDED, bits)


def _is_valid(found: re.Match[str]) -> bool:
    """Whether what looks right is right."""
    version, whole, parent, _, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return False
    return whole.strip("0") != "" and parent.strip("0") != ""
