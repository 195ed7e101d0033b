"""How many connections fit into a process."""

import os
import resource
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import descriptors
from gateway.edge.connections import family_of
from gateway.edge.descriptors import TOP, Descriptors, on_top, raise_limit


@given(limit=st.integers(16, 2**20), wanted=st.integers(1, 2**20))
def test_something_is_always_left_for_the_daemons(limit: int, wanted: int) -> None:
    """Both doors full and all that is accepted only to be refused: a sixteenth is still free."""
    fit = Descriptors(limit)
    refused = 4 * (fit.at_one_go + fit.operators_at_one_go)
    assert 1 <= fit.clients(wanted) <= wanted
    if limit >= 128:
        assert limit - fit.clients(wanted) - fit.operators - refused >= limit // 32
    assert bool(fit.warnings(wanted)) == (fit.clients(wanted) < wanted)


@given(limit=st.integers(16, 2**20))
def test_listeners_leave_room_for_other_operators(limit: int) -> None:
    """Two hundred where they fit, and never so many that nobody else gets in."""
    fit = Descriptors(limit)
    assert 1 <= fit.listeners <= max(1, fit.operators - 1)
    assert Descriptors().listeners == Descriptors(2**16).listeners == 200


def test_the_warning_names_both_numbers() -> None:
    """What was asked for, what there is, and what comes of it."""
    (text,) = Descriptors(1024).warnings(4096)
    assert "listen.max_connections 4096" in text
    assert "1024 open files" in text
    assert "768 are taken" in text
    assert Descriptors(None).warnings(4096) == Descriptors(65536).warnings(4096) == []


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what then holds is what counts, also where raising it is refused."""
    limits = [(256, 1024)]
    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _what, both: limits.append(both))
    assert raise_limit() == Descriptors(1024)
    assert limits[-1] == (1024, 1024)

    def refuse(_what: int, _both: tuple[int, int]) -> None:
        raise ValueError("not allowed to exceed maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits.append((256, resource.RLIM_INFINITY))
    assert raise_limit() == Descriptors(256)
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert raise_limit() == Descriptors(None)


def test_a_socket_is_moved_above_all_others_and_is_the_same() -> None:
    """Under the limit; what was connected to it stays."""
    with on_top(socket.create_server(("127.0.0.1", 0))) as door, socket.socket() as other:
        assert door.fileno() == min(TOP, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1)
        assert not os.get_inheritable(door.fileno())
        with socket.create_connection(door.getsockname()) as line, door.accept()[0] as taken:
            taken.sendall(b"x")
            assert line.recv(1) == b"x"
        assert other.fileno() < door.fileno()


def test_where_its_number_cannot_be_had_a_socket_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door is no worse for it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(descriptors, "TOP", 2**30)
    with socket.create_server(("127.0.0.1", 0)) as door:
        assert on_top(door) is door
        assert door.fileno() >= 0


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
