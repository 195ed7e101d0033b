"""What the supervisor remembers of each backend, and how that and the pool become what the rules are asked with.

Rule: nothing here decides; a chart outlives the backend that a reload replaces, because it is about the daemon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.rules.health import Kind
from gateway.rules.kinds import blot
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Act, Patient, Verdict
from gateway.rules.records import Limits, Record, lift, note, recent
from gateway.supervision.schedule import Seen
from gateway.upstream.launchers import State

DENIED = "HTTP 401"
"""What a daemon's remark holds that refuses the gateway's credentials."""

SILENT = 0.5
"""Seconds beyond the time for a connection after which a probe must have made one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last restart failed; `at` is loop time."""

    at: float
    step: str
    reason: str


@dataclass(slots=True)
class Chart:
    """One backend's."""

    name: str
    record: Record = field(default_factory=Record)
    kind: Kind = Kind.STARTING
    ill_since: float = 0.0
    """Since when the finding is what it is."""
    shared_at: float = 0.0
    """When another one had last what it has."""
    reloaded_at: float | None = None
    load_at: float = 0.0
    loads: int = 0
    """Tries to load its wallet in a row that did not help."""
    order: str = ""
    is_held: bool = False
    is_drained: bool = False
    is_due: bool = False
    verdict: Verdict = field(default_factory=lambda: Verdict(""))
    told: tuple[str, str] | None = None
    """What a dry run told last."""
    backend: Backend | None = None
    met_at: float = 0.0
    """When this backend was met first; a reload may have made it anew, and it knows of no call before."""
    has_mute_launcher: bool = False
    """Its launcher did not answer when it was looked at last."""
    share_before: float | None = None
    """Part of its memory that it took when it was restarted for that; None when that was seen to have helped or not."""
    relieved_at: float = 0.0
    """When that restart was done."""
    no_help_at: float | None = None
    """When it was seen that such a restart does not help."""
    tried: Act | None = None
    """What its launcher did in vain since it could be reached last."""
    failure: Failure | None = None
    """Of its last restart; None when that was done."""
    silent_since: float | None = None
    """Since when it has had no excuse for a probe that it does not answer, where it could not be reached before."""
    instance: str = ""
    known_since: float = 0.0
    """Since when this gateway knows that life of its process."""

    def meet(self, backend: Backend, now: float) -> None:
        """Notice a backend that is new."""
        if backend is not self.backend:
            self.backend, self.met_at = backend, now

    def knows(self, instance: str, now: float) -> float:
        """Return since when this life of its process is known: it began before, whatever any clock says."""
        if instance != self.instance:
            self.instance, self.known_since = instance, now
        return self.known_since

    def hear(self, seen: Seen, now: float) -> None:
        """Take in how its launcher is: once it answers again, what failed by it alone is forgiven."""
        if seen.status is not None and seen.status.instance:
            self.knows(seen.status.instance, now)
        if seen.error:
            self.has_mute_launcher = True
        elif self.has_mute_launcher and seen.status is not None:
            self.has_mute_launcher, self.record = False, lift(self.record)

    def end(self, act: Act | None, failure: Failure | None, now: float, *, is_done: bool) -> None:
        """Take in how a restart ended; `act` is what it did to the process, None for nothing."""
        self.failure = failure
        if is_done:
            self.is_due, self.relieved_at = False, now
        else:
            # what was not done is no reason to think that it does not help
            self.share_before = None
            self.tried = self.tried if act is None or self.tried is Act.RESTART else act

    def look(self, backend: Backend, limits: Limits, now: float) -> None:
        """Take in how it is now."""
        if backend.diagnosis.kind is not self.kind:
            self.kind, self.ill_since = backend.diagnosis.kind, now
        is_healthy = backend.phase.is_serving and self.kind in (Kind.OK, Kind.BUSY)
        self.record = note(self.record, limits, now, is_healthy=is_healthy)
        if backend.refused_since is None:
            self.tried = None
        has_excuse = backend.unanswered_since is None or (backend.last_bound or 0.0) > now
        if has_excuse or not backend.is_out_of_reach or self.kind is not Kind.DEAD:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = now
        if is_healthy:
            self.loads, self.load_at = 0, 0.0
            if self.record.healthy_since is not None and now - self.record.healthy_since >= limits.healthy_after:
                # before, it has only drifted back: reloaded for that again and again, it would be closed all night
                self.reloaded_at = None


def _wedged_since(chart: Chart, backend: Backend, limits: Limits, now: float, connect: float) -> float | None:
    """Return since when one that could not be reached is silent, though it can be again; None where that is not so.

    Only an answer would have shown that.  A probe from before may wait for an answer that finds no way back.
    """
    unanswered_since, refused_since = backend.unanswered_since, backend.refused_since
    if chart.silent_since is None or unanswered_since is None or refused_since is None:
        return None
    since = max(chart.silent_since, unanswered_since)
    lasts = connect + SILENT if unanswered_since > refused_since else limits.adrift_after
    return since if now - since >= lasts else None


