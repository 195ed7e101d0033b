"""A door on loopback with a dispatcher that does what a test tells it, and raw sockets to knock with."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from gateway.base.config import Client, Listen, RateLimit
from gateway.base.jsonrpc import Call, Reply, result_reply
from gateway.edge.auth import Authenticator
from gateway.edge.rpc import DoorCounters, RpcDoor
from tests.edge.admin_world import World

Act = Callable[[Call], Awaitable[Reply]]


async def echo(call: Call) -> Reply:
    """Answer with the call's own parameters."""
    return Reply(b"" if call.id is None else result_reply(call.id, call.v1, call.params or b"[]"))


@dataclass
class FakeDispatcher:
    """Remembers what it was asked and acts as it is told."""

    act: Act = echo
    asked: list[tuple[str, str, Call, float, str | None]] = field(default_factory=list)
    cancelled: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first caller that left before its answer."""

    def takes_key(self, _wallet: str, method: str) -> bool:
        """Payments do."""
        return method.startswith("pay")

    async def call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call."""
        self.asked.append((wallet, client.name, call, deadline, key))
        try:
            return await self.act(call)
        except asyncio.CancelledError:
            self.cancelled += 1
            self.left.set()
            raise


def client(name: str, **changes: object) -> Client:
    """A client whose user name and password are its name."""
    return Client(name=name, username=name, password=SecretStr(name), **changes)  # type: ignore[arg-type]  # tests pass what fits


class Knock:
    """A door and raw sockets to it."""

    def __init__(self, door: RpcDoor, dispatcher: FakeDispatcher) -> None:
        """Hold both."""
        self.door = door
        self.dispatcher = dispatcher

    async def raw(self, data: bytes, *, until_eof: bool = False, wait: float = 5.0) -> bytes:
        """Send bytes and return one answer, or all there is until the door closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(wait):
                return await (reader.read() if until_eof else read_one(reader))
        finally:
            writer.close()

    async def post(
        self, body: bytes, *headers: str, user: str | None = "shop", path: str = "/", verb: str = "POST"
    ) -> bytes:
        """Send one well-formed request and return its answer."""
        return await self.raw(request(body, *headers, user=user, path=path, verb=verb))


def request(body: bytes, *headers: str, user: str | None = "shop", path: str = "/", verb: str = "POST") -> bytes:
    """One HTTP request."""
    lines = [f"{verb} {path} HTTP/1.1", "Host: x", *headers]
    if user is not None:
        lines.append("Authorization: Basic " + base64.b64encode(f"{user}:{user}".encode()).decode())
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def read_one(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP answer with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + (await reader.readexactly(length) if not head.startswith(b"HTTP/1.1 100") else b"")


def status(answer: bytes) -> int:
    """The HTTP status of an answer."""
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> bytes:
    """The body of an answer."""
    return answer.split(b"\r\n\r\n", 1)[1]


async def opened() -> Knock:
    """Open a door with small caps and three clients."""
    dispatcher = FakeDispatcher()
    listen = Listen(
        port=0, max_body=4096, max_depth=16, max_batch=4, max_connections=8, head_timeout=0.3, body_timeout=0.3
    )
    clients = [
        client("shop"),
        client("web", errors="http", wallets=("main", "cold")),
        client("slow", rate_limit=RateLimit(per_second=0.001, burst=1)),
    ]
    door = RpcDoor(
        listen,
        Authenticator(clients, anonymous=False),
        dispatcher,
        lambda: {"main", "cold"},
        sandbox=False,
        counters=DoorCounters(),
    )
    await door.start()
    return Knock(door, dispatcher)


@pytest.fixture
async def knock() -> AsyncIterator[Knock]:
    """An open door with small caps and three clients."""
    found = await opened()
    yield found
    await found.door.stop(0.1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A door for operators that takes orders from who shows the token."""
    one = World()
    await one.open()
    yield one
    await one.door.stop()
