"""A backend that answers JSON-RPC as fast as asyncio and httptools can, on as many ports as wanted.

It prints `ready PORT ...` and serves until its input ends or it is told to end.  Rule: every answer carries the
right id, whatever the method; what a probe or the mirror asks gets an answer that says that all is well.

    --style close        the connection is closed after each answer, as a serial daemon does
    --style keep-alive   connections stay, as Electrum's daemon allows
    --takes SECONDS      each port carries out one call after the other, and each takes so long
"""

import argparse
import asyncio
import signal
import sys
from functools import partial

import httptools
import msgspec

ADDRESSES = [f"bchreg:bench{n:04d}" for n in range(20)]

RESULTS: dict[str, bytes] = {
    "getinfo": b'{"wallets": {"/bench": true}, "blockchain_height": 100, "server_height": 100, "connected": true}',
    "list_wallets": b'[{"path": "/bench"}]',
    "listaddresses": msgspec.json.encode(ADDRESSES),
    "history": msgspec.json.encode([{"txid": f"{n:064x}", "height": n, "value": "0.1 BCH"} for n in range(30)]),
    "getbalance": b'{"confirmed": "1"}',
}
"""Answers to the methods that need more than `true`."""


class Question(msgspec.Struct):
    """The members of a call that matter here."""

    id: msgspec.Raw
    method: str


decode = msgspec.json.Decoder(Question).decode


class Counter:
    """Counts the calls that were no upkeep; asked by the method `count`."""

    calls = 0


class Hand:
    """What carries out the calls of one port: one after the other."""

    def __init__(self, takes: float) -> None:
        """Begin idle."""
        self.takes = takes
        self.free_at = 0.0

    def next_end(self, now: float) -> float:
        """Return when a call that comes now is done."""
        self.free_at = max(now, self.free_at) + self.takes
        return self.free_at


class Connection(asyncio.Protocol):
    """One connection of a caller."""

    __slots__ = ("body", "counter", "hand", "keeps", "parser", "transport")

    transport: asyncio.Transport

    def __init__(self, counter: Counter, hand: Hand | None, *, keeps: bool) -> None:
        """Wait for a request."""
        self.counter = counter
        self.hand = hand
        self.keeps = keeps
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio gives nothing else for TCP
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser; whoever does not speak HTTP is dropped."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        """Gather the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Answer."""
        question = decode(self.body)
        self.body = b""
        if question.method == "count":
            result = b"%d" % self.counter.calls
        else:
            result = RESULTS.get(question.method, b"true")
            if result == b"true":
                self.counter.calls += 1
        answer = b'{"result": %b, "id": %b, "jsonrpc": "2.0"}' % (result, question.id)
        keeps = self.keeps and self.parser.should_keep_alive()
        if self.hand is None:
            self.answer(answer, keeps=keeps)
        else:
            # carried out also when its caller has gone meanwhile, as a daemon does
            loop = asyncio.get_running_loop()
            loop.call_at(self.hand.next_end(loop.time()), partial(self.answer, answer, keeps=keeps))

    def answer(self, answer: bytes, *, keeps: bool) -> None:
        """Write an answer."""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json-rpc\r\nContent-Length: %d\r\n%b\r\n%b"
            % (len(answer), b"" if keeps else b"Connection: close\r\n", answer)
        )
        if not keeps:
            self.transport.close()


async def serve(ports: int, takes: float, *, keeps: bool) -> None:
    """Listen on free ports until told to end."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    counter = Counter()
    servers = [
        await loop.create_server(partial(Connection, counter, hand, keeps=keeps), "127.0.0.1", 0, backlog=1024)
        for hand in [Hand(takes) if takes else None for _ in range(ports)]
    ]
    sys.stdout.write("ready " + " ".join(str(server.sockets[0].getsockname()[1]) for server in servers) + "\n")
    sys.stdout.flush()
    await over.wait()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ports", type=int, default=1, metavar="N", help="how many free ports to listen on")
    parser.add_argument("--style", choices=("close", "keep-alive"), default="close")
    parser.add_argument("--takes", type=float, default=0.0, metavar="SECONDS", help="of each call, one after the other")
    options = parser.parse_args()
    asyncio.run(serve(options.ports, options.takes, keeps=options.style == "keep-alive"))


if __name__ == "__main__":
    main()
