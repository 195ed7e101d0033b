"""Who may order something at the operators' door, and from where.

Rule: an order needs the bearer token, which no browser sends by itself; what a page of another site could let a
browser send is refused before that, by its Host and Origin.  A wrong token is answered late, a right one never is.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from gateway.base.config import Admin
from gateway.base.events import Emit, Event

TAKES_NONE = (
    "this gateway takes no orders, because admin.token is not set; name a file with 32 random letters by "
    "admin.token_file in its configuration and restart it"
)
FOREIGN_HOST = (
    "this door answers to an address, to a name without a dot and to admin.host; any other name could be that of a "
    "page of another site"
)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ec-gateway"'}

NOT_PUBLIC = (".localhost", ".local", ".internal")
"""Ends of names that no public name server answers for, so that nobody can let one point at this door."""


class Refused(Exception):  # noqa: N818 - what it is, not what went wrong in here
    """A request that is not served, told as RFC 9457 wants it.

    Args:
        status: of HTTP.
        detail: one sentence with the way out.
        headers: further ones.
        more: further members of the problem.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object) -> None:
        """Keep all of it."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> web.Response:
        """Return it as an answer."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.more}
        return web.Response(
            body=msgspec.json.encode(body) + b"\n", status=self.status, headers=self.headers,
            content_type="application/problem+json",
        )  # fmt: skip


class Brake:
    """Makes guessing slow: each wrong token is answered later than the one before.

    Only the answers to wrong ones wait, so that nobody is locked out by what others try.
    """

    FREE = 3
    """Wrong ones that are answered at once: somebody took the wrong file."""
    FIRST = 0.5
    LONGEST = 5.0
    FORGETS = 60.0
    """Seconds after which one of them is forgotten."""
    MOST = 20.0
    """More of them would change nothing but how long they are remembered."""

    def __init__(self) -> None:
        """Have seen none."""
        self._failures = 0.0
        self._at = 0.0

    def failed(self, now: float) -> float:
        """Take a wrong token at `now` and return after how long it is to be answered; both in seconds."""
        left = max(0.0, self._failures - (now - self._at) / self.FORGETS)
        self._failures, self._at = min(left + 1.0, self.MOST), now
        over = self._failures - self.FREE
        return 0.0 if over <= 0 else min(self.LONGEST, self.FIRST * 2.0 ** (over - 1))


class Access:
    """Lets requests pass or raises Refused.

    Args:
        admin: the token, and the host by which this door may be called.
        now, sleep: of the loop.
    """

    def __init__(
        self,
        admin: Admin,
        *,
        emit: Emit,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep of the token what is needed to compare it."""
        self.host = admin.host
        self.emit = emit
        self.now = now
        self.sleep = sleep
        self._key = os.urandom(32)
        token = admin.token.get_secret_value().strip()
        self._token = self._digest(token) if token else None
        self._brake = Brake()

    def see_where_from(self, request: web.BaseRequest) -> None:
        """Refuse what a page of another site lets a browser send."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_own_host(hosts[0], self.host, socket.gethostname()):
            raise Refused(421, FOREIGN_HOST)
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("same-origin", "none") or (origin is not None and not is_own_origin(origin, hosts[0])):
            raise Refused(403, "pages of other sites are not served here; use `ec-gateway` or curl")

    async def see_token(self, request: web.BaseRequest) -> None:
        """Refuse who does not show the token."""
        if self._token is None:
            raise Refused(403, TAKES_NONE)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise Refused(401, "orders need the header `Authorization: Bearer TOKEN`, with admin.token", CHALLENGE)
        if hmac.compare_digest(self._digest(given.strip()), self._token):
            return
        self.emit(Event("order.refused", fields={"peer": peer_of(request), "why": "wrong token"}, level="warning"))
        await self.sleep(self._brake.failed(self.now()))
        raise Refused(401, "that is not the token of this gateway; see admin.token in its configuration", CHALLENGE)

    def _digest(self, text: str) -> bytes:
        """Return what a token is compared by: of one length, so that time tells nothing of it."""
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=self._key, digest_size=32).digest()


def is_own_host(host: str, configured: str, machine: str) -> bool:
    """Return whether a Host header may name this door.

    A page whose name is made to point at 127.0.0.1 has the origin of this door in the eyes of a browser; only that
    name gives it away.  So names that anybody could own are refused.

    Args:
        host: as it was sent, with a port or without.
        configured: `admin.host`.
        machine: what this machine is called.
    """
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname
    except ValueError:
        return False
    if not name or parts.netloc != host or parts.username is not None:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        is_private = "." not in name or name.endswith(NOT_PUBLIC)
        return is_private or name in (configured.lower(), machine.lower())
    return True


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header names the very door that the Host header names."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def peer_of(request: web.BaseRequest) -> str:
    """Return from where a request came."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unknown"
