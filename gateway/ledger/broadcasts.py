"""Broadcasts: what was sent, what the chain said of it, and what it has not settled yet.

Rule: bytes are unknown from before their first one until the chain has spoken; what it has taken is not unknown again
because a daemon is silent, and six blocks are the last word.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from gateway.ledger import payments
from gateway.ledger.among import chunks, is_among
from gateway.ledger.intents import RESOLVED
from gateway.ledger.intents import UNKNOWN as INTENT_UNKNOWN
from gateway.ledger.marks import Change
from gateway.ledger.schema import holds, intents, keys, publications
from gateway.rules.payment import CONFIRMED, IN_PROGRESS, NOBODY, PUBLISHED

UNKNOWN, ACCEPTED, REJECTED, CONFLICT = "unknown", "accepted", "rejected", "conflict"
"""States of a publication; CONFIRMED is the fifth."""

AFTER_SILENCE = "an attempt before was not answered"
"""What stands with a refusal of bytes that may be out all the same: one server was silent, and others spoke later."""

UNSEEN = "no history had it an hour later"
"""What is added to a refusal once the histories of all daemons were looked at, and not before."""

WATCHED = 7 * 86_400.0
"""Seconds that such bytes are looked for in the histories, and so are bytes of others, which may pay this wallet; a
mempool forgets after three days or two weeks."""

SPENT, ORPHANED = "six blocks deep, another transaction spends its coins: ", "its parent can never be valid: "
"""What stands with a conflict that is the last word; the other transaction follows."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A broadcast."""

    txid: str
    hex: str
    state: str
    spends_own: bool
    tries: int
    first_at: float
    last_at: float
    answer: str
    client: str
    height: int

    @property
    def may_be_out(self) -> bool:
        """Whether somebody may have these bytes, whatever another server says of them now."""
        return self.state == UNKNOWN or (self.state in (REJECTED, CONFLICT) and self.answer.startswith(AFTER_SILENCE))

    @property
    def is_unseen(self) -> bool:
        """Whether it was refused, and no history had it an hour later."""
        return self.state in (REJECTED, CONFLICT) and self.answer.endswith(UNSEEN)

    @property
    def is_never(self) -> bool:
        """Whether it can never be valid."""
        return self.state == CONFLICT and self.was_never

    @property
    def was_never(self) -> bool:
        """Whether the chain has said so, also where somebody sends it once more."""
        return self.answer.startswith((SPENT, ORPHANED))


def _read(row: Row[Any]) -> Publication:
    columns = ("txid", "hex", "state", "spends_own", "tries", "first_at", "last_at", "answer", "client", "height")
    found = {name: getattr(row, name) for name in columns}
    return Publication(**(found | {"spends_own": bool(found["spends_own"])}))


def find_publication(connection: Connection, wallet: str, txid: str) -> Publication | None:
    """Return a broadcast, None when there was none."""
    mine = (publications.c.wallet == wallet, publications.c.txid == txid)
    row = connection.execute(select(publications).where(*mine)).one_or_none()
    return None if row is None else _read(row)


def publish(
    connection: Connection, wallet: str, txid: str, text: str, client: str, at: float, *, spends_own: bool
) -> Publication | None:
    """Note that bytes are about to be sent; return how they stood before, None when they are new.

    What the chain has taken stays accepted; anything else becomes unknown again.
    """
    before = find_publication(connection, wallet, txid)
    mine = (publications.c.wallet == wallet, publications.c.txid == txid)
    if before is None:
        values = {
            "wallet": wallet, "txid": txid, "hex": text, "state": UNKNOWN, "client": client,
            "spends_own": int(spends_own), "first_at": at, "last_at": at, "tries": 1,
        }  # fmt: skip
        connection.execute(insert(publications).values(values))
        return None
    changes: dict[str, object] = {"tries": before.tries + 1, "last_at": at, "hex": text}
    if spends_own:
        changes["spends_own"] = 1
    if before.state in (REJECTED, CONFLICT):
        changes |= {"state": UNKNOWN, "answer": before.answer if before.is_never else ""}
    connection.execute(update(publications).where(*mine).values(changes))
    return before


def unpublish(connection: Connection, wallet: str, txid: str, before: Publication | None) -> None:
    """Undo `publish`: nothing was sent."""
    mine = (publications.c.wallet == wallet, publications.c.txid == txid, publications.c.state == UNKNOWN)
    if before is None:
        connection.execute(delete(publications).where(*mine))
    else:
        values = {"state": before.state, "answer": before.answer, "last_at": before.last_at}
        connection.execute(update(publications).where(*mine).values(values))


