"""What the history of a daemon says about the payments to invoices, and what its silence says.

Rule: what is shown counts at once; what is not shown any more counts as gone only with more work on the chain than
when it was first missed, and after a minute.  Nothing here asks anybody: lines, heights and `now` come in, and what
is to be written down goes out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from gateway.rules.cashaddr import bare
from gateway.rules.invoices import Receipt

FINAL = 10
"""Blocks after which nodes of Bitcoin Cash write the chain anew no more."""

GRACE = 60.0
"""Seconds for which a payment must not be shown before it counts as gone."""

Key = tuple[str, str]
"""Address (bare) and txid."""

Shown = dict[Key, int]
"""Height of each payment that a history shows; 0 where it is in no block that the daemon verified."""

Paid = Mapping[str, Mapping[str, Receipt]]
"""What is written down, by address and txid; every address that is asked about and has an invoice is in it."""


class Line(msgspec.Struct):
    """One transaction in the history."""

    txid: str
    height: int = 0
    confirmations: int = 0
    output_addresses: list[str] | None = None


class _Bytes(msgspec.Struct):
    """The answer to gettransaction."""

    hex: str


class _Output(msgspec.Struct):
    """An output in the answer to deserialize."""

    value: int
    address: str | None = None


class _Transaction(msgspec.Struct):
    """The answer to deserialize."""

    outputs: list[_Output]


@dataclass(frozen=True, slots=True)
class Doubt:
    """When a payment was first missed (loop time), and how high the chain was then."""

    since: float
    height: int


_decode_history = msgspec.json.Decoder(list[Line]).decode
_decode_bytes = msgspec.json.Decoder(_Bytes).decode
_decode_transaction = msgspec.json.Decoder(_Transaction).decode


def lines(history: bytes) -> list[Line]:
    """Read a history with addresses, raw JSON.  Raises msgspec.MsgspecError."""
    return _decode_history(history)


def recipients(found: Iterable[Line]) -> list[str]:
    """Return the addresses (bare) that transactions paid to, each once."""
    return list({bare(one): None for line in found for one in line.output_addresses or ()})


def shown(found: Iterable[Line], paid: Paid) -> Shown:
    """Return which payments to invoices the lines of a history show."""
    payments: Shown = {}
    for line in found:
        height = line.height if line.confirmations > 0 else 0
        for written in line.output_addresses or ():
            if (address := bare(written)) in paid:
                payments[address, line.txid] = height
    return payments


def hexadecimal(answer: bytes) -> str:
    """Return the bytes of a transaction out of the answer to gettransaction.  Raises msgspec.MsgspecError."""
    return _decode_bytes(answer).hex


def values(answer: bytes, txid: str, heights: Mapping[str, int]) -> list[Receipt]:
    """Return what a transaction paid to some addresses; several outputs to one are one receipt.

    Args:
        answer: to deserialize, raw JSON.
        heights: what to write down for each address.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    sums = dict.fromkeys(heights, 0)
    for one in _decode_transaction(answer).outputs:
        address = bare(one.address or "")
        if address in sums:
            sums[address] += one.value
    return [Receipt(address, txid, value, heights[address]) for address, value in sums.items()]


def news(found: Shown, paid: Paid, *, is_ahead: bool) -> tuple[dict[str, dict[str, int]], list[Receipt]]:
    """Return the new payments by txid with address and height, and the known ones that came into a block.

    Args:
        is_ahead: the daemon is not behind: another block than before counts too, the chain was written anew.
    """
    fresh: dict[str, dict[str, int]] = {}
    moved = []
    for (address, txid), height in found.items():
        known = paid[address].get(txid)
        if known is None:
            fresh.setdefault(txid, {})[address] = height
        elif height > 0 and (known.height == 0 or (known.height != height and is_ahead)):
            moved.append(Receipt(address, txid, known.value, height))
    return fresh, moved


def missing(found: Shown, among: Iterable[Receipt]) -> dict[Key, Receipt]:
    """Return the receipts that are not shown, and those that were in a block and are shown in none."""
    return {
        (one.address, one.txid): one for one in among if found.get((one.address, one.txid), -1) < min(one.height, 1)
    }


def doubt(
    doubts: Mapping[Key, Doubt], lost: Mapping[Key, Receipt], height: int, now: float
) -> tuple[dict[Key, Doubt], list[Receipt]]:
    """Return the doubts from now on, and those receipts that have been missed for long enough.

    Args:
        doubts: those of before; what is shown again is doubted no more.
        lost: what the primary, aligned and not behind, did not show now.
        height: of the primary before it was asked.
        now: loop time.
    """
    after: dict[Key, Doubt] = {}
    ripe = []
    for key, one in lost.items():
        if height < one.height:
            continue
        after[key] = since = doubts.get(key) or Doubt(now, height)
        if height > since.height and now - since.since >= GRACE:
            ripe.append(one)
    return after, ripe
