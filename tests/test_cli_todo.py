"""What is left to do, and how figures are written."""

from dataclasses import replace

import pytest

from gateway.cli_todo import long, percent, to_do, unwatched

from .test_cli_checklist import ALERT, BUSY, DAY, QUIET


def test_everything_that_somebody_should_do_is_there_the_most_urgent_first() -> None:
    """With the command or the chapter."""
    assert to_do(BUSY) == [
        "main takes no calls: ec-1: dead",
        "critical: no daemon serves: main answers nothing; see docs/alerts.md#all_down",
        (
            "1 call(s) or payment(s) of which nobody knows the end: `ec-gateway outcome -c FILE` tells of each, and "
            "docs/money.md what to do"
        ),
        "ledger: 5 addresses have a prefix; keep a copy of it, and see docs/money.md",
        "ec-3 of main gets no calls by order; when that is over: `ec-gateway undrain ec-3 --wallet main`",
        "ec-1 of main is not restarted by order; when that is over: `ec-gateway release ec-1 --wallet main`",
        "ec-2 of main was available for 98.837 % of the time: wedged 15 min, restarting 100 s",
        "nobody watched main for 7 min of 24 h: not running 7 min, stood still 3.0 s",
    ]


def test_alerts_that_are_for_information_are_nothing_to_do() -> None:
    """They are told once and over with."""
    told = replace(QUIET, alerts=[{**ALERT, "severity": "info"}])
    assert to_do(told) == []


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "-"), (1.0, "100.000 %"), (0.999, "99.900 %"), (0.9989999, "99.899 %"), (0.57, "57.000 %")],
)
def test_a_share_is_cut_and_not_rounded(share: float | None, text: str) -> None:
    """What is below the target is not told as it, and what is it is not told as less."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.0, "59 s"), (7200.0, "2 h"), (216_000.0, "2.5 d")]
)
def test_a_time_has_the_unit_that_a_person_would_take(seconds: float, text: str) -> None:
    """Tenths where they matter."""
    assert long(seconds) == text


def test_a_moment_without_a_gateway_is_not_worth_a_word() -> None:
    """Less than a second is how often it looks."""
    assert unwatched({**DAY, "not_running": 0.9, "stood_still": 0.0}) == ""
