"""A message, and an HTTP receiver that answers as it is told to."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from gateway.observe.sinks import Message
from tests.fakes_alerts import message as a_message


@pytest.fixture
def message() -> Message:
    """An opening."""
    return a_message()


class Receiver:
    """Answers each POST with the next of `answers`, then with 204, and keeps what came."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self.url = ""
        self.answers: list[int | Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.received: list[tuple[dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take one POST."""
        self.received.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        answer = self.answers.pop(0) if self.answers else 204
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback."""
    one = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield one
    await runner.cleanup()
