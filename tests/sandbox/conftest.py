"""Fleets for the tests of the sandbox."""

import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.fleet import Fleet

MakeFleet = Callable[..., Fleet]

COIN = 100_000_000
NEVER = 3600.0
"""A sync delay that no test outlives: what only a sync would save stays unsaved."""

PATIENCE = 0.4
"""How long a caller waits before it takes the daemon for wedged; a sound one answers in a few milliseconds."""


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    """Start fleets that end with the test: ``make_fleet(2)``."""
    with ExitStack() as stack:

        def make(n: int, **options: Any) -> Fleet:
            return stack.enter_context(Fleet(n, tmp_path, **options))

        yield make


@pytest.fixture
def one(make_fleet: MakeFleet) -> Fleet:
    """One daemon that saves only where a call makes it save."""
    return make_fleet(1, sync_delay=NEVER)


@pytest.fixture
def two(make_fleet: MakeFleet) -> Fleet:
    """Two daemons on one seed."""
    return make_fleet(2, sync_delay=NEVER)


def receiving(fleet: Fleet, index: int = 0) -> list[str]:
    """The receiving addresses that a daemon watches."""
    found: list[str] = fleet.rpc(index, "listaddresses", receiving=True)
    return found


def change(fleet: Fleet, index: int = 0) -> list[str]:
    """The change addresses that a daemon watches."""
    found: list[str] = fleet.rpc(index, "listaddresses", change=True)
    return found


def fund(fleet: Fleet, address: str, sats: int = COIN, *, blocks: int = 1) -> str:
    """Pay to an address out of nothing, and confirm it; the txid."""
    txid: str = fleet.chain("fund", address=address, sats=sats)["txid"]
    if blocks:
        fleet.chain("mine", blocks=blocks)
    return txid


def eventually(question: Callable[[], bool], limit: float = 20.0) -> bool:
    """Ask until the answer is yes; false only after a time that no sound machine needs."""
    end = time.monotonic() + limit
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_wedged(fleet: Fleet) -> bool:
    """Whether a call gets no answer."""
    try:
        fleet.rpc(0, "ping", timeout=PATIENCE)
    except TimeoutError:
        return True
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return True
        raise
    return False


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One daemon for tests that leave it as they found it."""
    with Fleet(1, tmp_path_factory.mktemp("shop"), sync_delay=NEVER) as fleet:
        yield fleet
