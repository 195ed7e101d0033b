"""The lists of the page."""

from gateway.edge.web import lists
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
    """The newest first; one that goes on has no end; in Korean as far as it is known."""
    found = lists.incidents_view(INCIDENTS, EN, AT)
    assert [one["is_open"] for one in found] == [True, False]
    assert found[1]["lasted"] == "lasted 16 min"
    assert found[0]["title"] == "ec-1 is out of service: silent"
    korean = lists.incidents_view(INCIDENTS, KO, AT)
    assert korean[1]["title"] == "ec-2: 메모리 사용량이 많습니다: ec-2: 허용된 메모리의 84%를 사용하고 있습니다"
    assert korean[0]["done"][0]["text"] == "서비스에서 제외하고 호출을 다른 데몬으로 보냄(응답 없음)"
    assert lists.incidents_view([{}], EN, AT)[0]["lasted"] == "lasted 0 s"


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
    (refused,) = lists.audit_view([{"verb": "", "outcome": "refused", "answer": "wrong token", "who": ""}], EN)
    assert (refused["verb"], refused["answer"]) == ("an order was refused", "wrong token")
    (bare,) = lists.audit_view([{"verb": "dance"}], EN)
    assert (bare["who"], bare["verb"]) == ("somebody", "dance")
