"""One call on its way: members come and go, the worst attempt decides the error."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import Effect
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, OUTCOME_UNKNOWN, OVERLOADED, Executed, Failure
from gateway.base.jsonrpc import Answer
from gateway.fleet.slots import Lane
from gateway.flow.errand import LANES, Errand, Member, Result
from gateway.profiles import load
from gateway.rules.retry import Sent, Tried
from tests.virtual_time import run_virtual

PROFILE = load("electron-cash")
NO = Tried(Sent.NO, "refused")
UNKNOWN = Tried(Sent.UNKNOWN, "half")


def errand(name: str = "getbalance", effect: Effect = Effect.WALLET_READ) -> Errand:
    """An errand with nobody waiting."""
    return Errand("main", "shop", PROFILE.methods[name], effect, b"[]", 1.0, 100.0)


def join(one: Errand, deadline: float) -> Member:
    """One more caller."""
    return one.join(asyncio.get_running_loop().create_future(), deadline)


def live(*, sent: bool) -> SimpleNamespace:
    """An attempt on the wire."""
    return SimpleNamespace(exchange=SimpleNamespace(sent=sent))


def results(members: list[Member]) -> list[Result | None]:
    """What each was told so far."""
    return [member.future.result() if member.future.done() else None for member in members]


def test_each_effect_has_a_lane_and_money_the_primarys() -> None:
    """Secret and control calls have none: they are never sent."""
    assert set(LANES) == set(Effect) - {Effect.SECRET, Effect.CONTROL}
    assert {effect for effect, lane in LANES.items() if lane is Lane.MONEY} == {e for e in Effect if e.is_money}
    assert errand().lane is Lane.WALLET


@given(st.lists(st.tuples(st.floats(100, 200), st.booleans()), min_size=1, max_size=8))
def test_an_errand_lasts_as_long_as_its_most_patient_member(seats: list[tuple[float, bool]]) -> None:
    """And is looked at when the next one's time is up; both follow who stays."""

    async def play() -> None:
        one = errand()
        members = [join(one, deadline) for deadline, _ in seats]
        assert one.deadline == max(deadline for deadline, _ in seats)
        assert one.soonest == min(deadline for deadline, _ in seats)
        for member, (_, leaves) in zip(members, seats, strict=True):
            if leaves:
                was_last = one.leave(member)
                assert was_last == (not one.members)
        staying = [deadline for deadline, leaves in seats if not leaves]
        if staying:
            assert (one.soonest, one.deadline) == (min(staying), max(staying))
        else:
            assert one.soonest == one.deadline

    run_virtual(play())


def test_a_member_whose_time_is_up_is_answered_alone() -> None:
    """The others wait on."""

    async def play() -> None:
        one = errand()
        members = [join(one, deadline) for deadline in (101.0, 102.0, 103.0)]
        one.expire(102.0, "")
        told = results(members)
        assert [isinstance(result, Failure) for result in told] == [True, True, False]
        assert (one.members, one.soonest) == ([members[2]], 103.0)
        one.end(Answer(b"1", None))
        assert results(members)[2] == Answer(b"1", None)

    run_virtual(play())


def test_the_end_is_told_once_and_not_to_those_who_left() -> None:
    """A cancelled caller's future is left alone."""

    async def play() -> None:
        one = errand()
        stays, leaves, is_cancelled = (join(one, 101.0) for _ in range(3))
        one.leave(leaves)
        assert not one.leave(leaves)
        is_cancelled.future.cancel()
        one.end(Answer(b"1", None))
        one.end(Answer(b"2", None))
        one.expire(500.0, "")
        assert stays.future.result() == Answer(b"1", None)
        assert not leaves.future.done()
        assert one.is_done

    run_virtual(play())


@pytest.mark.parametrize(
    ("tried", "sent", "unknown"),
    [
        ([], [], False),
        ([NO, NO], [], False),
        ([NO], [False], False),
        ([UNKNOWN], [], True),
        ([UNKNOWN, NO], [], True),
        ([NO], [True], True),
        ([], [False, True], True),
    ],
)
def test_the_worst_attempt_decides_the_error(*, tried: list[Tried], sent: list[bool], unknown: bool) -> None:
    """Once any attempt may have been run it is outcome_unknown, also when a later one was never sent."""
    one = errand()
    one.tried = tried
    one.live = [live(sent=each) for each in sent]  # type: ignore[misc]  # as much of an attempt as is asked
    late = one.failure_now("ec-1: busy")
    assert late.kind is (OUTCOME_UNKNOWN if unknown else DEADLINE_BEFORE_SEND)
    if tried or not unknown:
        hopeless = one.failure_hopeless("ec-1: dead")
        assert hopeless.kind is (OUTCOME_UNKNOWN if unknown else NO_BACKEND)
    assert (late.kind.executed is Executed.UNKNOWN) == unknown


def test_errors_say_how_the_backends_are_when_nothing_was_sent() -> None:
    """And nothing in brackets when all are well."""
    one = errand()
    assert "(ec-1: dead)" in one.failure_hopeless("ec-1: dead").message
    assert "(ec-1: busy)" in one.failure_now("ec-1: busy").message
    assert "(" not in one.failure_now("").message


@pytest.mark.parametrize("effect", sorted(LANES))
@pytest.mark.parametrize("kind", [NO_BACKEND, OVERLOADED, OUTCOME_UNKNOWN], ids=lambda kind: kind.name)
def test_what_is_safe_to_repeat_is_said_and_what_to_do_otherwise(effect: Effect, kind: object) -> None:
    """Reads, writes and the same signed bytes always; anything else only if it was provably not run."""
    failure = errand(effect=effect).failure(kind, "x")  # type: ignore[arg-type]  # it is a Kind
    repeatable = effect.is_read or effect in (Effect.PUBLISH, Effect.WRITE)
    assert failure.safe_to_repeat == (repeatable or kind is not OUTCOME_UNKNOWN)
    assert failure.next_step
    assert (failure.next_step == "send the same call again") == failure.safe_to_repeat
    assert (failure.wallet, failure.message) == ("main", f"{failure.kind.name}: x")


def test_the_repr_is_a_status_line() -> None:
    """Without parameters."""
    one = errand()
    one.params = b'["words"]'
    assert repr(one) == "<Errand getbalance in flight members=0 attempts=0>"
    one.is_waiting = True
    assert "waiting" in repr(one)
    one.end(Answer(b"1", None))
    assert "done" in repr(one)
    assert "words" not in repr(one)
