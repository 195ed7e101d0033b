"""The operator's door: is it alive, is it ready, what does it count; and what is under /api/ (`admin_api`).

Rule: its pages tell and change nothing; it stays open while the gateway drains, so that readiness can be seen to fail.
"""

from collections.abc import Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.base.config import Admin
from gateway.edge.admin_api import AdminApi
from gateway.edge.connections import Guard, Site
from gateway.edge.descriptors import Descriptors
from gateway.edge.rpc import DoorCounters
from gateway.observe import logs

HINT = "there is /livez, /readyz, /metrics and /api/v1/status here; calls go to the other port"
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
HEAD_TIMEOUT = 10.0
"""Seconds for the head of a request."""


class AdminDoor:
    """The door for operators.

    Args:
        admin: where it listens.
        ready: for each wallet why it is not ready; empty lists when it is.
        ailing: for each wallet what is the matter with its backends, also where others stand in for them.
        draining: whether the gateway is on its way out.
        registry: what /metrics shows.
        api: what is under /api/; without it there is nothing.
        descriptors: how many connections fit into this process.
    """

    def __init__(
        self,
        admin: Admin,
        *,
        ready: Callable[[], dict[str, list[str]]],
        ailing: Callable[[], dict[str, list[str]]],
        draining: Callable[[], bool],
        registry: CollectorRegistry,
        api: AdminApi | None = None,
        descriptors: Descriptors = Descriptors(),  # noqa: B008 - frozen
    ) -> None:
        """Begin closed."""
        self.admin = admin
        self.ready = ready
        self.ailing = ailing
        self.draining = draining
        self.registry = registry
        self.api = api
        self.descriptors = descriptors
        self.port = 0
        self._runner: web.ServerRunner | None = None
        self._pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}
        self._log = logs.get_logger()

    async def start(self) -> None:
        """Bind and serve.  Raises OSError when the port is taken."""
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
        site = Site(self._runner, self.admin.host, self.admin.port, None, self.descriptors.operators_at_one_go)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self.api is not None:
            await self.api.stop()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one HTTP request."""
        try:
            if self.api is not None and request.path.startswith("/api/"):
                response = await self.api.handle(request)
            else:
                response = self._answer(request)
        except Exception:  # noqa: BLE001 - the operator gets an answer whatever happens; the log gets the reason
            self._log.exception("admin.failed", path=request.path[:100])
            response = web.Response(text="the gateway failed; its log says why\n", status=500)
        response.headers.update(SAFE_HEADERS)
        return response

    def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            return web.Response(text=HINT + "\n", status=404)
        if request.method not in ("GET", "HEAD"):
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
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _not_http(status: int) -> web.Response:
    """Answer something that is not HTTP."""
    return web.Response(text="the request is not valid HTTP/1.1\n", status=status, headers=SAFE_HEADERS)
