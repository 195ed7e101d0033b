"""The rows of the history as programs and spreadsheets get them."""

import pytest

from gateway.rules.availability import Share
from gateway.rules.deeds import Order, Restart
from gateway.rules.stories import Incident, Line
from gateway.rules.telling import BEGINS, COLUMNS, Row, cells, defused, incident, order, restart, share, until

AT = 1_800_000_000.0

STORY = Incident(
    "i-1",
    "out_of_service",
    "warning",
    "main",
    "ec-1",
    "=ec-1 is out",
    AT,
    None,
    (Line(AT + 1.0, "ejected"),),
    2,
    ("a",),
)
DAY = Share(20_833, "main", "", 100.0, 80.0, 79.99999, 15.0, 5.0, {"wedged": 0.00001, "dead": 1.0})
RESTART = Restart("r-1", "main", "ec-1", "wedged", "silent", "gateway", AT, AT + 2.5, "done")
ORDER = Order("o-1", AT, "kim", "session", "10.0.0.9", "main", "ec-1", "drain", "+1", "done", "@once", AT + 1.0)


def rows() -> dict[str, Row]:
    """One of each kind."""
    return {
        "incidents": incident("gw", STORY, AT + 10.0),
        "availability": share(DAY),
        "restarts": restart("gw", RESTART, AT + 10.0),
        "audit": order("gw", ORDER),
    }


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_is_a_member_of_its_row(name: str) -> None:
    """And no cell begins as a formula does."""
    found = list(cells(name, rows()[name]))
    assert len(found) == len(COLUMNS[name])
    assert not any(isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") for cell in found)


def test_what_lasts_has_no_end_and_its_seconds_so_far() -> None:
    """What is over has both."""
    found = rows()
    assert (found["incidents"]["closed_at"], found["incidents"]["seconds"]) == (None, 10.0)
    assert (found["restarts"]["ended_at"], found["restarts"]["seconds"]) == (AT + 2.5, 2.5)
    assert found["incidents"]["done"] == [{"at": AT + 1.0, "text": "ejected"}]


def test_a_share_is_cut_and_not_rounded() -> None:
    """What is a little below all is not told as all; where nobody watched there is none."""
    assert rows()["availability"]["share"] == 0.999999
    assert rows()["availability"]["day"] == "2027-01-15"
    nobody = share(Share(20_833, "main", "", 100.0, 0.0, 0.0, 0.0, 100.0, {}))
    assert (nobody["share"], nobody["met"]) == (None, None)
    assert next(iter(cells("availability", nobody))) == "2027-01-15"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "  =1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    """A quote before it makes a text of it."""
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", " ", "ec-1", "a=1", 1.5, -3, True])
def test_all_other_cells_are_as_they_are(value: object) -> None:
    """Numbers are numbers, and nothing is an empty cell."""
    assert defused(value) == value
    assert defused(None) == ""


@pytest.mark.parametrize("name", BEGINS)
def test_older_rows_are_asked_for_by_a_moment_behind_which_nothing_is_skipped(name: str) -> None:
    """The oldest of those that are told, and the second that it is in."""
    row = {**rows()[name], BEGINS[name]: AT + 0.25, "closed_at": AT + 1.0}
    assert until(name, [{**row, BEGINS[name]: AT + 9.0}, row]) == AT + 1.0


def test_what_is_open_for_long_hides_nothing_that_is_over() -> None:
    """It is told first, however old it is, and older ones are those behind the newest that are over."""
    is_open, is_over = {"opened_at": AT, "closed_at": None}, {"opened_at": AT + 50.0, "closed_at": AT + 51.0}
    assert until("incidents", [is_open, is_over]) == AT + 50.0
    assert until("incidents", [is_open]) == AT
