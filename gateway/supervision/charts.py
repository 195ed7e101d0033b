"""What the supervisor remembers of each backend, and how that and the pool become what the rules are asked with.

Rule: nothing here decides; a chart outlives the backend that a reload replaces, because it is about the daemon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Patient, Verdict
from gateway.rules.records import Limits, Record, lift, note, recent
from gateway.supervision.schedule import Seen
from gateway.upstream.launchers import State

DENIED = "HTTP 401"
"""What a daemon's remark holds that refuses the gateway's credentials."""


@dataclass(slots=True)
class Chart:
    """One backend's."""

    name: str
    record: Record = field(default_factory=Record)
    kind: Kind = Kind.STARTING
    ill_since: float = 0.0
    """Since when the finding is what it is."""
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

    def meet(self, backend: Backend, now: float) -> None:
        """Notice a backend that is new."""
        if backend is not self.backend:
            self.backend, self.met_at = backend, now

    def hear(self, seen: Seen) -> None:
        """Take in how its launcher is: once it answers again, what failed by it alone is forgiven."""
        if seen.error:
            self.has_mute_launcher = True
        elif self.has_mute_launcher and seen.status is not None:
            self.has_mute_launcher, self.record = False, lift(self.record)

    def look(self, backend: Backend, limits: Limits, now: float) -> None:
        """Take in how it is now."""
        if backend.diagnosis.kind is not self.kind:
            self.kind, self.ill_since = backend.diagnosis.kind, now
        is_healthy = backend.phase.is_serving and self.kind in (Kind.OK, Kind.BUSY)
        self.record = note(self.record, limits, now, is_healthy=is_healthy)
        if is_healthy:
            self.reloaded_at, self.loads, self.load_at = None, 0, 0.0


def patient(
    chart: Chart, backend: Backend, pool: Pool, seen: Seen, at: float,
    *, can_restart: bool, can_reload: bool, is_in_hands: bool,
) -> Patient:  # fmt: skip
    """Return a backend as the rules are asked about it; `at` in seconds since 1970."""
    kind = backend.diagnosis.kind
    silent = backend.silent_since if kind is Kind.WEDGED else None
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
        is_refused=backend.refused_since is not None and not backend.is_out_of_reach,
        is_away=backend.refused_since is not None,
        is_blind=seen.status is not None and seen.status.state is State.UNKNOWN,
        was_heard=backend.probed_at > 0.0,
        met_at=chart.met_at,
        is_denied=DENIED in backend.remark,
        ill_since=chart.ill_since if silent is None else silent,
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
        "care": verdict.reason,
        "next_try": None if verdict.at is None else round(max(0.0, verdict.at - now), 1),
        "restarts": recent(chart.record, limits, now),
        "restarts_in_a_row": chart.record.in_a_row,
        "ordered": chart.order,
        "held": chart.is_held,
        "drained": chart.is_drained,
        "process": None if seen.status is None else seen.status.state.value,
        "process_age": None if age is None else round(age),
        "launcher_error": seen.error,
        "memory": memory,
    }
