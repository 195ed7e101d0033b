"""The operator's door: is it alive, is it ready, what does it count.

Rule: it tells and changes nothing; it stays open while the gateway drains, so that readiness can be seen to fail.
"""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.base.config import Admin

HINT = "there is /livez, /readyz and /metrics here; calls go to the other port"
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class AdminDoor:
    """The door for operators.

    Args:
        admin: where it listens.
        ready: for each wallet why it is not ready; empty lists when it is.
        ailing: for each wallet what is the matter with its backends, also where others stand in for them.
        draining: whether the gateway is on its way out.
        registry: what /metrics shows.
    """

    def __init__(
        self,
        admin: Admin,
        *,
        ready: Callable[[], dict[str, list[str]]],
        ailing: Callable[[], dict[str, list[str]]],
        draining: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        """Begin closed."""
        self.admin = admin
        self.ready = ready
        self.ailing = ailing
        self.draining = draining
        self.registry = registry
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve.  Raises OSError when the port is taken."""
        app = web.Application(client_max_size=1024, middlewares=[_harden])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=30, shutdown_timeout=0.5, handle_signals=False
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.admin.host, self.admin.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _request: web.Request) -> web.Response:
        """Answer while the loop runs."""
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
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

    async def _metrics(self, _request: web.Request) -> web.Response:
        """Answer in the text format of Prometheus."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def _harden(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Add the headers that keep browsers from guessing, and say what there is where something is not."""
    try:
        response = await handler(request)
    except web.HTTPNotFound:
        response = web.Response(text=HINT + "\n", status=404)
    except web.HTTPMethodNotAllowed:
        response = web.Response(text="only GET and HEAD work here\n", status=405, headers={"Allow": "GET, HEAD"})
    response.headers.update(SAFE_HEADERS)
    return response
