"""Whether a holder is reached: silence of one that lives, told from that of one that is dead."""

import pytest

from gateway.rules.reach import (
    LIVED,
    REPEATED,
    UNREACHED,
    Reach,
    Word,
    heard,
    is_cut_off,
    known,
    missed,
    not_ready,
    said,
)

TTL, NOW, UNTIL = 3.0, 1000.0, 1_800_000_000.0
SILENT = missed(Reach(), 5, UNTIL, NOW)


@pytest.mark.parametrize(
    ("seconds", "renewed_by", "cut_off"),
    [
        (UNREACHED, LIVED * TTL, True),
        (UNREACHED - 0.01, LIVED * TTL, False),
        (UNREACHED, LIVED * TTL - 0.01, False),
        (60.0, 1.0, False),
        (60.0, 60.0, True),
    ],
)
def test_a_holder_that_renews_its_lease_and_does_not_answer_is_cut_off(
    seconds: float, renewed_by: float, *, cut_off: bool
) -> None:
    """One that is dead renews nothing, however long it is silent; a renewal that was under way proves no life."""
    assert is_cut_off(SILENT, 5, UNTIL + renewed_by, TTL, NOW + seconds) is cut_off


def test_an_answer_ends_a_silence_and_the_next_one_begins_anew() -> None:
    """Also one to a call that was sent after the one that brought nothing."""
    reach = heard(SILENT, 5, NOW + 3.0)
    assert not is_cut_off(reach, 5, UNTIL + 60.0, TTL, NOW + 60.0)
    assert missed(reach, 5, UNTIL + 3.0, NOW + 2.9) == reach, "it was sent before that answer"
    again = missed(reach, 5, UNTIL + 3.0, NOW + 3.1)
    assert (again.since, again.until) == (NOW + 3.1, UNTIL + 3.0)


def test_a_silence_lasts_since_its_first_try() -> None:
    """Further ones do not make it younger."""
    assert missed(SILENT, 5, UNTIL + 9.0, NOW + 9.0) == SILENT


def test_each_holding_is_reached_or_not_by_itself() -> None:
    """What is heard late of the one before changes nothing."""
    assert not is_cut_off(SILENT, 6, UNTIL + 60.0, TTL, NOW + 60.0)
    assert missed(SILENT, 6, UNTIL + 4.0, NOW + 4.0).since == NOW + 4.0
    assert missed(SILENT, 4, UNTIL, NOW) == SILENT
    assert heard(SILENT, 4, NOW) == SILENT
    assert heard(SILENT, 6, NOW + 4.0) == Reach(6, NOW + 4.0)


def test_daemons_take_no_calls_once_that_was_said_in_a_row() -> None:
    """In the last words; one answer that names no reason ends it."""
    word = Word()
    for _ in range(REPEATED - 1):
        word = said(word, ("ec-1: starting",))
        assert not_ready(word) == ()
    word = said(word, ("ec-1: dead",))
    assert not_ready(word) == ("ec-1: dead",)
    assert not_ready(said(word, ())) == ()
    assert not_ready(said(said(word, ()), ("ec-1: dead",))) == ()


def test_who_held_the_wallet_need_not_be_told() -> None:
    """What it saw itself holds until the next holder has spoken."""
    assert not_ready(known(("ec-1: dead",))) == ("ec-1: dead",)
    assert not_ready(said(known(()), ("ec-1: starting",))) == ()
