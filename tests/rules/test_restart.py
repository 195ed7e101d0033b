"""Which backend is restarted now, and why the others are not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.levels import Level
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Act, Cause, Patient, Prevention, Verdict, View
from gateway.rules.records import Record, begin, end, reach
from gateway.rules.restart import RELOAD_AFTER, decide, sharers, would_return
from tests.rules.test_records import LIMITS

NOW = 1000.0


def well(name: str = "ec-1", **changes: object) -> Patient:
    """A backend that nothing is the matter with."""
    fields: dict[str, object] = {
        "kind": Kind.OK, "phase": Phase.READY, "level": Level.SYNCED, "is_well": True, "is_whole": True,
        "record": Record(), "ill_since": NOW - 500.0,
    }  # fmt: skip
    return Patient(name, **(fields | changes))  # type: ignore[arg-type]  # tests pass what fits


def ill(kind: Kind, name: str = "ec-1", **changes: object) -> Patient:
    """One that is out of service."""
    fields: dict[str, object] = {"kind": kind, "phase": Phase.EJECTED, "is_well": False}
    if kind is Kind.DEAD:
        fields |= {"level": Level.NOTHING, "is_refused": True, "is_away": True}
    if kind is Kind.ADRIFT:
        fields |= {"level": Level.LOADED}
    return well(name, **(fields | changes))


def asked(*patients: Patient, now: float = NOW, limits: object = LIMITS, **view: object) -> dict[str, Verdict]:
    """What is decided about all of them."""
    return decide(View(patients, **({"started_at": 0.0} | view)), limits, now)  # type: ignore[arg-type]  # the same


def first(*patients: Patient, **more: object) -> Verdict:
    """What is decided about the first."""
    return asked(*patients, **more)["ec-1"]  # type: ignore[arg-type]  # the same


def restarted(count: int, at: float = NOW - 1.0) -> Record:
    """A record of so many restarts, the last of which ended then."""
    record = Record()
    for number in range(count):
        now = at - count + 1 + number
        record = reach(begin(record, LIMITS, now), LIMITS, now)
    return end(record, at)


# -- who is ill -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1])
def test_the_dead_and_the_wedged_are_restarted_the_last_one_too(others: int) -> None:
    """A wallet with one daemon is the incident."""
    rest = [well(f"ec-{n + 2}") for n in range(others)]
    for kind, cause in ((Kind.DEAD, Cause.DEAD), (Kind.WEDGED, Cause.WEDGED)):
        found = first(ill(kind), *rest)
        assert (found.act, found.cause) == (Act.RESTART, cause)


def test_nothing_is_done_about_who_is_well_busy_or_starting() -> None:
    """And nothing is said about them."""
    for kind in (Kind.OK, Kind.BUSY, Kind.STARTING):
        assert first(well(kind=kind)) == Verdict("ec-1")


def test_a_process_that_is_gone_is_started_at_once_though_it_is_excused() -> None:
    """As after the gateway's own start."""
    gone = ill(
        Kind.STARTING, level=Level.NOTHING, is_gone=True, is_away=True, phase=Phase.STARTING, was_heard=False
    )  # fmt: skip
    assert first(gone).cause is Cause.DEAD
    # something that its launcher does not know may listen there
    assert first(replace(gone, is_away=False)).cause is None
    assert first(replace(gone, is_gone=False)).cause is None
    # one that answers is not gone, whatever was last seen of its process
    assert first(replace(gone, level=Level.LOADED)).cause is None


def test_who_is_starting_by_somebody_elses_hand_is_waited_for() -> None:
    """Docker's own restart policy and ours do not fight."""
    found = first(ill(Kind.DEAD, is_starting=True, ill_since=NOW - 1.0))
    assert (found.act, found.at) == (None, NOW + 29.0)
    assert first(ill(Kind.DEAD, is_starting=True, ill_since=NOW - 31.0)).act is Act.RESTART


def test_silence_must_last() -> None:
    """Two seconds."""
    found = first(ill(Kind.WEDGED, ill_since=NOW - 1.0))
    assert (found.act, found.at) == (None, NOW + 1.0)


