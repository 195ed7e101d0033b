"""The lists of the page."""

from gateway.edge.web import lists
from gateway.edge.web.asking import Known
from gateway.edge.web.words import words
from tests.edge.web.world import AT, AUDIT, INCIDENTS, OUTCOMES, alert, snapshot

EN, KO = words("en"), words("ko")


def test_alerts_stand_by_loudness_with_what_to_do() -> None:
    """The loudest first, each with its chapter; one that is not known here has no chapter to promise."""
    found = lists.alerts_view(
        snapshot(alerts=[alert("brand_new", since=1.0), alert("stuck", severity="critical", backend="ec-1")]), EN
    )
    assert [one["title"] for one in found] == ["ec-1 does not answer", "main: a title"]
    assert found[0]["docs"] == "docs/alerts.md#stuck"
    assert (found[1]["todo"], found[1]["docs"]) == ("", "")


def test_incidents_tell_what_was_done_and_how_long_it_took() -> None:
    """What goes on, then the newest first; one that goes on has no end; in Korean as far as it is known."""
    found = lists.incidents_view(INCIDENTS, EN, AT)
    assert [one["is_open"] for one in found] == [True, False]
    assert found[1]["lasted"] == "lasted 16 min"
    assert found[0]["title"] == "ec-1 is out of service: silent"
    korean = lists.incidents_view(INCIDENTS, KO, AT)
    assert korean[1]["title"] == "ec-2: 메모리 사용량이 많습니다: ec-2: 허용된 메모리의 84%를 사용하고 있습니다"
    assert korean[0]["done"][0]["text"] == "서비스에서 제외하고 호출을 다른 데몬으로 보냄(응답 없음)"
    assert lists.incidents_view([{}], EN, AT)[0]["lasted"] == "lasted under 1 s"
    newer = {"opened_at": AT + 9.0, "closed_at": AT + 10.0}
    assert [one["is_open"] for one in lists.incidents_view([newer, *INCIDENTS], EN, AT)] == [True, False, False]


def test_what_took_less_than_a_second_did_not_take_none() -> None:
    """And a takeover, which is but a moment, lasted for no time at all."""
    short = {**INCIDENTS[1], "seconds": 0.98}
    assert lists.incidents_view([short], EN, AT)[0]["lasted"] == "lasted under 1 s"
    assert lists.incidents_view([short], KO, AT)[0]["lasted"] == "1초 미만 동안 지속"
    twice = {**short, "times": 2}
    assert lists.incidents_view([twice], EN, AT)[0]["lasted"] == "2 times within 1 s"
    assert lists.incidents_view([twice], KO, AT)[0]["lasted"] == "1초 동안 2회 발생"
    taken = {**short, "kind": "taken_over", "title": "gw-2 took the wallet main over from gw-1", "seconds": 0.0}
    for spoken in (EN, KO):
        assert lists.incidents_view([taken], spoken, AT)[0]["lasted"] == ""


def test_a_list_says_where_its_older_entries_are() -> None:
    """Behind the newest that are over, for what is open is told however old it is."""
    rows: list[dict[str, object]] = [{"opened_at": 5.0, "closed_at": None}, {"opened_at": 90.5, "closed_at": 91.0}]
    assert lists.older("incidents", Known(rows, has_more=True)) == "/api/v1/incidents?since=0&until=91"
    assert lists.older("incidents", Known(rows)) == lists.older("incidents", Known(None)) == ""


def test_what_happened_several_times_is_not_said_to_have_lasted() -> None:
    """A daemon that was out twice for a moment was not out for all of the time between."""
    twice = {**INCIDENTS[1], "times": 2, "seconds": 28.168}
    assert lists.incidents_view([twice], EN, AT)[0]["lasted"] == "2 times within 28 s"
    assert lists.incidents_view([twice], KO, AT)[0]["lasted"] == "28초 동안 2회 발생"
    night = {**INCIDENTS[0], "times": 1_150, "seconds": 28_800.0}
    assert lists.incidents_view([night], EN, AT)[0]["so_far"] == "1,150 times so far"
    once = lists.incidents_view([{**INCIDENTS[0], "times": 1}], EN, AT)[0]
    assert (once["so_far"], once["lasted"]) == ("", "lasted 4 min")


def test_with_several_wallets_an_incident_says_of_which_it_is() -> None:
    """Also of one that is gone by now; what is of the gateway is of none."""
    stood = {"wallet": "", "backend": "", "title": "the gateway stood still", "opened_at": AT - 99_000.0}
    stood["closed_at"] = AT - 98_999.0
    whole = {**INCIDENTS[1], "backend": "", "kind": "brand_new", "title": "a new thing", "opened_at": AT - 95_000.0}
    rows = [*INCIDENTS, whole, stood]
    titles = [one["title"] for one in lists.incidents_view(rows, EN, AT, ["main", "shop"])]
    assert titles[0] == "main / ec-1 is out of service: silent"
    assert titles[1].startswith("main / ec-2: a daemon takes much memory: ec-2 takes 84%")
    assert titles[2:] == ["main: a new thing", "the gateway stood still"]
    korean = [one["title"] for one in lists.incidents_view(rows, KO, AT, ["main", "shop"])]
    assert korean[0] == "main / ec-1: 서비스 제외(응답 없음)"
    assert korean[1].startswith("main / ec-2: 메모리 사용량이 많습니다")
    gone = [*INCIDENTS, {**INCIDENTS[1], "wallet": "gone", "opened_at": 1.0}]
    assert lists.incidents_view(gone, EN, AT, ["main"])[0]["title"].startswith("main / ec-1")


def test_outcomes_can_be_resolved_by_who_may_order() -> None:
    """By a page that asks what was found."""
    (one,) = lists.outcomes_view([{**OUTCOMES[0], "note": " (request r1)"}], may_order=True, words=EN)
    assert one["note"] == "(request r1)"
    assert one["resolve"].href == "/outcomes/main/call-17/resolve"
    assert lists.outcomes_view(OUTCOMES, may_order=False, words=EN)[0]["resolve"] is None


def test_the_audit_trail_says_who_did_what() -> None:
    """Orders by their names, switches too, and who came through an open door is nobody in particular."""
    first, second = lists.audit_view(AUDIT, EN)
    assert (first["who"], first["verb"], first["place"]) == ("anna", "Hold", "main / ec-3")
    assert (second["who"], second["verb"]) == ("somebody at the open door", "Freeze")
    off = [{"verb": "switch freeze off"}]
    assert [lists.audit_view(off, spoken)[0]["verb"] for spoken in (EN, KO)] == ["Freeze off", "정지 끔"]
    (refused,) = lists.audit_view([{"verb": "", "outcome": "refused", "answer": "wrong token", "who": ""}], EN)
    assert (refused["verb"], refused["answer"]) == ("an order was refused", "wrong token")
    (bare,) = lists.audit_view([{"verb": "dance"}], EN)
    assert (bare["who"], bare["verb"]) == ("somebody", "dance")
