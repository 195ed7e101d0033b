"""Keys, held coins, and what was spent.

Rule: a key moves from one state to the next only where it still is in the state, and in the epoch, in which the mover
saw it; a coin is held for one transaction; and what was given up or ended keeps its hash and txid for ever.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from gateway.ledger import marks
from gateway.ledger.among import chunks, is_among
from gateway.ledger.marks import FREEZE_UTXO, FROZEN, GATEWAY, NONE, Change
from gateway.ledger.schema import holds, keys, publications, spending
from gateway.ledger.schema import marks as rows
from gateway.rules.payment import ABANDONED, CONFIRMED, IN_PROGRESS, NOBODY, PUBLISHED, SIGNED, TOMBSTONE, Key

# -- keys -----------------------------------------------------------------------------------------------------


def _this(wallet: str, client: str, key_hash: str) -> tuple[ColumnElement[bool], ...]:
    return keys.c.wallet == wallet, keys.c.client == client, keys.c.key_hash == key_hash


def find_key(connection: Connection, wallet: str, client: str, key_hash: str) -> Key | None:
    """Return a key, None when it was never seen."""
    row = connection.execute(select(keys).where(*_this(wallet, client, key_hash))).one_or_none()
    return None if row is None else Key(row.state, row.params_mac, row.epoch, row.result, row.txid)


def begin_key(
    connection: Connection, wallet: str, client: str, key_hash: str,
    key: str, mac: str, method: str, epoch: int, at: float, before: Key | None,
) -> bool:  # fmt: skip
    """Note that a key is being signed; False when somebody else was faster.

    Args:
        before: as it was found in this transaction.
    """
    if before is None:
        connection.execute(
            insert(keys).values(
                wallet=wallet, client=client, key_hash=key_hash, key=key, params_mac=mac, method=method,
                state=IN_PROGRESS, epoch=epoch, opened_at=at, updated_at=at,
            )
        )  # fmt: skip
        return True
    seen = (*_this(wallet, client, key_hash), keys.c.state == IN_PROGRESS, keys.c.epoch == before.epoch)
    done = connection.execute(update(keys).where(*seen).values(epoch=epoch, method=method, txid=None, updated_at=at))
    return done.rowcount == 1


def free_key(connection: Connection, wallet: str, client: str, key_hash: str, epoch: int) -> None:
    """Forget a key that nothing was signed with."""
    mine = (*_this(wallet, client, key_hash), keys.c.state == IN_PROGRESS, keys.c.epoch == epoch)
    connection.execute(delete(keys).where(*mine))


def bind_key(
    connection: Connection, wallet: str, client: str, key_hash: str,
    epoch: int, result: str, txid: str, spent: int, at: float,
) -> bool:  # fmt: skip
    """Store what was signed with a key; False when it is no longer being signed in that epoch."""
    mine = (*_this(wallet, client, key_hash), keys.c.state == IN_PROGRESS, keys.c.epoch == epoch)
    values = {"state": SIGNED, "result": result, "txid": txid, "spent": spent, "updated_at": at}
    return connection.execute(update(keys).where(*mine).values(values)).rowcount == 1


def raise_key(connection: Connection, wallet: str, txid: str, state: str, at: float) -> None:
    """Note how far the transaction of a key has come; it never goes back."""
    before = (SIGNED,) if state == PUBLISHED else (SIGNED, PUBLISHED)
    mine = (keys.c.wallet == wallet, keys.c.txid == txid, keys.c.state.in_(before))
    connection.execute(update(keys).where(*mine).values(state=state, updated_at=at))


def free_for_good(connection: Connection, wallet: str, txid: str, at: float) -> None:
    """Let the key of a transaction that can never be valid be signed anew."""
    live = (keys.c.wallet == wallet, keys.c.txid == txid, keys.c.state.in_((SIGNED, PUBLISHED)))
    values = {"state": IN_PROGRESS, "epoch": NOBODY, "result": None, "updated_at": at}
    connection.execute(update(keys).where(*live).values(values))


def was_given_up(connection: Connection, wallet: str, txid: str) -> bool:
    """Whether a transaction belongs to a key that an operator gave up: its coins may be another payment's by now.

    Not where another key was bound to the same bytes since: a wallet that signs the same payment with the same coins
    makes the same transaction, and whoever was told it with that key may send it.
    """
    return _has(connection, wallet, txid, (ABANDONED,)) and not is_bound(connection, wallet, txid)


def is_bound(connection: Connection, wallet: str, txid: str) -> bool:
    """Whether a transaction is some key's, and that was not given up."""
    return _has(connection, wallet, txid, (SIGNED, PUBLISHED, CONFIRMED, TOMBSTONE))


