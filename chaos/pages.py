"""Puts what the last report says into a page of the documentation, between two marks.

Rule: what is written by hand stays; a page without the marks is refused.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from chaos.findings import out_of_time
from chaos.result import FILE, Result, load

COMMAND = "command.txt"
"""In the folder of a report: what it was made with."""

BEGIN, END = "<!-- report -->", "<!-- /report -->"


class PageError(Exception):
    """The page cannot be written; says what it lacks."""


def results_in(report: Path) -> list[Result]:
    """Return what the runs of a report came to, in the order in which they were made."""
    return sorted(
        (load(path) for path in report.glob(f"*/{FILE}")), key=lambda one: (one.began, one.scenario, one.door)
    )


def placed(page: str, text: str) -> str:
    """Return a page with a text between its marks.  Raises PageError."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"the page needs a line {BEGIN} and one {END} below it")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"


def keep(report: Path, arguments: Sequence[str]) -> None:
    """Write down with which command a report is made."""
    report.mkdir(parents=True, exist_ok=True)
    (report / COMMAND).write_text(shlex.join(["python", "-m", "chaos", *arguments]), encoding="utf-8")


def made_by(report: Path) -> str:
    """Return the command that made a report, as it was given; "" where nobody wrote it down."""
    kept = report / COMMAND
    return kept.read_text(encoding="utf-8") if kept.exists() else ""


def told(results: Sequence[Result], by: str = "") -> str:
    """Return what was made, in a few sentences.

    Args:
        by: the command that made it.
    """
    made = [one for one in results if one.began]
    red = [one for one in results if one.has_failed]
    doors = ", ".join(dict.fromkeys(one.door for one in made))
    said = f"{len(made)} runs through {doors}; {len(red)} of those through the gateway violated an invariant"
    said += f"{'' if not red else ': ' + ', '.join(f'{one.scenario} (seed {one.seed})' for one in red)}."
    return " ".join(filter(None, (by and f"Made by `{by}`.", said, out_of_time(results))))
