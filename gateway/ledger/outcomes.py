"""What is not known yet of payments, for a person: open outcomes, one key's story, and giving a key up.

Rule: a key is given up only where nothing of it ever left through us, or where servers refused what left and no history
has had it since; then its coins are free, and it never signs again.  Whoever was told the signed bytes can still
broadcast them: only the person who orders it knows better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, func, or_, select, update

from gateway.ledger import marks
from gateway.ledger.broadcasts import find_publication
from gateway.ledger.epochs import current
from gateway.ledger.intents import UNKNOWN
from gateway.ledger.schema import holds, intents, keys, publications, wallets
from gateway.rules.following import LOOKED_FOR

UNSENT_KEYS = ("in_progress", "signed")
OPEN_KEYS = (*UNSENT_KEYS, "published")
ENDED_KEYS = ("abandoned", "tombstone")
REFUSED = ("rejected", "conflict")
"""What servers said of bytes that left and that they do not have."""


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
    broadcast_at: float
    """When that was heard first."""
    may_be_out: bool
    """An attempt was not answered, or a coin is spent, perhaps by the bytes themselves, or servers had them before."""
    is_unseen: bool
    """The gateway has looked at the histories an hour after that, and none had it."""
    coins: int
    held: int
    """Satoshi."""


def unknown_intents(
    connection: Connection, wallet: str | None = None, most: int | None = None
) -> Sequence[Row[Any]]:  # fmt: skip
    """Return the calls of which nobody knows how they ended, the oldest first, at most so many."""
    found = select(intents).where(intents.c.state == UNKNOWN).order_by(intents.c.id).limit(most)
    return connection.execute(found.where(_of(intents, wallet))).all()


def unknown_publications(
    connection: Connection, wallet: str | None = None, most: int | None = None
) -> Sequence[Row[Any]]:  # fmt: skip
    """Return the broadcasts that the chain has not spoken of, the bytes left out, the oldest first, at most so many."""
    told = [column for column in publications.c if column.name != "hex"]
    found = select(*told).where(publications.c.state == "unknown").order_by(publications.c.first_at).limit(most)
    return connection.execute(found.where(_of(publications, wallet))).all()


def is_unknown_publication(connection: Connection, wallet: str, txid: str) -> bool:
    """Whether the chain has not spoken of a broadcast."""
    this = (publications.c.wallet == wallet, publications.c.txid == txid, publications.c.state == "unknown")
    return connection.execute(select(publications.c.txid).where(*this)).first() is not None


def open_keys(connection: Connection, wallet: str | None = None, client: str | None = None) -> list[Story]:
    """Return the keys that are not settled, the oldest first."""
    found = select(keys).where(keys.c.state.in_(OPEN_KEYS)).order_by(keys.c.opened_at)
    return [_story(connection, row) for row in connection.execute(_narrow(found, wallet, client))]


def never_sent(connection: Connection, before: float, wallet: str | None, most: int) -> Sequence[Row[Any]]:
    """Return the keys that are not settled and that a person may give up, the oldest first, with their `coins`.

    Nothing of them left through us (`broadcast` is none), or servers refused what left.

    Args:
        before: seconds since 1970; keys that changed later are left out.
        most: how many at the most; all of it is one statement, whatever else the ledger holds.
    """
    sent = and_(publications.c.wallet == keys.c.wallet, publications.c.txid == keys.c.txid)
    told = (
        keys.c.wallet, keys.c.client, keys.c.key_hash, keys.c.method, keys.c.state, keys.c.opened_at,
        publications.c.state.label("broadcast"),
    )  # fmt: skip
    never_left = and_(keys.c.state.in_(UNSENT_KEYS), publications.c.txid.is_(None))
    # what can never be valid ends so: its key is in progress by then, and free to sign anew
    was_refused = and_(keys.c.state.in_(("signed", "published")), publications.c.state.in_(REFUSED))
    is_refused = and_(was_refused, publications.c.last_at <= before - LOOKED_FOR)
    left = (
        select(*told)
        .outerjoin(publications, sent)
        .where(keys.c.updated_at <= before, or_(never_left, is_refused))
        .order_by(keys.c.opened_at)
        .limit(most)
    )
    few = _narrow(left, wallet, None).subquery()
    mine = and_(
        holds.c.wallet == few.c.wallet, holds.c.client == few.c.client, holds.c.key_hash == few.c.key_hash
    )  # fmt: skip
    found = select(few, func.count(holds.c.outpoint).label("coins")).select_from(few.outerjoin(holds, mine))
    return connection.execute(found.group_by(*few.c).order_by(few.c.opened_at)).all()


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
    _refuse(connection, story, at)
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


def _refuse(connection: Connection, story: Story, at: float) -> None:
    """Say why a key cannot be given up.  Raises CannotAbandonError."""
    if story.state in ENDED_KEYS:
        raise CannotAbandonError(f"it is {story.state} already and holds nothing")
    is_refused = story.broadcast in REFUSED
    if story.broadcast and not is_refused:
        why = f"its transaction was broadcast through this gateway ({story.broadcast})"
        raise CannotAbandonError(f"{why}; it may be paid, so its coins stay held until the chain has spoken")
    if story.state not in UNSENT_KEYS and not (story.state == "published" and is_refused):
        raise CannotAbandonError(f"it is {story.state}; only what never left, or what was refused, can be given up")
    if is_refused and story.may_be_out and not story.is_unseen:
        left = story.broadcast_at + LOOKED_FOR - at
        why = f"servers refuse its transaction now ({story.broadcast}), and yet some server may have it"
        if left > 0:
            minutes = math.ceil(left / 60)
            raise CannotAbandonError(f"{why}; the histories are looked at for another {minutes} min, ask again then")
        # what holds no coin of the wallet is in no history of it, whoever looks
        if story.coins:
            way = "let the gateway run with a daemon in service, and ask again in some minutes"
            raise CannotAbandonError(f"{why}; since an hour after that nobody has looked at the histories: {way}")
    standing = current(connection, story.wallet)
    if story.state == "in_progress" and standing is not None and standing.epoch <= story.epoch:
        raise CannotAbandonError("it is being signed now; ask again in a minute, or after a restart of the gateway")


def _story(connection: Connection, row: Row[Any]) -> Story:
    sent = None if row.txid is None else find_publication(connection, row.wallet, row.txid)
    may_be_out = row.state == "published" or (sent is not None and (sent.state == "conflict" or sent.may_be_out))
    mine = select(holds.c.value).where(
        holds.c.wallet == row.wallet, holds.c.client == row.client, holds.c.key_hash == row.key_hash
    )
    values = list(connection.scalars(mine))
    return Story(
        row.wallet, row.client, row.key_hash, row.key, row.method, row.state, row.epoch, row.txid,
        row.opened_at, row.updated_at, "" if sent is None else sent.state, 0.0 if sent is None else sent.last_at,
        may_be_out, sent is not None and sent.is_unseen, len(values), sum(values),
    )  # fmt: skip


def _of(table: Table, wallet: str | None) -> ColumnElement[bool]:
    """Return which rows are of a wallet, or of any: these are named one by one, for the index begins with the name."""
    return table.c.wallet.in_(select(wallets.c.name)) if wallet is None else table.c.wallet == wallet


def _narrow(found: Any, wallet: str | None, client: str | None) -> Any:
    if wallet is not None:
        found = found.where(keys.c.wallet == wallet)
    return found if client is None else found.where(keys.c.client == client)