def _has(connection: Connection, wallet: str, txid: str, states: Collection[str]) -> bool:
    mine = (keys.c.wallet == wallet, keys.c.txid == txid, keys.c.state.in_(states))
    return connection.scalar(select(keys.c.key_hash).where(*mine).limit(1)) is not None


# -- coins ----------------------------------------------------------------------------------------------------


def held(connection: Connection, wallet: str, outpoints: Collection[str]) -> list[str]:
    """Return those of some coins that are held.

    Bytes that were just signed may not spend one, not even where they are the very bytes that hold it: whoever asks
    without the key wants another payment than the one that has them.
    """
    found: list[str] = []
    for some in chunks(outpoints):
        mine = (holds.c.wallet == wallet, is_among(holds.c.outpoint, some))
        found += connection.scalars(select(holds.c.outpoint).where(*mine))
    return found


def all_held(connection: Connection, wallet: str) -> list[str]:
    """Return every coin that is held."""
    return list(connection.scalars(select(holds.c.outpoint).where(holds.c.wallet == wallet)))


def hold(
    connection: Connection, wallet: str, txid: str, coins: Mapping[str, int], at: float,
    client: str = "", key_hash: str | None = None,
) -> None:  # fmt: skip
    """Hold coins (satoshi by outpoint) for a transaction, but for those that are held already."""
    taken = set(held(connection, wallet, coins))
    rows_of_it = [
        {
            "wallet": wallet, "outpoint": outpoint, "txid": txid, "client": client, "key_hash": key_hash,
            "value": value, "since": at,
        }
        for outpoint, value in coins.items()
        if outpoint not in taken
    ]  # fmt: skip
    if rows_of_it:
        connection.execute(insert(holds), rows_of_it)


def release(connection: Connection, wallet: str, txid: str, at: float) -> list[Change]:
    """Hold the coins of a transaction no longer; freezes of ours are lifted, the owner's stay."""
    changes = lift(connection, wallet, coins_of(connection, wallet, txid), at)
    connection.execute(delete(holds).where(holds.c.wallet == wallet, holds.c.txid == txid))
    return changes


def release_unkeyed(connection: Connection, wallet: str, txid: str, at: float) -> list[Change]:
    """The same for coins that only a broadcast holds and no key: the bytes were not sent, or not taken."""
    mine = (holds.c.wallet == wallet, holds.c.txid == txid, holds.c.key_hash.is_(None))
    changes = lift(connection, wallet, list(connection.scalars(select(holds.c.outpoint).where(*mine))), at)
    connection.execute(delete(holds).where(*mine))
    return changes


def release_foreign(connection: Connection, wallet: str, txid: str, at: float) -> list[Change]:
    """The same for bytes that turned out to be others': also what a key held because nobody could say whose it is."""
    mine = (holds.c.wallet == wallet, holds.c.txid == txid, or_(holds.c.key_hash.is_(None), holds.c.value == 0))
    changes = lift(connection, wallet, list(connection.scalars(select(holds.c.outpoint).where(*mine))), at)
    connection.execute(delete(holds).where(*mine))
    return changes


def coins_of(connection: Connection, wallet: str, txid: str) -> dict[str, int]:
    """Return what is held for a transaction: satoshi by outpoint, 0 where nobody knows whose a coin is."""
    mine = select(holds.c.outpoint, holds.c.value).where(holds.c.wallet == wallet, holds.c.txid == txid)
    return {str(row.outpoint): int(row.value) for row in connection.execute(mine)}


def freeze(connection: Connection, wallet: str, outpoints: Iterable[str], at: float) -> list[Change]:
    """Note that coins are frozen by us, unless their owner froze them himself."""
    put = (marks.put(connection, wallet, FREEZE_UTXO, one, FROZEN, GATEWAY, at) for one in outpoints)
    return [change for change in put if change is not None]


def lift(connection: Connection, wallet: str, outpoints: Collection[str], at: float) -> list[Change]:
    """Note that freezes of ours are over."""
    frozen = [one for one, lasts in freezes(connection, wallet, outpoints).items() if lasts]
    put = (marks.put(connection, wallet, FREEZE_UTXO, one, NONE, GATEWAY, at) for one in frozen)
    return [change for change in put if change is not None]


