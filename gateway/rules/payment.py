"""Payments: what a key is bound to, what bytes take out of a wallet, and what an answer to a broadcast means.

Rule: a key gives one transaction, or none; whoever comes with it again gets the same bytes or is told why not.
Passwords and private keys are no part of what a key is compared by, so nothing that is kept lets anybody guess them.

    a key is              the same call            another call
    new                   sign                     sign
    in progress, here     key_in_progress          key_reused
    in progress, left     sign again               key_reused
    signed, published     the stored bytes         key_reused
    given up, ended       key_reused, with txid    key_reused
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gateway.base.errors import KEY_IN_PROGRESS, KEY_REUSED, Kind

COIN = 100_000_000
"""Satoshi of a coin."""

MAX_KEY = 255
SECRETS = frozenset({"password", "privkey", "private_key"})
"""Arguments that are no part of what a payment is."""

DEEP = 6
"""Confirmations after which the chain has spoken."""

IN_PROGRESS, SIGNED, PUBLISHED, CONFIRMED, ABANDONED, TOMBSTONE = (
    "in_progress", "signed", "published", "confirmed", "abandoned", "tombstone",
)  # fmt: skip
"""States of a key."""

NOBODY = 0
"""The epoch of a key whose transaction can never be valid: nobody works on it, and it may be signed anew."""


# -- keys -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the ledger has it."""

    state: str
    params_mac: str
    epoch: int
    result: str | None = None
    txid: str | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """Go and sign; `again` where an earlier try left the key behind."""

    again: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """Answer with the bytes that were signed before."""

    result: str


@dataclass(frozen=True, slots=True)
class No:
    """Refuse."""

    kind: Kind
    message: str


def check_key(key: str) -> None:
    """Raise ValueError for a text that cannot be a key."""
    if not key:
        raise ValueError("the Idempotency-Key is empty; give each payment a key of its own, a random UUID for example")
    if len(key) > MAX_KEY:
        raise ValueError(f"the Idempotency-Key has {len(key)} characters; at most {MAX_KEY} are taken")
    if not key.isprintable():
        raise ValueError("the Idempotency-Key holds control characters; write letters, digits and signs")


def hash_of(secret: bytes, key: str) -> str:
    """Return what stays of a key for ever."""
    return hmac.new(secret, b"key\0" + key.encode(), hashlib.sha256).hexdigest()


def mac_of(secret: bytes, method: str, named: Mapping[str, bytes]) -> str:
    """Return what calls are compared by: equal for equal calls, telling nothing about them.

    Args:
        secret: of the ledger.
        named: raw JSON of the arguments by name.
    """
    return hmac.new(secret, b"call\0" + canonical(method, named), hashlib.sha256).hexdigest()


def canonical(method: str, named: Mapping[str, bytes]) -> bytes:
    """Return the one form of a call: names in order, no blanks, nothing that is null, and no secret."""
    told = {name: json.loads(raw, parse_int=_number, parse_float=_number) for name, raw in named.items()}
    kept = {name: value for name, value in told.items() if value is not None and name not in SECRETS}
    return json.dumps([method, kept], sort_keys=True, separators=(",", ":")).encode()


def _number(text: str) -> dict[str, str]:
    # kept as it was written: 0.1 and 0.10 are two texts, and no float comes between
    return {"number": text}


def decide(key: Key | None, mac: str, epoch: int, *, is_live: bool) -> Sign | Stored | No:
    """Decide what a call with a key gets.

    Args:
        key: as the ledger has it, None for a new one.
        mac: of this call.
        epoch: the wallet's of now.
        is_live: this process works on the key.
    """
    if key is None:
        return Sign(again=False)
    if key.params_mac != mac:
        return No(KEY_REUSED, "this key belongs to a call with other parameters; give each payment a key of its own")
    if key.state in (ABANDONED, TOMBSTONE) or (key.state != IN_PROGRESS and key.result is None):
        how = "was given up" if key.state == ABANDONED else "ended long ago"
        what = f"its transaction is {key.txid}" if key.txid else "nothing was signed with it"
        return No(KEY_REUSED, f"this key {how}: {what}; it never signs again, take a new key for a new payment")
    if key.state != IN_PROGRESS:
        return Stored(key.result or "")
    if is_live and key.epoch == epoch:
        return No(KEY_IN_PROGRESS, "a call with this key is under way; send it again in a moment to get its answer")
    return Sign(again=True)


