"""A daemon is brought past what is known by as few derivations as that needs, though its list grows by itself."""

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from gateway.fleet.backend import Backend
from gateway.supervision.catching_up import CatchingUp
from gateway.supervision.lists import Lists
from gateway.supervision.recall import Recall
from gateway.supervision.tidings import Tidings
from tests.virtual_time import run_virtual

if TYPE_CHECKING:
    from gateway.fleet.pool import Pool

CHAIN = [f"address-{number}" for number in range(200)]


class Wallet:
    """A wallet that hears of payments while it is made to derive, and lists what these need by itself."""

    def __init__(self, length: int, grows_at: int = -1, by: int = 0) -> None:
        """List so many; the derivation `grows_at` is followed by `by` addresses more."""
        self.length, self.grows_at, self.by = length, grows_at, by
        self.derived = 0

    async def derive(self, _backend: Backend) -> str:
        """Derive the next one."""
        self.length += 1
        address = CHAIN[self.length - 1]
        self.derived += 1
        if self.derived == self.grows_at:
            self.length += self.by
        return address

    async def of(self, _backend: Backend) -> list[str]:
        """List all."""
        return CHAIN[: self.length]


class Said:
    """What is told, which nobody hears."""

    def tell_derived(self, *_: object) -> None:
        """Hear it."""


@pytest.mark.parametrize(
    ("wallet", "told", "length", "derived"),
    [
        (Wallet(30), set(), 60, 30),
        (Wallet(30, 5, 10), set(), 60, 20),
        (Wallet(30, 5, 50), set(), 86, 6),
        (Wallet(30, 5, 25), set(), 61, 6),
        (Wallet(30, 5, 50), {CHAIN[40]}, 86, 6),
        (Wallet(30), {CHAIN[62]}, 63, 33),
    ],
)
def test_it_stops_at_the_end_of_what_is_known(wallet: Wallet, told: set[str], length: int, derived: int) -> None:
    """One address past it at most, for what is there beyond is given out to nobody; what was told is gone past."""

    async def play() -> list[str]:
        recall = Recall(cast("Pool", SimpleNamespace()), CHAIN[:60])
        room = CatchingUp(cast("Lists", wallet), recall, cast("Tidings", Said()), asyncio.get_running_loop())
        return await room.derive_until(cast("Backend", None), CHAIN[: wallet.length], told)

    assert len(run_virtual(play())) == length
    assert wallet.derived == derived
