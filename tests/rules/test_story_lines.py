"""What an event says in a sentence."""

import pytest

from gateway.base.events import Event
from gateway.rules.story_lines import LINES, line_of


@pytest.mark.parametrize("name", LINES)
def test_every_row_is_a_sentence_also_without_its_fields(name: str) -> None:
    """An event of another version may lack some."""
    line = line_of(Event(name, "main", "ec-1"))
    assert line
    assert "{" not in line


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("restart.begun", "main", "ec-1", {"cause": "dead", "reason": "gone"}), "restart begun (dead): gone"),
        (Event("order.given", fields={"verb": "drain", "who": "kim"}), "drain ordered by kim"),
        (Event("order.given", fields={"verb": "drain", "peer": "10.0.0.9:1"}), "drain ordered by 10.0.0.9:1"),
        (Event("restart.step", fields={"step": "stop", "took": 1.0}), ""),
        (Event("restart.step", fields={"step": "stop", "reason": "late"}), "a step of the restart failed (stop): late"),
        (Event("probe.answered"), ""),
    ],
)
def test_what_is_said(event: Event, line: str) -> None:
    """Steps that end well are the log's."""
    assert line_of(event) == line


def test_no_sentence_holds_an_address() -> None:
    """Whatever a daemon said."""
    assert "q" * 10 not in line_of(Event("backend.ejected", fields={"reason": "1" + "q" * 41}))
