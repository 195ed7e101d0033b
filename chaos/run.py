"""One run: start everything, let clients work while the line of faults is carried out, heal, look, stop, judge.

Rule: everything that was started is ended, whatever happens, and a run that was cut off says so; it must be made in a
thread that lasts as long.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from chaos import needs
from chaos.callers import Client
from chaos.databases import DUMP, KEEP
from chaos.faults import FAULTS
from chaos.figures import AUDITOR, Call, call_of, felt, figures, outcomes, worked
from chaos.judging import promises, told, unproved, violations
from chaos.line import Carried, Done, carry_out
from chaos.phases import phases
from chaos.programs import ProgramError
from chaos.result import HELD, SKIPPED, VIOLATED, Result, repeat
from chaos.script import Scenario
from chaos.stage import Stage
from chaos.strength import daemons_are_whole, full_strength
from chaos.workloads import WORKLOADS, Crew, Shared
from gateway.sandbox.node import SYNC_DELAY
from tests.checker.evidence import Evidence, chain_events, gather
from tests.checker.gateway import DAY_LIMIT, GATEWAY
from tests.checker.history import Deed, Diary
from tests.checker.leaks import Secrets, leaks
from tests.checker.run import afterwards, fund, wait_until_open, write_finals

T = TypeVar("T")

SETTLED = 45.0
"""Seconds in which all has to serve again after the faults."""

CALM = 1.0
"""Seconds before the clients begin, in which what the start left to do comes to an end."""

EVERY = 0.2

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it gets a random name and is ours alone

SERVING = frozenset({"READY", "WARMING"})
"""Phases in which a backend serves; a slow start is service."""


@dataclass(frozen=True)
class Options:
    """How a run is made.

    Args:
        folder: fresh; the run's own.
        has_ledger: False, or a `module` with a rule taken away: what the judge has to see.
    """

    scenario: Scenario
    seed: int
    folder: Path
    door: str = "gateway"
    has_ledger: bool = True
    module: Sequence[str] = GATEWAY
    sync_delay: float = SYNC_DELAY


@dataclass
class _Course:
    """What happened, as the run itself knows it."""

    began: float = 0.0
    ended: float = 0.0
    carried: Carried = field(default_factory=lambda: Carried([], []))
    strong_at: float | None = None
    """Since when all were at full strength, by the question that each door is asked."""
    settled_at: float | None = None
    """When our gateway said that it has all wallets in service."""
    secrets: Secrets = field(default_factory=Secrets)
    """Of everybody in the run."""
    wanted: list[Path] = field(default_factory=list)
    """Files that have to be searched for them."""


def run(options: Options) -> Result:
    """Make one run, judge it, write its result down and return it."""
    why = missing(options.scenario, options.door)
    if why:
        result = _result(options)
        result.verdict, result.why = (VIOLATED if needs.is_required() else SKIPPED), why
        if needs.is_required():
            result.violations = [{"invariant": "needs", "text": why}]
        result.save(options.folder)
        return result
    with _place(options.folder) as place:
        inside = replace(options, folder=place)
        course = asyncio.run(_live(inside))
        # the loop is over and with it what it did about SIGTERM, which would leave the files in memory
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        result = _judged(inside, course)
        result.folder = str(options.folder)
        result.save(place)
    return result


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """Give a folder in memory, whose content is in `folder` at the end, whatever happens.

    Daemons and ledger wait for the disk at each call, and what is measured is not the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not MEMORY.is_dir():
        yield folder
        return
    sweep(MEMORY)
    place = Path(tempfile.mkdtemp(prefix=f"chaos-{os.getpid()}-", dir=MEMORY))
    try:
        yield place
    finally:
        shutil.copytree(place, folder, dirs_exist_ok=True, ignore=_is_no_file)
        shutil.rmtree(place, ignore_errors=True)


def rescue(memory: Path, pid: int, folder: Path) -> None:
    """Copy what a run had in memory that was killed, and could not do it itself; then take it away.

    What it had started may only just be ending: what goes meanwhile is not copied, and the other runs go on.
    """
    for place in memory.glob(f"chaos-{pid}-*"):
        with contextlib.suppress(OSError):
            shutil.copytree(place, folder, dirs_exist_ok=True, ignore=_is_no_file)
    sweep(memory)


def sweep(memory: Path) -> None:
    """Take away what killed runs left in memory: the kernel ends their processes, but keeps folders and mounts."""
    for place in memory.glob("chaos-*-*"):
        pid = place.name.split("-")[1]
        if not pid.isdecimal() or Path("/proc", pid).exists():
            # somebody else's, who may call his folders so too, or one of a run that goes on
            continue
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        for mount in mounts:
            if Path(mount).is_relative_to(place):
                subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True, timeout=10)
        shutil.rmtree(place, ignore_errors=True)


