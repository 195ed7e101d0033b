"""Whose turn it is where a sink does not take everything; the courier's own tests have the whole."""

from gateway.observe.sinks import Message
from gateway.observe.turns import LONGEST_PAUSE, STRIKES, Turns
from tests.fakes_alerts import message


def one(name: str) -> Message:
    """An opening of an alert of that name."""
    return message(id=name, incident=name)


def turns() -> Turns:
    """A sink of which nothing is known."""
    return Turns(lambda: 0.5)


ODD, FINE, OTHER = one("odd"), one("fine"), one("other")


def aside() -> Turns:
    """The turns when FINE was taken at 100 and ODD was not."""
    made = turns()
    made.failed(ODD, 0.0)
    made.taken(FINE, 100.0)
    return made


def test_without_messages_there_is_nothing_to_wait_for() -> None:
    """But the next one."""
    assert turns().next([], 5.0, has_newcomer=True) == (None, None)


def test_one_that_stands_aside_is_tried_at_once_and_then_ever_more_seldom() -> None:
    """1, 2, 4 ... 300 s, and the sink is not blamed for it; anything else comes first."""
    made, now = aside(), 100.0
    pauses = []
    for _ in range(11):
        assert made.next([ODD], now, has_newcomer=False) == (ODD, None)
        assert made.next([ODD, FINE], now, has_newcomer=False) == (FINE, None)
        again_at = made.failed(ODD, now)
        assert again_at is not None
        pauses.append(again_at - now)
        assert made.next([ODD], again_at - 0.1, has_newcomer=True) == (None, again_at)
        now = again_at
    assert pauses == [*(2.0**number for number in range(9)), LONGEST_PAUSE, LONGEST_PAUSE]
    assert not made.is_failing


def test_one_that_stands_aside_has_its_turn_where_the_sink_fails_and_no_other_pause() -> None:
    """It is one try at each pause, whoever's: a dead sink is knocked at no oftener for those."""
    made, now = aside(), 100.0
    for _ in range(STRIKES):
        assert made.next([ODD, OTHER], now, has_newcomer=False) == (OTHER, None)
        now = made.failed(OTHER, now) or 0.0
    assert made.next([ODD, OTHER], now, has_newcomer=False) == (ODD, None)
    again_at = made.failed(ODD, now)
    assert again_at == now + 32.0
    assert made.next([ODD, OTHER], now, has_newcomer=False) == (None, again_at)
    assert made.next([ODD, OTHER], again_at, has_newcomer=False) == (OTHER, None)


def test_where_the_others_were_given_up_those_aside_wait_for_the_sink() -> None:
    """As long as it takes nothing."""
    made = aside()
    again_at = made.failed(OTHER, 200.0)
    assert again_at == 201.0
    assert made.next([ODD], 200.5, has_newcomer=False) == (None, again_at)
    assert made.next([ODD], again_at, has_newcomer=False) == (ODD, None)


def test_what_does_not_wait_any_more_is_forgotten() -> None:
    """Messages come and go for years."""
    made = aside()
    made.failed(OTHER, 101.0)
    made.keep([OTHER])
    assert set(made._trials) == {"other"}
    made.keep([])
    assert not made._trials
