"""Daemons of the gateway: the checker knows who lives and who ended whom, and leaves nobody behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checker.daemon import births, over
from tests.checker.history import Diary, Life, read
from tests.checker.launched import ROOT, Lives, Loads, fresh_lines

Begin = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def diary(tmp_path: Path) -> Iterator[Diary]:
    """An operator's notes."""
    notes = Diary(tmp_path / "operator.jsonl")
    yield notes
    notes.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a process that counts as a daemon."""
    started: list[subprocess.Popen[bytes]] = []

    def start(daemon: int) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(["sleep", "60"])
        started.append(process)
        with births(tmp_path, daemon).open("a") as file:
            file.write(json.dumps({"pid": process.pid, "at": time.time()}) + "\n")
        return process

    yield start
    for one in started:
        one.kill()
        one.wait()


def until(holds: Callable[[], object]) -> None:
    """Wait for other processes; fails after ten seconds."""
    end = time.monotonic() + 10.0
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_lives_are_seen_to_begin_and_end(tmp_path: Path, diary: Diary, begin: Begin) -> None:
    """And by whose hand; what lives at the end is ended."""
    lives = Lives(tmp_path, 2, diary)
    assert lives.now(0) is None
    by_us, by_itself = begin(0), begin(1)
    until(lambda: lives.now(0) and lives.now(1))
    first, second = lives.now(0), lives.now(1)
    assert first is not None
    assert second is not None
    first.signal(signal.SIGSTOP)
    until(lambda: first.is_stopped)
    assert first.is_alive
    first.kill()
    assert not first.is_alive
    assert not first.is_stopped
    by_itself.kill()
    until(second.ended.is_set)
    last = begin(0)
    until(lambda: lives.now(0) is not first)
    lives.close()
    assert last.wait(10) == -signal.SIGKILL
    told = {one.pid: one for one in read(tmp_path / "operator.jsonl") if isinstance(one, Life)}
    assert [told[one.pid].by_checker for one in (by_us, by_itself, last)] == [True, False, True]
    assert all(one.begin <= one.end for one in told.values())


@pytest.mark.parametrize("is_late", [False, True])
def test_no_daemon_outlives_its_run(tmp_path: Path, *, is_late: bool) -> None:
    """Neither when the checker has ended, nor when it has said that the run is over."""
    owner = subprocess.Popen(["sleep", "60"])
    if is_late:
        over(tmp_path).touch()
    options = ["--port=0", "--chain=127.0.0.1:1", f"--data={tmp_path}", "--seed=x", "--user=u", "--password-env=P"]
    words = [str(owner.pid), str(tmp_path), "0", *options, f"--journal={tmp_path / 'journal'}", "--start-delay=60"]
    daemon = subprocess.Popen([sys.executable, "-m", "tests.checker.daemon", *words], cwd=ROOT, env={"P": "p"})
    try:
        until(births(tmp_path, 0).exists)
        if is_late:
            assert daemon.wait(10) == 0
        else:
            assert daemon.poll() is None
            owner.kill()
            assert daemon.wait(10) == -signal.SIGKILL
    finally:
        for one in (owner, daemon):
            one.kill()
            one.wait()


def test_a_load_is_read_from_the_journal(tmp_path: Path) -> None:
    """Whole lines alone; a load that failed is none."""
    path = tmp_path / "journal"
    loads = Loads(path)
    assert loads.last() == 0.0
    rows = [
        {"time": 1.0, "method": "load_wallet", "result": True},
        {"time": 2.0, "method": "help", "params": ["load_wallet"], "result": True},
        {"time": 3.0, "method": "load_wallet", "error": {"code": 1}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert loads.last() == 1.0
    line = json.dumps({"time": 4.0, "method": "load_wallet", "result": True})
    with path.open("a") as file:
        file.write(line[:20])
    assert loads.last() == 1.0
    with path.open("a") as file:
        file.write(line[20:] + "\n")
    assert loads.last() == 4.0
    assert fresh_lines(tmp_path / "nothing", 7) == ([], 7)
