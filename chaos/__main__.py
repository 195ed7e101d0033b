"""`python -m chaos run`, `list` and `docs`: make runs, say what there is, write a report into the documentation.

Rule: exit code 1 when a run before our gateway violates an invariant, 0 when none does, 2 when the command line is
wrong, 3 when runs were left out for want of time or none could be made at all, 130 when it was cut off.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from chaos import drawn
from chaos.batches import Batch, Planned, estimate, fresh, plan, scenario_of
from chaos.doors import DOORS
from chaos.faults import FAULTS
from chaos.findings import many, out_of_time
from chaos.needs import DOORS as NEEDS_OF_DOORS
from chaos.needs import missing as missing_needs
from chaos.pages import keep, made_by, placed, results_in, told
from chaos.result import SKIPPED, Result
from chaos.run import Options, cut_off_once, run
from chaos.scenarios import SCENARIOS
from chaos.workloads import WORKLOADS

FOREVER = float("inf")

BUDGET = 3000.0
"""Seconds for all before all doors, two at once, with some to spare."""

RANDOMS = 3
"""Random scenarios at the end of all."""

REPORT = Path("build/chaos")
PAGE = Path("docs/chaos.md")

DEFAULT_DOOR = "gateway"

CUT_OFF = 130
"""The exit code where somebody ended it, as shells have it for Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    chosen = _parser().parse_args(given)
    wrong = _unknown(chosen) or _wrong(chosen)
    if wrong:
        print(wrong, file=sys.stderr)
        return 2
    match chosen.command:
        case "list":
            return _list()
        case "one":
            return _one(chosen)
        case "docs":
            return _docs(chosen)
    return _run(chosen, given)


def _unknown(chosen: argparse.Namespace) -> str:
    """Return which names there are not, with the nearest that there are; "" where all are known."""
    kinds = (("scenario", chosen.scenario, (*SCENARIOS, drawn.NAME)), ("door", chosen.doors, tuple(DOORS)))
    for kind, names, known in kinds:
        for name in names:
            if name not in known:
                near = get_close_matches(name, known) or known
                return f"there is no {kind} {name!r}; is it one of {', '.join(near)}? `python -m chaos list` says all"
    return ""


def _wrong(chosen: argparse.Namespace) -> str:
    """Return what is wrong with a command, and the way out; "" where nothing is."""
    if chosen.command == "one" and (len(chosen.scenario), len(chosen.doors)) != (1, 1):
        return f"one run is of one scenario before one door: --scenario NAME --doors {DEFAULT_DOOR}"
    if chosen.command == "run" and chosen.jobs < 1:
        return f"--jobs must be 1 or more, got {chosen.jobs}"
    if chosen.command == "run" and not 0 < chosen.budget < FOREVER:
        return f"--budget must be seconds above 0, got {chosen.budget:g}"
    if chosen.command == "run" and (chosen.randoms or 0) < 0:
        return f"--randoms must be 0 or more, got {chosen.randoms}"
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="say which scenarios and faults there are")
    listing.set_defaults(scenario=[], doors=[])
    docs = commands.add_parser("docs", help="write a report's table into a page of the documentation")
    docs.set_defaults(scenario=[], doors=[])
    docs.add_argument("--report", type=Path, default=REPORT, help="the folder of the report")
    docs.add_argument("--page", type=Path, default=PAGE)
    for name, words in (("run", "make runs and a report"), ("one", "make one run in this process")):
        command = commands.add_parser(name, help=words)
        command.add_argument(
            "--scenario",
            action="append",
            default=[],
            help="again for more; all when not given, `list` says which there are",
        )
        command.add_argument(
            "--seed", type=int, default=1, help="of all choices of clients, and of random scenarios (%(default)s)"
        )
        command.add_argument(
            "--doors",
            type=lambda text: text.split(","),
            default=[DEFAULT_DOOR],
            help=f"{','.join(DOORS)}, or some of them; our own alone when not given",
        )
        command.add_argument(
            "--report", type=Path, default=REPORT, help="the folder for evidence and report (%(default)s)"
        )
        if name == "run":
            command.add_argument(
                "--budget", type=float, default=BUDGET, help="seconds after which none is begun (%(default)g)"
            )
            command.add_argument("--smoke", action="store_true", help="only those that `make test` makes")
            command.add_argument("--jobs", type=int, default=1, help="runs at once; times are worth less then (1)")
            command.add_argument(
                "--randoms",
                type=int,
                default=None,
                help=f"random scenarios, seeds from --seed on ({RANDOMS}, 0 with --scenario or --smoke)",
            )
    return parser


