"""Server-sent events for whoever has the page open: how everything stands, the charts, incidents.

Rule: what is told is made and encoded once, whoever many listen, and nothing is made while nobody does.  Each listener
begins with a whole snapshot, so that one who slept knows all there is; one that does not keep up is let go, and comes
back by itself.

    event: status     the snapshot: at once, and when more has changed than its figures; two a second on the average
    event: samples    the second that has just ended, for charts; once a second
    event: incident   one incident that was opened, changed or closed
    : ping            each 15 s, for proxies that close what is silent
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec

from gateway.base.events import Emit, Event
from gateway.edge.admin_listener import MOST_UNSENT, Listener
from gateway.fleet.budget import Budget

PACE = 0.5
"""Seconds between two snapshots that are sent, on the average and where no event says that something happened."""

BURST = 4.0
"""Snapshots that may be sent one soon after another when something does happen."""

LEAST = 0.1
"""Seconds between two looks at whether anything has changed, however much happens."""

FIGURES = 5.0
"""Seconds after which figures alone are reason enough to send a snapshot."""

AFTER = 0.005
"""Seconds after a moment that is waited for: a timer may be early, and would find it not to have come."""

PING = 15.0
"""Seconds between two comments that keep a connection open."""

RETRY = b"retry: 1000\n\n"
"""Tells a browser to come back after a second."""

FIGURES_ONLY = frozenset({
    "time", "for_seconds", "answered_ago", "next_try", "seconds_ago", "process_age", "took_ms",
    "latency_ms", "rates", "sparkline", "memory", "score", "transactions", "forwarded", "peer_calls",
})  # fmt: skip
"""What changes all the time without anything having happened."""

Snapshot = Mapping[str, object]


class Stream:
    """Everybody who listens.

    Args:
        snapshot: makes one; samples: returns the second that ended last; turn: ends a second of the charts.
        now: of the loop; clock: seconds since 1970; most: listeners at once.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, samples: Callable[[], Snapshot], turn: Callable[[], None],
        emit: Emit, now: Callable[[], float], clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, most: int = 200,
    ) -> None:  # fmt: skip
        """Have no listener."""
        self.snapshot = snapshot
        self.samples = samples
        self.turn = turn
        self.emit = emit
        self.now = now
        self.clock = clock
        self.sleep = sleep
        self.most = most
        self.listeners: set[Listener] = set()
        self._number = 0
        self._frame = b""
        """The snapshot that was sent last, as it went out."""
        self._essence: object = None
        self._made_at = self._sent_at = self._shown_at = float("-inf")
        """When a snapshot was made last, when anything but samples was sent, and when a snapshot was."""
        self._incidents: dict[str, Snapshot] = {}
        """What is new of incidents and was not told yet."""
        self._budget = Budget(0.0, 1.0 / PACE, BURST, now())
        self._stirred = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._is_over = False

    def __repr__(self) -> str:
        """Status line."""
        return f"<Stream listeners={len(self.listeners)}/{self.most} sent={self._number}>"

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to count seconds."""
        self._spawn(self._seconds())

    async def stop(self) -> None:
        """Let everybody go; they come back when there is somebody again."""
        self._is_over = True
        for one in list(self.listeners):
            one.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what happens -----------------------------------------------------------------------------------------

    def stir(self) -> None:
        """Hear that something happened, which may show; costs next to nothing."""
        if self.listeners:
            self._stirred.set()

    def incident(self, incident: Snapshot) -> None:
        """Tell of an incident that was opened, changed or closed; of several changes soon after another the last."""
        if self.listeners:
            self._incidents[str(incident.get("id"))] = incident
            self._stirred.set()

    # -- listening --------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether nobody more can listen."""
        return self._is_over or len(self.listeners) >= self.most

    def join(self, listener: Listener) -> None:
        """Let somebody listen, from a whole snapshot on."""
        if self.now() - self._made_at >= PACE:
            self._look()
        listener.write(RETRY + self._frame)
        self.listeners.add(listener)
        if self._watch is None:
            self._watch = self._spawn(self._changes())

    def leave(self, listener: Listener) -> None:
        """Let somebody go."""
        self.listeners.discard(listener)

    def too_slow(self, listener: Listener) -> None:
        """Let somebody go who does not take what he is sent."""
        self.leave(listener)
        self.emit(Event("listener.too_slow", fields={"peer": listener.peer, "unsent": MOST_UNSENT}, level="warning"))

    # -- work -------------------------------------------------------------------------------------------------

    async def _seconds(self) -> None:
        """End each second of the charts when it is over, and tell it to whoever listens."""
        pinged_at = self.now()
        while True:
            await self.sleep(1.0 - self.clock() % 1.0 + AFTER)
            self._try(self._second)
            now = self.now()
            if now - pinged_at >= PING:
                pinged_at = now
                self._send(b": ping\n\n")
            for one in list(self.listeners):
                one.see(now)

    def _second(self) -> None:
        self.turn()
        if self.listeners:
            self._send(frame("samples", self.samples()))

    async def _changes(self) -> None:
        """Tell of changes while anybody listens."""
        try:
            while self.listeners:
                self._stirred.clear()
                self._try(self._look)
                await self.sleep(LEAST)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PACE - LEAST):
                        await self._stirred.wait()
                await self.sleep(self._rest())
        finally:
            self._watch = None

    def _rest(self) -> float:
        """Return for how long nothing may be sent yet: what an event tells of has saved up for that."""
        now = self.now()
        if self._stirred.is_set():
            missing = 1.0 - self._budget.balance(now)
            return missing * PACE + AFTER if missing > 0 else 0.0
        return max(0.0, self._sent_at + PACE - now)

    def _try(self, work: Callable[[], None]) -> None:
        """Do something that must not end the stream; what goes wrong is told, and it is tried again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
            what = f"{type(error).__name__}: {error}"[:500]
            self.emit(Event("room.failed", fields={"room": "stream", "error": what}, level="error"))

    def _look(self) -> None:
        """Make a snapshot, and send it if it shows anything new; before it what is new of incidents."""
        incidents, self._incidents = self._incidents, {}
        for incident in incidents.values():
            self._send(frame("incident", incident))
            self._sent_at = self.now()
            self._budget.spend(self._sent_at)
        found = self.snapshot()
        now = self._made_at = self.now()
        seen = essence(found)
        if seen == self._essence and now - self._shown_at < FIGURES:
            return
        self._essence, self._sent_at, self._shown_at = seen, now, now
        self._budget.spend(now)
        self._number += 1
        self._frame = frame("status", found, self._number)
        self._send(self._frame)

    def _send(self, data: bytes) -> None:
        for one in list(self.listeners):
            one.write(data)

    def _spawn(self, work: "Callable[..., object] | object") -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def frame(event: str, data: object, number: int | None = None) -> bytes:
    """Return an event as it goes over the wire; JSON has no line ends that could break it."""
    named = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (named, event.encode(), msgspec.json.encode(data))


def essence(value: object) -> object:
    """Return a value without what changes all the time."""
    if isinstance(value, dict):
        return {name: essence(one) for name, one in value.items() if name not in FIGURES_ONLY}
    if isinstance(value, list):
        return [essence(one) for one in value]
    return value
