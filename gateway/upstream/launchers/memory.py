"""What a daemon really takes: from an engine's statistics of a container, and from the kernel's of a process.

Rule: page cache is not counted, neither its active nor its inactive part.  The kernel takes it back before anything
is killed, so a wallet that read its file of block headers is no fuller for it.  `docker stats` takes off the inactive
part alone and shows more.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.upstream.launchers import Memory

_NO_LIMIT = 1 << 60
"""Above it a limit is the kernel's way to say that there is none: 2^63 less a page."""


def of_container(stats: Mapping[str, Any]) -> Memory | None:
    """Return what a container takes, from the answer of `GET /containers/NAME/stats`.

    Returns:
        None when it says nothing of memory: a container that does not run has no `usage`.
    """
    memory = stats.get("memory_stats") or {}
    usage = memory.get("usage")
    if not isinstance(usage, int):
        return None
    detail = memory.get("stats") or {}
    # cgroup v1 counts the container's own group beside the sum with the groups inside it; v2 has the sum alone
    caches = (detail.get(f"total_{name}", detail.get(name)) for name in ("inactive_file", "active_file"))
    cache = sum(one for one in caches if isinstance(one, int))
    limit = memory.get("limit")
    return Memory(max(usage - cache, 0), limit if isinstance(limit, int) and limit < _NO_LIMIT else 0)


def of_processes(statuses: Iterable[str], meminfo: str, group_limit: str = "") -> Memory | None:
    """Return what processes take together.

    Args:
        statuses: texts of /proc/PID/status.
        meminfo: text of /proc/meminfo.
        group_limit: text of the memory limit of the cgroup that they run in, "" or "max" when there is none.

    Returns:
        None when none of them has memory of its own any more, as a zombie.
    """
    used, is_any = 0, False
    for status in statuses:
        fields = _kilobytes(status)
        if "RssAnon" in fields:
            is_any = True
            used += fields["RssAnon"] + fields.get("RssShmem", 0)
    machine = _kilobytes(meminfo).get("MemTotal", 0)
    own = int(group_limit) if group_limit.strip().isdigit() else 0
    return Memory(used, min(own, machine) if own else machine) if is_any else None


def _kilobytes(text: str) -> dict[str, int]:
    """Return the lines `Name:  123 kB` in bytes."""
    lines = (line.split() for line in text.splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
