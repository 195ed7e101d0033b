"""Runs every program of the bench, one after another, and says in one table what was required and what was found.

The same table lies in build/bench.md and build/bench.json afterwards; all tables of all programs in bench.details.json.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
from common import BENCH, Report, Requirement

PROGRAMS = (
    "memory", "scale", "scrape", "page", "latency", "throughput", "polling", "overload", "money", "healing", "cluster",
    "reaction",
)  # fmt: skip
LIMIT = 1200.0
"""Seconds for one program; each has a closer limit of its own."""


def measure(report: Report, options: argparse.Namespace) -> None:
    """Run them all; one that fails does not keep the others from running."""
    results: list[dict[str, Any]] = []
    with common.scratch() as folder:
        for name in options.only or PROGRAMS:
            report.progress(f"{name} begins")
            results.append(_one(name, folder / f"{name}.json", quick=options.quick))
    rows: list[list[object]] = []
    for result in results:
        verdict = "ok" if result["ok"] else "FAILED" if result["failed"] else "MISSED"
        missed = [one for one in result["requirements"] if not one["ok"]]
        rows.append([result["program"], verdict, len(result["requirements"]), len(missed), result["seconds"]])
        report.requirements += [
            Requirement(**{**one, "name": f"{result['program']}: {one['name']}"}) for one in result["requirements"]
        ]
        report.notes += [f"{result['program']}: {note}" for note in result["notes"]]
        report.failed |= bool(result["failed"])
    report.table("The bench", ["program", "result", "required", "missed", "seconds"], rows)
    details = options.json.with_suffix(".details.json")
    details.parent.mkdir(parents=True, exist_ok=True)
    details.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _one(name: str, file: Path, *, quick: bool) -> dict[str, Any]:
    """Run one program and return its results."""
    command = [sys.executable, str(BENCH / f"{name}.py"), "--json", str(file), *["--quick"] * quick]
    began = time.monotonic()
    program = subprocess.Popen(command)
    try:
        program.wait(LIMIT)
    except subprocess.TimeoutExpired:
        _end(program)
    except BaseException:
        _end(program)
        raise
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    seconds = round(time.monotonic() - began, 1)
    note = f"ended with code {program.returncode} and without results"
    return {"program": name, "ok": False, "failed": True, "seconds": seconds, "requirements": [], "notes": [note]}


def _end(program: subprocess.Popen[bytes]) -> None:
    """Let a program tidy up and end; Ctrl-C in a terminal has told it already."""
    program.terminate()
    try:
        program.wait(20)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def main() -> int:
    """Run them."""
    parser = common.options_parser(__doc__)
    parser.set_defaults(json=common.ROOT / "build" / "bench.json")
    parser.add_argument("--only", action="append", choices=PROGRAMS, help="only this one; may be named several times")
    options = parser.parse_args()
    report = Report("bench")
    return common.run(lambda: measure(report, options), report, options, limit=3000)


if __name__ == "__main__":
    sys.exit(main())
