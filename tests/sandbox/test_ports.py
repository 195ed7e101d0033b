"""Ports of servers that start again: free, and none that the kernel gives to others meanwhile."""

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sandbox import ports
from gateway.sandbox.ports import LOWEST, USUAL, free_port


def test_a_port_is_none_of_those_that_connections_get() -> None:
    """Whatever the kernel's range is here."""
    first = int(ports.RANGE.read_text(encoding="ascii").split()[0]) if ports.RANGE.exists() else USUAL
    assert all(LOWEST <= free_port() < max(first, LOWEST + 1000) for _ in range(20))


def test_a_port_that_somebody_listens_at_is_passed_over() -> None:
    """The next one that chance brings is taken."""
    first = free_port(random.Random(7))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert free_port(random.Random(7)) != first


def test_a_port_that_was_named_is_not_named_again() -> None:
    """Whoever has it may not listen yet; so it is here, and in every other process."""
    first = free_port(random.Random(8))
    assert free_port(random.Random(8)) != first
    code = "import random; from gateway.sandbox.ports import free_port; print(free_port(random.Random(8)))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) != first


def test_only_the_last_ports_are_kept() -> None:
    """A process that starts fleet after fleet must not run out of descriptors."""
    for _ in range(ports.REMEMBERED + 1):
        free_port()
    kept = [one.getsockname() for one in ports._kept]
    assert len(kept) == len(set(kept)) == ports.REMEMBERED


def test_where_the_range_is_not_told_the_usual_one_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not every system is Linux."""
    monkeypatch.setattr(ports, "RANGE", tmp_path / "nowhere")
    assert LOWEST <= free_port() < USUAL


def test_where_all_are_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And between which it has looked."""
    monkeypatch.setattr(ports, "TRIES", 0)
    with pytest.raises(OSError, match="no free port between 20000 and"):
        free_port()