def test_a_daemon_that_may_be_working_is_left_alone() -> None:
    """On a call of ours that has time, or on one from before the gateway's start."""
    found = first(ill(Kind.WEDGED, busy_until=NOW + 3.0))
    assert (found.act, found.at, found.reason) == (None, NOW + 3.0, "it may be working on a call")
    fresh = {"started_at": NOW - 10.0}
    unheard = ill(Kind.WEDGED, was_heard=False)
    assert first(unheard, **fresh).at == NOW + 25.0
    assert first(replace(unheard, was_heard=True), **fresh).act is Act.RESTART
    assert first(ill(Kind.DEAD, was_heard=False), **fresh).act is Act.RESTART


def test_an_order_for_one_that_was_not_heard_of_waits_as_well() -> None:
    """It may be paying for the gateway before."""
    patient = well(kind=Kind.STARTING, phase=Phase.STARTING, is_well=False, was_heard=False, order="please")
    assert first(patient, started_at=NOW - 10.0).at == NOW + 25.0
    assert first(replace(patient, is_gone=True), started_at=NOW - 10.0).act is None
    assert first(replace(patient, is_gone=True, is_away=True), started_at=NOW - 10.0).act is Act.RESTART
    # one that a reload has made anew may be working for the one before it
    assert first(replace(patient, met_at=NOW - 10.0), started_at=NOW - 900.0).at == NOW + 25.0
    assert first(replace(patient, is_refused=True), started_at=NOW - 10.0).act is Act.RESTART


def test_one_restart_at_a_time() -> None:
    """The other one waits, and is said whom for."""
    found = asked(ill(Kind.DEAD), ill(Kind.DEAD, "ec-2"))
    assert [one.act for one in found.values()].count(Act.RESTART) == 1
    assert found["ec-2"].reason.endswith("ec-1 goes first")
    under_way = first(ill(Kind.DEAD), well("ec-2"), under_way=frozenset({"ec-2"}))
    assert (under_way.act, under_way.reason) == (None, "nobody listens there; ec-2 is being restarted")
    assert asked(ill(Kind.DEAD), under_way=frozenset({"ec-1"}))["ec-1"] == Verdict("ec-1")


def test_the_dead_do_not_wait_for_one_that_syncs_and_all_others_do() -> None:
    """A chain that takes long to sync must not keep a dead daemon waiting."""
    settling = {"settling": frozenset({"ec-2"})}
    assert first(ill(Kind.DEAD), well("ec-2"), **settling).act is Act.RESTART
    assert first(well(order="please"), well("ec-2"), **settling).act is None
    assert asked(ill(Kind.DEAD), settling=frozenset({"ec-1"}))["ec-1"] == Verdict("ec-1")


def test_who_was_tried_longest_ago_goes_first() -> None:
    """One that cannot be cured does not keep the others waiting for ever."""
    found = asked(ill(Kind.DEAD, record=restarted(1, NOW - 50)), ill(Kind.DEAD, "ec-2", record=restarted(1, NOW - 90)))
    assert found["ec-2"].act is Act.RESTART


def test_the_dead_go_before_an_order() -> None:
    """They serve nobody."""
    assert asked(well(order="please"), ill(Kind.DEAD, "ec-2"))["ec-2"].act is Act.RESTART


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_held": True}, "an operator holds it"),
        ({"is_drained": True}, "an operator drained it"),
        ({"is_in_hands": True}, "its wallet is being reloaded"),
        ({"can_restart": False}, "it has no launcher"),
    ],
)
def test_what_forbids_a_restart(changes: dict[str, object], words: str) -> None:
    """Said in words."""
    found = first(ill(Kind.DEAD, "ec-1", **changes))
    assert found.act is None
    assert words in found.reason


# -- back-off -------------------------------------------------------------------------------------------------------


def test_restarts_in_a_row_wait_longer() -> None:
    """And say until when."""
    found = first(ill(Kind.DEAD, record=restarted(2)))
    assert (found.act, found.at) == (None, NOW - 1.0 + 20.0)
    assert "2 restarts in a row" in found.reason


def test_beyond_the_cap_it_is_given_up_and_tried_slowly() -> None:
    """Once told, then tried each half hour."""
    record = restarted(6, NOW - 400.0)
    found = first(ill(Kind.DEAD, record=record))
    assert (found.act, found.gives_up, found.at) == (None, True, record.begun[-1] + 1800.0)
    failed = ill(Kind.DEAD, record=replace(record, has_failed=True))
    assert first(failed).at == record.begun[-1] + 1800.0
    assert first(failed, now=record.begun[-1] + 1800.0).act is Act.RESTART


