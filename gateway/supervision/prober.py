"""Asks each daemon how it is, on its own clock, in words that prove something.

Rule: one probe at a time per backend; one that is unanswered keeps its connection and is not repeated
beside itself, because probes that are closed on a time-out fill the daemon's accept queue.

A probe goes through the slot when the slot is free, so that no call is sent behind it, and beside the slot
while a call of ours has held it for a while, so that a wedge is told from a long call.  Real answers
postpone it, but not for ever: only a probe shows the heights.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.base.config import Health, Timeouts
from gateway.base.events import Event
from gateway.base.jsonrpc import BadAnswer, read_answer, request
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Profile
from gateway.profiles.probes import Probe, read_probe
from gateway.upstream.wire import Exchange, Fate, Outcome, Target, Wire

TICK = 0.05
"""Seconds between two looks at whose probe is due."""

STOOD_STILL = 0.15
"""Seconds by which a tick is late when the machine or this process was stopped for a while."""

POSTPONED_AT_MOST = 5
"""Probe intervals for which real answers may stand in for a probe."""

FOR_EVER = 86_400.0
"""Seconds; an unanswered probe is ended by an answer, a reset or TCP keep-alive, hardly ever by time."""

LATE = 0.05
"""Seconds after which an unanswered probe makes wallet reads look elsewhere; ten times a usual answer."""

NO_CONNECTION = frozenset({"refused", "unreachable", "resolve", "tls"})

UNKNOWN_WORDS = Probe(Level.ACCEPTS)

UNAUTHORIZED = 401


class ProbeWatcher(Protocol):
    """Who counts probes."""

    def probe_ended(self, wallet: str, backend: str, outcome: str, seconds: float) -> None:
        """One probe ended."""


@dataclass(slots=True)
class Pending:
    """A probe on the wire."""

    our_id: str
    dialled_at: float
    exchange: Exchange | None = None


class Prober:
    """Probes the backends of one wallet.

    Args:
        pool: live state; phases change there.
        free: called when a probe that held a slot gives it back.
    """

    def __init__(
        self, pool: Pool, profile: Profile, wire: Wire, targets: Mapping[str, Target],
        health: Health, timeouts: Timeouts, watcher: ProbeWatcher, free: Callable[[Backend], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Begin with every probe due at once."""
        self.pool = pool
        self.profile = profile
        self.wire = wire
        self.targets = targets
        self.health = health
        self.timeouts = timeouts
        self.watcher = watcher
        self.free = free
        self.loop = loop
        self._ids = itertools.count(1)
        self._pending: dict[Backend, Pending] = {}
        self._next_at: dict[Backend, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._is_running = False
        self._tick_at = loop.time()
        pool.on_doubt = self.hurry

    def start(self) -> None:
        """Begin to probe; the first round at once."""
        self._is_running = True
        self._tick()

    def stop(self) -> None:
        """Probe no more and end what is on the wire."""
        self._is_running = False
        if self._handle is not None:
            self._handle.cancel()
        for pending in list(self._pending.values()):
            if pending.exchange is not None:
                pending.exchange.abort()

    def update(self, health: Health, timeouts: Timeouts) -> None:
        """Take new settings."""
        self.health = health
        self.timeouts = timeouts

    def hurry(self, backend: Backend) -> None:
        """Probe a backend as soon as its slot or its last probe allows: only a probe can lift a suspicion."""
        if backend not in self.pool.backends:
            # taken out by a reload; its call goes on without us
            return
        self._next_at[backend] = 0.0
        if self._is_running:
            self.loop.call_soon(self._consider, backend)

    def _tick(self) -> None:
        """Look at every backend: is its probe due, and what do the facts say now.

        A tick that comes late says that this process stood still, and with it the clock of every answer: it judges
        nobody, and the answers that lie in the sockets are read before the next one.
        """
        now = self.loop.time()
        stood_still = now - self._tick_at > STOOD_STILL
        self._tick_at = now + TICK
        for backend in self.pool.backends:
            if stood_still:
                break
            self._consider(backend)
            backend.settle_old(now, self.timeouts.server)
            pending = self._pending.get(backend)
            backend.probe_is_late = pending is not None and now - pending.dialled_at >= LATE
            self.pool.review(backend, now)
        if self._is_running:
            self._handle = self.loop.call_later(TICK, self._tick)

    def _consider(self, backend: Backend) -> None:
        """Send the probe of a backend if it is due and there is room for it."""
        now = self.loop.time()
        if not self._is_running or backend in self._pending or now < self._due_at(backend, now):
            return
        if backend.has_free_slot:
            self._probe(backend, now, holds_slot=True)
            return
        backend.probe_is_due = True
        oldest = min((one.dialled_at for one in backend.occupants), default=now)
        if now - oldest >= self.health.probe_timeout or any(one.has_left for one in backend.occupants):
            self._probe(backend, now, holds_slot=False)

    def _due_at(self, backend: Backend, now: float) -> float:
        """Return when the next probe is due; 0.0 is at once."""
        due = self._next_at.get(backend, 0.0)
        if not backend.phase.is_serving or backend.is_suspect or not due:
            return due
        if now - backend.heard_at < self.health.probe_interval:
            longest = backend.probed_at + POSTPONED_AT_MOST * self.health.probe_interval
            return min(longest, backend.heard_at + self.health.probe_interval)
        return due

    def slot_is_free(self, backend: Backend) -> bool:
        """Hear that a slot came free where a probe is due; return True when the probe took it."""
        backend.probe_is_due = False
        if not self._is_running or backend in self._pending or self.pool.by_name.get(backend.name) is not backend:
            # a reload took it away while it had a call
            return False
        now = self.loop.time()
        if now < self._due_at(backend, now):
            return False
        self._probe(backend, now, holds_slot=True)
        return True

    def _probe(self, backend: Backend, now: float, *, holds_slot: bool) -> None:
        our_id = f"p{next(self._ids)}"
        pending = self._pending[backend] = Pending(our_id, now)
        backend.probe_is_due = False
        backend.probe_dialled_at = now
        backend.probe_holds_slot = holds_slot and backend.is_serial
        if backend.unanswered_since is None:
            backend.unanswered_since = now
        self._next_at[backend] = now + self.health.probe_interval

        def ended(outcome: Outcome) -> None:
            self._ended(backend, pending, outcome)

        body = request(our_id, self.profile.probe, b"[]")
        # over a connection of its own: that a kept one was closed just then says nothing, and would cost the alignment
        pending.exchange = self.wire.send(self.targets[backend.name], body, whole=FOR_EVER, reuse=False, on_end=ended)

    def _ended(self, backend: Backend, pending: Pending, outcome: Outcome) -> None:
        """Take in how a probe ended and give its slot back."""
        now = self.loop.time()
        self._pending.pop(backend, None)
        backend.probe_dialled_at = None
        backend.probe_is_late = False
        held, backend.probe_holds_slot = backend.probe_holds_slot, False
        seconds = now - pending.dialled_at
        if outcome.fate is Fate.ANSWERED:
            said, backend.remark = self._read(outcome, pending.our_id)
            before, backend.level = backend.level, said.level
            backend.height = said.height
            if said.level is not before:
                self._tell_level(backend, said, before)
            backend.latency.add(seconds, now)
            self.watcher.probe_ended(self.pool.name, backend.name, said.level.name.lower(), seconds)
            self.pool.probe_answered(backend, now, pending.dialled_at)
        else:
            self.watcher.probe_ended(self.pool.name, backend.name, outcome.reason, seconds)
            self._unanswered(backend, outcome, now)
        if held or backend.has_free_slot:
            self.free(backend)

    def _read(self, outcome: Outcome, our_id: str) -> tuple[Probe, str]:
        """Read an answer, and say in words what is wrong with it.

        Whatever is not an answer to our probe proves only that something accepts.
        """
        try:
            answer = read_answer(outcome.body, our_id)
        except BadAnswer as bad:
            if outcome.status == UNAUTHORIZED:
                return UNKNOWN_WORDS, "refuses the gateway's user or password (HTTP 401)"
            return UNKNOWN_WORDS, f"its answer is none (HTTP {outcome.status}, {bad.reason})"
        if answer.result is None:
            return Probe(Level.ANSWERS), ""
        return read_probe(self.profile, answer.result), ""

    def _unanswered(self, backend: Backend, outcome: Outcome, now: float) -> None:
        """Take in a probe without an answer."""
        if outcome.reason in ("aborted", "local"):
            backend.unanswered_since = None
        elif outcome.reason in NO_CONNECTION:
            backend.unanswered_since = None
            self.pool.refused(backend, now, outcome.reason)
        elif outcome.reason == "connect_timeout":
            self.pool.suspect(backend, now, outcome.reason)
        else:
            backend.unanswered_since = None
            backend.level = Level.ACCEPTS if outcome.fate is Fate.UNKNOWN else Level.NOTHING
            self.pool.lose_alignment(backend, outcome.reason)
            if backend is self.pool.primary:
                # it ended in the middle of a probe, and may be another process at the next one
                self.pool.doubt_primary()
            self.pool.review(backend, now)

    def _tell_level(self, backend: Backend, said: Probe, before: Level) -> None:
        fields: dict[str, object] = {"up_to": said.level.name.lower(), "before": before.name.lower()}
        if backend.remark:
            fields["remark"] = backend.remark
        for name in ("height", "server_height", "connected"):
            value = getattr(said, name)
            if value is not None:
                fields[name] = value
        self.pool.emit(Event("backend.level_changed", self.pool.name, backend.name, fields))
