"""What a person has to look at because the gateway cannot know it, and what he may say about it.

Rule: what is said here moves no money by itself.  A call of unknown outcome is closed with a note; a key that never
left, or that servers refused, is given up, and its coins are free; a broadcast is the chain's to settle, and bytes of
unknown fate are sent on.
What is listed takes three statements with a bound each, however much the ledger holds.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from gateway.ledger import marks, outcomes
from gateway.ledger.intents import RESOLVED, UNKNOWN, count_unknown
from gateway.ledger.outcomes import CannotAbandonError
from gateway.ledger.schema import intents
from gateway.rules.kinds import blot

MOST = 500
"""Of each kind that are listed; a wallet with more has another trouble."""

SIGNED_FOR = 60.0
"""Seconds after which a key that was signed and never broadcast is worth a look: clients broadcast at once."""

CALL, BROADCAST, KEY = "call", "broadcast", "key"


class NoOutcomeError(Exception):
    """There is none of that id; the text says where to look."""


class CannotResolveError(Exception):
    """Nothing can be said about it; the text says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """One call, broadcast or key whose end is not known.

    Args:
        id: call-NUMBER, broadcast-TXID or key-HASH-CLIENT.
        state: unknown, in_progress, signed or published.
        opened_at: seconds since 1970.
        note: what is known of it, without an address or a key.
    """

    wallet: str
    id: str
    client: str
    method: str
    opened_at: float
    state: str
    backend: str
    note: str


def unresolved(connection: Connection, at: float, wallet: str | None = None) -> list[Unresolved]:
    """Return what is open at `at`, seconds since 1970: calls, broadcasts, then keys; of each the oldest first."""
    found = [
        Unresolved(row.wallet, f"{CALL}-{row.id}", row.client, row.method, row.opened_at, row.state, row.backend,
                   _note(row.note, row.request))
        for row in outcomes.unknown_intents(connection, wallet, MOST)
    ]  # fmt: skip
    found += [
        Unresolved(row.wallet, f"{BROADCAST}-{row.txid}", row.client, "broadcast", row.first_at, row.state, "",
                   f"sent {row.tries} times; sent on until the chain has spoken")
        for row in outcomes.unknown_publications(connection, wallet, MOST)
    ]  # fmt: skip
    return found + [
        Unresolved(one.wallet, f"{KEY}-{one.key_hash}-{one.client}", one.client, one.method, one.opened_at, one.state,
                   "", f"{_left(one.broadcast)}; holds {one.coins} coins")
        for one in outcomes.never_sent(connection, at - SIGNED_FOR, wallet, MOST)
    ]  # fmt: skip


def resolve(
    connection: Connection, wallet: str, outcome: str, *, executed: bool, who: str, reason: str, at: float
) -> tuple[str, int]:
    """Take what a person says about an outcome; return a sentence, and how many calls are still unknown.

    Args:
        outcome: its id; executed: whether it was; who: says so, and why.
        at: seconds since 1970.

    Raises:
        NoOutcomeError: there is none of that id.
        CannotResolveError: nothing can be said about it.
    """
    kind, _, rest = outcome.partition("-")
    if kind == CALL and rest.isascii() and rest.isdigit() and len(rest) < 19:
        told = _resolve_call(connection, wallet, int(rest), who, reason, executed=executed)
    elif kind == KEY:
        told = _resolve_key(connection, wallet, rest, at, executed=executed)
    elif kind == BROADCAST and outcomes.is_unknown_publication(connection, wallet, rest):
        why = "its bytes are sent on until the chain has spoken, and nothing else may be done with its coins"
        raise CannotResolveError(f"a broadcast settles itself: {why}")
    else:
        raise NoOutcomeError(f"{wallet} has no open outcome of that id; see GET /api/v1/outcomes")
    return told, count_unknown(connection, wallet)


def _resolve_call(
    connection: Connection, wallet: str, number: int, who: str, reason: str, *, executed: bool
) -> str:  # fmt: skip
    row = connection.execute(
        select(intents.c.state).where(intents.c.id == number, intents.c.wallet == wallet)
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NoOutcomeError(f"{wallet} has no call {number}; see GET /api/v1/outcomes")
    if row.state != UNKNOWN:
        raise CannotResolveError(f"call {number} is {row.state}, and nothing is left to say about it")
    word = "executed" if executed else "not executed"
    note = f"{who} says that it was {word}{f': {reason}' if reason else ''}"
    connection.execute(update(intents).where(intents.c.id == number).values(state=RESOLVED, note=note))
    return f"call {number} of {wallet} is closed as {word}"


def _resolve_key(connection: Connection, wallet: str, rest: str, at: float, *, executed: bool) -> str:
    key_hash, _, client = rest.partition("-")
    stories = [one for one in outcomes.find(connection, key_hash, wallet, client) if one.key_hash == key_hash]
    if not stories:
        raise NoOutcomeError(f"{wallet} has no key of that id; see GET /api/v1/outcomes")
    if executed:
        way = "broadcast the signed bytes through this gateway"
        raise CannotResolveError(f"that a key was paid is seen on the chain: {way}, or say that it was not executed")
    try:
        coins = outcomes.abandon(connection, stories[0], at)
    except CannotAbandonError as error:
        raise CannotResolveError(f"the key cannot be given up: {error}") from None
    return f"a key of {client} is given up; {coins} coins are released, and it never signs again"


def _left(broadcast: str | None) -> str:
    return f"its broadcast was refused ({broadcast})" if broadcast else "never broadcast through this gateway"


def _note(note: str, request: str) -> str:
    """Return what is known of a call: a note that asks for a mark holds an address, or what a customer was told."""
    said = "asked for a label or a freeze" if note.startswith(marks.WANTS) else str(blot(note))
    return f"{said} (request {request})" if request else said
