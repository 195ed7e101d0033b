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


def test_a_time_that_is_long_past_is_left_out() -> None:
    """A clock that was years behind is set right at noon, or a machine wakes up then: nobody is restarted at noon."""
    clock = Clock(2021, 1, 1)
    times = cron(clock, "30 4 * * *")
    clock.move(2026, 6, 8, 12)
    assert not times.has_come()
    clock.move(2026, 6, 9, 4, 31)
    assert times.has_come()
    clock.move(2026, 6, 10, 4, 39, 59)
    assert times.has_come()
    clock.move(2026, 6, 11, 4, 40)
    assert not times.has_come()


def test_after_the_clock_was_set_back_times_come_again() -> None:
    """A gateway that began in 2030 does not wait until then."""
    clock = Clock(2030, 1, 1, 12)
    times = cron(clock, "30 4 * * *")
    clock.move(2026, 6, 1, 4, 29)
    assert not times.has_come()
    clock.move(2026, 6, 1, 4, 30)
    assert times.has_come()
    clock.move(2026, 6, 2, 4, 30)
    assert times.has_come()


def test_a_time_that_has_come_does_not_come_again_when_the_clock_is_set_back() -> None:
    """By hours, by a few minutes, or by less than one."""
    for minute in (0, 20, 29):
        clock = Clock(2026, 6, 1, 4, 29)
        times = cron(clock, "30 4 * * *")
        clock.move(2026, 6, 1, 4, 30)
        assert times.has_come()
        for moment in ((1, 4, minute), (1, 4, 30), (1, 23), (2, 4, 29)):
            clock.move(2026, 6, *moment)
            assert not times.has_come()
        clock.move(2026, 6, 2, 4, 30)
        assert times.has_come()


def test_without_cron_no_time_comes() -> None:
    """For ever."""
    clock = Clock(2026, 6, 1)
    times = Cron(Preventive(), clock)
    for year in (2036, 2016):
        clock.move(year, 6, 1)
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


def test_a_launcher_that_is_answered_rubbish_is_told_once_and_asked_on() -> None:
    """It is one that does not answer: nothing that it said before counts, and a death after it is cured."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        known = launcher.status

        async def rubbish() -> Status:
            return Status(State(str({}["statename"])))  # type: ignore[index]  # what a reader of rubbish does

        launcher.status = rubbish  # type: ignore[method-assign]  # a fake's
        await asyncio.sleep(60.0)
        (failed,) = bench.told("launcher.failed")
        assert "KeyError" in str(failed.fields["reason"])
        assert (bench.status()["process"], bench.status()["launcher_error"]) == (None, failed.fields["reason"])
        bench.daemons[0].kill()
        await asyncio.sleep(5.0)
        assert "KeyError" in str(bench.told("restart.failed")[0].fields["reason"])
        launcher.status = known  # type: ignore[method-assign]  # the same
        await bench.until_well()
        assert launcher.did("start") == 1
        assert len(bench.told("launcher.answers")) == 1

    play(scene)


@pytest.mark.parametrize("verb", ["memory", "start", "kill", "stop"])
def test_a_launcher_that_raises_anything_ends_nothing(verb: str) -> None:
    """One that a package brings may; its order has failed, and the next one may do better."""

    async def scene(bench: CareBench) -> None:
        launcher, is_blind = bench.launchers[0], verb == "stop"
        known, launcher.is_blind = getattr(launcher, verb), is_blind

        async def broken(*_words: object) -> None:
            raise RuntimeError("hunter2")

        setattr(launcher, verb, broken)
        if verb in ("start", "kill"):
            bench.daemons[0].kill() if verb == "start" else bench.daemons[0].freeze()
        else:
            bench.plant.restart("ec-1", "")
        event = "launcher.memory_unknown" if verb == "memory" else "restart.failed"
        await bench.until(lambda: bool(bench.told(event)), 120.0)
        assert "RuntimeError" in str(bench.told(event)[0].fields["reason"])
        assert "hunter2" not in str(bench.told(event)[0])
        setattr(launcher, verb, known)
        launcher.is_blind = False
        await bench.until_well(120.0)

    play(scene)


def test_what_a_command_printed_is_shown_to_no_client() -> None:
    """It may hold a password, and whoever may call anything may ask how the wallet is."""

    async def scene(bench: CareBench) -> None:
        async def chatty() -> Status:
            raise LauncherError("status ended with code 5: it said «sshpass -p hunter2»; run launcher.status by hand")

        bench.launchers[0].status = chatty  # type: ignore[method-assign]  # a fake's
        await asyncio.sleep(20.0)
        shown = bench.status()
        assert shown["launcher_error"].startswith("status ended with code 5: it said «see the log»; run launcher")
        assert "hunter2" not in str(shown)

    play(scene)


def test_a_launcher_that_takes_a_daemon_for_gone_which_answers_is_told() -> None:
    """Its status command may not reach the other machine, and a restart by it would do harm; the daemon serves on."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(5.0)
        bench.launchers[0].is_lost = True
        await asyncio.sleep(30.0)
        assert len(bench.told("launcher.failed")) == 1
        assert "it says that nothing runs, and the daemon answers" in bench.status()["launcher_error"]
        assert bench.status()["phase"] == "READY"
        assert not bench.launchers[0].deeds
        bench.launchers[0].is_lost = False
        await asyncio.sleep(15.0)
        assert bench.status()["launcher_error"] == ""
        # one that is gone indeed is no such thing
        bench.daemons[0].kill()
        await bench.until_well()
        assert len(bench.told("launcher.failed")) == 1

    play(scene)


def test_an_order_may_take_as_long_as_its_launcher_says() -> None:
    """A kill is a look and an order, and a launcher of commands runs several lines for each."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        for each, limit in ((2.5, None), (8.0, lambda _order: 9.0)):
            launcher.takes, before = each, launcher.did("kill")
            if limit is not None:
                launcher.limit = limit  # type: ignore[attr-defined]  # a fake that tells it
            bench.daemons[0].freeze()
            await bench.until(lambda: launcher.did("kill") > before)  # noqa: B023 - waited for before it changes
            await bench.until_well()
        assert not bench.told("restart.failed")

    play(scene)


def test_a_drain_of_the_last_that_serves_says_so() -> None:
    """And not while another one does."""

    async def scene(bench: CareBench) -> None:
        assert "no daemon serves" not in await bench.plant.drain("ec-1")
        assert "no daemon serves now" in await bench.plant.drain("ec-2")

    play(scene)
