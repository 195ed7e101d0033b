"""What launchers say of the processes, now and then, and the times of preventive restarts.

Rule: a launcher that does not answer is told once and asked on; nobody waits for it but its own backend.

Times of `preventive.cron` are of the wall clock in `preventive.time_zone`.  When clocks go forward, a time that is
skipped comes right after the gap; when they go back, a time that is there twice counts once, the first; expressions
with * or */n in minute or hour go on with the real time.  A time that passed while no gateway ran, or over which the
clock was set ahead, is left out.  Where the clock is set back, times are counted anew from there.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gateway.base.care import Preventive
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.rules.health import Kind
from gateway.rules.memory import slope
from gateway.upstream.launchers import Launcher, LauncherError, Memory, State, Status, heard

TICK = 0.5
"""Seconds between two looks at whose turn it is."""

PERIOD = 10.0
"""Seconds between two looks at the process of a daemon that is well."""

SOON = 1.0
"""The same for one that is not."""

KEPT = 360
"""Samples of memory kept: an hour."""

LATE = 600.0
"""Seconds after which a time of cron is past: a clock that was set ahead must not restart daemons at noon that were to
be restarted at night."""

WRONG_AFTER = 1.0
"""Seconds after which a daemon that answers proves a launcher wrong that takes it for gone."""

WRONG = "it says that nothing runs, and the daemon answers; correct it, or else no restart will help"

PATIENCE = 60.0
"""Seconds after which a launcher counts as hanging, whatever its own limit is."""


@dataclass(slots=True)
class Seen:
    """What was last seen of one process."""

    status: Status | None = None
    error: str = ""
    gone_since: float | None = None
    """Since when the launcher says so."""
    memory: Memory | None = None
    is_memory_unknown: bool = False
    """Its launcher was asked what it takes, and could not say."""
    samples: "deque[tuple[float, int]]" = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def is_gone(self) -> bool:
        """Whether no process is there."""
        return self.status is not None and self.status.state in (State.EXITED, State.ABSENT)

    @property
    def is_starting(self) -> bool:
        """Whether somebody starts it right now."""
        return self.status is not None and self.status.state is State.STARTING

    def age(self, at: float) -> float | None:
        """Return the seconds since its process began, None when that is not known; `at` is of 1970."""
        status = self.status
        if status is None or status.started_at is None or status.state is not State.RUNNING:
            return None
        return at - status.started_at

    def grows(self) -> float | None:
        """Return by how many bytes a second its memory grows, None when that is not known."""
        return slope(self.samples)


class Watching:
    """The processes of one wallet.

    Args:
        launchers: by backend; the supervisor's own mapping, which a reload changes.
        on_look: called after each look.
    """

    def __init__(
        self, pool: Pool, launchers: Mapping[str, Launcher], loop: asyncio.AbstractEventLoop,
        on_look: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Have seen nothing."""
        self.pool = pool
        self.launchers = launchers
        self.loop = loop
        self.on_look = on_look
        self.seen: dict[str, Seen] = {}
        self._due: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for ever."""
        try:
            while True:
                for backend in self.pool.backends:
                    self._consider(backend)
                await asyncio.sleep(TICK)
        finally:
            for task in self._under_way.values():
                task.cancel()

    def of(self, name: str) -> Seen:
        """Return what was seen of a backend."""
        return self.seen.setdefault(name, Seen())

    def forget(self, name: str) -> None:
        """Look anew: its process is another one, or its launcher is."""
        self.seen.pop(name, None)
        self._due.pop(name, None)

    def _consider(self, backend: Backend) -> None:
        name, now = backend.name, self.loop.time()
        launcher = self.launchers.get(name)
        if launcher is None or name in self._under_way or now < self._due.get(name, 0.0):
            return
        is_well = backend.diagnosis.kind in (Kind.OK, Kind.BUSY)
        self._due[name] = now + (PERIOD if is_well else SOON)
        task = self.loop.create_task(self._look(backend, launcher, is_well=is_well), name=f"look-{name}")
        self._under_way[name] = task
        task.add_done_callback(lambda _task: self._under_way.pop(name, None))

    async def _look(self, backend: Backend, launcher: Launcher, *, is_well: bool) -> None:
        """Ask a launcher how its process is, and of a healthy one what it takes."""
        seen = self.of(backend.name)
        try:
            async with asyncio.timeout(PATIENCE):
                seen.status = self._believed(backend, seen, await heard(launcher.status))
        except (LauncherError, TimeoutError) as error:
            text = str(error) or f"its launcher does not answer within {PATIENCE:g} s"
            seen.status = None
            if not seen.error:
                fields: dict[str, object] = {"launcher": launcher.kind, "reason": text}
                self.pool.emit(Event("launcher.failed", self.pool.name, backend.name, fields, "error"))
            seen.error = text
        else:
            if seen.error:
                self.pool.emit(Event("launcher.answers", self.pool.name, backend.name, {"launcher": launcher.kind}))
            seen.error = ""
            if is_well:
                await self._weigh(backend, launcher, seen)
        self.on_look()

    def _believed(self, backend: Backend, seen: Seen, status: Status) -> Status:
        """Return what a launcher says, unless the daemon itself has proved that wrong.  Raises LauncherError."""
        if status.state not in (State.EXITED, State.ABSENT):
            seen.gone_since = None
        elif seen.gone_since is None:
            seen.gone_since = self.loop.time()
        elif backend.probed_at > seen.gone_since + WRONG_AFTER and not backend.phase.is_in_care:
            raise LauncherError(f"{WRONG}; {status.detail}" if status.detail else WRONG)
        return status

    async def _weigh(self, backend: Backend, launcher: Launcher, seen: Seen) -> None:
        """Ask what a process takes; where that cannot be had, how it is remains true, and it can be restarted."""
        try:
            async with asyncio.timeout(PATIENCE):
                seen.memory = await heard(launcher.memory)
        except (LauncherError, TimeoutError) as error:
            if not seen.is_memory_unknown:
                reason = str(error) or f"its launcher does not answer within {PATIENCE:g} s"
                fields: dict[str, object] = {"launcher": launcher.kind, "reason": reason}
                self.pool.emit(Event("launcher.memory_unknown", self.pool.name, backend.name, fields, "warning"))
            seen.is_memory_unknown, seen.memory = True, None
            return
        seen.is_memory_unknown = False
        if seen.memory is not None:
            seen.samples.append((self.loop.time(), seen.memory.used))


class Cron:
    """The times of `preventive.cron`.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, preventive: Preventive, clock: Callable[[], float]) -> None:
        """Wait for the first time after now."""
        self.preventive = preventive
        self.clock = clock
        self._asked_at = clock()
        self._came_at: float | None = None
        self.next_at = self._after(self._asked_at)

    def has_come(self) -> bool:
        """Whether a time has come since this was asked last, a moment ago; one that is long past is left out."""
        now = self.clock()
        self._see_set_back(now)
        if self.next_at is None or now < self.next_at:
            return False
        self._came_at, self.next_at = self.next_at, self._after(now)
        return now - self._came_at < LATE

    def _see_set_back(self, now: float) -> None:
        """Count anew where the clock was set back: the next time was that of a date that is far away now."""
        if now < self._asked_at:
            self.next_at = self._after(now)
            if self.next_at is not None and self.next_at == self._came_at:
                # one that has come does not come again
                self.next_at = self._after(self.next_at)
        self._asked_at = now

    def _after(self, at: float) -> float | None:
        if self.preventive.cron is None:
            return None
        zone = ZoneInfo(self.preventive.time_zone)
        found = next(CronSim(self.preventive.cron, datetime.fromtimestamp(at, zone)), None)
        return None if found is None else found.timestamp()


def mistakes(preventive: Preventive) -> list[tuple[str, str, str]]:
    """Return what is wrong with these settings: key, what, and what would be right."""
    found = []
    try:
        ZoneInfo(preventive.time_zone)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError that comes as either
        found.append(("time_zone", f"{preventive.time_zone} is no time zone", "write one like Europe/Berlin or UTC"))
    except KeyError:
        found.append(("time_zone", f"{preventive.time_zone} is not known", "write one like Europe/Berlin or UTC"))
    if preventive.cron is not None:
        example = 'write five fields like "30 4 * * sun": minute, hour, day, month, day of the week'
        try:
            # with a sixth one it would be taken for seconds
            CronSim("" if len(preventive.cron.split()) != 5 else preventive.cron, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            found.append(("cron", f"{preventive.cron} is no cron expression ({str(error).lower()})", example))
    return found
