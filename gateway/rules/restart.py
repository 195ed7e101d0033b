"""Which backend is restarted now and why, and for the others why not.

Rule: one restart at a time in a wallet, and never one of a daemon that works.  Who is dead or wedged is always
restarted, the last one too; who is adrift only when it alone is, after a reload did not help, and never the last that
serves, because what all have in common is not cured by a restart.

`decide` looks at all backends of a wallet at once.  For each it first says what would help (a want), then what stands
in the way (a hindrance: words, and when that may be over), and of those without a hindrance it chooses one.

    cause      restarted when                                                    not when
    dead       nobody listens, whatever its launcher says of the process         its launcher starts it already
               its host cannot be reached for 10 s and its launcher cannot say:  a call there still has time
               started, which ends nothing; ended once, when that did not help
               and it lasts for `adrift_after`                                   another one cannot be reached either
    wedged     silent without an excuse for `health.wedged_after`                a call there still has time
    lost       its host cannot be reached for `adrift_after`, alone all that     nobody else is well
               time, and its launcher says that it runs
    each of these, where gateways share the wallet and no daemon is reached      no other gateway was let try yet
    adrift     behind or without its server for `adrift_after` after a reload,   another one is adrift too, nobody else is well
               alone all that time
    order      an operator says so                                               held
    cron, age, memory   its time has come, all others are well and whole         the last of several; age and memory alone;
                                                                                 memory where that did not help, for a day
"""  # noqa: E501 - a table

from dataclasses import dataclass

from gateway.base.levels import Level
from gateway.rules.health import Kind
from gateway.rules.patients import Act, Cause, Patient, Prevention, Verdict, View
from gateway.rules.records import Limits, is_beyond_cap, next_prevention, next_try

RELOAD_AFTER = 10.0
"""Seconds adrift after which the wallet is reloaded, at most half of `adrift_after`; most daemons catch up before."""

UNREACHED = 10.0
"""Seconds out of reach after which it is started where its launcher cannot say whether it runs: a name server or a
network that is away for a moment says nothing of the daemon."""

NO_HELP = 86_400.0
"""Seconds in which a daemon is not restarted for its memory again where that did not help."""

_TURN = {
    Cause.DEAD: 0, Cause.WEDGED: 0, Cause.ORDER: 1, Cause.LOST: 2, Cause.ADRIFT: 2,
    Cause.CRON: 3, Cause.MEMORY: 3, Cause.AGE: 4,
}  # fmt: skip
"""Who goes first."""


@dataclass(frozen=True, slots=True)
class _Want:
    act: Act
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class _Hindrance:
    reason: str
    at: float | None = None
    gives_up: bool = False


def decide(view: View, limits: Limits, now: float) -> dict[str, Verdict]:
    """Say for each backend what is done about it now; at most one is restarted or reloaded."""
    verdicts: dict[str, Verdict] = {}
    free: list[tuple[Patient, _Want]] = []
    for patient in view.patients:
        want = _want(patient, view, limits, now)
        if want is None:
            verdicts[patient.name] = Verdict(patient.name)
            continue
        hindrance = _hindrance(patient, want, view, limits, now)
        if hindrance is not None:
            verdicts[patient.name] = Verdict(
                patient.name, None, want.cause, hindrance.reason, hindrance.at, hindrance.gives_up
            )
        elif want.act is Act.LOAD:
            verdicts[patient.name] = Verdict(patient.name, Act.LOAD, want.cause, want.reason)
        else:
            free.append((patient, want))
    # what may be running can wait for what is not
    free.sort(key=lambda one: (_TURN[one[1].cause] + (one[1].act is Act.START), one[0].record.ended_at))
    for place, (patient, want) in enumerate(free):
        waits = f"{want.reason}; {free[0][0].name} goes first"
        verdicts[patient.name] = (
            Verdict(patient.name, None, want.cause, waits, would=want.act)
            if place
            else Verdict(patient.name, want.act, want.cause, want.reason)
        )
    return verdicts


def would_return(patient: Patient, limits: Limits, now: float, patience: float) -> bool:
    """Whether a backend that died now would be restarted within so many seconds, so that calls may wait for it."""
    if not (limits.enforce and patient.can_restart) or patient.is_held or patient.is_drained:
        return False
    record = patient.record
    return not is_beyond_cap(record, limits, now) and next_try(record, limits) <= now + patience


def sharers(patient: Patient, view: View) -> list[str]:
    """Name the others that have what a backend has where that may come from elsewhere: a drift, or no way to it.

    A port that refuses is no such thing, nor is a process that its launcher knows to be gone.
    """
    others = [one for one in view.patients if one is not patient]
    if patient.kind is Kind.ADRIFT:
        return [one.name for one in others if one.kind is Kind.ADRIFT]
    if not _is_lost(patient) or patient.is_gone:
        return []
    return [one.name for one in others if _is_lost(one)]


