"""The event stream: what listeners are told, when, and who is let go; in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.events import Event
from gateway.edge.admin_listener import GONE, MOST_UNSENT, STILL, Listener
from gateway.edge.admin_stream import BURST, FIGURES, LEAST, PACE, PING, Stream, essence, frame
from tests.virtual_time import run_virtual


@dataclass
class Line:
    """The transport of a listener."""

    written: list[bytes] = field(default_factory=list)
    unsent: int = 0
    is_gone: bool = False
    was_aborted: bool = False

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written.append(data)

    def is_closing(self) -> bool:
        """Whether the client has gone."""
        return self.is_gone

    def abort(self) -> None:
        """End it."""
        self.was_aborted = self.is_gone = True

    def get_write_buffer_size(self) -> int:
        """Bytes that the client did not take yet."""
        return self.unsent

    def get_extra_info(self, _name: str) -> None:
        """There is no socket."""

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Return what came, after the head."""
        found = []
        for text in b"".join(self.written[1:]).decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line and line[0] != ":")
            if "event" in lines:
                found.append((lines["event"], json.loads(lines["data"])))
        return found

    def of(self, name: str) -> list[Any]:
        """Return the data of the events of a name."""
        return [data for event, data in self.events if event == name]


class World:
    """A stream and what it tells of."""

    def __init__(self, most: int = 200) -> None:
        """Have nobody listening."""
        self.loop = asyncio.get_running_loop()
        self.shown: dict[str, Any] = {"wallets": {"main": {"phase": "READY", "for_seconds": 0.0}}}
        self.made = self.turns = self.sampled = 0
        self.events: list[Event] = []
        self.allowed = True
        self.stream = Stream(
            self._snapshot, samples=self._samples, turn=self._turn, emit=self.events.append, now=self.loop.time,
            clock=self.loop.time, most=most,
        )  # fmt: skip
        self.stream.start()
        self.tasks: list[asyncio.Task[None]] = []

    def _snapshot(self) -> dict[str, Any]:
        self.made += 1
        self.shown["wallets"]["main"]["for_seconds"] = self.loop.time()
        return {**self.shown, "time": self.loop.time()}

    def _samples(self) -> dict[str, Any]:
        self.sampled += 1
        return {"time": self.loop.time(), "wallets": {}}

    def _turn(self) -> None:
        self.turns += 1

    async def listen(self) -> Line:
        """Let somebody listen."""
        line = Line()
        listener = Listener(self.stream, lambda: self.allowed, "10.0.0.1:5")
        await listener.prepare(SimpleNamespace(transport=line))  # type: ignore[arg-type]  # as far as it is asked
        self.tasks.append(self.loop.create_task(listener.write_eof()))
        await asyncio.sleep(0)
        return line


def play(scene: Callable[[World], Coroutine[Any, Any, None]], most: int = 200) -> None:
    """Play a scene."""

    async def live() -> None:
        world = World(most)
        await scene(world)
        await world.stream.stop()

    run_virtual(live())


def test_a_listener_begins_with_all_there_is() -> None:
    """The head, when to come back, and a whole snapshot; at once."""

    async def scene(world: World) -> None:
        line = await world.listen()
        head = line.written[0].decode()
        assert head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream")
        assert "\r\nConnection: close\r\n" in head
        assert "no-store" in head
        assert line.written[1].startswith(b"retry: 1000\n\nid: 1\nevent: status\ndata: {")
        assert [name for name, _ in line.events] == ["status"]

    play(scene)


def test_what_is_told_is_made_once_for_all() -> None:
    """A hundred listeners get the very same bytes, and cost one snapshot."""

    async def scene(world: World) -> None:
        lines = [await world.listen() for _ in range(100)]
        before = world.made
        world.shown["wallets"]["main"]["phase"] = "EJECTED"
        world.stream.stir()
        await asyncio.sleep(1.5)
        assert {id(line.written[-2]) for line in lines} == {id(lines[0].written[-2])}
        assert all(line.of("status")[-1]["wallets"]["main"]["phase"] == "EJECTED" for line in lines)
        assert world.made - before <= 4
        assert world.sampled <= 2

    play(scene)


