"""Writes the report of many runs: a page for a browser, the same as Markdown, a picture of each run.

Rule: it is made of results alone, so that it can be written again from a folder of runs at any time.
"""

from collections.abc import Sequence
from pathlib import Path

from chaos import machine, report_html, report_md
from chaos.findings import made
from chaos.result import FILE, Result


def write(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write the report of some runs into a folder.

    Returns:
        the files that somebody would open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = machine.look()
    machine.save(about, folder)
    _keep(results, folder)
    report = made(results, about)
    return [report_html.write(report, folder), report_md.write(report, folder)]


def table(results: Sequence[Result]) -> str:
    """Return the tables of a report as Markdown, for a page of the documentation."""
    folders = sorted({Path(one.folder).parent for one in results if one.folder})
    about = next((found for folder in folders if (found := machine.load(folder))), None)
    return report_md.tables(made(results, about or machine.look()))


def _keep(results: Sequence[Result], folder: Path) -> None:
    """Write down what was not made as well, so that a report told again from its folder has it with its reason."""
    for one in results:
        place = folder / report_md.name(one)
        if not one.began and not (place / FILE).exists():
            one.save(place)
