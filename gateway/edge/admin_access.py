"""Who may look and who may order at the operators' door, and from where.

Rule: who somebody is, is told by a bearer token, which no browser sends by itself, or by a session (`sessions`), whose
orders repeat a token that no page of another site can read.  What such a page could let a browser send is refused
before that (`origins`).  A wrong token is answered late, a right one never is.

    looks   anybody while there are neither users nor named tokens; else who has signed in or shows a token
    orders  an operator, by token or session; anybody where the door is `open`
"""

import asyncio
import hashlib
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from gateway.base.config import Admin
from gateway.base.events import Emit, Event
from gateway.base.exposure import about_admin, is_loopback
from gateway.base.people import OWN_TOKEN, Person, Role
from gateway.edge.origins import address_of, aim_of, is_by_hand, is_followed_link, is_foreign, is_own_host, peer_of
from gateway.edge.refusals import FOREIGN_HOST, FOREIGN_ORIGIN, Refusals
from gateway.edge.sessions import Sessions
from gateway.rules.brake import Brakes, neighbourhood

__all__ = ["Access", "Person", "Refused", "Role", "peer_of"]

TAKES_NONE = (
    "this gateway takes no orders, because admin.token is not set; name a file with 32 random letters by "
    "admin.token_file in its configuration, or list people under admin.users"
)
WRONG_HOST = (
    "this door answers to an address, to a name without a dot, to admin.host and to admin.names; any other name could "
    "be that of a page of another site"
)
NO_TOKEN = "orders need the header `Authorization: Bearer TOKEN`, with admin.token or one of admin.tokens"  # noqa: S105
NOT_SIGNED_IN = "sign in at /sign-in, or send the header `Authorization: Bearer TOKEN` with one of admin.tokens"
WRONG_TOKEN = "that is not a token of this gateway; see admin.token and admin.tokens in its configuration"  # noqa: S105
ONLY_LOOKS = "{} may look and gives no orders; the role operator, in the configuration of this gateway, would"
WRONG_CSRF = "the page that this order came from is out of date; load it again, look, and order again"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ec-gateway"'}

CSRF = "X-CSRF-Token"
"""Header by which an order of a session repeats `Person.csrf`."""

LONGEST = 1024
"""Characters of a token that are looked at at all."""

ANYBODY = Person("anybody", Role.VIEWER, "open")
"""Who looks where nobody is asked who he is."""

OPEN = Person("open", Role.OPERATOR, "open")
"""Who orders at an open door."""


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


