"""Clients that measure, each a process of its own so that nothing else moves their clock.

Rule: a call's time runs from just before it is dialled (or written, on a kept connection) to the last byte of
its answer; CLOCK_MONOTONIC is one clock for all processes, so the times compare with those of whoever hurts
the daemons.  Each mode prints `ready ...` first and one line of JSON at its end.

    paced      calls at fixed moments, each over a new connection, whether or not earlier ones were answered
    alternate  one call at a time at a fixed pace, by turns through several doors
    closed     N kept connections, each sends its next call when it has its answer
    flood      calls at fixed moments over kept connections, whether or not earlier ones were answered
    hold       N kept connections that made one call each and then say nothing, until the input ends
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import httptools
from common import PASSWORD_VARIABLE, USER, credentials


def call(number: int, method: str, params: list[object]) -> bytes:
    """Return the body of a call."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def head(user: str) -> bytes:
    """Return what each request begins with; the password comes from the environment."""
    authorization = credentials(user, os.environ.get(PASSWORD_VARIABLE, ""))
    return f"POST / HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\n".encode()


def http_request(start: bytes, body: bytes, *, keep: bool) -> bytes:
    """Return a whole request."""
    close = b"" if keep else b"Connection: close\r\n"
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, close, len(body), body)


def verdict(body: bytes) -> str:
    """Say what an answer is: nothing for a result, else what is wrong with it."""
    try:
        answer = json.loads(body)
    except ValueError:
        return "not JSON"
    if not isinstance(answer, dict):
        return "not JSON-RPC"
    error = answer.get("error")
    if error is not None:
        return f"error {error.get('code')}" if isinstance(error, dict) else "error"
    return "" if "result" in answer else "not JSON-RPC"


class Asker(asyncio.Protocol):
    """One connection; `answered` gets each body, or None when the connection ended without one."""

    __slots__ = ("answered", "body", "ended_at", "parser", "request", "transport")

    transport: asyncio.Transport

    def __init__(self, request: bytes, answered: Callable[["Asker", bytes | None], None]) -> None:
        """Send `request` once connected."""
        self.request = request
        self.answered = answered
        self.body = b""
        self.ended_at = 0.0
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio gives nothing else for TCP
        self.transport = transport
        if self.request:
            transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Note the time first, then look at what came."""
        self.ended_at = time.monotonic()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        """Gather the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Hand on a complete answer."""
        body, self.body = self.body, b""
        self.answered(self, body)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell that nothing more comes."""
        self.answered(self, None)


@dataclass(frozen=True)
class Place:
    """Where to call."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> "Place":
        """Read HOST:PORT."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))


# -- paced ----------------------------------------------------------------------------------------------------


async def paced(options: argparse.Namespace) -> None:
    """Make calls at fixed moments over new connections."""
    loop = asyncio.get_running_loop()
    place, start = Place.of(options.to), head(options.user)
    calls = json.loads(options.calls)
    samples: list[tuple[float, float, str, str]] = []
    lateness = 0.0

    async def one(number: int) -> None:
        method, params = calls[number % len(calls)]
        request = http_request(start, call(number, method, params), keep=False)
        future: asyncio.Future[str] = loop.create_future()
        ended_at = 0.0

        def answered(asker: Asker, body: bytes | None) -> None:
            nonlocal ended_at
            if not future.done():
                ended_at = asker.ended_at
                future.set_result("closed" if body is None else verdict(body))
                asker.transport.close()

        began = time.monotonic()
        transport = None
        try:
            async with asyncio.timeout(options.timeout):
                transport, _ = await loop.create_connection(lambda: Asker(request, answered), place.host, place.port)
                wrong = await future
        except TimeoutError:
            wrong = "timeout"
        except OSError as error:
            wrong = type(error).__name__
        finally:
            if transport is not None:
                transport.abort()
        samples.append((began, (ended_at or time.monotonic()) - began, method, wrong))

    first = loop.time() + 0.1
    say(f"ready {first}")
    calls_in_all = max(1, round(options.seconds * options.rate))
    async with asyncio.TaskGroup() as group:
        for number in range(calls_in_all):
            at = first + number / options.rate
            await asyncio.sleep(at - loop.time())
            lateness = max(lateness, loop.time() - at)
            group.create_task(one(number))
    say(json.dumps({"samples": sorted(samples), "lateness": lateness}))


# -- alternate ------------------------------------------------------------------------------------------------


