"""The commands of operators against a gateway that runs in front of sandbox daemons."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import PATIENCE, ROOT, Gateway, backends, settings_for, wait_until

TOKEN = "a-token-of-the-operators-of-32-letters"


@pytest.fixture(scope="module")
def ordered(fleet: Fleet, folder: Path) -> Iterator[Gateway]:
    """A gateway in front of the three that takes orders."""
    settings = settings_for(backends(fleet), admin={"port": 0, "token": TOKEN})
    with Gateway(folder / "ordered", settings) as one:
        one.wait_all_well()
        yield one


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with its token."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def ec_gateway(*words: str | Path, code: int = 0) -> str:
    """Run a command as a person does; return what it printed on either output."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == code, told
    assert TOKEN not in told
    assert "Traceback" not in told
    return told


def where(gateway: Gateway) -> str:
    """The operators' door."""
    return f"http://127.0.0.1:{gateway.admin_port}"


def test_status_shows_every_daemon_and_readiness_is_an_exit_code(ordered: Gateway) -> None:
    """To anybody; and what is no operators' door is not taken for one."""
    told = ec_gateway("status", "--url", where(ordered))
    assert all(name in told for name in ("wallet main", "ec-1", "ec-2", "ec-3", "in service"))
    found = json.loads(ec_gateway("status", "--json", "--url", where(ordered)))
    assert [one["name"] for one in found["wallets"]["main"]["backends"]] == ["ec-1", "ec-2", "ec-3"]
    assert {*found["wallets"]["main"], "version", "draining"} >= set(ordered.status())
    assert ec_gateway("status", "--ready", "--url", where(ordered)).startswith("ready\n")
    ec_gateway("status", "--ready", "--url", f"http://127.0.0.1:{ordered.port}", code=3)


def test_a_drained_daemon_gets_no_calls_until_it_is_undrained(ordered: Gateway, fleet: Fleet, token: Path) -> None:
    """The others go on; the log tells who ordered it and why."""
    how = ("--url", where(ordered), "--token-file", token)
    assert "ec-2" in ec_gateway("drain", "ec-2", *how, "--reason", "new disk")
    before = len(fleet.journal(1))
    for _ in range(20):
        assert ordered.call("getbalance").result
    calls = [line for line in fleet.journal(1)[before:] if line["method"] == "getbalance"]
    assert calls == []
    assert "drained" in ec_gateway("status", "--url", where(ordered))
    given = ordered.events("order.given", backend="ec-2", verb="drain")
    assert [(one["wallet"], one["reason"]) for one in given] == [("main", "new disk")]
    assert given[0]["peer"].startswith("127.0.0.1:")
    assert TOKEN not in ordered.log_path.read_text()
    ec_gateway("undrain", "ec-2", *how)
    assert ordered.backend("ec-2")["drained"] is False


def test_who_has_no_right_orders_nothing(ordered: Gateway, tmp_path: Path, token: Path) -> None:
    """A wrong token, a name that is not there, and a daemon that nobody can restart."""
    wrong = tmp_path / "wrong"
    wrong.write_text("a-token-of-somebody-else")
    told = ec_gateway("hold", "ec-1", "--url", where(ordered), "--token-file", wrong, code=1)
    assert "not a token of this gateway" in told
    how = ("--url", where(ordered), "--token-file", token)
    assert "there are ec-1, ec-2, ec-3" in ec_gateway("hold", "ec-9", *how, code=1)
    assert "launcher" in ec_gateway("restart", "ec-1", *how, code=1)
    assert ordered.backend("ec-1")["held"] is False
    assert ordered.events("order.refused")
    assert not ordered.events("order.done", verb="hold")


def test_a_hold_is_given_and_taken_back(ordered: Gateway, token: Path) -> None:
    """And a gateway without a ledger says that it forgets it."""
    how = ("--url", where(ordered), "--token-file", token)
    assert "forgotten when the gateway restarts" in ec_gateway("hold", "ec-3", *how)
    assert "held" in ec_gateway("status", "--url", where(ordered))
    ec_gateway("release", "ec-3", *how)
    assert ordered.backend("ec-3")["held"] is False


def test_without_a_token_no_orders_are_taken(gateway: Gateway, token: Path) -> None:
    """It says what to set."""
    told = ec_gateway("hold", "ec-1", "--url", where(gateway), "--token-file", token, code=1)
    assert "admin.token_file" in told


def test_a_gateway_that_has_gone_is_told_from_one_that_is_not_ready(fleet: Fleet, folder: Path) -> None:
    """Codes 1 and 3."""
    unreachable = [{**backends(fleet)[0], "url": "http://127.0.0.1:1"}]
    with Gateway(folder / "not-ready", settings_for(unreachable)) as one:
        told = ""

        def is_told() -> bool:
            nonlocal told
            told = ec_gateway("status", "--ready", "--url", where(one), code=1)
            return "refuses connections" in told

        wait_until(is_told, "it says why it is not ready")
        assert told.startswith("not ready\n")
    assert "no gateway answers" in ec_gateway("status", "--ready", "--url", where(one), code=3)