class Access:
    """Says who a request is from, or raises Refused.

    Args:
        admin: users, tokens, and what the door is called.
        now, sleep: of the loop.

    `warnings` holds what should be known about the door, one sentence each.
    """

    def __init__(
        self,
        admin: Admin,
        *,
        emit: Emit,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep of the tokens what is needed to compare them."""
        self.emit = emit
        self.now = now
        self.sleep = sleep
        self.sessions = Sessions()
        self.brakes = Brakes()
        self.refusals = Refusals(emit, now)
        self._key = os.urandom(32)
        self._opened = admin
        self.update(admin)

    def update(self, admin: Admin) -> None:
        """Take new settings; sessions of who is no longer there, or has another password, end."""
        host = self._opened.host
        # where it listens, and whether with TLS, stays until the next start: a door to everywhere is not opened
        self.admin = admin.model_copy(
            update={"host": host, "tls": self._opened.tls, "open": admin.open and is_loopback(host)}
        )
        self.warnings = about_admin(self.admin)
        names = {host, socket.gethostname(), *admin.names}
        self._names = frozenset(name.lower() for name in names)
        self._tokens = {
            self._digest(one.token.get_secret_value()): Person(one.name, one.role, "token") for one in admin.tokens
        }
        if own := admin.token.get_secret_value().strip():
            self._tokens[self._digest(own)] = Person(OWN_TOKEN, Role.OPERATOR, "token")
        for name in self.sessions.update(admin):
            self.emit(Event("operator.signed_out", fields={"who": name, "why": "the configuration changed"}))

    @property
    def cookie(self) -> str:
        """Name of the cookie of a session; with TLS one that no other door of this machine can set."""
        return "ecgw_session" if self.admin.tls is None else "__Host-ecgw_session"

    # -- from where ---------------------------------------------------------------------------------------------

    def see_where_from(self, request: web.BaseRequest, *, is_page: bool = False) -> None:
        """Refuse what a page of another site lets a browser send; to a page (`is_page`) a link may lead from anywhere.

        Raises Refused (403, 421), and tells of it in the log.
        """
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_own_host(hosts[0], self._names):
            self.refusals.tell(request, FOREIGN_HOST, " and ".join(hosts))
            raise Refused(421, WRONG_HOST)
        if is_foreign(request, hosts[0]) and not (is_page and is_followed_link(request)):
            site = request.headers.get("Origin") or request.headers.get("Sec-Fetch-Site", "")
            self.refusals.tell(request, FOREIGN_ORIGIN, site)
            raise Refused(403, "pages of other sites are not served here; use `ec-gateway` or curl")

    # -- who ----------------------------------------------------------------------------------------------------

    async def see_viewer(self, request: web.BaseRequest) -> Person:
        """Return who looks.  Raises Refused (401) for who may not; a wrong token is answered late."""
        token = _bearer(request)
        person = self._by_token(token) or self.person(request)
        if person is not None:
            return person
        if token:
            raise await self._wrong_token(request)
        raise Refused(401, NOT_SIGNED_IN, CHALLENGE)

    async def see_operator(self, request: web.BaseRequest) -> Person:
        """Return who orders.

        Raises Refused: 401 for who is nobody, 403 for who may only look, and for an order of a session that does not
        repeat its CSRF token.
        """
        token = _bearer(request)
        person = self._by_token(token)
        if person is None and token:
            raise await self._wrong_token(request)
        person = person or self.person(request)
        return self.see_order(request, person, request.headers.get(CSRF, ""))

    def see_order(self, request: web.BaseRequest, person: Person | None, csrf: str) -> Person:
        """Return who orders with a page that says `csrf`.  Raises Refused: 401 for nobody, 403 for who may not."""
        if person is None or person is ANYBODY:
            raise self._nobody()
        if not self.is_csrf(person, csrf):
            self._refuse(request, "wrong CSRF token", person)
            raise Refused(403, WRONG_CSRF)
        if not person.may_order:
            self._refuse(request, "only looks", person)
            raise Refused(403, ONLY_LOOKS.format(person.name))
        return person

    def person(self, request: web.BaseRequest) -> Person | None:
        """Return who this is in a browser, None for who has to sign in.

        A sign of life of his session, unless it is his page that looks by itself.
        """
        is_alive = is_by_hand(request)
        for secret in self.secrets_of(request):
            if (found := self.sessions.find(secret, self.now(), is_alive=is_alive)) is not None:
                return found
        if self.admin.open:
            return OPEN
        return None if self.admin.is_closed else ANYBODY

    def is_still(self, person: Person) -> bool:
        """Return whether somebody is still who he was, for what lasts; it is no sign of life of a session."""
        if person.by == "session":
            now = self.sessions.person(person.key, self.now())
            return now is not None and now.role is person.role
        if person.by == "token":
            return self._with_key(person.key) == person
        return person is (OPEN if self.admin.open else ANYBODY) and not self.admin.is_closed

    def is_csrf(self, person: Person, given: str) -> bool:
        """Return whether an order repeats the CSRF token of its session; who has no session needs none."""
        if person.by != "session":
            return True
        return hmac.compare_digest(person.csrf.encode(), given.encode("utf-8", "surrogateescape"))

    def secrets_of(self, request: web.BaseRequest) -> list[str]:
        """Return what the cookie of a session says; several, where another door of this machine set one as well."""
        return cookies_of(request, self.cookie)

    # -- tokens -------------------------------------------------------------------------------------------------

    def _by_token(self, token: str) -> Person | None:
        return self._with_key(self._digest(token)) if 0 < len(token) <= LONGEST else None

    def _with_key(self, key: bytes) -> Person | None:
        # the digest is keyed, so that the time of a look-up tells nothing about the token
        found = self._tokens.get(key)
        return None if found is None else Person(found.name, found.role, "token", "", key)

    def _nobody(self) -> Refused:
        """Return the refusal of an order of nobody in particular."""
        if not self._tokens and not self.admin.users:
            return Refused(403, TAKES_NONE)
        return Refused(401, f"{NO_TOKEN}, or a session" if self.admin.users else NO_TOKEN, CHALLENGE)

    async def _wrong_token(self, request: web.BaseRequest) -> Refused:
        """Tell of a wrong token, wait, and return its refusal."""
        if not self._tokens:
            return self._nobody()
        self._refuse(request, "wrong token")
        await self.sleep(self.brakes.failed(neighbourhood(address_of(request)), self.now()))
        return Refused(401, WRONG_TOKEN, CHALLENGE)

    def _refuse(self, request: web.BaseRequest, why: str, person: Person | None = None) -> None:
        fields: dict[str, object] = {"peer": peer_of(request), "why": why}
        if person is not None:
            fields |= {"who": person.name, "by": person.by}
        wallet, backend, verb = aim_of(request)
        if verb:
            fields["verb"] = verb
        self.emit(Event("order.refused", wallet, backend, fields, level="warning"))

    def _digest(self, text: str) -> bytes:
        """Return what a token is compared by: of one length, so that time tells nothing of it."""
        return hashlib.blake2b(text.strip().encode("utf-8", "surrogateescape"), key=self._key, digest_size=32).digest()


def cookies_of(request: web.BaseRequest, name: str) -> list[str]:
    """Return what the cookies of a name say, some of them at most; several, for cookies know no ports."""
    pairs = [pair.partition("=") for line in request.headers.getall("Cookie", []) for pair in line.split(";")[:50]]
    return [value.strip() for one, _, value in pairs if one.strip() == name][:4]


def _bearer(request: web.BaseRequest) -> str:
    """Return the token that a request shows, "" where it shows none."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""
