"""How a call on the wire can end, as one table.

Rule: every end says whether a byte was handed to the socket, for that decides what may be said of the call.

How an exchange ends (`Outcome.reason`):

    fate       reason            when
    ANSWERED   ""                a complete HTTP response, whatever its status
    NOT_SENT   resolve           the host name is not known
               refused           nobody listens
               unreachable       no way to the host
               connect_timeout   no connection in time (a full accept queue, a dead host)
               tls               the TLS handshake failed
               local             this machine is out of file descriptors or ports
               closed            the daemon closed between connect and write
               timeout           the whole time ran out before a byte was written
               aborted           we gave up before a byte was written
               not_held          another gateway has the wallet by now
    UNKNOWN    empty             closed without a byte of answer
               reset             reset by the daemon's side without a byte of answer
               lost              the network gave the connection up (host vanished, no way there any more)
               half              the answer broke off
               not_http          what came is not HTTP
               oversized         head or body beyond its cap
               write_timeout     the daemon does not read
               timeout           no complete answer in time
               aborted           we gave up after a byte was written
"""

from collections.abc import Callable
from enum import Enum


class Fate(Enum):
    """What an exchange came to."""

    ANSWERED = "answered"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Outcome:
    """The end of an exchange; times are loop times, 0.0 where a step was not reached."""

    __slots__ = (
        "body", "connected_at", "ended_at", "fate", "first_byte_at", "reason", "reused", "sent_at", "status",
    )  # fmt: skip

    def __init__(
        self, fate: Fate, reason: str, status: int, body: bytes, reused: bool,  # noqa: FBT001 - made in one place
        connected_at: float, sent_at: float, first_byte_at: float, ended_at: float,
    ) -> None:  # fmt: skip
        """Keep them."""
        self.fate = fate
        self.reason = reason
        self.status = status
        self.body = body
        self.reused = reused
        self.connected_at = connected_at
        self.sent_at = sent_at
        self.first_byte_at = first_byte_at
        self.ended_at = ended_at

    def __repr__(self) -> str:
        """Status line."""
        return f"<Outcome {self.fate.name} {self.reason} {self.status} {len(self.body)} bytes>"


OnEnd = Callable[[Outcome], None]
"""Hears once how an exchange ended."""
