"""The operators' API: how the wallets stand, what happened, and orders.

Rule: who may look and who may order says `admin_access`, asked before anything else is looked at; every answer is JSON,
and every refusal a problem as RFC 9457 has it.  What there is, is written down in `openapi`; tests hold the two
together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from aiohttp import web

from gateway.base.errors import OrderError
from gateway.base.events import Emit
from gateway.base.people import Person
from gateway.edge.admin_access import Access, Refused, peer_of
from gateway.edge.admin_listener import Listener
from gateway.edge.admin_orders import HANDOVER, OrderDesk, Orders
from gateway.edge.admin_outcomes import OutcomeDesk
from gateway.edge.admin_requests import (
    WRONG_BODY,
    body_of,
    fields_of,
    is_name,
    json_answer,
    known,
    only,
    path_of,
    query,
    reason_of,
    whole,
)
from gateway.edge.admin_stream import Stream
from gateway.edge.refusals import CROWDED
from gateway.observe import logs
from gateway.observe.past import NOTHING, Answer
from gateway.observe.rates import KEPT, Rates

PREFIX = "/api/v1/"
HINT = (
    "there is GET /api/v1/status, POST /api/v1/wallets/WALLET/backends/BACKEND/ORDER where ORDER is drain, undrain, "
    "restart, hold, release or promote, POST /api/v1/wallets/WALLET/handover, and more: GET /api/v1/openapi.json"
)
WRONG_RESOLVE = 'say how it was, like {"executed": false, "reason": "the customer was not paid"}'
WRONG_SWITCH = 'say {"on": true} or {"on": false}'
FULL = "as many listen as this gateway takes; close a page, or ask GET /api/v1/status now and then"
NO_SWITCHES = "there are switches in the sandbox alone"

Reply = web.Response | Listener


class Switches(Protocol):
    """What a visitor of the sandbox may do to its daemons."""

    def names(self) -> list[dict[str, object]]:
        """Return [{"wallet", "backend", "switches": [{"name", "is_on"}]}]; made for each snapshot."""

    async def flip(self, backend: str, name: str, on: bool) -> str:  # noqa: FBT001 - on is all that it says
        """Turn a switch; return a sentence.  Raises OrderError."""


class History(Protocol):
    """What happened before now."""

    async def answer(self, request: web.BaseRequest, name: str) -> web.Response:
        """Answer `incidents`, `availability`, `restarts` or `audit`.  Raises Refused."""

    async def incidents(self, limit: int) -> Answer:
        """Return the newest incidents and those that are open, which come first.  Raises Refused."""

    async def audit(self, limit: int) -> Answer:
        """Return the newest orders, the newest first.  Raises Refused."""

    def moments(self, wallet: str, shown: Mapping[str, object]) -> Mapping[str, object]:
        """Return what is shown of a wallet beside what a snapshot has of it; made for each snapshot."""


HISTORIES = ("incidents", "availability", "restarts", "audit")


class AdminApi:
    """Answers what comes in under /api/, and is what the pages are made of.

    Args:
        access: who may look and order.
        status: how the gateway and all of its wallets stand.
        backends, orders, draining, elsewhere, hand_over: as `OrderDesk` takes them.
        outcomes: makes the desk for outcomes from that for orders; without one there are none.
        rates, samples, turn: the charts; see `Stream`.
        listeners: of the event stream at once.
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
        outcomes: Callable[[OrderDesk], OutcomeDesk] | None = None,
        rates: Rates | None = None,
        samples: Callable[[], Mapping[str, object]] = dict,
        turn: Callable[[], None] = lambda: None,
        listeners: int = 200,
    ) -> None:
        """Begin with no order under way and nobody listening."""
        self.access = access
        self.status = status
        self.backends = backends
        self.elsewhere = elsewhere
        self.desk = OrderDesk(
            backends=backends, orders=orders, draining=draining, emit=emit, elsewhere=elsewhere, hand_over=hand_over
        )
        self.outcome_desk = None if outcomes is None else outcomes(self.desk)
        self.rates = Rates(0.0) if rates is None else rates
        self.stream = Stream(
            self.snapshot, samples=samples, turn=turn, emit=emit, now=asyncio.get_running_loop().time, most=listeners
        )
        self.switches: Switches | None = None
        """Set by the sandbox."""
        self.history: History | None = None
        """Set where there is a ledger."""
        self._log = logs.get_logger()

    def start(self) -> None:
        """Begin to count seconds."""
        self.stream.start()

    async def stop(self) -> None:
        """Let listeners go, and give up the orders that are still under way."""
        await self.stream.stop()
        await self.desk.stop()
        if self.outcome_desk is not None:
            self.outcome_desk.reader.close()

    # -- what the pages are made of ----------------------------------------------------------------------------

    def snapshot(self) -> dict[str, object]:
        """Return how everything stands; the same as GET /api/v1/status."""
        found = {**self.status(), "warnings": self.access.warnings}
        history, wallets = self.history, found.get("wallets")
        if history is not None and isinstance(wallets, Mapping):
            found["wallets"] = {name: {**shown, **history.moments(name, shown)} for name, shown in wallets.items()}
        if self.switches is not None:
            found |= {"switches": self.switches.names(), "shop_port": getattr(self.switches, "shop_port", 0)}
        return found

    async def incidents(self, limit: int = 100) -> Answer:
        """Return the newest incidents and those that are open, which come first.  Raises Refused."""
        return NOTHING if self.history is None else await self.history.incidents(limit)

    async def audit(self, limit: int = 100) -> Answer:
        """Return the newest orders, the newest first.  Raises Refused."""
        return NOTHING if self.history is None else await self.history.audit(limit)

    async def outcomes(self, wallet: str | None = None) -> list[dict[str, object]]:
        """Return the outcomes that nobody knows.  Raises Refused."""
        return [] if self.outcome_desk is None else await self.outcome_desk.listed(wallet)

    async def give_order(
        self, person: Person, wallet: str, backend: str, verb: str, reason: str, peer: str = ""
    ) -> str:  # fmt: skip
        """Give an order and return what came of it; `backend` is "" for a handover.  Raises Refused and OrderError."""
        return await self.desk.give(person, wallet, backend, verb, reason, peer)

    async def resolve(
        self, person: Person, wallet: str, outcome: str, executed: bool, reason: str, peer: str = ""  # noqa: FBT001
    ) -> str:  # fmt: skip
        """Take what somebody says about an outcome; return a sentence.  Raises Refused and OrderError."""
        if self.outcome_desk is None:
            raise OrderError("without a ledger there are no outcomes to resolve")
        return await self.outcome_desk.resolve(person, wallet, outcome, executed=executed, reason=reason, peer=peer)

    async def flip(self, person: Person, backend: str, name: str, on: bool, peer: str = "") -> str:  # noqa: FBT001
        """Turn a switch of the sandbox; return a sentence.  Raises Refused and OrderError."""
        switches = self.switches
        if switches is None:
            raise Refused(404, NO_SWITCHES)
        rows = {str(row["backend"]): row for row in switches.names()}
        known("backend", backend, rows, "the sandbox")
        row = rows[backend]
        there = row["switches"]
        assert isinstance(there, list)  # noqa: S101 - as Switches has it
        known("switch", name, [str(one["name"]) for one in there], backend)
        return await self.desk.carry_out(
            person, str(row["wallet"]), backend, f"switch {name}", "", peer, lambda: switches.flip(backend, name, on),
            on=on,
        )  # fmt: skip

    # -- requests ----------------------------------------------------------------------------------------------

    async def handle(self, request: web.BaseRequest) -> Reply:
        """Answer one request."""
        try:
            return await self._answer(request)
        except Refused as refused:
            self.access.refusals.status(request, refused.status)
            response = refused.response()
        except OrderError as error:
            response = Refused(409, str(error)).response()
        except Exception:  # noqa: BLE001 - the operator gets an answer whatever happens; the log gets the reason
            self._log.exception("admin.failed", path=request.path[:100])
            response = Refused(500, "the gateway failed; its log says why").response()
        if response.status == 503:
            # who is one too many keeps no connection
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> Reply:
        self.access.see_where_from(request)
        match path_of(request, PREFIX):
            case ["wallets", wallet, "backends", backend, verb]:
                return await self._order(request, wallet, backend, verb)
            case ["wallets", wallet, "handover"]:
                return await self._order(request, wallet, "", HANDOVER)
            case ["wallets", wallet, "outcomes", outcome, "resolve"]:
                return await self._resolve(request, wallet, outcome)
            case ["sandbox", backend, name]:
                return await self._flip(request, backend, name)
            case ["stream"]:
                return await self._listen(request)
            case [what]:
                return await self._look(request, what)
        raise Refused(404, HINT)

    async def _look(self, request: web.BaseRequest, what: str) -> web.Response:
        """Answer what only looks."""
        looks = ("status", "samples", "outcomes", "openapi.json", *(HISTORIES if self.history is not None else ()))
        if what not in looks:
            raise Refused(404, HINT)
        only(request, "GET", "HEAD")
        await self.access.see_viewer(request)
        if what == "status":
            query(request)
            return json_answer(self.snapshot())
        if what == "samples":
            return self._samples(request)
        if what == "outcomes":
            wallet = query(request, "wallet").get("wallet")
            if wallet is not None:
                known("wallet", wallet, {*self.backends(), *self.elsewhere()}, "this gateway")
            return json_answer({"outcomes": await self.outcomes(wallet)})
        if what == "openapi.json":
            query(request)
            from gateway.edge.openapi import document  # noqa: PLC0415 - few ask for it, and it is large

            return web.Response(body=document(), content_type="application/json")
        assert self.history is not None  # noqa: S101 - seen to above
        if not is_name(request.rel_url.query.get("wallet", "main")):
            # one that was taken out has a past as well; this never was one
            raise Refused(400, "wallet is no name of one")
        return await self.history.answer(request, what)

    def _samples(self, request: web.BaseRequest) -> web.Response:
        given = query(request, "wallet", "seconds")
        seconds = whole(given, "seconds", KEPT, 1, KEPT)
        wallets = self.backends()
        name = given.get("wallet")
        if name is None:
            raise Refused(400, f"name the wallet by ?wallet=; there are {', '.join(wallets)}")
        self.desk.see_here(name)
        return json_answer(self.rates.samples(name, seconds))

    async def _listen(self, request: web.BaseRequest) -> Listener:
        """Let somebody listen."""
        only(request, "GET")
        person = await self.access.see_viewer(request)
        query(request)
        if self.stream.is_full:
            self.access.refusals.tell(request, CROWDED)
            raise Refused(503, FULL, {"Retry-After": "5"})
        return Listener(self.stream, lambda: self.access.is_still(person), peer_of(request))

    async def _order(self, request: web.BaseRequest, wallet: str, backend: str, verb: str) -> web.Response:
        """Take one order from somebody who may give it."""
        person = await self._operator(request)
        self.desk.see(wallet, backend, verb)
        reason = reason_of(fields_of(await body_of(request), request.content_type, {"reason": str}, WRONG_BODY))
        answer = await self.desk.give(person, wallet, backend, verb, reason, peer_of(request))
        return json_answer({"wallet": wallet, "backend": backend, "order": verb, "answer": answer})

    async def _resolve(self, request: web.BaseRequest, wallet: str, outcome: str) -> web.Response:
        person = await self._operator(request)
        self.desk.see_here(wallet)
        kinds = {"reason": str, "executed": bool}
        fields = fields_of(await body_of(request), request.content_type, kinds, WRONG_RESOLVE)
        if "executed" not in fields:
            raise Refused(400, WRONG_RESOLVE)
        peer = peer_of(request)
        answer = await self.resolve(person, wallet, outcome, fields["executed"], reason_of(fields), peer)
        return json_answer({"wallet": wallet, "outcome": outcome, "order": "resolve", "answer": answer})

    async def _flip(self, request: web.BaseRequest, backend: str, name: str) -> web.Response:
        if self.switches is None:
            raise Refused(404, NO_SWITCHES)
        person = await self._operator(request)
        fields = fields_of(await body_of(request), request.content_type, {"on": bool}, WRONG_SWITCH)
        if "on" not in fields:
            raise Refused(400, WRONG_SWITCH)
        answer = await self.flip(person, backend, name, fields["on"], peer_of(request))
        return json_answer({"backend": backend, "switch": name, "on": fields["on"], "answer": answer})

    async def _operator(self, request: web.BaseRequest) -> Person:
        """Return who orders.  Raises Refused."""
        only(request, "POST")
        person = await self.access.see_operator(request)
        query(request)
        return person
