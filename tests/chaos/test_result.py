"""What a run came to is as reports expect it."""

from pathlib import Path

from chaos.judging import promised, promises, unproved, violations
from chaos.line import Done, LeftOut
from chaos.result import SKIPPED, VIOLATED, Result, load, repeat
from chaos.script import ADDRESSES, NO_ERROR, QUICK, At, Effect, Promise, Scenario, Sign
from tests.checker.evidence import Evidence, Finals
from tests.checker.history import RESULT, Op


def handed(address: str, at: float) -> Op:
    """Return an allocation."""
    return Op("shop", "desk", "createnewaddress", [], at, at + 0.01, RESULT, address, deadline=9.0)


TWICE = Evidence(ops=[handed("a", 1.0), handed("a", 2.0)], finals=Finals())


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every field of it."""
    made = Result(
        "freeze", "gateway", 3, "words", "work", 1.0, 2.0, [{"name": "freeze"}], [{"at": 1.0}],
        [(1.0, 2.0, "read", "ok")], {"read": {"ok": 1}}, {"reads": 1.0}, [{"figure": "reads"}], VIOLATED,
        [{"invariant": "1", "text": "twice"}], left_out=["kill of 1"], why="", repeat="make", folder="there",
    )  # fmt: skip
    assert load(made.save(tmp_path)) == made


def test_the_line_to_repeat_a_run_names_its_door_where_it_is_not_ours() -> None:
    """So that it can be copied as it is."""
    assert repeat("freeze", 7, "gateway") == "make chaos SCENARIO=freeze SEED=7"
    assert repeat("freeze", 7, "nginx") == "make chaos SCENARIO=freeze SEED=7 DOORS=nginx"


def test_only_a_run_that_is_judged_can_fail() -> None:
    """Another door promised nothing, and what was left out proves nothing."""
    assert Result("one", "gateway", 1, "", verdict=VIOLATED).has_failed
    assert not Result("one", "haproxy", 1, "", verdict=VIOLATED, is_judged=False).has_failed
    assert not Result("one", "gateway", 1, "", verdict=SKIPPED).has_failed


def test_an_address_that_is_given_twice_violates_the_first_invariant() -> None:
    """Before every door: of ours it is a failure, of another one a figure."""
    assert "1" in {one.invariant for one in violations(TWICE, [], [], is_gateway=True)}
    assert {one.invariant for one in violations(TWICE, [], [], is_gateway=False)} == {"1"}


def test_another_door_is_not_asked_for_what_it_does_not_promise() -> None:
    """Wallets that did not come back are its operator's matter."""
    lost = Evidence(finals=Finals(is_settled=False))
    assert {one.invariant for one in violations(lost, [], [], is_gateway=True)} == {"9"}
    assert violations(lost, [], [], is_gateway=False) == []


def test_a_strict_promise_that_was_not_kept_is_a_violation() -> None:
    """One that is a time is only shown, for it depends on the machine."""
    scenario = Scenario("one", "", (), "readers", promises=(NO_ERROR, QUICK, Promise("never_measured", 1.0)))
    kept = promises(scenario, {"read_errors": 2, "slowest_read_ms": 80.0})
    assert [(one["figure"], one["is_kept"]) for one in kept] == [("read_errors", False), ("slowest_read_ms", False)]
    [found] = violations(Evidence(), [], kept, is_gateway=True)
    assert found.text == "read_errors is 2; 0 at most was promised"


def test_addresses_are_promised_where_somebody_asks_and_nothing_stands_in_the_way() -> None:
    """A stop of eight seconds is a miss, whatever a fault excuses for invariant 9."""
    assert promised(Scenario("one", "", (), promises=(NO_ERROR,))) == (NO_ERROR, *ADDRESSES)
    assert promised(Scenario("one", "", (), workload="readers")) == ()
    assert promised(Scenario("one", "", (), addresses_may_wait="the gateway is away")) == ()
    kept = promises(Scenario("one", "", ()), {"failed_allocations": 1, "slowest_allocation_ms": 8000.0})
    found = [one.text for one in violations(Evidence(), [], kept, is_gateway=True)]
    assert found == [
        "failed_allocations is 1; 0 at most was promised",
        "slowest_allocation_ms is 8000; 3000 at most was promised",
    ]


WELL = {"failed_allocations": 0.0, "slowest_allocation_ms": 20.0}


def test_a_planned_fault_that_was_not_done_violates_a_fixed_line(tmp_path: Path) -> None:
    """Nothing happened, so nothing is proved; in a line from a seed it is told and no more."""
    left = [LeftOut(At(3.0, "kill", 1), "nobody was there")]
    [found] = unproved(Scenario("one", "", ()), left, WELL, tmp_path / "gateway.log", 0.0)
    assert (found.invariant, found.text) == ("fault", "not done: kill of 1 at 3 s: nobody was there")
    assert unproved(Scenario("one", "", (), is_drawn=True), left, WELL, tmp_path / "gateway.log", 0.0) == []
    assert "left out: kill of 1" in Result("one", "gateway", 1, "", left_out=["kill of 1"]).line()


def test_a_run_in_which_the_gateway_never_did_what_was_expected_is_violated(tmp_path: Path) -> None:
    """The fault was too short for it, or had no effect."""
    log = tmp_path / "gateway.log"
    log.write_text(
        '{"event": "backend.ejected", "backend": "ec-1", "timestamp": "1970-01-01T00:00:05Z"}\n', encoding="utf-8"
    )
    scenario = Scenario("one", "", (), expects=(Sign("backend.ejected", "ec-1"),))
    assert unproved(scenario, [], WELL, log, 4.0) == []
    [found] = unproved(scenario, [], WELL, log, 6.0)
    assert (found.invariant, found.text) == ("sign", "never seen: backend.ejected of ec-1")


def test_a_fault_under_which_nothing_failed_that_must_is_violated(tmp_path: Path) -> None:
    """A disk that was never full looks like one that was withstood."""
    scenario = Scenario("one", "", (), workload="readers", effects=(Effect("failed_allocations", 3),))
    assert unproved(scenario, [], {"failed_allocations": 3}, tmp_path / "gateway.log", 0.0) == []
    for figures in ({"failed_allocations": 2.0}, {}):
        [found] = unproved(scenario, [], figures, tmp_path / "gateway.log", 0.0)
        assert (found.invariant, found.text) == ("sign", "failed_allocations is below 3: the fault had no effect")


def test_a_strict_promise_of_what_was_not_measured_is_a_violation(tmp_path: Path) -> None:
    """Nobody was given an address because nobody asked."""
    found = unproved(Scenario("one", "", ()), [], {}, tmp_path / "gateway.log", 0.0)
    assert [one.text.split()[0] for one in found] == ["failed_allocations", "slowest_allocation_ms"]


def test_a_fault_that_could_not_be_taken_back_is_told() -> None:
    """The run proves nothing about what came after it."""
    stuck = Done("freeze", 0, 1.0, 2.0, 0.0, is_done=False, note="freeze could not be taken back")
    [found] = violations(Evidence(), [stuck], [], is_gateway=True)
    assert (found.invariant, found.text) == ("fault", "freeze could not be taken back")
