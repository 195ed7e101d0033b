"""A wall clock is set for one program alone, and what it wrote down meanwhile is put right."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import needs
from chaos.clocked import MEMORY, be_alone
from chaos.clocks import CLOCKED, Clock, Jump, put_right, right, unseen
from chaos.faults.gateway_clock import GatewayClock
from chaos.faults.wallet_clock import WalletClock
from chaos.programs import ROOT
from tests.chaos.bare_stage import Bare

HOUR = 3600.0

JUMPS = (Jump(1000.0, 1010.0, HOUR), Jump(2000.0, 2010.0, -24 * HOUR))


@pytest.mark.parametrize(
    ("written", "was"),
    [
        (1005.0 + HOUR, 1005.0),
        (2005.0 - 24 * HOUR, 2005.0),
        (999.0, 999.0),
        (1005.0, 1005.0),
        (1012.0 + HOUR, 1012.0),
        (1013.0 + HOUR, 1013.0 + HOUR),
    ],
)
def test_what_was_written_by_a_wrong_clock_is_put_right(written: float, was: float) -> None:
    """What is no time of a jump was written by the right one; a program hears of the jump's end a moment late."""
    assert right(JUMPS, written) == was


def test_a_file_is_put_right_line_by_line(tmp_path: Path) -> None:
    """Numbers and words, and nothing else of a line; what is no JSON is left alone."""
    words = datetime.fromtimestamp(1005.0 + HOUR, UTC).isoformat()
    rows = [{"time": 1005.0 + HOUR, "a": "b"}, {"timestamp": words}, {"time": 990.0}, {"other": 1005.0 + HOUR}]
    file = tmp_path / "journal"
    file.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"half a li")
    put_right(file, JUMPS, "time", "timestamp")
    *lines, last = file.read_bytes().split(b"\n")
    first, second, third, fourth = map(json.loads, lines)
    assert first == {"time": 1005.0, "a": "b"}
    assert datetime.fromisoformat(second["timestamp"]).timestamp() == 1005.0
    assert (third, fourth, last) == ({"time": 990.0}, {"other": 1005.0 + HOUR}, b"half a li")
    put_right(tmp_path / "nowhere", JUMPS, "time")


def test_a_jump_by_which_nothing_was_written_down_is_told(tmp_path: Path) -> None:
    """Where no file is, and where all is written by the right clock; one line of the wrong one is enough."""
    file = tmp_path / "journal"
    assert "in journal" in unseen(file, "time", JUMPS[0])
    file.write_text('{"time": 1005.0}\n{"other": 4605.0}\n7\nhalf a li')
    assert "in journal" in unseen(file, "time", JUMPS[0])
    file.write_text(json.dumps({"time": datetime.fromtimestamp(1005.0 + HOUR, UTC).isoformat()}))
    assert unseen(file, "time", JUMPS[0]) == ""
    assert "in journal" in unseen(file, "time", JUMPS[1])


async def test_the_end_of_a_jump_is_written_down_and_the_log_is_put_right(tmp_path: Path) -> None:
    """A second end does nothing."""
    stage = Bare(tmp_path, [])
    fault = GatewayClock()
    await fault.prepare(stage.stage)
    clock = tmp_path / "gateway.clock"
    assert clock.read_text() == "+0.000\n"
    assert stage.launch.module == (CLOCKED, "gateway")
    await fault.inject(stage.stage, 0, -HOUR)
    assert clock.read_text() == "-3600.000\n"
    wrong = datetime.fromtimestamp(time.time() - HOUR, UTC)
    (tmp_path / "gateway.log").write_text(json.dumps({"timestamp": wrong.isoformat()}) + "\n")
    await fault.heal(stage.stage, 0)
    await fault.heal(stage.stage, 0)
    assert clock.read_text() == "+0.000\n"
    await fault.tidy(stage.stage)
    told = datetime.fromisoformat(json.loads((tmp_path / "gateway.log").read_text())["timestamp"])
    assert (told - wrong).total_seconds() == HOUR


async def test_each_wallet_has_a_clock_of_its_own(tmp_path: Path) -> None:
    """And keeps what it was started with."""
    launchers: list[dict[str, Any]] = [
        {"command": ["python", "-m", "wallet", "0"], "env": {"A": "b"}} for _ in range(2)
    ]
    stage = Bare(tmp_path, [SimpleNamespace(port=0)] * 2, launchers=launchers)
    fault = WalletClock()
    await fault.prepare(stage.stage)
    assert launchers[0]["command"] == ["python", "-m", CLOCKED, "wallet", "0"]
    assert launchers[0]["env"]["A"] == "b"
    first, second = (tmp_path / Path(one["env"]["FAKETIME_TIMESTAMP_FILE"]).name for one in launchers)
    await fault.inject(stage.stage, 1, 60.0)
    assert (first.read_text(), second.read_text()) == ("+0.000\n", "+60.000\n")
    await fault.heal(stage.stage, 1)
    assert second.read_text() == "+0.000\n"


PROGRAM = """
import asyncio, sys, time
async def main():
    loop = asyncio.get_running_loop()
    wall, mono, own = time.time(), time.monotonic(), loop.time()
    print("begun", flush=True)
    while abs(time.time() - wall) < 1000.0:
        time.sleep(0.02)
        await asyncio.sleep(0.02)
    print(time.time() - wall, time.monotonic() - mono, loop.time() - own)
asyncio.run(main())
"""


def test_a_program_with_a_clock_leaves_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it is killed: the names go at once.  What it starts has the right clock; nobody else's are touched."""
    for name in ("sem.faketime_sem_7", "faketime_shm_7", "sem.faketime_sem_8", "faketime_shm_8"):
        (tmp_path / name).touch()
    monkeypatch.setenv("FAKETIME_SHARED", "/faketime_sem_7 /faketime_shm_7")
    monkeypatch.setenv("LD_PRELOAD", "libfaketime.so.1")
    be_alone(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["faketime_shm_8", "sem.faketime_sem_8"]
    assert "LD_PRELOAD" not in os.environ
    be_alone(tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize("ahead", [HOUR, -24 * HOUR])
def test_a_real_clock_jumps_and_the_monotonic_one_goes_on(tmp_path: Path, ahead: float) -> None:
    """By Debian's faketime: the loop of asyncio does not feel it, sleeping works, and our own clock is as it was."""
    why = needs.missing(frozenset({"faketime"}))
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    (tmp_path / "program.py").write_text(PROGRAM)
    clock = Clock(tmp_path / "clock")
    before = time.time(), time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", CLOCKED, "program"],
        env={**os.environ, **clock.environment(), "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        left = list(MEMORY.glob(f"*faketime*_{program.pid}"))
        clock.set(ahead)
        told, _ = program.communicate(timeout=30.0)
    assert not left, "they would stay if it had been killed then"
    real = time.monotonic() - before[1]
    wall, mono, own = map(float, told.split())
    assert abs(wall - ahead - mono) < 0.5
    assert 0.0 < mono <= real
    assert 0.0 < own <= real
    assert abs(time.time() - before[0] - real) < 60.0
