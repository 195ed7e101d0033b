"""The daily check list: what was, what is, and what is left to do."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.cli_checklist import CSV_COLUMNS, SHOWN, as_json, as_rows, lines
from gateway.cli_todo import Found, to_do

AT = 1_800_000_000.0

DAY: dict[str, Any] = {
    "day": "2027-01-15", "wallet": "main", "backend": "ec-2", "elapsed": 86_400.0, "watched": 86_000.0,
    "available": 85_000.0, "share": 0.988372, "met": False, "stood_still": 3.0, "not_running": 397.0,
    "reasons": {"wedged": 900.0, "restarting": 100.0},
}  # fmt: skip
WALLET = {**DAY, "backend": "", "available": 86_000.0, "share": 0.9989999, "met": True, "reasons": {}}

INCIDENT: dict[str, Any] = {
    "opened_at": AT - 500.0, "closed_at": AT - 300.0, "severity": "warning", "kind": "out_of_service",
    "title": "ec-2 is out of service: silent", "seconds": 200.0, "times": 3, "wallet": "main", "backend": "ec-2",
}  # fmt: skip
RESTART: dict[str, Any] = {
    "began_at": AT - 500.0, "wallet": "main", "backend": "ec-2", "cause": "wedged", "by": "gateway",
    "reason": "silent", "outcome": "failed", "step": "start", "seconds": 33.0,
}  # fmt: skip
ORDER: dict[str, Any] = {
    "who": "kim", "by": "session", "at": AT, "wallet": "main", "backend": "ec-2", "verb": "restart", "answer": "done",
}  # fmt: skip
OUTCOME: dict[str, Any] = {
    "opened_at": AT - 500.0, "wallet": "main", "backend": "ec-2", "method": "payto", "client": "shop", "id": "call-7",
    "note": "",
}  # fmt: skip
ALERT: dict[str, Any] = {
    "severity": "critical", "title": "no daemon serves", "text": "main answers nothing", "kind": "all_down",
    "since": AT, "wallet": "main", "backend": "",
}  # fmt: skip

QUIET = Found(since=AT - 30 * 86_400.0, at=AT, source="the gateway at http://x", alerts=(), findings=())

BUSY = replace(
    QUIET, whole=[WALLET, DAY], days=[WALLET, DAY], incidents=[INCIDENT], restarts=[RESTART], orders=[ORDER],
    outcomes=[OUTCOME], alerts=[ALERT], standing=[("main", "ec-3", "drain"), ("main", "ec-1", "hold")],
    findings=["5 addresses have a prefix"], not_ready={"main": ["ec-1: dead"], "other": []},
)  # fmt: skip


def test_a_quiet_month_is_told_in_a_few_lines_and_leaves_nothing_to_do() -> None:
    """Nothing is passed over: what there is none of is said to be none."""
    text = "\n".join(lines(QUIET))
    assert text.startswith("ec-gateway report: 30 d until 2027-01-15 08:00 UTC, from the gateway at http://x\n")
    for words in ("INCIDENTS: none", "RESTARTS: none", "ORDERS: none", "UNRESOLVED OUTCOMES: none",
                  "OPEN ALERTS: none", "LEDGER CHECK: ok", "LEFT TO DO: nothing", "nothing was watched"):  # fmt: skip
        assert words in text


def test_what_is_below_the_target_says_by_what_and_on_which_days() -> None:
    """Cut and not rounded: 99.8999 % is not told as the target."""
    text = "\n".join(lines(BUSY))
    assert "98.837 %   NO" in text
    assert "99.899 %   yes" in text
    assert "wedged 15 min, restarting 100 s" in text
    assert "2027-01-15" in text
    assert "not running 7 min, stood still 3.0 s" in text


def test_what_happened_several_times_is_not_said_to_have_lasted() -> None:
    """A daemon that comes back every half minute was not out all night."""
    rows = [INCIDENT, {**INCIDENT, "closed_at": None}, {**INCIDENT, "times": 1}]
    text = "\n".join(lines(replace(QUIET, incidents=rows)))
    assert text.count("ec-2 is out of service: silent (3 times within 3 min)") == 1
    assert "silent (open, 3 times within 3 min so far)" in text
    assert "silent (lasted 3 min)" in text


def test_with_several_wallets_each_line_says_of_which_it_is() -> None:
    """There may be an ec-2 in each of them."""
    several = replace(
        BUSY, not_ready={"main": [], "shop": []}, alerts=[{**ALERT, "wallet": "shop", "text": "it answers nothing"}]
    )
    assert "main / ec-2 is out of service: silent" in "\n".join(lines(several))
    assert to_do(several)[0].startswith("critical: shop: no daemon serves: it answers nothing")


def test_an_alert_that_is_over_is_nothing_to_do_and_is_counted_as_such() -> None:
    """It is closed in a moment, if it does not come back."""
    over = replace(QUIET, alerts=[{**ALERT, "quiet_since": AT}])
    assert to_do(over) == []
    assert "OPEN ALERTS: 1 (1 over by now, and still watched)" in lines(over)


def test_a_gateway_that_does_not_answer_is_the_first_thing() -> None:
    """What was open when it was last seen is all that is known, and the check of the ledger says what it lacks."""
    away = replace(
        QUIET, away="refused", alerts=None, outcomes=None, findings=None, unlooked="the disk is gone",
        is_complete=False,
        incidents=[{**INCIDENT, "closed_at": None}, {**INCIDENT, "closed_at": None, "severity": "info"}],
    )  # fmt: skip
    text = "\n".join(lines(away))
    for words in ("NO GATEWAY ANSWERS: refused", "the history is not complete", "OPEN ALERTS: could not",
                  "UNRESOLVED OUTCOMES: could not", "LEDGER CHECK: not done (the disk is gone)", "2 open"):  # fmt: skip
        assert words in text
    first, second, *rest = to_do(away)
    assert first == "start the gateway, or see why it does not answer: refused"
    assert second.endswith("ec-2 is out of service: silent")
    assert [one.partition(" ")[0] for one in rest] == ["give"]


def test_long_lists_are_cut_for_people_alone() -> None:
    """A program gets all of them."""
    many = replace(QUIET, incidents=[INCIDENT] * (SHOWN + 5), orders=[{**ORDER, "who": f"p{n}"} for n in range(5)])
    text = "\n".join(lines(many))
    assert "and 5 more" in text
    assert "ORDERS: 5 (by p0, p1, p2 and 2 more)" in text
    found = as_json(many)["incidents"]
    assert isinstance(found, list)
    assert len(found) == SHOWN + 5


def test_rows_that_had_no_room_are_told_of() -> None:
    """Under each kind, with the question for them; and to programs and in tables as well."""
    cut = replace(BUSY, more={"incidents": 1_799_999_500, "audit": 1_799_999_600})
    text = "\n".join(lines(cut))
    begin = int(AT) - 30 * 86_400
    assert "INCIDENTS: more than 1; of the newest (1 warning)" in text
    assert f"  there are older ones: GET /api/v1/incidents?since={begin}&until=1799999500" in text
    assert "ORDERS: more than 1; of the newest (by kim)" in text
    assert f"GET /api/v1/audit?since={begin}&until=1799999600" in text
    assert "RESTARTS: 1 (1 failed)" in text
    assert as_json(cut)["more"] == {"incidents": True, "restarts": False, "audit": True}
    assert [row[0] for row in as_rows(cut) if row[4] == "older"] == ["incident", "order"]


def test_a_terminal_is_not_steered() -> None:
    """Whatever a daemon or a person wrote."""
    evil = replace(
        BUSY, incidents=[{**INCIDENT, "title": "\x1b[2J"}], restarts=[{**RESTART, "reason": "\x1b[2J"}],
        alerts=[{**ALERT, "text": "\x1b[2J"}],
    )  # fmt: skip
    assert "\x1b" not in "\n".join(lines(evil))


def test_the_table_has_a_row_for_everything() -> None:
    """Of as many cells as there are columns."""
    rows = list(as_rows(BUSY))
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    parts = {str(row[0]) for row in rows}
    assert parts == {"availability", "incident", "restart", "order", "outcome", "alert", "ledger", "to do"}


@pytest.mark.parametrize(("found", "to_be"), [(QUIET, True), (replace(QUIET, away="refused"), False)])
def test_a_program_is_told_whether_a_gateway_answers(found: Found, *, to_be: bool) -> None:
    """And what is left to do, in the same words."""
    told = as_json(found)
    assert told["gateway_answers"] is to_be
    assert told["to_do"] == to_do(found)
