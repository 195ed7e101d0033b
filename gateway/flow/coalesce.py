"""Identical reads in flight share one flight.

Rule: a caller joins only a flight that began after every write it could know of (the wallet's generation is
part of the key), and only after it was found entitled to the call itself.
"""

from gateway.flow.errand import Errand


class Flights:
    """The shared calls of one wallet, by method, parameters and generation."""

    __slots__ = ("_by_key", "joined")

    def __init__(self) -> None:
        """Begin empty."""
        self._by_key: dict[object, Errand] = {}
        self.joined = 0

    def __len__(self) -> int:
        """How many are in flight."""
        return len(self._by_key)

    def find(self, method: str, params: bytes, generation: int) -> Errand | None:
        """Return the flight to join, if one is under way."""
        errand = self._by_key.get((method, params, generation))
        if errand is not None:
            self.joined += 1
        return errand

    def add(self, errand: Errand, generation: int) -> None:
        """Let others join this errand until it ends."""
        errand.key = key = (errand.method.name, errand.params, generation)
        self._by_key[key] = errand

    def drop(self, errand: Errand) -> None:
        """Let nobody join any more."""
        if errand.key is not None and self._by_key.get(errand.key) is errand:
            del self._by_key[errand.key]
