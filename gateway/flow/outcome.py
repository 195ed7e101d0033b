"""`gateway.outcome`: what became of a key or of a transaction, for the client whose it is.

Rule: the answer comes from the ledger alone, so it is the same whatever daemons say at this moment; it ends in what the
client should do next, and a key that is not known here is said to be free, unless this ledger may have lost keys.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import INVALID_PARAMS, READ_ONLY, Failure, Kind
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.ledger import broadcasts, payments
from gateway.ledger.broadcasts import ACCEPTED, CONFLICT, REJECTED, Publication
from gateway.ledger.payments import KeyFacts
from gateway.ledger.store import Ledger, LedgerError
from gateway.rules.payment import (
    ABANDONED,
    CONFIRMED,
    DEEP,
    IN_PROGRESS,
    NOBODY,
    PUBLISHED,
    SIGNED,
    TOMBSTONE,
    check_key,
    coins,
    hash_of,
)

USAGE = 'gateway.outcome takes {"key": "..."} or {"txid": "..."}, one of the two'

NEXT = {
    "unknown_here": "nothing of it is known here",
    "in_progress": "ask again in a moment, or send the same call with the same key",
    "signed": "broadcast it; the same call with the same key gives the same bytes",
    "unknown": "wait: the same bytes are sent again until the chain has spoken; sending them again yourself is safe",
    "accepted": "wait for confirmations; nothing else to do",
    "published": "wait for confirmations; nothing else to do",
    "confirmed": "nothing; it is final",
    "conflict": (
        "a coin of it is spent by something else, or its parent is missing; send the same bytes again later, or ask "
        "for a new signature when the other one is confirmed: its coins are held until then, for a week at most"
    ),
    "never": (
        "it can never be valid, and its coins are free; send the same call with the same key again to have it signed "
        "anew, or ask for a new signature where it had no key"
    ),
    "rejected": (
        "servers refused the bytes, and why was the answer to the broadcast; send the same bytes again where that may "
        "pass, or ask for a new signature: their coins are free"
    ),
    "abandoned": "it was given up by an operator and never signs again; take a new key for a new payment",
    "tombstone": "it ended long ago; take a new key for a new payment",
}
"""What a client should do, by state."""

GIVE_UP = "the operator gives its key up (`ec-gateway outcome KEY --abandon`); then pay with a new key"

KEYED = {
    "conflict": (
        "a coin of it is spent by something else, or its parent is missing; send the same bytes again later. When the "
        "other one is six blocks deep this becomes never, and the key signs anew; to end it before, an hour after it "
        f"was refused, {GIVE_UP}"
    ),
    "rejected": (
        "servers refused the bytes, and why was the answer to the broadcast; send the same bytes again where that may "
        f"pass. To end it {GIVE_UP}"
    ),
}
"""The same where a key holds the coins until somebody speaks."""

PERHAPS_OUT = (
    "servers refuse the bytes now, but an attempt before was not answered, so the chain may have them; send the "
    "same bytes again, and look for the transaction on the chain before you pay anew"
)
"""The same where a refusal is not the last word."""

NOT_SEEN = (
    "nothing; a server took it. It spends nothing that is known to be this wallet's, so that its confirmations are "
    "seen here only if it pays to this wallet, and within a week"
)
"""The same for bytes of others."""


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for; both where a text may be either."""

    key: str | None = None
    txid: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the ledger has."""

    key: KeyFacts | None
    sent: Publication | None
    parent: tuple[str, str] | None = None
    """A transaction that makes a coin of it and that the chain does not have: its txid and state."""


class Outcomes:
    """Answers about the payments of one wallet.

    Args:
        secret: what keys are hashed with.
        unbound: why no key may be bound now, in words with the way out; "" when one may.
    """

    def __init__(
        self, pool: Pool, ledger: Ledger, secret: bytes, unbound: Callable[[], str] = lambda: ""
    ) -> None:  # fmt: skip
        """Know nothing; everything is in the ledger."""
        self.unbound = unbound
        self.pool = pool
        self.ledger = ledger
        self.secret = secret

    async def handle(self, client: Client, params: bytes) -> Answer | Failure:
        """Answer one call; `params` is raw JSON as the client wrote it."""
        try:
            query = _read(params)
            if query.key is not None:
                check_key(query.key)
        except (ValueError, msgspec.MsgspecError) as error:
            return self._failure(INVALID_PARAMS, f"{error}; {USAGE}")
        try:
            found = await self.ledger.run(self._look(client.name, query))
        except LedgerError as error:
            return self._failure(READ_ONLY, f"the ledger cannot be read ({error}); ask again later")
        told = self._tell(found)
        if found.key is None and found.sent is None and query.key is not None:
            told["next_step"] = self._unknown(may_be_txid=query.txid is not None)
        return Answer(msgspec.json.encode(told), None)

    def _look(self, client: str, query: _Query) -> Callable[[Connection], _Found]:
        name = self.pool.name

        def by_txid(connection: Connection, txid: str) -> _Found:
            key = payments.key_facts(connection, name, client, txid=txid)
            if key is None and not payments.is_of_client(connection, name, client, txid):
                return _Found(None, None)
            sent = broadcasts.find_publication(connection, name, txid)
            return _Found(key, sent, payments.missing_parent(connection, name, txid))

        def by_key(connection: Connection, text: str) -> _Found:
            key = payments.key_facts(connection, name, client, key_hash=hash_of(self.secret, text))
            txid = key.txid if key is not None else None
            if txid is None:
                return _Found(key, None)
            sent = broadcasts.find_publication(connection, name, txid)
            return _Found(key, sent, payments.missing_parent(connection, name, txid))

        def work(connection: Connection) -> _Found:
            found = _Found(None, None) if query.txid is None else by_txid(connection, query.txid.lower())
            if query.key is None or found.key is not None or found.sent is not None:
                return found
            return by_key(connection, query.key)

        return work

    def _unknown(self, *, may_be_txid: bool) -> str:
        """Say what to do with a key that the ledger has not.

        Bytes that were sent while the ledger was away are not in it either: of a text that may be their txid nobody
        can say that nothing was signed with it.
        """
        why = self.unbound()
        if may_be_txid:
            use = f"if it is a key, that says nothing: {why}" if why else "if it is a key, it may be used"
            return f"no key and no transaction of that name is known here; if it is a txid, look on the chain; {use}"
        if why:
            return f"no call with this key is known here, and that says nothing: {why}"
        return "no call with this key was kept here: nothing was signed with it, and it may be used"

    def _tell(self, found: _Found) -> dict[str, object]:
        """Return the answer: state, transaction, confirmations, next step."""
        key, sent = found.key, found.sent
        state = _state(key, sent)
        told: dict[str, object] = {"wallet": self.pool.name, "state": state}
        txid = sent.txid if sent else key.txid if key else None
        if txid:
            told["txid"] = txid
            told["confirmations"] = self._confirmations(state, sent)
        if key is not None:
            told |= {"method": key.method, "since": key.opened_at}
            if key.spent:
                told["amount"] = coins(key.spent)
        if sent is not None:
            told |= {"broadcasts": sent.tries, "first_broadcast": sent.first_at}
        told["next_step"] = _next(state, found)
        if found.parent is not None and state in (SIGNED, CONFLICT):
            told["parent"], told["parent_state"] = found.parent
            told["next_step"] = f"its parent is {found.parent[1]}: bring that out first; then {told['next_step']}"
        return told

    def _confirmations(self, state: str, sent: Publication | None) -> int:
        """Return how deep a transaction is; six stand for all that are deeper."""
        if state == CONFIRMED:
            return DEEP
        height = max((one.height or 0 for one in self.pool.backends), default=0)
        return 0 if sent is None or not sent.height else max(0, height - sent.height + 1)

    def _failure(self, kind: Kind, message: str) -> Failure:
        return Failure(kind, f"{kind.name}: {message}", safe_to_repeat=True, wallet=self.pool.name)


REFUSED = (REJECTED, CONFLICT)
"""What the chain says of bytes that it does not have."""


def _next(state: str, found: _Found) -> str:
    """Return what the client should do."""
    key, sent = found.key, found.sent
    if sent is not None and state == ACCEPTED and not sent.spends_own and not sent.height:
        return NOT_SEEN
    if sent is None or state not in REFUSED:
        return NEXT[state]
    if sent.may_be_out:
        return f"{PERHAPS_OUT}; to end it, an hour after they were refused, {GIVE_UP}" if key else PERHAPS_OUT
    return KEYED[state] if key else NEXT[state]


def _state(key: KeyFacts | None, sent: Publication | None) -> str:
    """Return the one word: what the chain said counts before what was only signed."""
    if key is not None:
        if key.state == IN_PROGRESS:
            return "never" if key.epoch == NOBODY else IN_PROGRESS
        # what the chain has is another key's, where that was bound to the same bytes since
        is_given_up = key.state == ABANDONED and (key.has_heir or sent is None or sent.state in REFUSED)
        if key.state in (TOMBSTONE, CONFIRMED) or is_given_up:
            return key.state
        if sent is None:
            return PUBLISHED if key.state == PUBLISHED else SIGNED
    if sent is None:
        return "unknown_here"
    return "never" if sent.is_never else sent.state


def _read(params: bytes) -> _Query:
    """Read the question.  Raises ValueError or MsgspecError."""
    if params.lstrip()[:1] == b"[":
        given = msgspec.json.decode(params, type=list[str])
        if len(given) != 1:
            raise ValueError(f"{len(given)} arguments")
        is_txid = len(given[0]) == 64 and set(given[0].lower()) <= set("0123456789abcdef")
        return _Query(key=given[0], txid=given[0] if is_txid else None)
    query = msgspec.json.decode(params or b"{}", type=_Query)
    if (query.key is None) == (query.txid is None):
        raise ValueError("neither or both are given")
    return query
