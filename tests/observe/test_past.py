"""The past of a gateway with a real file: asked beside the thread that payments go through."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import history
from gateway.ledger.history import Batch, Life
from gateway.ledger.opening import open_ledger
from gateway.ledger.store import SqliteLedger
from gateway.observe.past import Past, Span
from gateway.rules.deeds import Restart

T = TypeVar("T")

AT = 1_800_000_000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """One with a restart in it."""
    settings = Settings(path=str(tmp_path / "ledger.db"), may_be_lost=True)
    restart = Restart("r-1", "main", "ec-1", "dead", "gone", "gateway", AT, AT + 1.0, "done")
    with closing(open_ledger(settings, AT).ledger) as opened:
        opened.transact(lambda c: history.write(c, Life("aa", "", AT), Batch(restarts={restart.id: restart}), AT))
        assert isinstance(opened, SqliteLedger)
        yield opened


def asked(ledger: SqliteLedger) -> tuple[list[object], bool]:
    """Ask for the restarts."""

    async def ask() -> tuple[list[object], bool]:
        past = Past("", lambda: AT)
        past.ledger = ledger
        found = await past.restarts(Span(0.0, 9e9))
        return [row["id"] for row in found.rows], found.complete

    return asyncio.run(ask())


def test_a_question_does_not_wait_for_payments_nor_they_for_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered while a transaction is under way, and asks nothing of the thread that does these."""

    def nobody(_work: Callable[[Connection], T]) -> T:
        raise AssertionError("the ledger's own thread was asked")

    def under_way(connection: Connection) -> tuple[list[object], bool]:
        connection.execute(text("INSERT INTO meta VALUES ('tea', 'is made')"))
        monkeypatch.setattr(ledger, "transact", nobody)
        found = asked(ledger)
        monkeypatch.undo()
        return found

    assert ledger.transact(under_way) == (["r-1"], True)


def test_a_file_that_cannot_be_read_leaves_what_is_remembered(ledger: SqliteLedger) -> None:
    """And says that it is not all."""
    ledger.transact(lambda connection: connection.execute(text("DROP TABLE restarts")))
    assert asked(ledger) == ([], False)
    ledger.transact(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0000'")))
    assert asked(ledger) == ([], False)
