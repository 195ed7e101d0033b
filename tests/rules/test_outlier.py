"""Nobody ejects the last backend that answers."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.health import Kind
from gateway.rules.outlier import is_panic, may_eject


def test_the_last_that_answers_stays_although_it_is_adrift() -> None:
    """Stale reads beat none."""
    assert not may_eject(Kind.ADRIFT, others_serving=0, has_wallet=True)
    assert may_eject(Kind.ADRIFT, others_serving=1, has_wallet=True)


@given(st.integers(0, 5))
def test_a_daemon_without_a_wallet_goes_although_it_is_the_last(others: int) -> None:
    """It can answer nothing about the wallet, and a call could end it."""
    assert may_eject(Kind.ADRIFT, others, has_wallet=False)


@given(st.sampled_from([Kind.WEDGED, Kind.DEAD]), st.integers(0, 5), st.booleans())
def test_a_daemon_that_does_not_answer_always_goes(kind: Kind, others: int, has_wallet: bool) -> None:  # noqa: FBT001 - Hypothesis fills it in
    """It serves nobody where it is."""
    assert may_eject(kind, others, has_wallet=has_wallet)


@given(st.integers(0, 50), st.integers(1, 50))
def test_panic_is_below_half(serving: int, total: int) -> None:
    """Exactly half is no panic."""
    assert is_panic(serving, total) == (serving < total / 2)


@given(st.sampled_from(Kind), st.integers(0, 5), st.booleans())
def test_more_who_serve_never_keep_a_sick_one_in(kind: Kind, others: int, has_wallet: bool) -> None:  # noqa: FBT001 - Hypothesis fills it in
    """Whoever may go with few others may go with more."""
    if may_eject(kind, others, has_wallet=has_wallet):
        assert may_eject(kind, others + 1, has_wallet=has_wallet)
    else:
        assert (kind, others, has_wallet) == (Kind.ADRIFT, 0, True)
