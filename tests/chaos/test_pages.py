"""The documentation is written from the last report."""

from pathlib import Path

import pytest

from chaos.pages import BEGIN, END, PageError, keep, made_by, placed, results_in, told
from chaos.result import SKIPPED, VIOLATED, Result

PAGE = f"above\n{BEGIN}\nold\n{END}\nbelow\n"


def test_what_is_between_the_marks_is_replaced_and_the_rest_stays() -> None:
    """However often it is done."""
    once = placed(PAGE, "new\n")
    assert once == f"above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"
    assert placed(once, "new") == once


@pytest.mark.parametrize("page", ["nothing", BEGIN, f"{END}\n{BEGIN}"])
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    """It says which are lacking."""
    with pytest.raises(PageError, match="needs a line"):
        placed(page, "new")


def test_the_runs_of_a_report_come_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    """Whatever their folders are called."""
    for name, began in (("a", 2.0), ("b", 1.0)):
        Result(name, "gateway", 1, "", began=began).save(tmp_path / name)
    assert [one.scenario for one in results_in(tmp_path)] == ["b", "a"]


def test_a_violation_is_told_with_its_seed() -> None:
    """Before any table."""
    red = Result("kill", "gateway", 4, "", began=1.0, verdict=VIOLATED)
    said = told([red, Result("kill", "haproxy", 4, "", began=2.0)])
    assert said.startswith("2 runs through gateway, haproxy; 1 of those")
    assert said.endswith("kill (seed 4).")


def test_the_command_that_made_a_report_is_told_word_by_word(tmp_path: Path) -> None:
    """With its scenarios, so that somebody can make it again; a report without one says nothing of it."""
    assert made_by(tmp_path) == ""
    keep(tmp_path / "report", ["run", "--scenario", "freeze", "--report", "my folder"])
    by = made_by(tmp_path / "report")
    assert told([], by).startswith("Made by `python -m chaos run --scenario freeze --report 'my folder'`. 0 runs")
    assert told([]).startswith("0 runs")


def test_what_was_left_out_for_want_of_time_is_told_in_the_documentation() -> None:
    """Before any table."""
    late = Result("kill", "nginx", 1, "", verdict=SKIPPED, is_late=True)
    assert told([late]).endswith("NOT ALL WAS MADE: 1 run left out for want of time (1 before nginx).")