def freezes(connection: Connection, wallet: str, outpoints: Collection[str]) -> dict[str, bool]:
    """Return those of some coins that we froze, and whether the freeze lasts or was lifted."""
    found: dict[str, bool] = {}
    for some in chunks(outpoints):
        ours = (rows.c.wallet == wallet, rows.c.kind == FREEZE_UTXO, rows.c.owner == GATEWAY)
        frozen = select(rows.c.key, rows.c.value).where(*ours, is_among(rows.c.key, some))
        found |= {str(row.key): bool(row.value) for row in connection.execute(frozen)}
    return found


# -- spending -------------------------------------------------------------------------------------------------


def spent_on(connection: Connection, wallet: str, client: str, day: int, without: str) -> int:
    """Return the satoshi that a client took out in a day, but for one transaction."""
    mine = (spending.c.wallet == wallet, spending.c.client == client, spending.c.day == day)
    # a sum of large integers is a Decimal on PostgreSQL
    return int(connection.scalar(select(func.sum(spending.c.satoshi)).where(*mine, spending.c.txid != without)) or 0)


def count_spending(connection: Connection, wallet: str, client: str, txid: str, day: int, satoshi: int) -> None:
    """Count what a transaction takes out, once; signed again on another day it counts on the day of the last time."""
    mine = (spending.c.wallet == wallet, spending.c.client == client, spending.c.txid == txid)
    if connection.execute(update(spending).where(*mine).values(day=day, satoshi=satoshi)).rowcount == 0:
        values = {"wallet": wallet, "client": client, "txid": txid, "day": day, "satoshi": satoshi}
        connection.execute(insert(spending).values(values))


def was_signed_here(connection: Connection, wallet: str, txid: str) -> bool:
    """Whether a transaction is known to spend coins of this wallet: it was signed here, and counted."""
    mine = (spending.c.wallet == wallet, spending.c.txid == txid)
    return connection.scalar(select(spending.c.txid).where(*mine).limit(1)) is not None


# -- what clients ask -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key, for its client."""

    state: str
    txid: str | None
    method: str
    epoch: int
    spent: int
    opened_at: float
    updated_at: float
    has_heir: bool = False
    """It was given up, and its bytes are another key's now."""


def key_facts(
    connection: Connection, wallet: str, client: str, *, key_hash: str | None = None, txid: str | None = None
) -> KeyFacts | None:
    """Return a client's key by its hash or by its transaction; of several the one that was not given up."""
    which = keys.c.key_hash == key_hash if key_hash is not None else keys.c.txid == txid
    found = select(keys).where(keys.c.wallet == wallet, keys.c.client == client, which)
    order = ((keys.c.state == ABANDONED).asc(), keys.c.opened_at.desc())
    row = connection.execute(found.order_by(*order).limit(1)).one_or_none()
    if row is None:
        return None
    has_heir = row.state == ABANDONED and row.txid is not None and is_bound(connection, wallet, row.txid)
    return KeyFacts(row.state, row.txid, row.method, row.epoch, row.spent, row.opened_at, row.updated_at, has_heir)


def missing_parent(connection: Connection, wallet: str, txid: str) -> tuple[str, str] | None:
    """Return a transaction that makes a coin which is held for another one, and that the chain does not have.

    That is its txid and state: `signed` and never sent, `abandoned`, `unknown`, `rejected` or `conflict`.
    """
    for parent in sorted({coin.partition(":")[0] for coin in coins_of(connection, wallet, txid)}):
        mine = (publications.c.wallet == wallet, publications.c.txid == parent)
        sent = connection.scalar(select(publications.c.state).where(*mine))
        if sent in ("unknown", "rejected", "conflict"):
            return parent, str(sent)
        if sent is None and was_given_up(connection, wallet, parent):
            return parent, ABANDONED
        if sent is None and _has(connection, wallet, parent, (SIGNED,)):
            return parent, SIGNED
    return None


def is_of_client(connection: Connection, wallet: str, client: str, txid: str) -> bool:
    """Whether a client signed or broadcast a transaction here."""
    signed = select(spending.c.txid).where(
        spending.c.wallet == wallet, spending.c.client == client, spending.c.txid == txid
    )
    sent = select(publications.c.txid).where(
        publications.c.wallet == wallet, publications.c.client == client, publications.c.txid == txid
    )
    return connection.scalar(signed) is not None or connection.scalar(sent) is not None
