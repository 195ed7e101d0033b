"""What the parts of the page show."""

from typing import Any

import pytest

from gateway.edge.web import views
from gateway.edge.web.words import Words, words
from tests.edge.web.world import AT, backend, sick, snapshot, wallet

EN, KO = words("en"), words("ko")


def facts(found: list[views.Fact]) -> dict[str, str]:
    """Labels and what stands below them."""
    return {one.label: f"{one.value} {one.note}".strip() for one in found}


def test_a_card_shows_everything_about_a_daemon() -> None:
    """State and condition in words, and every figure that an operator asks for."""
    shown = views.card(sick()["wallets"]["main"]["backends"][0], "main", EN, may_order=True)
    assert (shown["state"], shown["condition"], shown["tone"]) == (
        "out of service",
        "does not answer: silent",
        "warning",
    )
    assert shown["since"] == AT - 252.0
    assert facts(shown["facts"]) == {
        "Score": "0.12", "Slots taken": "1 of 1", "Height": "868,123", "Addresses": "1,190 not aligned",
        "Memory": "489 MiB 96% of 512 MiB", "Restarts": "2 last hour", "Circuit": "open: nothing goes there",
        "Launcher": "docker",
    }  # fmt: skip
    assert shown["notes"] == ["silent without an excuse; ec-2 is being restarted", "its launcher: no such container"]
    assert shown["latency"] == "2.1 s"
    assert shown["spark"].startswith("M")


@pytest.mark.parametrize(
    ("spoken", "of_machine", "of_limit"),
    [
        (EN, "0% of this machine's 23.5 GiB", "0% of 23.5 GiB"),
        (KO, "이 서버 전체 23.5 GiB 중 0%", "23.5 GiB 중 0%"),
    ],
)
def test_in_the_sandbox_the_memory_of_the_machine_is_called_so(spoken: Words, of_machine: str, of_limit: str) -> None:
    """A child of the gateway has no limit of its own; a container has, also in a sandbox."""
    memory = {"used": 20 << 20, "limit": int(23.5 * (1 << 30)), "share": 0.001}

    def note(launcher: str, **how: bool) -> str:
        shown = views.card(backend("ec-1", memory=memory, launcher=launcher), "main", spoken, may_order=False, **how)
        return str(next(one.note for one in shown["facts"] if one.live == "memory"))

    assert note("process", sandbox=True) == of_machine
    assert note("process") == note("docker", sandbox=True) == of_limit
    whole = snapshot(wallet(backend("ec-1", memory=memory, launcher="process")), sandbox=True)
    shown = views.wallet_view("main", whole["wallets"]["main"], spoken, whole, may_order=False)
    assert of_machine in [one.note for one in shown["cards"][0]["facts"]]


def test_that_there_is_no_launcher_is_too_long_for_a_column() -> None:
    """It has a line of its own; the name of one stands among the figures."""
    for launcher, is_wide in ((None, True), ("docker", False)):
        shown = views.card(backend("ec-1", launcher=launcher), "main", EN, may_order=False)
        assert [one.is_wide for one in shown["facts"]] == [False] * (len(shown["facts"]) - 1) + [is_wide]


def test_buttons_are_those_that_make_sense_and_a_viewer_has_none() -> None:
    """Nothing is drained that is, nobody is promoted who is primary, and who has no launcher is not restarted."""

    def verbs(**changes: Any) -> list[str]:
        shown = views.card(backend("ec 1/2", **changes), "main", EN, may_order=True)
        return [one.name for one in shown["orders"]]

    assert verbs() == ["restart", "drain", "hold", "promote"]
    assert verbs(drained=True, held=True) == ["restart", "undrain", "release", "promote"]
    assert verbs(primary=True, launcher=None) == ["drain", "hold"]
    shown = views.card(backend("ec 1/2"), "ma?in", EN, may_order=True)
    assert shown["orders"][0].href == "/orders/ma%3Fin/ec%201%2F2/restart"
    assert views.card(backend("ec-1"), "main", EN, may_order=False)["orders"] == []


def test_a_wallet_shows_its_calls_its_addresses_and_who_holds_it() -> None:
    """Handover is offered where this gateway holds it, and only to who may order."""
    lease = {"held": True, "holder": "gw-1", "term": 4, "since": AT - 12.0}
    whole = snapshot(wallet(lease=lease, holder=lease, waiting=3, panic=True, not_ready=["no backend takes calls"]))
    shown = views.wallet_view("main", whole["wallets"]["main"], EN, whole, may_order=True)
    assert facts(shown["facts"]) == {
        "Calls": "12 /s", "Errors": "0 /s", "Latency, median": "4.1 ms", "Latency, 95%": "38 ms", "Under way": "1",
        "Waiting": "3", "Addresses ahead": "27 of 30 1,177 handed out",
    }  # fmt: skip
    assert (shown["holder"], shown["holder_since"]) == ("this gateway, term 4", AT - 12.0)
    assert shown["handover"].href == "/orders/main/handover"
    assert "Fewer than half of the daemons are well." in shown["notes"]
    assert views.wallet_view("main", whole["wallets"]["main"], EN, whole, may_order=False)["handover"] is None


def test_a_wallet_that_is_held_elsewhere_says_by_whom() -> None:
    """Its daemons are that one's business."""
    lease = {"held": False, "holder": "gw-2", "address": "10.0.0.2:7781", "term": 7}
    one = {"wallet": "main", "lease": lease, "holder": lease, "not_ready": []}
    shown = views.wallet_view("main", one, EN, snapshot(one), may_order=True)
    assert not shown["is_here"]
    assert "gw-2 at 10.0.0.2:7781" in shown["holder"]
    assert shown["handover"] is None
    assert shown["notes"] == ["Its daemons are looked after by the gateway that holds it."]
    assert shown["holder_since"] is None, "it is not known here"


@pytest.mark.parametrize("spoken", [EN, KO])
def test_who_has_just_taken_a_wallet_over_does_not_send_anybody_elsewhere(spoken: Words) -> None:
    """It has no rooms yet, and no other gateway looks after its daemons."""
    lease = {"held": True, "holder": "gw-2", "term": 2}
    one = {"wallet": "main", "lease": lease, "holder": lease, "not_ready": ["this gateway has just taken it over"]}
    shown = views.wallet_view("main", one, spoken, snapshot(one), may_order=True)
    assert spoken.text("only_elsewhere") not in shown["notes"]
    assert len(shown["notes"]) == 1, "that it takes no calls yet"
    without = {"wallet": "main", "not_ready": []}
    elsewhere = views.wallet_view("main", without, spoken, snapshot(without), may_order=True)
    assert elsewhere["notes"] == [spoken.text("only_elsewhere")]


def test_a_ledger_that_is_not_as_usual_and_a_pool_that_runs_low_are_told() -> None:
    """In words, and marked."""
    odd = wallet(ledger={"state": "unadopted", "error": "disk full"}, addresses={"ahead": 3, "of": 30})
    shown = views.wallet_view("main", odd, EN, snapshot(odd), may_order=False)
    assert any("not adopted" in note for note in shown["notes"])
    assert any("disk full" in note for note in shown["notes"])
    assert shown["facts"][-1].is_bad
    without = wallet(ledger=None, addresses=None)
    shown = views.wallet_view("main", without, EN, snapshot(without), may_order=False)
    assert shown["facts"][-1].value == "no ledger"


def test_switches_of_the_sandbox_stand_with_their_wallet() -> None:
    """And nowhere else; one that is unknown keeps its name."""
    rows = [{"wallet": "main", "backend": "ec-1", "switches": [{"name": "freeze", "is_on": True}, {"name": "new"}]}]
    whole = snapshot(wallet(), wallet(wallet="savings"), switches=rows)
    shown = views.wallet_view("main", whole["wallets"]["main"], EN, whole, may_order=True)
    (row,) = shown["switches"]
    assert [(one["button"].label, one["button"].is_on) for one in row["buttons"]] == [("Freeze", True), ("new", False)]
    assert views.wallet_view("savings", whole["wallets"]["savings"], EN, whole, may_order=True)["switches"] == []


def test_what_a_snapshot_lacks_is_left_out() -> None:
    """An older or a newer gateway may have made it."""
    shown = views.card(
        {"name": "ec-1", "phase": "NEW", "kind": "odd", "memory": {"used": 5 << 20}}, "w", EN, may_order=False
    )
    assert (shown["state"], shown["condition"], shown["tone"]) == ("NEW", "odd", "watch")
    assert facts(shown["facts"])["Memory"] == "5 MiB"
    full = {"suspect": True, "ordered": "new disk", "failure": {"step": "load", "reason": "no file"}}
    notes = views.card(backend("ec-1", **full), "w", EN, may_order=False)["notes"]
    assert notes[1:] == ["a restart is ordered: new disk", "last restart failed at “load”: no file"]
