"""What becomes of a transaction, judged from the histories of the daemons.

Rule: the chain has spoken when it is six blocks deep, for the transaction or for another one that spends a coin of
it.  Before that nothing is free again, and what one daemon has not heard of says nothing.

    in a history, six deep           confirmed: its coins need no hold
    in a history                     accepted
    in none, a coin spent six deep   it can never be valid: its coins are free
    in none, a parent of that kind   the same, for the coin is not made
    in none of all, accepted before  lost: sent again; or foreign, where no coin of the wallet is known to be in it
    in none of all, refused an hour  unseen: whoever gives its key up may do so
    in none of all, a week           stale: what no key holds is free, for its coins may be the chain's to take or not
    in none                          waits
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.rules.coins import Entry
from gateway.rules.payment import DEEP

Histories = Sequence[Mapping[str, Entry]]
"""One for each daemon that was asked."""

BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between two times that bytes are sent again; the last one for ever."""

LOST_AFTER = 60.0
"""Seconds that an accepted transaction may be in no history before it is sent again."""

LOOKED_FOR = 3600.0
"""Seconds after which a look at the histories that does not find refused bytes is believed."""

STALE_AFTER = 7 * 86_400.0
"""Seconds after which bytes whose coins are spent or missing hold these for nobody but a key."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Six blocks deep."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The chain has it."""

    confirmations: int
    is_everywhere: bool
    """Every daemon that was asked has it: nothing of it has to stay frozen."""


@dataclass(frozen=True, slots=True)
class Never:
    """It can never be valid."""

    by: str
    """The transaction that spends a coin of it, or its parent."""
    is_parent: bool = False
    """That one can never be valid itself."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The chain had it, and no daemon has heard of it since."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """The chain has it, and it is none of this wallet's business."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Servers refused it, and an hour later no history has it."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Its coins were spent or missing for so long that nobody waits for it any more but whoever has a key for it."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing new."""


Verdict = Confirmed | Accepted | Never | Lost | Foreign | Unseen | Stale | Waits


def follow(
    txid: str, state: str, coins: Collection[str], histories: Histories, spenders: Mapping[str, str], quiet: float,
    *, is_own: bool, is_whole: bool, dead: Collection[str] = (), stood: float = 0.0,
) -> Verdict:  # fmt: skip
    """Judge one transaction.

    Args:
        state: of its broadcast, "" without one.
        coins: that it holds, by outpoint.
        spenders: who spends which coin in the histories, as far as that is known.
        quiet: seconds since some history had it, or the chain took it.
        is_own: it is known to spend coins of the wallet.
        is_whole: no daemon that serves was left out.
        dead: transactions that can never be valid.
        stood: seconds since its state was written down.
    """
    found = [history[txid].confirmations for history in histories if txid in history]
    if found:
        if max(found) >= DEEP:
            return Confirmed()
        return Accepted(max(found), len(found) == len(histories))
    for coin in coins:
        by = spenders.get(coin, txid)
        if by != txid and any(by in history and history[by].confirmations >= DEEP for history in histories):
            return Never(by)
        if (parent := coin.partition(":")[0]) in dead:
            return Never(parent, is_parent=True)
    is_nowhere = histories and is_whole and quiet >= LOST_AFTER
    if is_nowhere and state == "accepted":
        return Lost() if is_own else Foreign()
    if is_nowhere and state == "conflict" and stood >= STALE_AFTER:
        return Stale()
    return Unseen() if is_nowhere and state in ("rejected", "conflict") and stood >= LOOKED_FOR else Waits()


def unread(histories: Histories, known: Collection[str], most: int) -> list[str]:
    """Return deep transactions whose coins were not looked at and that may spend the wallet's, the newest first.

    Args:
        known: those that were looked at.
        most: how many.
    """
    depths = {
        txid: entry.confirmations
        for history in histories
        for txid, entry in history.items()
        if entry.spends_own and entry.confirmations >= DEEP and txid not in known
    }
    return sorted(depths, key=lambda txid: (depths[txid], txid))[:most]


def pause(tries: int) -> float:
    """Return the seconds to wait after so many tries before bytes are sent again."""
    return BACKOFF[min(tries, len(BACKOFF) - 1)]
