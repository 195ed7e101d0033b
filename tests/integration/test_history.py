"""What a real gateway remembers: a fault of a moment, its own death during one, and what it reports of both."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Gateway, Settings, backends, settings_for, wait_until

TOKEN = "a-token-of-the-operators-of-32-letters"


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[Fleet]:
    """Two sandbox daemons."""
    with Fleet(2, folder / "pair") as two:
        yield two


@pytest.fixture(scope="module")
def settings(pair: Fleet, folder: Path) -> Settings:
    """A gateway with a ledger."""
    return settings_for(
        backends(pair), ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
        admin={"port": 0, "token": TOKEN},
    )  # fmt: skip


def asked(gateway: Gateway, what: str) -> list[dict[str, Any]]:
    """One answer about the past, the oldest first where it has a time."""
    found = gateway.admin(f"/api/v1/{what}?since=1h").json
    assert found["complete"] is True, found
    rows: list[dict[str, Any]] = found[what]
    return rows[::-1]


def reported(gateway: Gateway, shape: str = "json") -> str:
    """What `ec-gateway report` prints, of a gateway that runs or of one that did."""
    words = ["-c", str(gateway.file), "--url", f"http://127.0.0.1:{gateway.admin_port}"]
    done = CliRunner().invoke(main, ["report", *words, "--since", "1h", "--format", shape])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_moment_of_sickness_a_death_and_what_is_told_of_both(settings: Settings, pair: Fleet, folder: Path) -> None:
    """An ejection that became no alert, a gateway that was killed during another one, a report with and without it."""

    def is_out() -> bool:
        return str(gateway.backend("ec-2")["phase"]) == "EJECTED"

    def is_remembered() -> list[dict[str, Any]]:
        found = gateway.admin("/api/v1/incidents?since=1h").json
        return [one for one in found["incidents"] if one["backend"] == "ec-2"] if found["complete"] else []

    with Gateway(folder / "first", settings) as gateway:
        gateway.wait_all_well()
        pair.freeze(1)
        wait_until(is_out, "ec-2 is ejected")
        pair.thaw(1)
        wait_until(lambda: any(one["closed_at"] for one in is_remembered()), "the incident is over")
        (story,) = is_remembered()
        assert (story["kind"], story["wallet"], story["times"]) == ("out_of_service", "main", 1)
        assert [line["text"].partition(":")[0] for line in story["done"]][:2] == [
            "taken out of service, its calls go elsewhere", "back in service, with a small share at first",
        ]  # fmt: skip
        pair.freeze(1)
        wait_until(is_out, "ec-2 is ejected again")
        wait_until(lambda: [one for one in is_remembered() if one["closed_at"] is None], "it is open")
        # written down within seconds, and then the gateway dies
        wait_until(lambda: _unfinished(folder) == 1, "it is in the ledger")
        # it dies right after the answer
        assert _ordered(gateway, folder / "token") == 0
    pair.thaw(1)
    told = json.loads(reported(gateway))
    assert not told["gateway_answers"]
    assert [one["title"] for one in told["incidents"] if one["closed_at"] is None] == [story["title"]]
    assert "start the gateway" in told["to_do"][0]
    assert told["ledger_check"] == []
    with Gateway(folder / "second", settings) as gateway:
        gateway.wait_all_well()
        wait_until(lambda: len(asked(gateway, "incidents")) == 2, "the gap is told")
        first, gap = sorted(asked(gateway, "incidents"), key=lambda one: one["kind"] == "gateway_killed")
        assert first["id"] == story["id"]
        assert first["closed_at"] is not None
        assert first["done"][-1]["text"].startswith("the gateway ended while this was open")
        assert (gap["kind"], gap["closed_at"] is not None) == ("gateway_killed", True)
        (order,) = asked(gateway, "audit")
        assert (order["verb"], order["backend"], order["who"], order["outcome"]) == ("undrain", "ec-2", "token", "done")
        (wallet, *_) = asked(gateway, "availability")[::-1]
        assert wallet["backend"] == ""
        assert wallet["not_running"] > 0.0
        told = json.loads(reported(gateway))
        assert told["gateway_answers"]
        assert (told["complete"], told["ledger_check"], told["alerts"]) == (True, [], [])
        assert {one["backend"] for one in told["availability"]} == {"", "ec-1", "ec-2"}
        text = reported(gateway, "text")
        assert "INCIDENTS: 2" in text
        assert gateway.stop() == 0
    assert "incident," in reported(gateway, "csv")
    exported = CliRunner().invoke(main, ["ledger", "export", "-c", str(gateway.file)])
    tables = {json.loads(line)["table"] for line in exported.output.splitlines()}
    assert {"incidents", "availability", "lives"} <= tables


def _ordered(gateway: Gateway, token: Path) -> int:
    """Give an order; return the exit code of its command."""
    token.write_text(TOKEN)
    where = ["--url", f"http://127.0.0.1:{gateway.admin_port}", "--token-file", str(token)]
    return CliRunner().invoke(main, ["undrain", "ec-2", *where]).exit_code


def _unfinished(folder: Path) -> int:
    """How many incidents are open in the ledger, looked at from outside."""
    with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM incidents WHERE closed_at IS NULL").fetchone()
    return int(count)