# -- amounts --------------------------------------------------------------------------------------------------


def satoshi(amount: object) -> int:
    """Return the satoshi of an amount in coins, as a daemon writes it.  Raises ValueError."""
    try:
        found = Decimal(str(amount)) * COIN
        whole = int(found)
    except (ArithmeticError, ValueError):
        raise ValueError(f"{str(amount)[:40]} is no amount") from None
    if found != whole:
        raise ValueError(f"{str(amount)[:40]} is no whole number of satoshi")
    return whole


def coins(amount: int) -> str:
    """Return satoshi as coins, for a sentence."""
    return f"{Decimal(amount).scaleb(-8).normalize():f}"


def over_limit(spent: int, today: int, per_call: Decimal | None, per_day: Decimal | None) -> str:
    """Say which limit signed bytes would pass; "" when none.

    Args:
        spent: satoshi that they take out of the wallet, fee included.
        today: satoshi that others of this client took out today.
        per_call, per_day: limits in coins, None for none.
    """
    if per_call is not None and spent > per_call * COIN:
        return f"it takes {coins(spent)} out of the wallet, fee included, and max_per_call is {per_call}"
    if per_day is not None and today + spent > per_day * COIN:
        day = f"{coins(today)} of today's {per_day}"
        return f"it takes {coins(spent)} out of the wallet, fee included, and {day} (max_per_day) are used up"
    return ""


def day_of(at: float) -> int:
    """Return the day (UTC) of a moment, counted from 1970."""
    return int(at // 86_400)


# -- what an answer to a broadcast means ----------------------------------------------------------------------


class Said(StrEnum):
    """What the chain said of bytes, as far as a daemon tells."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """It had them before: as good as accepted."""
    UNKNOWN = "unknown"
    """They may be out, or not."""
    CONFLICT = "conflict"
    """A coin is spent by something else, or its parent is missing."""
    REJECTED = "rejected"


_TEXTS = (
    (Said.KNOWN, (
        "already exists in the server's mempool", "already exists in the blockchain", "already in block chain",
        "already in blockchain", "already in mempool", "txn-already-in-mempool", "txn-already-known", "already known",
        "already in utxo set", "already have transaction",
    )),
    (Said.UNKNOWN, (
        "did not answer", "does not match signed transaction id", "timed out", "timeout", "not connected",
        # its library in version 1.2 hides the text of every error
        "server error (ref",
    )),
    (Said.CONFLICT, (
        "missing, already-spent, or otherwise invalid inputs", "missing inputs", "missingorspent", "mempool-conflict",
        "double spend", "double-spend",
    )),
)  # fmt: skip
"""What texts mean; the first that is found counts.  The sentences are Electron Cash's, the shorter ones its servers'
and Electrum's."""


def read_broadcast(answer: object, error: object, txid: str) -> Said:
    """Return what a daemon's answer to `broadcast` means.

    Args:
        answer: its result: `[true, txid]` or `[false, text]` (Electron Cash), or the txid alone (Electrum).
        error: its error object; None where there is a result.
        txid: of the bytes.
    """
    if error is not None:
        return _read_text(str(error.get("message", "")) if isinstance(error, dict) else str(error))
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[0], bool):
        if not answer[0]:
            return _read_text(str(answer[1]))
        answer = answer[1]
    # that it went out under another name is what "does not match" means: it is asked again
    return Said.ACCEPTED if answer == txid else Said.UNKNOWN


def _read_text(text: str) -> Said:
    text = text.lower()
    return next((said for said, parts in _TEXTS if any(part in text for part in parts)), Said.REJECTED)
