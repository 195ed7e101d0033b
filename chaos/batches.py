"""Many runs one after the other or some at once, within a budget of time.

Rule: each run has a process of its own, which is told to end when its time is over, and ended when it does not; the
others go on.  A run that was not made is in the report, with the reason.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos import drawn, needs
from chaos.leash import leashed
from chaos.programs import ROOT
from chaos.result import FILE, SKIPPED, VIOLATED, Result, load, repeat
from chaos.run import MEMORY, missing, rescue
from chaos.scenarios import SCENARIOS
from chaos.script import Scenario

LIMIT = 180.0
"""Seconds beside those of its clients that a run may take for its start, its end and what lies between."""

AROUND = {"gateway": 20.0}
"""Seconds of a run before one door that are not its clients', for its start, its end and the verdict; about."""

AROUND_PEERS = 12.0
"""The same before other doors."""

ENDS = 30.0
"""Seconds in which a run that is told to end has ended all that it started."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One run that shall be made."""

    scenario: str
    seed: int
    door: str

    @property
    def play(self) -> Scenario:
        """What it is made of."""
        return scenario_of(self.scenario, self.seed)

    def folder(self, report: Path) -> Path:
        """Return where its evidence goes."""
        return report / f"{self.scenario}-{self.seed}-{self.door}"


def scenario_of(name: str, seed: int) -> Scenario:
    """Return a scenario by its name; one of them follows from the seed.  Raises KeyError."""
    return drawn.scenario(seed) if name == drawn.NAME else SCENARIOS[name]


def plan(names: Sequence[str], doors: Sequence[str], seed: int, *, randoms: int = 0) -> list[Planned]:
    """Return the runs in their order: first all before the first door, then the random ones, then the other doors.

    Each is there once, whoever names it twice: it has one folder.
    """
    first, *others = doors
    found = [Planned(name, seed, first) for name in names]
    if first == "gateway":
        found += [Planned(drawn.NAME, seed + n, first) for n in range(randoms)]
    found += [Planned(name, seed, door) for name in names for door in others if scenario_of(name, seed).peers]
    return list(dict.fromkeys(found))


def estimate(runs: Sequence[Planned], jobs: int) -> float:
    """Return about how many seconds runs take, so many at once."""
    return sum(one.play.seconds + AROUND.get(one.door, AROUND_PEERS) for one in runs) / jobs


@dataclass
class Batch:
    """Some runs.

    Args:
        report: the folder in which each has its own.
        budget: seconds after which none is begun.
        jobs: how many at once.
        tell: is given each result as soon as it is there.
    """

    report: Path
    budget: float
    jobs: int
    tell: Callable[[Result], None]
    found: dict[int, Result] = field(default_factory=dict)
    """By the place in the plan; what there is when all is cut off."""

    @property
    def results(self) -> list[Result]:
        """Those that there are, in the order of the plan."""
        return [self.found[n] for n in sorted(self.found)]

    async def make(self, runs: Sequence[Planned]) -> None:
        """Make them."""
        ends = time.monotonic() + self.budget
        waiting = iter(list(enumerate(runs)))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.jobs):
                group.create_task(self._work(waiting, ends))

    async def _work(self, waiting: Iterator[tuple[int, Planned]], ends: float) -> None:
        found = self.found
        for n, one in waiting:
            why = missing(one.play, one.door)
            if why:
                found[n] = _not_made(one, why, is_failure=needs.is_required() and one.door == "gateway")
            elif time.monotonic() > ends:
                found[n] = _not_made(one, f"the budget of {self.budget:g} s was used up; BUDGET=... gives more")
                found[n].is_late = True
            else:
                found[n] = await self._run(one)
            self.tell(found[n])

    async def _run(self, one: Planned) -> Result:
        folder = one.folder(self.report)
        folder.mkdir(parents=True, exist_ok=True)
        command = leashed(
            sys.executable, "-m", "chaos", "one", "--scenario", one.scenario, "--seed", str(one.seed),
            "--doors", one.door, "--report", str(folder),
        )  # fmt: skip
        with (folder / "run.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                process_group=0,  # Ctrl-C is for us, who tell it once; told twice, it would be torn apart
            )  # fmt: skip
            try:
                async with asyncio.timeout(one.play.seconds + LIMIT):
                    code = await process.wait()
                why = f"it ended with code {code}"
            except TimeoutError:
                why = f"it took more than {one.play.seconds + LIMIT:g} s"
            finally:
                await _end(process)
                if process.returncode == -signal.SIGKILL:
                    rescue(MEMORY, process.pid, folder)
        if (folder / FILE).exists():
            return load(folder / FILE)
        said = (folder / "run.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        failed = _not_made(one, f"the run itself failed: {why}; {' '.join(said)}", is_failure=True)
        failed.folder = str(folder)
        return failed


async def _end(process: asyncio.subprocess.Process) -> None:
    """Tell a run to end, if it has not; end it the hard way if it does not (the kernel then ends what it started)."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.wait([waiting], timeout=ENDS)
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await waiting


def _not_made(one: Planned, why: str, *, is_failure: bool = False) -> Result:
    return Result(
        one.scenario,
        one.door,
        one.seed,
        one.play.words,
        verdict=VIOLATED if is_failure else SKIPPED,
        violations=[{"invariant": "run", "text": why}] if is_failure else [],
        is_judged=is_failure or one.door == "gateway",
        why=why,
        repeat=repeat(one.scenario, one.seed, one.door),
    )


def fresh(folder: Path) -> Path:
    """Return a folder for one report that nobody used: the folder itself, or one beside it with a number."""
    if not folder.exists() or not any(folder.iterdir()):
        return folder
    number = 2
    while (found := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return found
