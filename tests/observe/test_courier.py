"""The courier: in order, again and again, never in anybody's way; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.base.events import Event
from gateway.observe.courier import ROOM, Courier
from gateway.observe.sinks import Message, SinkError
from gateway.observe.turns import ASIDE, LONGEST_PAUSE
from tests.fakes_alerts import AWAY, FakeSink, message
from tests.virtual_time import run_virtual


class Rig:
    """A courier, its sink and what it told."""

    def __init__(self, sink: FakeSink, *, timeout: float = 10.0) -> None:
        """Start it."""
        self.sink = sink
        self.told: list[Event] = []
        self.loop = asyncio.get_running_loop()
        self.courier = Courier("pager", sink, timeout, self.told.append, lambda: 0.5, self.loop)
        self.courier.start()

    def push(self, *types: str, incident: str = "life-1") -> None:
        """Hand messages over."""
        for kind in types:
            self.courier.push(message(id=f"{incident}-{kind}", type=f"alert.{kind}", incident=incident))

    def names(self) -> list[str]:
        """What it told."""
        return [event.name for event in self.told]

    def gauge(self, name: str, **labels: str) -> float:
        """One of its figures."""
        return next(value for got, had, value in self.courier.gauges() if got == name and labels.items() <= had.items())


def rigged(sink: FakeSink, test: Callable[[Rig], Coroutine[Any, Any, None]], **how: float) -> None:
    """Run a test with a courier in virtual time."""

    async def main() -> None:
        rig = Rig(sink, **how)
        try:
            await test(rig)
        finally:
            await rig.courier.stop()

    run_virtual(main())


def test_messages_arrive_in_order() -> None:
    """An opening before its closing."""

    async def test(rig: Rig) -> None:
        rig.push("opened", "repeated", "closed")
        await asyncio.sleep(1)
        assert rig.sink.types == ["opened", "closed"]
        assert rig.gauge("alert_messages_total", outcome="delivered") == 2
        assert rig.gauge("alert_messages_total", outcome="outdated") == 1
        assert rig.told == []

    rigged(FakeSink(), test)


def test_whoever_hands_over_never_waits() -> None:
    """Not even for a sink that never comes back."""

    async def test(rig: Rig) -> None:
        before = rig.loop.time()
        for number in range(5000):
            rig.push("opened", incident=f"life-{number}")
        assert rig.loop.time() == before
        assert rig.gauge("alert_queue_messages") == ROOM

    rigged(FakeSink(takes=float("inf")), test)


def test_a_sink_that_was_away_gets_everything_that_matters_once() -> None:
    """Opening and closing, in order; a repetition that is overtaken is left out."""

    async def test(rig: Rig) -> None:
        rig.push("opened")
        await asyncio.sleep(3600)
        rig.push("repeated", "repeated", "closed")
        await asyncio.sleep(3600)
        assert rig.sink.types == []
        assert rig.gauge("alert_sink_failing") == 1.0
        rig.sink.trouble = None
        await asyncio.sleep(LONGEST_PAUSE * 1.25)
        assert rig.sink.types == ["opened", "closed"]
        assert rig.gauge("alert_sink_failing") == 0.0
        assert rig.names()[-1] == "alert.sink_works"

    rigged(FakeSink(trouble=AWAY), test)


def test_it_tries_ever_more_seldom() -> None:
    """1, 2, 4 ... 300 s, and says each time why and when again."""

    async def test(rig: Rig) -> None:
        rig.push("opened")
        await asyncio.sleep(1500)
        pauses = [event.fields["again_in"] for event in rig.told]
        assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0, 300.0]
        assert set(rig.names()) == {"alert.not_delivered"}
        assert rig.told[0].fields["reason"] == "it cannot be reached"
        assert rig.gauge("alert_messages_total", outcome="failed") == len(pauses)

    rigged(FakeSink(trouble=AWAY), test)


def test_a_sink_that_does_not_come_back_is_left_in_time() -> None:
    """Each try is bounded by the sink's `timeout`."""

    async def test(rig: Rig) -> None:
        rig.push("opened")
        await asyncio.sleep(10.1)
        assert rig.names() == ["alert.not_delivered"]
        assert "within 10 s" in str(rig.told[0].fields["reason"])

    rigged(FakeSink(takes=float("inf")), test)


