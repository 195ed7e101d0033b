"""W3C Trace Context: what is right is gone on with, and anything else is replaced."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.trace import CURRENT, TRACEPARENT, Trace, begin, place

WHOLE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RIGHT = f"00-{WHOLE}-{PARENT}-01"

WRONG = [
    "",
    "00",
    RIGHT[:-1],
    RIGHT + "0",
    RIGHT + "-more",
    RIGHT + "\n",
    " " + RIGHT,
    RIGHT.upper(),
    RIGHT.replace("-", "_"),
    f"ff-{WHOLE}-{PARENT}-01",
    f"0-{WHOLE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{WHOLE}-{'0' * 16}-01",
    f"00-{WHOLE[:-1]}-{PARENT}-01",
    f"00-{WHOLE}-{PARENT}-0x",
    f"00-{WHOLE}-{PARENT}",
    f"00-{WHOLE[:-1]}\u0663-{PARENT}-01",
    f"01-{WHOLE}-{PARENT}-01more",
    f"01-{WHOLE}-{PARENT}-01-{'x' * 1000}",
    f"{RIGHT}, {RIGHT}",
    f"00-{WHOLE}-{PARENT}-01\r\nX-Evil: 1",
]


class Bits:
    """Counts up, so that no two ids are alike."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.last = 0

    def __call__(self, count: int) -> int:
        """Return the next number."""
        self.last += 1
        return self.last % (1 << count)


@pytest.mark.parametrize("told", [RIGHT, f"01-{WHOLE}-{PARENT}-01", f"cc-{WHOLE}-{PARENT}-01-what will be"])
def test_what_is_right_is_gone_on_with(told: str) -> None:
    """Also where its version is a later one, of which the beginning is known."""
    trace = begin(told, Bits())
    assert (trace.id, trace.parent, trace.flags) == (WHOLE, PARENT, "01")
    assert trace.span not in (PARENT, "0" * 16)


@pytest.mark.parametrize("told", [None, *WRONG], ids=repr)
def test_what_is_wrong_or_missing_is_replaced(told: str | None) -> None:
    """By a trace that begins here, of which nothing is what was told."""
    trace = begin(told, Bits())
    assert (trace.parent, trace.flags) == ("", "00")
    assert trace.id != WHOLE
    assert TRACEPARENT.fullmatch(repr(trace))


@pytest.mark.parametrize(("told", "kept"), [("00", "00"), ("01", "01"), ("02", "02"), ("ff", "03"), ("fc", "00")])
def test_flags_that_nobody_has_defined_are_not_passed_on(told: str, kept: str) -> None:
    """The standard wants them to be zero."""
    assert begin(f"00-{WHOLE}-{PARENT}-{told}", Bits()).flags == kept


def test_each_hop_has_an_id_of_its_own() -> None:
    """The whole stays, and so do the flags."""
    trace = begin(RIGHT, Bits())
    hops = {trace.hop() for _ in range(5)} | {trace.span}
    assert len(hops) == 6
    assert trace.span in hops, "it stays, once somebody has asked for it"
    assert trace.header("00000000000000aa") == f"00-{WHOLE}-00000000000000aa-01"


@pytest.mark.parametrize("told", [None, RIGHT])
def test_no_id_is_ever_zero(told: str | None) -> None:
    """Though chance may be; who gets zeros would throw the whole trace away."""
    trace = begin(told, lambda _: 0)
    assert trace.id.strip("0")
    assert trace.span.strip("0")
    assert trace.hop().strip("0")


@given(st.one_of(st.none(), st.text(max_size=80), st.from_regex(TRACEPARENT)))
def test_whatever_comes_in_what_goes_out_is_right(told: str | None) -> None:
    """And holds no sign that does not belong there."""
    trace = begin(told, Bits())
    sent = trace.header(trace.hop())
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", sent)
    assert begin(sent, Bits()).id == trace.id, "the next one believes it"


def test_a_line_of_the_log_names_the_trace_that_is_being_served() -> None:
    """And none where the gateway does something by itself."""
    assert place() == {}
    token = CURRENT.set(Trace(WHOLE, "", "00", Bits()))
    try:
        assert place() == {"trace": WHOLE}
    finally:
        CURRENT.reset(token)
