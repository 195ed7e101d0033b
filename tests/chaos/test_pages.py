"""The documentation is written from the last report."""

from pathlib import Path

import pytest

from chaos.pages import BEGIN, END, PageError, placed, results_in, told
from chaos.result import VIOLATED, Result

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
