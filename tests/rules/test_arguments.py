"""Arguments by name, whatever way they were written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import Effect
from gateway.profiles import Method, load
from gateway.rules.arguments import arguments

PAY = Method("payto", Effect.SIGN, params=("destination", "amount", "fee"))
PING = Method("ping", Effect.READ)


@pytest.mark.parametrize(
    ("written", "named"),
    [
        (b"", {}),
        (b"[]", {}),
        (b"{}", {}),
        (b'["q1", "0.1"]', {"destination": b'"q1"', "amount": b'"0.1"'}),
        (b'  \n["q1"]', {"destination": b'"q1"'}),
        (b'{"fee": null, "amount": 1.10}', {"fee": b"null", "amount": b"1.10"}),
        (b'[{"a": [1,  2]}]', {"destination": b'{"a": [1,  2]}'}),
    ],
)
def test_by_position_and_by_name_come_to_the_same(written: bytes, named: dict[str, bytes]) -> None:
    """Each value stays as it was written: 1.10 is not 1.1."""
    assert arguments(PAY, written) == named


@pytest.mark.parametrize(
    ("method", "written", "says"),
    [
        (PAY, b"[1, 2, 3, 4]", "4 arguments are too many; payto takes destination, amount, fee"),
        (PING, b"[1]", "1 arguments are too many; ping takes no arguments"),
        (PAY, b'{"to": 1}', "to is not an argument; payto takes destination, amount, fee"),
        (PAY, b'{"z": 1, "amount": 2, "b": 3}', "b is not an argument; payto takes"),
        (PING, b'{"x": 1}', "x is not an argument; ping takes no arguments"),
        (PAY, b"5", "array|object"),
        (PAY, b'"q1"', "object"),
        (PAY, b"null", "object"),
        (PAY, b"   ", "truncated|empty"),
        (PAY, b'{"amount": ', "truncated"),
        (PAY, b"[1,", "truncated"),
    ],
)
def test_what_the_method_does_not_take_is_told_with_what_it_takes(method: Method, written: bytes, says: str) -> None:
    """A ValueError, whatever is wrong."""
    with pytest.raises(ValueError, match=says):
        arguments(method, written)


def test_a_name_of_any_length_does_not_fill_the_log() -> None:
    """Only its beginning is told."""
    with pytest.raises(ValueError, match="is not an argument") as caught:
        arguments(PAY, json.dumps({"x" * 10_000: 1}).encode())
    assert len(str(caught.value)) < 300


scalars = st.none() | st.booleans() | st.integers() | st.text()
json_values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.sampled_from(sorted(load("electron-cash").methods)), st.data())
def test_both_ways_of_writing_give_the_same_for_every_method(name: str, data: st.DataObject) -> None:
    """Of the real profile, with any values."""
    method = load("electron-cash").methods[name]
    values = data.draw(st.lists(json_values, max_size=len(method.params)))
    by_position = arguments(method, json.dumps(values).encode())
    by_name = arguments(method, json.dumps(dict(zip(method.params, values, strict=False))).encode())
    assert by_position == by_name
    assert [json.loads(value) for value in by_position.values()] == values


@given(st.binary(max_size=40))
def test_nothing_but_a_value_error_comes_out(written: bytes) -> None:
    """Whatever bytes a caller hands in."""
    try:
        found = arguments(PAY, written)
    except ValueError:
        return
    assert set(found) <= set(PAY.params)
