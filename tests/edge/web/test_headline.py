"""The first sentence of the page."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.web.headline import Tone, headline, tone_of
from gateway.edge.web.words import words
from gateway.rules.health import Kind
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