def _is_no_file(folder: str, names: list[str]) -> list[str]:
    """Return what cannot be copied, such as sockets."""
    return [name for name in names if not (Path(folder) / name).is_dir() and not (Path(folder) / name).is_file()]


def missing(scenario: Scenario, door: str) -> str:
    """Return why a scenario cannot be made here, "" if it can."""
    found: list[str] = []
    for name in scenario.faults:
        fault = FAULTS[name]
        why = needs.missing(fault.needs)
        own: Callable[[], str] | None = getattr(fault, "missing", None)
        found += filter(None, (why, own() if own is not None and not why else ""))
        if door != "gateway" and not getattr(fault, "also_peers", True):
            found.append(f"{name} is done to our gateway alone")
    if door != "gateway" and not scenario.peers:
        found.append("made before our gateway alone")
    return "; ".join(dict.fromkeys([*found, *filter(None, [needs.missing(needs.DOORS.get(door, frozenset()))])]))


def cut_off_once(task: "asyncio.Task[Any]") -> None:
    """Cancel a task when somebody ends it by Ctrl-C or SIGTERM; whoever does so again has to wait like the first."""
    told: list[int] = []

    def end(number: int) -> None:
        if not told:
            task.cancel()
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        # a second one would tear apart what ends the processes
        asyncio.get_running_loop().add_signal_handler(number, end, number)


async def to_the_end(what: Coroutine[Any, Any, None]) -> None:
    """Do something whole, also when it is cut off meanwhile, once or often; raises CancelledError afterwards then.

    A shield alone gives back at once, and the loop, which is over then, cuts off what was shielded.
    """
    doing = asyncio.ensure_future(what)
    cut_off: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:
            cut_off = error
    doing.result()
    if cut_off is not None:
        raise cut_off


async def _live(options: Options) -> _Course:
    task = asyncio.current_task()
    assert task is not None
    # to be told to end is to be cut off: all is healed and ended on the way out
    cut_off_once(task)
    stage = Stage(
        options.folder,
        options.seed,
        door=options.door,
        has_ledger=options.has_ledger,
        module=options.module,
        sync_delay=options.sync_delay,
    )
    course = _Course(secrets=stage.secrets)
    try:
        await stage.start([FAULTS[name] for name in options.scenario.faults])
        with ExitStack() as stack:
            await _play(stage, options, course, stack)
        events = await asyncio.to_thread(chain_events, stage.fleet.chain_port)
        (options.folder / "chain.json").write_text(json.dumps(events), encoding="utf-8")
    finally:
        # also when the run is cut off in the middle of this
        await to_the_end(stage.stop())
    return course


async def _play(stage: Stage, options: Options, course: _Course, stack: ExitStack) -> None:
    diaries: dict[str, Diary] = {}

    def diary(client: str) -> Diary:
        if client not in diaries:
            diaries[client] = Diary(stage.folder / f"client-{client or 'none'}.jsonl", syncs=False)
            stack.callback(diaries[client].close)
        return diaries[client]

    def make(client: str, task: str) -> Client:
        return Client(stage, diary(client), client, task)

    scenario = options.scenario
    auditor = make(AUDITOR, AUDITOR)
    # first this, for an allocation that the start of the wallets makes wait is no failure of anybody's
    await _until_whole(stage, auditor, phases=frozenset({"READY"}))
    await wait_until_open(auditor)
    await fund(stage, auditor, options.seed)
    await asyncio.sleep(CALM)
    common = Shared(stage, options.seed, diary)
    course.began = time.time()
    async with asyncio.TaskGroup() as group:
        line = group.create_task(carry_out(stage, scenario.line, scenario.seconds))
        group.create_task(Crew(common, make).work(WORKLOADS[scenario.workload], scenario.seconds))
        strength = group.create_task(_after(line, lambda: full_strength(stage, auditor, SETTLED)))
        settling = group.create_task(_after(line, lambda: _settled(stage, auditor)))
    course.carried = line.result()
    _see_that_the_door_is_back(stage, course.carried.done)
    course.ended = course.began + scenario.seconds
    course.strong_at = strength.result()
    is_whole, status, at = settling.result()
    course.settled_at = at if is_whole and stage.is_gateway else None
    stage.diary.write(Deed("settled", None, course.ended, time.time(), is_whole))
    if stage.is_gateway and options.has_ledger:
        await afterwards(stage, auditor)
    # a slow start is service: such a backend has to list what was handed out as well
    for one in status.get("backends", []):
        one["phase"] = "READY" if one["phase"] in SERVING else one["phase"]
    await write_finals(stage, status, is_settled=is_whole)
    if stage.is_gateway:
        course.wanted = await stage.by_hand(stage.gateway.look)
        course.wanted += [stage.folder / DUMP] if KEEP in stage.keep else []


