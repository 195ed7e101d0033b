"""Retries: what may have been run is never run again, unless running it again changes nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import Effect
from gateway.rules.retry import (
    EMPTY_LIMIT,
    QUERY_OF_DEATH,
    SAME_AGAIN,
    GiveUp,
    Sent,
    Tried,
    TryAgain,
    decide,
    is_harmless_twice,
    is_repeatable,
)

tried = st.builds(
    Tried, st.sampled_from(Sent), st.sampled_from(["empty", "reset", "half", "timeout", "refused", "oversized"])
)
several = st.lists(tried, min_size=1, max_size=6)


@given(st.sampled_from([Effect.WRITE, Effect.ALLOCATE, Effect.SIGN]), several, st.integers(1, 10))
def test_a_call_that_could_move_money_is_never_repeated_once_sent(
    effect: Effect, attempts: list[Tried], most: int
) -> None:
    """One unknown attempt ends it, and the error says unknown."""
    decision = decide(effect, attempts, most)
    if any(one.sent is Sent.UNKNOWN for one in attempts):
        assert isinstance(decision, GiveUp)
        assert decision.unknown
    else:
        assert decision == TryAgain(costs=False)


@given(st.sampled_from(Effect), several, st.integers(1, 10))
def test_the_worst_attempt_decides(effect: Effect, attempts: list[Tried], most: int) -> None:
    """Once any attempt may have been run, no error says that none was, and only what changes nothing goes on."""
    decision = decide(effect, attempts, most)
    if any(one.sent is Sent.UNKNOWN for one in attempts):
        assert decision == TryAgain(costs=attempts[-1].sent is Sent.UNKNOWN) or (
            isinstance(decision, GiveUp) and decision.unknown
        )
        if not is_repeatable(effect):
            assert isinstance(decision, GiveUp)
    else:
        assert isinstance(decision, TryAgain)


@given(st.sampled_from(Effect), several, st.integers(1, 10), st.randoms(use_true_random=False))
def test_whether_a_call_is_over_does_not_depend_on_the_order(
    effect: Effect, attempts: list[Tried], most: int, chance: random.Random
) -> None:
    """An unknown attempt is not forgotten because a harmless one came after it."""
    shuffled = attempts.copy()
    chance.shuffle(shuffled)
    assert type(decide(effect, attempts, most)) is type(decide(effect, shuffled, most))


@given(several, st.integers(1, 10))
def test_the_error_names_the_last_attempt_that_may_have_been_run(attempts: list[Tried], most: int) -> None:
    """That is the one a person has to look into."""
    unknown = [one.reason for one in attempts if one.sent is Sent.UNKNOWN]
    match decide(Effect.SIGN, attempts, most):
        case GiveUp(reason=reason):
            assert reason == unknown[-1]
        case TryAgain():
            assert not unknown


@given(st.sampled_from(Effect), several, st.integers(1, 10))
def test_what_was_provably_not_sent_is_always_tried_again_for_nothing(
    effect: Effect, attempts: list[Tried], most: int
) -> None:
    """A refused connection costs no token, whatever the call does."""
    unsent = [Tried(Sent.NO, one.reason) for one in attempts]
    assert decide(effect, unsent, most) == TryAgain(costs=False)


@given(several, st.integers(1, 10))
def test_a_query_of_death_costs_two_daemons_at_most(attempts: list[Tried], most: int) -> None:
    """After two empty replies nobody else is asked."""
    decision = decide(Effect.READ, attempts, most)
    deadly = sum(one.sent is Sent.UNKNOWN and one.reason in QUERY_OF_DEATH for one in attempts)
    if deadly >= EMPTY_LIMIT:
        assert isinstance(decision, GiveUp)


@given(several, st.integers(1, 10))
def test_attempts_are_bounded_and_paid(attempts: list[Tried], most: int) -> None:
    """Never more unknown attempts than allowed; a repeat after one costs a token."""
    unknown = sum(one.sent is Sent.UNKNOWN for one in attempts)
    match decide(Effect.WALLET_READ, attempts, most):
        case TryAgain(costs=costs):
            assert unknown < most
            assert costs == (attempts[-1].sent is Sent.UNKNOWN)
        case GiveUp(unknown=said):
            assert said
            assert unknown


def test_reads_and_the_same_bytes_may_be_repeated() -> None:
    """And nothing else."""
    assert {effect for effect in Effect if is_repeatable(effect)} == {
        Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ, Effect.PUBLISH,
    }  # fmt: skip


def test_a_client_may_repeat_writes_too() -> None:
    """They set a value, so twice comes to the same; an allocation or a signature does not."""
    assert {effect for effect in Effect if is_harmless_twice(effect)} == {
        Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ, Effect.PUBLISH, Effect.WRITE,
    }  # fmt: skip


@given(st.sampled_from(Effect), several, st.integers(1, 10))
def test_an_answer_that_is_too_large_is_not_asked_for_again(effect: Effect, attempts: list[Tried], most: int) -> None:
    """Another daemon on the same seed would send as much."""
    if any(one.sent is Sent.UNKNOWN and one.reason in SAME_AGAIN for one in attempts):
        assert isinstance(decide(effect, attempts, most), GiveUp)