def test_an_order_waits_for_no_back_off() -> None:
    """A person has decided."""
    found = first(ill(Kind.DEAD, record=replace(restarted(6), has_failed=True), order="please"))
    assert (found.act, found.cause, found.reason) == (Act.RESTART, Cause.ORDER, "please")
    assert first(well(order="please", is_drained=True)).act is Act.RESTART


# -- adrift ---------------------------------------------------------------------------------------------------------


def test_adrift_is_reloaded_first_and_restarted_when_that_did_not_help() -> None:
    """Alone, for a minute after the reload."""
    adrift = ill(Kind.ADRIFT, can_reload=True, ill_since=NOW)
    early = first(adrift, well("ec-2"), now=NOW + RELOAD_AFTER - 1.0)
    assert early.act is None
    assert first(adrift, well("ec-2"), now=NOW + RELOAD_AFTER).act is Act.RELOAD
    reloaded = replace(adrift, reloaded_at=NOW + 10.0)
    assert first(reloaded, well("ec-2"), now=NOW + 69.0).act is None
    assert first(reloaded, well("ec-2"), now=NOW + 70.0).act is Act.RESTART
    # a family whose wallets are not reloaded
    assert first(replace(adrift, can_reload=False), well("ec-2"), now=NOW + 60.0).act is Act.RESTART


def test_nobody_is_restarted_for_what_all_have() -> None:
    """The cause is elsewhere."""
    found = asked(ill(Kind.ADRIFT), ill(Kind.ADRIFT, "ec-2"), well("ec-3"))
    assert all(one.act is None for one in found.values())
    assert "the cause is elsewhere" in found["ec-1"].reason


def test_the_last_that_serves_is_not_restarted_for_drift() -> None:
    """Alone, or beside one that is dead."""
    assert first(ill(Kind.ADRIFT)).act is None
    found = first(ill(Kind.ADRIFT), ill(Kind.DEAD, "ec-2", can_restart=False))
    assert (found.act, found.reason) == (None, "behind, or without its server; no other one serves")


def test_a_host_that_cannot_be_reached_is_like_a_drift() -> None:
    """It is the network's fault more often than the daemon's."""
    lost = ill(Kind.DEAD, is_refused=False, ill_since=NOW - 61.0)
    assert first(lost, well("ec-2")).cause is Cause.LOST
    assert first(lost, well("ec-2")).act is Act.RESTART
    assert first(replace(lost, ill_since=NOW - 59.0), well("ec-2")).act is None
    assert first(lost, replace(lost, name="ec-2")).act is None


def test_who_comes_round_last_has_not_been_alone_with_it() -> None:
    """It counts from when the others had it last, for a way that is gone as for a drift; a wedge says all by itself."""
    lost = ill(Kind.DEAD, is_refused=False, is_away=True, ill_since=NOW - 500.0, shared_at=NOW - 59.0)
    waits = first(lost, well("ec-2"))
    assert (waits.act, waits.at) == (None, NOW + 1.0)
    assert first(replace(lost, shared_at=NOW - 60.0), well("ec-2")).act is Act.RESTART
    adrift = ill(Kind.ADRIFT, ill_since=NOW - 500.0, reloaded_at=NOW - 400.0, shared_at=NOW - 59.0)
    assert (first(adrift, well("ec-2")).act, first(adrift, well("ec-2")).at) == (None, NOW + 1.0)
    assert first(replace(adrift, shared_at=NOW - 60.0), well("ec-2")).act is Act.RESTART
    assert first(ill(Kind.WEDGED, ill_since=NOW - 20.0, shared_at=NOW - 1.0), well("ec-2")).act is Act.RESTART


def test_one_whose_start_ends_nothing_is_started_though_others_had_that_too() -> None:
    """Nobody loses by it; ended he is not before he was alone with it for a minute."""
    started = unseen(tried=Act.START, ill_since=NOW - 500.0, shared_at=NOW - 59.0)
    assert first(replace(started, tried=None), well("ec-2")).act is Act.START
    assert first(started, well("ec-2")).act is Act.START
    assert first(replace(started, shared_at=NOW - 60.0), well("ec-2")).act is Act.RESTART


