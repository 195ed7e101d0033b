"""What a daemon holds in its queue, as the kernel lists it: the only witness while the daemon stands still.

Rule: only looks.
"""

from pathlib import Path

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
