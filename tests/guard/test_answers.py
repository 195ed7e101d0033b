"""What the socket guard makes of the engine's answers."""

import json
from typing import Any

import pytest

from gateway.guard.answers import LONGEST_MESSAGE, full_id, trim_event, trim_inspect, trim_message, trim_stats
from gateway.guard.rules import Label
from gateway.upstream.launchers.memory import of_container
from tests.guard.conftest import LABEL, OTHERS, OURS, STATS, died, inspected
from tests.upstream.launchers.test_memory import V1, V2


def test_a_container_is_ours_by_its_label_alone() -> None:
    """Not by its name."""
    assert full_id(inspected(OURS, ours=True), LABEL) == OURS
    assert full_id(inspected(OTHERS, ours=False), LABEL) == ""


def test_a_label_with_a_value_wants_that_value() -> None:
    """The inspected one says main."""
    assert full_id(inspected(OURS, ours=True), Label("ecgw.wallet", "main")) == OURS
    assert full_id(inspected(OURS, ours=True), Label("ecgw.wallet", "shop")) == ""


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "x",
        {},
        {"Id": OURS},
        {"Id": OURS, "Config": None},
        {"Id": OURS, "Config": {}},
        {"Id": OURS, "Config": {"Labels": None}},
        {"Id": OURS, "Config": {"Labels": ["ecgw.wallet"]}},
        {"Id": None, "Config": {"Labels": {"ecgw.wallet": ""}}},
        {"Id": "../../info", "Config": {"Labels": {"ecgw.wallet": ""}}},
        {"Id": OURS.upper(), "Config": {"Labels": {"ecgw.wallet": ""}}},
    ],
)
def test_an_answer_that_is_not_understood_makes_nothing_ours(answer: object) -> None:
    """It fails closed."""
    assert full_id(answer, LABEL) == ""


def test_an_inspect_shows_the_state_and_no_environment() -> None:
    """Nor arguments, mounts, other labels, errors and the output of health checks."""
    trimmed = trim_inspect(inspected(OURS, ours=True), LABEL)
    assert "hidden" not in json.dumps(trimmed)
    assert trimmed == {
        "Id": OURS,
        "Name": "/wallet-1",
        "RestartCount": 0,
        "State": {
            "Status": "running",
            "Running": True,
            "Paused": False,
            "OOMKilled": False,
            "ExitCode": 0,
            "StartedAt": "2026-11-28T10:00:00Z",
            "Health": {"Status": "healthy", "FailingStreak": 0},
        },
        "HostConfig": {"Memory": 1024, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
        "Config": {"Labels": {"ecgw.wallet": "main"}},
    }


def test_an_inspect_of_a_container_without_a_health_check_shows_none() -> None:
    """And what the engine leaves out stays out."""
    assert trim_inspect({"State": {"Running": False, "ExitCode": 137}}, LABEL)["State"] == {
        "Running": False,
        "ExitCode": 137,
    }


def test_stats_show_memory() -> None:
    """And nothing of the network."""
    trimmed = trim_stats(STATS)
    assert "hidden" not in json.dumps(trimmed)
    assert trimmed["memory_stats"] == {
        "usage": 100,
        "limit": 1000,
        "stats": {"inactive_file": 5, "total_inactive_file": 6, "cache": 7},
    }


@pytest.mark.parametrize("stats", [V1, V2])
def test_a_daemon_takes_as_much_through_the_guard_as_without(stats: dict[str, Any]) -> None:
    """On both versions of cgroups: what is left out here would count as memory, and restart it for nothing."""
    assert of_container(trim_stats(stats)) == of_container(stats) != None  # noqa: E711 - in one line with the rest


def test_stats_of_a_container_that_does_not_run_are_empty() -> None:
    """As the engine's are."""
    assert trim_stats({"id": OURS, "memory_stats": {}}) == {"id": OURS, "memory_stats": {}}
    assert trim_stats({}) == {"memory_stats": {}}


def test_an_event_shows_who_died_of_what() -> None:
    """And not from which image."""
    trimmed = trim_event(died(), LABEL)
    assert "hidden" not in json.dumps(trimmed)
    assert trimmed == {
        "Type": "container",
        "Action": "die",
        "status": "die",
        "id": OURS,
        "time": 1,
        "timeNano": 1,
        "Actor": {"ID": OURS, "Attributes": {"name": "wallet-1", "exitCode": "137", "ecgw.wallet": "main"}},
    }


@pytest.mark.parametrize(
    "event",
    [died(ours=False), died("start"), died("exec_create: sh"), died(Type="image"), {}, [], None, {"Actor": 1}],
)
def test_an_event_that_should_not_have_come_is_not_told(event: object) -> None:
    """The engine filters, and this looks again."""
    assert trim_event(event, LABEL) is None


def test_what_the_engine_says_is_cut_short() -> None:
    """And only words are told."""
    assert trim_message({"message": "x" * 1000}) == "x" * LONGEST_MESSAGE
    assert trim_message({"message": {"a": 1}}) == ""
    assert trim_message(None) == ""
