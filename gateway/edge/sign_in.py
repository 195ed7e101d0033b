"""Signing in and out: the two pages that make and end a session.

Rule: a session gets a new secret each time somebody signs in, which is told to that browser alone, in a cookie that no
script reads and no other site makes it send.  From here one goes to a page of this door and nowhere else.
"""

import html
import re
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from gateway.base.events import Emit, Event
from gateway.edge.admin_access import WRONG_CSRF, Access, Refused, cookies_of
from gateway.edge.browsers import KEPT, known, mark
from gateway.edge.forms import read_form
from gateway.edge.origins import address_of, is_followed_link, peer_of
from gateway.edge.passwords import AGAIN, CrowdedError, Passwords

SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"
START = "/"

WRONG = "wrong"
"""Name or password are; which of them is not told."""

SLOW = "slow"
"""Too many try at once."""

EXPIRED = "expired"
"""The session has ended."""

NOBODY = "nobody can sign in here; list people under admin.users in the configuration of this gateway"

QUIET = 10.0
"""Seconds between two lines in the log about people who were sent away."""

_PATH = re.compile(r"/(?:[A-Za-z0-9._~%=&?+-]+(?:/[A-Za-z0-9._~%=&?+-]+)*/?)?")
"""A path of this door with its question; no // and no \\, by which a browser would go elsewhere."""

Page = Callable[[web.BaseRequest, str, str], bytes]
"""Draws the page to sign in: for a request, with what went wrong (WRONG, SLOW, EXPIRED, a sentence, or ""), and the
path to go to afterwards."""


