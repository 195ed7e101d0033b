"""Words for how things stand."""

from gateway.base.standing import KINDS, LEDGERS, PHASES
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
