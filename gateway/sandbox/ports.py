"""Ports for servers that start again on the same one.

The rule: none of those that the kernel gives to outgoing connections; while a server is away, one of these could take
its port, and it would not come back.  And none that was named a short while ago, here or in another process: whoever
has it may not listen yet.
"""

import atexit
import random
import socket
from collections import deque
from pathlib import Path

LOWEST = 20_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL = 32_768
"""Where the kernel's own begin on Linux, unless somebody has moved them."""

TRIES = 100

REMEMBERED = 64
"""Ports that a process keeps for itself after it has named them, the last ones."""

_kept: deque[socket.socket] = deque()


def free_port(chance: random.Random | None = None) -> int:
    """Return a port of loopback that nobody listens at now; raises OSError where none is found."""
    chance = chance or random.Random()  # noqa: S311 - no secret hangs on it
    end = max(_first_of_the_kernel(), LOWEST + 1000)
    for _ in range(TRIES):
        port = chance.randrange(LOWEST, end)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _keep(port):
            return port
    raise OSError(f"no free port between {LOWEST} and {end} in {TRIES} tries; end what listens there")


def _keep(port: int) -> bool:
    """Keep a port from all who ask here for one; False where somebody has it.

    A name without a file belongs to one process and goes with it, and is known where the port is: in one namespace of
    networks.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0ec-gateway-port-{port}")
    except OSError:
        name.close()
        return False
    _kept.append(name)
    if len(_kept) > REMEMBERED:
        _kept.popleft().close()
    return True


@atexit.register
def _let_go() -> None:
    """Close the names by hand, for Python warns of sockets that are left to its end."""
    while _kept:
        _kept.popleft().close()


def _first_of_the_kernel() -> int:
    try:
        return int(RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL
