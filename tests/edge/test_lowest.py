"""The lowest descriptors are kept until the door takes them."""

import os
import socket
from collections.abc import Iterator

import pytest

from gateway.edge import lowest
from gateway.edge.connections import family_of


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """Nothing is kept before and after."""
    lowest.free()
    yield
    lowest.free()


def test_what_is_opened_next_is_higher_until_they_are_freed() -> None:
    """And what came free meanwhile is taken by a second call."""
    hole = os.open(os.devnull, os.O_RDONLY)
    lowest.keep()
    above = os.open(os.devnull, os.O_RDONLY)
    assert above > hole
    os.close(hole)
    lowest.keep()
    lowest.free()
    first = os.open(os.devnull, os.O_RDONLY)
    assert first == hole
    for one in (above, first):
        os.close(one)


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::", socket.AF_INET6),
        ("localhost", None),
        ("", None),
        ("fe80::1%eth0", None),
    ],
)
def test_only_an_address_needs_no_look_up(host: str, family: socket.AddressFamily | None) -> None:
    """A name is left to asyncio, which may find several addresses."""
    assert family_of(host) == family
