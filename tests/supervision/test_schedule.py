"""Times of cron, and what is wrong with those that are none."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.base.care import Preventive
from gateway.supervision.schedule import Cron, Seen, mistakes
from gateway.upstream.launchers import LauncherError, Memory, State, Status
from tests.supervision.care_bench import CareBench, play

BERLIN = ZoneInfo("Europe/Berlin")


class Clock:
    """A clock that a test moves."""

    def __init__(self, *moment: int, fold: int = 0) -> None:
        """Begin at a moment in Berlin."""
        self.move(*moment, fold=fold)

    def move(self, *moment: int, fold: int = 0) -> None:
        """Go to another one."""
        self.at = datetime(*moment, tzinfo=BERLIN, fold=fold).timestamp()  # type: ignore[arg-type,misc]  # year to second

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.at


def cron(clock: Clock, expression: str) -> Cron:
    """Times in Berlin."""
    return Cron(Preventive(cron=expression, time_zone="Europe/Berlin"), clock)


def test_a_time_comes_once() -> None:
    """Not before it, and not again."""
    clock = Clock(2026, 6, 1, 4, 29, 59)
    times = cron(clock, "30 4 * * *")
    assert not times.has_come()
    clock.move(2026, 6, 1, 4, 30, 1)
    assert times.has_come()
    assert not times.has_come()
    clock.move(2026, 6, 2, 4, 30, 1)
    assert times.has_come()


def test_times_that_were_missed_are_one() -> None:
    """A gateway that was stopped for a week restarts nothing seven times."""
    clock = Clock(2026, 6, 1, 12)
    times = cron(clock, "30 4 * * *")
    clock.move(2026, 6, 8, 12)
    assert times.has_come()
    assert not times.has_come()


def test_without_cron_no_time_comes() -> None:
    """For ever."""
    clock = Clock(2026, 6, 1)
    times = Cron(Preventive(), clock)
    clock.move(2036, 6, 1)
    assert not times.has_come()


def test_a_time_that_the_clocks_skip_comes_right_after_the_gap() -> None:
    """02:30 on the day when 02:00 becomes 03:00."""
    clock = Clock(2026, 3, 28, 12)
    times = cron(clock, "30 2 * * *")
    clock.move(2026, 3, 29, 1, 59, 59)
    assert not times.has_come()
    clock.move(2026, 3, 29, 3, 0, 0)
    assert times.has_come()
    clock.move(2026, 3, 29, 23)
    assert not times.has_come()


def test_a_time_that_is_there_twice_counts_once() -> None:
    """02:30 on the day when 03:00 becomes 02:00."""
    clock = Clock(2026, 10, 24, 12)
    times = cron(clock, "30 2 * * *")
    clock.move(2026, 10, 25, 2, 30)
    assert times.has_come()
    clock.move(2026, 10, 25, 2, 31, fold=1)
    assert not times.has_come()


@pytest.mark.parametrize("expression", ["", "never", "61 4 * * *", "30 4 * *", "0 30 4 * * *", "0 0 30 2 *"])
def test_a_line_that_is_no_cron_is_told(expression: str) -> None:
    """With an example of one; six fields would be taken for seconds by the library."""
    ((key, message, remedy),) = mistakes(Preventive(cron=expression))
    assert key == "cron"
    assert "is no cron expression" in message
    assert "30 4 * * sun" in remedy


@pytest.mark.parametrize("zone", ["Middle-earth/Shire", "../etc/passwd", "/etc/passwd", "Europe"])
def test_a_time_zone_that_is_none_is_told(zone: str) -> None:
    """With one that is."""
    ((key, message, remedy),) = mistakes(Preventive(time_zone=zone))
    assert (key, zone in message) == ("time_zone", True)
    assert "Europe/Berlin" in remedy


def test_good_ones_are_not() -> None:
    """With names of days and steps."""
    assert mistakes(Preventive(cron="*/15 4 * 1-6 sun", time_zone="America/New_York")) == []
    assert mistakes(Preventive()) == []


def test_the_age_of_a_process_is_that_of_a_running_one() -> None:
    """Where its launcher knows when it began."""
    assert Seen().age(100.0) is None
    assert Seen(Status(State.RUNNING)).age(100.0) is None
    assert Seen(Status(State.EXITED, started_at=10.0)).age(100.0) is None
    assert Seen(Status(State.RUNNING, started_at=10.0)).age(100.0) == 90.0
    assert Seen(Status(State.ABSENT)).is_gone
    assert Seen(Status(State.STARTING)).is_starting


def test_memory_that_cannot_be_had_takes_nothing_else_away() -> None:
    """How the process is remains known, so that it is restarted; told once each time it begins."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        launcher.usage = Memory(5, 10)
        known = launcher.memory

        async def unknown() -> Memory | None:
            raise LauncherError("no cgroup here")

        launcher.memory = unknown  # type: ignore[method-assign]  # a fake's
        await asyncio.sleep(35.0)
        seen = bench.plant.supervisor.watching.of("ec-1")
        assert seen.status is not None
        assert (seen.status.state, seen.error, seen.memory) == (State.RUNNING, "", None)
        assert [one.fields["reason"] for one in bench.told("launcher.memory_unknown")] == ["no cgroup here"]
        assert not bench.told("launcher.failed")
        launcher.memory = known  # type: ignore[method-assign]  # the same
        await asyncio.sleep(12.0)
        assert seen.memory == Memory(5, 10)
        launcher.memory = unknown  # type: ignore[method-assign]  # the same
        await asyncio.sleep(12.0)
        assert len(bench.told("launcher.memory_unknown")) == 2

    play(scene)


def test_a_drain_of_the_last_that_serves_says_so() -> None:
    """And not while another one does."""

    async def scene(bench: CareBench) -> None:
        assert "no daemon serves" not in await bench.plant.drain("ec-1")
        assert "no daemon serves now" in await bench.plant.drain("ec-2")

    play(scene)
