"""What was just written into the ledger is given to the daemons without reading it back, and nothing is left out."""

import asyncio

import pytest
from sqlalchemy import Connection

from gateway.ledger import marks
from gateway.ledger.marks import CLIENT, FREEZE_UTXO, GATEWAY, LABEL, Mark
from gateway.supervision import marking
from tests.supervision.money_world import MoneyWorld, play

COIN = "a" * 64 + ":0"


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note since when marks are read from the ledger, from now on."""
    found: list[float] = []
    real = marks.changed_since

    def noted(connection: Connection, wallet: str, kinds: tuple[str, ...], at: float, most: int) -> list[Mark]:
        found.append(at)
        return real(connection, wallet, kinds, at, most)

    monkeypatch.setattr(marks, "changed_since", noted)
    return found


def labels(world: MoneyWorld) -> list[dict[str, str]]:
    """What each daemon has."""
    return [daemon.money.notes.labels for daemon in world.daemons]


def test_a_label_that_is_told_is_not_read_back_for_each_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are freezes, of which there was no word."""
    reads: list[float] = []

    async def scene(world: MoneyWorld) -> None:
        nonlocal reads
        reads = count_reads(monkeypatch)
        for number in range(5):
            world.mark(LABEL, f"k{number}", "rent", GATEWAY)
            world.mark(LABEL, "k0", "" if number % 2 else "again", GATEWAY)
            await asyncio.sleep(1.0)

    world = play(scene)
    assert labels(world) == [{"k0": "again", **{f"k{n}": "rent" for n in range(1, 5)}}] * 3
    assert reads == []


def test_what_was_written_without_a_word_is_read_before_what_was_told_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's command writes into the same ledger; its marks come to the daemons in their turn."""
    reads: list[float] = []

    async def scene(world: MoneyWorld) -> None:
        nonlocal reads
        world.mark(LABEL, "a", "1", GATEWAY)
        await asyncio.sleep(1.0)
        reads = count_reads(monkeypatch)
        world.ledger.transact(lambda c: marks.put(c, "main", FREEZE_UTXO, COIN, "1", CLIENT, 1.0))
        world.ledger.transact(lambda c: marks.put(c, "main", LABEL, "b", "2", GATEWAY, 1.0))
        world.mark(LABEL, "c", "3", GATEWAY)
        await asyncio.sleep(1.0)

    world = play(scene)
    assert labels(world) == [{"a": "1", "b": "2", "c": "3"}] * 3
    assert all(daemon.money.notes.frozen == {COIN} for daemon in world.daemons)
    assert reads


@pytest.mark.parametrize("most", [1, 3, marking.MOST_RECENT])
def test_more_marks_than_are_remembered_reach_a_daemon_that_was_away(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """From the ledger, each with its last value."""
    monkeypatch.setattr(marking, "MOST_RECENT", most)

    async def scene(world: MoneyWorld) -> None:
        world.daemons[2].kill()
        await asyncio.sleep(3.0)
        for number in range(8):
            world.mark(LABEL, f"k{number % 6}", str(number), GATEWAY)
        await asyncio.sleep(1.0)
        world.daemons[2].start()
        await asyncio.sleep(5.0)

    world = play(scene)
    assert labels(world) == [{"k0": "6", "k1": "7", "k2": "2", "k3": "3", "k4": "4", "k5": "5"}] * 3


def test_changes_that_are_told_in_another_order_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rooms write one after the other, and the later one has the first word."""
    reads: list[float] = []

    async def scene(world: MoneyWorld) -> None:
        nonlocal reads
        world.mark(LABEL, "a", "1", GATEWAY)
        await asyncio.sleep(1.0)
        reads = count_reads(monkeypatch)
        changes = [
            world.ledger.transact(lambda c, key=key: marks.put(c, "main", LABEL, key, key, GATEWAY, 1.0))  # type: ignore[misc]  # a default binds it
            for key in ("b", "c")
        ]
        for change in reversed(changes):
            assert change is not None
            world.reconciler.marked("", change)
        await asyncio.sleep(1.0)

    world = play(scene)
    assert labels(world) == [{"a": "1", "b": "b", "c": "c"}] * 3
    assert reads
