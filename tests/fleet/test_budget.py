"""The repeat budget: a share of the calls, a floor in time, a bound at the top."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.budget import Budget


def test_a_wallet_with_six_calls_a_minute_can_repeat_each_of_them() -> None:
    """One token in ten seconds, whatever the traffic."""
    budget = Budget(0.0, 0.1, 1.0, 0.0)
    assert budget.spend(0.0)
    assert not budget.spend(9.0)
    assert budget.spend(19.5)


def test_a_token_can_be_seen_before_it_is_spent() -> None:
    """Looking costs nothing."""
    budget = Budget(0.0, 0.0, 1.0, 0.0)
    assert budget.has_token(0.0)
    assert budget.spend(0.0)
    assert not budget.has_token(0.0)


@given(st.lists(st.sampled_from(["earn", "spend", "wait"]), max_size=200))
def test_repeats_never_exceed_what_was_earned(steps: list[str]) -> None:
    """Burst, plus a tenth of the calls, plus a tenth of the seconds."""
    budget = Budget(0.1, 0.1, 3.0, 0.0)
    now = calls = repeats = 0
    for step in steps:
        if step == "earn":
            budget.earn()
            calls += 1
        elif step == "wait":
            now += 1
        else:
            repeats += budget.spend(float(now))
    assert repeats <= 3.0 + 0.1 * calls + 0.1 * now + 1e-6
    assert 0 <= budget.balance(float(now)) <= 3.0