async def _after(line: "asyncio.Task[Carried]", what: Callable[[], Awaitable[T]]) -> T:
    """Do something at the end of the line."""
    await asyncio.wait([line])
    return await what()


def _see_that_the_door_is_back(stage: Stage, faults: Sequence[Done]) -> None:
    """Raise ProgramError where somebody else's door did not come back: what clients met then is no comparison.

    Whether our own comes back the judge looks at.
    """
    if stage.is_gateway:
        return
    notes = [one.note for one in faults if FAULTS[one.name].lane == "gateway" and not one.is_done]
    if notes or not stage.front.is_alive:
        raise ProgramError(f"{stage.door_name} did not come back: {'; '.join(notes) or 'it ended by itself'}")


async def _settled(stage: Stage, auditor: Client) -> tuple[bool, dict[str, Any], float]:
    """Wait until every wallet is in service; return whether that came, what the gateway said last, and when."""
    is_whole, status = await _until_whole(stage, auditor)
    return is_whole, status, time.time()


async def _until_whole(stage: Stage, auditor: Client, phases: frozenset[str] = SERVING) -> tuple[bool, dict[str, Any]]:
    """Wait until every wallet is in service; return whether that came in time, and what the gateway said last."""
    end = time.monotonic() + SETTLED
    while True:
        if stage.is_gateway:
            is_whole, status = await _gateway_is_whole(auditor, phases)
        else:
            is_whole, status = await daemons_are_whole(stage), {}
        if is_whole or time.monotonic() > end:
            return is_whole, status
        await asyncio.sleep(EVERY)


async def _gateway_is_whole(auditor: Client, phases: frozenset[str]) -> tuple[bool, dict[str, Any]]:
    op = await auditor.call("gateway.status")
    if not op.is_answered:
        return False, {}
    backends = op.result["backends"]
    return all(one["phase"] in phases and one["aligned"] for one in backends), op.result


def _judged(options: Options, course: _Course) -> Result:
    has_ledger = options.door == "gateway" and options.has_ledger
    evidence = gather(options.folder, has_ledger=has_ledger, day_limit=DAY_LIMIT if has_ledger else None)
    faults = course.carried.done
    result = _result(options)
    result.began = course.began
    calls = _calls(evidence, course)
    result.calls = [(one.begin, one.end, one.kind, one.outcome) for one in calls]
    result.outcomes = outcomes(calls)
    result.phases = phases(options.folder / "gateway.log")
    times = felt(calls, faults, course.ended)
    result.faults = [
        {
            "name": one.name, "target": one.target, "begin": one.begin, "end": one.end, "value": one.value,
            "back": one.back, "felt_for_s": round(time_, 3), "note": one.note,
        }
        for one, time_ in zip(faults, times, strict=True)
    ]  # fmt: skip
    result.figures = figures(
        evidence, faults, began=course.began, ends=course.ended,
        strong_at=course.strong_at, settled_at=course.settled_at,
    )  # fmt: skip
    result.promises = promises(options.scenario, result.figures) if result.is_judged else []
    result.left_out = [told(one) for one in course.carried.left_out]
    found = violations(evidence, faults, result.promises, is_gateway=options.door == "gateway")
    if result.is_judged:
        found += leaks(options.folder, course.secrets, course.wanted)
        since = min((one.begin for one in faults), default=course.began)
        log = options.folder / "gateway.log"
        found += unproved(options.scenario, course.carried.left_out, result.figures, log, since)
    result.violations = [{"invariant": one.invariant, "text": one.text} for one in found]
    pages = [{"invariant": one.invariant, "text": one.text, "evidence": one.evidence()} for one in found]
    (options.folder / "violations.json").write_text(json.dumps(pages, indent=1, default=str), encoding="utf-8")
    result.verdict = VIOLATED if found else HELD
    return result


def _calls(evidence: Evidence, course: _Course) -> list[Call]:
    found = (call_of(op) for op in worked(evidence, course.began, course.ended))
    return sorted(found, key=lambda one: one.begin)


def _result(options: Options) -> Result:
    scenario = options.scenario
    return Result(
        scenario.name,
        options.door,
        options.seed,
        scenario.words,
        workload=WORKLOADS[scenario.workload].words,
        seconds=scenario.seconds,
        is_judged=options.door == "gateway",
        repeat=repeat(scenario.name, options.seed, options.door),
        folder=str(options.folder),
    )
