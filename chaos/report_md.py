"""A report as Markdown: for a terminal, a merge request, and docs/chaos.md.

Rule: the same figures as the page, out of the same rooms; what would end a cell or begin a tag is escaped.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos.columns import COLUMNS, verdict
from chaos.findings import NAMES, Play, Report
from chaos.plot import plot
from chaos.result import Result, counted

FILE = "report.md"
PLOTS = "plots"


def write(report: Report, folder: Path) -> Path:
    """Write the report and a picture of each run beside it; return the report's path."""
    plots = folder / PLOTS
    plots.mkdir(exist_ok=True)
    for play in report.plays:
        for run in play.runs:
            if run.began:
                (plots / f"{name(run)}.svg").write_text(plot(run), encoding="utf-8")
    path = folder / FILE
    parts = [f"# Chaos report, {report.about.made}", report.headline, tables(report), *_plays(report.plays)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def name(run: Result) -> str:
    """Return how a run's picture is called."""
    return f"{run.scenario}-{run.seed}-{run.door}"


def tables(report: Report) -> str:
    """Return what a page of the documentation shows: doors side by side, the rest, what was not made."""
    compared = [play for play in report.plays if play.is_compared]
    alone = [play for play in report.plays if not play.is_compared]
    parts = [f"Made on {report.about.made}: {text(report.about.words)}."]
    if report.about.is_busy:
        parts.append("**Others were at work on the machine: more processes than cores.** Times mean little.")
    if compared:
        parts += ["### Side by side", _table(compared)]
    if alone:
        parts += ["### Through one door alone" if compared else "### What was made", _table(alone)]
    parts.append("\n".join(f"- *{one.title}*: {one.explained}" for one in COLUMNS))
    if report.red:
        parts += ["### What did not hold", _violations(report.red)]
    spared = [[text(run.scenario), text(NAMES.get(run.door, run.door)), text(one)] for run in report.runs
              for one in run.left_out]  # fmt: skip
    if spared:
        parts += ["### Faults that were planned and not done", _rows(["scenario", "door", "fault"], spared)]
    if report.left_out:
        rows = [[text(one.scenario), text(NAMES.get(one.door, one.door)), text(one.why)] for one in report.left_out]
        parts += ["### Left out", _rows(["scenario", "door", "why"], rows)]
    return "\n\n".join(parts)


def text(words: str) -> str:
    """Return words that stay words in a cell of a table."""
    plain = " ".join(words.split())
    for sign in "\\`*_{}[]<>|":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _table(plays: Sequence[Play]) -> str:
    rows = []
    for play in plays:
        for n, run in enumerate(play.runs):
            which = f"**{text(play.scenario)}**" + (f" (seed {play.seed})" if play.seed != 1 else "") if n == 0 else ""
            cells = [one.cell(run) for one in COLUMNS]
            shown = [f"**{cell.text}**" if cell.is_bad else cell.text for cell in cells]
            rows.append([which, NAMES.get(run.door, text(run.door)), *shown, verdict(run).text])
    return _rows(["scenario", "door", *(one.title for one in COLUMNS), "verdict"], rows)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _violations(red: Sequence[Result]) -> str:
    lines = []
    for run in red:
        lines.append(f"- {text(run.scenario)}, seed {run.seed}: `{run.repeat}`")
        lines += [f"  - [{text(one['invariant'])}] {text(one['text'])}" for one in run.violations]
    return "\n".join(lines)


def _plays(plays: Sequence[Play]) -> Iterable[str]:
    for play in plays:
        yield f"## {text(play.scenario)}" + (f", seed {play.seed}" if play.seed != 1 else "")
        yield text(f"{play.words} Clients: {play.workload}.")
        for run in play.runs:
            yield f"{NAMES.get(run.door, text(run.door))}: {verdict(run).text}. `{run.repeat}`"
            if "allocations_counted" in run.figures:
                yield f"Liveness: {counted(run.figures)}."
            if run.began:
                yield f"![{text(run.scenario)} through {text(run.door)}]({PLOTS}/{name(run)}.svg)"
            elif run.why:
                yield text(run.why)
