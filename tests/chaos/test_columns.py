"""What a report says of one run."""

from chaos.columns import COLUMNS, NONE, back_after, facts, promise, verdict
from chaos.result import Result
from tests.chaos.made_results import BEGAN, gateway_run, peer_run, red_run


def row(run: Result) -> dict[str, str]:
    """Return a row of the comparison by its titles."""
    return {one.title: one.cell(run).text for one in COLUMNS}


def test_a_row_of_the_comparison_has_the_figures_of_its_run() -> None:
    """Errors and addresses given twice with the number they are of."""
    assert row(peer_run()) == {
        "read errors": "2 of 400",
        "slowest read": "3 s (2 ms)",
        "fault felt for": "3.2 s",
        "addresses given twice": "12 of 28",
        "allocations failed": "2 of 30",
        "double executions": "1",
        "full strength": "0",
    }
    assert [one.title for one in COLUMNS if one.cell(peer_run()).is_bad] == [
        "read errors", "addresses given twice", "allocations failed", "double executions",
    ]  # fmt: skip
    assert not [one.title for one in COLUMNS if one.cell(gateway_run()).is_bad]


def test_what_was_not_measured_is_a_dash_and_not_a_zero() -> None:
    """Nobody allocated, nothing failed."""
    assert set(row(Result("calm", "gateway", 1, "", began=BEGAN)).values()) == {NONE}
    never = gateway_run(figures={"reads": 3, "read_errors": 0})
    assert row(never)["full strength"] == "never"
    assert row(never)["addresses given twice"] == NONE


def test_the_noise_before_the_fault_stands_beside_the_slowest_read() -> None:
    """Only reads that had ended; a run without a fault, or in which nobody read before, has none."""
    assert row(gateway_run())["slowest read"] == "40 ms (2 ms)"
    assert row(gateway_run(calls=gateway_run().calls[1:]))["slowest read"] == "40 ms"
    assert row(gateway_run(faults=[]))["slowest read"] == "40 ms"


def test_a_fault_that_could_not_be_taken_back_is_told() -> None:
    """With what was in the way."""
    fault = {**gateway_run().faults[0], "note": "gateway_kill could not be taken back"}
    assert ("not as planned", "gateway_kill could not be taken back") in list(facts(gateway_run(faults=[fault])))
    assert "not as planned" not in dict(facts(gateway_run()))


def test_a_verdict_is_a_word() -> None:
    """A time that was missed is told, and is no violation."""
    assert verdict(gateway_run()).text == "held"
    missed = [{**gateway_run().promises[0], "is_kept": False}]
    assert verdict(gateway_run(promises=missed)).text == "held, slower than promised"
    assert verdict(red_run()).is_bad
    assert verdict(peer_run()).text == "compared"


def test_the_gateways_own_way_back_is_told_from_its_phases() -> None:
    """From the beginning of the fault to the moment when all serve; a slow start is service."""
    assert back_after(gateway_run()) == 2.5
    assert ("all back in service, as the gateway saw it", "2.5 s after the fault began") in list(facts(gateway_run()))
    assert back_after(peer_run()) is None
    assert back_after(gateway_run(phases=gateway_run().phases[:4])) is None, "never back"
    assert back_after(gateway_run(phases=gateway_run().phases[:3])) is None, "never out"
    assert back_after(gateway_run(faults=[])) is None


def test_facts_are_only_those_that_were_measured() -> None:
    """The others would be zeros that nobody counted."""
    figures = {"median_read_ms": 2.0, "payments": 3, "unknown_outcomes": 1, "answered_outside_faults_percent": 100.0}
    told = dict(facts(gateway_run(figures=figures, phases=[])))
    assert told == {
        "median read": "2 ms",
        "payments asked for": "3",
        "told that the outcome is unknown": "1",
        "allocations answered outside faults": "100 %",
    }


def test_a_promise_is_told_in_words_with_its_unit() -> None:
    """And whether it is judged: a time depends on the machine."""
    [kept] = gateway_run().promises
    assert promise(kept) == "slowest read 40 ms, at most 50 ms promised (a time: told, not judged)"
    strict = {"figure": "read_errors", "most": 0, "value": 2.0, "is_strict": True}
    assert promise(strict) == "read errors 2, at most 0 promised"
    assert promise({**strict, "figure": "felt_for_s", "value": 0.25}) == "felt for 0.25 s, at most 0 s promised"
