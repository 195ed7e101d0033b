"""The compiled gateway is made of rooms that are there, and is known to be of other sources than these."""

import subprocess
import sys
from pathlib import Path

from scripts import compile as compiler

ROOT = Path(__file__).parents[2]


def test_every_room_that_is_compiled_is_there_once() -> None:
    """One that was renamed would be missed by the compiler only, which few people run."""
    rooms = [room for floor in compiler.ROOMS for room in floor.split()]
    assert len(set(rooms)) == len(rooms)
    assert [room for room in rooms if not (ROOT / "gateway" / f"{room}.py").is_file()] == []


def test_one_of_other_sources_is_not_current(tmp_path: Path) -> None:
    """Nobody measures or runs yesterday's."""
    ask = [sys.executable, str(ROOT / "scripts/compile.py"), "--is-current", str(tmp_path)]
    assert subprocess.run(ask, check=False).returncode == 1
    (tmp_path / compiler.MADE_OF).write_text(compiler.digest())
    assert subprocess.run(ask, check=False).returncode == 0
    (tmp_path / compiler.MADE_OF).write_text("of something else")
    assert subprocess.run(ask, check=False).returncode == 1
