"""The steps lead to exactly the tables that the rooms use, whole or not at all."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect

from gateway.ledger import migrations
from gateway.ledger.migrations import StrangeTablesError, UnknownVersionError, bring_up, upgrade, version, versions
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger


@pytest.fixture
def ledger() -> Iterator[InlineLedger]:
    """An empty one."""
    made = InlineLedger(None)
    yield made
    made.close()


def shape(connection: Connection) -> dict[str, object]:
    """Everything SQLite knows of the tables: columns with types, defaults and keys, indexes with their columns."""
    found: dict[str, object] = {}
    for table in sorted(set(inspect(connection).get_table_names()) - {migrations.VERSION_TABLE}):
        columns = connection.exec_driver_sql(f"PRAGMA table_info({table})").all()
        indexes = {
            (row.name, row.unique, tuple(connection.exec_driver_sql(f"PRAGMA index_info({row.name})").all()))
            for row in connection.exec_driver_sql(f"PRAGMA index_list({table})")
        }
        found[table] = [tuple(column) for column in columns], indexes
    return found


def test_the_steps_lead_to_the_tables_of_the_schema(ledger: InlineLedger) -> None:
    """Alembic sees no difference; it compares types, and not defaults: it takes each empty text for another one."""
    ledger.transact(upgrade)
    found = ledger.transact(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    assert found == []


def test_the_steps_and_the_schema_make_the_same_database(ledger: InlineLedger) -> None:
    """Also in what alembic does not compare: defaults, order of columns, primary keys, uniqueness."""
    ledger.transact(upgrade)
    other = InlineLedger(None)
    metadata.create_all(other.engine)
    assert ledger.transact(shape) == other.transact(shape)
    other.close()


def test_a_new_ledger_is_made_as_the_steps_would_make_it(ledger: InlineLedger) -> None:
    """It gets the tables at once, and the version that alembic knows it by."""
    ledger.transact(bring_up)
    other = InlineLedger(None)
    other.transact(upgrade)
    assert ledger.transact(shape) == other.transact(shape)
    known = [one.transact(lambda c: MigrationContext.configure(c).get_current_revision()) for one in (ledger, other)]
    assert known == [versions()[-1]] * 2
    other.close()


def test_a_ledger_that_is_up_to_date_is_left_alone(ledger: InlineLedger) -> None:
    """The version before is told, none for a new one."""
    assert ledger.transact(version) is None
    assert ledger.transact(bring_up) is None
    assert ledger.transact(bring_up) == ledger.transact(version) == versions()[-1]


def test_an_engine_may_be_migrated_as_well(ledger: InlineLedger) -> None:
    """As a developer's tool does it; then the transaction is the step's own."""
    assert isinstance(ledger.engine, Engine)
    upgrade(ledger.engine)
    assert ledger.transact(version) == versions()[-1]


def test_a_newer_ledger_is_not_touched(ledger: InlineLedger) -> None:
    """Nobody here knows what its tables mean."""
    ledger.transact(bring_up)
    ledger.transact(lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnknownVersionError) as caught:
        ledger.transact(bring_up)
    assert (caught.value.version, caught.value.newest) == ("9999", versions()[-1])


def test_a_database_of_somebody_else_is_not_touched(ledger: InlineLedger) -> None:
    """It has tables, and none says a version."""
    ledger.transact(lambda connection: connection.exec_driver_sql("CREATE TABLE cookies (host TEXT)"))
    with pytest.raises(StrangeTablesError, match="cookies"):
        ledger.transact(bring_up)
    assert ledger.transact(lambda connection: inspect(connection).get_table_names()) == ["cookies"]


def test_a_step_that_is_broken_off_leaves_nothing(ledger: InlineLedger) -> None:
    """All missing steps are one transaction: tables and version come together or not at all."""

    def broken(connection: Connection) -> None:
        bring_up(connection)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.transact(broken)
    assert ledger.transact(lambda connection: inspect(connection).get_table_names()) == []
    ledger.transact(bring_up)