def test_while_nobody_listens_nothing_is_made() -> None:
    """But for the seconds of the charts; also after the last listener has gone."""

    async def scene(world: World) -> None:
        world.stream.stir()
        await asyncio.sleep(10.5)
        assert (world.made, world.sampled, world.turns) == (0, 0, 10)
        line = await world.listen()
        await asyncio.sleep(2.0)
        line.is_gone = True
        await asyncio.sleep(2.0)
        made, sampled = world.made, world.sampled
        await asyncio.sleep(60.0)
        assert (world.made, world.sampled) == (made, sampled)
        assert world.stream.listeners == set()
        assert world.turns == 74

    play(scene)


def test_a_change_is_told_at_once_and_not_more_than_twice_a_second() -> None:
    """However much happens; a few may follow each other more closely, as a fault brings them."""

    async def scene(world: World) -> None:
        line = await world.listen()
        await asyncio.sleep(3.0)
        world.shown["wallets"]["main"]["phase"] = "EJECTED"
        world.stream.stir()
        await asyncio.sleep(0.001)
        assert line.of("status")[-1]["wallets"]["main"]["phase"] == "EJECTED"
        before = len(line.of("status"))
        for number in range(2000):
            world.shown["wallets"]["main"]["phase"] = str(number)
            world.stream.stir()
            await asyncio.sleep(0.01)
        told = line.of("status")[before:]
        assert len(told) <= 20.0 / PACE + BURST + 1
        assert min(b["time"] - a["time"] for a, b in pairwise(told)) >= LEAST - 1e-6
        await asyncio.sleep(PACE)
        assert line.of("status")[-1]["wallets"]["main"]["phase"] == "1999", "the last state is always told"

    play(scene)


def test_calls_that_come_and_go_do_not_hold_up_what_happens() -> None:
    """Slots are taken and free all the time: that is told twice a second, and a fault at once beside it."""

    async def scene(world: World) -> None:
        line = await world.listen()
        for number in range(1013):
            world.shown["slots_taken"] = number
            await asyncio.sleep(0.01)
        assert len(line.of("status")) <= 10.13 / PACE + 2
        world.shown["wallets"]["main"]["phase"] = "EJECTED"
        world.stream.stir()
        await asyncio.sleep(LEAST)
        assert line.of("status")[-1]["wallets"]["main"]["phase"] == "EJECTED"

    play(scene)


def test_a_look_that_fails_is_told_and_the_next_one_does_better() -> None:
    """Neither charts nor snapshots end with it."""

    async def scene(world: World) -> None:
        line = await world.listen()
        shown, world.shown = world.shown, {}
        await asyncio.sleep(3.0)
        world.shown = shown
        world.shown["wallets"]["main"]["phase"] = "EJECTED"
        await asyncio.sleep(2.0)
        assert line.of("status")[-1]["wallets"]["main"]["phase"] == "EJECTED"
        assert {(event.name, event.fields["room"]) for event in world.events} == {("room.failed", "stream")}

    play(scene)


def test_a_change_that_no_event_tells_of_is_found() -> None:
    """Within the pace."""

    async def scene(world: World) -> None:
        line = await world.listen()
        await asyncio.sleep(3.0)
        world.shown["wallets"]["main"]["phase"] = "EJECTED"
        await asyncio.sleep(PACE + 0.01)
        assert line.of("status")[-1]["wallets"]["main"]["phase"] == "EJECTED"

    play(scene)


def test_figures_alone_are_told_now_and_then() -> None:
    """Ages grow all the time, and are no news."""

    async def scene(world: World) -> None:
        line = await world.listen()
        await asyncio.sleep(4 * FIGURES + 1.0)
        assert len(line.of("status")) == 5
        assert len(line.of("samples")) == 4 * FIGURES

    play(scene)


def test_an_incident_is_told_to_everybody_soon() -> None:
    """Of many changes at once the last; and to nobody where nobody listens."""

    async def scene(world: World) -> None:
        world.stream.incident({"id": "x"})
        lines = [await world.listen() for _ in range(2)]
        await asyncio.sleep(2.0)
        for number in range(100):
            world.stream.incident({"id": "i-1", "times": number})
        world.stream.incident({"id": "i-2", "title": "a\nb\r\n\r\nevent: status"})
        await asyncio.sleep(PACE)
        wanted = [{"id": "i-1", "times": 99}, {"id": "i-2", "title": "a\nb\r\n\r\nevent: status"}]
        assert [line.of("incident") for line in lines] == [wanted, wanted]
        for number in range(1000):
            world.stream.incident({"id": "i-1", "times": number})
            await asyncio.sleep(0.01)
        assert len(lines[0].of("incident")) <= 2 + 10.0 / PACE + BURST + 1

    play(scene)