def test_a_port_that_refuses_is_no_sign_that_the_way_is_gone() -> None:
    """Its host was reached; one that cannot be is alone with that."""
    lost = ill(Kind.DEAD, is_refused=False, is_away=True, ill_since=NOW - 61.0)
    refused = ill(Kind.DEAD, "ec-2", can_restart=False)
    assert sharers(lost, View([lost, refused, well("ec-3")], 0.0)) == []
    assert first(lost, refused, well("ec-3")).act is Act.RESTART
    away = unseen("ec-2")
    assert sharers(lost, View([lost, away, well("ec-3")], 0.0)) == ["ec-2"]
    assert sharers(replace(lost, is_gone=True), View([lost, away], 0.0)) == [], "gone is gone"
    assert sharers(ill(Kind.WEDGED), View([ill(Kind.WEDGED), ill(Kind.WEDGED, "ec-2")], 0.0)) == []


def unseen(name: str = "ec-1", **changes: object) -> Patient:
    """One that cannot be reached, and whose launcher cannot say whether it runs."""
    return ill(Kind.DEAD, name, **({"is_refused": False, "is_away": True, "is_blind": True} | changes))


def test_one_that_cannot_be_reached_is_started_where_its_launcher_cannot_say() -> None:
    """Which ends nothing; a single one as well, but not while a call may run there."""
    lost = unseen()
    assert (first(lost).act, first(lost).cause) == (Act.START, Cause.DEAD)
    assert first(replace(lost, busy_until=NOW + 3.0)).at == NOW + 3.0
    assert first(replace(lost, was_heard=False), started_at=NOW - 10.0).at == NOW + 25.0
    assert first(replace(lost, is_blind=False)).act is None
    assert first(replace(lost, can_restart=False)).act is None
    assert first(replace(lost, record=restarted(2))).act is None


def test_a_network_that_is_away_for_a_moment_is_no_death() -> None:
    """Nobody is even started for it."""
    found = first(unseen(ill_since=NOW - 9.0))
    assert (found.act, found.at) == (None, NOW + 1.0)


def test_who_could_be_reached_no_more_is_ended_once_and_only_where_a_start_did_not_help() -> None:
    """After a minute, and never beside another one that cannot be reached: the cause is elsewhere then."""
    started = unseen(tried=Act.START, ill_since=NOW - 61.0)
    assert first(started, well("ec-2")).act is Act.RESTART
    assert first(started).act is Act.RESTART
    assert first(replace(started, ill_since=NOW - 59.0)).act is Act.START
    assert first(started, ill(Kind.DEAD, "ec-2", is_refused=False)).act is Act.START
    assert first(replace(started, busy_until=NOW + 1.0)).act is None
    assert first(replace(started, tried=Act.RESTART)).act is Act.START


def test_whose_start_ends_what_runs_is_treated_like_one_that_is_ended() -> None:
    """Its launcher has no other order than to restart."""
    lost = unseen(start_ends=True, ill_since=NOW - 59.0)
    assert (first(lost).act, first(lost).at) == (None, NOW + 1.0)
    assert first(replace(lost, ill_since=NOW - 61.0)).act is Act.RESTART
    braked = first(replace(lost, ill_since=NOW - 61.0), unseen("ec-2"))
    assert (braked.act, "nor can ec-2, and the cause is elsewhere" in braked.reason) == (None, True)


def test_what_may_be_running_waits_for_what_is_not() -> None:
    """A start that may do nothing takes its time."""
    found = asked(unseen(), ill(Kind.DEAD, "ec-2", record=restarted(1, NOW - 20.0)))
    assert (found["ec-1"].act, found["ec-2"].act) == (None, Act.RESTART)
    assert found["ec-1"].would is Act.START


def unreached(kind: Kind, name: str = "ec-1", **changes: object) -> Patient:
    """One to which no connection is made."""
    return ill(kind, name, is_refused=False, is_away=True, is_unreached=True, **changes)


@pytest.mark.parametrize("kind", [Kind.WEDGED, Kind.DEAD])
@pytest.mark.parametrize("others", [0, 2])
def test_where_no_daemon_is_reached_another_gateway_tries_before_any_is_ended(kind: Kind, others: int) -> None:
    """They run, as their launchers say, and it may be the way there.  Once it was tried, it is as ever."""
    rest = [unreached(kind, f"ec-{n + 2}") for n in range(others)]
    one = unreached(kind)
    found = first(one, *rest, may_be_cut_off=True)
    assert found.act is None
    assert "another gateway tries first" in found.reason
    after = first(one, *rest)
    assert "another gateway" not in after.reason
    assert after.act is (Act.RESTART if kind is Kind.WEDGED else None), "nobody is ended for what all have"