def is_unreached(backend: Backend, now: float, connect: float) -> bool:
    """Whether no connection is made, and none refused either: one probe ended so, and the next did not last longer."""
    if backend.refused_since is not None:
        return backend.is_out_of_reach
    first, dialled_at = backend.unanswered_since, backend.probe_dialled_at
    if first is None or dialled_at == first:
        return False
    return dialled_at is None or now - dialled_at < connect + SILENT


def patient(
    chart: Chart, backend: Backend, pool: Pool, seen: Seen, limits: Limits, now: float, at: float, connect: float,
    *, can_restart: bool, can_reload: bool, is_in_hands: bool, start_ends: bool = False,
) -> Patient:  # fmt: skip
    """Return a backend as the rules are asked about it.

    Args:
        now: loop time; at: seconds since 1970.
        connect: seconds that a connection may take.
    """
    kind, silent_since = backend.diagnosis.kind, backend.silent_since
    is_out_of_reach = backend.refused_since is not None and backend.is_out_of_reach
    if (wedged_since := _wedged_since(chart, backend, limits, now, connect)) is not None:
        kind, silent_since, is_out_of_reach = Kind.WEDGED, wedged_since, False
    is_refused = backend.refused_since is not None and not backend.is_out_of_reach
    is_blind = seen.status is not None and seen.status.state is State.UNKNOWN
    since: float | None = None
    if kind is Kind.WEDGED:
        since = silent_since
    elif kind is Kind.DEAD and is_out_of_reach and is_blind:
        # a restart in vain does not make it a shorter time
        since = backend.refused_since
    return Patient(
        name=backend.name,
        kind=kind,
        phase=backend.phase,
        level=backend.level,
        is_well=backend.phase in (Phase.READY, Phase.WARMING) and kind is Kind.OK and backend.may_serve,
        is_whole=pool.is_aligned(backend),
        record=chart.record,
        can_restart=can_restart,
        is_gone=seen.is_gone,
        is_starting=seen.is_starting,
        is_refused=is_refused,
        is_away=is_refused or is_out_of_reach,
        is_unreached=wedged_since is None and is_unreached(backend, now, connect),
        is_blind=is_blind,
        start_ends=start_ends,
        tried=chart.tried,
        was_heard=backend.probed_at > 0.0,
        met_at=chart.met_at,
        is_denied=DENIED in backend.remark,
        ill_since=chart.ill_since if since is None else since,
        shared_at=chart.shared_at,
        busy_until=backend.last_bound,
        reloaded_at=chart.reloaded_at,
        can_reload=can_reload,
        load_at=chart.load_at,
        is_held=chart.is_held,
        is_drained=chart.is_drained,
        is_in_hands=is_in_hands,
        order=chart.order,
        is_due=chart.is_due,
        age=seen.age(at),
        memory_share=None if seen.memory is None else seen.memory.share,
        no_help_at=chart.no_help_at,
    )


def status(
    chart: Chart | None, backend: Backend, seen: Seen, limits: Limits, now: float, at: float
) -> Mapping[str, object]:
    """Return what an operator asks about the care of a backend; `at` in seconds since 1970."""
    if chart is None:
        return {}
    verdict, grows, age = chart.verdict, seen.grows(), seen.age(at)
    memory = None
    if seen.memory is not None:
        memory = {
            "used": seen.memory.used,
            "limit": seen.memory.limit,
            "share": round(seen.memory.share, 3),
            "grows_per_hour": None if grows is None else round(grows * 3600),
        }
    return {
        "step": backend.step,
        "care": _care(verdict, limits),
        "next_try": None if verdict.at is None else round(max(0.0, verdict.at - now), 1),
        "restarts": recent(chart.record, limits, now),
        "restarts_in_a_row": chart.record.in_a_row,
        "ordered": chart.order,
        "failure": _failure(chart.failure, now),
        "held": chart.is_held,
        "drained": chart.is_drained,
        "process": None if seen.status is None else seen.status.state.value,
        "process_age": None if age is None else round(age),
        # what a command printed may hold a password, and whoever has a password of a client may ask for this
        "launcher_error": blot(seen.error),
        "memory": memory,
    }


def _care(verdict: Verdict, limits: Limits) -> str:
    """Return what is done about it, or why nothing is; of what a dry run only tells, that."""
    is_told = verdict.cause is not None and not limits.enforce
    return f"{verdict.reason}; restart.enforce is false, so that nothing is done" if is_told else verdict.reason


def _failure(failure: Failure | None, now: float) -> Mapping[str, object] | None:
    """Return how the last restart failed, for an operator."""
    if failure is None:
        return None
    return {"seconds_ago": round(now - failure.at, 3), "step": failure.step, "reason": blot(failure.reason)}
