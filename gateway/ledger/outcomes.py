"""What is not known yet of payments, for a person: open outcomes, one key's story, and giving a key up.

Rule: a key is given up only while nothing of it ever left through us; then its coins are free, and it never signs
again.  Whoever was told the signed bytes can still broadcast them: only the person who orders it knows better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from gateway.ledger import marks
from gateway.ledger.epochs import current
from gateway.ledger.intents import UNKNOWN
from gateway.ledger.schema import holds, intents, keys, publications

OPEN_KEYS = ("in_progress", "signed", "published")
ENDED_KEYS = ("abandoned", "tombstone")


class CannotAbandonError(Exception):
    """The key cannot be given up; the text says why."""


@dataclass(frozen=True, slots=True)
class Story:
    """One key of one client and what it holds."""

    wallet: str
    client: str
    key_hash: str
    key: str | None
    """None once it is a tombstone."""
    method: str
    state: str
    epoch: int
    txid: str | None
    opened_at: float
    updated_at: float
    broadcast: str
    """The state of its publication; "" when it never left through us."""
    coins: int
    held: int
    """Satoshi."""


def unknown_intents(connection: Connection, wallet: str | None = None) -> Sequence[Row[Any]]:
    """Return the calls of which nobody knows how they ended, the oldest first."""
    found = select(intents).where(intents.c.state == UNKNOWN).order_by(intents.c.id)
    return connection.execute(found if wallet is None else found.where(intents.c.wallet == wallet)).all()


def unknown_publications(connection: Connection, wallet: str | None = None) -> Sequence[Row[Any]]:
    """Return the broadcasts that the chain has not spoken of, the oldest first."""
    found = select(publications).where(publications.c.state == "unknown").order_by(publications.c.first_at)
    return connection.execute(found if wallet is None else found.where(publications.c.wallet == wallet)).all()


def open_keys(connection: Connection, wallet: str | None = None, client: str | None = None) -> list[Story]:
    """Return the keys that are not settled, the oldest first."""
    found = select(keys).where(keys.c.state.in_(OPEN_KEYS)).order_by(keys.c.opened_at)
    return [_story(connection, row) for row in connection.execute(_narrow(found, wallet, client))]


def find(
    connection: Connection, key: str, wallet: str | None = None, client: str | None = None, hashed: str = ""
) -> list[Story]:
    """Return the keys that are written so, or whose hash or txid that is.

    Args:
        hashed: the hash of the text by this ledger's key, where it is known: finds keys whose text is gone.
    """
    by_hash = keys.c.key_hash.in_([key, hashed])
    found = select(keys).where(or_(keys.c.key == key, by_hash, keys.c.txid == key))
    return [_story(connection, row) for row in connection.execute(_narrow(found, wallet, client))]


def abandon(connection: Connection, story: Story, at: float) -> int:
    """Give a key up: its coins are released, and it never signs again.  Return how many coins that were.

    Args:
        story: as `find` returned it in the same transaction.
        at: seconds since 1970.

    Raises:
        CannotAbandonError: its bytes went out, it is being signed, or it has ended already.
    """
    _refuse(connection, story)
    this = (keys.c.wallet == story.wallet, keys.c.client == story.client, keys.c.key_hash == story.key_hash)
    ended = update(keys).where(*this, keys.c.state == story.state)
    connection.execute(ended.values(state="abandoned", key=None, result=None, updated_at=at))
    mine = (holds.c.wallet == story.wallet, holds.c.client == story.client, holds.c.key_hash == story.key_hash)
    coins = list(connection.scalars(select(holds.c.outpoint).where(*mine)))
    connection.execute(delete(holds).where(*mine))
    for outpoint in coins:
        # lifted on the daemons by whoever keeps their marks; a freeze of the owner's stays
        marks.put(connection, story.wallet, marks.FREEZE_UTXO, outpoint, marks.NONE, marks.GATEWAY, at)
    return len(coins)


def _refuse(connection: Connection, story: Story) -> None:
    """Say why a key cannot be given up.  Raises CannotAbandonError."""
    if story.broadcast not in ("", "rejected"):
        why = f"its transaction was broadcast through this gateway ({story.broadcast})"
        raise CannotAbandonError(f"{why}; it may be paid, so its coins stay held until the chain has spoken")
    if story.state in ENDED_KEYS:
        raise CannotAbandonError(f"it is {story.state} already and holds nothing")
    if story.state not in ("in_progress", "signed"):
        raise CannotAbandonError(f"it is {story.state}; only what never left can be given up")
    standing = current(connection, story.wallet)
    if story.state == "in_progress" and standing is not None and standing.epoch <= story.epoch:
        raise CannotAbandonError("it is being signed now; ask again in a minute, or after a restart of the gateway")


def _story(connection: Connection, row: Row[Any]) -> Story:
    sent = select(publications.c.state).where(publications.c.wallet == row.wallet, publications.c.txid == row.txid)
    mine = select(holds.c.value).where(
        holds.c.wallet == row.wallet, holds.c.client == row.client, holds.c.key_hash == row.key_hash
    )
    values = list(connection.scalars(mine))
    return Story(
        row.wallet, row.client, row.key_hash, row.key, row.method, row.state, row.epoch, row.txid,
        row.opened_at, row.updated_at, connection.scalar(sent) or "", len(values), sum(values),
    )  # fmt: skip


def _narrow(found: Any, wallet: str | None, client: str | None) -> Any:
    if wallet is not None:
        found = found.where(keys.c.wallet == wallet)
    return found if client is None else found.where(keys.c.client == client)
