"""Clients that nobody wants, in a process of their own: they read slowly, hang up, flood, or never end a request.

    python -m chaos.crowd MANNER HOST PORT LOGIN MANY

Rule: they ask for nothing but reads, so that no money hangs on them; what they are told is thrown away, and they go on
until they are ended.
"""

import asyncio
import base64
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import cache

PAUSE = 0.1
"""Seconds between two bytes that a slow one reads or sends, and before one that was turned away comes again."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which a close is a reset."""

PIPELINED = 200
"""Requests that a slow reader sends without reading an answer."""

SMALL = 4096
"""Bytes of its buffer, so that what it does not read stays with whoever answers."""


MET = "met"
"""What it says once, as soon as the door has one of it."""


@cache
def met() -> None:
    """Say so."""
    print(MET, flush=True)


def request(login: str, *methods: str) -> bytes:
    """Return an HTTP request for some reads; more than one are a batch."""
    calls = [{"jsonrpc": "2.0", "id": n, "method": method, "params": []} for n, method in enumerate(methods)]
    body = json.dumps(calls if len(calls) > 1 else calls[0]).encode()
    credentials = base64.b64encode(login.encode()).decode()
    head = f"POST / HTTP/1.1\r\nHost: door\r\nAuthorization: Basic {credentials}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def slow_reader(host: str, port: int, login: str) -> None:
    """Ask for much and read a byte now and then."""
    loop = asyncio.get_running_loop()
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        line.settimeout(0.0)
        await loop.sock_connect(line, (host, port))
        met()

        async def ask() -> None:
            for _ in range(PIPELINED):
                await loop.sock_sendall(line, request(login, *["history"] * 10))

        asking = asyncio.create_task(ask())
        try:
            while await loop.sock_recv(line, 1):  # noqa: ASYNC110 - it is slow on purpose
                await asyncio.sleep(PAUSE)
        finally:
            asking.cancel()
            await asyncio.wait([asking])


async def hang_up(host: str, port: int, login: str) -> None:
    """Ask for something and reset the connection, before the request is whole or before the answer has come."""
    whole = request(login, "getbalance")
    for part in (len(whole), len(whole) - 5, 10):
        _, writer = await asyncio.open_connection(host, port)
        met()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        try:
            writer.write(whole[:part])
            # what was handed to the kernel is on its way before the reset is
            await asyncio.sleep(PAUSE / 10)
        finally:
            writer.transport.abort()


async def flood(host: str, port: int, login: str) -> None:
    """Ask as fast as the answers come, over one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while True:
            writer.write(request(login, "getbalance"))
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
            await reader.readexactly(int(fields[b"content-length"]))
            met()
            if b"close" in fields.get(b"connection", b""):
                return
    finally:
        writer.transport.abort()


async def dribble(host: str, port: int, login: str) -> None:
    """Send the head of a request byte by byte, and never its end."""
    head = request(login, "getbalance").partition(b"\r\n\r\n")[0]
    _, writer = await asyncio.open_connection(host, port)
    try:
        for n in range(len(head)):
            writer.write(head[n : n + 1])
            await writer.drain()
            met()
            await asyncio.sleep(PAUSE)
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()


MANNERS: dict[str, Callable[[str, int, str], Awaitable[None]]] = {
    "slow_reader": slow_reader, "hang_up": hang_up, "flood": flood, "dribble": dribble,
}  # fmt: skip


async def crowd(manner: str, host: str, port: int, login: str, many: int) -> None:
    """Be so many, each again as soon as it is turned away."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError, KeyError, ValueError):
                await MANNERS[manner](host, port, login)
            await asyncio.sleep(PAUSE)

    async with asyncio.TaskGroup() as group:
        for _ in range(many):
            group.create_task(one())


if __name__ == "__main__":
    _, manner, host, port, login, many = sys.argv
    asyncio.run(crowd(manner, host, int(port), login, int(many)))
