"""What a daemon holds in its queue, as the kernel lists it: the only witness while the daemon stands still.

Rule: only looks.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from tests.checker.history import Crowd, Diary

CLOSE_WAIT = "08"
HELD = frozenset({"01", CLOSE_WAIT})
"""States of a connection that its daemon has not closed: open, or closed by the other side alone."""


def connections_at(port: int) -> dict[str, str]:
    """Return the far end and the state of each connection that a local port has taken, as the kernel lists them."""
    found = {}
    for line in Path("/proc/thread-self/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port and state in HELD:
            found[remote] = state
    return found


async def watch(daemon: int, port: int, diary: Diary, kills: Sequence[float]) -> None:
    """Count what of ours a frozen daemon has in its queue: one call and one probe for each life of the gateway.

    Args:
        kills: when lives of the gateway ended, monotonic; looked at all the time.
    """
    began = time.monotonic()
    await asyncio.sleep(0.15)
    # What is closed by now was answered before the freeze, or given up by a client that left.
    over = {one for one, state in connections_at(port).items() if state == CLOSE_WAIT}
    seen: dict[str, float] = {}
    times_too_many = 0
    while True:
        await asyncio.sleep(0.1)
        found = {one: state for one, state in connections_at(port).items() if one not in over}
        for one in found:
            seen.setdefault(one, time.monotonic() - began)
        allowed = 2 + sum(at >= began for at in kills)
        # the kernel's list is no picture of one moment, so that one look proves nothing
        times_too_many = times_too_many + 1 if len(found) > allowed else 0
        if times_too_many == 2:
            note = ", ".join(f"{state} since {seen[one]:.1f} s" for one, state in found.items())
            diary.write(Crowd(daemon, time.time(), len(found), allowed, note))
            return
