"""The table of errors: what clients build on must not move."""

from gateway.base.errors import KINDS, OUTCOME_UNKNOWN, ConfigError, Executed, Failure, Problem

TABLE = {
    # code: (name, executed, HTTP status, Retry-After)
    -32001: ("no_backend", "no", 503, True),
    -32002: ("overloaded", "no", 503, True),
    -32003: ("deadline_before_send", "no", 504, False),
    -32004: ("outcome_unknown", "unknown", 504, False),
    -32005: ("method_refused", "no", 403, False),
    -32006: ("key_reused", "no", 422, False),
    -32007: ("key_in_progress", "no", 409, False),
    -32008: ("read_only", "no", 503, True),
    -32009: ("result_withheld", "yes", 503, False),
    -32010: ("limit_exceeded", "no", 403, False),
    -32011: ("not_holder", "no", 421, False),
    -32700: ("parse_error", "no", 400, False),
    -32600: ("invalid_request", "no", 400, False),
    -32601: ("method_not_found", "no", 404, False),
    -32602: ("invalid_params", "no", 400, False),
    -32603: ("internal_error", "unknown", 500, False),
}


def test_codes_names_and_statuses_are_those_of_the_design() -> None:
    """Each error once, with what it says about the execution."""
    assert {kind.code: (kind.name, kind.executed.value, kind.status, kind.retry_after) for kind in KINDS} == TABLE
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_what_may_have_been_run_is_never_said_to_be_not_executed() -> None:
    """An outcome that is unknown and an error of our own code leave it open."""
    assert {kind.name for kind in KINDS if kind.executed is Executed.UNKNOWN} == {"outcome_unknown", "internal_error"}


def test_the_data_of_an_error_leaves_out_what_there_is_not() -> None:
    """Names that are empty say nothing, so they are not sent."""
    bare = Failure(OUTCOME_UNKNOWN, "m", safe_to_repeat=False)
    assert bare.data() == {"name": "outcome_unknown", "executed": "unknown", "safe_to_repeat": False}
    full = Failure(OUTCOME_UNKNOWN, "m", safe_to_repeat=False, wallet="w", backend="b", next_step="look")
    assert full.data() == bare.data() | {"wallet": "w", "backend": "b", "next_step": "look"}


def test_a_problem_reads_as_editors_and_people_read_it() -> None:
    """File, line and key where they are known, then what is wrong and what would be right."""
    assert str(Problem("a.yaml", 3, "listen.port", "is wrong", "mend it")) == "a.yaml:3: listen.port: is wrong; mend it"
    assert str(Problem("a.yaml", 0, "", "is gone", "name another")) == "a.yaml: is gone; name another"


def test_a_config_error_says_all_of_its_problems() -> None:
    """One line each."""
    problems = [Problem("a", 1, "x", "m", "r"), Problem("a", 2, "y", "m", "r")]
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error) == "a:1: x: m; r\na:2: y: m; r"