def test_a_sink_that_raises_anything_is_a_sink_that_failed() -> None:
    """A package from elsewhere; its words may hold anything and are not repeated."""

    async def test(rig: Rig) -> None:
        rig.push("opened")
        await asyncio.sleep(0.5)
        assert "KeyError" in str(rig.told[0].fields["reason"])
        assert "token" not in str(rig.told[0])

    rigged(FakeSink(trouble=KeyError("https://there/token")), test)


def test_a_message_that_is_refused_does_not_hold_up_the_next() -> None:
    """It is counted and told, and never tried again."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="life-1")
        await asyncio.sleep(0.5)
        rig.sink.trouble = None
        rig.push("opened", incident="life-2")
        await asyncio.sleep(0.5)
        assert rig.names() == ["alert.refused"]
        assert rig.told[0].level == "error"
        assert [one.incident for one in rig.sink.taken] == ["life-2"]
        assert rig.gauge("alert_messages_total", outcome="refused") == 1

    rigged(FakeSink(trouble=SinkError("HTTP 400", is_refused=True)), test)


class Picky(FakeSink):
    """A sink that does not take the messages of some incidents, without saying that it never will."""

    def __init__(self, *disliked: str) -> None:
        """Take all others."""
        super().__init__()
        self.disliked = set(disliked)

    async def send(self, one: Message) -> None:
        """Take a message, or answer as a receiver does that fails at it."""
        if one.incident in self.disliked:
            self.tries += 1
            raise SinkError("it answers HTTP 500")
        await super().send(one)


def test_a_message_that_is_never_taken_holds_up_no_other() -> None:
    """Another one is tried as soon as it comes; it shows that the sink works, and whose fault it is."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="odd")
        await asyncio.sleep(3600.0)
        assert rig.gauge("alert_sink_failing") == 1.0
        for number in range(20):
            rig.push("opened", incident=f"life-{number}")
        await asyncio.sleep(1.0)
        assert [one.incident for one in rig.sink.taken] == [f"life-{number}" for number in range(20)]
        assert rig.gauge("alert_sink_failing") == 0.0
        await asyncio.sleep(300.0)
        rig.push("closed", incident="life-1")
        await asyncio.sleep(0.1)
        assert rig.sink.types[-1] == "closed"
        assert rig.gauge("alert_queue_messages") == 1.0
        assert rig.told[-1].fields["alert"] == "all_down/main"

    rigged(Picky("odd"), test)


def test_a_message_that_is_never_taken_is_given_up_after_an_hour() -> None:
    """And told aloud; but not while nothing else is taken either, and what follows it has its own tries."""

    async def test(rig: Rig) -> None:
        sink = rig.sink
        rig.push("opened", incident="odd")
        await asyncio.sleep(2 * ASIDE)
        rig.push("opened", incident="life-1")
        await asyncio.sleep(2 * ASIDE)
        assert "alert.dropped" not in rig.names()
        rig.push("closed", incident="odd")
        rig.push("closed", incident="life-1")
        await asyncio.sleep(1.25 * LONGEST_PAUSE)
        (dropped,) = [event for event in rig.told if event.name == "alert.dropped"]
        assert (dropped.fields["message"], dropped.level) == ("alert.opened", "error")
        assert "HTTP 500" in str(dropped.fields["reason"])
        assert isinstance(sink, Picky)
        sink.disliked.clear()
        await asyncio.sleep(1.25 * LONGEST_PAUSE)
        assert [(one.incident, one.type) for one in sink.taken][-1] == ("odd", "alert.closed")
        assert rig.gauge("alert_queue_messages") == 0.0

    rigged(Picky("odd"), test)


def test_what_was_tried_in_vain_while_the_sink_was_away_has_its_turn() -> None:
    """Also beside one that came later, was tried less, and is never taken."""

    async def test(rig: Rig) -> None:
        rig.sink.trouble = AWAY
        rig.push("opened", incident="life-1")
        await asyncio.sleep(40.0)
        rig.sink.trouble = None
        rig.push("opened", incident="odd")
        await asyncio.sleep(24.0)
        assert [one.incident for one in rig.sink.taken] == ["life-1"]

    rigged(Picky("odd"), test)