def _is_lost(patient: Patient) -> bool:
    """Whether nobody finds the way to it; a port that refuses was found."""
    return patient.is_out_of_reach or (patient.kind is Kind.DEAD and not patient.is_refused)


# -- what would help ----------------------------------------------------------------------------------------------


def _want(patient: Patient, view: View, limits: Limits, now: float) -> _Want | None:
    if patient.name in view.under_way or patient.name in view.settling or patient.phase.is_in_care:
        return None
    if patient.order:
        return _Want(Act.RESTART, Cause.ORDER, patient.order)
    return _cure(patient, view, limits, now) or _prevention(patient, view.prevention)


def _cure(patient: Patient, view: View, limits: Limits, now: float) -> _Want | None:
    is_away = patient.kind in (Kind.DEAD, Kind.STARTING) and patient.level is Level.NOTHING
    # something that its launcher does not know may listen there
    if is_away and patient.is_gone and patient.is_away:
        return _Want(Act.RESTART, Cause.DEAD, "its process is gone")
    match patient.kind:
        case Kind.DEAD if patient.is_refused:
            return _Want(Act.RESTART, Cause.DEAD, "nobody listens there")
        case Kind.DEAD if patient.is_away and patient.is_blind:
            return _cure_unseen(patient, view, limits, now)
        case Kind.DEAD:
            return _Want(Act.RESTART, Cause.LOST, "it cannot be reached")
        case Kind.WEDGED:
            return _Want(Act.RESTART, Cause.WEDGED, "silent without an excuse")
        case Kind.ADRIFT | Kind.STARTING if patient.level is Level.ANSWERS:
            return _Want(Act.LOAD, Cause.UNLOADED, "it has no wallet loaded")
        case Kind.ADRIFT:
            is_first = patient.can_reload and patient.level >= Level.LOADED and patient.reloaded_at is None
            after = min(RELOAD_AFTER, limits.adrift_after / 2)
            if is_first and now - patient.ill_since >= after:
                return _Want(Act.RELOAD, Cause.ADRIFT, "behind, or without its server")
            return _Want(Act.RESTART, Cause.ADRIFT, "behind, or without its server")
        case _:
            return None


def _cure_unseen(patient: Patient, view: View, limits: Limits, now: float) -> _Want:
    """Start who may be running for all that is known; end him where that did not help, and the way there may be well.

    The start of a process that runs does nothing, so that nobody loses by it whose network alone is away.
    """
    end = _Want(Act.RESTART, Cause.DEAD, "it cannot be reached, and its launcher cannot say whether it runs")
    if patient.start_ends:
        return end
    in_vain = patient.tried is Act.START
    if in_vain and not (_too_early(patient, end, view, limits, now) or _others(patient, end, view)):
        return end
    return _Want(Act.START, Cause.DEAD, f"{end.reason}; it is started, which ends nothing")


def _prevention(patient: Patient, prevention: Prevention) -> _Want | None:
    if not patient.is_well:
        return None
    if patient.is_due:
        return _Want(Act.RESTART, Cause.CRON, "preventive, by cron")
    most = prevention.memory_share
    if most is not None and patient.memory_share is not None and patient.memory_share >= most:
        return _Want(Act.RESTART, Cause.MEMORY, f"preventive, it takes {patient.memory_share:.0%} of its memory")
    if prevention.max_age is not None and patient.age is not None and patient.age >= prevention.max_age:
        return _Want(Act.RESTART, Cause.AGE, f"preventive, it has run for {patient.age / 3600:.1f} h")
    return None


# -- what stands in the way -----------------------------------------------------------------------------------------


def _hindrance(patient: Patient, want: _Want, view: View, limits: Limits, now: float) -> _Hindrance | None:
    return (
        _forbidden(patient, want)
        or _not_our_turn(patient, want, view)
        or _elsewhere(patient, want, view)
        or _others(patient, want, view)
        or _too_early(patient, want, view, limits, now)
        or _back_off(patient, want, limits, now)
    )


def _forbidden(patient: Patient, want: _Want) -> _Hindrance | None:
    if patient.is_held:
        return _Hindrance(f"{want.reason}; an operator holds it")
    if patient.is_drained and want.cause is not Cause.ORDER:
        return _Hindrance(f"{want.reason}; an operator drained it")
    if patient.is_in_hands:
        return _Hindrance("its wallet is being reloaded")
    if patient.is_denied and want.cause is Cause.ADRIFT:
        return _Hindrance("it refuses the gateway's user or password, which no restart changes")
    if want.act.is_by_launcher and not patient.can_restart:
        return _Hindrance(f"{want.reason}; it has no launcher")
    return None


def _not_our_turn(patient: Patient, want: _Want, view: View) -> _Hindrance | None:
    if want.act is Act.LOAD:
        return None
    busy = view.under_way if want.cause.is_urgent else view.under_way | view.settling
    others = sorted(busy - {patient.name})
    return _Hindrance(f"{want.reason}; {others[0]} is being restarted") if others else None


