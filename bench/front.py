"""The project's own HAProxy in front of two gateways of this machine: its file as it is, with other addresses.

Rule: checks, time-outs and what is cut when stay as they are shipped, for they are what is measured.  What is replaced
is what docs/operating.md tells those to replace who run it without containers; a file in which that is not found any
more is refused.
"""

import re
from collections.abc import Mapping

RESOLVER = re.compile(r"(?m)^resolvers \w+\n(?:[ \t].*\n)+")
"""Its section: addresses of this machine need no name server."""

BY_NAME = " resolvers engine resolve-prefer ipv4 init-addr last,libc,none"
"""What the servers say of it."""

DOOR, HEALTH = "bind :7777", "bind 127.0.0.1:8404"


def on_loopback(text: str, port: int, health: int, gateways: Mapping[str, tuple[int, int]]) -> str:
    """Return a configuration for this machine.

    Args:
        text: of config/haproxy/haproxy.cfg.
        port, health: where it listens for calls, and for who asks whether it is well.
        gateways: by name, where each takes calls, and where it says whether it is ready.

    Raises ValueError for a file that is not what this knows.
    """
    text, count = RESOLVER.subn("", text)
    if count != 1:
        raise ValueError("config/haproxy/haproxy.cfg has not one section `resolvers`")
    text = _replaced(text, BY_NAME, "", 1)
    text = _replaced(text, DOOR, f"bind 127.0.0.1:{port}", 1)
    text = _replaced(text, HEALTH, f"bind 127.0.0.1:{health}", 1)
    for name, (door, admin) in gateways.items():
        # `port` of a server goes before that of `default-server`
        text = _replaced(text, f"server {name} {name}:7777\n", f"server {name} 127.0.0.1:{door} port {admin}\n", 2)
    return text


def _replaced(text: str, old: str, new: str, times: int) -> str:
    found = text.count(old)
    if found != times:
        raise ValueError(f"config/haproxy/haproxy.cfg has {old.strip()!r} {found} times and not {times}")
    return text.replace(old, new)
