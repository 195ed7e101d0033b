"""What daemons tell of a wallet's coins and transactions, and what signed bytes take out of it.

Rule: only a coin that the daemon lists as the wallet's own counts as spent, and only an output to an address that it
lists counts as kept; an output that nobody can name has left.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.rules import cashaddr
from gateway.rules.payment import satoshi
from gateway.rules.transaction import Output, Transaction


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output of the wallet."""

    value: int
    """Satoshi."""
    is_frozen: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction in a wallet's history."""

    confirmations: int
    spends_own: bool
    """Whether it may spend coins of the wallet; a plain receipt does not."""


def read_unspent(answer: object) -> dict[str, Coin]:
    """Return the coins in an answer of `listunspent`, by outpoint.  Raises ValueError."""
    found = {}
    for row in _rows(answer):
        try:
            outpoint = f"{row['prevout_hash']}:{int(row['prevout_n'])}"
            found[outpoint] = Coin(satoshi(row["value"]), bool(row.get("is_frozen_coin", False)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"listunspent has a row that cannot be read ({error})") from None
    return found


def read_history(answer: object) -> dict[str, Entry]:
    """Return the transactions in an answer of `history` (or Electrum's `onchain_history`).  Raises ValueError."""
    if isinstance(answer, Mapping):
        answer = answer.get("transactions")
    found = {}
    for row in _rows(answer):
        try:
            plain = row.get("fee") == "--" and row.get("value") == "--"
            found[str(row["txid"])] = Entry(int(row.get("confirmations") or 0), not plain)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"history has a row that cannot be read ({error})") from None
    return found


def _rows(answer: object) -> Iterable[Mapping[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, Mapping) for row in answer):
        raise ValueError("it is no list of rows")
    return answer


def taken_out(tx: Transaction, own: Mapping[str, int], listed: Collection[str], network: str | None) -> int:
    """Return the satoshi that bytes take out of the wallet, fee included; never less than nothing.

    Args:
        own: satoshi of those inputs that are the wallet's.
        listed: its addresses without prefix, change included.
        network: of these addresses.
    """
    kept = sum(made.value for made in tx.outputs if address_of(made, network) in listed)
    return max(0, sum(own[one] for one in tx.inputs if one in own) - kept)


def address_of(made: Output, network: str | None) -> str | None:
    """Return the address (bare) that an output pays to, None where it pays to none that has a name."""
    script = made.script
    if network is None:
        return None
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return _bare(network, script[3:23], is_script=False)
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return _bare(network, script[2:22], is_script=True)
    if len(script) == 35 and script[:2] == b"\xaa\x20" and script[34:] == b"\x87":
        return _bare(network, script[2:34], is_script=True)
    return None


@lru_cache(maxsize=4096)
def _bare(network: str, digest: bytes, *, is_script: bool) -> str:
    return cashaddr.Address(network, is_script, digest).bare
