"""Fakes that tests hand in where the world would be: serial daemons and the wire to them, in virtual time.

Rule: a fake daemon does what the real one was measured to do: one connection at a time, first in first
out, no time-out, and it runs what it has accepted also when the caller has gone.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.base.events import Event
from gateway.upstream.wire import Fate, Outcome

LATENCY = 0.0001
"""Seconds that a connect takes."""

BACKLOG = 6
"""Connections that the kernel takes in while one is served; the next one's SYN is dropped."""


@dataclass(eq=False)
class FakeExchange:
    """One call on the fake wire."""

    daemon: "FakeDaemon"
    body: bytes
    on_end: Callable[[Outcome], None]
    loop: asyncio.AbstractEventLoop
    started_at: float
    sent: bool = False
    ended: bool = False
    timer: asyncio.TimerHandle | None = None
    connected_at: float = 0.0
    is_sound: bool = True
    was_cut: bool = False
    """The network ended it: nobody but the daemon knows that it is still there."""

    def abort(self) -> None:
        """End it now; the daemon keeps what it was sent."""
        self.loop.call_soon(self.end, Fate.UNKNOWN if self.sent else Fate.NOT_SENT, "aborted")

    def end(self, fate: Fate, reason: str, body: bytes = b"", status: int = 200) -> None:
        """Report the outcome once."""
        if self.ended:
            return
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()
        now = self.loop.time()
        self.on_end(
            Outcome(
                fate=fate,
                reason=reason,
                status=status if fate is Fate.ANSWERED else 0,
                body=body,
                reused=False,
                connected_at=self.connected_at,
                sent_at=self.connected_at if self.sent else 0.0,
                first_byte_at=now if fate is Fate.ANSWERED else 0.0,
                ended_at=now,
            )
        )


@dataclass(eq=False)
class FakeTarget:
    """Where a fake daemon listens."""

    daemon: "FakeDaemon"


@dataclass
class FakeWallet:
    """What a daemon holds: its addresses and its height."""

    addresses: list[str] = field(default_factory=lambda: [f"address-{i}" for i in range(20)])
    height: int = 100
    server_height: int = 100
    connected: bool = True
    is_loaded: bool = True

    def answer(self, method: str, params: object) -> object:
        """Run one method."""
        match method:
            case "getinfo":
                wallets = {"wallet": True} if self.is_loaded else {}
                return {
                    "blockchain_height": self.height,
                    "server_height": self.server_height,
                    "connected": self.connected,
                    "wallets": wallets,
                    "spv_nodes": 1,
                }
            case "listaddresses":
                return self.addresses
            case "createnewaddress":
                self.addresses.append(f"address-{len(self.addresses)}")
                return self.addresses[-1]
            case "addrequest":
                self.addresses.append(f"address-{len(self.addresses)}")
                return {"address": self.addresses[-1], "id": params[0] if isinstance(params, list) and params else ""}
            case _:
                return {"echo": params}


def _is_probe(exchange: "FakeExchange") -> bool:
    """Whether the prober sent it."""
    return str(json.loads(exchange.body)["id"]).startswith("p")


