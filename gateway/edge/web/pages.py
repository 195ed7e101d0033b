"""Answers browsers: the status page, the pages that ask before an order is given, and the files they need.

Rule: a page is complete without a script.  Nothing is ordered by a link: an order is a form of ours with the session's
CSRF token in it, sent from here, by an operator; everybody else is shown no button and refused.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from gateway.base.errors import OrderError
from gateway.base.people import Person
from gateway.edge.admin_access import Refused
from gateway.edge.admin_api import AdminApi
from gateway.edge.forms import read_form
from gateway.edge.origins import peer_of
from gateway.edge.sign_in import sign_in_path
from gateway.edge.web.asking import Asking
from gateway.edge.web.assets import PREFIX as STATIC
from gateway.edge.web.assets import Assets, takes_gzip
from gateway.edge.web.drawing import Drawing, pack
from gateway.edge.web.frame import Frame, about, choice
from gateway.edge.web.headline import headline, with_names
from gateway.edge.web.lists import SHOWN, alerts_view, audit_view, incidents_view, older, outcomes_view, unread
from gateway.edge.web.order_forms import MAX_REASON, OrderForm, find
from gateway.edge.web.shared import Drawn, Shared, spread
from gateway.edge.web.views import wallet_view

if TYPE_CHECKING:
    from markupsafe import Markup

WORDS = "/words"
"""Where an open page fetches its words anew; `?since=` is the moment that they must not be older than."""

OURS = (STATIC, "/orders/", "/outcomes/", "/switches/")
"""How paths begin that are answered here, beside those two."""

LISTED = 50
"""Incidents and orders on the page; the API has all of them."""

TOLD = 100
"""Answers to orders that wait for their page."""


class Pages:
    """The pages of one gateway.

    Args:
        api: what they show, and who carries out what they order.
    """

    def __init__(self, api: AdminApi) -> None:
        """Have drawn nothing."""
        self.api = api
        self.assets = Assets()
        self.drawing = Drawing(self.assets)
        self.shared = Shared(api.access.now, time.time)
        self._asking = Asking(api, LISTED, api.access.now)
        self._lock = asyncio.Lock()
        self._is_warm = False
        self._told: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Answers to orders, and when they were given."""

    async def warm(self, path: str) -> None:
        """Get ready for a request, in a thread where that takes long: once, and only when somebody wants a page."""
        if self._is_warm or not (path in ("/", WORDS, "/sign-in") or path.startswith(OURS)):
            return
        async with self._lock:
            if not self._is_warm:
                await asyncio.to_thread(self.drawing.warm)
                self._is_warm = True

    async def handle(self, request: web.BaseRequest) -> web.Response | None:
        """Answer a request for a page, None for any other.  Raises Refused."""
        path = request.path
        if path.startswith(STATIC):
            _only(request, "GET", "HEAD")
            return self.assets.answer(request)
        if path not in ("/", WORDS) and not path.startswith(OURS):
            return None
        # a name may hold what stands in a path with percent signs, a slash as well
        parts = [unquote(part) for part in request.rel_url.raw_path.split("/")[1:]]
        is_look = request.method in ("GET", "HEAD")
        self.api.access.see_where_from(request, is_page=is_look)
        frame = Frame.of(request, self.api)
        if is_look and (chosen := choice(request)) is not None:
            return chosen
        if frame.person is None:
            return web.Response(status=303, headers={"Location": sign_in_path("/" if path == WORDS else path)})
        if path in ("/", WORDS):
            _only(request, "GET", "HEAD")
            return await (self._status if path == "/" else self._words)(request, frame)
        _only(request, "GET", "HEAD", "POST")
        return await self._order(request, frame, frame.person, parts)

    def sign_in(self, request: web.BaseRequest, error: str, goal: str) -> bytes:
        """Return the page to sign in; as `gateway.edge.sign_in.Page`."""
        frame = Frame.of(request, self.api, is_known=False)
        key = f"sign_in.{error}"
        said = frame.words.text(key) if key in frame.words.texts else error
        return self.drawing.page("sign_in.html", frame.words, frame.now, error=said, next=goal, **frame.named)

    # -- looking --------------------------------------------------------------------------------------------------

    async def _status(self, request: web.BaseRequest, frame: Frame) -> web.Response:
        told = self._told.get(request.query.get("told", ""))
        # the answer to an order is told beside what has come of it
        drawn = await self._main(frame, frame.now if told else 0.0)
        page = self.drawing.page(
            "status.html", frame.words, frame.now, told=told and {"text": told[0], "at": told[1]},
            script_words=frame.script_words, **{**frame.named, **drawn.named},
        )  # fmt: skip
        return _html(request, page)

    async def _words(self, request: web.BaseRequest, frame: Frame) -> web.Response:
        """Answer an open page, which has all the rest: from what is packed already."""
        try:
            since = float(request.query.get("since", "0"))
        except ValueError:
            since = 0.0
        drawn = await self._main(frame, since)
        return _html(request, drawn.plain, packed=drawn.packed)

    async def _main(self, frame: Frame, since: float) -> Drawn:
        """Return the part of the status page that is the same for all who speak a language and may do the same."""
        return await self.shared.get((frame.words.lang, frame.may_order), since, lambda at: self._draw(frame, at))

    async def _draw(self, frame: Frame, at: float) -> Drawn:
        lists = await self._asking.lists()
        # after what takes time, so that nothing on the page is older than its moment says
        snapshot: Mapping[str, Any] = with_names(self.api.snapshot())
        words, now, may_order = frame.words, float(snapshot["time"]), frame.may_order
        head = headline(snapshot, words)
        main: Markup = self.drawing.part(
            "main.html", words, now,
            head=head,
            alerts=alerts_view(snapshot, words),
            wallets=[
                wallet_view(name, wallet, words, snapshot, may_order=may_order)
                for name, wallet in snapshot["wallets"].items()
            ],
            outcomes=outcomes_view(lists["outcomes"].rows or [], may_order=may_order, words=words),
            incidents=incidents_view(lists["incidents"].rows or [], words, now, snapshot["wallets"]),
            audit=audit_view(lists["audit"].rows or [], words),
            unread={name: unread(name, known, words, now) for name, known in lists.items()},
            older={name: older(name, known) for name, known in lists.items()},
            warnings=[str(one) for one in snapshot.get("warnings") or ()],
            shown=SHOWN,
        )  # fmt: skip
        named = {
            **about(snapshot), "main": main, "title": head.short, "icon": head.tone.word, "time": at,
            "spread": spread(len(self.api.stream.listeners)),
        }  # fmt: skip
        plain = self.drawing.page("words.html", words, now, **named)
        return Drawn(named, plain, pack(plain))

    # -- ordering -------------------------------------------------------------------------------------------------

    async def _order(self, request: web.BaseRequest, frame: Frame, person: Person, parts: list[str]) -> web.Response:
        """Show a form, or take one."""
        if not frame.may_order:
            return self._trouble(request, frame, "order.forbidden", 403)
        outcomes = await self.api.outcomes() if parts[0] == "outcomes" else []
        snapshot = self.api.snapshot()
        frame.named.update(about(snapshot))
        order = find(parts, snapshot, outcomes, frame.words)
        if order is None:
            return self._trouble(request, frame, "order.gone", 404)
        if request.method != "POST":
            return self._form(request, frame, order)
        fields = await read_form(request)
        reason = fields.get("reason", "").strip()
        try:
            self.api.access.see_order(request, person, fields.get("csrf", ""))
        except Refused as refused:
            return self._form(request, frame, order, frame.words.text("order.expired"), refused.status)
        if len(reason) > MAX_REASON or not reason.isprintable():
            return self._form(request, frame, order, frame.words.text("order.too_long", n=MAX_REASON), 400)
        if order.asks_executed and fields.get("executed") not in ("0", "1"):
            return self._form(request, frame, order, frame.words.text("order.pick"), 400, reason)
        try:
            answer = await order.give(self.api, person, fields, reason, peer_of(request))
        except OrderError as error:
            return self._failed(request, frame, order, str(error), 409, reason)
        except Refused as refused:
            return self._failed(request, frame, order, refused.detail, refused.status, reason)
        self.shared.forget()
        return web.Response(status=303, headers={"Location": f"/?told={self._keep(frame, order, answer, fields)}"})

    def _failed(
        self, request: web.BaseRequest, frame: Frame, order: OrderForm, why: str, status: int, reason: str
    ) -> web.Response:
        said = frame.words.text("order.failed", why=frame.words.say(why))
        return self._form(request, frame, order, said, status, reason)

    def _keep(self, frame: Frame, order: OrderForm, answer: str, fields: Mapping[str, str]) -> str:
        """Keep an answer until its page is drawn; return what it is asked for by."""
        name = secrets.token_urlsafe(9)
        said = order.past.get(fields.get("on", "")) or frame.words.say(answer)
        if order.place:
            said = frame.words.text("order.at", place=order.place, answer=said)
        self._told[name] = (frame.words.text("order.done", answer=said), frame.now)
        while len(self._told) > TOLD:
            self._told.popitem(last=False)
        return name

    def _form(
        self, request: web.BaseRequest, frame: Frame, order: OrderForm, error: str = "", status: int = 200,
        reason: str = "",
    ) -> web.Response:  # fmt: skip
        page = self.drawing.page(
            "order.html", frame.words, frame.now, order=order, error=error, reason=reason, csrf=frame.csrf,
            max_reason=MAX_REASON, **frame.named,
        )  # fmt: skip
        return _html(request, page, status)

    def _trouble(self, request: web.BaseRequest, frame: Frame, key: str, status: int) -> web.Response:
        page = self.drawing.page(
            "trouble.html", frame.words, frame.now, error=frame.words.text(key), **frame.named
        )  # fmt: skip
        return _html(request, page, status)


def _only(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405, f"this takes {' and '.join(methods)}", {"Allow": ", ".join(methods)})


def _html(request: web.BaseRequest, page: bytes, status: int = 200, packed: bytes = b"") -> web.Response:
    headers = {"Vary": "Accept-Encoding, Accept-Language, Cookie"}
    if takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        page = packed or pack(page)
    return web.Response(body=page, status=status, headers=headers, content_type="text/html", charset="utf-8")
