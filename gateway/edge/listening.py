"""A listening socket of a door.

Rule: what waits in the kernel costs no descriptor, what was accepted does, and asyncio knows one number for both: this
takes two.  TLS handshakes have a time-out of ours, for asyncio's own is a minute.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Any

from gateway.edge.descriptors import on_top

BACKLOG = 128
"""Connections that the kernel keeps until they are accepted; one more is made to try again a second later."""


async def listen(
    factory: Callable[[], asyncio.BaseProtocol],
    host: str | None,
    port: int | None,
    *,
    context: ssl.SSLContext | None,
    at_one_go: int,
    handshake_timeout: float | None,
    is_closed_first: bool = False,
) -> asyncio.Server:
    """Listen.  Raises OSError where that cannot be.

    Args:
        factory: makes the protocol of a new connection.
        context: for TLS.
        at_one_go: connections that are accepted before anything is done with the first of them.
        handshake_timeout: seconds.
        is_closed_first: see `on_top`; where the host is an address.
    """
    where: dict[str, Any] = {"host": host, "port": port}
    if is_closed_first and host is not None and port is not None and (family := family_of(host)) is not None:
        sock = socket.create_server((host, port), family=family, backlog=at_one_go)
        where = {"sock": on_top(sock)}
    server = await asyncio.get_running_loop().create_server(
        factory, **where, ssl=context, backlog=at_one_go,
        ssl_handshake_timeout=handshake_timeout if context is not None else None,
    )  # fmt: skip
    for sock in server.sockets:
        with sock.dup() as same:
            # what is accepted has it as well: the kernel asks now and then whether the other host is there
            same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            same.listen(BACKLOG)
    return server


def family_of(host: str | None) -> socket.AddressFamily | None:
    """Return the family of an address; None for a name, and for an address with a zone."""
    if host is None or "%" in host:
        return None
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET6 if version == 6 else socket.AF_INET