class Door:
    """One way to the daemon, walked by one call at a time over plain blocking sockets."""

    def __init__(self, text: str, start: bytes) -> None:
        """Read NAME=HOST:PORT or NAME=HOST:PORT/keep."""
        self.name, _, rest = text.partition("=")
        place, _, how = rest.partition("/")
        self.place = Place.of(place)
        self.keeps = how == "keep"
        self.start = start
        self.sock: socket.socket | None = None
        self.seconds: list[float] = []
        self.errors = 0

    def ask(self, body: bytes) -> float:
        """Make one call and return its time."""
        request = http_request(self.start, body, keep=self.keeps)
        began = time.perf_counter()
        sock, self.sock = self.sock or self._dial(), None
        sock.sendall(request)
        answer = sock.recv(65536)
        while not self._is_whole(answer):
            more = sock.recv(65536)
            if not more:
                break
            answer += more
        took = time.perf_counter() - began
        if verdict(answer.partition(b"\r\n\r\n")[2]):
            self.errors += 1
        if self.keeps:
            self.sock = sock
        else:
            sock.close()
        return took

    def _dial(self) -> socket.socket:
        sock = socket.create_connection((self.place.host, self.place.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @staticmethod
    def _is_whole(answer: bytes) -> bool:
        top, blank, body = answer.partition(b"\r\n\r\n")
        if not blank:
            return False
        length = top.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return len(body) >= int(length or b"0")


def alternate(options: argparse.Namespace) -> None:
    """Walk through the doors by turns, a block of calls each, at a fixed pace."""
    doors = [Door(text, head(options.user)) for text in options.door]
    say("ready")
    per_block = max(1, round(options.rate * options.block))
    number = 0
    busy = 0.0
    for block in range(options.blocks + 1):
        for door in doors:
            began = time.perf_counter()
            for step in range(per_block):
                wait = began + step / options.rate - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                number += 1
                took = door.ask(call(number, "validateaddress", [f"bench-{number}"]))
                if block:  # the first round warms up
                    door.seconds.append(took)
            if block:
                busy += time.perf_counter() - began
    rate = per_block * options.blocks * len(doors) / busy
    say(json.dumps({"rate": rate, "doors": {d.name: {"seconds": d.seconds, "errors": d.errors} for d in doors}}))


# -- closed ---------------------------------------------------------------------------------------------------


def bodies(*, identical: bool) -> Iterator[bytes]:
    """Yield the calls of a load: all alike, or no two."""
    number = 0
    while True:
        number += 1
        yield call(number, "validateaddress", ["bench" if identical else f"bench-{number}"])


def polled() -> Iterator[bytes]:
    """Yield what pages ask for again and again."""
    for number in count(1):
        yield call(number, ("getbalance", "getinfo", "history")[number % 3], [])


async def closed(options: argparse.Namespace) -> None:
    """Keep N connections busy."""
    loop = asyncio.get_running_loop()
    place, start = Place.of(options.to), head(options.user)
    load = polled() if options.polls else bodies(identical=options.identical)
    began: dict[Asker, float] = {}
    """The moment of the call that each connection waits for."""
    tasks: set[asyncio.Task[None]] = set()
    seconds: list[float] = []
    state = {"errors": 0, "over": 0}
    enough = asyncio.Event()

    def answered(asker: Asker, body: bytes | None) -> None:
        if state["over"]:
            return
        since = began.pop(asker, None)
        if body is None:
            # ended after its answer, as serial daemons do, or without one
            state["errors"] += since is not None
            task = loop.create_task(dial())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return
        if since is not None:
            seconds.append(asker.ended_at - since)
        if len(seconds) == options.calls_in_all:
            enough.set()
        if b'"result"' not in body:
            state["errors"] += 1
        if asker.parser.should_keep_alive():
            send(asker)

    def send(asker: Asker) -> None:
        began[asker] = time.monotonic()
        asker.transport.write(http_request(start, next(load), keep=True))

    async def dial() -> None:
        try:
            _, asker = await loop.create_connection(lambda: Asker(b"", answered), place.host, place.port)
        except OSError:
            state["errors"] += 1
            return
        send(asker)

    first = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(options.connections):
            group.create_task(dial())
    say("ready")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.seconds):
            await enough.wait()
    state["over"] = 1
    took = time.monotonic() - first
    seconds.sort()
    middle, late = (seconds[int(len(seconds) * q)] if seconds else 0.0 for q in (0.5, 0.99))
    result = {"calls": len(seconds), "seconds": took, "errors": state["errors"], "p50": middle, "p99": late}
    result["slowest"] = seconds[-1] if seconds else 0.0
    say(json.dumps(result))


# -- flood ----------------------------------------------------------------------------------------------------


class Flood:
    """Calls at fixed moments, each over a connection that is idle, or a new one."""

    def __init__(self, place: Place, start: bytes, most: int) -> None:
        """Begin with no connection; there are never more than `most`."""
        self.place = place
        self.start = start
        self.most = most
        self.open = 0
        self.idle: list[Asker] = []
        self.began: dict[Asker, float] = {}
        self.samples: list[tuple[float, float, str]] = []
        self.left_out = 0
        """Calls that were not made, for all connections waited for answers."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_quiet = asyncio.Event()

    def ask(self, body: bytes) -> None:
        """Make a call."""
        request = http_request(self.start, body, keep=True)
        while self.idle:
            asker = self.idle.pop()
            if not asker.transport.is_closing():
                self.began[asker] = time.monotonic()
                asker.transport.write(request)
                return
        if self.open >= self.most:
            self.left_out += 1
            return
        self.open += 1
        task = asyncio.create_task(self._dial(request, time.monotonic()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def quiet(self) -> None:
        """Wait until nothing waits for an answer."""
        while self.began:
            self._is_quiet.clear()
            await self._is_quiet.wait()

    async def _dial(self, request: bytes, began: float) -> None:
        def made() -> Asker:
            asker = Asker(request, self._answered)
            self.began[asker] = began
            return asker

        try:
            await asyncio.get_running_loop().create_connection(made, self.place.host, self.place.port)
        except OSError as error:
            self.open -= 1
            self.samples.append((began, time.monotonic() - began, type(error).__name__))

    def _answered(self, asker: Asker, body: bytes | None) -> None:
        began = self.began.pop(asker, None)
        if began is not None:
            took = (asker.ended_at or time.monotonic()) - began
            self.samples.append((began, took, "closed" if body is None else verdict(body)))
        if not self.began:
            self._is_quiet.set()
        if body is None:
            self.open -= 1
        elif asker.parser.should_keep_alive():
            self.idle.append(asker)


async def flood(options: argparse.Namespace) -> None:
    """Make calls at fixed moments for some seconds, and wait for the answers to what is under way."""
    loop = asyncio.get_running_loop()
    start = head(options.user) + (b"X-Request-Timeout: %g\r\n" % options.patience if options.patience else b"")
    crowd = Flood(Place.of(options.to), start, options.most)
    load, lateness = bodies(identical=False), 0.0
    first = loop.time() + 0.1
    say(f"ready {first}")
    for number in range(round(options.seconds * options.rate)):
        at = first + number / options.rate
        if (wait := at - loop.time()) > 0:
            await asyncio.sleep(wait)
        lateness = max(lateness, loop.time() - at)
        crowd.ask(next(load))
        if not number % 50:
            await asyncio.sleep(0)  # answers are read also by one who is late
    last = loop.time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.timeout):
            await crowd.quiet()
    told = {"first": first, "last": last, "lateness": lateness, "left_out": crowd.left_out, "open": len(crowd.began)}
    say(json.dumps({**told, "samples": crowd.samples}))


# -- hold -----------------------------------------------------------------------------------------------------


async def hold(options: argparse.Namespace) -> None:
    """Hold connections that made one call each."""
    loop = asyncio.get_running_loop()
    place, start = Place.of(options.to), head(options.user)
    gate = asyncio.Semaphore(50)
    lost = 0
    wrong = 0

    async def one(number: int) -> None:
        future: asyncio.Future[str] = loop.create_future()

        def answered(_asker: Asker, body: bytes | None) -> None:
            nonlocal lost
            lost += body is None
            if not future.done():
                future.set_result("closed" if body is None else verdict(body))

        request = http_request(start, call(number, "validateaddress", [f"held-{number}"]), keep=True)
        async with gate, asyncio.timeout(options.timeout):
            await loop.create_connection(lambda: Asker(request, answered), place.host, place.port)
            nonlocal wrong
            wrong += bool(await future)

    async with asyncio.TaskGroup() as group:
        for number in range(options.connections):
            group.create_task(one(number))
    say("ready")
    await loop.run_in_executor(None, sys.stdin.read)
    say(json.dumps({"open": options.connections - lost, "errors": wrong}))


# -- all ------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run one mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--user", default=USER)
    parser.add_argument("--timeout", type=float, default=12.0, help="seconds for one call")
    modes = parser.add_subparsers(dest="mode", required=True)
    mode = modes.add_parser("paced")
    mode.add_argument("--to", required=True, metavar="HOST:PORT")
    mode.add_argument("--rate", type=float, required=True)
    mode.add_argument("--seconds", type=float, required=True)
    mode.add_argument("--calls", required=True, metavar="JSON", help="list of [method, params], taken by turns")
    mode = modes.add_parser("alternate")
    mode.add_argument("--door", action="append", required=True, metavar="NAME=HOST:PORT[/keep]")
    mode.add_argument("--rate", type=float, required=True)
    mode.add_argument("--block", type=float, default=1.0, help="seconds at one door before the next")
    mode.add_argument("--blocks", type=int, default=8)
    mode = modes.add_parser("closed")
    mode.add_argument("--to", required=True, metavar="HOST:PORT")
    mode.add_argument("--connections", type=int, default=16)
    mode.add_argument("--seconds", type=float, default=2.0)
    mode.add_argument("--calls-in-all", type=int, default=0, help="end after so many calls")
    mode.add_argument("--identical", action="store_true")
    mode.add_argument("--polls", action="store_true", help="getbalance, getinfo and history by turns")
    mode = modes.add_parser("flood")
    mode.add_argument("--to", required=True, metavar="HOST:PORT")
    mode.add_argument("--rate", type=float, required=True)
    mode.add_argument("--seconds", type=float, required=True)
    mode.add_argument(
        "--patience", type=float, default=0.0, help="seconds that each call says it waits; 0 says nothing"
    )
    mode.add_argument("--most", type=int, default=4000, help="connections at most")
    mode = modes.add_parser("hold")
    mode.add_argument("--to", required=True, metavar="HOST:PORT")
    mode.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    gc.freeze()
    if options.mode == "alternate":
        alternate(options)
    else:
        asyncio.run({"paced": paced, "closed": closed, "flood": flood, "hold": hold}[options.mode](options))


if __name__ == "__main__":
    main()