def test_where_any_daemon_is_reached_or_what_is_ill_is_sure_no_other_gateway_would_do_better() -> None:
    """One that refuses, accepts and is silent, or is gone by its launcher's word; and an order is an order."""
    one = unreached(Kind.WEDGED)
    for other in (well("ec-2"), ill(Kind.DEAD, "ec-2"), ill(Kind.WEDGED, "ec-2"), ill(Kind.ADRIFT, "ec-2")):
        assert first(one, other, may_be_cut_off=True).act is Act.RESTART or other.kind is Kind.DEAD
        assert "another gateway" not in first(one, other, may_be_cut_off=True).reason
    gone = unreached(Kind.DEAD, is_gone=True)
    assert first(gone, replace(one, name="ec-2"), may_be_cut_off=True).act is Act.RESTART
    assert first(replace(one, order="because"), may_be_cut_off=True).act is Act.RESTART
    assert first(unseen(is_unreached=True), may_be_cut_off=True).act is Act.START, "that ends nothing"


def test_wrong_credentials_are_not_cured_by_a_restart() -> None:
    """Nor is anything that the settings say."""
    found = first(ill(Kind.ADRIFT, level=Level.ACCEPTS, is_denied=True), well("ec-2"))
    assert found.act is None
    assert "refuses the gateway's user or password" in found.reason


# -- unloaded -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.ADRIFT, Kind.STARTING])
def test_a_wallet_that_is_not_loaded_is_loaded(kind: Kind) -> None:
    """Without a restart, also where there is no launcher, and beside another one's restart."""
    bare = ill(kind, level=Level.ANSWERS, can_restart=False)
    assert first(bare, ill(Kind.DEAD, "ec-2"), under_way=frozenset({"ec-2"})).act is Act.LOAD
    found = first(replace(bare, load_at=NOW + 5.0))
    assert (found.act, found.at) == (None, NOW + 5.0)


def test_all_wallets_are_loaded_side_by_side() -> None:
    """As after a restart of the whole machine."""
    found = asked(*(ill(Kind.ADRIFT, f"ec-{n}", level=Level.ANSWERS) for n in (1, 2, 3)))
    assert [one.act for one in found.values()] == [Act.LOAD] * 3


# -- preventive -----------------------------------------------------------------------------------------------------

PREVENTION = {"prevention": Prevention(max_age=3600.0, memory_share=0.8)}


def test_age_memory_and_cron_have_their_time() -> None:
    """Cron before memory before age; below the numbers nothing."""
    two = well("ec-2")
    assert first(well(age=3600.0), two, **PREVENTION).cause is Cause.AGE
    assert first(well(memory_share=0.8), two, **PREVENTION).cause is Cause.MEMORY
    assert first(well(is_due=True, memory_share=0.9, age=9999.0), two, **PREVENTION).cause is Cause.CRON
    assert first(well(age=3599.0, memory_share=0.79), two, **PREVENTION) == Verdict("ec-1")
    assert first(well(age=9999.0, memory_share=0.99), two) == Verdict("ec-1")
    assert first(well(is_due=True, is_well=False, kind=Kind.BUSY), two, **PREVENTION) == Verdict("ec-1")


def test_prevention_is_rolling_and_never_takes_the_last() -> None:
    """Each begins when all others are well and whole."""
    found = asked(well(is_due=True), well("ec-2", is_due=True))
    assert [one.act for one in found.values()] == [Act.RESTART, None]
    for other in (well("ec-2", is_whole=False), ill(Kind.WEDGED, "ec-2", is_held=True)):
        assert first(well(is_due=True), other).reason == "preventive, by cron; waits until ec-2 is well and whole"


def test_the_only_one_is_restarted_at_its_time_alone() -> None:
    """Calls wait then; at any other time they would not expect to."""
    assert first(well(is_due=True)).act is Act.RESTART
    assert "the only one" in first(well(age=9999.0), **PREVENTION).reason


def test_prevention_leaves_a_daemon_alone_that_was_restarted_a_short_while_ago() -> None:
    """Whatever takes its memory is not cured by restarting it again and again."""
    fresh = well(memory_share=0.9, record=restarted(1, NOW - 500.0))
    assert first(fresh, well("ec-2"), **PREVENTION).at == NOW + 100.0
    assert first(fresh, well("ec-2"), now=NOW + 100.0, **PREVENTION).act is Act.RESTART