def test_what_is_critical_does_not_wait_for_the_others_that_are_not_taken() -> None:
    """After half a minute it is tried first, wherever it stands."""

    async def test(rig: Rig) -> None:
        for number in range(10):
            one = f"odd-{number}"
            rig.courier.push(message(id=one, incident=one, severity="info"))
        rig.push("opened", incident="life-1")
        await asyncio.sleep(32.0)
        assert [one.incident for one in rig.sink.taken] == ["life-1"]

    rigged(Picky(*(f"odd-{number}" for number in range(10))), test)


def test_a_dead_sink_is_asked_no_oftener_for_many_messages() -> None:
    """One try at each pause, and one for each that comes; when it is back, each alert is told in its order, once."""

    async def test(rig: Rig) -> None:
        for number in range(50):
            rig.push("opened", incident=f"life-{number}")
        await asyncio.sleep(1500.0)
        assert rig.sink.tries == 13
        for number in range(50):
            rig.push("closed", incident=f"life-{number}")
            await asyncio.sleep(0.1)
        assert rig.sink.tries <= 13 + 50
        rig.sink.trouble = None
        await asyncio.sleep(1.25 * LONGEST_PAUSE)
        assert sorted((one.incident, one.type) for one in rig.sink.taken) == sorted(
            (f"life-{number}", f"alert.{what}") for number in range(50) for what in ("opened", "closed")
        )
        for number in range(50):
            told = [one.type for one in rig.sink.taken if one.incident == f"life-{number}"]
            assert told == ["alert.opened", "alert.closed"]

    rigged(FakeSink(trouble=AWAY), test)


def test_one_that_comes_while_a_dead_sink_is_left_alone_makes_nobody_wait_longer() -> None:
    """It has its own try, and the next one for all is when it would have been."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="life-1")
        await asyncio.sleep(40.0)
        rig.push("opened", incident="life-2")
        await asyncio.sleep(22.0)
        assert rig.sink.tries == 7
        assert rig.told[-1].fields["again_in"] == 23.0
        await asyncio.sleep(2.0)
        assert rig.sink.tries == 8

    rigged(FakeSink(trouble=AWAY), test)


def test_what_stands_aside_does_not_hold_up_the_end() -> None:
    """Nobody waits for a message that is not taken anyway."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="odd")
        await asyncio.sleep(60.0)
        rig.push("opened", incident="life-1")
        await asyncio.sleep(20.0)
        before = rig.loop.time()
        await rig.courier.stop(2.0)
        assert rig.loop.time() - before < 0.1

    rigged(Picky("odd"), test)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["opened", "repeated", "closed"]), st.floats(0.0, 400.0)),
        max_size=25,
    ),
    disliked=st.sets(st.integers(0, 4), max_size=3),
    away=st.tuples(st.integers(0, 25), st.integers(0, 25)),
)
# one that came when the sink was back is never taken, beside one that was tried in vain before
@example(steps=[(1, "opened", 31.0), (0, "opened", 0.0)], disliked={0}, away=(0, 1))
# the same, beside one that stands aside
@example(steps=[(0, "opened", 0.0), (2, "opened", 16.0), (1, "opened", 0.0)], disliked={1}, away=(0, 2))
# what is never taken is overtaken by something newer of its own alert
@example(steps=[(1, "repeated", 63.0), (1, "opened", 0.0), (0, "opened", 0.0)], disliked={1}, away=(0, 0))
def test_whatever_happens_every_alert_that_can_be_told_is_told_in_order_and_once(
    steps: list[tuple[int, str, float]], disliked: set[int], away: tuple[int, int]
) -> None:
    """Messages that are never taken beside others, and a sink that is away for a while."""

    async def test(rig: Rig) -> None:
        pushed: list[Message] = []
        for number, (incident, what, pause) in enumerate(steps):
            rig.sink.trouble = AWAY if min(away) <= number < max(away) else None
            pushed.append(message(id=f"{number}", type=f"alert.{what}", incident=f"life-{incident}"))
            rig.courier.push(pushed[-1])
            await asyncio.sleep(pause)
        rig.sink.trouble = None
        # each that is never taken may have its turn before
        await asyncio.sleep((2 + len(disliked)) * LONGEST_PAUSE)
        taken = [int(one.id) for one in rig.sink.taken]
        for incident in range(5):
            name = f"life-{incident}"
            told = [int(one.id) for one in rig.sink.taken if one.incident == name]
            assert told == sorted(set(told))
            wanted = {int(one.id) for one in pushed if one.incident == name and not one.may_be_dropped}
            assert incident in disliked or wanted <= set(taken)

    rigged(Picky(*(f"life-{number}" for number in disliked)), test)


