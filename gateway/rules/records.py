"""What is remembered of one backend's restarts: how many in a row, how many in an hour, and when the next may begin.

Rule: the first restart comes at once, each further one in a row waits twice as long; only health that lasts makes the
next one the first again.  Beyond the cap of an hour a backend has FAILED, and is tried slowly until it stays healthy.
The cap counts cures that have reached the process and nothing else: what a person ordered, what prevents, and what the
launcher spoilt say nothing about the daemon.
"""

from dataclasses import dataclass, replace

HOUR = 3600.0
"""Seconds that the cap counts over."""

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of `restart` in the configuration, in seconds.

    Args:
        wedged_after: of `health`: how long silence must last.
        settled_after: seconds since the gateway's start until no call from before it can run any more.
        start_timeout: how long somebody else's start of a process is waited for.
        hour: what the cap counts over.
    """

    enforce: bool
    backoff: float
    backoff_max: float
    healthy_after: float
    max_per_hour: int
    failed_retry: float
    adrift_after: float
    wedged_after: float
    settled_after: float
    start_timeout: float
    hour: float = HOUR


@dataclass(frozen=True, slots=True)
class Record:
    """The restarts of one backend; times are loop time."""

    begun: tuple[float, ...] = ()
    """When those of the last hour began, whatever for."""
    cures: tuple[float, ...] = ()
    """Those of them that were for an illness and have ended or started a process."""
    prevented: tuple[float, ...] = ()
    """When the preventive restarts of the last hour began; they have a cap of their own."""
    in_a_row: int = 0
    """Restarts since it was last healthy for long."""
    ended_at: float = NEVER
    """When the last one ended, well or not."""
    healthy_since: float | None = None
    has_failed: bool = False
    """It is beyond the cap, until it stays healthy or an operator orders a restart."""
    is_spoilt: bool = False
    """The last one never reached the process, because of the launcher alone."""


def begin(record: Record, limits: Limits, now: float, *, is_ordered: bool = False, prevents: bool = False) -> Record:
    """Note a restart that begins now; one that a person ordered forgives what was before."""
    in_a_row = 1 if is_ordered else record.in_a_row + 1
    prevented = (*_recent(record.prevented, limits, now), now) if prevents else record.prevented
    return replace(
        record,
        begun=(*_recent(record.begun, limits, now), now),
        prevented=prevented,
        in_a_row=in_a_row,
        ended_at=now,
        healthy_since=None,
        has_failed=record.has_failed and not is_ordered,
        is_spoilt=False,
    )


def reach(record: Record, limits: Limits, now: float) -> Record:
    """Count a cure: a process was ended or started by it."""
    return replace(record, cures=(*_recent(record.cures, limits, now), max(record.begun, default=now)))


def end(record: Record, now: float) -> Record:
    """Note that a restart is over, well or not."""
    return replace(record, ended_at=now)


def spoil(record: Record, *, may_pass: bool) -> Record:
    """Note that the launcher kept the last one from the process; where a person must act, its pause stays short."""
    return replace(record, is_spoilt=True, in_a_row=record.in_a_row if may_pass else max(1, record.in_a_row - 1))


def lift(record: Record) -> Record:
    """Note that the launcher answers again: what failed by it alone is forgiven."""
    return replace(record, is_spoilt=False, in_a_row=0) if record.is_spoilt else record


def give_up(record: Record) -> Record:
    """Note that it is beyond the cap."""
    return replace(record, has_failed=True)


def note(record: Record, limits: Limits, now: float, *, is_healthy: bool) -> Record:
    """Note how it is now; health that lasts forgives the restarts before it."""
    if not is_healthy:
        return record if record.healthy_since is None else replace(record, healthy_since=None)
    if record.healthy_since is None:
        return replace(record, healthy_since=now)
    if now - record.healthy_since >= limits.healthy_after and (record.in_a_row or record.has_failed):
        return replace(record, in_a_row=0, has_failed=False)
    return record


def recent(record: Record, limits: Limits, now: float) -> int:
    """Return how many restarts began within the last hour."""
    return len(_recent(record.begun, limits, now))


def is_beyond_cap(record: Record, limits: Limits, now: float) -> bool:
    """Whether one more cure would be more than an hour allows."""
    return len(_recent(record.cures, limits, now)) >= limits.max_per_hour


def next_prevention(record: Record, limits: Limits, now: float) -> float:
    """Return when a well one may be restarted at the earliest: after health that lasts, and so many in an hour."""
    within = _recent(record.prevented, limits, now)
    full = within[-limits.max_per_hour] + limits.hour if len(within) >= limits.max_per_hour else NEVER
    return max(full, record.ended_at + limits.healthy_after)


def pause(in_a_row: int, limits: Limits) -> float:
    """Return the seconds between the end of the last of so many restarts in a row and the next one."""
    if not in_a_row:
        return 0.0
    return min(limits.backoff_max, limits.backoff * 2.0 ** min(in_a_row - 1, 30))


def next_try(record: Record, limits: Limits) -> float:
    """Return when a sick backend may be restarted at the earliest; the cap of an hour is asked apart."""
    if record.has_failed:
        return max(record.begun, default=NEVER) + limits.failed_retry
    return record.ended_at + pause(record.in_a_row, limits)


def _recent(times: tuple[float, ...], limits: Limits, now: float) -> tuple[float, ...]:
    return tuple(at for at in times if now - at < limits.hour)
