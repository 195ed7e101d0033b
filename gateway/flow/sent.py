"""Broadcasts that this process knows of, and the ledger perhaps not.

Rule: it lasts as long as the process, whatever becomes of ledger, lease and rooms meanwhile: what may be out stays what
may be out, and what could not be written down is kept until it can.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.base.config import Client
from gateway.rules.payment import Said
from gateway.rules.transaction import Transaction

REMEMBERED = 10_000
"""Broadcasts that are remembered as perhaps out, whether the ledger could be told of them or not."""

MOST_UNWRITTEN = 1000
"""Of these, such whose bytes are kept for a ledger that is away."""

MOST_BYTES = 16 * 1024 * 1024
"""Characters of hexadecimal that they may have together."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Bytes that went out, or may have, while the ledger was away."""

    client: Client
    tx: Transaction
    said: Said
    """ACCEPTED, or UNKNOWN: then nobody but this sends them again."""
    coins: dict[str, int] | None = None
    """What of their coins is to be held: satoshi by outpoint; None where nobody was asked."""
    spends_own: bool = False


class Sent:
    """What one wallet has sent."""

    __slots__ = ("_coins", "_size", "perhaps_out", "under_way", "unwritten")

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.under_way: Counter[str] = Counter()
        """Transactions that calls are sending, and how many."""
        self.perhaps_out: dict[str, None] = {}
        """Transactions that calls have left unknown, the oldest first."""
        self.unwritten: dict[str, Unwritten] = {}
        self._coins: Counter[str] = Counter()
        self._size = 0

    def __repr__(self) -> str:
        """Status line."""
        return f"<Sent under_way={len(self.under_way)} unwritten={len(self.unwritten)}>"

    def may_be_out(self, txid: str) -> None:
        """Remember that bytes may be out."""
        self.perhaps_out[txid] = None
        if len(self.perhaps_out) > REMEMBERED:
            del self.perhaps_out[next(iter(self.perhaps_out))]

    def keep(self, one: Unwritten) -> None:
        """Keep bytes for a ledger that is away, as long as there is room."""
        self.written(one.tx.txid)
        if len(self.unwritten) < MOST_UNWRITTEN and self._size + len(one.tx.hex) <= MOST_BYTES:
            self.unwritten[one.tx.txid] = one
            self._coins.update(one.tx.inputs)
            self._size += len(one.tx.hex)

    def written(self, txid: str) -> None:
        """Let go of bytes that the ledger has now."""
        one = self.unwritten.pop(txid, None)
        if one is not None:
            self._coins -= Counter(one.tx.inputs)
            self._size -= len(one.tx.hex)

    def spends(self, outpoints: Iterable[str]) -> list[str]:
        """Return those of some coins that unwritten bytes spend."""
        return [one for one in outpoints if one in self._coins]
