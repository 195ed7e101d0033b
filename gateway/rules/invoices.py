"""Invoices: what may be asked for, how far they are paid, and the very words of the daemon for them.

Rule: names, their order, amounts and states are those of Electron Cash, so that no client can tell who answers; what
the daemon would take and nobody can mean (an amount below nothing, an address for tokens) is refused in words.

    status        when
    Pending       less than the amount was received
    Unconfirmed   enough was received, and the newest payment is in no block yet
    Paid          enough was received, all of it in blocks
    Expired       Pending, and more seconds have passed than it was open for

A payment makes an expired invoice Unconfirmed and then Paid, and one more payment makes a paid one Unconfirmed until
the next block: the daemon does so.  Its fifth state, Unknown, is that of no invoice; asking for one is an error.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeGuard

import msgspec

from gateway.rules import cashaddr

PENDING, UNCONFIRMED, PAID, EXPIRED = "Pending", "Unconfirmed", "Paid", "Expired"

COIN = 100_000_000
MOST_COINS = 21_000_000

MAX_MEMO = 2000
"""Characters."""

MAX_EXPIRATION = 10_000_000_000
"""Seconds; some three hundred years."""

MAX_NUMBER = 100
"""Characters of a number that is sent as text."""

NOT_SERVED = ("payment_url", "index_url", "token_request", "category_id")
"""Arguments of addrequest that need files of the daemon, or tokens."""

NOT_FOUND = b'{"code": -32603, "message": "Server error: BaseException: Request not found"}'
"""How the daemon says that it has no invoice, without its file names and lines, which differ between versions."""

_decode = msgspec.json.Decoder().decode


class ArgumentError(ValueError):
    """An argument is not what it must be; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What addrequest asks for."""

    amount: int | None
    """Satoshi; None is for any amount."""
    memo: str
    expiration: int | None
    """Seconds; None never expires."""


@dataclass(frozen=True, slots=True)
class Named:
    """The address of an invoice as a caller wrote it."""

    addresses: tuple[str, ...]
    """Without prefix; more than one where the networks of the older form cannot be told apart."""
    is_address: bool
    """False for a text that is no address in any form; other wallets than Electron Cash may list such."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What addrequest answered."""

    address: str
    """Without prefix."""
    id: str
    amount: int | None
    memo: str
    time: int
    exp: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one transaction paid to the address of an invoice."""

    address: str
    txid: str
    value: int
    height: int
    """0 while it is in no block."""


@dataclass(frozen=True, slots=True)
class State:
    """How far an invoice is paid."""

    status: str
    txids: tuple[str, ...]
    confirmations: int | None
    """Of the newest payment, where enough was received."""


# -- what is asked ------------------------------------------------------------------------------------------


def read(given: Mapping[str, bytes]) -> Asked:
    """Read the arguments of addrequest, raw JSON by name.

    Raises:
        ArgumentError: one of them is not what it must be; the text says what would be right.
    """
    for name in NOT_SERVED:
        if given.get(name, b"null").strip() != b"null":
            raise ArgumentError(f"{name} is not served by the gateway, which keeps invoices itself; leave it out")
    if "amount" not in given:
        raise ArgumentError('amount is missing; it is in coins, like "0.009", or null for any amount')
    if isinstance(_value("force", given), list | dict):
        raise ArgumentError("force must be true or false")
    return Asked(_amount(given["amount"]), _memo(given), _expiration(given))


def wanted(given: Mapping[str, bytes]) -> str | None:
    """Return the one status that listrequests is to list; None for all.  Raises ArgumentError."""
    for name, status in (("pending", PENDING), ("expired", EXPIRED), ("paid", PAID)):
        if _value(name, given):
            return status
    return None


def named(name: str, given: Mapping[str, bytes], network: str | None) -> Named:
    """Return which invoice an argument names, by its address in any form.

    Args:
        network: of the wallet, None when it is not known.

    Raises:
        ArgumentError: it is no text.
    """
    text = _value(name, given)
    if not isinstance(text, str) or not text:
        raise ArgumentError(f"{name} must be the address of an invoice, as text")
    found = [one.bare for one in cashaddr.read(text, network)]
    return Named(tuple(found) or (text.rpartition(":")[2][: cashaddr.MAX_LENGTH],), is_address=bool(found))


def _amount(raw: bytes) -> int | None:
    """Return satoshi, cut off behind the last whole one as the daemon does; None for any amount."""
    raw = raw.strip()
    text = _text("amount", raw) if raw[:1] == b'"' else raw.decode() if raw[:1] in b"-0123456789" else ""
    if raw == b"null":
        return None
    try:
        coins = Decimal(text) if len(text) <= MAX_NUMBER else Decimal("NaN")
    except InvalidOperation:
        coins = Decimal("NaN")
    if not coins.is_finite():
        raise ArgumentError('amount must be in coins, like "0.009", or null for any amount')
    if not 0 <= coins <= MOST_COINS:
        raise ArgumentError(f"amount must be 0 to {MOST_COINS:,} coins")
    return int(COIN * coins)


def _memo(given: Mapping[str, bytes]) -> str:
    memo = _value("memo", given)
    if memo is None:
        return ""
    if not isinstance(memo, str):
        raise ArgumentError("memo must be text")
    if len(memo) > MAX_MEMO:
        raise ArgumentError(f"memo must have at most {MAX_MEMO:,} characters, this one has {len(memo):,}")
    if "\0" in memo:
        raise ArgumentError("memo holds a NUL character; leave it out")
    return memo


def _expiration(given: Mapping[str, bytes]) -> int | None:
    """Return seconds; the daemon takes the number 0, false and no text for never, and the text "0" for at once."""
    found = _value("expiration", given)
    if found is None or found is False or found in ("", 0):
        return None
    seconds: int | None = None
    if isinstance(found, str) and len(found) <= MAX_NUMBER:
        try:
            seconds = int(found)
        except ValueError:
            seconds = None
    elif isinstance(found, float) and found.is_integer():
        seconds = int(found)
    elif isinstance(found, int) and found is not True:
        seconds = found
    if seconds is None or not 0 <= seconds <= MAX_EXPIRATION:
        raise ArgumentError(f"expiration must be a whole number of seconds from now, 0 to {MAX_EXPIRATION:,}")
    return seconds


def _value(name: str, given: Mapping[str, bytes]) -> object:
    try:
        return _decode(given.get(name, b"null"))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ArgumentError(f"{name} is not JSON ({error})") from None


def _text(name: str, raw: bytes) -> str:
    return str(_value(name, {name: raw}))


# -- how far it is paid -------------------------------------------------------------------------------------


def state(invoice: Invoice, receipts: Iterable[Receipt], tip: int, now: float) -> State:
    """Tell how far an invoice is paid, by the daemon's own reckoning.

    Payments are taken in the order of their depth; whoever is last among those that reach the sum tells how deep it
    all is, so one more payment to a paid invoice makes it unconfirmed.

    Args:
        tip: height of the newest block that is known.
        now: seconds since 1970.
    """
    deepest_first = sorted(((confirmations(one.height, tip), one.value, one.txid) for one in receipts), reverse=True)
    total, depth = 0, None
    for confirmed, value, _ in deepest_first:
        total += value
        if total >= (invoice.amount or 0):
            depth = confirmed
    txids = tuple(txid for _, _, txid in deepest_first)
    if depth is not None:
        return State(PAID if depth else UNCONFIRMED, txids, depth)
    is_over = invoice.exp is not None and now > invoice.time + invoice.exp
    return State(EXPIRED if is_over else PENDING, txids, None)


def confirmations(height: int, tip: int) -> int:
    """Return how deep a block is; one that is above what we know of the chain is one deep."""
    return max(1, tip - height + 1) if height > 0 else 0


def furthest(amount: int | None, receipts: Iterable[Receipt]) -> str:
    """Return how far an invoice has come, whatever is paid to it beyond the amount, and whenever."""
    found = list(receipts)
    deep = [one.value for one in found if one.height > 0]
    if deep and sum(deep) >= (amount or 0):
        return PAID
    return UNCONFIRMED if found and sum(one.value for one in found) >= (amount or 0) else PENDING


# -- the daemon's words -------------------------------------------------------------------------------------


def make(asked: Asked, address: str, now: float) -> Invoice:
    """Make an invoice on an address (bare), now (seconds since 1970)."""
    moment = int(now)
    return Invoice(address, request_id(address, moment), asked.amount, asked.memo, moment, asked.expiration)


def request_id(address: str, moment: int) -> str:
    """Return the short name of an invoice, as the daemon makes it of its address and time."""
    text = f"{label_key(address)}{moment}".encode()
    return hashlib.sha256(hashlib.sha256(text).digest()).hexdigest()[:10]


def label_key(address: str) -> str:
    """Return what the daemon keeps the label of an address under: its older form, where it has one."""
    return cashaddr.legacy(address) or address


def label(memo: str) -> str:
    """Return the label that a memo becomes."""
    return memo.replace("\n", " ")


def told(invoice: Invoice, found: State, prefix: str, network: str | None) -> bytes:
    """Return an invoice as the daemon writes it, raw JSON.

    Args:
        prefix: how the daemon begins the addresses that it lists: `bchreg:`, or nothing.
        network: prefix for the URI, None where the address has none.
    """
    amount = "Unknown" if invoice.amount is None else coins_text(invoice.amount)
    uri = f"{network}:{invoice.address}" if network else prefix + invoice.address
    answer = {
        "time": invoice.time,
        "amount": invoice.amount,
        "exp": invoice.exp,
        "address": prefix + invoice.address,
        "memo": invoice.memo,
        "id": invoice.id,
        "tokenreq": None,
        "category_id": None,
        "URI": f"{uri}?amount={amount}" if invoice.amount else uri,
        "status": found.status,
        "tx_hashes": found.txids,
    }
    if found.confirmations is not None:
        answer["confirmations"] = found.confirmations
    answer["amount (BCH)"] = amount
    return json.dumps(answer).encode()


def coins_text(satoshi: int) -> str:
    """Return satoshi in coins: `0.009`, `3.`, `0.`."""
    return f"{satoshi // COIN}.{satoshi % COIN:08d}".rstrip("0")


# -- what a daemon had before -------------------------------------------------------------------------------


def taken_over(request: object) -> Invoice | None:
    """Return an invoice that a daemon lists of its own; None for one that cannot be kept (for tokens, without address).

    Args:
        request: one entry of listrequests, decoded.
    """
    if not isinstance(request, dict) or request.get("tokenreq"):
        return None
    address, amount = request.get("address"), request.get("amount")
    if not isinstance(address, str) or not (amount is None or _within(amount, MOST_COINS * COIN)):
        return None
    moment, exp = request.get("time"), request.get("exp")
    return Invoice(
        address.rpartition(":")[2],
        str(request.get("id") or "")[:32],
        amount,
        str(request.get("memo") or "").replace("\0", "")[:MAX_MEMO],
        moment if _within(moment, MAX_EXPIRATION) else 0,
        exp if _within(exp, MAX_EXPIRATION) else None,
    )


def _within(value: object, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
