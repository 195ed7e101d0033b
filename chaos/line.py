"""Carries out the time line of a scenario, and writes down what was done.

Rule: whatever was injected is healed, also when the run is cut off; a fault that could not be done, because its target
was just being restarted, or that nobody can have met, is no deed for the judge, and is told with the reason.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.faults import FAULTS, Fault
from chaos.script import At
from chaos.stage import Stage
from chaos.wallets import NobodyThereError
from tests.checker.history import Deed
from tests.checker.plan import DAEMONS

HEALS = 30.0
"""Seconds that taking a fault back may take, before it counts as stuck."""

RETURNS = 45.0
"""Seconds after which a wallet counts as never coming back; the judge allows less."""

LOOK = 0.03

COUNTS_AS: dict[str, str | None] = {
    "wallet": "kill",
    "way": "slow",
    "names": "slow",
    "chain": "lose_chain",
    "gateway": "gateway_kill",
    "disk": "disk_full",
    "database": "database_freeze",
    "client": None,
    "clock": None,
}
"""What the judge takes a fault of a lane for, if the fault itself says nothing; None excuses nothing."""

OF_WALLETS = frozenset({"wallet", "way", "names"})
"""Lanes of which a target is one wallet."""


ONE_AT_A_TIME = frozenset({"wallet", "gateway", "database"})
"""Lanes in which a target that has a fault is spared another one: both are done to its process."""

Clock = Callable[[], float]
"""Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Done:
    """One fault as it was, seconds since 1970."""

    name: str
    target: int
    begin: float
    end: float
    value: float
    is_done: bool = True
    note: str = ""
    back: float = 0.0
    """When its wallet was there again; `end` where it never was away or nobody looked."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One fault that was planned and not done."""

    at: At
    why: str


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a line: each of its faults is in one of the two."""

    done: list[Done]
    """In the order of the beginnings."""
    left_out: list[LeftOut]


def counts_as(fault: Fault) -> str | None:
    """Return which kind of the checker's faults the judge takes a fault for; None for one that excuses nothing."""
    found: str | None = getattr(fault, "counts_as", COUNTS_AS[fault.lane])
    return found


async def carry_out(
    stage: Stage, line: Sequence[At], seconds: float, *, faults: Mapping[str, Fault] = FAULTS, now: Clock = time.time
) -> Carried:
    """Do all of a line, each fault at its time; return what was done, and what was not.

    Args:
        seconds: when the clients stop, from now: what is left of a fault then is cut off.
    """
    began = _loop_time()
    busy: set[tuple[str, int]] = set()

    async def one(at: At) -> Done | LeftOut:
        await asyncio.sleep(max(0.0, began + at.at - _loop_time()))
        fault = faults[at.fault]
        target = fault.lane, at.target
        if fault.lane in ONE_AT_A_TIME and target in busy:
            # that is planned not to be, but to bring a process back may take longer than planned
            return LeftOut(at, "another fault of its target was not over")
        busy.add(target)
        try:
            return await _one(stage, at, fault, began + seconds, now)
        finally:
            busy.discard(target)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(at)) for at in line]
    found = [task.result() for task in tasks]
    return Carried(
        sorted((one for one in found if isinstance(one, Done)), key=lambda done: done.begin),
        sorted((one for one in found if isinstance(one, LeftOut)), key=lambda left: left.at.at),
    )


async def _one(stage: Stage, at: At, fault: Fault, ends: float, now: Clock) -> Done | LeftOut:
    begin = now()
    is_over = _is_over(stage, fault, at.target)
    is_done, note, hollow = True, "", ""
    try:
        await fault.inject(stage, at.target, at.value)
        await _last(is_over if at.stays else None, min(at.lasts, ends - _loop_time()))
        hollow = _hollow(stage, fault, at, begin)
    except NobodyThereError:
        return LeftOut(at, "nobody was there: its target was just being restarted")
    finally:
        end = now()
        is_done, note = await _heal(stage, fault, at.target)
    if hollow:
        return LeftOut(at, f"it had no effect: {hollow}")
    is_back = True
    if fault.lane in OF_WALLETS and stage.is_gateway:
        # whatever was done, the gateway may have restarted the wallet for it, and is given the time
        is_back = await stage.wallets[at.target].until(lambda: stage.wallets[at.target].is_back(begin), RETURNS)
    back = now()
    _write(stage, fault, at, begin, back if at.stays else end, is_done=is_done, note=note, is_back=is_back)
    return Done(fault.name, at.target, begin, end, at.value, is_done=is_done, note=note, back=back)


def _hollow(stage: Stage, fault: Fault, at: At, begin: float) -> str:
    """Return why nobody can have met a fault; "" where somebody did, or where it cannot be told."""
    own: Callable[[Stage, At, float], str] | None = getattr(fault, "hollow", None)
    return "" if own is None else own(stage, at, begin)


async def _last(is_over: Callable[[], bool] | None, longest: float) -> None:
    """Let a fault last, until its time or until the gateway has ended it."""
    if is_over is None:
        await asyncio.sleep(max(0.0, longest))
        return
    end = _loop_time() + longest
    while _loop_time() < end and not is_over():  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(LOOK)


async def _heal(stage: Stage, fault: Fault, target: int) -> tuple[bool, str]:
    """Take it back, also when the run is being cut off; return whether that worked, and what was in the way."""
    healing = asyncio.ensure_future(fault.heal(stage, target))
    try:
        await asyncio.wait_for(asyncio.shield(healing), HEALS)
    except asyncio.CancelledError:
        await asyncio.wait([healing], timeout=HEALS)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs in the report and ends nothing else
        healing.cancel()
        return False, f"{fault.name} could not be taken back: {error!r}"
    return True, ""


def _is_over(stage: Stage, fault: Fault, target: int) -> Callable[[], bool]:
    """Return how to see that the gateway has ended a fault: the wallet has another process, or what the fault says."""
    own: Callable[[Stage, int], bool] | None = getattr(fault, "is_over", None)
    if own is not None:
        return lambda: own(stage, target)
    if fault.lane not in OF_WALLETS:
        return lambda: False
    wallet = stage.wallets[target]
    life = wallet.life
    return lambda: wallet.life != life or (stage.is_gateway and not wallet.is_alive)


def _write(
    stage: Stage, fault: Fault, at: At, begin: float, end: float, *, is_done: bool, note: str, is_back: bool
) -> None:
    """Write it down as the judge reads it."""
    kind = counts_as(fault)
    if kind is None:
        return
    stays = at.stays and fault.lane in OF_WALLETS and stage.is_gateway
    targets: tuple[int | None, ...] = (None,)
    if fault.lane in OF_WALLETS:
        targets = (at.target,)
    elif fault.lane == "chain":
        targets = tuple(range(DAEMONS))
    for target in targets:
        text = ": ".join(filter(None, (fault.name, note)))
        stage.diary.write(Deed(kind, target, begin, end, is_done, text, stays=stays, is_back=is_back))


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
