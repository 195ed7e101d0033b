"""A wall clock that can be set while a program runs, for one program alone; clocks that only count go on as they were.

Rule: it is Debian's libfaketime; what it would bend beside the wall clock (the monotonic clock, by which a program
waits, and times of files) is left alone.  What a program with a wrong clock wrote down is put right for the judge
afterwards, who looks at one clock.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

CLOCKED = "chaos.clocked"
"""The module by which a Python program is started."""

HOUR = 3600.0
"""By how many seconds a clock jumps whose scenario says nothing else."""

MOST = 2000
"""Lines from the end of a file in which what a wrong clock wrote is looked for."""

SEEN = 2.5
"""Seconds in which a program that looks at its clock now and then sees that it was set: it reads its file once in more
than a second."""


def library() -> Path | None:
    """Return where the library is; None where it is not installed.

    Its sister for programs with threads takes three milliseconds to hand something to a thread, which a gateway does
    for each payment several times.
    """
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


class Clock:
    """The clock of one program.

    Args:
        file: by which the program is told.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0.0)

    def set(self, ahead: float) -> None:
        """Let it be so many seconds ahead, or behind where that is negative."""
        # in one step, for the program may look at any moment
        fresh = self.file.with_name(f"{self.file.name}.fresh")
        fresh.write_text(f"{ahead:+.3f}\n", encoding="ascii")
        fresh.replace(self.file)

    def environment(self) -> dict[str, str]:
        """Return what the program is started with."""
        return {
            "LD_PRELOAD": str(library() or ""),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@dataclass(frozen=True, slots=True)
class Jump:
    """A time in which a clock was wrong by the right one, seconds since 1970."""

    begin: float
    end: float
    ahead: float

    def right(self, at: float) -> float:
        """Return when something was that was written down at `at` of the wrong clock, if it was."""
        return at - self.ahead if self.begin <= at - self.ahead <= self.end + SEEN else at


def right(jumps: Sequence[Jump], at: float) -> float:
    """Return when it was, by all jumps of a clock; they are longer than the run."""
    return next((found for jump in jumps if (found := jump.right(at)) != at), at)


def unseen(file: Path, name: str, jump: Jump) -> str:
    """Say so where nothing in a file with a JSON object a line was written down at the time of a jump, else "".

    Args:
        name: of what is a time there.
    """
    lines = file.read_bytes().splitlines()[-MOST:] if file.exists() else []
    if any(jump.right(at) != at for line in lines if (at := _time(line, name)) is not None):
        return ""
    return f"nothing was written down by the wrong clock in {file.name}"


def _time(line: bytes, name: str) -> float | None:
    try:
        at = json.loads(line).get(name)
    except (ValueError, AttributeError):
        return None
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at


def put_right(file: Path, jumps: Sequence[Jump], *names: str) -> None:
    """Put the times of a file with a JSON object a line right; nothing happens where there is none.

    Args:
        names: of what is a time there, seconds since 1970 or in ISO 8601.
    """
    if not file.exists():
        return
    lines = [_line(line, lambda at: right(jumps, at), names) for line in file.read_bytes().splitlines(keepends=True)]
    file.write_bytes(b"".join(lines))


def _line(line: bytes, mend: Callable[[float], float], names: Sequence[str]) -> bytes:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    before = {name: row[name] for name in names if name in row}
    for name, at in before.items():
        if isinstance(at, str):
            moment = datetime.fromisoformat(at)
            row[name] = (moment + timedelta(seconds=mend(moment.timestamp()) - moment.timestamp())).isoformat()
        else:
            row[name] = mend(at)
    return line if all(row[name] == at for name, at in before.items()) else json.dumps(row).encode() + b"\n"
