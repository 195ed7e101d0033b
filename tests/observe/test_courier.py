"""The courier: in order, again and again, never in anybody's way; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.base.events import Event
from gateway.observe.courier import LONGEST_PAUSE, ROOM, Courier
from gateway.observe.sinks import SinkError
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
        assert rig.gauge("alert_queue") == ROOM

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
        assert rig.gauge("alert_queue") == ROOM

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