def _run(chosen: argparse.Namespace, given: Sequence[str]) -> int:
    names = chosen.scenario or [name for name, one in SCENARIOS.items() if one.is_smoke or not chosen.smoke]
    randoms = chosen.randoms if chosen.randoms is not None else 0 if chosen.scenario or chosen.smoke else RANDOMS
    try:
        report = fresh(chosen.report)
        keep(report, given)
    except OSError as error:
        print(f"no report can be written there: {error}; --report FOLDER (REPORT=...) names another", file=sys.stderr)
        return 2
    batch = Batch(report, chosen.budget, chosen.jobs, _tell)
    runs = plan(names, chosen.doors, chosen.seed, randoms=randoms)
    print(f"{many(len(runs), 'run')}, about {many(round(estimate(runs, chosen.jobs) / 60) or 1, 'minute')}", flush=True)
    is_cut_off = False
    try:
        asyncio.run(_made(batch, runs))
    except (asyncio.CancelledError, KeyboardInterrupt):
        is_cut_off = True
        # once is enough: what is left is the report of what was made
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = batch.results
    _report(results, report)
    red = [one for one in results if one.has_failed]
    for one in red:
        print(f"\nVIOLATED: {one.scenario} with seed {one.seed} through {one.door}; to repeat it: {one.repeat}")
        for violation in one.violations:
            print(f"  [{violation['invariant']}] {violation['text']}")
        print(f"  evidence: {one.folder}")
    made = [one for one in results if one.verdict != SKIPPED]
    print(f"\n{many(len(made), 'run')} made, {len(red)} violated, {len(results) - len(made)} left out; in {report}")
    if is_cut_off:
        print(f"cut off: {len(runs) - len(results)} runs are lacking", file=sys.stderr)
        return CUT_OFF
    lacks = out_of_time(results)
    if lacks:
        print(f"\n{lacks} BUDGET=... (--budget) gives more time")
    if red:
        return 1
    return 0 if made and not lacks else 3


async def _made(batch: Batch, runs: Sequence[Planned]) -> None:
    """Make them; SIGTERM and Ctrl-C end it in order."""
    task = asyncio.current_task()
    assert task is not None
    cut_off_once(task)
    await batch.make(runs)


def _tell(result: Result) -> None:
    print(result.line(), flush=True)


def _report(results: Sequence[Result], folder: Path) -> None:
    """Write the pages, where there is somebody to write them."""
    if find_spec("chaos.report") is None:
        return
    from chaos.report import write  # noqa: PLC0415 - it draws, which one run has no need of

    for path in write(results, folder):
        print(f"report: {path}")


def _one(chosen: argparse.Namespace) -> int:
    [name], [door] = chosen.scenario, chosen.doors
    try:
        result = run(Options(scenario_of(name, chosen.seed), chosen.seed, chosen.report, door))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("cut off; everything that was started is ended", file=sys.stderr)
        return CUT_OFF
    print(result.line())
    return int(result.has_failed)


def _docs(chosen: argparse.Namespace) -> int:
    from chaos.report import table  # noqa: PLC0415 - the same

    results = results_in(chosen.report)
    if not results:
        print(f"no run is in {chosen.report}; `make chaos` makes some", file=sys.stderr)
        return 2
    page = chosen.page.read_text(encoding="utf-8")
    chosen.page.write_text(
        placed(page, f"{told(results, made_by(chosen.report))}\n\n{table(results)}"), encoding="utf-8"
    )
    return 0


def _list() -> int:
    for one in SCENARIOS.values():
        doors = "" if one.peers else "  (our gateway alone)"
        print(f"{one.name:<24} {one.seconds:>4g} s  {one.workload:<8} {', '.join(one.faults)}{doors}")
        print(f"{'':<24} {one.words}")
        if one.addresses_may_wait:
            print(f"{'':<24} Addresses may wait: {one.addresses_may_wait}.")
    print(f"{drawn.NAME:<24} {drawn.SECONDS:>4g} s  {'':<8} drawn from the seed")
    print("\nfaults:")
    for fault in FAULTS.values():
        why = missing_needs(fault.needs)
        print(f"  {fault.name:<20} {fault.lane:<10} {why and f'cannot be done here: {why}'}")
    print("\ndoors:")
    for name in DOORS:
        why = missing_needs(NEEDS_OF_DOORS.get(name, frozenset()))
        print(f"  {name:<20} {why and f'cannot be had here: {why}'}".rstrip())
    print("\nworkloads:")
    for name, work in WORKLOADS.items():
        print(f"  {name:<20} {work.words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
