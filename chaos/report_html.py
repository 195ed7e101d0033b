"""A report as one page that a person reads in a browser or prints: no address outside, no script.

Rule: whatever comes out of a run is escaped, for a daemon's own words are in it; only pictures that `plot.py` drew
go in as they are, and they escape for themselves.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from chaos import plot
from chaos.columns import COLUMNS, facts, promise, verdict
from chaos.findings import NAMES, Report
from chaos.result import Result

FILE = "report.html"


def write(report: Report, folder: Path) -> Path:
    """Write the page; return its path."""
    path = folder / FILE
    path.write_text(page(report), encoding="utf-8")
    return path


def page(report: Report) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(plot.PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        report=report,
        compared=[play for play in report.plays if play.is_compared],
        alone=[play for play in report.plays if not play.is_compared],
        columns=COLUMNS,
        door=lambda name: NAMES.get(name, name),
        verdict=verdict,
        facts=facts,
        promise=promise,
        style=Markup((plot.PAGE / "report.css").read_text(encoding="utf-8") + plot.style_sheet()),  # noqa: S704 - ours
        patterns=Markup(plot.patterns()),  # noqa: S704 - ours
        picture=_picture,
        keys=[(Markup(shape), words) for shape, words in plot.signs()],  # noqa: S704 - ours
    )


def _picture(run: Result) -> Markup:
    return Markup(plot.plot(run, is_alone=False))  # noqa: S704 - it escapes for itself, see there
