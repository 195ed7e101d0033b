"""What operators are told of the past: incidents, availability, restarts and orders, as JSON or as a table (CSV).

Rule: it only reads, and no more than a bounded number of rows; reading, summing up and writing out happen in a thread
that nothing else needs.  A cell that a spreadsheet might run is defused, for a daemon's words and a person's reasons
stand in some.
"""

import csv
import io
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from gateway.base.moments import MomentError, read_moment
from gateway.edge.admin_access import Refused
from gateway.edge.admin_requests import only, query, whole
from gateway.observe.past import Answer, Past, Span
from gateway.observe.reader import BusyError
from gateway.rules.telling import COLUMNS, Row, cells

NAMES = ("incidents", "availability", "restarts", "audit")

DEFAULT_SINCE = "30d"

MOST = 1000
"""Rows of one answer."""

MOST_DAYS = 5_000
"""Rows of an answer about availability, also where nobody says how many: a month of 150 wallets and backends."""

LIMIT = 200
"""Rows where nobody says how many."""

BUSY = "others ask for the history just now; ask again in a moment, or for less at once by since, until and wallet"

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"

MORE = "X-More"
"""The header that says whether there are older rows; a table has no other place for it."""


class AdminHistory:
    """Answers questions about the past.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, past: Past, clock: Callable[[], float]) -> None:
        """Keep whom to ask."""
        self.past = past
        self.clock = clock

    async def answer(self, request: web.BaseRequest, what: str) -> web.Response:
        """Answer one of NAMES.  Raises Refused (400, 405, 503)."""
        only(request, "GET", "HEAD")
        given = query(request, "since", "until", "wallet", "limit", "format")
        shape = given.get("format", "json")
        if shape not in ("json", "csv"):
            raise Refused(400, "format is json or csv")
        written = _as_table if shape == "csv" else _as_json
        try:
            # no row comes back to the loop, which would have thousands of them to let go of
            body, has_more, part = await self.past.ask(
                what, self._span(what, given), lambda found: (written(what, found), found.has_more, _part(found))
            )
        except BusyError:
            raise Refused(503, BUSY, {"Retry-After": "2"}) from None
        headers = {MORE: "true" if has_more else "false"}
        if shape == "json":
            return web.Response(body=body, content_type="application/json", headers=headers)
        headers |= {"Content-Type": CONTENT_TYPE, "Content-Disposition": f'attachment; filename="{what}{part}.csv"'}
        return web.Response(body=body, headers=headers)

    def moments(self, wallet: str, shown: Mapping[str, object]) -> dict[str, object]:
        """Return what is shown of a wallet beside what a snapshot has of it: since when it is so."""
        return self.past.moments.of(wallet, shown)

    async def incidents(self, limit: int) -> Answer:
        """Return the newest incidents and those that are open, which come first.  Raises Refused (503)."""
        return await self._for_page(self.past.incidents, limit)

    async def audit(self, limit: int) -> Answer:
        """Return the newest orders, the newest first.  Raises Refused (503)."""
        return await self._for_page(self.past.orders, limit)

    async def _for_page(self, ask: Callable[[Span], Awaitable[Answer]], limit: int) -> Answer:
        try:
            return await ask(self._newest(limit))
        except BusyError:
            raise Refused(503, BUSY, {"Retry-After": "2"}) from None

    def _newest(self, limit: int) -> Span:
        return Span(0.0, self.clock() + 1.0, most=limit)

    def _span(self, what: str, given: Mapping[str, str]) -> Span:
        """Return what is asked for.  Raises Refused (400)."""
        now = self.clock()
        moments = {}
        for name, default in (("since", DEFAULT_SINCE), ("until", "0s")):
            try:
                moments[name] = read_moment(given.get(name, default), now)
            except MomentError as error:
                raise Refused(400, f"{name} is no moment; {error}") from None
        # what begins in this very second is asked for as well
        until = moments["until"] + (0.0 if "until" in given else 1.0)
        usual, bound = (MOST_DAYS, MOST_DAYS) if what == "availability" else (LIMIT, MOST)
        return Span(moments["since"], until, given.get("wallet"), whole(given, "limit", usual, 1, bound))


def _as_json(what: str, found: Answer) -> bytes:
    said: dict[str, object] = {
        what: found.rows, "complete": found.complete, "incomplete_because": found.why, "more": found.has_more
    }  # fmt: skip
    if what == "availability":
        said["first_day"] = found.cut
    return msgspec.json.encode(said) + b"\n"


def _as_table(what: str, found: Answer) -> bytes:
    return table(what, found.rows).encode()


def _part(found: Answer) -> str:
    """Return what the name of a file says to who reads it later: that it is not all, and where it begins."""
    if found.cut:
        return f"-from-{found.cut}"
    return f"-newest-{len(found.rows)}" if found.has_more else ""


def table(what: str, rows: list[Row]) -> str:
    """Return rows as a table with a line of names."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS[what])
    writer.writerows(cells(what, row) for row in rows)
    return written.getvalue()
