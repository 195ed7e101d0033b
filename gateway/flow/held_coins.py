"""Which coins payments hold, remembered for as long as the ledger is away.

Rule: the ledger decides while it can be asked, and this memory only while it cannot.  It may name a coin that is free
by now, which costs another signature; it never lacks one that was held when the ledger was last heard.  Beside it stand
coins of which the ledger cannot know: those of bytes that went out while it was away, and those of a commit that its
disk lost, for the next start may find it in the log.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gateway.base.errors import LedgerError
from gateway.flow.sent import Sent
from gateway.ledger.store import UncertainError

MOST_FROZEN = 10_000
"""Coins that were frozen on the word of this memory, and are kept until the ledger has a mark for them."""


class HeldCoins:
    """The held coins of one wallet, by outpoint."""

    __slots__ = ("_held", "_uncertain", "frozen", "sent", "turn")

    def __init__(self, held: Iterable[str] = (), sent: Sent | None = None) -> None:
        """Begin with those that the ledger had when it was opened."""
        self.turn = 0
        """How many transactions that hold coins were begun."""
        self._held = dict.fromkeys(held, 0)
        """By coin the last of these."""
        self._uncertain: dict[str, int] = {}
        """The same of those whose commit may have been lost."""
        self.sent = sent or Sent()
        """What this process has sent, also before these rooms were built."""
        self.frozen: set[str] = set()
        """What a daemon was told to freeze on the word of this memory."""

    def __len__(self) -> int:
        """Count them."""
        return len(self._held)

    @property
    def is_uncertain(self) -> bool:
        """Whether a transaction of the ledger may be there or not; one that is written after it settles that."""
        return bool(self._uncertain)

    def learn(self, held: Iterable[str], turn: int, *, has_written: bool = False) -> None:
        """Take what the ledger has.

        Args:
            held: as it was read.
            turn: as it was before the ledger was asked; what was begun later is not in what was read.
            has_written: the same transaction has written, so that nothing before it can come back.
        """
        later = {coin: begun for coin, begun in self._held.items() if begun > turn}
        self._held = dict.fromkeys(held, 0) | later
        if has_written:
            self._uncertain = {coin: begun for coin, begun in self._uncertain.items() if begun > turn}

    def of(self, outpoints: Iterable[str]) -> list[str]:
        """Return those of some coins that are held, as far as is known without the ledger."""
        listed = list(outpoints)
        beside = set(self.sent.spends(listed))
        return [one for one in listed if one in self._held or one in self._uncertain or one in beside]

    def beside(self, outpoints: Iterable[str], *, is_keyed: bool) -> list[str]:
        """Return those of some coins that nobody may spend though the ledger may say nothing of them.

        Args:
            is_keyed: what spends them is written down with its key, which ends every doubt about the ledger.
        """
        listed = list(outpoints)
        sent = set(self.sent.spends(listed))
        return [one for one in listed if one in sent or (one in self._uncertain and not is_keyed)]

    def froze(self, outpoints: Iterable[str]) -> None:
        """Remember coins that a daemon was told to freeze, so that they come to have a mark and an end."""
        self.frozen.update(outpoints)

    @property
    def may_freeze(self) -> bool:
        """Whether there is room to remember it."""
        return len(self.frozen) < MOST_FROZEN

    @contextmanager
    def holding(self, outpoints: Iterable[str]) -> Iterator[set[str]]:
        """Hold coins while the transaction that holds them is under way, and on, unless it is known to have failed.

        Who is cancelled in it does not know: the ledger goes on without him.

        Yields:
            All of them; a transaction that holds none of them after all takes them out.
        """
        self.turn += 1
        turn, before = self.turn, {one: self._held.get(one) for one in outpoints}
        new = set(before)
        self._held |= dict.fromkeys(new, turn)
        try:
            yield new
        except LedgerError as error:
            if isinstance(error, UncertainError):
                self._uncertain |= dict.fromkeys(new, turn)
            new.clear()
            raise
        finally:
            for one, begun in before.items():
                # whoever came after it holds it for himself
                if one not in new and self._held.get(one) == turn:
                    del self._held[one]
                    if begun is not None:
                        self._held[one] = begun
