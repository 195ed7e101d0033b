"""`ec-gateway report`: from the door where a gateway answers, from the ledger where none does."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway import cli_report
from gateway.base.cluster import Ledger as LedgerSettings
from gateway.cli import main
from gateway.cli_door import Door, UnreachableError
from gateway.ledger import history, standing
from gateway.ledger.history import Batch, Life
from gateway.ledger.opening import open_ledger
from gateway.rules.availability import DAY, Count
from gateway.rules.stories import Incident

CONFIG = """
wallets:
  main:
    backends:
      - {name: ec-1, url: "http://127.0.0.1:17001", username: rpc, password: secret-of-ec-1}
clients:
  - {name: shop, username: shop, password: secret-of-the-shop, wallets: [main]}
admin: {port: 17999}
"""


Answers = dict[str, tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What a gateway answers, by path without its query; empty where none is there."""
    answers: Answers = {}

    def ask(self: Door, _verb: str, path: str, _body: object = None) -> tuple[int, dict[str, Any]]:
        if not answers:
            raise UnreachableError(f"no gateway answers at {self.url} (refused)")
        return answers.get(path.partition("?")[0], (404, {"detail": "there is none"}))

    monkeypatch.setattr(Door, "ask", ask)
    return answers


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a ledger in which something has happened."""
    now = time.time()
    ledger = tmp_path / "ledger.db"
    life = Life("aa", "", now - 100.0)
    story = Incident("aa-s1", "out_of_service", "warning", "main", "ec-1", "ec-1 is out", now - 50.0)
    day = int(now // DAY)
    counts = {(day, "main", ""): Count(90.0, 45.0, 0.0, now - 90.0, now, {"dead": 45.0})}
    with closing(open_ledger(LedgerSettings(path=str(ledger), may_be_lost=True), now).ledger) as opened:
        opened.transact(lambda c: history.begin(c, life, day))
        opened.transact(lambda c: history.write(c, life, Batch({story.id: story}, counts=counts), now))
        opened.transact(lambda c: standing.put(c, "main", "ec-1", "drain", now))
    path = tmp_path / "gateway.yaml"
    path.write_text(f"{CONFIG}ledger: {{path: {ledger}, may_be_lost: true}}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def report(*words: str | Path) -> Result:
    """Run it."""
    return CliRunner().invoke(main, ["report", *map(str, words)])


def told(*words: str | Path) -> Mapping[str, Any]:
    """What it tells a program."""
    done = report(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_a_gateway_the_ledger_is_read(config: Path) -> None:
    """History, orders that stand, outcomes and the check; and the first thing to do is to start one."""
    found = told("-c", config)
    assert not found["gateway_answers"]
    assert [one["id"] for one in found["incidents"]] == ["aa-s1"]
    (whole,) = found["availability"]
    assert (whole["share"], whole["met"], whole["reasons"]) == (0.5, False, {"dead": 45.0})
    assert (found["outcomes"], found["alerts"], found["ledger_check"]) == ([], None, [])
    assert [one.partition(" ")[0] for one in found["to_do"]] == ["start", "an", "ec-1", "the"]


def test_a_running_gateway_is_asked(config: Path, door: Answers) -> None:
    """And the ledger looked through beside it."""
    rows: dict[str, list[object]] = {"incidents": [], "availability": [], "restarts": [], "audit": []}
    door |= {f"/api/v1/{name}": (200, {name: found, "complete": True}) for name, found in rows.items()}
    backend = {"name": "ec-1", "drained": True, "held": False}
    door["/api/v1/status"] = (200, {"alerts": [], "wallets": {"main": {"backends": [backend], "not_ready": []}}})
    door["/api/v1/outcomes"] = (200, {"outcomes": []})
    found = told("-c", config)
    assert (found["gateway_answers"], found["complete"], found["ledger_check"]) == (True, True, [])
    assert [one.partition(" ")[0] for one in found["to_do"]] == ["ec-1"]
    assert told("--url", "http://127.0.0.1:17999")["ledger_check"] is None
    done = report("-c", config)
    assert (done.exit_code, "LEDGER CHECK: ok" in done.stdout) == (0, True)


def test_what_a_gateway_or_a_ledger_has_more_of_is_told(
    config: Path, door: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand rows are not all only because they are a thousand."""
    now = time.time()
    stories = [
        Incident(f"aa-t{n}", "stuck", "warning", "main", "ec-1", "slow", now - 40.0 - n, now - 30.0) for n in range(3)
    ]
    life, batch = Life("aa", "", now - 100.0), Batch({one.id: one for one in stories})
    ledger = LedgerSettings(path=str(config.parent / "ledger.db"), may_be_lost=True)
    with closing(open_ledger(ledger, now).ledger) as opened:
        opened.transact(lambda c: history.write(c, life, batch, now))
    monkeypatch.setattr(cli_report, "MOST", 3)
    found = told("-c", config)
    assert [one["id"] for one in found["incidents"]] == ["aa-s1", "aa-t0", "aa-t1"]
    assert found["more"] == {"incidents": True, "restarts": False, "audit": False}
    assert f"&until={math.ceil(now - 41.0)}" in report("-c", config).stdout
    row = {
        "opened_at": 5.5,
        "closed_at": 6.0,
        "severity": "info",
        "title": "",
        "seconds": 0.5,
        "times": 1,
        "wallet": "",
    }
    door |= {f"/api/v1/{name}": (200, {name: [], "more": True}) for name in ("availability", "restarts", "audit")}
    door["/api/v1/incidents"] = (200, {"incidents": [row], "more": True})
    door["/api/v1/status"] = (200, {"wallets": {}})
    assert told()["more"] == {"incidents": True, "restarts": False, "audit": False}
    assert "&until=6" in report().stdout