class SignIn:
    """Answers /sign-in and /sign-out.

    Args:
        access: whose sessions these are.
        passwords: who looks at them.
        page: draws the page.
    """

    def __init__(self, access: Access, passwords: Passwords, *, emit: Emit, page: Page | None = None) -> None:
        """Begin with nobody signing in."""
        self.access = access
        self.passwords = passwords
        self.emit = emit
        self.page = page or plain_page
        self._told = -QUIET

    async def stop(self) -> None:
        """Give up what is under way."""
        await self.passwords.stop()

    async def handle(self, request: web.BaseRequest) -> web.Response | None:
        """Answer a request for one of the two pages, None for any other.  Raises Refused."""
        if request.path not in (SIGN_IN, SIGN_OUT):
            return None
        is_look = request.method in ("GET", "HEAD")
        self.access.see_where_from(request, is_page=True)
        if is_look and request.path == SIGN_IN:
            return self._form(request)
        if request.method != "POST":
            allowed = "GET, HEAD, POST" if request.path == SIGN_IN else "POST"
            raise Refused(405, f"this takes {allowed.replace(', ', ' and ')}", {"Allow": allowed})
        fields = await read_form(request)
        return await self._sign_in(request, fields) if request.path == SIGN_IN else self._sign_out(request, fields)

    def _form(self, request: web.BaseRequest) -> web.Response:
        goal = own_path(request.query.get("next", ""))
        if is_followed_link(request):
            # the browser kept the cookie back, for the link is on a page of another site; from here it sends it
            return _page(_bounce(goal))
        if (person := self.access.person(request)) is not None and (person.by == "session" or not self._is_needed):
            return _go(goal)
        error = EXPIRED if self.access.secrets_of(request) else ""
        return self._answer(request, error, goal, 200) if self.access.admin.users else self._nobody(request, goal)

    @property
    def _is_needed(self) -> bool:
        return self.access.admin.is_closed

    async def _sign_in(self, request: web.BaseRequest, fields: dict[str, str]) -> web.Response:
        goal, name = own_path(fields.get("next", "")), fields.get("name", "").strip()
        users, peer = self.access.admin.users, peer_of(request)
        if not users:
            return self._nobody(request, goal)

        def wrong(known: str) -> None:
            # a name that is none may be a password, typed into the wrong field
            told: dict[str, object] = {"who": known or "(unknown)", "peer": peer, "why": "wrong name or password"}
            self.emit(Event("operator.refused", fields=told, level="warning"))

        browser = known(users, name, cookies_of(request, self._browser_cookie))
        origin = browser or address_of(request)
        try:
            user = await self.passwords.find(users, name, fields.get("password", ""), origin, wrong)
        except CrowdedError:
            self._tell_crowd(peer)
            return self._answer(request, SLOW, goal, 429, {"Retry-After": str(AGAIN)})
        # a reload may have taken the user away meanwhile, or the password
        if user is None or user not in self.access.admin.users:
            return self._answer(request, WRONG, goal, 403)
        for secret in self.access.secrets_of(request):
            self.access.sessions.end(secret)
        secret = self.access.sessions.begin(user, self.access.now())
        fields_told: dict[str, object] = {"who": user.name, "role": str(user.role), "peer": peer}
        self.emit(Event("operator.signed_in", fields=fields_told))
        response = _go(goal)
        has_tls = self.access.admin.tls is not None
        response.set_cookie(self.access.cookie, secret, path="/", httponly=True, samesite="Strict", secure=has_tls)
        if not browser:
            response.set_cookie(
                self._browser_cookie, mark(user), path=SIGN_IN, max_age=KEPT, httponly=True, samesite="Strict",
                secure=has_tls,
            )  # fmt: skip
        return response

    def _sign_out(self, request: web.BaseRequest, fields: dict[str, str]) -> web.Response:
        person = self.access.person(request)
        if person is not None and person.by == "session":
            if not self.access.is_csrf(person, fields.get("csrf", "")):
                raise Refused(403, WRONG_CSRF)
            for secret in self.access.secrets_of(request):
                self.access.sessions.end(secret)
            told: dict[str, object] = {"who": person.name, "why": "signed out", "peer": peer_of(request)}
            self.emit(Event("operator.signed_out", fields=told))
        response = _go(SIGN_IN if self._is_needed else START)
        has_tls = self.access.admin.tls is not None
        response.del_cookie(self.access.cookie, path="/", httponly=True, samesite="Strict", secure=has_tls)
        return response

    @property
    def _browser_cookie(self) -> str:
        return "ecgw_browser" if self.access.admin.tls is None else "__Secure-ecgw_browser"

    def _nobody(self, request: web.BaseRequest, goal: str) -> web.Response:
        return self._answer(request, NOBODY, goal, 403)

    def _answer(
        self, request: web.BaseRequest, error: str, goal: str, status: int, headers: dict[str, str] | None = None
    ) -> web.Response:
        return _page(self.page(request, error, goal), status, headers)

    def _tell_crowd(self, peer: str) -> None:
        if self.access.now() - self._told >= QUIET:
            self._told = self.access.now()
            fields: dict[str, object] = {"peer": peer, "why": "too many try to sign in at once"}
            self.emit(Event("operator.refused", fields=fields, level="warning"))


def own_path(given: str) -> str:
    """Return a path of this door where one was given, the first page where it was anything else."""
    is_own = len(given) <= 300 and _PATH.fullmatch(given) is not None
    return given if is_own and given.partition("?")[0] not in (SIGN_IN, SIGN_OUT) else START


def sign_in_path(path: str) -> str:
    """Return where somebody is sent who has to sign in before he sees `path`."""
    goal = own_path(path)
    return SIGN_IN if goal == START else f"{SIGN_IN}?next={quote(goal, safe='/')}"


def plain_page(_request: web.BaseRequest, error: str, goal: str) -> bytes:
    """Draw a page that needs nothing else: for a door without others."""
    said = {
        "": "",
        WRONG: "That is not the name or not the password.",
        SLOW: "Too many try at once; try again in some seconds.",
        EXPIRED: "The session has ended.",
    }.get(error, error)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ec-gateway</title></head><body><main>
<h1>ec-gateway</h1><p role="alert">{html.escape(said)}</p>
<form method="post" action="{SIGN_IN}"><input type="hidden" name="next" value="{html.escape(goal)}">
<p><label>Name <input name="name" autocomplete="username" autocapitalize="none" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p></form></main></body></html>
""".encode()


def _bounce(goal: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>ec-gateway</title>'
        f'<meta http-equiv="refresh" content="0; url={html.escape(goal)}">'
        f'<a href="{html.escape(goal)}">ec-gateway</a></html>\n'
    ).encode()


def _page(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="text/html", charset="utf-8")


def _go(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
