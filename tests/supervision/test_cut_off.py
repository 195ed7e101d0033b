"""A gateway that does not reach daemons that run: it lets another one try before it ends any of them."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.seats import CUT_OFF, LOOK, Seat
from gateway.supervision.charts import is_unreached
from gateway.upstream.wire import Fate
from tests.fakes import FakeExchange
from tests.fakes_launcher import CareDaemon
from tests.supervision.care_bench import CareBench, play
from tests.test_seats import FakeTenancy


class Held(FakeTenancy):
    """A lease that stays, as where nobody else takes it; who hands it over gets it back at once."""

    watching: "asyncio.Task[None]"

    async def handover(self, stand_back: float | None = None) -> bool:
        """Remember it."""
        self.handed.append(stand_back)
        return True


def seated(bench: CareBench) -> Held:
    """Let a seat look after the wallet."""
    seat = Seat("main", None, None, None, None, lambda _plant: None, lambda _plant: None, bench.recorder.emit)  # type: ignore[arg-type]  # none is asked
    tenancy = Held(seat)
    tenancy.term = 1
    seat.tenancy = tenancy  # type: ignore[assignment]  # a fake with the same verbs
    seat.plant = bench.plant
    bench.plant.supervisor.may_be_cut_off = seat.may_be_cut_off
    tenancy.watching = bench.loop.create_task(seat._see_daemons())
    return tenancy


def cut(daemon: CareDaemon, way: str) -> None:
    """Take the way to a daemon away."""

    def nowhere(exchange: FakeExchange) -> None:
        if not exchange.ended:
            exchange.end(Fate.NOT_SENT, "unreachable")

    if way == "silent":
        daemon.drops_syns = True
    else:
        daemon.connects = nowhere  # type: ignore[method-assign]  # the network's part of it


@pytest.mark.parametrize("way", ["silent", "unreachable"])
@pytest.mark.parametrize("count", [1, 3])
def test_daemons_that_run_and_are_not_reached_are_ended_by_nobody_before_another_gateway_has_tried(
    way: str, count: int
) -> None:
    """And it is let try soon, though each of them could be restarted at once."""

    async def scene(bench: CareBench) -> None:
        tenancy = seated(bench)
        await asyncio.sleep(5.0)
        for daemon in bench.daemons:
            cut(daemon, way)
        began = bench.loop.time()
        while not tenancy.handed:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.1)
        assert bench.loop.time() - began < CUT_OFF + 3.0
        assert [daemon.lives for daemon in bench.daemons] == [1] * count
        if way == "silent":
            await asyncio.sleep(60.0)
            assert bench.daemons[0].lives > 1, "nobody else had it, and it may be the daemon after all"
        assert len(tenancy.handed) == 1, "there is time for that"

    play(scene, count)


@pytest.mark.parametrize(
    ("refused_since", "is_out_of_reach", "unanswered_since", "dialled_at", "unreached"),
    [
        (None, False, None, None, False),
        (None, False, None, 9.8, False),
        (9.0, True, None, None, True),
        (9.0, False, None, None, False),
        # the first probe that is not answered: nobody knows yet
        (None, False, 9.5, 9.5, False),
        # one before it was given up, because it was never connected; this one may be
        (None, False, 8.0, 9.5, True),
        (None, False, 8.0, None, True),
        (None, False, 5.0, 8.4, False),
    ],
)
def test_no_connection_is_told_from_no_answer(
    refused_since: float | None, is_out_of_reach: bool, unanswered_since: float | None,  # noqa: FBT001 - a table
    dialled_at: float | None, unreached: bool,  # noqa: FBT001 - the same
) -> None:  # fmt: skip
    """By how long a probe lasts, and what became of the one before."""
    backend: Any = SimpleNamespace(
        refused_since=refused_since, is_out_of_reach=is_out_of_reach, unanswered_since=unanswered_since,
        probe_dialled_at=dialled_at,
    )  # fmt: skip
    assert is_unreached(backend, now=10.0, connect=1.0) is unreached


def test_a_daemon_that_is_reached_again_and_says_nothing_is_ended_without_another_gateway() -> None:
    """It was the way, and is the daemon."""

    async def scene(bench: CareBench) -> None:
        tenancy = seated(bench)
        await asyncio.sleep(5.0)
        bench.daemons[0].drops_syns = True
        await asyncio.sleep(1.5)
        bench.daemons[0].freeze()
        bench.daemons[0].drops_syns = False
        await asyncio.sleep(CUT_OFF - 2.5)
        assert bench.daemons[0].lives == 2
        assert not tenancy.handed

    play(scene, 1)


def test_a_daemon_that_accepts_and_says_nothing_is_ended_as_ever() -> None:
    """It is reached, and it is the incident."""

    async def scene(bench: CareBench) -> None:
        tenancy = seated(bench)
        await asyncio.sleep(5.0)
        bench.daemons[0].freeze()
        await asyncio.sleep(CUT_OFF - 2 * LOOK)
        assert bench.daemons[0].lives == 2
        assert not tenancy.handed

    play(scene, 1)


@pytest.mark.parametrize(("vanished", "within"), [(True, 45.0), (False, 90.0)])
def test_daemons_that_wait_for_a_gateway_that_is_frozen_are_restarted_as_soon_as_no_call_can_run_there(
    *, vanished: bool, within: float
) -> None:
    """It has a connection open to each of them; else one that says nothing at the start has all its grace."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(5.0)
        for daemon in bench.daemons:
            daemon.wedge()
        began = bench.loop.time()
        await bench.begin_again()
        if vanished:
            bench.plant.take_over()
        server = bench.settings.timeouts.server
        await bench.until(lambda: bench.daemons[0].lives > 1, 100.0)
        assert server <= bench.loop.time() - began < within
        assert vanished or bench.loop.time() - began > bench.settings.wallets["main"].start_grace
        await bench.until_well()

    play(scene, 2)
