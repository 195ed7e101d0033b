"""Whether a wallet was used before: whatever is not plainly untouched was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.adoption import MOST_FRESH, is_fresh, is_untouched

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [["bchreg:qa0", ""], ["bchreg:qa1", "''"], ["bchreg:qa2", '""']],
        {"summary": {"begin": 0}, "transactions": []},
    ],
)
def test_nothing_and_addresses_without_labels_are_no_use(answer: object) -> None:
    """As the daemons write it."""
    assert is_untouched(answer)


@pytest.mark.parametrize(
    "answer",
    [
        [{"txid": "aa"}],
        [["bchreg:qa0", "'rent'"]],
        [["bchreg:qa0", ""], ["bchreg:qa1", "x"]],
        ["bchreg:qa0"],
        [[]],
        [["bchreg:qa0", []]],
        [["bchreg:qa0", {}]],
        [["bchreg:qa0", None]],
        {"summary": {}, "transactions": [{"txid": "aa"}]},
        {"error": "Password required"},
        {},
        None,
        False,
        "",
        0,
    ],
)
def test_anything_else_counts_as_use(answer: object) -> None:
    """Also what nobody expected: an error dressed as a result says nothing about who was given which address."""
    assert not is_untouched(answer)


@pytest.mark.long
@given(json_values)
def test_no_answer_of_a_daemon_makes_it_raise(answer: object) -> None:
    """And what holds anything but lists is never untouched."""
    if is_untouched(answer):
        assert isinstance(answer, (list, dict))
        assert '"txid"' not in json.dumps(answer)


def test_a_wallet_without_addresses_is_starting_and_not_fresh() -> None:
    """It never connected, so that nothing can be said of it."""
    assert not is_fresh(0, [[]])


@given(st.integers(1, 2 * MOST_FRESH), st.lists(st.sampled_from([(), ("used",)]), max_size=4))
def test_it_is_fresh_with_few_addresses_and_no_use_anywhere(addresses: int, answers: list[tuple[str, ...]]) -> None:
    """One sign is enough against it."""
    assert is_fresh(addresses, [list(one) for one in answers]) == (addresses <= MOST_FRESH and not any(answers))
