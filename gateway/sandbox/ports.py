"""Ports for servers that start again on the same one.

The rule: none of those that the kernel gives to outgoing connections; while a server is away, one of these could take
its port, and it would not come back.
"""

import random
import socket
from pathlib import Path

LOWEST = 20_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL = 32_768
"""Where the kernel's own begin on Linux, unless somebody has moved them."""

TRIES = 100


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
            return port
    raise OSError(f"no free port between {LOWEST} and {end} in {TRIES} tries; end what listens there")


def _first_of_the_kernel() -> int:
    try:
        return int(RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL
