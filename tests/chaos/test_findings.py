"""What a report says, before it is a page."""

from chaos.findings import Play, made
from chaos.machine import Machine
from tests.chaos.made_results import failed_start, gateway_run, peer_run, red_run, skipped_run

ABOUT = Machine("29 November 2026", 2, 0.5, "Linux 6")


def test_all_that_was_run_is_in_the_report() -> None:
    """Ours first where a scenario was made through several doors, and what was left out apart."""
    report = made([peer_run(), gateway_run(), red_run(), skipped_run(), failed_start()], ABOUT)
    assert [(play.scenario, play.seed, [run.door for run in play.runs]) for play in report.plays] == [
        ("freeze", 1, ["gateway", "haproxy"]), ("freeze", 7, ["gateway"]), ("kill", 1, ["gateway"]),
    ]  # fmt: skip
    assert [one.scenario for one in report.left_out] == ["clock_jump"]
    assert report.doors == ["gateway", "haproxy"]
    assert report.faults == {"freeze": 3}


def test_the_headline_says_whether_all_held() -> None:
    """Of our gateway; what a peer did is no failure."""
    assert made([gateway_run(), peer_run()], ABOUT).headline == (
        "Every invariant held in 1 run before the gateway, through 4 calls."
    )
    assert made([gateway_run(), red_run()], ABOUT).headline.startswith("1 run of 2")
    missed = {"figure": "felt_for_s", "most": 0.05, "value": 7.3, "is_kept": False, "is_strict": False}
    assert made([gateway_run(), gateway_run(seed=2, promises=[missed])], ABOUT).headline == (
        "Every invariant held in 2 runs before the gateway, through 8 calls. 1 of them was slower than promised."
    )
    assert made([peer_run()], ABOUT).headline.startswith("No run")


def test_a_play_is_found_by_its_name_and_seed() -> None:
    """Two seeds of one scenario are two places in a page."""
    assert Play("freeze", 7, "", "", ()).anchor == "freeze-7"


def test_only_what_was_proved_is_called_held() -> None:
    """Other doors alone prove nothing of ours, and what was left out for want of time was not proved."""
    late = skipped_run()
    late.is_late = True
    assert made([gateway_run(), peer_run(), skipped_run()], ABOUT).state == "held"
    assert made([peer_run()], ABOUT).state == "open"
    assert made([gateway_run(), late], ABOUT).state == "open"
    assert made([gateway_run(), red_run(), late], ABOUT).state == "red"
    said = made([gateway_run(), late], ABOUT).headline
    assert said.startswith("Every invariant held in 1 run")
    assert said.endswith("NOT ALL WAS MADE: 1 run left out for want of time (1 before ec-gateway).")
