"""The table of phases: every move is legal, and nothing gets stuck."""

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


@given(st.sampled_from(Phase), st.sampled_from(Signal))
def test_the_moves_are_those_that_were_meant(phase: Phase, signal: Signal) -> None:
    """Sickness ejects from everywhere, a new instance is waited for, and only health brings one back."""
    after = move(phase, signal)
    match signal:
        case Signal.SICKENED:
            assert after is Phase.EJECTED
        case Signal.RETURNED:
            assert after is Phase.STARTING
        case Signal.HEALED:
            assert after.is_serving
            assert after is {Phase.EJECTED: Phase.WARMING, Phase.WARMING: Phase.WARMING}.get(phase, Phase.READY)
        case Signal.WARMED:
            assert after is (Phase.READY if phase is Phase.WARMING else phase)


def test_no_row_of_the_table_stands_still() -> None:
    """A row that changes nothing would say that something happened."""
    assert all(after is not before for (before, _), after in MOVES.items())