def _too_early(patient: Patient, want: _Want, view: View, limits: Limits, now: float) -> _Hindrance | None:
    until, why = _not_before(patient, want, view, limits)
    return _Hindrance(why, until) if now < until else None


def _not_before(patient: Patient, want: _Want, view: View, limits: Limits) -> tuple[float, str]:
    """Return when a want may be acted on at the earliest, and why not before."""
    since = patient.ill_since
    match want.cause:
        case Cause.UNLOADED:
            return patient.load_at, "its wallet could not be loaded; tried again a little later"
        case Cause.DEAD if patient.is_starting:
            return since + limits.start_timeout, "its launcher is starting it"
        case Cause.DEAD if patient.is_refused or patient.is_gone:
            return 0.0, ""
        case Cause.DEAD | Cause.WEDGED | Cause.LOST:
            is_its_own = want.cause is Cause.WEDGED or want.act is Act.START
            lasted = (since if is_its_own else max(since, patient.shared_at)) + _must_last(want, limits)
            quiet = max(_known_from(patient, view, limits), patient.busy_until or 0.0)
            if quiet > lasted:
                return quiet, "it may be working on a call"
            return lasted, "waits whether it comes round by itself"
        case Cause.ADRIFT if want.act is Act.RESTART:
            alone_since = max(since, patient.reloaded_at or 0.0, patient.shared_at)
            return alone_since + limits.adrift_after, "waits whether it catches up"
        case Cause.ORDER:
            return _known_from(patient, view, limits), "it may be working on a call from before the gateway's start"
        case _:
            return 0.0, ""


def _must_last(want: _Want, limits: Limits) -> float:
    """Return the seconds that an illness must last which may pass by itself."""
    if want.cause is Cause.WEDGED:
        return limits.wedged_after
    return UNREACHED if want.act is Act.START else limits.adrift_after


def _known_from(patient: Patient, view: View, limits: Limits) -> float:
    """Return since when no call from before the gateway's start can run there; 0.0 when that was proved."""
    if patient.was_heard or patient.is_refused or (patient.is_gone and patient.is_away):
        return 0.0
    return max(view.started_at, patient.met_at) + limits.settled_after


def _elsewhere(patient: Patient, want: _Want, view: View) -> _Hindrance | None:
    """Ask whether another gateway should try first: where no daemon is reached from here, it may be the way there.

    A process that is gone is gone on any way.
    """
    is_cure = want.act is Act.RESTART and want.cause in (Cause.DEAD, Cause.WEDGED, Cause.LOST)
    if not (view.may_be_cut_off and is_cure and patient.is_unreached) or patient.is_gone:
        return None
    if not all(one.is_unreached or one.is_gone for one in view.patients):
        return None
    return _Hindrance(f"{want.reason}; nor is any other from here, and another gateway tries first")


def _others(patient: Patient, want: _Want, view: View) -> _Hindrance | None:
    """Ask whether the other backends allow it."""
    others = [one for one in view.patients if one is not patient]
    alike = sharers(patient, view)
    if alike and want.act is Act.RESTART and want.cause in (Cause.DEAD, Cause.LOST):
        return _Hindrance(f"{want.reason}; nor can {alike[0]}, and the cause is elsewhere")
    if want.cause in (Cause.ADRIFT, Cause.LOST):
        if alike:
            return _Hindrance(f"{want.reason}; so is {alike[0]}, and the cause is elsewhere")
        if not any(one.is_well for one in others):
            return _Hindrance(f"{want.reason}; no other one serves")
    if want.cause.is_preventive:
        unfit = [one.name for one in others if not (one.is_well and one.is_whole)]
        if unfit:
            return _Hindrance(f"{want.reason}; waits until {unfit[0]} is well and whole")
        if not others and want.cause is not Cause.CRON:
            return _Hindrance(f"{want.reason}; it is the only one, and restarted at times of preventive.cron alone")
    return None


def _back_off(patient: Patient, want: _Want, limits: Limits, now: float) -> _Hindrance | None:
    record = patient.record
    if not want.act.is_by_launcher or want.cause is Cause.ORDER:
        return None
    if want.cause is Cause.MEMORY and patient.no_help_at is not None and now < patient.no_help_at + NO_HELP:
        reason = f"{want.reason}; the last restart for that did not help, nor would another one"
        return _Hindrance(reason, patient.no_help_at + NO_HELP)
    if want.cause.is_preventive:
        until = next_prevention(record, limits, now)
        return _Hindrance(f"{want.reason}; was restarted a short while ago", until) if now < until else None
    until = next_try(record, limits)
    if record.has_failed:
        return _Hindrance(f"{want.reason}; restarted too often, tried slowly", until) if now < until else None
    if is_beyond_cap(record, limits, now):
        until = record.begun[-1] + limits.failed_retry
        return _Hindrance(f"{want.reason}; restarted too often, tried slowly", until, gives_up=True)
    if now < until:
        return _Hindrance(f"{want.reason}; waits after {record.in_a_row} restarts in a row", until)
    return None
