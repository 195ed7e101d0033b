"""The operators' API: how the wallets stand, and orders for single daemons.

Rule: anybody who reaches the door may look, only who shows the token may order (`admin_access`).  Every order leaves
lines in the log: who gave it, for which daemon, why, and what came of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from inspect import isawaitable
from typing import Protocol, cast

import msgspec
from aiohttp import web

from gateway.base.errors import OrderError
from gateway.base.events import Emit, Event
from gateway.edge.admin_access import Access, Refused, peer_of
from gateway.observe import logs

PREFIX = "/api/v1/"
HINT = (
    "there is GET /api/v1/status, POST /api/v1/wallets/WALLET/backends/BACKEND/ORDER where ORDER is drain, undrain, "
    "restart, hold or release, and POST /api/v1/wallets/WALLET/handover"
)
MAX_BODY = 4096
"""Bytes of an order's body; a reason and its braces."""

MAX_REASON = 200
"""Characters."""

BODY_TIMEOUT = 5.0
"""Seconds for the body of an order."""

PATIENCE = 25.0
"""Seconds that an order is waited for; it goes on after that."""

WRONG_BODY = 'the body of an order is nothing, or like {"reason": "new disk"}'

Answer = str | Awaitable[str]


class Orders(Protocol):
    """What can be ordered of the backends of one wallet.

    Each returns a sentence for the operator, at once or when it is done, and raises OrderError with the way out.
    """

    def drain(self, backend: str) -> Answer:
        """Give it no more calls; those under way may finish."""

    def undrain(self, backend: str) -> Answer:
        """Give it calls again."""

    def restart(self, backend: str, reason: str) -> Answer:
        """Stop and start it in the right way, whatever its health."""

    def hold(self, backend: str) -> Answer:
        """Let no rule restart it."""

    def release(self, backend: str) -> Answer:
        """Let rules restart it again."""


VERBS: dict[str, Callable[[Orders, str, str], Answer]] = {
    "drain": lambda orders, backend, _reason: orders.drain(backend),
    "undrain": lambda orders, backend, _reason: orders.undrain(backend),
    "restart": lambda orders, backend, reason: orders.restart(backend, reason),
    "hold": lambda orders, backend, _reason: orders.hold(backend),
    "release": lambda orders, backend, _reason: orders.release(backend),
}


