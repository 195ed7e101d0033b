"""The first sentence of the page."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.web.headline import OF_EVERYTHING, OF_ONE, Tone, headline, rank_of, tone_of
from gateway.edge.web.lists import alerts_view
from gateway.edge.web.words import words
from gateway.ledger.files import BACK, SHRUNK
from gateway.ledger.remedies import PUT_BACK
from gateway.rules.health import Kind
from gateway.rules.kinds import ROWS, Severity
from gateway.rules.lifecycle import Phase
from gateway.seats import TWIN
from tests.edge.web.world import AT, alert, backend, sick, snapshot, wallet

EN = words("en")


def test_all_well_is_said_when_it_is_so() -> None:
    """With how many serve, and nothing to do."""
    said = headline(snapshot(), EN)
    assert (said.tone, said.title, said.why) == (Tone.WELL, "All well", "All 3 daemons are in service.")
    assert (said.did, said.todo, said.more) == ((), (), 0)


def test_the_worst_comes_first_with_why_since_when_what_was_done_and_what_is_left() -> None:
    """A critical alert before a warning, and how many more there are."""
    said = headline(sick(), EN)
    assert said.tone is Tone.CRITICAL
    assert said.title == "ec-1 does not answer"
    assert said.why == "ec-1 has accepted or answered nothing for 252 s: silent"
    assert said.since == AT - 240.0
    assert said.did[0] == "Calls go to ec-3."
    assert any("ec-2 is being restarted" in one for one in said.did)
    assert said.todo[0].startswith("The gateway goes round it")
    assert said.more == 2, "the other alert and the unresolved outcome"


def test_a_daemon_that_is_out_is_told_before_any_alert() -> None:
    """Alerts wait for their delay; the page does not."""
    out = backend("ec-2", phase="EJECTED", kind="dead", reason="refuses connections", since=AT - 1, launcher=None)
    said = headline(snapshot(wallet(backend("ec-1"), out)), EN)
    assert (said.tone, said.title) == (Tone.WARNING, "ec-2 is out of service")
    assert said.why == "nobody listens there: refuses connections"
    assert said.did == ("Calls go to ec-1.",)
    assert "it has no launcher" in said.todo[0]


@pytest.mark.parametrize(
    ("changes", "title", "todo"),
    [
        ({"phase": "EJECTED", "kind": "wedged"}, "ec-1 is out of service", "Nothing to do"),
        ({"phase": "EJECTED", "kind": "adrift", "reason": "HTTP 401"}, "ec-1 is out of service", "Correct its user"),
        ({"phase": "RESTARTING", "step": "load"}, "ec-1 is being restarted", "Nothing to do: it is on its way"),
        ({"phase": "WARMING"}, "ec-1 is back, with a small share", "Nothing to do: it is on its way"),
        ({"phase": "FAILED", "kind": "dead"}, "ec-1 is restarted too often", "Look at its own log"),
        ({"drained": True}, "ec-1 is drained", "Undrain it"),
        ({"phase": "EJECTED", "kind": "dead", "drained": True}, "ec-1 is drained", "Undrain it"),
        ({"held": True}, "ec-1 is held: nothing restarts it", "Release it"),
    ],
)
def test_each_state_has_its_sentence_and_its_way_out(changes: dict[str, Any], title: str, todo: str) -> None:
    """Somebody who was asleep knows what to do, or that there is nothing to do."""
    said = headline(snapshot(wallet(backend("ec-1", **changes), backend("ec-2"))), EN)
    assert said.title == title
    assert said.todo[0].startswith(todo)
    assert said.tone > Tone.WELL


def test_where_nobody_serves_it_says_what_becomes_of_calls() -> None:
    """They wait, or are answered errors."""
    said = headline(snapshot(wallet(backend("ec-1", phase="EJECTED", kind="dead"))), EN)
    assert said.did[0].startswith("Nobody takes calls now")


OVER = {"quiet_since": AT - 5.0, "closes_at": AT + 25.0}


def test_what_is_over_is_said_to_be_over_and_is_not_critical_any_more() -> None:
    """An alert is watched for a while before it is closed; daemons that serve are not said to be down meanwhile."""
    shown = snapshot(alerts=[alert("all_down", severity="critical", **OVER)])
    said = headline(shown, EN)
    assert (said.tone, said.title, said.more) == (Tone.WATCH, "Over: main: no daemon serves", 0)
    assert (said.quiet_since, said.closes_at) == (AT - 5.0, AT + 25.0)
    assert (said.did, said.todo) == ((), ("Nothing to do, as long as it stays so.",))
    (one,) = alerts_view(shown, EN)
    assert (one["tone"], one["title"], one["quiet_since"]) == ("watch", said.title, AT - 5.0)
    assert one["todo"] == said.todo[0]
    assert headline(shown, words("ko")).title == "해소됨: main: 운영 중인 데몬이 없습니다"


def test_what_is_over_hides_nothing_that_holds() -> None:
    """Neither another alert, which stands before it in the list, nor a daemon of the same wallet that is out."""
    over = alert("all_down", severity="critical", **OVER)
    out = snapshot(wallet(backend("ec-1"), backend("ec-2", phase="EJECTED", kind="dead")), alerts=[over])
    assert headline(out, EN).title == "ec-2 is out of service"
    both = snapshot(alerts=[over, alert("memory", backend="ec-2")])
    assert (headline(both, EN).title, headline(both, EN).more) == ("ec-2 takes much memory", 1)
    assert [one["tone"] for one in alerts_view(both, EN)] == ["warning", "watch"]
    news = snapshot(alerts=[over, alert("restarted", severity="info", backend="ec-2")])
    assert [one["quiet_since"] for one in alerts_view(news, EN)] == [None, AT - 5.0]


ELSEWHERE = {"wallet": "main", "lease": {"held": False, "holder": "gw-2"}, "not_ready": []}


def test_a_wallet_that_another_gateway_holds_is_not_said_to_be_well() -> None:
    """Nobody knows here how its daemons are; the page that does is named."""
    said = headline(snapshot(ELSEWHERE), EN)
    assert (said.tone, said.title, said.short) == (Tone.WATCH, "gw-2 serves main", "elsewhere")
    assert "that one's own page" in said.why
    unknown = {"wallet": "main", "lease": {"held": False}, "not_ready": []}
    assert headline(snapshot(unknown), EN).title == "Another gateway serves these wallets"
    some = headline(snapshot(wallet(wallet="shop"), ELSEWHERE), EN)
    assert (some.tone, some.short, some.title) == (Tone.WELL, "well", "All well here")
    assert some.why == "All 3 daemons are in service. gw-2 serves main."


STARTING = [backend(f"ec-{n}", phase="STARTING", kind="starting", reason="never answered") for n in (1, 2)]


@pytest.mark.parametrize(("overdue", "tone"), [(False, Tone.WATCH), (True, Tone.WARNING)])
def test_a_wallet_that_takes_no_calls_is_told_and_louder_once_clients_feel_it(overdue: bool, tone: Tone) -> None:  # noqa: FBT001
    """As after a takeover of daemons that are frozen: a start of some seconds is no trouble, one that lasts is."""
    idle = {"not_ready": ["ec-1: never answered", "ec-2: never answered"], "not_ready_since": AT - 8.0}
    said = headline(snapshot(wallet(*STARTING, **idle, overdue=overdue, lease={"held": True})), EN)
    assert (said.tone, said.title, said.since) == (tone, "main takes no calls", AT - 8.0)
    assert said.why == "ec-1: never answered; ec-2: never answered"
    assert said.did[0].startswith("Nobody takes calls now")


@pytest.mark.parametrize(
    "why",
    [
        "ec-1: starting, never answered; ec-2: wedged, silent", "no gateway is known to hold this wallet",
        "this gateway has just taken it over", "gw-2, which holds it, is not reached from here",
        "gw-2, which holds it: ec-1: dead, refuses connections",
        "this gateway has just taken it over, and could not read its ledger so far: database is locked",
        "no backend takes calls at this moment; a probe is under way", "it is being started", TWIN,
        "this gateway cannot take it over: database is locked",
    ],
)  # fmt: skip
def test_why_a_wallet_takes_no_calls_is_said_in_korean(why: str) -> None:
    """All of it; who is woken by it need not read English."""
    assert words("ko").knows(why)
    assert headline(snapshot(wallet(not_ready=[why])), words("ko")).title == "main: 호출을 받지 않습니다"


def test_daemons_that_are_out_are_no_start() -> None:
    """However short it was, nobody takes calls."""
    out = wallet(backend("ec-1", phase="EJECTED", kind="wedged"), not_ready=["ec-1: silent"], overdue=False)
    said = headline(snapshot(out), EN)
    assert (said.tone, said.title, said.more) == (Tone.WARNING, "main takes no calls", 1)
    down = snapshot(out, alerts=[alert("all_down", severity="critical")])
    assert headline(down, EN).more == 0, "its alert says it already"


FROZEN = [backend(f"ec-{n}", phase="EJECTED", kind="wedged", reason="silent", launcher="process") for n in (1, 2)]


@pytest.mark.parametrize(
    ("lang", "waits", "errors"),
    [
        (
            "en",
            ("Nobody takes calls now; they wait.", "Calls wait. Nothing to do for a minute; "),
            ("Nobody takes calls now; they wait, or are answered errors.", "Clients are answered errors by now."),
        ),
        (
            "ko",
            (
                "현재 호출을 받을 데몬이 없습니다. 호출은 대기합니다.",
                "호출은 대기하고 있습니다. 1분 동안은 조치할 것이",
            ),
            (
                "현재 호출을 받을 데몬이 없습니다. 호출은 대기하거나 오류로",
                "클라이언트 호출이 오류로 응답되고 있습니다.",
            ),
        ),
    ],
)
def test_errors_are_said_once_clients_are_answered_them(
    lang: str, waits: tuple[str, str], errors: tuple[str, str]
) -> None:
    """Calls wait for who is frozen or is to be restarted, and are refused at once where nobody is to come."""
    gone = backend("ec-1", phase="EJECTED", kind="dead", launcher=None, expected=False)
    for backends, overdue, (did, todo) in (
        (FROZEN, False, waits), (FROZEN, True, errors),
        ([gone], False, errors), ([{**gone, "expected": True}], False, waits),
    ):  # fmt: skip
        shown = wallet(*backends, not_ready=["ec-1: silent"], overdue=overdue)
        said = headline(snapshot(shown), words(lang))
        assert said.tone is Tone.WARNING
        assert said.did[0].startswith(did)
        assert said.todo[0].startswith(todo)


PROMOTED = {"primary": "ec-2", "promoted": {"backend": "ec-2", "before": "ec-1", "at": AT - 1.0}}


def test_who_became_primary_is_said_first() -> None:
    """It is the most important of what was done about a primary that is out, also in the alert about it."""
    shown = wallet(FROZEN[0], backend("ec-2", primary=True), backend("ec-3"), **PROMOTED)
    assert headline(snapshot(shown), EN).did[:2] == ("Calls go to ec-2, ec-3.", "ec-2 is primary now.")
    assert headline(snapshot(shown), words("ko")).did[1] == "이제 프라이머리는 ec-2 데몬입니다."
    told = snapshot(shown, alerts=[alert("stuck", severity="critical", backend="ec-1")])
    assert "ec-2 is primary now." in headline(told, EN).did
    two = headline(snapshot(shown, wallet(wallet="shop")), EN)
    assert two.did[:2] == ("Calls go to main / ec-2, main / ec-3.", "main / ec-2 is primary now.")


@pytest.mark.parametrize(
    "shown",
    [
        # a standby is out; the one before is in service; the new one is out as well; nothing is known of it
        wallet(backend("ec-1"), backend("ec-2", primary=True), {**FROZEN[0], "name": "ec-3"}, **PROMOTED),
        wallet(backend("ec-1", held=True), backend("ec-2", primary=True), **PROMOTED),
        wallet(FROZEN[0], {**FROZEN[1], "primary": True}, backend("ec-3"), **PROMOTED),
        wallet(FROZEN[0], backend("ec-2", primary=True)), wallet(FROZEN[0], backend("ec-2"), promoted=None),
    ],
)  # fmt: skip
def test_who_is_primary_is_no_news_otherwise(shown: dict[str, Any]) -> None:
    """What was done about another one is not told of this one."""
    assert not any("primary" in one for one in headline(snapshot(shown), EN).did)


@pytest.mark.parametrize(
    ("changes", "is_promised"),
    [
        ({}, True), ({"kind": "dead"}, True), ({"launcher": None}, False), ({"expected": False}, False),
        ({"kind": "adrift"}, False), ({"held": True}, False), ({"drained": True}, False),
    ],
)  # fmt: skip
def test_a_restart_is_told_where_one_is_to_come(changes: dict[str, Any], *, is_promised: bool) -> None:
    """And nowhere else: an operator may have forbidden it, for this daemon or for all."""
    shown = snapshot(wallet({**FROZEN[0], **changes}, backend("ec-2")))
    for lang, said in (("en", "and restarts it if it does not come round."), ("ko", "회복되지 않으면 재시작합니다.")):
        assert headline(shown, words(lang)).todo[0].endswith(said) is is_promised


def test_calls_that_cannot_be_sent_to_the_holder_are_told() -> None:
    """They come to this gateway, and are answered by nobody."""
    cut = {**ELSEWHERE, "not_ready": ["gw-2, which holds it, is not reached from here"], "overdue": True}
    said = headline(snapshot(cut), EN)
    assert (said.tone, said.short) == (Tone.WARNING, "warning")
    assert said.title == "main: calls that come to this gateway are not answered"


def test_with_several_wallets_a_daemon_is_called_by_both_names() -> None:
    """There may be an ec-1 in each of them, and what was done or is left to do is about one of them."""
    out = backend("ec-1", phase="EJECTED", kind="dead", launcher=None)
    shown = snapshot(wallet(), wallet(out, backend("ec-2"), wallet="shop"))
    said = headline(shown, EN)
    assert said.title == "shop / ec-1 is out of service"
    assert said.did == ("Calls go to shop / ec-2.",)
    assert "Start shop / ec-1 as you always did" in said.todo[0]
    told = {**shown, "alerts": [alert("stuck", severity="critical", wallet="shop", backend="ec-1")]}
    assert headline(told, EN).title == "shop / ec-1 does not answer"
    assert headline(told, words("ko")).title == "shop / ec-1: 응답하지 않습니다"
    assert alerts_view(told, EN)[0]["title"] == "shop / ec-1 does not answer"
    of_wallet = {**shown, "alerts": [alert("below_half", wallet="shop")]}
    assert headline(of_wallet, EN).title == "shop: fewer than half of the daemons serve"


def test_news_are_no_trouble() -> None:
    """An alert that only informs is no headline."""
    assert headline(snapshot(alerts=[alert("restarted", severity="info")]), EN).tone is Tone.WELL
    assert headline(snapshot(draining=True), EN).title == "This gateway is stopping"
    assert headline(snapshot(wallet(unresolved=2)), EN).title == "main: the outcomes of 2 calls are not known"


def test_an_alert_that_is_new_here_keeps_its_own_title() -> None:
    """A newer gateway may know kinds that the words do not."""
    said = headline(snapshot(alerts=[alert("brand_new", title="a new thing", severity="critical")]), EN)
    assert said.title == "main: a new thing"


READ_ONLY = alert("read_only", severity="critical", wallet="", since=AT - 9.0, text="nothing is given out")
DOWN = alert("all_down", severity="critical", since=AT - 1.0)
NOT_LOADED = alert("not_loaded", severity="critical", backend="ec-1", since=AT - 900.0)


@pytest.mark.parametrize("alerts", [*permutations([NOT_LOADED, READ_ONLY, DOWN])])
def test_the_worst_is_what_takes_the_most_away_and_not_what_is_oldest(alerts: list[dict[str, Any]]) -> None:
    """No daemon before a ledger before a single daemon, whichever came first; the list of alerts has the same order."""
    shown = snapshot(alerts=list(alerts))
    said = headline(shown, EN)
    assert (said.title, said.more) == ("main: no daemon serves", 2)
    assert [one["title"] for one in alerts_view(shown, EN)] == [
        "main: no daemon serves", "the ledger cannot be written", "ec-1: a wallet cannot be loaded",
    ]  # fmt: skip
    assert headline(snapshot(alerts=[NOT_LOADED, READ_ONLY]), EN).title == "the ledger cannot be written"


def test_loudness_counts_before_the_kind_and_age_after_it() -> None:
    """A warning about everything stands after what is critical about one; of two of a kind the older comes first."""
    half, older = alert("below_half"), {**NOT_LOADED, "backend": "ec-2", "since": AT - 1000.0}
    assert headline(snapshot(alerts=[half, NOT_LOADED, older]), EN).title == "ec-2: a wallet cannot be loaded"


def test_every_kind_of_alert_has_its_rank() -> None:
    """A kind that is new is missed here; one that is not known stands by whom it is about."""
    known = {kind.value for kind, row in ROWS.items() if row.severity is not Severity.INFO}
    assert {*OF_EVERYTHING, *OF_ONE} == known
    assert len(OF_EVERYTHING) + len(OF_ONE) == len(known)
    ranks = [rank_of(one) for one in (READ_ONLY, alert("new"), NOT_LOADED, alert("new", backend="ec-1"))]
    assert ranks == sorted(ranks)


BUT_NO_RESTART = backend("ec-1", phase="EJECTED", kind="adrift", reason="its wallet is not loaded")


@pytest.mark.parametrize(
    ("one", "told", "todo"),
    [
        ({**BUT_NO_RESTART, "held": True}, NOT_LOADED, "Release it when the gateway may restart it again."),
        ({**BUT_NO_RESTART, "drained": True}, NOT_LOADED, "Undrain it when it may take calls again."),
        (BUT_NO_RESTART, NOT_LOADED, EN.alerts["not_loaded"][1]),
        (
            {**BUT_NO_RESTART, "phase": "FAILED", "held": True},
            alert("failed", severity="critical", backend="ec-1"),
            "Release it when the gateway may restart it again.",
        ),
        ({**BUT_NO_RESTART, "held": True}, DOWN, "Release it when the gateway may restart it again."),
        # what has nothing to do with a restart is said all the same
        (
            {**BUT_NO_RESTART, "held": True},
            alert("wrong_seed", severity="critical", backend="ec-1"),
            EN.alerts["wrong_seed"][1],
        ),
    ],
)
def test_nothing_is_promised_of_a_daemon_that_an_operator_holds(
    one: dict[str, Any], told: dict[str, Any], todo: str
) -> None:
    """What is left to do is his to do; the list of alerts says the same."""
    shown = snapshot(wallet(one), alerts=[told])
    assert headline(shown, EN).todo == (todo,)
    assert alerts_view(shown, EN)[0]["todo"] == todo


@pytest.mark.parametrize(
    ("why", "todo"),
    [
        (f"ledger.db cannot be used (file is not a database); {PUT_BACK}", EN.texts["todo.backup"]),
        (f"ledger.db was cut off; {SHRUNK}", EN.texts["todo.backup"]),
        (f"ledger.db was replaced; {BACK}", EN.texts["todo.put_back"]),
        ("database or disk is full", EN.alerts["read_only"][1]),
    ],
)
def test_what_is_left_to_do_about_a_ledger_never_contradicts_the_reason(why: str, todo: str) -> None:
    """Where the reason asks for a backup, nobody is told to put none in its place."""
    told = {**READ_ONLY, "text": f"nothing is given out and no key is taken: {why}"}
    assert headline(snapshot(alerts=[told]), EN).todo == (todo,)


@given(
    st.lists(
        st.fixed_dictionaries({
            "phase": st.sampled_from(Phase).map(str), "kind": st.sampled_from(Kind).map(str), "held": st.booleans(),
            "drained": st.booleans(), "suspect": st.booleans(),
        }), min_size=1, max_size=5,
    ),
    st.booleans(), st.sampled_from(["en", "ko"]),
)  # fmt: skip
def test_all_well_is_never_said_while_a_daemon_is_not(states: list[dict[str, Any]], draining: bool, lang: str) -> None:  # noqa: FBT001
    """Whatever the states are, there is a sentence, and it is as loud as the loudest of them."""
    backends = [backend(f"ec-{place}", **state) for place, state in enumerate(states)]
    said = headline(snapshot(wallet(*backends), draining=draining), words(lang))
    assert said.title
    loudest = max(tone_of(one) for one in backends)
    assert said.tone == max(loudest, Tone.WATCH if draining else Tone.WELL)
