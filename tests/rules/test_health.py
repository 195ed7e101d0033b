"""Diagnosis: proof before suspicion, excuses before blame."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.base.levels import Level
from gateway.rules.health import Diagnosis, Facts, Kind, Limits, diagnose, is_working

LIMITS = Limits(probe_timeout=0.5, wedged_after=2.0, lag_grace=15.0)
WELL = Facts(level=Level.SYNCED, top=Level.SYNCED, was_ready=True, grace_until=0.0)
times = st.none() | st.floats(0, 200)
facts = st.builds(
    Facts,
    level=st.sampled_from(Level),
    top=st.sampled_from([Level.LOADED, Level.SYNCED]),
    was_ready=st.booleans(),
    grace_until=st.floats(0, 200),
    refused_since=times,
    unanswered_since=times,
    call_sent_at=times,
    call_bound=st.sampled_from([1.0, 5.0, 35.0]),
    silent_since=times,
    behind_since=times,
)


def kind(now: float = 100.0, **changes: object) -> Diagnosis:
    """Diagnose a backend that is well but for these facts."""
    return diagnose(replace(WELL, **changes), LIMITS, now)  # type: ignore[arg-type]  # tests pass what fits


def test_a_backend_with_nothing_against_it_is_ok() -> None:
    """Synced, at the height of the others, nothing unanswered."""
    assert kind().kind is Kind.OK


def test_a_refused_connection_is_death_unless_it_is_expected_back() -> None:
    """Within its grace a refusing daemon is starting, and calls may wait for it."""
    dead = kind(refused_since=99.0)
    assert (dead.kind, dead.is_sick, dead.may_return) == (Kind.DEAD, True, False)
    starting = kind(refused_since=99.0, grace_until=101.0)
    assert (starting.kind, starting.is_sick, starting.may_return) == (Kind.STARTING, False, True)


def test_silence_is_excused_while_a_call_of_ours_may_still_run() -> None:
    """Busy until the call is older than its class allows, wedged after."""
    assert kind(unanswered_since=99.4, call_sent_at=99.1, call_bound=1.0).kind is Kind.BUSY
    assert kind(unanswered_since=99.4, call_sent_at=98.9, call_bound=1.0).kind is Kind.WEDGED
    assert kind(unanswered_since=99.4, call_sent_at=80.0, call_bound=35.0).kind is Kind.BUSY


def test_silence_at_the_start_is_excused_only_where_it_may_be_on_its_way_up() -> None:
    """One that served another gateway a moment ago is not, once no call of that can be running there any more."""
    silent = {"unanswered_since": 60.0, "was_ready": False, "grace_until": 120.0}
    assert kind(**silent).kind is Kind.STARTING
    assert kind(**silent, may_be_silent_until=100.5).kind is Kind.STARTING
    assert kind(**silent, may_be_silent_until=100.0).kind is Kind.WEDGED


def test_silence_with_nothing_of_ours_there_is_a_wedge() -> None:
    """A probe without an answer and without an excuse ejects; shorter than its time-out it says nothing."""
    assert kind(unanswered_since=99.6).kind is Kind.OK
    found = kind(unanswered_since=99.5)
    assert found.kind is Kind.WEDGED
    assert found.is_sick
    assert found.may_return


def test_a_wedge_that_lasts_is_not_waited_for() -> None:
    """After wedged_after seconds of silence nobody waits for it any more, unless a return is expected."""
    assert kind(unanswered_since=97.0, silent_since=98.1).may_return
    assert not kind(unanswered_since=97.0, silent_since=98.0).may_return
    assert kind(unanswered_since=97.0, silent_since=98.0, grace_until=101.0).may_return


def test_a_daemon_that_was_never_ready_is_starting_while_its_grace_lasts() -> None:
    """Not heard of, silent or not loaded: all of it is starting at first."""
    fresh = {"was_ready": False, "grace_until": 101.0}
    assert kind(level=Level.NOTHING, **fresh).kind is Kind.STARTING
    assert kind(unanswered_since=90.0, **fresh).kind is Kind.STARTING
    assert kind(level=Level.ANSWERS, **fresh).kind is Kind.STARTING
    late = {"was_ready": False, "grace_until": 99.0}
    assert kind(level=Level.NOTHING, **late).kind is Kind.DEAD
    assert kind(unanswered_since=90.0, **late).kind is Kind.WEDGED
    assert kind(level=Level.ANSWERS, **late).kind is Kind.ADRIFT


def test_a_lower_level_than_its_profile_wants_is_adrift() -> None:
    """Each missing level is told in words; an offline profile is content with a loaded wallet."""
    assert kind(level=Level.LOADED).kind is Kind.ADRIFT
    assert kind(level=Level.LOADED, top=Level.LOADED).kind is Kind.OK
    assert len({kind(level=level).reason for level in (Level.ACCEPTS, Level.ANSWERS, Level.LOADED)}) == 3


def test_being_behind_the_others_is_adrift_after_a_grace() -> None:
    """A block that is a moment late is no illness."""
    assert kind(behind_since=86.0).kind is Kind.OK
    assert kind(behind_since=85.0).kind is Kind.ADRIFT


@given(facts, st.floats(0, 300))
def test_every_diagnosis_hangs_together(given_facts: Facts, now: float) -> None:
    """OK and excused kinds are not sick; sick ones name a reason; hope ends with death, silence and foreign words."""
    found = diagnose(given_facts, LIMITS, now)
    assert found.is_sick == (found.kind in (Kind.WEDGED, Kind.ADRIFT, Kind.DEAD))
    assert bool(found.reason) == (found.kind is not Kind.OK)
    if not found.may_return:
        assert found.kind in (Kind.WEDGED, Kind.DEAD) or given_facts.level is Level.ACCEPTS
        assert now >= given_facts.grace_until
    if is_working(given_facts, now) and given_facts.refused_since is None:
        assert found.kind is not Kind.WEDGED


@given(facts, st.floats(0, 300))
def test_no_daemon_is_ok_below_its_level_or_while_it_refuses(given_facts: Facts, now: float) -> None:
    """What a daemon claims never outweighs what it shows."""
    if diagnose(given_facts, LIMITS, now).kind is Kind.OK:
        assert given_facts.level >= given_facts.top
        assert given_facts.refused_since is None


@given(facts, st.floats(0, 300))
def test_a_daemon_that_works_on_our_call_is_never_sick_for_its_silence(given_facts: Facts, now: float) -> None:
    """Within the bound of the call an unanswered probe is excused, whatever else was known before."""
    silent = replace(given_facts, refused_since=None, unanswered_since=now - LIMITS.probe_timeout)
    if is_working(silent, now):
        assert not diagnose(silent, LIMITS, now).is_sick
        assert diagnose(replace(silent, unanswered_since=now - 100.0), LIMITS, now).kind is Kind.BUSY


@given(facts, st.floats(0, 300), st.floats(0, 0.49))
def test_a_probe_that_may_still_be_answered_changes_nothing(given_facts: Facts, now: float, age: float) -> None:
    """Before its time-out it is no sign of anything."""
    fresh = replace(given_facts, unanswered_since=now - age)
    assert diagnose(fresh, LIMITS, now) == diagnose(replace(fresh, unanswered_since=None), LIMITS, now)


@given(facts, st.floats(0, 300))
def test_no_excuse_outlasts_the_grace_and_the_bound(given_facts: Facts, now: float) -> None:
    """After both, a daemon is well or it is sick: there is no third way to be waited for."""
    late = replace(given_facts, grace_until=now)
    if not is_working(late, now):
        assert diagnose(late, LIMITS, now).kind not in (Kind.STARTING, Kind.BUSY)


def test_a_call_past_its_bound_is_told_in_the_reason() -> None:
    """A person wants to know whether our own call may be what it hangs in."""
    assert kind(unanswered_since=90.0, call_sent_at=98.0, call_bound=1.0).reason == "silent with a call past its bound"
    assert kind(unanswered_since=90.0).reason == "silent"
    assert kind(refused_since=99.0, refused_reason="unreachable").reason == "unreachable"


def test_what_a_daemon_said_instead_of_an_answer_is_the_reason() -> None:
    """Refused credentials are mended elsewhere than a wallet that is not loaded."""
    assert kind(level=Level.ACCEPTS, remark="refuses our credentials").reason == "refuses our credentials"
    assert kind(level=Level.ANSWERS, remark="refuses our credentials").reason == "no wallet is loaded"
