"""What is drawn once for all open pages."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.edge.web.shared import FRESH, MOST_SPREAD, Drawn, Shared, spread
from tests.virtual_time import run_virtual

AHEAD = 1_795_900_000.0
"""Seconds by which the clock of the day is ahead of the loop's."""

KEY = ("en", True)


@dataclass
class Readers:
    """Some who ask, and how often it was drawn for them."""

    shared: Shared = field(init=False)
    drawn: list[float] = field(default_factory=list)
    takes: float = 0.05

    def __post_init__(self) -> None:
        """Begin in the loop that runs."""
        now = asyncio.get_running_loop().time
        self.shared = Shared(now, lambda: now() + AHEAD)

    @property
    def clock(self) -> float:
        """Seconds since 1970."""
        return asyncio.get_running_loop().time() + AHEAD

    async def _draw(self, at: float) -> Drawn:
        self.drawn.append(at)
        await asyncio.sleep(self.takes)
        return Drawn({"time": at}, b"", b"")

    async def get(self, since: float = 0.0, key: tuple[str, bool] = KEY) -> float:
        """Ask; return of which moment the answer is."""
        return float((await self.shared.get(key, since, self._draw)).named["time"])


def test_a_change_costs_one_drawing_however_many_ask_and_none_is_shown_less_than_he_wants() -> None:
    """Whoever learned of the change asks for what is of it; all of them get the same one."""

    async def scenario() -> None:
        readers = Readers()
        await readers.get()
        await asyncio.sleep(0.1)
        changed = readers.clock
        found = await asyncio.gather(*(readers.get(changed) for _ in range(100)))
        assert len(readers.drawn) == 2
        assert all(at >= changed for at in found)

    run_virtual(scenario())


def test_what_is_fresh_is_shown_again_and_what_is_old_is_not() -> None:
    """Unless an order was given."""

    async def scenario() -> None:
        readers = Readers()
        first = await readers.get()
        assert await readers.get() == first
        assert await readers.get(key=("ko", True)) != first
        readers.shared.forget()
        second = await readers.get()
        assert second > first
        await asyncio.sleep(FRESH)
        assert await readers.get() > second

    run_virtual(scenario())


@pytest.mark.parametrize("since", [float("inf"), float("nan"), AHEAD * 2])
def test_whoever_wants_what_is_to_come_makes_nobody_draw_or_wait_for_long(since: float) -> None:
    """It is drawn a few times a second at most, and one answer is for all who asked before it."""

    async def scenario() -> None:
        readers = Readers()
        began = readers.clock
        for _ in range(4):
            await asyncio.gather(*(readers.get(since) for _ in range(50)))
        assert len(readers.drawn) <= 5
        assert readers.clock - began < 5 * (FRESH + readers.takes)

    run_virtual(scenario())


def test_a_drawing_that_fails_is_tried_again_by_the_next() -> None:
    """Nothing of it is kept."""

    async def scenario() -> None:
        readers = Readers()

        async def fail(_at: float) -> Drawn:
            raise OSError("no disk")

        with pytest.raises(OSError, match="no disk"):
            await readers.shared.get(KEY, 0.0, fail)
        assert await readers.get() > 0

    run_virtual(scenario())


def test_few_pages_wait_for_nothing_and_many_for_a_moment() -> None:
    """A freeze has to be on each of them within two seconds."""
    assert spread(0) == 0.0
    assert spread(1) < 0.01
    assert spread(100) == spread(10_000) == MOST_SPREAD
