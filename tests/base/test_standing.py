"""Words for how things stand."""

import pytest

from gateway.base.standing import KINDS, LEDGERS, PHASES, placed
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase


def test_there_is_a_word_for_every_phase_and_every_illness() -> None:
    """And none for what does not exist."""
    assert set(PHASES) == {phase.value for phase in Phase}
    assert set(KINDS) == {kind.value for kind in Kind}


def test_a_word_is_for_one_thing() -> None:
    """Whoever reads it knows which is meant."""
    for words in (PHASES, KINDS, LEDGERS):
        assert len(set(words.values())) == len(words)


@pytest.mark.parametrize(
    ("text", "backend", "said"),
    [
        ("ec-1 is out of service: silent", "ec-1", "shop / ec-1 is out of service: silent"),
        ("ec-1: 서비스 제외", "ec-1", "shop / ec-1: 서비스 제외"),
        ("ec-10 was made primary", "ec-1", "shop / ec-1: ec-10 was made primary"),
        ("a restart failed", "ec-1", "shop / ec-1: a restart failed"),
        ("shop cannot be used", "", "shop cannot be used"),
        ("the workshop cannot be used", "", "shop: the workshop cannot be used"),
        ("the outcome of a call is not known", "", "shop: the outcome of a call is not known"),
    ],
)
def test_a_sentence_says_of_which_wallet_it_is(text: str, backend: str, said: str) -> None:
    """Once, and not where it does already."""
    assert placed(text, "shop", backend) == said


def test_what_is_of_no_wallet_stays_as_it_is() -> None:
    """As a gateway that stood still."""
    assert placed("the gateway stood still", "", "") == "the gateway stood still"
