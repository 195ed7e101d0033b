"""The queue: bounded, fair between clients, money before reads, reads by turns and arrival."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.slots import Lane, SlotQueue, Waiting

ALL = tuple(Lane)


@dataclass(eq=False)
class Call(Waiting):
    """A waiting call."""

    client: str
    lane: Lane = Lane.ANY
    arrived_at: float = 0.0
    is_waiting: bool = False


def drain(queue: SlotQueue[Call]) -> list[Call]:
    """Take out everything."""
    taken = []
    while (call := queue.next(ALL, lambda _call: True)) is not None:
        taken.append(call)
    return taken


def test_one_clients_thousand_calls_do_not_stand_before_anothers_one() -> None:
    """Clients take turns within a lane."""
    queue: SlotQueue[Call] = SlotQueue(2000)
    for number in range(1000):
        queue.push(Call("greedy", arrived_at=number))
    queue.push(Call("modest", arrived_at=5000))
    assert "modest" in [call.client for call in drain(queue)[:2]]


def test_money_and_upkeep_pass_reads() -> None:
    """Lanes go by their numbers."""
    queue: SlotQueue[Call] = SlotQueue(10)
    for lane in (Lane.ANY, Lane.WALLET, Lane.PUBLISH, Lane.MONEY, Lane.OWN):
        queue.push(Call("a", lane, arrived_at=float(lane)))
    assert [call.lane for call in drain(queue)] == [Lane.OWN, Lane.MONEY, Lane.PUBLISH, Lane.WALLET, Lane.ANY]


def test_reads_of_different_lanes_go_by_arrival() -> None:
    """A wallet read does not starve a plain one."""
    queue: SlotQueue[Call] = SlotQueue(10)
    late, early = Call("a", Lane.LOCAL, 2.0), Call("a", Lane.ANY, 1.0)
    queue.push(late)
    queue.push(early)
    assert drain(queue) == [early, late]


def test_clients_take_turns_over_all_read_lanes_together() -> None:
    """Fifty calls of one in its lane do not stand before the one call of another in another lane."""
    queue: SlotQueue[Call] = SlotQueue(100)
    for number in range(50):
        queue.push(Call("greedy", Lane.WALLET, arrived_at=number))
    queue.push(Call("modest", Lane.ANY, arrived_at=60.0))
    assert "modest" in [call.client for call in drain(queue)[:2]]


def test_who_fills_most_of_the_queue_leaves_the_rest_to_others() -> None:
    """Where there are several clients; a single one may have it all."""
    queue: SlotQueue[Call] = SlotQueue(20)
    queue.push(Call("modest"))
    drain(queue)
    taken = [queue.push(Call("greedy")) for _ in range(30)]
    assert taken.count(True) == 15
    assert all(queue.push(Call("modest", lane)) for lane in (Lane.ANY, Lane.MONEY))
    alone: SlotQueue[Call] = SlotQueue(20)
    assert [alone.push(Call("only")) for _ in range(30)].count(True) == 20


def test_money_and_reads_have_a_bound_each() -> None:
    """Money that waits for a sick primary keeps no read out."""
    queue: SlotQueue[Call] = SlotQueue(2)
    assert [queue.push(Call("a", Lane.MONEY)) for _ in range(3)] == [True, True, False]
    assert [queue.push(Call("a", Lane.ANY)) for _ in range(3)] == [True, True, False]


def test_the_queue_is_bounded_but_lets_in_what_was_in_before() -> None:
    """A call that comes back from a failed attempt keeps its place; upkeep is not the clients' load."""
    queue: SlotQueue[Call] = SlotQueue(1)
    assert queue.push(Call("a"))
    assert not queue.push(Call("b"))
    again = Call("c", arrived_at=-1.0)
    assert queue.push(again, first=True)
    assert queue.push(Call("d", Lane.OWN))
    assert queue.waiting == 3


def test_a_call_that_left_is_never_handed_out() -> None:
    """Removing twice counts once."""
    queue: SlotQueue[Call] = SlotQueue(10)
    one, other = Call("a"), Call("a")
    queue.push(one)
    queue.push(other)
    queue.remove(one)
    queue.remove(one)
    assert queue.waiting == 1
    assert list(queue) == [other]
    assert drain(queue) == [other]
    assert queue.waiting == 0


def test_a_call_that_this_backend_must_not_see_is_passed_over() -> None:
    """It keeps its place for another backend."""
    queue: SlotQueue[Call] = SlotQueue(10)
    tried, fresh = Call("a", arrived_at=1.0), Call("a", arrived_at=2.0)
    queue.push(tried)
    queue.push(fresh)
    assert queue.next(ALL, lambda call: call is not tried) is fresh
    assert queue.next(ALL, lambda _call: True) is tried
    assert repr(queue) == "<SlotQueue waiting=0/10>"


calls = st.builds(Call, st.sampled_from("abc"), st.sampled_from(Lane), st.floats(0, 100))


@given(st.lists(calls, max_size=60), st.data())
def test_nothing_is_lost_and_nothing_comes_twice(pushed: list[Call], data: st.DataObject) -> None:
    """Every call that stayed comes out once; the count is always right."""
    queue: SlotQueue[Call] = SlotQueue(1000)
    for call in pushed:
        queue.push(call)
    left = [call for call in pushed if data.draw(st.booleans())]
    for call in left:
        queue.remove(call)
    assert queue.waiting == len(pushed) - len(left)
    out = drain(queue)
    assert len(out) == len(set(map(id, out)))
    assert set(map(id, out)) == {id(call) for call in pushed if call not in left}