class AdminApi:
    """Answers what comes in under /api/.

    Args:
        access: who may order.
        status: how the gateway and all of its wallets stand.
        backends: the names of the backends of each wallet there is now.
        orders: who takes orders for a wallet.
        draining: whether the gateway is on its way out.
        elsewhere: the wallets that other gateways hold, each with a sentence about who does.
        hand_over: gives a wallet to another gateway; None where there is no other one.
    """

    def __init__(
        self,
        access: Access,
        *,
        status: Callable[[], Mapping[str, object]],
        backends: Callable[[], Mapping[str, Collection[str]]],
        orders: Callable[[], Mapping[str, Orders]],
        draining: Callable[[], bool],
        emit: Emit,
        elsewhere: Callable[[], Mapping[str, str]] = dict,
        hand_over: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        """Begin with no order under way."""
        self.elsewhere = elsewhere
        self.hand_over = hand_over
        self.access = access
        self.status = status
        self.backends = backends
        self.orders = orders
        self.draining = draining
        self.emit = emit
        self._under_way: set[asyncio.Task[str]] = set()
        self._log = logs.get_logger()

    async def stop(self) -> None:
        """Give up the orders that are still under way."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        try:
            return await self._answer(request)
        except Refused as refused:
            return refused.response()
        except Exception:  # noqa: BLE001 - the operator gets an answer whatever happens; the log gets the reason
            self._log.exception("admin.failed", path=request.path[:100])
            return Refused(500, "the gateway failed; its log says why").response()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.access.see_where_from(request)
        match request.path.removeprefix(PREFIX).split("/"):
            case ["status"]:
                _only(request, "GET", "HEAD")
                return _json(self.status())
            case ["wallets", wallet, "backends", backend, verb]:
                _only(request, "POST")
                await self.access.see_token(request)
                return await self._order(request, wallet, backend, verb)
            case ["wallets", wallet, "handover"]:
                _only(request, "POST")
                await self.access.see_token(request)
                return await self._hand_over(request, wallet)
        raise Refused(404, HINT)

    async def _hand_over(self, request: web.BaseRequest, wallet: str) -> web.Response:
        """Let another gateway have a wallet."""
        hand_over = self.hand_over
        if hand_over is None:
            raise Refused(409, "this gateway is alone: without `cluster:` in its settings nobody could take a wallet")
        _known("wallet", wallet, {*self.backends(), *self.elsewhere()}, "this gateway")
        reason = _reason(await _body(request), request.content_type)
        self.emit(Event("order.given", wallet, "", {"verb": "handover", "peer": peer_of(request), "reason": reason}))
        return await self._answered(wallet, "", "handover", lambda: hand_over(wallet))

    async def _order(self, request: web.BaseRequest, wallet: str, backend: str, verb: str) -> web.Response:
        """Take one order from somebody who may give it."""
        backends = self.backends()
        if wallet in (elsewhere := self.elsewhere()):
            raise Refused(409, elsewhere[wallet])
        _known("wallet", wallet, backends, "this gateway")
        _known("backend", backend, backends[wallet], f"wallet {wallet}")
        _known("order", verb, VERBS, "this gateway")
        if self.draining():
            raise Refused(503, "this gateway is on its way out and takes no orders; give it to the next one")
        reason = _reason(await _body(request), request.content_type)
        orders = self.orders()
        # a reload may have taken it away while the body came
        _known("wallet", wallet, orders, "this gateway")
        fields: dict[str, object] = {"verb": verb, "peer": peer_of(request), "reason": reason}
        self.emit(Event("order.given", wallet, backend, fields))
        chosen = orders[wallet]
        return await self._answered(wallet, backend, verb, lambda: VERBS[verb](chosen, backend, reason))

    async def _answered(self, wallet: str, backend: str, verb: str, act: Callable[[], Answer]) -> web.Response:
        """Carry an order out and answer whoever gave it."""
        # in a task of its own: what was begun is not given up because the operator hung up
        task = asyncio.get_running_loop().create_task(self._carry_out(wallet, backend, verb, act))
        self._under_way.add(task)
        task.add_done_callback(self._end)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await asyncio.shield(task)
        except TimeoutError:
            raise Refused(504, f"the gateway is still at it after {PATIENCE:g} s; see how things stand") from None
        except OrderError as error:
            raise Refused(409, str(error)) from None
        return _json({"wallet": wallet, "backend": backend, "order": verb, "answer": answer})

    async def _carry_out(self, wallet: str, backend: str, verb: str, act: Callable[[], Answer]) -> str:
        """Do it and tell what came of it.  Raises OrderError, or whatever went wrong."""
        try:
            found = act()
            answer = await found if isawaitable(found) else found
        except Exception as error:
            why = str(error) or type(error).__name__
            self.emit(Event("order.failed", wallet, backend, {"verb": verb, "answer": why}, level="error"))
            raise
        self.emit(Event("order.done", wallet, backend, {"verb": verb, "answer": answer}, level="warning"))
        return answer

    def _end(self, task: "asyncio.Task[str]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # told by now: in the log, and to the operator if he is still there
            task.exception()


def _only(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405, f"this takes {' and '.join(methods)}", {"Allow": ", ".join(methods)})


def _known(what: str, name: str, names: Collection[str], of: str) -> None:
    if name not in names:
        raise Refused(404, f"{of} has no {what} of that name; there are {', '.join(names)}", known=list(names))


async def _body(request: web.BaseRequest) -> bytes:
    """Return the body, no more of it and no later than an order needs."""
    too_much = Refused(413, f"the body of an order has at most {MAX_BODY} bytes")
    if (request.content_length or 0) > MAX_BODY:
        raise too_much
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > MAX_BODY:
                    raise too_much
    except TimeoutError:
        raise Refused(408, f"the body of an order has to come within {BODY_TIMEOUT:g} s") from None
    return body


def _reason(body: bytes, content_type: str) -> str:
    """Return why an order is given, "" where nothing is said."""
    if not body.strip():
        return ""
    if content_type != "application/json":
        # this a form on a page of another site cannot say
        raise Refused(415, f"send it as `Content-Type: application/json`; {WRONG_BODY}")
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(400, WRONG_BODY) from None
    if not isinstance(found, dict) or not found.keys() <= {"reason"} or not isinstance(found.get("reason", ""), str):
        raise Refused(400, WRONG_BODY)
    reason = cast("str", found.get("reason", "")).strip()
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise Refused(400, f"a reason is one line of at most {MAX_REASON} characters")
    return reason


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body) + b"\n", content_type="application/json")
