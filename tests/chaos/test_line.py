"""The time line of a scenario is carried out, and whatever was done is taken back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chaos.line import HEALS, Carried, carry_out
from chaos.script import STAYS, At
from chaos.stage import Stage
from chaos.wallets import NobodyThereError
from tests.checker.history import Deed
from tests.virtual_time import run_virtual


@dataclass
class FakeWallet:
    """A daemon that only has a process number."""

    life: int = 1
    is_alive: bool = True
    returns: bool = True

    def is_back(self, since: float) -> bool:  # noqa: ARG002 - as a wallet's
        """Whether it is there."""
        return self.returns

    async def until(self, holds: Callable[[], bool], longest: float) -> bool:
        """Wait, in virtual time."""
        if not holds():
            await asyncio.sleep(longest)
        return holds()


@dataclass
class FakeStage:
    """Three of them, and a diary."""

    is_gateway: bool = True
    wallets: list[FakeWallet] = field(default_factory=lambda: [FakeWallet() for _ in range(3)])
    deeds: list[Deed] = field(default_factory=list)

    @property
    def diary(self) -> Any:
        """What is written down."""
        return self

    def write(self, deed: Deed) -> None:
        """Write it down."""
        self.deeds.append(deed)


@dataclass
class FakeFault:
    """A fault that writes down when it was done and taken back."""

    name: str = "harm"
    lane: str = "wallet"
    needs: frozenset[str] = frozenset()
    begins: list[tuple[int, float]] = field(default_factory=list)
    heals: list[tuple[int, float]] = field(default_factory=list)
    is_nobody_there: bool = False
    heal_takes: float = 0.0
    was_met: bool = True

    async def inject(self, stage: Stage, target: int, value: float) -> None:  # noqa: ARG002 - as a fault's
        """Do it."""
        if self.is_nobody_there:
            raise NobodyThereError
        self.begins.append((target, round(asyncio.get_running_loop().time() - 1000.0, 3)))

    async def heal(self, stage: Stage, target: int) -> None:  # noqa: ARG002 - the same
        """Take it back."""
        await asyncio.sleep(self.heal_takes)
        self.heals.append((target, round(asyncio.get_running_loop().time() - 1000.0, 3)))


class Shy(FakeFault):
    """One that knows whether anybody has met it."""

    def hollow(self, stage: Stage, at: At, begin: float) -> str:  # noqa: ARG002 - as a fault's
        """Say so where nobody has."""
        return "" if self.was_met else f"nobody met {at.target}"


def played(stage: FakeStage, fault: FakeFault, *line: At, seconds: float = 20.0) -> Carried:
    """Carry a line out in virtual time."""

    async def play() -> Carried:
        clock = asyncio.get_running_loop().time
        return await carry_out(cast("Stage", stage), line, seconds, faults={fault.name: fault}, now=clock)

    return run_virtual(play())


def test_each_fault_begins_at_its_time_and_lasts_as_long_as_it_should() -> None:
    """Two targets, one after the other."""
    fault = FakeFault()
    done = played(FakeStage(), fault, At(5.0, "harm", 1, 2.0), At(1.0, "harm", 0, 3.0))
    assert fault.begins == [(0, 1.0), (1, 5.0)]
    assert fault.heals == [(0, 4.0), (1, 7.0)]
    assert [(one.target, one.begin - 1000.0) for one in done.done] == [(0, 1.0), (1, 5.0)]


def test_what_is_left_of_a_fault_when_the_clients_stop_is_cut_off() -> None:
    """The last look is at wallets that nobody hurts any more."""
    fault = FakeFault()
    played(FakeStage(), fault, At(5.0, "harm", 0, 60.0), seconds=8.0)
    assert fault.heals == [(0, 8.0)]


def test_a_fault_that_stays_lasts_until_the_gateway_has_ended_it() -> None:
    """Then the wallet has another process."""
    fault, stage = FakeFault(), FakeStage()

    async def play() -> Carried:
        asyncio.get_running_loop().call_later(6.0, lambda: setattr(stage.wallets[0], "life", 2))
        clock = asyncio.get_running_loop().time
        line = [At(2.0, "harm", 0, STAYS)]
        return await carry_out(cast("Stage", stage), line, 20.0, faults={"harm": fault}, now=clock)

    run_virtual(play())
    assert fault.heals[0][1] == pytest.approx(6.0, abs=0.1)
    assert [(one.stays, one.is_back) for one in stage.deeds] == [(True, True)]


def test_before_another_door_a_fault_that_stays_lasts_until_the_end() -> None:
    """Nobody ends it there."""
    fault, stage = FakeFault(), FakeStage(is_gateway=False)
    played(stage, fault, At(2.0, "harm", 0, STAYS), seconds=10.0)
    assert fault.heals[0][1] == pytest.approx(10.0, abs=0.1)
    assert [one.stays for one in stage.deeds] == [False]


def test_a_wallet_that_does_not_come_back_is_written_down() -> None:
    """For the judge, who says so."""
    stage = FakeStage()
    stage.wallets[0].returns = False
    played(stage, FakeFault(), At(2.0, "harm", 0, 1.0))
    assert [one.is_back for one in stage.deeds] == [False]


def test_what_could_not_be_done_is_told_with_the_reason_and_is_no_deed() -> None:
    """The daemon was just being restarted; the judge may excuse nothing for it."""
    fault, stage, at = FakeFault(is_nobody_there=True), FakeStage(), At(2.0, "harm", 0, 1.0)
    carried = played(stage, fault, at)
    assert (carried.done, stage.deeds) == ([], [])
    [left] = carried.left_out
    assert left.at == at
    assert "nobody was there" in left.why


@pytest.mark.parametrize(("lane", "begun"), [("wallet", [1.0, 9.0]), ("gateway", [1.0, 9.0]), ("way", [1.0, 3.0, 9.0])])
def test_a_process_that_has_a_fault_is_spared_another_one(lane: str, begun: list[float]) -> None:
    """To take the first back may have taken longer than planned; ways bear two."""
    fault = FakeFault(lane=lane, heal_takes=5.0)
    carried = played(FakeStage(), fault, At(1.0, "harm", 0, 1.0), At(3.0, "harm", 0, 1.0), At(9.0, "harm", 0, 1.0))
    assert [at for _, at in fault.begins] == begun
    assert [(one.at.at, one.why) for one in carried.left_out] == [
        (at, "another fault of its target was not over") for at in (1.0, 3.0, 9.0) if at not in begun
    ]


def test_what_nobody_can_have_met_is_taken_back_and_no_deed() -> None:
    """It excuses nothing, and the run does not hold because of it."""
    for was_met in (True, False):
        stage, fault = FakeStage(), Shy(was_met=was_met)
        carried = played(stage, fault, At(1.0, "harm", 2, 3.0))
        assert (len(carried.done), len(stage.deeds)) == (was_met, was_met)
        assert [left.why for left in carried.left_out] == [] if was_met else ["it had no effect: nobody met 2"]
        assert fault.heals == [(2, 4.0)]


def test_what_was_done_is_taken_back_when_the_run_is_cut_off() -> None:
    """However that comes about."""
    fault = FakeFault(heal_takes=0.5)

    async def play() -> None:
        line = [At(1.0, "harm", 0, 10.0)]
        task = asyncio.create_task(
            carry_out(
                cast("Stage", FakeStage()), line, 20.0, faults={"harm": fault}, now=asyncio.get_running_loop().time
            )
        )
        await asyncio.sleep(3.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(play())
    assert fault.heals == [(0, 3.5)]


def test_a_fault_that_cannot_be_taken_back_is_told() -> None:
    """And the run goes on to its end."""
    fault, stage = FakeFault(heal_takes=HEALS + 60.0), FakeStage()
    [done] = played(stage, fault, At(1.0, "harm", 0, 1.0)).done
    assert not done.is_done
    assert "could not be taken back" in done.note


@pytest.mark.parametrize(
    ("lane", "kinds", "targets"),
    [
        ("wallet", ["kill"], [2]),
        ("way", ["slow"], [2]),
        ("chain", ["lose_chain"] * 3, [0, 1, 2]),
        ("gateway", ["gateway_kill"], [None]),
        ("client", [], []),
        ("clock", [], []),
    ],
)
def test_the_judge_is_told_what_a_fault_may_excuse(lane: str, kinds: list[str], targets: list[int | None]) -> None:
    """By its lane; a client's mischief excuses nothing."""
    stage = FakeStage()
    played(stage, FakeFault(lane=lane), At(1.0, "harm", 2, 1.0))
    assert [one.kind for one in stage.deeds] == kinds
    assert [one.target for one in stage.deeds] == targets
