"""What operators are told of the past, as JSON and as a table that no spreadsheet runs."""

import asyncio
import csv
import io
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.edge.admin_access import Refused
from gateway.edge.admin_history import NAMES, AdminHistory
from gateway.edge.openapi import PATHS
from gateway.observe.past import Past
from gateway.observe.reader import BusyError
from gateway.rules.availability import DAY, Count
from gateway.rules.deeds import Order, Restart
from gateway.rules.stories import Incident, Line
from gateway.rules.telling import COLUMNS, day_of

NOW = 1_800_000_000.0
TODAY = int(NOW // DAY)

EVIL = '=HYPERLINK("http://x")'


def history() -> AdminHistory:
    """One row of each kind, of main; words that a spreadsheet would run."""
    past = Past("gw-1", lambda: NOW)
    past.keep(Incident("i", "out_of_service", "warning", "main", "ec-1", EVIL, NOW - 90.0, None, (Line(NOW, "+1"),)))
    past.keep(Restart("r", "main", "ec-1", "dead", EVIL, "@kim", NOW - 80.0, NOW - 70.0, "done"))
    past.keep(
        Order("o", NOW - 60.0, "kim", "session", "10.0.0.9:4", "main", "ec-1", "drain", "-new disk", "done", EVIL)
    )
    begun = TODAY * DAY
    past.totals = {(TODAY, "main", ""): Count(NOW - begun - 10.0, NOW - begun - 20.0, 4.0, begun, NOW, {"dead": 10.0})}
    return AdminHistory(past, lambda: NOW)


def asked(path: str, method: str = "GET") -> web.Response:
    """Ask; the path is that behind /api/v1/."""
    request = make_mocked_request(method, f"/api/v1/{path}")
    response = run(history().answer(request, path.partition("?")[0]))
    assert isinstance(response, web.Response)
    return response


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Do something."""
    return asyncio.run(work)


def body(response: web.Response) -> bytes:
    """The bytes of an answer."""
    assert isinstance(response.body, bytes)
    return response.body


@pytest.mark.parametrize("name", NAMES)
def test_each_answers_with_its_rows_and_says_whether_they_are_all(name: str) -> None:
    """Without a ledger they are not."""
    response = asked(name)
    found = json.loads(body(response))
    assert (len(found[name]), found["complete"]) == (1, False)
    assert response.content_type == "application/json"
    assert set(COLUMNS[name]) <= set(found[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_table_whose_cells_are_text(name: str) -> None:
    """Read back it has a line of names and one of values, and none of these begins a formula."""
    response = asked(f"{name}?format=csv")
    names, row = list(csv.reader(io.StringIO(body(response).decode())))
    assert names == list(COLUMNS[name])
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in row)
    assert response.content_type == "text/csv"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'


def test_a_day_says_what_is_missing_and_whether_that_is_too_much() -> None:
    """The seconds of every kind, and the share of those that were watched."""
    (day,) = json.loads(body(asked("availability")))["availability"]
    assert (day["met"], day["stood_still"], day["not_running"], day["reasons"]) == (True, 4.0, 6.0, {"dead": 10.0})
    assert day["share"] < 1.0


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("since=60s", 1),
        ("until=60s", 1),
        ("until=2h", 0),
        ("since=2020-01-01&until=2026-01-01T00:00:00Z", 0),
        ("wallet=main", 1),
        ("wallet=tea", 0),
        ("limit=1", 1),
    ],
)
def test_a_time_and_a_wallet_may_be_named(query: str, count: int) -> None:
    """What lasts counts for all of the time that it lasts."""
    assert len(json.loads(body(asked(f"incidents?{query}")))["incidents"]) == count


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=yesterday", "since is no moment"),
        ("until=tea", "until is no moment"),
        ("format=xml", "json or csv"),
        ("limit=0", "limit"),
        ("limit=9999999", "limit"),
        ("tea=1", "not known"),
        ("since=1d&since=2d", "twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(query: str, words: str) -> None:
    """As every other mistake."""
    with pytest.raises(Refused, match=words) as caught:
        asked(f"incidents?{query}")
    assert caught.value.status == 400


async def test_too_many_who_ask_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs and pages, with a moment to wait; nobody else is kept waiting for them."""
    one = history()

    async def busy(*_: object, **__: object) -> None:
        raise BusyError("two wait")

    for reader in (one.past.reader, one.past.light_reader):
        monkeypatch.setattr(reader, "look", busy)
    asks = (one.answer(make_mocked_request("GET", "/api/v1/audit"), "audit"), one.incidents(5), one.audit(5))
    for ask in asks:
        with pytest.raises(Refused) as caught:
            await ask
        assert caught.value.status == 503
        assert caught.value.headers == {"Retry-After": "2"}


def test_an_answer_that_was_cut_says_where() -> None:
    """In the JSON, and in the name of the file that somebody reads later."""
    found = json.loads(body(asked("availability?limit=1")))
    assert (found["first_day"], found["incomplete_because"]) == ("", "no_ledger")
    one = history()
    one.past.totals = {(TODAY - n, "main", ""): Count(60.0, 60.0, first_at=(TODAY - n) * DAY) for n in range(3)}
    found, table = (
        run(one.answer(make_mocked_request("GET", f"/api/v1/availability?limit=2{more}"), "availability"))
        for more in ("", "&format=csv")
    )
    first = day_of(TODAY - 1)
    assert json.loads(body(found))["first_day"] == first
    assert table.headers["Content-Disposition"] == f'attachment; filename="availability-from-{first}.csv"'


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_had_no_room_are_told_of(name: str) -> None:
    """In the answer, in a header, and in the name of a table, whose reader sees neither."""
    one = history()
    for n in range(3):
        one.past.keep(Incident(f"i{n}", "stuck", "warning", "main", "", "", NOW - n, NOW))
        one.past.keep(Restart(f"r{n}", "main", "ec-1", "dead", "gone", "gateway", NOW - n))
        one.past.keep(Order(f"o{n}", NOW - n, "kim", "session", "", "main", "", "hold", "", "done", ""))
    one.past.totals = {(TODAY - n, "main", ""): Count(60.0, 60.0, first_at=(TODAY - n) * DAY) for n in range(4)}

    def ask(query: str) -> web.Response:
        return run(one.answer(make_mocked_request("GET", f"/api/v1/{name}?{query}"), name))  # type: ignore[no-any-return]  # asyncio.run

    for limit, has_more in ((2, True), (4, False)):
        found, table = ask(f"limit={limit}"), ask(f"limit={limit}&format=csv")
        said = json.loads(body(found))
        assert (len(said[name]), said["more"]) == (limit, has_more)
        good = PATHS[f"/api/v1/{name}"]["get"]["responses"]["200"]
        assert set(good["content"]["application/json"]["schema"]["required"]) == set(said)
        assert set(good["headers"]) <= set(found.headers)
        assert found.headers["X-More"] == table.headers["X-More"] == str(has_more).lower()
        file = table.headers["Content-Disposition"].partition('"')[2].rstrip('"')
        assert (file == f"{name}.csv") is not has_more
    where = said[name][-1].get("opened_at", said[name][-1].get("began_at"))
    assert where is None or len(json.loads(body(ask(f"until={where}")))[name]) < 4


def test_nothing_is_changed_here() -> None:
    """Other methods are refused."""
    with pytest.raises(Refused) as caught:
        asked("incidents", "POST")
    assert caught.value.status == 405


def test_pages_get_the_newest() -> None:
    """As many as they want."""
    assert [row["id"] for row in run(history().incidents(5)).rows] == ["i"]
    assert [row["id"] for row in run(history().audit(5)).rows] == ["o"]
    assert run(history().incidents(0)).rows == []
