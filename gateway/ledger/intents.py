"""Calls that may change something, written down before their first byte.

Rule: an intent that is still open after the process that opened it is gone has an unknown outcome; an answer is
given to a client only when closing its intent found the epoch that it was sent in.
"""

from sqlalchemy import Connection, insert, select, update

from gateway.ledger.epochs import is_current
from gateway.ledger.schema import intents

OPEN, ANSWERED, NOT_EXECUTED, UNKNOWN, WITHHELD, RESOLVED = (
    "open", "answered", "not_executed", "unknown", "withheld", "resolved",
)  # fmt: skip


def open_(
    connection: Connection, wallet: str, epoch: int, client: str, method: str, at: float, key_hash: str | None = None
) -> int:
    """Write down that a call is about to be made; return its number."""
    row = insert(intents).values(
        wallet=wallet, epoch=epoch, client=client, method=method, state=OPEN, opened_at=at, key_hash=key_hash
    )
    key = connection.execute(row).inserted_primary_key
    assert key is not None  # noqa: S101 - the table has one
    return int(key[0])


def close(
    connection: Connection, intent: int, state: str, epoch: int, at: float,
    backend: str, request: str, note: str = "", txid: str | None = None,
) -> bool:  # fmt: skip
    """Write down how a call ended; False when its answer belongs to an older epoch and must be withheld.

    Args:
        epoch: the wallet's when the call was sent; 0 when it was not.
    """
    wallet = connection.scalar(select(intents.c.wallet).where(intents.c.id == intent))
    counts = state != ANSWERED or is_current(connection, wallet or "", epoch)
    connection.execute(
        update(intents)
        .where(intents.c.id == intent)
        .values(
            state=state if counts else WITHHELD, epoch=epoch or intents.c.epoch, closed_at=at,
            backend=backend, request=request, note=note, txid=txid,
        )
    )  # fmt: skip
    return counts


def orphans(connection: Connection, wallet: str, at: float) -> list[tuple[int, str, str]]:
    """Mark what an earlier process left open as unknown; return number, client and method of each."""
    found = select(intents.c.id, intents.c.client, intents.c.method)
    rows = connection.execute(found.where(intents.c.wallet == wallet, intents.c.state == OPEN))
    left = [(int(number), str(client), str(method)) for number, client, method in rows]
    if left:
        connection.execute(
            update(intents)
            .where(intents.c.wallet == wallet, intents.c.state == OPEN)
            .values(state=UNKNOWN, closed_at=at, note="the gateway ended before it was answered")
        )
    return left
