"""Who is calling: Basic credentials, several clients, rates."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.config import RateLimit
from gateway.edge.auth import CACHED, LONGEST, Authenticator, TokenBucket
from tests.edge.conftest import client


def basic(pair: str, scheme: str = "Basic") -> str:
    """An Authorization header."""
    return f"{scheme} {base64.b64encode(pair.encode()).decode()}"


def test_each_client_is_known_by_its_own_pair() -> None:
    """And by nobody else's; the scheme is taken in any case, though a daemon would not."""
    auth = Authenticator([client("a"), client("b")], anonymous=False)
    for scheme in ("Basic", "basic", "BASIC"):
        caller = auth.who(basic("b:b", scheme))
        assert caller is not None
        assert caller.client.name == "b"
    assert auth.who(basic("a:b")) is None
    assert repr(auth) == "<Authenticator clients=2 anonymous=False>"


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Bearer abc", "Basic \udcff", "Basic " + "A" * LONGEST]
)
def test_what_is_no_credential_is_nobodys(header: str | None) -> None:
    """Missing, malformed, foreign or endless."""
    assert Authenticator([client("a")], anonymous=False).who(header) is None


def test_anonymous_callers_are_let_in_only_where_that_was_asked_for() -> None:
    """And wrong credentials are not anonymous."""
    auth = Authenticator([client("a")], anonymous=True, wallets=("main", "cold"))
    caller = auth.who(None)
    assert caller is not None
    assert caller.client.wallets == ("main", "cold")
    assert auth.who(basic("a:wrong")) is None


def test_a_client_keeps_its_rate_over_calls_and_the_cache_is_bounded() -> None:
    """The same caller each time; many wrong headers are not remembered."""
    auth = Authenticator([client("a")], anonymous=False)
    assert auth.who(basic("a:a")) is auth.who(basic("a:a"))
    for number in range(CACHED * 2):
        auth.who("Basic" + " " * number + basic("a:a")[5:])
        auth.who(basic(f"x{number}:y"))
    assert len(auth._known) <= CACHED


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 100)), max_size=60))
def test_a_bucket_never_gives_more_than_burst_and_rate(steps: list[tuple[float, int]]) -> None:
    """Whatever the pauses and however large the batches; and a refused caller that waits as told is let in."""
    bucket = TokenBucket(RateLimit(per_second=2.0, burst=5), 0.0)
    now, given_out = 0.0, 0
    for pause, calls in steps:
        now += pause
        wait = bucket.take(now, calls)
        if wait:
            now += wait + 1e-6
            assert bucket.take(now, calls) == 0.0
        given_out += calls
        # a batch beyond the burst is paid afterwards
        assert given_out <= 5 + 2.0 * now + max(0, calls - 5) + 1e-3
