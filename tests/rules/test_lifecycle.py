"""The table of phases: every move is legal, and nothing gets stuck."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.lifecycle import MOVES, Phase, Signal, move


@given(st.sampled_from(Phase), st.lists(st.sampled_from(Signal)))
def test_a_phase_changes_only_by_a_row_of_the_table(phase: Phase, signals: list[Signal]) -> None:
    """Whatever is signalled, each step is a row or no step."""
    for signal in signals:
        after = move(phase, signal)
        assert after is phase or MOVES[phase, signal] is after
        phase = after


def test_from_every_phase_a_backend_can_come_back_to_ready() -> None:
    """No phase is a dead end."""
    for phase in Phase:
        reached = {phase}
        for _ in Phase:
            reached |= {after for (before, _), after in MOVES.items() if before in reached}
        assert Phase.READY in reached


def test_only_ready_and_warming_take_calls() -> None:
    """A backend that is waited for or thrown out serves nobody."""
    assert {phase for phase in Phase if phase.is_serving} == {Phase.READY, Phase.WARMING}


def test_an_ejected_backend_warms_up_before_it_is_ready() -> None:
    """There is no way from EJECTED to READY but through slow start or a fresh start."""
    assert move(Phase.EJECTED, Signal.HEALED) is Phase.WARMING
    assert Phase.READY not in {after for (before, _), after in MOVES.items() if before is Phase.EJECTED}


MEANT: dict[Signal, Callable[[Phase, Phase], bool]] = {
    Signal.SICKENED: lambda before, after: after is (
        before if before in (Phase.DRAINING, Phase.RESTARTING, Phase.FAILED) else Phase.EJECTED
    ),
    Signal.RETURNED: lambda before, after: after is (
        before if before in (Phase.DRAINING, Phase.RESTARTING, Phase.FAILED) else Phase.STARTING
    ),
    Signal.HEALED: lambda before, after: after is {
        Phase.EJECTED: Phase.WARMING, Phase.FAILED: Phase.WARMING, Phase.STARTING: Phase.READY,
    }.get(before, before),
    Signal.WARMED: lambda before, after: after is (Phase.READY if before is Phase.WARMING else before),
    Signal.ORDERED_OUT: lambda before, after: after is (before if before is Phase.RESTARTING else Phase.DRAINING),
    Signal.SPARED: lambda before, after: after is (Phase.STARTING if before is Phase.DRAINING else before),
    Signal.BEGUN: lambda before, after: after is (before if before.is_serving else Phase.RESTARTING),
    Signal.RESTARTED: lambda before, after: after is (Phase.WARMING if before is Phase.RESTARTING else before),
    Signal.MISCARRIED: lambda before, after: after is (Phase.EJECTED if before is Phase.RESTARTING else before),
    Signal.GIVEN_UP: lambda before, after: after is (
        Phase.FAILED if before in (Phase.EJECTED, Phase.STARTING) else before
    ),
}  # fmt: skip
"""What each signal is meant to do, said another way than the table does."""


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("phase", Phase)
def test_the_moves_are_those_that_were_meant(phase: Phase, signal: Signal) -> None:
    """Every signal in every phase."""
    assert MEANT[signal](phase, move(phase, signal))


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.RESTARTING])
def test_no_diagnosis_moves_what_is_being_restarted(phase: Phase) -> None:
    """A daemon that is told to stop looks well until it is gone, and sick until it is back."""
    assert phase.is_in_care
    for signal in (Signal.HEALED, Signal.SICKENED, Signal.RETURNED, Signal.WARMED, Signal.GIVEN_UP):
        assert move(phase, signal) is phase


def test_nobody_in_service_is_stopped_before_it_was_drained() -> None:
    """The way from a serving phase to RESTARTING goes through DRAINING or an illness."""
    assert not [before for (before, _), after in MOVES.items() if after is Phase.RESTARTING and before.is_serving]


def test_the_page_is_drawn_from_the_table() -> None:
    """Whoever changes the table draws the page anew."""
    script = Path(__file__).parents[2] / "scripts" / "draw_lifecycle.py"
    spec = importlib.util.spec_from_file_location("draw_lifecycle", script)
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert drawing.PAGE.read_text(encoding="utf-8") == drawing.draw(), "run scripts/draw_lifecycle.py --write"


def test_no_row_of_the_table_stands_still() -> None:
    """A row that changes nothing would say that something happened."""
    assert all(after is not before for (before, _), after in MOVES.items())
