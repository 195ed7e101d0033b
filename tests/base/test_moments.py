"""Moments as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.moments import MomentError, read_moment

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0s", NOW),
        ("90m", NOW - 5400.0),
        ("12h", NOW - 43_200.0),
        ("30d", NOW - 30 * 86_400.0),
        ("2w", NOW - 14 * 86_400.0),
        ("999999w", 0.0),
        ("1700000000", 1_700_000_000.0),
        ("1700000000.25", 1_700_000_000.25),
        ("2026-11-29", 1_795_910_400.0),
        ("2026-11-29T01:00:00", 1_795_914_000.0),
        ("2026-11-29T01:00:00Z", 1_795_914_000.0),
        ("2026-11-29T10:00:00+09:00", 1_795_914_000.0),
        ("1960-01-01", 0.0),
    ],
)
def test_what_is_meant(text: str, moment: float) -> None:
    """How long ago, seconds since 1970, or a date, which is UTC unless it says otherwise."""
    assert read_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "-1d", "1e9", "nan", "30 d", "2026-13-01", "2026-11-29T99:00", "\N{FULLWIDTH DIGIT NINE}d"],
)
def test_what_is_none_is_told_with_what_would_be_right(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(MomentError, match="30d"):
        read_moment(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    """And never a moment before 1970."""
    try:
        assert 0.0 <= read_moment(text, NOW) < 1e12
    except MomentError:
        return
