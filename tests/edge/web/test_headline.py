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


def test_news_and_other_gateways_are_no_trouble() -> None:
    """An alert that only informs is no headline; a wallet that is held elsewhere is looked after there."""
    assert headline(snapshot(alerts=[alert("restarted", severity="info")]), EN).tone is Tone.WELL
    elsewhere = {"wallet": "main", "lease": {"held": False}, "not_ready": []}
    assert headline(snapshot(elsewhere), EN).title == "Another gateway serves these wallets"
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