class FakeDaemon:
    """A serial daemon in virtual time.

    Args:
        service: seconds that a call takes by method; 0.0003 where it is not listed.
        mangle: turns the answer of a call into what goes wrong with it: None is "as it should be".
    """

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, service: Callable[[str], float] | None = None
    ) -> None:
        """Begin alive, loaded and synced."""
        self.name = name
        self.loop = loop
        self.service = service or (lambda _method: 0.0003)
        self.mangle: Callable[[str], str | None] = lambda _method: None
        self.wallet = FakeWallet()
        self.saved = list(self.wallet.addresses)
        """What the wallet file holds."""
        self.is_alive = True
        self.is_frozen = False
        self.has_idle_guest = False
        """A foreign idle connection is being served: nothing else is."""
        self.drops_syns = False
        """Nobody answers a connect, and nobody refuses it."""
        self.queue: deque[FakeExchange] = deque()
        self.current: FakeExchange | None = None
        self.finish: asyncio.TimerHandle | None = None
        self.journal: list[tuple[str, str, object]] = []
        """(our request id, method, params) of every call that was run, in order."""
        self.most_calls = 0
        self.most_probes = 0

    @property
    def target(self) -> FakeTarget:
        """Where to find it."""
        return FakeTarget(self)

    def connects(self, exchange: FakeExchange) -> None:
        """Take in a connection with its whole request."""
        if exchange.ended:
            return
        if not self.is_alive:
            exchange.end(Fate.NOT_SENT, "refused")
            return
        if self.drops_syns or len(self.queue) >= BACKLOG:
            exchange.timer = self.loop.call_later(1.0, exchange.end, Fate.NOT_SENT, "connect_timeout")
            return
        exchange.connected_at = self.loop.time()
        exchange.sent = True
        self.queue.append(exchange)
        inside = [*self.queue, *([self.current] if self.current else [])]
        # by whose it is: upkeep asks `getinfo` too, by a call that has the slot
        probes = sum(_is_probe(one) for one in inside)
        cut = sum(one.was_cut and _is_probe(one) for one in inside)
        self.most_probes = max(self.most_probes, probes - cut)
        self.most_calls = max(self.most_calls, len(inside) - probes)
        self.work()

    def work(self) -> None:
        """Begin the next request if nothing stands in the way."""
        if self.current is not None or self.is_frozen or self.has_idle_guest or not self.is_alive or not self.queue:
            return
        self.current = self.queue.popleft()
        method = json.loads(self.current.body)["method"]
        self.finish = self.loop.call_later(self.service(method), self.done)

    def done(self) -> None:
        """Run the request and answer it, if somebody still listens."""
        if self.is_frozen:
            return
        exchange, self.current = self.current, None
        self.finish = None
        if exchange is not None:
            call = json.loads(exchange.body)
            result = self.wallet.answer(call["method"], call["params"])
            if call["method"] == "addrequest":
                self.save()
            if isinstance(result, dict) and "echo" in result:
                result |= {"by": self.name, "addresses": len(self.wallet.addresses)}
            self.journal.append((call["id"], call["method"], call["params"]))
            self.say(exchange, call, result)
        self.work()

    def say(self, exchange: FakeExchange, call: dict[str, object], result: object) -> None:
        """Answer in words, or in what `mangle` makes of them."""
        match self.mangle(str(call["method"])):
            case "half":
                exchange.end(Fate.UNKNOWN, "half")
            case "empty" | "oversized" as reason:
                exchange.end(Fate.UNKNOWN, reason)
            case "error":
                error = {"code": -32603, "message": "Server error: Wallet not loaded"}
                body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode()
                exchange.end(Fate.ANSWERED, "", body)
            case "garbage":
                exchange.end(Fate.ANSWERED, "", b"<html>no</html>")
            case "unread":
                error = {"code": -32700, "message": "Request invalid"}
                body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
                exchange.end(Fate.ANSWERED, "", body)
            case "foreign":
                exchange.end(Fate.ANSWERED, "", json.dumps({"jsonrpc": "2.0", "id": "x1", "result": 1}).encode())
            case _:
                body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}).encode()
                exchange.end(Fate.ANSWERED, "", body)

    # -- faults -------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop in the middle of everything (SIGSTOP)."""
        self.is_frozen = True
        if self.finish is not None:
            self.finish.cancel()

    def thaw(self) -> None:
        """Go on (SIGCONT)."""
        if not self.is_frozen:
            return
        self.is_frozen = False
        if self.current is not None:
            self.finish = self.loop.call_later(0.0001, self.done)
        self.work()

    def wedge(self) -> None:
        """Serve a foreign idle connection."""
        self.has_idle_guest = True

    def unwedge(self) -> None:
        """The guest has left."""
        self.has_idle_guest = False
        self.work()

    def save(self) -> None:
        """Write the wallet file, as a real daemon does when its sync completes, at addrequest and at `stop`."""
        self.saved = list(self.wallet.addresses)

    def cut(self, *, probes: bool = True) -> None:
        """Lose the connections on the way; what came in is run all the same, and nobody hears the answer."""
        for exchange in [*([self.current] if self.current else []), *self.queue]:
            if not exchange.ended and (probes or json.loads(exchange.body)["method"] != "getinfo"):
                exchange.was_cut = True
                exchange.end(Fate.UNKNOWN, "lost")

    def kill(self) -> None:
        """Die: nothing that waits is run, everybody connected sees a reset, unsaved addresses are lost."""
        self.is_alive = False
        self.is_frozen = False
        self.has_idle_guest = False
        self.wallet.addresses = list(self.saved)
        if self.finish is not None:
            self.finish.cancel()
        inside = [*([self.current] if self.current else []), *self.queue]
        self.current, self.finish = None, None
        self.queue.clear()
        for exchange in inside:
            self.loop.call_soon(exchange.end, Fate.UNKNOWN, "reset")

    def start(self) -> None:
        """Be started again, with the addresses that were saved."""
        self.is_alive = True

    def is_prompt(self, soon: float) -> bool:
        """Whether a call that came in now would be begun within `soon` seconds."""
        if not self.is_alive or self.is_frozen or self.has_idle_guest or self.drops_syns:
            return False
        if self.current is None:
            return True
        return self.finish is not None and self.finish.when() - self.loop.time() <= soon


class FakeWire:
    """A wire to fake daemons."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing sent."""
        self.loop = loop
        self.sent: list[FakeExchange] = []

    def send(
        self, target: FakeTarget, body: bytes, *, whole: float, reuse: bool, on_end: Callable[[Outcome], None],
        more: bytes = b"",
    ) -> FakeExchange:  # fmt: skip
        """Send one call."""
        del reuse, more
        exchange = FakeExchange(target.daemon, body, on_end, self.loop, self.loop.time())
        self.sent.append(exchange)
        self.loop.call_later(LATENCY, target.daemon.connects, exchange)

        def too_late() -> None:
            exchange.end(Fate.UNKNOWN if exchange.sent else Fate.NOT_SENT, "timeout")

        self.loop.call_later(whole, too_late)
        return exchange

    async def close(self) -> None:
        """Nothing to close."""


class Recorder:
    """Takes every report that sinks get."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.events: list[object] = []
        self.counts: dict[str, int] = {}
        self.outcomes: list[tuple[object, ...]] = []

    def emit(self, event: object) -> None:
        """Keep an event."""
        self.events.append(event)

    def names(self) -> list[str]:
        """Names of the events so far."""
        return [event.name for event in self.events]  # type: ignore[attr-defined]  # they are Events

    def of(self, name: str) -> list[Event]:
        """Return the events of a name so far."""
        return [event for event in self.events if isinstance(event, Event) and event.name == name]

    def attempt_ended(self, *args: object) -> None:
        """Count an attempt."""
        del args
        self.count("attempts", "")

    def probe_ended(self, wallet: str, backend: str, outcome: str, seconds: float) -> None:
        """Count a probe."""
        del wallet, backend, seconds
        self.count(f"probe.{outcome}", "")

    def call_ended(self, *args: object) -> None:
        """Keep a call's outcome."""
        self.outcomes.append(args)

    def count(self, name: str, wallet: str) -> None:
        """Count anything."""
        del wallet
        self.counts[name] = self.counts.get(name, 0) + 1
