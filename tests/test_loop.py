"""The loop that a gateway runs on."""

import asyncio
import gc
import importlib
import sys
import time

import pytest

from gateway import loop as room


def test_its_clock_moves_within_one_turn_and_is_the_kernels() -> None:
    """A call is measured in less than milliseconds."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while time.monotonic() - before < 0.0002:
            pass
        assert 0.0002 <= loop.time() - before < 0.1
        assert abs(loop.time() - time.monotonic()) < 0.1

    with asyncio.Runner(loop_factory=room.new_loop) as runner:
        runner.run(main())


def test_the_collector_looks_seldom_and_not_at_what_was_there_before() -> None:
    """Calls make no work for it; it is on all the same."""
    before = gc.get_threshold()
    try:
        room.spare_the_collector()
        assert gc.get_threshold() == (room.YOUNG, *before[1:])
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.003, 0.0199])
def test_its_timers_agree_with_its_clock(seconds: float) -> None:
    """Moments of the clock are moments of the timers, to the millisecond."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[float] = loop.create_future()
        moment = loop.time() + seconds
        handle = loop.call_at(moment, lambda: rung.set_result(loop.time()))
        if seconds > 0.001:
            assert handle.when() == pytest.approx(moment, abs=0.002)
        return await rung - moment

    with asyncio.Runner(loop_factory=room.new_loop) as runner:
        late = runner.run(main())
    assert -0.002 < late < 1.0


def test_without_uvloop_asyncio_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is not a wheel for every machine."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "uvloop", None)
        poor = importlib.reload(room)
        assert poor.new_loop is asyncio.new_event_loop
    importlib.reload(room)
