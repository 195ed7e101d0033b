"""Puts what the last report says into a page of the documentation, between two marks.

Rule: what is written by hand stays; a page without the marks is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos.result import FILE, Result, load

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


def told(results: Sequence[Result]) -> str:
    """Return what was made, in one sentence."""
    made = [one for one in results if one.began]
    red = [one for one in results if one.has_failed]
    doors = ", ".join(dict.fromkeys(one.door for one in made))
    said = f"{len(made)} runs through {doors}; {len(red)} of those through the gateway violated an invariant"
    return f"{said}{'' if not red else ': ' + ', '.join(f'{one.scenario} (seed {one.seed})' for one in red)}."
