"""Conditions on many values."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, MetaData, Table, Text, create_engine, event, insert, select

from gateway.ledger.among import AT_ONCE, MOST, chunks, is_among

NAMES = Table("names", MetaData(), Column("name", Text, primary_key=True))
THERE = [f"n{number}" for number in range(0, 100, 2)]


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Hold every second name."""
    made = create_engine("sqlite://")
    with made.begin() as connection:
        NAMES.create(connection)
        connection.execute(insert(NAMES), [{"name": name} for name in THERE])
    yield made
    made.dispose()


def test_it_finds_exactly_the_values_by_few_statements(engine: Engine) -> None:
    """Lists of each length from none on; every statement that is new to the engine is prepared and kept."""
    statements: set[str] = set()
    event.listen(engine, "before_cursor_execute", lambda *given: statements.add(given[2]))
    with engine.begin() as connection:
        for length in range(101):
            asked = [f"n{number}" for number in range(length)]
            found = connection.scalars(select(NAMES.c.name).where(is_among(NAMES.c.name, iter(asked))))
            assert sorted(found) == sorted(set(asked) & set(THERE))
    assert len(statements) == 9, "none, and powers of two from 1 to 128"


@pytest.mark.parametrize("length", [MOST - 1, MOST, MOST + 1, 2 * MOST - 2])
def test_no_list_is_made_longer_than_an_engine_takes(engine: Engine, length: int) -> None:
    """One that is long by itself stays as long as it is."""
    with engine.begin() as connection:
        asked = [*THERE, *(f"m{number}" for number in range(length - len(THERE)))]
        found = connection.scalars(select(NAMES.c.name).where(is_among(NAMES.c.name, asked)))
        assert sorted(found) == sorted(THERE)


@pytest.mark.parametrize("length", [0, 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
def test_chunks_hold_everything_once_in_its_order(length: int) -> None:
    """And none of them is longer than one condition takes."""
    values = [str(number) for number in range(length)]
    found = list(chunks(values))
    assert [one for some in found for one in some] == values
    assert all(0 < len(some) <= AT_ONCE for some in found)
