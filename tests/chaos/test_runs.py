"""Runs of real processes: the smoke part holds, a broken gateway is found out, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.programs import ROOT
from chaos.result import FILE, HELD, VIOLATED, load
from chaos.run import Options, run
from chaos.scenarios import SCENARIOS
from chaos.script import STAYS, At, Scenario, out
from tests.checker.excuses import CLOSING
from tests.checker.history import Op, read
from tests.checker.planted import launcher

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PATIENCE = 60.0


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail when it does not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def processes(mark: str) -> list[str]:
    """Return the commands of all processes in whose arguments something occurs."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in command and one.parent.name != str(os.getpid()):
            found.append(command)
    return found


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS.values() if one.is_smoke], ids=lambda one: one.name)
def test_the_smoke_part_holds(scenario: Scenario, tmp_path: Path) -> None:
    """And its result is what reports are made of."""
    result = run(Options(scenario, 1, tmp_path / "run"))
    assert result.verdict == HELD, json.dumps(result.violations)
    assert load(tmp_path / "run" / FILE) == result
    assert [one["name"] for one in result.faults] == [one.fault for one in scenario.line]
    assert all(result.began < one["begin"] <= one["end"] <= one["back"] for one in result.faults)
    assert {one["backend"] for one in result.phases} == {"ec-1", "ec-2", "ec-3"}
    assert {kind for _, _, kind, _ in result.calls} == {"read", "allocate", "pay", "batch"}
    assert result.calls == sorted(result.calls)
    assert result.figures["reads"] > 50
    assert result.figures["duplicates"] == 0
    assert "full_strength_after_s" in result.figures
    written = [one for path in (tmp_path / "run").glob("client-*.jsonl") for one in read(path) if isinstance(one, Op)]
    assert len(written) > len(result.calls)


def test_a_gateway_without_a_ledger_is_told_as_violated(tmp_path: Path) -> None:
    """It gives addresses to two customers, and the run says so and how to see it again."""
    scenario = Scenario("smoke", "", (), workload="mixed", seconds=2.0)
    result = run(Options(scenario, 3, tmp_path / "run", has_ledger=False))
    assert result.verdict == VIOLATED
    assert result.has_failed
    assert "1" in {one["invariant"] for one in result.violations}
    assert result.figures["duplicates"] > 0
    assert result.repeat == "make chaos SCENARIO=smoke SEED=3"


def test_a_gateway_that_writes_a_password_into_its_log_is_told_as_violated(tmp_path: Path) -> None:
    """The file is named, and whose password it is."""
    scenario = Scenario("smoke", "", (), workload="readers", seconds=1.0)
    result = run(Options(scenario, 4, tmp_path / "run", module=launcher("tells-passwords")))
    assert result.has_failed
    assert {one["invariant"] for one in result.violations} == {"8"}
    assert any(one["text"].startswith("gateway.log has the secret of client shop") for one in result.violations)


def test_a_gateway_that_stops_to_give_addresses_is_told_as_violated(tmp_path: Path) -> None:
    """For eight seconds, all of which the fault would excuse: what a scenario promises of addresses has no excuse."""
    scenario = Scenario("stopped", "", (At(1.0, "freeze", 0, 3.0),), seconds=11.0, expects=out(0))
    result = run(Options(scenario, 3, tmp_path / "run", module=("tests.chaos.planted",)))
    assert result.has_failed
    assert {one["invariant"] for one in result.violations} == {"promise"}
    assert any("slowest_allocation_ms" in one["text"] for one in result.violations)
    assert result.figures["slowest_allocation_ms"] > 7000
    assert result.figures["allocations_counted"] >= CLOSING


def test_a_run_without_its_fault_is_told_as_violated(tmp_path: Path) -> None:
    """The wallet of the second one is just being restarted because of the first, so that nobody is there for it."""
    line = (At(0.5, "kill", 1, STAYS), At(0.55, "kill", 1, STAYS))
    result = run(Options(Scenario("twice", "", line, seconds=2.0), 3, tmp_path / "run"))
    assert result.has_failed
    assert [one["invariant"] for one in result.violations] == ["fault"]
    assert len(result.left_out) == 1


def test_a_run_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """No process of it, and its evidence so far is there."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "chaos", "one", "--scenario", "freeze", "--report", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as one:
        mark = f"--die-with-parent={one.pid}"
        wait_for(lambda: any("sandbox.daemon" in found for found in processes(mark)), "no daemon was started")
        one.send_signal(signal.SIGTERM)
        _, said = one.communicate(timeout=PATIENCE)
    assert one.returncode == 130
    assert "everything that was started is ended" in said
    wait_for(lambda: processes(mark) == [], f"still there: {processes(mark)}")
    assert (folder / "operator.jsonl").exists()
