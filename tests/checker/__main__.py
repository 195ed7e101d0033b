"""`python -m tests.checker run --seconds 20 --seed N [--runs K]`: K runs with the seeds N, N+1, ...

Rule: exit code 1 when any run violates an invariant or could not be made, which costs the others nothing; 0 when none
does, 2 when the command line is wrong.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.checker.gateway import GATEWAY
from tests.checker.planted import BUGS
from tests.checker.planted import launcher as launcher_of
from tests.checker.report import Summary, overview
from tests.checker.run import Options, attempt


def main(arguments: list[str] | None = None) -> int:
    """Run and report; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run", help="make runs and judge them")
    command.add_argument(
        "--seconds", type=float, default=20.0, help="of clients and faults; about 10 more go to the rest"
    )
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--runs", type=int, default=1, help="seeds from --seed on")
    command.add_argument("--jobs", type=int, default=1, help="runs at once; each takes about half a core")
    command.add_argument("--keep", action="store_true", help="keep each run's folder; a red run's is kept anyhow")
    command.add_argument("--folder", type=Path, help="where the folders are made")
    command.add_argument("--report", type=Path, help="write the page there instead of to standard output")
    command.add_argument(
        "--restarts", choices=("on", "off"), help="let the gateway restart the daemons; else where the seed is even"
    )
    command.add_argument("--gateways", type=int, default=1, help="several share a PostgreSQL and one wallet")
    command.add_argument("--no-ledger", action="store_true", help="a gateway without a ledger: red is expected")
    command.add_argument("--planted", choices=sorted(BUGS), help="take a rule away: red is expected")
    chosen = parser.parse_args(arguments)
    options = [
        Options(
            seed,
            chosen.seconds,
            has_ledger=not chosen.no_ledger,
            launcher=launcher_of(chosen.planted) if chosen.planted else GATEWAY,
            keeps=chosen.keep,
            restarts=None if chosen.restarts is None else chosen.restarts == "on",
            gateways=chosen.gateways,
            folder=chosen.folder,
        )
        for seed in range(chosen.seed, chosen.seed + chosen.runs)
    ]
    summaries, broken = [], 0
    for made in _all(options, chosen.jobs):
        if isinstance(made, Summary):
            summaries.append(made)
            line = made.line()
        else:
            broken, line = broken + 1, made
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - a program for people
    text = overview(summaries)
    if chosen.report is None:
        print(text)  # noqa: T201 - a program for people
    else:
        chosen.report.write_text(text, encoding="utf-8")
    return int(broken > 0 or any(one.is_red for one in summaries))


def _all(options: Sequence[Options], jobs: int) -> Iterator[Summary | str]:
    """Make the runs, some at once, each in a process whose thread lasts as long as its children."""
    if jobs == 1:
        yield from map(attempt, options)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(attempt, options)


if __name__ == "__main__":
    sys.exit(main())