def refuse_again(
    connection: Connection, wallet: str, txid: str, before: Publication | None, said: Collection[str]
) -> str:  # fmt: skip
    """Note that servers refuse what they refused before: nothing new, and the time since the first refusal goes on.

    Args:
        before: how it stood before it was sent.
        said: every state that an answer of this time led to.

    Returns:
        Its state; "" where there is something new, for `spoke`.
    """
    if before is None or before.state not in (REJECTED, CONFLICT) or before.was_never or not said:
        return ""
    if not before.may_be_out and set(said) != {before.state}:
        return ""
    # what one server misses another one's policy may hide
    state = CONFLICT if CONFLICT in said else before.state
    mine = (publications.c.wallet == wallet, publications.c.txid == txid, publications.c.state == UNKNOWN)
    values = {"state": state, "answer": before.answer, "last_at": before.last_at}
    return state if connection.execute(update(publications).where(*mine).values(values)).rowcount else ""


def spoke(
    connection: Connection, wallet: str, txid: str, state: str, at: float, answer: str = "", height: int = 0
) -> bool:
    """Note what was heard of a broadcast; False when that is nothing new.

    A transaction that is six blocks deep stays so, and one that was accepted is nothing else because one daemon is
    silent or knows its coins as spent, which they are, by itself.
    """
    mine = (publications.c.wallet == wallet, publications.c.txid == txid)
    told = select(publications.c.state, publications.c.height, publications.c.answer).where(*mine)
    before = connection.execute(told).one_or_none()
    if before is None or before.state == CONFIRMED:
        return False
    if before.state == ACCEPTED and state in (UNKNOWN, REJECTED, CONFLICT):
        return False
    if (before.state, before.height) == (state, height) and state == ACCEPTED:
        return False
    if state in (REJECTED, CONFLICT) and before.answer.startswith((SPENT, ORPHANED)):
        # one more refusal of what can never be valid
        state, answer = CONFLICT, before.answer
    connection.execute(update(publications).where(*mine).values(state=state, last_at=at, answer=answer, height=height))
    if state in (ACCEPTED, CONFIRMED):
        payments.raise_key(connection, wallet, txid, PUBLISHED if state == ACCEPTED else CONFIRMED, at)
    if state != UNKNOWN:
        ended = (intents.c.wallet == wallet, intents.c.txid == txid, intents.c.state == INTENT_UNKNOWN)
        connection.execute(update(intents).where(*ended).values(state=RESOLVED, note=f"the chain has spoken: {state}"))
    return True


def confirm(connection: Connection, wallet: str, txid: str, at: float) -> list[Change]:
    """Note that a transaction is six blocks deep: its coins need no hold any more."""
    spoke(connection, wallet, txid, CONFIRMED, at)
    payments.raise_key(connection, wallet, txid, CONFIRMED, at)
    return payments.release(connection, wallet, txid, at)


def seen(
    connection: Connection, wallet: str, txid: str, height: int, over: Collection[str], at: float, *, spends_own: bool
) -> list[Change]:
    """Note that a transaction is in a history.

    Args:
        height: of its block, 0 while it has none.
        over: coins that every daemon knows to be spent by it; they need no freeze.
        spends_own: it spends coins of the wallet, which was perhaps not known before.
    """
    spoke(connection, wallet, txid, ACCEPTED, at, height=height)
    payments.raise_key(connection, wallet, txid, PUBLISHED, at)
    if spends_own:
        mine = (publications.c.wallet == wallet, publications.c.txid == txid)
        connection.execute(update(publications).where(*mine).values(spends_own=1))
    return payments.lift(connection, wallet, over, at)


def unseen(connection: Connection, wallet: str, txid: str) -> list[Change]:
    """Note that an hour after servers refused a transaction no history has it: its key may be given up."""
    sent = find_publication(connection, wallet, txid)
    if sent is not None and sent.state in (REJECTED, CONFLICT) and not sent.is_unseen and not sent.was_never:
        mine = (publications.c.wallet == wallet, publications.c.txid == txid)
        answer = f"{sent.answer}; {UNSEEN}" if sent.answer else UNSEEN
        connection.execute(update(publications).where(*mine).values(answer=answer))
    return []


def lose(connection: Connection, wallet: str, txid: str, at: float) -> list[Change]:
    """Note that the chain lost a transaction that it had accepted: it is sent again."""
    mine = (publications.c.wallet == wallet, publications.c.txid == txid, publications.c.state == ACCEPTED)
    connection.execute(update(publications).where(*mine).values(state=UNKNOWN, last_at=at, height=0))
    return []


def never(
    connection: Connection, wallet: str, txid: str, by: str, at: float, *, is_parent: bool = False
) -> list[Change]:  # fmt: skip
    """Note that a transaction can never be valid: its coins are free, and its key may be signed anew.

    Args:
        by: the transaction that has a coin of it, or its parent.
        is_parent: that one can never be valid itself, and makes no coin.
    """
    changes = payments.release(connection, wallet, txid, at)
    mine = (publications.c.wallet == wallet, publications.c.txid == txid)
    note = f"{ORPHANED if is_parent else SPENT}{by}"
    connection.execute(update(publications).where(*mine).values(state=CONFLICT, answer=note, last_at=at))
    payments.free_for_good(connection, wallet, txid, at)
    ended = (intents.c.wallet == wallet, intents.c.txid == txid, intents.c.state == INTENT_UNKNOWN)
    connection.execute(update(intents).where(*ended).values(state=RESOLVED, note=note))
    return changes


