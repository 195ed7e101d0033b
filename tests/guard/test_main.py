"""The guard's command line, as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.guard.__main__ import main
from gateway.guard.door import Door

COMMAND = [sys.executable, "-m", "gateway.guard"]


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It says where, warns that there is no engine, and leaves in order; a second one takes the old socket over."""
    for _ in range(2):
        options = [f"--listen={tmp_path}/guard.sock", f"--engine={tmp_path}/none.sock", "--label=ecgw.wallet=shop"]
        with subprocess.Popen([*COMMAND, *options], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            lines = [json.loads(process.stderr.readline()) for _ in range(2)]
            process.send_signal(signal.SIGTERM)
            lines += [json.loads(line) for line in process.stderr]
        assert [line["event"] for line in lines] == ["guard.started", "guard.engine_away", "guard.stopped"]
        assert lines[0]["label"] == "ecgw.wallet=shop"
        assert process.returncode == 0


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the way out, and exit code 1."""
    assert main([f"--listen={tmp_path}/none/guard.sock"]) == 1
    assert "name a folder that is there" in capsys.readouterr().err.splitlines()[-1]


def test_a_wrong_label_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as for any wrong command line."""
    with pytest.raises(SystemExit) as ended:
        main(["--label=a b"])
    assert ended.value.code == 2
    assert "a label is KEY or KEY=VALUE" in capsys.readouterr().err


def test_a_check_without_a_guard_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The container is unhealthy then."""
    assert main(["--check", f"--listen={tmp_path}/none.sock"]) == 1
    assert "no guard answers" in capsys.readouterr().err


async def test_a_check_asks_the_engine_behind_the_guard(door: Door, tmp_path: Path) -> None:
    """Well with one, unhealthy without."""
    assert await checked(door.listen) == (0, "")
    lonely = Door(tmp_path / "lonely.sock", tmp_path / "none.sock", door.label)
    await lonely.start()
    try:
        code, said = await checked(lonely.listen)
    finally:
        await lonely.stop()
    assert code == 1
    assert "502" in said
    assert "mount the engine's socket" in said


async def checked(path: Path) -> tuple[int, str]:
    """Exit code and words of a check, run beside the guard in this process."""
    import asyncio  # noqa: PLC0415 - the other tests here need none

    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--check", f"--listen={path}", stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
