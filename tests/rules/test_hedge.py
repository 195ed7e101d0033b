"""Hedges: only of reads, never sooner than usual."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import Effect
from gateway.rules.hedge import delay, is_hedgeable


def test_only_reads_that_another_backend_can_answer_are_hedged() -> None:
    """A local read has one source, and everything else must not be sent twice."""
    assert {effect for effect in Effect if is_hedgeable(effect)} == {Effect.READ, Effect.WALLET_READ}


@given(st.none() | st.floats(0, 10), st.floats(0.001, 1), st.floats(1, 10))
def test_a_hedge_is_never_due_before_the_floor_or_the_usual_time(
    usual: float | None, floor: float, factor: float
) -> None:
    """The floor while nothing is known, a multiple of the usual time after."""
    due = delay(usual, floor, factor)
    assert due >= floor
    assert due >= (usual or 0.0)
    assert due in (floor, (usual or 0.0) * factor)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.001, 1), st.floats(1, 10))
def test_a_slower_wallet_is_hedged_later(usual: float, slower: float, floor: float, factor: float) -> None:
    """The delay grows with the usual time, so a wallet that is slow as a whole is not asked twice."""
    assert delay(usual + slower, floor, factor) >= delay(usual, floor, factor)
