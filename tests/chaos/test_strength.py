"""Every door is asked the same question when a fault is over, through the door and past it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chaos.callers import Client
from chaos.stage import Stage
from chaos.strength import IN_A_ROW, PROBE, full_strength
from tests.checker.history import ERROR, RESULT, Op
from tests.virtual_time import run_virtual

PATIENCE = 20.0

START = 1000.0
"""Where virtual time begins."""


def clock() -> float:
    """Return the seconds since the question was asked."""
    return asyncio.get_running_loop().time() - START


@dataclass
class FakeWallet:
    """A daemon that does not answer until a time, and sees no chain until another one."""

    answers_at: float = 0.0
    connected_at: float = 0.0

    async def call(self, method: str, patience: float) -> Any:  # noqa: ARG002 - as a wallet's
        """Answer, or do not."""
        now = clock()
        if now < self.answers_at:
            raise OSError("silence")
        return {"connected": now >= self.connected_at}


@dataclass
class FakeStage:
    """Three of them."""

    wallets: list[FakeWallet] = field(default_factory=lambda: [FakeWallet() for _ in range(3)])


@dataclass
class FakeClient:
    """What a door tells: reads are wrong, or slow, or allocations wrong, until a time each."""

    wrong_until: float = 0.0
    slow_until: float = 0.0
    no_address_until: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def call(self, method: str, note: str = "") -> Op:
        """Answer as it is."""
        assert note == PROBE
        self.asked.append(method)
        now = clock()
        is_read = method == "getbalance"
        took = 1.0 if is_read and now < self.slow_until else 0.01
        await asyncio.sleep(took)
        is_wrong = now < (self.wrong_until if is_read else self.no_address_until)
        result = {} if is_read else "bchreg:a"
        return Op("auditor", "auditor", method, [], now, now + took, ERROR if is_wrong else RESULT, result)


def asked(stage: FakeStage, client: FakeClient) -> float | None:
    """Return since when all are at full strength."""

    async def ask() -> float | None:
        return await full_strength(cast("Stage", stage), cast("Client", client), PATIENCE, clock)

    return run_virtual(ask())


def test_what_is_well_at_once_was_well_from_the_beginning() -> None:
    """However long the reads that show it take; each wallet of a balancer that goes round is met by them."""
    client = FakeClient()
    assert asked(FakeStage(), client) == 0.0
    assert client.asked == ["getbalance"] * IN_A_ROW + ["createnewaddress"]
    assert len(FakeStage().wallets) <= IN_A_ROW


@pytest.mark.parametrize("wallet", [FakeWallet(answers_at=5.0), FakeWallet(connected_at=5.0)])
def test_a_daemon_that_is_not_whole_keeps_it_back(wallet: FakeWallet) -> None:
    """Silent, or without the chain; nobody asks the door meanwhile, for an allocation costs an address."""
    client = FakeClient()
    found = asked(FakeStage([FakeWallet(), FakeWallet(), wallet]), client)
    assert found == pytest.approx(5.0, abs=0.25)
    assert client.asked.count("createnewaddress") == 1


@pytest.mark.parametrize("client", [FakeClient(wrong_until=5.0), FakeClient(no_address_until=5.0)])
def test_a_door_that_answers_wrong_is_not_there_however_well_the_daemons_are(client: FakeClient) -> None:
    """Which is what used to be asked of our own gateway alone."""
    assert asked(FakeStage(), client) == pytest.approx(5.0, abs=0.3)


def test_a_read_that_is_answered_late_is_not_good() -> None:
    """The door has asked a wallet first that does not answer."""
    assert asked(FakeStage(), FakeClient(slow_until=5.0)) == pytest.approx(5.0, abs=1.3)


def test_what_never_comes_has_no_time() -> None:
    """And the run goes on."""
    assert asked(FakeStage(), FakeClient(wrong_until=1000.0)) is None