def dead(connection: Connection, wallet: str, txids: Collection[str]) -> set[str]:
    """Return those of some transactions that can never be valid; what spends their coins cannot be either."""
    found: set[str] = set()
    for some in chunks(txids):
        sent = (publications.c.wallet == wallet, is_among(publications.c.txid, some), publications.c.state == CONFLICT)
        notes = or_(publications.c.answer.startswith(SPENT), publications.c.answer.startswith(ORPHANED))
        found.update(connection.scalars(select(publications.c.txid).where(*sent, notes)))
        signed = (keys.c.wallet == wallet, is_among(keys.c.txid, some), keys.c.epoch == NOBODY)
        found.update(connection.scalars(select(keys.c.txid).where(*signed, keys.c.state == IN_PROGRESS)))
    return found


def required(connection: Connection, wallet: str) -> list[str]:
    """Return the transactions that whoever signs must have in his history."""
    own = (publications.c.wallet == wallet, publications.c.spends_own == 1)
    found = list(connection.scalars(select(publications.c.txid).where(*own, publications.c.state == ACCEPTED)))
    last = select(publications.c.txid).where(*own, publications.c.state.in_((ACCEPTED, CONFIRMED)))
    newest = connection.scalar(last.order_by(publications.c.first_at.desc(), publications.c.txid).limit(1))
    return found if newest is None or newest in found else [*found, newest]


# -- what has to be followed ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Followed:
    """A transaction that holds coins, or was broadcast and is not settled."""

    txid: str
    state: str
    """Of its publication, "" without one."""
    coins: dict[str, int]
    since: float
    publication: Publication | None
    is_frozen: bool
    """Some freeze of ours on its coins lasts."""


def followed(connection: Connection, wallet: str, at: float) -> list[Followed]:
    """Return what the chain has not settled yet, the oldest first."""
    is_refused, is_young = publications.c.state.in_((REJECTED, CONFLICT)), publications.c.last_at > at - WATCHED
    unsettled = or_(
        and_(is_refused, publications.c.answer.startswith(AFTER_SILENCE), is_young),
        publications.c.state == UNKNOWN,
        and_(publications.c.state == ACCEPTED, or_(publications.c.spends_own == 1, is_young)),
        publications.c.txid.in_(select(holds.c.txid).where(holds.c.wallet == wallet)),
    )
    rows = connection.execute(select(publications).where(publications.c.wallet == wallet, unsettled))
    broadcasts = {str(row.txid): _read(row) for row in rows}
    coins: dict[str, dict[str, int]] = {}
    since: dict[str, float] = {}
    for row in connection.execute(select(holds).where(holds.c.wallet == wallet).order_by(holds.c.since)):
        coins.setdefault(row.txid, {})[row.outpoint] = row.value
        since.setdefault(row.txid, row.since)
    lasting = payments.freezes(connection, wallet, [one for some in coins.values() for one in some])
    found = []
    for txid in {**coins, **broadcasts}:
        sent, mine = broadcasts.get(txid), coins.get(txid, {})
        began = since.get(txid, sent.first_at if sent else 0.0)
        is_frozen = any(lasting.get(one) for one in mine)
        found.append(Followed(txid, sent.state if sent else "", mine, began, sent, is_frozen))
    return sorted(found, key=lambda one: (one.since, one.txid))


def name_intent(connection: Connection, intent: int, txid: str) -> None:
    """Write the transaction to the intent of its broadcast, for whoever finds it open."""
    connection.execute(update(intents).where(intents.c.id == intent).values(txid=txid))


def resolve_left(connection: Connection, wallet: str, methods: Sequence[str]) -> int:
    """Close intents of unknown outcome that are known after all; return how many.

    Args:
        methods: those that only sign: a signature that nobody was told changes nothing.
    """
    left = (intents.c.wallet == wallet, intents.c.state == INTENT_UNKNOWN)
    note = "nobody was told a signature, and to sign changes nothing"
    signing = update(intents).where(*left, intents.c.method.in_(methods)).values(state=RESOLVED, note=note)
    spoken = select(publications.c.txid).where(publications.c.wallet == wallet, publications.c.state != UNKNOWN)
    sending = update(intents).where(*left, intents.c.txid.in_(spoken))
    sending = sending.values(state=RESOLVED, note="the chain has spoken")
    return connection.execute(signing).rowcount + connection.execute(sending).rowcount
