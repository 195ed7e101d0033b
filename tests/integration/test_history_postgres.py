"""Two gateways that write their history into one database at the same time."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.ledger import history
from gateway.ledger.history import Batch, Life
from gateway.ledger.migrations import bring_up
from gateway.ledger.postgres import PostgresLedger
from gateway.observe.past import Past, Span
from gateway.rules.availability import DAY, Count
from gateway.rules.stories import Incident
from tests.integration.postgres_server import Server, server

__all__ = ("server",)

AT = 1_800_000_000.0
TODAY = int(AT // DAY)


@pytest.fixture
def gateways(server: Server) -> Iterator[list[PostgresLedger]]:
    """Two on one database."""
    database = server.database()
    with closing(PostgresLedger(database)) as one, closing(PostgresLedger(database)) as other:
        one.transact(bring_up)
        yield [one, other]


def counted(begin: float, seconds: float) -> Count:
    """So many seconds, half of them good."""
    return Count(seconds, seconds / 2, 0.0, begin, begin + seconds, {"dead": seconds / 2})


async def live(ledger: PostgresLedger, life: Life) -> None:
    """Count ten seconds of one wallet in ten batches, each of which is written twice, with an incident in each."""
    await ledger.run(lambda connection: history.begin(connection, life, TODAY))
    for second in range(1, 11):
        story = Incident(f"{life.id}-s{second}", "out_of_service", "warning", "main", "ec-1", "out", AT, AT + 1.0)
        counts = {(TODAY, "main", ""): counted(life.began_at, second)}
        batch = Batch({story.id: story}, counts=counts)
        for _ in range(2):
            await ledger.run(lambda connection, batch=batch: history.write(connection, life, batch, AT))  # type: ignore[misc]  # mypy does not see the default


def test_two_gateways_write_side_by_side_and_nothing_counts_twice(gateways: list[PostgresLedger]) -> None:
    """Each row is there once, and the day has the seconds of both."""
    lives = [Life(secrets.token_hex(6), f"gw-{number + 1}", AT + 10.0 * number) for number in range(2)]

    async def scene() -> None:
        await asyncio.gather(*(live(ledger, life) for ledger, life in zip(gateways, lives, strict=True)))
        past = Past("gw-3", lambda: AT + 20.0)
        past.ledger = gateways[0]
        incidents = await past.incidents(Span(0.0, 9e9))
        assert (len(incidents.rows), incidents.complete) == (20, True)
        assert {row["gateway"] for row in incidents.rows} == {"gw-1", "gw-2"}
        (day,) = (await past.availability(Span(0.0, AT + 20.0))).rows
        assert (day["watched"], day["available"], day["reasons"]) == (20.0, 10.0, {"dead": 10.0})

    asyncio.run(scene())
