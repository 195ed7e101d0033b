"""What a daemon takes, from recorded answers of engines and kernels."""

from typing import Any

import pytest

from gateway.upstream.launchers import Memory
from gateway.upstream.launchers.memory import of_container, of_processes

V1 = {
    "memory_stats": {
        "usage": 61_767_680,
        "max_usage": 92_000_256,
        "stats": {
            "active_anon": 4096,
            "active_file": 1_000_000,
            "cache": 25_952_256,
            "inactive_anon": 29_421_568,
            "inactive_file": 2_000_000,
            "rss": 29_425_664,
            "total_active_file": 3_108_864,
            "total_cache": 25_952_256,
            "total_inactive_file": 22_843_392,
            "total_rss": 29_425_664,
        },
        "limit": 268_435_456,
    }
}
"""An engine on cgroup v1: the group's own numbers, and the totals with the groups inside it."""

V2: dict[str, Any] = {
    "memory_stats": {
        "usage": 58_048_512,
        "stats": {
            "active_anon": 8192,
            "active_file": 3_108_864,
            "anon": 29_425_664,
            "file": 25_952_256,
            "file_mapped": 12_038_144,
            "inactive_anon": 29_421_568,
            "inactive_file": 22_843_392,
            "kernel_stack": 131_072,
            "slab": 1_671_168,
        },
        "limit": 268_435_456,
    }
}
"""An engine on cgroup v2: no totals, and no `rss`."""


def test_page_cache_is_left_out_with_cgroup_v1() -> None:
    """The totals count, active and inactive."""
    assert of_container(V1) == Memory(61_767_680 - 22_843_392 - 3_108_864, 268_435_456)


def test_page_cache_is_left_out_with_cgroup_v2() -> None:
    """The same, by the names that it has there."""
    memory = of_container(V2)
    assert memory == Memory(58_048_512 - 22_843_392 - 3_108_864, 268_435_456)
    assert memory is not None
    assert memory.share == pytest.approx(0.1196, abs=1e-4)


@pytest.mark.parametrize("stats", [{}, {"memory_stats": {}}, {"memory_stats": None}, {"memory_stats": {"limit": 5}}])
def test_a_container_that_does_not_run_takes_nothing_known(stats: dict[str, Any]) -> None:
    """An engine answers then as well, with holes."""
    assert of_container(stats) is None


def test_a_limit_that_is_none_is_none() -> None:
    """The kernel writes the largest number that it has; more cache than usage is a race of two readings."""
    boundless = {"memory_stats": {"usage": 5, "limit": 9_223_372_036_854_771_712, "stats": {"inactive_file": 9}}}
    memory = of_container(boundless)
    assert memory == Memory(0, 0)
    assert memory is not None
    assert memory.share == 0.0


@pytest.mark.parametrize("detail", [None, {"inactive_file": None}, {"inactive_file": "much", "active_file": []}])
def test_page_cache_of_which_nothing_is_said_is_none(detail: Any) -> None:
    """Engines that are none of Docker's leave holes."""
    assert of_container({"memory_stats": {"usage": 5, "limit": 10, "stats": detail}}) == Memory(5, 10)


STATUS = (
    "Name:\telectron-cash\nVmRSS:\t  300 kB\nRssAnon:\t  200 kB\nRssFile:\t   70 kB\nRssShmem:\t   30 kB\nThreads:\t4\n"
)

MEMINFO = "MemTotal:       1000 kB\nMemFree:         400 kB\nHugePages_Total:       0\n"


def test_processes_take_what_is_not_mapped_from_files() -> None:
    """Theirs and their children's; a zombie has nothing."""
    assert of_processes([STATUS, STATUS, "Name:\tzombie\nState:\tZ\n"], MEMINFO) == Memory(460 * 1024, 1000 * 1024)
    assert of_processes(["Name:\tzombie\n", ""], MEMINFO) is None


@pytest.mark.parametrize(
    ("group", "limit"),
    [("max\n", 1000), ("", 1000), ("512000\n", 500), ("9223372036854771712\n", 1000)],
)
def test_the_limit_is_that_of_the_group_where_there_is_one(group: str, limit: int) -> None:
    """In a container it is the container's, on a bare machine the machine's."""
    memory = of_processes([STATUS], MEMINFO, group)
    assert memory is not None
    assert memory.limit == limit * 1024