def test_memory_that_a_restart_does_not_lower_is_left_alone_for_a_day() -> None:
    """It would go round for ever."""
    stuck = well(memory_share=0.9, no_help_at=NOW - 86_399.0)
    found = first(stuck, well("ec-2"), **PREVENTION)
    assert (found.act, found.at) == (None, NOW + 1.0)
    assert "did not help" in found.reason
    assert first(replace(stuck, no_help_at=NOW - 86_400.0), well("ec-2"), **PREVENTION).act is Act.RESTART
    assert first(replace(stuck, is_due=True), well("ec-2"), **PREVENTION).cause is Cause.CRON


# -- hope -----------------------------------------------------------------------------------------------------------


def test_a_call_may_wait_for_one_that_would_be_restarted_soon() -> None:
    """Not for one that nobody restarts, or not in time."""
    assert would_return(well(), LIMITS, NOW, 5.0)
    assert would_return(well(record=restarted(1)), LIMITS, NOW, 9.0)
    for hopeless in (
        well(record=restarted(1)),
        well(record=restarted(6, NOW - 300)),
        well(can_restart=False),
        well(is_held=True),
        well(is_drained=True),
    ):
        assert not would_return(hopeless, LIMITS, NOW, 5.0)
    assert not would_return(well(), replace(LIMITS, enforce=False), NOW, 5.0)


# -- all of it ------------------------------------------------------------------------------------------------------

patients = st.builds(
    Patient,
    name=st.just(""),
    kind=st.sampled_from(Kind),
    phase=st.sampled_from(Phase),
    level=st.sampled_from(Level),
    is_well=st.booleans(),
    is_whole=st.booleans(),
    record=st.builds(
        Record, begun=st.lists(st.floats(0, NOW), max_size=8).map(lambda found: tuple(sorted(found))),
        in_a_row=st.integers(0, 8), ended_at=st.floats(0, NOW), has_failed=st.booleans(),
    ),
    can_restart=st.booleans(), is_gone=st.booleans(), is_starting=st.booleans(), is_refused=st.booleans(),
    is_away=st.booleans(), is_blind=st.booleans(), start_ends=st.booleans(), tried=st.none() | st.sampled_from(Act),
    no_help_at=st.none() | st.floats(0, NOW), met_at=st.floats(0, NOW),
    was_heard=st.booleans(), is_denied=st.booleans(), ill_since=st.floats(0, NOW),
    busy_until=st.none() | st.floats(NOW - 50, NOW + 50), reloaded_at=st.none() | st.floats(0, NOW),
    can_reload=st.booleans(), load_at=st.floats(0, NOW + 50), is_held=st.booleans(), is_drained=st.booleans(),
    is_in_hands=st.booleans(), order=st.sampled_from(["", "please"]), is_due=st.booleans(),
    age=st.none() | st.floats(0, 9000), memory_share=st.none() | st.floats(0, 1),
)  # fmt: skip


@pytest.mark.long
@given(st.lists(patients, min_size=1, max_size=4), st.sets(st.integers(1, 4)), st.sets(st.integers(1, 4)))
def test_whatever_there_is_at_most_one_is_ended_and_never_a_busy_or_held_one(
    drawn: list[Patient], down: set[int], settling: set[int]
) -> None:
    """The rules that hold over all views."""
    named = [replace(one, name=f"ec-{place + 1}") for place, one in enumerate(drawn)]
    names = {one.name for one in named}
    under_way = frozenset(f"ec-{one}" for one in down) & names
    waits = (frozenset(f"ec-{one}" for one in settling) & names) - under_way
    found = asked(*named, under_way=under_way, settling=waits, prevention=PREVENTION["prevention"])
    ended = [one for one in named if found[one.name].act in (Act.RESTART, Act.START, Act.RELOAD)]
    assert set(found) == names
    assert len(ended) <= (0 if under_way else 1)
    for one in ended:
        verdict = found[one.name]
        assert not one.is_held
        assert not one.phase.is_in_care
        assert one.can_restart or verdict.act is Act.RELOAD
        if verdict.cause is Cause.WEDGED:
            assert one.busy_until is None or one.busy_until <= NOW
        if verdict.act is Act.RESTART and verdict.cause is Cause.DEAD and one.is_out_of_reach and not one.is_gone:
            assert not any(other.is_out_of_reach for other in named if other is not one)
        if verdict.cause in (Cause.ADRIFT, Cause.LOST) or (verdict.cause in (Cause.AGE, Cause.MEMORY)):
            assert any(other.is_well for other in named if other is not one)
    for one in named:
        if found[one.name].act is not None:
            assert found[one.name].cause is not None
            assert found[one.name].reason