def test_who_comes_back_knows_all_there_is() -> None:
    """Also what changed while he slept, without another snapshot for each of those who come at once."""

    async def scene(world: World) -> None:
        first = await world.listen()
        await asyncio.sleep(2.0)
        first.is_gone = True
        await asyncio.sleep(3.0)
        world.shown["wallets"]["main"]["phase"] = "FAILED"
        made = world.made
        again = [await world.listen() for _ in range(50)]
        assert [line.of("status")[0]["wallets"]["main"]["phase"] for line in again] == ["FAILED"] * 50
        assert world.made - made <= 2

    play(scene)


def test_who_does_not_keep_up_is_let_go_and_told_of() -> None:
    """The others hear on; what waits for the slow one is bounded."""

    async def scene(world: World) -> None:
        slow, quick = await world.listen(), await world.listen()
        slow.unsent = MOST_UNSENT + 1
        await asyncio.sleep(1.5)
        assert slow.was_aborted
        assert not quick.was_aborted
        assert len(world.stream.listeners) == 1
        (told,) = world.events
        assert (told.name, told.fields["peer"]) == ("listener.too_slow", "10.0.0.1:5")
        assert world.tasks[0].done()
        assert quick.of("samples")

    play(scene)


def test_who_may_no_longer_look_hears_no_more() -> None:
    """A session that ended takes its streams along."""

    async def scene(world: World) -> None:
        line = await world.listen()
        await asyncio.sleep(2 * STILL)
        assert not world.tasks[0].done()
        world.allowed = False
        await asyncio.sleep(STILL + 1.5)
        assert world.tasks[0].done()
        before = len(line.written)
        await asyncio.sleep(5.0)
        assert len(line.written) == before

    play(scene)


def test_a_silent_stream_is_kept_open() -> None:
    """By a comment, which browsers ignore and proxies do not."""

    async def scene(world: World) -> None:
        line = await world.listen()
        await asyncio.sleep(4 * PING + 1.0)
        assert line.written.count(b": ping\n\n") == 4

    play(scene)


def test_there_are_only_so_many_listeners() -> None:
    """And none once the gateway stops, which lets all of them go."""

    async def scene(world: World) -> None:
        for _ in range(3):
            assert not world.stream.is_full
            await world.listen()
        assert world.stream.is_full
        assert "listeners=3/3" in repr(world.stream)
        await world.stream.stop()
        await asyncio.gather(*world.tasks)
        assert world.stream.listeners == set()
        assert world.stream.is_full

    play(scene, most=3)


def test_a_client_that_has_gone_before_its_head_is_no_listener() -> None:
    """Nothing is made for him."""

    async def scene(world: World) -> None:
        for transport in (None, Line(is_gone=True)):
            listener = Listener(world.stream, bool, "")
            with pytest.raises(ConnectionResetError):
                await listener.prepare(SimpleNamespace(transport=transport))  # type: ignore[arg-type]  # as above
        assert (world.made, world.stream.listeners) == (0, set())

    play(scene)


def test_a_client_that_goes_is_forgotten() -> None:
    """Its task is cancelled, as aiohttp does."""

    async def scene(world: World) -> None:
        await world.listen()
        world.tasks[0].cancel()
        await asyncio.gather(*world.tasks, return_exceptions=True)
        assert world.stream.listeners == set()

    play(scene)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_nothing_that_is_told_can_break_out_of_its_event(value: object) -> None:
    """Names, memos and errors of daemons may hold line ends: the event stays one line of data."""
    lines = frame("status", value, 7).decode().split("\n")
    assert lines[:2] == ["id: 7", "event: status"]
    assert lines[3:] == ["", ""]
    assert "\r" not in lines[2]
    assert json.loads(lines[2].removeprefix("data: ")) == value


def test_what_only_grows_is_no_part_of_what_is_compared() -> None:
    """However deep it lies; everything else is."""
    one = {"time": 1, "wallets": {"main": {"rates": {"calls": 1}, "backends": [{"for_seconds": 1, "phase": "READY"}]}}}
    other = {"time": 2, "wallets": {"main": {"rates": {}, "backends": [{"for_seconds": 9, "phase": "READY"}]}}}
    assert essence(one) == essence(other) == {"wallets": {"main": {"backends": [{"phase": "READY"}]}}}
    assert GONE > 1000 * STILL
