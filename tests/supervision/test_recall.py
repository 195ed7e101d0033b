"""What a gateway remembers of a wallet's addresses."""

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.supervision.recall import Recall

if TYPE_CHECKING:
    from gateway.fleet.pool import Pool

NAMES = [f"q{number:03}" for number in range(24)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("list"), st.lists(st.sampled_from(NAMES), unique=True)),
        st.tuples(st.just("longer"), st.integers(1, 4)),
        st.tuples(st.just("refill"), st.lists(st.sampled_from(NAMES), unique=True, max_size=3)),
        st.tuples(st.sampled_from(["tell", "tell an invoice"]), st.sampled_from(NAMES)),
    ),
    max_size=20,
)


def recall(known: list[str]) -> Recall:
    """Return one that knows a list."""
    return Recall(cast("Pool", SimpleNamespace()), known)


def said(address: str) -> bytes:
    """Return a result that is an address."""
    return json.dumps(f"bitcoincash:{address}").encode()


@given(st.lists(st.sampled_from(NAMES), unique=True), STEPS)
def test_no_address_told_or_listed_is_ever_new_again(first: list[str], steps: list[tuple[str, object]]) -> None:
    """Whatever lists come, in whatever order, longer, shorter or of other addresses."""
    room, seen = recall(list(first)), set(first)
    for what, value in steps:
        if what == "longer":
            fresh = [name for name in NAMES if name not in room.known_set][: cast("int", value)]
            room.know([*room.known, *fresh])
            seen |= set(fresh)
        elif what == "list":
            listed = cast("list[str]", value)
            is_taken = len(listed) >= len(room.known)
            room.know(listed)
            seen |= set(listed) if is_taken else set()
        elif what == "refill":
            fresh = [name for name in cast("list[str]", value) if name not in room.known_set]
            room.add(fresh)
            seen |= set(fresh)
        else:
            name = cast("str", value)
            told = said(name)
            room.hear(told if what == "tell" else b'{"address":%b,"amount":1}' % told)
            seen.add(name)
        assert set(room.known) == room.known_set
        assert {name for name in NAMES if room.is_repeated(said(name))} == seen


def test_an_address_is_held_once() -> None:
    """Thousands are told each day, and are listed soon after."""
    room = recall(NAMES[:2])
    for name in NAMES[2:]:
        room.hear(said(name))
    room.know(NAMES[:12])
    room.add(NAMES[12:14])
    held = [one for one in vars(room).values() if isinstance(one, set) and one is not room.told]
    assert sum(map(len, held)) == len(NAMES)


@pytest.mark.parametrize("nothing", [b"null", b"7", b"{}", b'{"address":1}', b"no json", b""])
def test_what_is_no_address_is_no_news(nothing: bytes) -> None:
    """A daemon may answer anything."""
    room = recall([])
    room.hear(nothing)
    assert not room.told
    assert not room.is_repeated(nothing)