def test_where_there_is_no_room_the_oldest_repetition_goes_first() -> None:
    """An opening goes only when there is no repetition left, and is told aloud."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="first")
        rig.push("repeated", incident="older")
        rig.push("repeated", incident="newer")
        for number in range(ROOM - 3):
            rig.push("opened", incident=f"life-{number}")
        rig.push("closed", incident="one")
        rig.push("closed", incident="two")
        assert [(event.fields["message"], event.level) for event in rig.told] == [("alert.repeated", "debug")] * 2
        rig.push("closed", incident="three")
        assert (rig.told[2].fields["message"], rig.told[2].level) == ("alert.opened", "error")
        assert rig.gauge("alert_messages_total", outcome="dropped") == 3
        assert rig.gauge("alert_queue_messages") == ROOM

    rigged(FakeSink(trouble=AWAY), test)


def test_a_message_dropped_while_it_is_tried_takes_no_other_with_it() -> None:
    """The queue was full, and the try ended well after all."""

    async def test(rig: Rig) -> None:
        rig.push("opened", incident="first")
        await asyncio.sleep(0.5)
        for number in range(ROOM):
            rig.push("opened", incident=f"life-{number}")
        await asyncio.sleep(2000)
        assert [one.incident for one in rig.sink.taken] == ["first", *(f"life-{n}" for n in range(ROOM))]

    rigged(FakeSink(takes=1.0), test)


def test_stopping_brings_what_waits_for_a_moment() -> None:
    """The last closings leave before the gateway does."""

    async def test(rig: Rig) -> None:
        rig.push("closed")
        before = rig.loop.time()
        await rig.courier.stop(2.0)
        assert rig.loop.time() - before == pytest.approx(0.5)
        assert rig.sink.types == ["closed"]
        assert rig.sink.is_closed

    rigged(FakeSink(takes=0.5), test)


@pytest.mark.parametrize(("sink", "longest"), [(FakeSink(takes=float("inf")), 2.0), (FakeSink(trouble=AWAY), 0.0)])
def test_a_dead_sink_does_not_hold_up_the_end(sink: FakeSink, longest: float) -> None:
    """One that is known to be dead is not waited for at all; what is left is counted."""

    async def test(rig: Rig) -> None:
        rig.push("closed")
        await asyncio.sleep(0.5)
        before = rig.loop.time()
        await rig.courier.stop(2.0)
        rig.courier.give_up("the gateway stops")
        assert rig.loop.time() - before == pytest.approx(longest)
        assert rig.gauge("alert_messages_total", outcome="dropped") == 1
        assert rig.told[-1].fields["reason"] == "the gateway stops"

    rigged(sink, test)


def test_a_sink_that_cannot_be_closed_is_told() -> None:
    """And ends nothing else."""

    class Sticky(FakeSink):
        async def close(self) -> None:
            raise RuntimeError("stuck")

    async def test(rig: Rig) -> None:
        await rig.courier.stop()
        assert rig.names() == ["alert.sink_not_closed"]

    rigged(Sticky(), test)


def test_new_settings_take_the_queue_over() -> None:
    """Also the message that was being tried: it may arrive twice, with one id."""

    async def test(rig: Rig) -> None:
        rig.push("opened", "closed")
        await asyncio.sleep(0.5)
        heir = Rig(FakeSink())
        heir.courier.take_over(rig.courier)
        await rig.courier.stop()
        await asyncio.sleep(0.5)
        assert heir.sink.types == ["opened", "closed"]
        await heir.courier.stop()

    rigged(FakeSink(takes=float("inf")), test)


def test_it_says_how_it_is() -> None:
    """One line for an operator."""

    async def test(rig: Rig) -> None:
        assert repr(rig.courier) == "<Courier pager waiting=0>"
        rig.push("opened")
        await asyncio.sleep(0.5)
        assert repr(rig.courier) == "<Courier pager waiting=1 failing>"

    rigged(FakeSink(trouble=AWAY), test)
