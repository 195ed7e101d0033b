"""Calls that may change something, written down before their first byte.

Rule: an intent that is still open after the process that opened it is gone has an unknown outcome; an answer is
given to a client only when closing its intent found the epoch that it was sent in.  An intent that asks for a mark
says so in its note, so that the mark outlives the process that sent it.
"""

from sqlalchemy import Connection, func, insert, select, update

from gateway.ledger import marks
from gateway.ledger.epochs import is_current
from gateway.ledger.marks import Wish
from gateway.ledger.schema import intents

OPEN, ANSWERED, NOT_EXECUTED, UNKNOWN, WITHHELD, RESOLVED = (
    "open", "answered", "not_executed", "unknown", "withheld", "resolved",
)  # fmt: skip


def open_(
    connection: Connection, wallet: str, epoch: int, client: str, method: str, at: float, key_hash: str | None = None,
    note: str = "",
) -> int:  # fmt: skip
    """Write down that a call is about to be made; return its number."""
    row = insert(intents).values(
        wallet=wallet, epoch=epoch, client=client, method=method, state=OPEN, opened_at=at, key_hash=key_hash,
        note=note,
    )  # fmt: skip
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


def count_unknown(connection: Connection, wallet: str) -> int:
    """Return how many calls there are whose outcome nobody knows."""
    mine = (intents.c.wallet == wallet, intents.c.state == UNKNOWN)
    return connection.scalar(select(func.count()).select_from(intents).where(*mine)) or 0


def resolve_marks(connection: Connection, wallet: str, wish: Wish | None = None) -> int:
    """Close what asked for a mark and has no known end: its last value is known by now; return how many.

    Args:
        wish: for one mark alone; all of them when absent.
    """
    begins = marks.WANTS if wish is None else marks.same_mark(wish.kind, wish.key)
    # not LIKE, which takes capital letters and small ones for the same
    is_wish = func.substr(intents.c.note, 1, len(begins)) == begins
    left = (intents.c.wallet == wallet, intents.c.state == UNKNOWN, is_wish)
    note = "every daemon has the last value by now"
    return connection.execute(update(intents).where(*left).values(state=RESOLVED, note=note)).rowcount


def orphans(connection: Connection, wallet: str, at: float) -> list[tuple[int, str, str]]:
    """Mark what an earlier process left open as unknown; return number, client and method of each.

    A mark that one of them asked for is kept, for it may be on the daemon.
    """
    found = select(intents.c.id, intents.c.client, intents.c.method, intents.c.note)
    rows = connection.execute(
        found.where(intents.c.wallet == wallet, intents.c.state == OPEN).order_by(intents.c.id)
    ).all()
    for number, _, _, note in rows:
        wish = marks.read_wish(note)
        is_known = wish is not None and marks.is_overtaken(connection, wallet, wish)
        if wish is not None:
            marks.keep(connection, wallet, wish, at)
        ended = update(intents).where(intents.c.id == number)
        why = "the gateway ended before it was answered" if wish is None else note
        connection.execute(ended.values(state=RESOLVED if is_known else UNKNOWN, closed_at=at, note=why))
    return [(int(number), str(client), str(method)) for number, client, method, _ in rows]
