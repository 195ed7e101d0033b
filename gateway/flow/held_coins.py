"""Which coins payments hold, remembered for as long as the ledger is away.

Rule: the ledger decides while it can be asked, and this memory only while it cannot.  It may name a coin that is free
by now, which costs another signature; it never lacks one that was held when the ledger was last heard.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gateway.base.errors import LedgerError
from gateway.ledger.store import UncertainError


class HeldCoins:
    """The held coins of one wallet, by outpoint."""

    __slots__ = ("_held",)

    def __init__(self, held: Iterable[str] = ()) -> None:
        """Begin with those that the ledger had when it was opened."""
        self._held = set(held)

    def __len__(self) -> int:
        """Count them."""
        return len(self._held)

    def learn(self, held: Iterable[str]) -> None:
        """Take what the ledger has now; what was read before a hold was written must be learned before it as well."""
        self._held = set(held)

    def of(self, outpoints: Iterable[str]) -> list[str]:
        """Return those of some coins that are held."""
        return [one for one in outpoints if one in self._held]

    @contextmanager
    def holding(self, outpoints: Iterable[str]) -> Iterator[set[str]]:
        """Hold coins while the transaction that holds them is under way, and on, unless it is known to have failed.

        Who is cancelled in it does not know: the ledger goes on without him.

        Yields:
            Those that were not held yet; a transaction that holds none of them after all takes them out.
        """
        asked = frozenset(outpoints) - self._held
        new = set(asked)
        self._held |= new
        try:
            yield new
        except LedgerError as error:
            if not isinstance(error, UncertainError):
                new.clear()
            raise
        finally:
            # what was learned meanwhile may have been read before
            self._held = (self._held - asked) | new
