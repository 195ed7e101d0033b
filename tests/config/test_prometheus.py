"""The rules for Prometheus: sound, tested by promtool, and each names its chapter in the docs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.rules.kinds import ROWS, Kind, Severity

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "prometheus"
RULES = FOLDER / "ec-gateway.rules.yml"
WAY_OUT = "promtool is not installed; the way out: apt-get install -y --no-install-recommends prometheus"


@pytest.fixture
def promtool() -> str:
    """The real one; a missing one is told, and an error where real components are wanted."""
    found = shutil.which("promtool")
    if found is None:
        assert os.environ.get("ECGW_REQUIRE_REAL") != "1", WAY_OUT
        pytest.skip(WAY_OUT)
    return found


@pytest.mark.long
# a week, looked at every ten minutes: some five seconds of a processor, which others may want as well
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "ec-gateway.rules.yml"),
        ("test", "rules", "ec-gateway.test.yml"),
        ("test", "rules", "ec-gateway.days.test.yml"),
    ],
    ids=["check", "test", "days"],
)
def test_promtool_finds_nothing_wrong(promtool: str, words: tuple[str, ...]) -> None:
    """Neither with the rules nor with what they do."""
    done = subprocess.run([promtool, *words], cwd=FOLDER, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def chapters() -> set[str]:
    """The chapters of docs/alerts.md as links name them."""
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


def rules() -> list[dict[str, object]]:
    """All rules that alert."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_rule_is_tested() -> None:
    """In the file beside it."""
    text = (FOLDER / "ec-gateway.test.yml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in rules() if str(rule["alert"]) not in text] == []


def test_every_kind_of_alert_and_every_rule_has_its_chapter() -> None:
    """What it means, and what to do."""
    assert {kind.value for kind in Kind} <= chapters()
    for rule in rules():
        links = re.findall(r"docs/alerts\.md#([\w-]+)", str(rule["annotations"]))
        assert len(links) <= 1
        if "{{ $labels.kind }}" not in str(rule["annotations"]):
            assert links, rule["alert"]
            assert set(links) <= chapters(), rule["alert"]


def test_every_kind_that_a_rule_asks_for_is_one() -> None:
    """A renamed kind would never fire."""
    asked = {
        kind
        for rule in rules()
        for found in re.findall(r'ecgw_alerts_open\{kind=~?"([^"]+)"', str(rule["expr"]))
        for kind in found.split("|")
    }
    assert asked <= {kind.value for kind in Kind}
    assert len(asked) > 5


OF_ITS_OWN = {
    Kind.ALL_DOWN: "EcgwWalletDown",
    Kind.BELOW_HALF: "EcgwBelowHalf",
    Kind.STUCK: "EcgwBackendDown",
    Kind.FAILURES: "EcgwCircuitOpen",
    Kind.FAILED: "EcgwBackendFailed",
    Kind.ADRIFT: "EcgwBackendAdrift",
    Kind.UNKNOWN_OUTCOME: "EcgwUnknownOutcome",
    Kind.HELD_LONG: "EcgwHeldLong",
    Kind.READ_ONLY: "EcgwLedgerFailing",
    Kind.NO_HOLDER: "EcgwNoHolder",
}
"""Kinds that are seen from figures, by a rule that asks for those."""

TOLD = {Severity.CRITICAL: "EcgwToldCritical", Severity.WARNING: "EcgwTold"}


def severity_of(name: str) -> str:
    """How loud a rule is."""
    (found,) = [rule["labels"] for rule in rules() if rule["alert"] == name]
    assert isinstance(found, dict)
    return str(found["severity"])


@pytest.mark.parametrize("severity", TOLD)
def test_what_the_gateway_tells_is_as_loud_to_prometheus(severity: Severity) -> None:
    """A kind that is critical wakes somebody there as well, and one that is new is not forgotten."""
    (expression,) = [str(rule["expr"]) for rule in rules() if rule["alert"] == TOLD[severity]]
    found = re.fullmatch(r'ecgw_alerts_open\{kind=~"([a-z_|]+)"\} > 0\s*', expression)
    assert found, expression
    kinds = found[1].split("|")
    assert sorted(kinds) == sorted(
        kind.value for kind in Kind if ROWS[kind].severity is severity and kind not in OF_ITS_OWN
    )
    assert severity_of(TOLD[severity]) == severity


@pytest.mark.parametrize("kind", OF_ITS_OWN)
def test_a_rule_of_its_own_is_as_loud_as_the_kind(kind: Kind) -> None:
    """The two ways to be told of the same thing agree."""
    assert severity_of(OF_ITS_OWN[kind]) == ROWS[kind].severity
