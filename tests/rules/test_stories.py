"""One story: it takes a bounded number of lines, is over once, and is never shorter than nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.stories import FIRST_LINES, KILLED, LONGEST, MOST_LINES, PUT_BACK, STOPPED, Incident, absence

AT = 1_800_000_000.0

STORY = Incident("i", "out_of_service", "warning", "main", "ec-1", "ec-1 is out", AT)


@pytest.mark.parametrize(("kind", "severity"), [(KILLED, "critical"), (STOPPED, "info"), (PUT_BACK, "critical")])
def test_the_time_without_a_gateway_is_a_story(kind: str, severity: str) -> None:
    """A clock that was set back makes it no shorter than nothing."""
    story = absence(kind, "life", AT - 90.0, AT)
    assert (story.kind, story.severity, story.opened_at, story.closed_at) == (kind, severity, AT - 90.0, AT)
    assert absence(kind, "life", AT + 90.0, AT).closed_at == AT


@given(st.lists(st.text(max_size=2 * LONGEST), max_size=3 * MOST_LINES))
def test_the_first_lines_stay_and_the_newest(texts: list[str]) -> None:
    """However many there are, and however long."""
    story = STORY
    for number, text in enumerate(texts):
        story = story.with_line(text, AT + number)
    told = [line.text for line in story.done]
    short = [text[:LONGEST] for text in texts]
    rest = short[FIRST_LINES:]
    assert told == short[:FIRST_LINES] + rest[max(0, len(rest) - (MOST_LINES - FIRST_LINES)) :]


@given(st.floats(-1e6, 1e6))
def test_a_story_is_never_shorter_than_nothing(seconds: float) -> None:
    """A clock may be set back while it lasts."""
    ended = STORY.ended(AT + seconds)
    assert ended.closed_at == max(AT, AT + seconds)
    assert not ended.parts
