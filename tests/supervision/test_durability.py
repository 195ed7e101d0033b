"""A gateway that runs hears when its database begins to lose what it commits, and when that is over."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.base.errors import LedgerError
from gateway.base.events import Event
from gateway.ledger.store import MisplacedError
from gateway.rules.durability import EVERY, REFUSED, REST, SOON
from gateway.supervision.durability import LOOK, Durability
from tests.virtual_time import run_virtual

ASYNCHRONOUS = "the database d on h:5432 has the standby a, which is asynchronous"
NO_FSYNC = "the database d on h:5432 has fsync off"


class Database:
    """What is asked, and answers what a test wants."""

    def __init__(self) -> None:
        """Keep everything."""
        self.connections_made = 1
        self.says: tuple[str, ...] | Exception = ()
        self.takes = 0.0
        self.asked = 0

    async def judge(self) -> tuple[str, ...]:
        """Say it."""
        self.asked += 1
        await asyncio.sleep(self.takes)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Bench:
    """One that watches, and what it told."""

    def __init__(self, known: tuple[str, ...], *, is_borne: bool) -> None:
        """Begin."""
        self.database = Database()
        self.told: list[Event] = []
        loop = asyncio.get_running_loop()
        self.durability = Durability(self.database, known, self.told.append, loop.time, is_borne=is_borne)
        self.task = loop.create_task(self.durability.run())

    def heard(self) -> list[tuple[str, object, str]]:
        """What was told since this was asked last."""
        found = [(one.name, one.fields.get("warning"), one.level) for one in self.told]
        self.told.clear()
        return found


def play(
    scene: Callable[[Bench], Coroutine[Any, Any, None]], known: tuple[str, ...] = (), *, is_borne: bool = False
) -> None:
    """Play a scene."""

    async def live() -> None:
        bench = Bench(known, is_borne=is_borne)
        await scene(bench)
        bench.task.cancel()
        await asyncio.gather(bench.task, return_exceptions=True)

    run_virtual(live())


def test_a_standby_that_comes_later_is_told_once_and_that_it_is_waited_for_as_well() -> None:
    """The connections of the gateway stay all the while."""

    async def scene(bench: Bench) -> None:
        await asyncio.sleep(1.0)
        bench.database.says = (ASYNCHRONOUS,)
        await asyncio.sleep(EVERY + LOOK)
        assert bench.heard() == [("ledger.unsafe", ASYNCHRONOUS, "error")]
        assert bench.durability.alarm == f"{ASYNCHRONOUS}; {REFUSED}"
        assert ASYNCHRONOUS in repr(bench.durability)
        await asyncio.sleep(3 * EVERY)
        assert bench.heard() == []
        bench.database.says = (ASYNCHRONOUS, NO_FSYNC)
        await asyncio.sleep(SOON + LOOK)
        assert bench.heard() == [("ledger.unsafe", NO_FSYNC, "error")]
        bench.database.says = ()
        await asyncio.sleep(SOON + LOOK)
        assert bench.heard() == [("ledger.safe", None, "info")]
        assert bench.durability.alarm == ""

    play(scene)


def test_after_a_reconnect_it_is_asked_at_once() -> None:
    """As after a failover: another server answers, and all connections are new."""

    async def scene(bench: Bench) -> None:
        await asyncio.sleep(REST + LOOK)
        assert bench.database.asked == 0
        bench.database.connections_made += 1
        bench.database.says = MisplacedError("the database d is PostgreSQL 12; take 13 or a newer one")
        await asyncio.sleep(2 * LOOK)
        assert [level for _, _, level in bench.heard()] == ["error"]
        assert "PostgreSQL 12" in bench.durability.alarm

    play(scene)


@pytest.mark.parametrize("error", [LedgerError("it does not answer"), ZeroDivisionError("a mistake of ours")])
def test_what_is_not_answered_changes_nothing_and_is_asked_again(error: Exception) -> None:
    """A database that is away is told by whoever wants it."""

    async def scene(bench: Bench) -> None:
        bench.database.says, bench.database.takes = error, 30.0
        await asyncio.sleep(2 * EVERY)
        assert bench.database.asked >= 2
        assert {name for name, _, _ in bench.heard()} <= {"room.failed"}
        assert bench.durability.alarm.startswith(ASYNCHRONOUS)
        bench.database.says = ()
        await asyncio.sleep(EVERY)
        assert "ledger.safe" in [name for name, _, _ in bench.heard()]

    play(scene, (ASYNCHRONOUS,))


def test_what_is_borne_is_told_and_nobody_is_woken() -> None:
    """And what the start has told is not told again."""

    async def scene(bench: Bench) -> None:
        bench.database.says = (ASYNCHRONOUS,)
        await asyncio.sleep(2 * EVERY)
        assert bench.heard() == []
        bench.database.says = (ASYNCHRONOUS, NO_FSYNC)
        await asyncio.sleep(SOON + LOOK)
        (told,) = bench.told
        assert "then" not in told.fields
        assert bench.durability.alarm == ""

    play(scene, (ASYNCHRONOUS,), is_borne=True)
