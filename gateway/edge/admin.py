"""The operator's door: is it alive, is it ready, what does it count; and what is under /api/ (`admin_api`).

Rule: its pages tell and change nothing; it stays open while the gateway drains, so that readiness can be seen to fail.
"""

from collections.abc import Callable

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web

from gateway.base.config import Admin, Tls
from gateway.edge.admin_access import Refused
from gateway.edge.admin_api import AdminApi, Reply
from gateway.edge.certificate import Certificate
from gateway.edge.connections import Guard, Site
from gateway.edge.descriptors import Descriptors
from gateway.edge.rpc import DoorCounters
from gateway.edge.sign_in import SignIn
from gateway.edge.web.pages import Pages
from gateway.observe import logs
from gateway.observe.exposition import CONTENT_TYPE

HINT = "there is /, /livez, /readyz, /metrics and /api/v1/status here; calls go to the other port"
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser would send forms with `Origin: null`
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may do: load what comes from this door and send forms to it; nothing that stands in its HTML runs."""

SPOKEN = (HttpVersion10, HttpVersion11)
"""aiohttp's parser takes HTTP/0.9 and HTTP/2.0 as well, and reads both as if they were 1.1."""

HEAD_TIMEOUT = 10.0
"""Seconds for the head of a request."""


class AdminDoor:
    """The door for operators.

    Args:
        admin: where it listens.
        ready: for each wallet why it is not ready; empty lists when it is.
        ailing: for each wallet what is the matter with its backends, also where others stand in for them.
        draining: whether the gateway is on its way out.
        metrics: what /metrics shows, in the text format of Prometheus.
        api: what is under /api/; without it there is nothing.
        sign_in: where people sign in and out; without it nobody does.
        descriptors: how many connections fit into this process.
    """

    def __init__(
        self,
        admin: Admin,
        *,
        ready: Callable[[], dict[str, list[str]]],
        ailing: Callable[[], dict[str, list[str]]],
        draining: Callable[[], bool],
        metrics: Callable[[], bytes],
        api: AdminApi | None = None,
        sign_in: SignIn | None = None,
        descriptors: Descriptors = Descriptors(),  # noqa: B008 - frozen
    ) -> None:
        """Begin closed."""
        self.admin = admin
        self.ready = ready
        self.ailing = ailing
        self.draining = draining
        self.metrics = metrics
        self.api = api
        self.sign_in = sign_in
        self.descriptors = descriptors
        self.pages = None if api is None else Pages(api)
        if sign_in is not None and self.pages is not None:
            sign_in.page = self.pages.sign_in
        self.port = 0
        self._runner: web.ServerRunner | None = None
        self._certificate: Certificate | None = None
        self._pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}
        self._log = logs.get_logger()

    async def start(self) -> None:
        """Bind and serve.  Raises OSError when the port is taken or a certificate cannot be read."""
        server = Guard(
            self._handle,
            counters=DoorCounters(),  # nobody reads these: /metrics counts the clients' door
            max_connections=lambda: self.descriptors.operators,
            head_timeout=lambda: HEAD_TIMEOUT,
            refuse=_not_http,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=30,
            lingering_time=0,
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        self._certificate = None if self.admin.tls is None else Certificate(self.admin.tls)
        context = None if self._certificate is None else self._certificate.context
        site = Site(
            self._runner, self.admin.host, self.admin.port, context, self.descriptors.operators_at_one_go, HEAD_TIMEOUT
        )  # fmt: skip
        await site.start()
        self.port = self._runner.addresses[0][1]
        if self.api is not None:
            self.api.start()

    def update(self, admin: Admin) -> None:
        """Take new users, tokens and names; where it listens stays as it is."""
        if self.api is not None:
            self.api.access.update(admin)

    def renew(self, tls: Tls | None) -> bool:
        """Show another certificate from now on; return whether there is one.  Raises OSError for unusable files."""
        return self._certificate is not None and tls is not None and self._certificate.renew(tls)

    async def stop(self) -> None:
        """Close."""
        if self.api is not None:
            # whoever listens would keep the door open
            await self.api.stream.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self.sign_in is not None:
            await self.sign_in.stop()
        if self.api is not None:
            await self.api.stop()

    async def _handle(self, request: web.BaseRequest) -> Reply:
        """Answer one HTTP request."""
        try:
            response: Reply
            if request.version not in SPOKEN:
                response = _not_http(505)
                response.force_close()
            elif self.api is not None and f"{request.path}/".startswith("/api/"):
                response = await self.api.handle(request)
            elif (page := await self._page(request)) is not None:
                response = page
            else:
                response = self._answer(request)
        except Exception:  # noqa: BLE001 - the operator gets an answer whatever happens; the log gets the reason
            self._log.exception("admin.failed", path=request.path[:100])
            response = web.Response(text="the gateway failed; its log says why\n", status=500)
        if any("close" in value.lower() for value in request.headers.getall("Connection", ())):
            # the parser would go on with HTTP/1.0 that says both close and keep-alive
            response.force_close()
        for name, value in SAFE_HEADERS.items():
            # what never changes says so itself
            response.headers.setdefault(name, value)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    async def _page(self, request: web.BaseRequest) -> web.Response | None:
        """Answer who signs in or out or wants a page for people, None for any other request."""
        try:
            if self.pages is not None:
                await self.pages.warm(request.path)
            found = None if self.sign_in is None else await self.sign_in.handle(request)
            return await self.pages.handle(request) if found is None and self.pages is not None else found
        except Refused as refused:
            self._tell(request, refused.status)
            return refused.response()

    def _tell(self, request: web.BaseRequest, status: int) -> None:
        if self.api is not None:
            self.api.access.refusals.status(request, status)

    def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            self._tell(request, 404)
            return web.Response(text=HINT + "\n", status=404)
        if request.method not in ("GET", "HEAD"):
            self._tell(request, 405)
            return web.Response(text="only GET and HEAD work here\n", status=405, headers={"Allow": "GET, HEAD"})
        return page()

    def _livez(self) -> web.Response:
        """Answer while the loop runs."""
        return web.Response(text="ok\n")

    def _readyz(self) -> web.Response:
        """Answer 200 only while every wallet can take calls and the gateway is not draining.

        What ails single backends is told beside it and fails nothing: taking a gateway out of service because one
        of its daemons is sick would turn a fault that is stepped around into an outage.
        """
        wallets = self.ready()
        draining = self.draining()
        is_ready = not draining and not any(wallets.values())
        body = {"ready": is_ready, "draining": draining, "wallets": wallets, "ailing": self.ailing()}
        return web.Response(
            body=msgspec.json.encode(body) + b"\n", status=200 if is_ready else 503, content_type="application/json"
        )

    def _metrics(self) -> web.Response:
        """Answer in the text format of Prometheus."""
        return web.Response(body=self.metrics(), headers={"Content-Type": CONTENT_TYPE})


def _not_http(status: int) -> web.Response:
    """Answer something that is not HTTP."""
    return web.Response(text="the request is not valid HTTP/1.1\n", status=status, headers=SAFE_HEADERS)
