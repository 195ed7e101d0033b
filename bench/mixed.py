"""A mixed load for the soak: what a shop, its pages and its till do, at a bounded pace, until its input ends.

Each worker does one thing at a time and then waits: reads over kept connections, identical reads at one moment,
allocations, invoices that are made and removed, payments with keys and their broadcasts, batches, clients that hang up
in the middle, and new connections that say little.  It prints `ready`, and at its end one line of JSON: how many calls
of each kind had which end.

Rule: nothing piles up: a worker that is not answered waits, and no list grows with the calls.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

import client
from client import Place, head, say
from common import USER

PATIENCE = 12.0
"""Seconds for an answer: above the gateway's own deadline."""

DESTINATIONS = 8
"""Addresses that payments go to, in turn."""


class Line:
    """A connection of one worker; made anew whenever it has ended."""

    def __init__(self, place: Place, start: bytes) -> None:
        """Begin unconnected."""
        self.place = place
        self.start = start
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, more: bytes = b"", leave_after: float | None = None) -> Any:
        """Send a body and return the answer as JSON; "left" where it hung up by itself."""
        reader, writer = await self._open()
        try:
            writer.write(b"%b%bContent-Length: %d\r\n\r\n%b" % (self.start, more, len(body), body))
            async with asyncio.timeout(PATIENCE if leave_after is None else leave_after):
                top = await reader.readuntil(b"\r\n\r\n")
                length = int(top.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
                found = await reader.readexactly(length)
        except TimeoutError:
            self.close()
            if leave_after is not None:
                return "left"
            raise
        except (OSError, EOFError):
            self.close()
            raise
        if b"connection: close" in top.lower():
            self.close()
        return json.loads(found) if found else None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.place.host, self.place.port)
        return self._streams

    def close(self) -> None:
        """Hang up."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()


class Load:
    """All workers and what came of their calls."""

    def __init__(self, place: Place, start: bytes, seed: int) -> None:
        """Begin with nothing asked."""
        self.place = place
        self.start = start
        self.chance = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.handed: deque[str] = deque(maxlen=200)
        self.destinations: list[str] = []
        self.number = 0

    def line(self) -> Line:
        """Return a connection for one worker."""
        return Line(self.place, self.start)

    async def call(
        self, kind: str, line: Line, method: str, *params: Any, key: str = "", leave: float | None = None
    ) -> Any:
        """Make one call and count how it ended; return its result, None without one."""
        self.number += 1
        more = f"Idempotency-Key: {key}\r\n".encode() if key else b""
        try:
            answer = await line.post(client.call(self.number, method, list(params)), more, leave)
        except (OSError, EOFError, TimeoutError) as error:
            self.ends[f"{kind}: {type(error).__name__}"] += 1
            return None
        if answer == "left":
            self.ends[f"{kind}: left"] += 1
            return None
        told = answer.get("error")
        if told is not None:
            found: dict[str, Any] = told if isinstance(told, dict) else {"message": str(told)}
            # of a daemon's own words only the beginning, for they may name what nobody has seen before
            name = (found.get("data") or {}).get("name") or f"the daemon says {str(found.get('message'))[:40]}"
            self.ends[f"{kind}: {name}"] += 1
            return None
        self.ends[f"{kind}: ok"] += 1
        return answer.get("result")

    # -- workers ------------------------------------------------------------------------------------------

    async def read(self, line: Line) -> None:
        """Ask for one of the usual things."""
        usual: list[tuple[str, list[str]]] = [("getbalance", []), ("getinfo", [])]
        if self.handed:
            known = self.chance.choice(self.handed)
            usual += [("ismine", [known]), ("validateaddress", [known])]
        method, params = self.chance.choice(usual)
        await self.call("read", line, method, *params)

    async def heavy(self, line: Line) -> None:
        """Ask for much."""
        await self.call("read", line, self.chance.choice(("history", "listaddresses", "listrequests")))

    async def same(self, _line: Line) -> None:
        """Ask for the same thing eight times at one moment, over new connections."""
        lines = [self.line() for _ in range(8)]
        await asyncio.gather(*(self.call("same", line, "getbalance") for line in lines))
        for line in lines:
            line.close()

    async def allocate(self, line: Line) -> None:
        """Get an address."""
        address = await self.call("allocate", line, "createnewaddress")
        if isinstance(address, str):
            self.handed.append(address)

    async def invoice(self, line: Line) -> None:
        """Open an invoice, look at it, take it back."""
        found = await self.call("invoice", line, "addrequest", "0.001", f"order {self.number}", 3600)
        if isinstance(found, dict):
            address = str(found["address"])
            await self.call("invoice", line, "getrequest", address)
            await self.call("invoice", line, "rmrequest", address)

    async def pay(self, line: Line) -> None:
        """Sign with a key, ask for the same again, broadcast."""
        if not self.destinations:
            return
        key, to = f"order-{self.number}-{self.chance.random()}", self.chance.choice(self.destinations)
        signed = await self.call("pay", line, "payto", to, "0.0001", key=key)
        again = await self.call("pay", line, "payto", to, "0.0001", key=key)
        signed = signed or again
        if isinstance(signed, dict) and "hex" in signed:
            await self.call("pay", line, "broadcast", signed["hex"])

    async def label(self, line: Line) -> None:
        """Name an address that is known; there are no more labels than addresses."""
        if self.handed:
            await self.call(
                "label", line, "setlabel", self.chance.choice(self.handed), f"text {self.chance.randrange(9)}"
            )

    async def batch(self, line: Line) -> None:
        """Send five calls at once."""
        calls = [
            json.loads(client.call(n, method, []))
            for n, method in enumerate(("getbalance", "getinfo", "createnewaddress", "nope", "version"))
        ]
        try:
            answer = await line.post(json.dumps(calls).encode())
            self.ends[f"batch: {len(answer)} answers"] += 1
        except (OSError, EOFError, TimeoutError) as error:
            self.ends[f"batch: {type(error).__name__}"] += 1

    async def leave(self, line: Line) -> None:
        """Hang up before the answer."""
        await self.call(
            "leave",
            line,
            self.chance.choice(("getbalance", "history", "createnewaddress")),
            leave=self.chance.choice((0.0005, 0.003, 0.02)),
        )

    async def stray(self, _line: Line) -> None:
        """Connect, say nothing, half a head or nonsense, and go."""
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(self.place.host, self.place.port)
            writer.write(
                self.chance.choice(
                    (
                        b"",
                        self.start[:40],
                        b"GET / HTTP/1.1\r\n\r\n",
                        b"\x16\x03\x01nonsense\r\n\r\n",
                        self.start + b"\r\n",
                    )
                )
            )
            await asyncio.sleep(self.chance.uniform(0.0, 1.5))
            writer.close()
            self.ends["stray: gone"] += 1

    async def work(self, what: Callable[[Line], Awaitable[None]], every: float) -> None:
        """Do one thing again and again."""
        line = self.line()
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * every)
            await what(line)


async def run(options: argparse.Namespace) -> None:
    """Load until the input ends."""
    load = Load(Place.of(options.to), head(options.user), options.seed)
    load.destinations = options.destinations.split(",") if options.destinations else []
    pace = options.pace
    workers = [
        *[(load.read, 0.12)] * 3, (load.heavy, 1.0), (load.same, 1.0), (load.allocate, 0.6), (load.invoice, 1.2),
        (load.pay, 5.0), (load.label, 1.5), (load.batch, 2.0), (load.leave, 0.5), (load.stray, 1.0),
    ]  # fmt: skip
    tasks = [asyncio.create_task(load.work(what, every / pace)) for what, every in workers]
    say("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    broken = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    say(json.dumps({"calls": load.number, "ends": dict(load.ends), "broken": [repr(one) for one in broken]}))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--user", default=USER)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=1.0, help="1 is about 45 calls a second")
    parser.add_argument("--destinations", default="", metavar="ADDRESS,ADDRESS")
    gc.freeze()
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