def test_a_gateway_without_a_history_says_so(door: Answers) -> None:
    """One of an earlier version knows nothing of these questions."""
    door["/api/v1/status"] = (200, {"wallets": {}})
    found = told()
    assert (found["complete"], found["outcomes"], found["alerts"]) == (False, None, None)


def test_a_ledger_that_the_gateway_cannot_read_is_no_ledger_without_outcomes(config: Path, door: Answers) -> None:
    """The report is made all the same; it says unknown, and not that a ledger is wanted."""
    door |= {
        f"/api/v1/{name}": (200, {name: [], "complete": False, "incomplete_because": "unread"})
        for name in ("incidents", "availability", "restarts", "audit")
    }
    door["/api/v1/availability"] = (200, {"availability": [], "complete": True, "first_day": "2026-11-01"})
    door["/api/v1/status"] = (200, {"alerts": [], "wallets": {}})
    door["/api/v1/outcomes"] = (503, {"detail": "the ledger cannot be read now"})
    done = report("-c", config)
    assert done.exit_code == 0
    assert "UNRESOLVED OUTCOMES: unknown: the ledger cannot be read" in done.stdout
    assert "give the gateway a ledger" not in done.stdout
    assert "1. the ledger cannot be read: " in done.stdout
    found = told("-c", config)
    assert (found["outcomes"], found["unread"], found["first_day"]) == (None, "the ledger cannot be read", "2026-11-01")
    assert ",unknown,,,the ledger cannot be read" in report("-c", config, "--format", "csv").stdout


def test_a_gateway_that_refuses_is_told(door: Answers) -> None:
    """In its own words."""
    door["/api/v1/status"] = (200, {"wallets": {}})
    door["/api/v1/incidents"] = (500, {"detail": "the gateway failed; its log says why"})
    done = report()
    assert (done.exit_code, "its log says why" in done.stderr) == (1, True)


def test_without_a_gateway_and_a_ledger_there_is_nothing_to_tell(tmp_path: Path) -> None:
    """Be it that no configuration is named, that it has no ledger, or that there is none where it should be."""
    done = report()
    assert (done.exit_code, "by -c FILE" in done.stderr) == (1, True)
    bare = tmp_path / "bare.yaml"
    bare.write_text(CONFIG, encoding="utf-8")
    bare.chmod(0o600)
    done = report("-c", bare)
    assert (done.exit_code, "no ledger" in done.stderr) == (1, True)
    empty = tmp_path / "empty.yaml"
    empty.write_text(f"{CONFIG}ledger: {{path: {tmp_path / 'none.db'}, may_be_lost: true}}\n", encoding="utf-8")
    empty.chmod(0o600)
    done = report("-c", empty)
    assert (done.exit_code, "cannot be read" in done.stderr) == (1, True)


def test_a_running_gateway_without_a_ledger_has_none_to_check(tmp_path: Path, door: Answers) -> None:
    """It says so."""
    door["/api/v1/status"] = (200, {"wallets": {}})
    bare = tmp_path / "bare.yaml"
    bare.write_text(CONFIG, encoding="utf-8")
    bare.chmod(0o600)
    done = report("-c", bare)
    assert (done.exit_code, "LEDGER CHECK: not done (this configuration has no ledger)" in done.stdout) == (0, True)


def test_a_ledger_of_an_earlier_version_is_told(config: Path, tmp_path: Path) -> None:
    """It has no history yet, and gets one when its gateway is started."""
    with closing(open_ledger(LedgerSettings(path=str(tmp_path / "ledger.db"), may_be_lost=True), 0.0).ledger) as opened:
        opened.transact(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0002'")))
    done = report("-c", config)
    assert (done.exit_code, "start the gateway, which brings it up to date" in done.stderr) == (1, True)


@pytest.mark.parametrize("since", ["yesterday", "", "-1d"])
def test_a_moment_that_is_none_is_refused(since: str) -> None:
    """With what would be right."""
    done = report("--since", since)
    assert (done.exit_code, "12h" in done.stderr) == (2, True)


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Line by line; also where the door needs nothing of it."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("wallets: 1\n", encoding="utf-8")
    assert report("-c", wrong).exit_code == 2
    token = tmp_path / "token"
    token.write_text("t" * 32, encoding="utf-8")
    token.chmod(0o600)
    done = report("-c", wrong, "--url", "http://127.0.0.1:17999", "--token-file", token)
    assert (done.exit_code, "wallets" in done.stderr) == (1, True)


def test_a_spreadsheet_runs_nothing_of_it(config: Path) -> None:
    """No cell begins a formula."""
    done = report("-c", config, "--format", "csv")
    assert done.exit_code == 0
    assert done.stdout.startswith("part,when,")
    assert not any(cell[:1] in ("=", "+", "-", "@") for line in done.stdout.splitlines() for cell in line.split(","))
