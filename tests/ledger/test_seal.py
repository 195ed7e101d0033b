"""What a process remembers of a database, and what it makes of one that shows less."""

import pytest

from gateway.ledger.seal import OLD, BehindError, Memory, Seal
from gateway.ledger.store import LedgerError, OlderError


def shown(before: int = 5, own: int | None = 5, number: int | None = None, **more: object) -> Seal:
    """What a database shows."""
    return Seal(number, before, own, **({"lost": None, "era": 0, "id": "a"} | more))  # type: ignore[arg-type]  # as given


@pytest.fixture
def memory() -> Memory:
    """Of a process whose last transaction was the fifth."""
    known = Memory("a")
    known.judge(shown(4, None, 5), "x")
    known.keep(shown(4, None, 5))
    return known


@pytest.mark.parametrize(
    "found",
    [
        shown(),
        shown(7),
        shown(7, number=8),
        shown(1, None, era=1),
        shown(5 + OLD, None),
    ],
)
def test_what_shows_as_much_or_more_is_gone_on_with(memory: Memory, found: Seal) -> None:
    """Also where an operator has taken what was lost for granted, or its own row was taken out after a long time."""
    memory.judge(found, "x")
    memory.keep(found)
    memory.judge(shown(found.number or found.before, found.number or found.own, era=found.era), "x")


@pytest.mark.parametrize("found", [shown(4, 4), shown(4), shown(9, 4), shown(9, None), shown(4 + OLD, None)])
def test_what_shows_less_has_lost_something(memory: Memory, found: Seal) -> None:
    """In number; or in what this process itself had committed, where others have taken the numbers again."""
    with pytest.raises(BehindError, match="it has lost what was written last"):
        memory.judge(found, "x")


def test_an_older_era_and_what_is_marked_and_what_is_another_are_refused(memory: Memory) -> None:
    """Each is told."""
    memory.keep(shown(7, 5, era=2))
    with pytest.raises(BehindError):
        memory.judge(shown(9, era=1), "x")
    with pytest.raises(LedgerError, match="shows 9, and 20 was committed") as caught:
        memory.judge(shown(9, lost=20), "x")
    assert not isinstance(caught.value, BehindError)
    with pytest.raises(OlderError, match="older than what was committed: it has lost"):
        memory.judge(shown(21, lost=20), "x")
    with pytest.raises(LedgerError, match="has another ledger"):
        memory.judge(shown(9, id="b"), "x")


@pytest.mark.parametrize("own", [5, 6])
def test_a_commit_that_nobody_knows_of_may_be_there_or_not(memory: Memory, own: int) -> None:
    """Either is what it should be, and from then on only that."""
    memory.keep_doubtful(shown(5, 5, 6))
    memory.judge(shown(6, own), "x")
    memory.keep(shown(6, own))
    with pytest.raises(BehindError):
        memory.judge(shown(6, 11 - own), "x")
