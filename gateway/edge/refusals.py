"""Tells of requests that the operators' door does not serve, so seldom that no stranger can fill a log.

Rule: of each kind one line in ten seconds at most, with how many there were and who came last; of what was sent only a
short part, without line ends and without whatever may be an address, a key or a secret.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from gateway.base.events import Emit, Event
from gateway.edge.origins import peer_of
from gateway.rules.kinds import blot

QUIET = 10.0
"""Seconds between two lines about the same kind."""

LONGEST = 60
"""Characters of what was sent."""

PARTS = 4
"""Parts of a path that are told, with the empty one before its first slash: what follows may be a client's key."""

FOREIGN_HOST, FOREIGN_ORIGIN, CROWDED = "foreign host", "foreign origin", "too many listen"

KINDS: Mapping[int, str] = {
    400: "not understood", 404: "no such path", 405: "wrong method", 408: "body too slow", 413: "body too long",
    415: "wrong type of body", 429: "too many",
}  # fmt: skip
"""What refusals are told as; those of people who may not look or order have lines of their own."""

_ODD = re.compile(r"[^A-Za-z0-9 *._:/\[\]-]")


@dataclass(slots=True)
class _Kind:
    """What is known of one kind.

    Args:
        told_at: when it was told last.
        count: how many there were since.
        is_due: whether the rest will be told without another one.
    """

    told_at: float = float("-inf")
    count: int = 0
    peer: str = ""
    sent: str = ""
    is_due: bool = False


class Refusals:
    """Counts what was refused, and tells of it.

    Args:
        now: of the loop.
    """

    def __init__(self, emit: Emit, now: Callable[[], float]) -> None:
        """Have refused nothing."""
        self.emit = emit
        self.now = now
        self._kinds: dict[str, _Kind] = {}

    def status(self, request: web.BaseRequest, status: int) -> None:
        """Take in that a request was refused with a status of HTTP."""
        if status in KINDS:
            self.tell(request, KINDS[status])

    def tell(self, request: web.BaseRequest, why: str, sent: str | None = None) -> None:
        """Take in a refusal: tell it now, or soon with others of its kind.

        Args:
            why: one of few words.
            sent: what was wrong with it; the beginning of its path where that is not said.
        """
        kind = self._kinds.setdefault(why, _Kind())
        kind.count += 1
        path = "/".join(request.rel_url.raw_path.split("/")[:PARTS])
        kind.peer, kind.sent = peer_of(request), cleaned(f"{request.method} {path}" if sent is None else sent)
        wait = kind.told_at + QUIET - self.now()
        if wait <= 0:
            self._say(why, kind)
        elif not kind.is_due:
            kind.is_due = True
            asyncio.get_running_loop().call_later(wait, self._say, why, kind)

    def _say(self, why: str, kind: _Kind) -> None:
        """Tell what there was since the last line."""
        kind.is_due = False
        if not kind.count:
            return
        fields: dict[str, object] = {"why": why, "count": kind.count, "peer": kind.peer, "sent": kind.sent}
        kind.told_at, kind.count = self.now(), 0
        self.emit(Event("admin.refused", fields=fields, level="warning"))


def cleaned(sent: str) -> str:
    """Return a short part of what a stranger sent as it may stand in a log."""
    return _ODD.sub("?", str(blot(sent[: 10 * LONGEST])))[:LONGEST]
