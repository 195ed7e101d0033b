"""Labels and freezes, as their last value, for every daemon of a wallet.

Rule: each change has a time of its own, later than every earlier one of its wallet, so that a daemon is brought up
by one number and in the order in which it happened.  A freeze that a client wants is never lifted by the gateway.
What a client asked for and nobody knows the end of is made true on every daemon, unless somebody wanted otherwise
since: a daemon that may have it is never left alone with it.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from gateway.ledger.schema import holds, marks

LABEL, FREEZE, FREEZE_UTXO = "label", "freeze", "freeze_utxo"

FREEZES = (FREEZE, FREEZE_UTXO)
LABELS = (LABEL,)

CLIENT, GATEWAY = "client", "gateway"

FROZEN, NONE = "1", ""
"""Values of a freeze; a label that is none is "" too."""

STEP = 1e-6
"""Seconds between two changes at the least; the clock may stand still or be set back."""

MOST_KEY = 200
"""Characters of a key, as the column has them."""

WANTS = "wants "
"""How the note of an intent begins that asks for a mark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The last value of one label or freeze."""

    kind: str
    key: str
    """What is marked, as the daemon takes it: an address, an outpoint, a txid."""
    value: str
    owner: str
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """A mark that was written, and the time of the newest one before it."""

    mark: Mark
    before: float


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call asks for, and when that mark changed last before it."""

    kind: str
    key: str
    value: str
    before: float = 0.0

    def note(self) -> str:
        """Return it as the note of the intent that carries it."""
        return WANTS + msgspec.json.encode([self.kind, self.key, self.value, self.before]).decode()


def read_wish(note: str) -> Wish | None:
    """Return what the note of an intent asks for; None where it is about something else."""
    if not note.startswith(WANTS):
        return None
    return Wish(*msgspec.json.decode(note[len(WANTS) :], type=tuple[str, str, str, float]))


def same_mark(kind: str, key: str) -> str:
    """Return how the notes of all wishes for one mark begin, whatever their value."""
    return WANTS + msgspec.json.encode([kind, key]).decode()[:-1] + ","


def put(
    connection: Connection, wallet: str, kind: str, key: str, value: str, owner: str, at: float
) -> Change | None:  # fmt: skip
    """Write the last value of a mark; None where a client's freeze stays as the client wants it.

    Args:
        value: the label, `1` for frozen, "" for none.
        owner: `client` or `gateway`.
        at: seconds since 1970; moved behind the newest change where it is not later.
    """
    here = _here(wallet, kind, key)
    found = connection.execute(select(marks.c.value, marks.c.owner).where(*here)).one_or_none()
    if owner == GATEWAY and found is not None and found.owner == CLIENT and found.value:
        return None
    if owner == GATEWAY and not value and (found is None or found.owner == CLIENT):
        return None
    return _write(connection, wallet, Mark(kind, key, value, owner, at))


def changed_at(connection: Connection, wallet: str, kind: str, key: str) -> float:
    """Return when a mark changed last; 0.0 where there is none."""
    return connection.scalar(select(marks.c.at).where(*_here(wallet, kind, key))) or 0.0


def is_overtaken(connection: Connection, wallet: str, wish: Wish) -> bool:
    """Whether somebody else changed a mark since a call asked for it."""
    return changed_at(connection, wallet, wish.kind, wish.key) != wish.before


def keep(connection: Connection, wallet: str, wish: Wish, at: float) -> Change | None:
    """Write down what a call asked for that may have been done on one daemon, so that it comes to all of them.

    Where somebody wanted otherwise since, that counts, and comes to every daemon once more: the call may have been run
    after it.  A coin that is held for a payment by now is not lifted.
    """
    found = connection.execute(select(marks).where(*_here(wallet, wish.kind, wish.key))).one_or_none()
    if (found.at if found is not None else 0.0) != wish.before:
        if found is None:
            return None
        return _write(connection, wallet, Mark(wish.kind, wish.key, found.value, found.owner, at))
    if wish.kind == FREEZE_UTXO and not wish.value and is_held(connection, wallet, outpoint(wish.key)):
        return None
    return put(connection, wallet, wish.kind, wish.key, wish.value, CLIENT, at)


def _here(wallet: str, kind: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return (marks.c.wallet == wallet, marks.c.kind == kind, marks.c.key == key)


def _write(connection: Connection, wallet: str, mark: Mark) -> Change:
    """Write a mark at its time, moved behind the newest change where it is not later."""
    before = newest(connection, wallet, (*FREEZES, *LABELS))
    at = max(mark.at, before + STEP)
    last = {"value": mark.value, "owner": mark.owner, "at": at}
    if connection.execute(update(marks).where(*_here(wallet, mark.kind, mark.key)).values(**last)).rowcount == 0:
        connection.execute(insert(marks).values(wallet=wallet, kind=mark.kind, key=mark.key, **last))
    return Change(Mark(mark.kind, mark.key, mark.value, mark.owner, at), before)


def changed_since(
    connection: Connection, wallet: str, kinds: Collection[str], at: float, most: int | None = None
) -> list[Mark]:
    """Return the marks of some kinds that changed after a time, oldest change first.

    Args:
        most: how many are wanted; more come only where several changed at one time.
    """
    found = select(marks).where(marks.c.wallet == wallet, marks.c.kind.in_(kinds), marks.c.at > at)
    rows = connection.execute(found.order_by(marks.c.at).limit(most)).all()
    if most is not None and len(rows) == most:
        # of changes at one time all are returned or none, so that the last time says where to go on
        rows = connection.execute(found.where(marks.c.at <= rows[-1].at).order_by(marks.c.at)).all()
    return [Mark(row.kind, row.key, row.value, row.owner, row.at) for row in rows]


def every(connection: Connection, wallet: str) -> list[Mark]:
    """Return all marks of a wallet, oldest change first."""
    return changed_since(connection, wallet, (*FREEZES, *LABELS), 0.0)


def newest(connection: Connection, wallet: str, kinds: Collection[str]) -> float:
    """Return when a mark of some kinds changed last; 0.0 where there is none."""
    last = select(func.max(marks.c.at))
    # one kind at a time is one step in an index, all of them together would be a walk
    found = (connection.scalar(last.where(marks.c.wallet == wallet, marks.c.kind == kind)) for kind in kinds)
    return max((at for at in found if at is not None), default=0.0)


def outpoint(coin: str) -> str:
    """Return an outpoint as the ledger writes it: txid in small letters, a plain number."""
    txid, _, number = coin.strip().rpartition(":")
    return f"{txid.lower()}:{int(number)}" if number.isascii() and number.isdigit() else coin


def is_held(connection: Connection, wallet: str, coin: str) -> bool:
    """Whether the gateway holds a coin because signed or published bytes spend it."""
    held = select(holds.c.txid).where(holds.c.wallet == wallet, holds.c.outpoint == coin)
    return connection.scalar(held) is not None


def prune(connection: Connection, wallet: str, before: float) -> int:
    """Forget marks that are none since before a time; return how many.

    A daemon that was away for longer may keep what was lifted meanwhile, so this is for months and not for days.
    """
    old = delete(marks).where(marks.c.wallet == wallet, marks.c.value == NONE, marks.c.at < before)
    return connection.execute(old).rowcount
