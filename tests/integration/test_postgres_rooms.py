"""The rooms of the ledger on a real PostgreSQL: the very tests that they have on SQLite."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from types import ModuleType
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from gateway.ledger import addresses
from gateway.ledger.migrations import bring_up
from gateway.ledger.postgres import PostgresLedger
from gateway.ledger.schema import metadata, wallets
from tests.integration.postgres_server import Server, server
from tests.ledger import (
    conftest,
    test_addresses,
    test_check,
    test_events,
    test_export,
    test_history,
    test_invoices,
    test_marks,
    test_names,
    test_orders,
    test_outcomes,
    test_payments,
    test_retention,
)

__all__ = ("server",)

T = TypeVar("T")

OF_SQLITE = ("PRAGMA", "InlineLedger(None)", "exec_driver_sql", "event.listen", "CREATE TABLE")
"""What tests say that look into SQLite itself, or make a second ledger of theirs."""


def small_shop(connection: Connection) -> None:
    """What the fixture `shop` writes."""
    conftest.fill(connection)


def eight_addresses(connection: Connection) -> None:
    """What the fixture `shop` of the invoices writes."""
    addresses.add(connection, "main", test_invoices.ADDRESSES, addresses.POOL, 1, conftest.AT)


def one_wallet(connection: Connection) -> None:
    """What the fixture `connection` of the payments writes."""
    row = {"name": test_payments.NAME, "state": "adopted", "epoch": 1, "primary_backend": "ec-1"}
    connection.execute(wallets.insert().values(since=test_payments.AT, **row))


PREPARED: dict[ModuleType, Callable[[Connection], object]] = {
    test_addresses: lambda _connection: None,
    test_check: small_shop,
    test_events: lambda _connection: None,
    test_export: lambda _connection: None,
    test_history: lambda _connection: None,
    test_invoices: eight_addresses,
    test_marks: lambda _connection: None,
    test_names: lambda _connection: None,
    test_orders: lambda _connection: None,
    test_outcomes: small_shop,
    test_payments: one_wallet,
    test_retention: lambda _connection: None,
}


def cases() -> Iterator[Any]:
    """Every test of these that asks for nothing but a ledger or a connection."""
    for module in PREPARED:
        for name, function in vars(module).items():
            if not name.startswith("test_") or not inspect.isfunction(function):
                continue
            wants = list(inspect.signature(function).parameters)
            words = inspect.getsource(function)
            if wants in (["ledger"], ["shop"], ["connection"]) and not any(one in words for one in OF_SQLITE):
                yield pytest.param(module, function, wants[0], id=f"{module.__name__.rpartition('.')[2]}-{name}")


class AtOnce(PostgresLedger):
    """One whose transactions are done here and now: virtual time waits for no other thread."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction.  Raises LedgerError."""
        return self.transact(work)


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[PostgresLedger]:
    """A ledger with all tables."""
    with closing(AtOnce(server.database())) as one:
        one.transact(bring_up)
        yield one


@pytest.mark.parametrize(("module", "function", "wants"), list(cases()))
def test_rooms_do_the_same(made: PostgresLedger, module: ModuleType, function: Callable[..., Any], wants: str) -> None:
    """Statement by statement, with the types and the strictness of this engine."""
    tables = ", ".join(metadata.tables)
    made.transact(lambda connection: connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY")))
    if wants == "connection":

        def work(connection: Connection) -> None:
            PREPARED[module](connection)
            done = function(connection)
            assert done is None

        made.transact(work)
        return
    if wants == "shop":
        made.transact(PREPARED[module])
    assert not inspect.iscoroutinefunction(function)
    function(made)


def test_there_is_much_to_do() -> None:
    """The cases are found by their form, which may change."""
    assert len(list(cases())) > 50
