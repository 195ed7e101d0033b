"""What operators are told of the past: incidents, availability, restarts and orders, as JSON or as a table (CSV).

Rule: it only reads, and no more than a bounded number of rows; a cell that a spreadsheet might run is defused, for a
daemon's words and a person's reasons stand in some.
"""

import csv
import io
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.base.moments import MomentError, read_moment
from gateway.edge.admin_access import Refused
from gateway.edge.admin_requests import json_answer, only, query, whole
from gateway.observe.past import Answer, Past, Span
from gateway.rules.telling import COLUMNS, Row, cells

NAMES = ("incidents", "availability", "restarts", "audit")

DEFAULT_SINCE = "30d"

MOST = 1000
"""Rows of one answer; of availability as many days as the ledger keeps."""

LIMIT = 200
"""Rows where nobody says how many."""

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"


class AdminHistory:
    """Answers questions about the past.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, past: Past, clock: Callable[[], float]) -> None:
        """Keep whom to ask."""
        self.past = past
        self.clock = clock
        self._asks: Mapping[str, Callable[[Span], Awaitable[Answer]]] = {
            "incidents": past.incidents,
            "availability": past.availability,
            "restarts": past.restarts,
            "audit": past.orders,
        }

    async def answer(self, request: web.BaseRequest, what: str) -> web.Response:
        """Answer one of NAMES.  Raises Refused (400, 405)."""
        only(request, "GET", "HEAD")
        given = query(request, "since", "until", "wallet", "limit", "format")
        shape = given.get("format", "json")
        if shape not in ("json", "csv"):
            raise Refused(400, "format is json or csv")
        found = await self._asks[what](self._span(given))
        if shape == "csv":
            return self._table(what, found)
        return json_answer({what: found.rows, "complete": found.complete})

    async def incidents(self, limit: int) -> list[Row]:
        """Return the newest incidents, the newest first."""
        return (await self.past.incidents(self._newest(limit))).rows

    async def audit(self, limit: int) -> list[Row]:
        """Return the newest orders, the newest first."""
        return (await self.past.orders(self._newest(limit))).rows

    def _newest(self, limit: int) -> Span:
        return Span(0.0, self.clock() + 1.0, most=limit)

    def _span(self, given: Mapping[str, str]) -> Span:
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
        return Span(moments["since"], until, given.get("wallet"), whole(given, "limit", LIMIT, 1, MOST))

    def _table(self, what: str, found: Answer) -> web.Response:
        return web.Response(
            body=table(what, found.rows).encode(),
            headers={"Content-Type": CONTENT_TYPE, "Content-Disposition": f'attachment; filename="{what}.csv"'},
        )


def table(what: str, rows: list[Row]) -> str:
    """Return rows as a table with a line of names."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS[what])
    writer.writerows(cells(what, row) for row in rows)
    return written.getvalue()
