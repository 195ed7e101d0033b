"""What programs of the bench require, without running them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = str(Path(__file__).parents[1] / "bench")
MINE = ("common", "client", "trend", "soak", "reaction", "memory", "load")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return how to have a program of the bench, which finds the others beside it; forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCH)
    yield importlib.import_module
    for name in MINE:
        sys.modules.pop(name, None)


def series(soak: Any, counts: dict[str, int], usual: int = 9) -> dict[str, list[tuple[float, float]]]:
    """Return series of so many samples after the second 60, each with one before it."""
    return {name: [(1.0, 5.0), *((61.0 + n, 5.0) for n in range(counts.get(name, usual)))] for name in soak.ALLOWED}


@pytest.mark.parametrize(("counts", "says"), [({"objects": 3}, "objects 3"), ({"tasks": 0, "threads": 2}, "threads 2")])
def test_a_soak_too_short_to_tell_is_no_success(bench: Any, counts: dict[str, int], says: str) -> None:
    """Whichever series lacks samples; it says which, and how long it must be."""
    soak = bench("soak")
    with pytest.raises(soak.BenchError, match=rf"{says}.*--minutes 2\.5"):
        soak.require_enough(series(soak, counts), 60.0, 5)
    soak.require_enough(series(soak, {}, soak.SAMPLES), 60.0, 1)


def test_a_series_that_is_not_there_at_all_is_no_success(bench: Any) -> None:
    """Nobody looked, so nobody knows."""
    soak = bench("soak")
    found = series(soak, {})
    del found["tasks"]
    with pytest.raises(soak.BenchError, match="tasks 0"):
        soak.require_enough(found, 60.0, 5)


def test_a_soak_without_a_fault_is_no_success(bench: Any) -> None:
    """It is there to see what faults leave behind."""
    soak = bench("soak")
    with pytest.raises(soak.BenchError, match="nothing was done to a wallet"):
        soak.require_enough(series(soak, {}), 60.0, 0)


def test_a_soak_that_cannot_tell_is_refused_before_it_begins(bench: Any) -> None:
    """And the shortest one that is taken has its samples and its faults."""
    soak = bench("soak")
    options = soak.argparse.Namespace(minutes=0.05)
    with pytest.raises(soak.BenchError, match=r"--minutes 2\.5 at least"):
        soak.measure(soak.Report("soak"), options)
    inside = bench("inside")
    warm_up = max(min(60.0, soak.SHORTEST * 30), soak.SHORTEST * 60 * soak.WARM_UP)
    assert (soak.SHORTEST * 60 - warm_up) / (soak.EVERY * inside.TYPES_EVERY) > soak.SAMPLES
    assert soak.SHORTEST * 60 > 3 * (soak.CALM + soak.LASTS)


@pytest.mark.parametrize(("slowest", "is_met"), [(0.049, True), (0.050, False), (0.065, False)])
def test_reads_have_to_stay_below_fifty_milliseconds(bench: Any, slowest: float, *, is_met: bool) -> None:
    """While one of three is away, in the fault's window and after it."""
    reaction = bench("reaction")
    assert reaction.LIMIT == 0.050
    reads = reaction.Window([reaction.Sample(10.0, slowest, "history", "")])
    empty = reaction.Window()
    for fault, after in ((reads, empty), (empty, reads)):
        found = reaction.Finding(empty, fault, after, 9.99, 0.0, 0.0, 0.0)
        assert found.is_met == is_met


def test_six_reads_a_minute_are_required_to_stay_below_it_too(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for how long the fault is felt; 65 ms were measured once, and passed."""
    reaction = bench("reaction")

    class Told:
        herd = SimpleNamespace(can_restart=False)

        def __init__(self, report: Any) -> None:
            self.report = report

        def wait_well(self) -> None:
            """All are."""

        def reading(self, *_: float) -> Any:
            return reaction.contextlib.nullcontext((None, 0.0))

        def samples(self, *_: object) -> Any:
            return [reaction.Sample(0.0, 0.003, "x", ""), reaction.Sample(10.0, 0.065, "x", "")], 0.0

    nothing = reaction.CASES[0]._replace(fault=lambda *_: reaction.contextlib.nullcontext())
    monkeypatch.setattr(reaction, "CASES", [nothing] * len(reaction.CASES))
    monkeypatch.setattr(reaction, "_sleep_until", lambda _moment: None)
    report = reaction.Report("reaction")
    reaction.seldom(Told(report), 1, 0.0)
    assert {one.name: one.ok for one in report.requirements} == {
        "six a minute: reads that erred": True,
        "six a minute: slowest read": False,
        "six a minute: felt for": False,
    }


@pytest.mark.parametrize("is_compiled", [False, True])
def test_memory_is_measured_of_each_gateway_that_there_is(
    bench: Any, monkeypatch: pytest.MonkeyPatch, *, is_compiled: bool
) -> None:
    """The compiled one where it was built."""
    memory = bench("memory")
    measured: list[tuple[str, type]] = []
    fast = memory.common.CompiledGateway
    monkeypatch.setattr(memory.common, "raise_file_limit", lambda wanted: wanted)
    monkeypatch.setattr(memory.common, "compiled", lambda _report: fast if is_compiled else None)
    monkeypatch.setattr(memory, "_measure_one", lambda _report, name, kind, *_: measured.append((name, kind)))
    memory.measure(memory.Report("memory"), 10, 10)
    assert measured == [("gateway", memory.Gateway), *([("gateway, compiled", fast)] if is_compiled else [])]
