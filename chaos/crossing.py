"""Carries connections into a network namespace and out of it, for a gateway that lives there with nothing but loopback.

    python -m chaos.crossing NAMESPACE IN_PORT,... OUT_PORT,...

Rule: a port has the same number on both sides.  Who connects to an IN_PORT out here reaches it in there, and who
connects to an OUT_PORT in there reaches it out here, from when somebody listened on it first; a socket belongs to the
namespace in which it was made, whoever holds it.  A connection that cannot be carried on is reset.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""

CHUNK = 65536
WAITING = 256
LOOK = 0.05
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which a close is a reset."""


class Sides:
    """Out here, and in there.

    Args:
        namespace: a file that stands for what is in there.
    """

    def __init__(self, namespace: str) -> None:
        self._there = os.open(namespace, os.O_RDONLY)
        self._here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    @contextlib.contextmanager
    def in_there(self) -> Iterator[None]:
        """Be there with this thread; must hold no await, for the whole loop is there."""
        _enter(self._there)
        try:
            yield
        finally:
            _enter(self._here)

    def socket(self, *, is_there: bool) -> socket.socket:
        """Make a socket."""
        with self.in_there() if is_there else contextlib.nullcontext():
            made = socket.socket()
        made.settimeout(0.0)
        return made


async def crossing(sides: Sides, ins: list[int], outs: list[int]) -> None:
    """Carry until it is ended."""
    async with asyncio.TaskGroup() as group:
        for port, is_there in (*((port, False) for port in ins), *((port, True) for port in outs)):
            listener = sides.socket(is_there=is_there)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, port))
            group.create_task(_listen(sides, listener, port, to_there=not is_there, group=group))


async def _listen(
    sides: Sides, listener: socket.socket, port: int, *, to_there: bool, group: asyncio.TaskGroup
) -> None:
    loop = asyncio.get_running_loop()
    if not to_there:
        await _until_somebody_listens(port)
    listener.listen(WAITING)
    while True:
        line, _ = await loop.sock_accept(listener)
        group.create_task(_carry_on(sides, line, port, to_there=to_there))


async def _until_somebody_listens(port: int) -> None:
    """Wait for a wallet; before, a gateway that starts would take us for a daemon of somebody else's."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.transport.abort()
            return
        await asyncio.sleep(LOOK)


async def _carry_on(sides: Sides, line: socket.socket, port: int, *, to_there: bool) -> None:
    loop = asyncio.get_running_loop()
    further = sides.socket(is_there=to_there)
    with line, further, contextlib.suppress(OSError):
        try:
            await loop.sock_connect(further, (LOOPBACK, port))
            done, _ = await asyncio.wait(
                (asyncio.create_task(_carry(line, further)), asyncio.create_task(_carry(further, line))),
            )
            is_whole = all(one.exception() is None for one in done)
        except OSError:
            is_whole = False
        if not is_whole:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def _carry(from_: socket.socket, to: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while some := await loop.sock_recv(from_, CHUNK):
            await loop.sock_sendall(to, some)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        # the other direction ends as well
        for one in (from_, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        raise


def _enter(handle: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(handle, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ports(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


if __name__ == "__main__":
    asyncio.run(crossing(Sides(sys.argv[1]), _ports(sys.argv[2]), _ports(sys.argv[3])))
