"""The door of the shop: its page, its forms, and its figures as JSON.

The rule: it listens on loopback and answers to the names of loopback alone, so that no page of another site can look in
by a name of its own; and what changes something comes from its own page or from no page at all.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from gateway.sandbox.shop import page
from gateway.sandbox.shop.books import item_named
from gateway.sandbox.shop.business import Business, BusyError
from gateway.sandbox.shop.words import LANGUAGES, Language, language_of

HEADERS = {
    "X-Sandbox": "SANDBOX: invented coins",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser would send its forms with `Origin: null`
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY = 1024
COOKIE = "shop_lang"

_FILES = {"/shop.css": "text/css", "/shop.js": "text/javascript"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """What a visitor of the shop reaches.

    Args:
        business: the shop at work.
        status_port: where the gateway's status page is, 0 where there is none.
    """

    def __init__(self, business: Business, status_port: int) -> None:
        self._business = business
        self._status_port = status_port
        self._files = {path: Path(__file__).with_name(path[1:]).read_bytes() for path in _FILES}

    def application(self) -> web.Application:
        """All routes behind the checks that each of them needs."""
        app = web.Application(middlewares=[_guard], client_max_size=MAX_BODY)
        app.router.add_get("/", self._page)
        app.router.add_get("/live", self._live)
        app.router.add_get("/figures", self._figures)
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_post("/buy", self._buy)
        app.router.add_post("/pay", self._pay)
        app.router.add_post("/customer", self._customer)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        chosen = request.query.get("lang")
        if chosen in LANGUAGES:
            answer = _back()
            answer.set_cookie(COOKIE, chosen, httponly=True, samesite="Strict", max_age=365 * 86_400)
            return answer
        business, status = self._business, ""
        if self._status_port:
            host = urlsplit(f"//{request.host}").hostname or LOOPBACK[0]
            status = f"http://{f'[{host}]' if ':' in host else host}:{self._status_port}/"
        text = page.whole(_language(request), business.books, business.customer_left, status, business.now())
        return _html(text)

    async def _live(self, request: web.Request) -> web.Response:
        business = self._business
        return _html(page.live(_language(request), business.books, business.customer_left, business.now()))

    async def _figures(self, _request: web.Request) -> web.Response:
        books, now = self._business.books, self._business.now()
        calls, failed = books.calls_lately(now)
        return web.json_response(
            {
                "sandbox": True,
                "orders": books.taken,
                "paid": books.paid,
                "refused": books.refused,
                "given": books.given,
                "twice": books.twice,
                "calls": books.calls,
                "failed": books.failed,
                "slowest_s": books.slowest.seconds if books.slowest else 0.0,
                "last_minute": {"calls": calls, "failed": failed, "slowest_s": books.slowest_lately(now)},
                "customer_left": self._business.customer_left,
            }
        )

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self._files[request.path], content_type=_FILES[request.path], charset="utf-8")

    async def _buy(self, request: web.Request) -> web.Response:
        item = item_named(str((await request.post()).get("item")))
        if item is None:
            raise web.HTTPBadRequest(text="there is no such item; go back to the shop\n")
        try:
            self._business.take(item)
        except BusyError:
            return _html(page.busy(_language(request)), status=503)
        return _back()

    async def _pay(self, request: web.Request) -> web.Response:
        number = str((await request.post()).get("order"))
        order = self._business.books.orders.get(int(number)) if number.isascii() and number.isdigit() else None
        if order is None:
            raise web.HTTPNotFound(text="there is no such order, or it was long ago; go back to the shop\n")
        await self._business.pay(order)
        return _back()

    async def _customer(self, request: web.Request) -> web.Response:
        self._business.let_customer(come=(await request.post()).get("on") == "1")
        return _back()


def _language(request: web.Request) -> Language:
    return language_of(request.cookies.get(COOKIE), request.headers.get("Accept-Language", ""))


def _back() -> web.Response:
    return web.Response(status=303, headers={"Location": "/"})


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another site could let a browser do, and head each answer."""
    refusal = why_not(request.method, request.headers.getall("Host", []), request.headers.get("Origin"),
                      request.headers.get("Sec-Fetch-Site"))  # fmt: skip
    try:
        answer = await handler(request) if not refusal else web.Response(status=403, text=f"{refusal}\n")
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    answer.headers.update(HEADERS)
    return answer


def why_not(method: str, hosts: list[str], origin: str | None, site: str | None) -> str:
    """Say why a request is not served, "" when it is."""
    try:
        is_ours = len(hosts) == 1 and urlsplit(f"//{hosts[0]}").hostname in LOOPBACK
    except ValueError:
        is_ours = False
    if not is_ours:
        return "the shop answers to 127.0.0.1 and localhost alone"
    is_foreign = (origin is not None and origin != f"http://{hosts[0]}") or site not in (None, "same-origin", "none")
    if method not in ("GET", "HEAD") and is_foreign:
        return "this came from a page of another site"
    return ""
