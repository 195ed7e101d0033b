"""What a gateway remembers of a wallet's receiving addresses: the longest list, and what clients were told.

Rule: what is in it may have been given out, and is never forgotten while the process lives; with a ledger it begins
with the ledger's list, which outlasts everything.  All addresses are bare.
"""

from contextlib import suppress

import msgspec

from gateway.fleet.pool import Pool
from gateway.rules.cashaddr import bare


class _Invoice(msgspec.Struct):
    """The answer to addrequest."""

    address: str


_decode_text = msgspec.json.Decoder(str).decode
_decode_told = msgspec.json.Decoder(str | _Invoice).decode


class Recall:
    """The memory of one wallet's mirror."""

    def __init__(self, pool: Pool, known: list[str]) -> None:
        """Begin with what the ledger lists, and hear of what clients are told from now on."""
        self.known: list[str] = known
        """The longest list seen: what is in it may have been given out."""
        self.known_set: set[str] = set(known)
        self.told: set[str] = set()
        """Addresses that clients were told and that no list has shown yet."""
        self.listens = True
        """False once told addresses were not to be found again: each try would derive new ones."""
        self._given: set[str] = set()
        """Addresses that clients were told or that were known, and are not known now."""
        pool.on_told, pool.is_repeated = self.hear, self.is_repeated

    def know(self, listed: list[str]) -> None:
        """Take a list for what is known; a shorter one is of a daemon that forgot, and takes nothing away."""
        count = len(self.known)
        if len(listed) < count:
            return
        if listed[:count] == self.known:
            # what is known stays the same objects: a wallet has a hundred thousand addresses, and is read after each
            fresh = listed[count:]
            self.known = self.known + fresh
            self._take(fresh)
            return
        before, self.known_set = self.known_set, set(listed)
        self._given = (self._given | before) - self.known_set
        # refills write into it
        self.known = list(listed)

    def add(self, fresh: list[str]) -> None:
        """Append addresses to what is known."""
        self.known += fresh
        self._take(fresh)

    def hear(self, result: bytes) -> None:
        """Remember an address that a client was told: a bare text, or the `address` of an invoice."""
        with suppress(msgspec.MsgspecError):
            told = _decode_told(result)
            address = bare(told.address if isinstance(told, _Invoice) else told)
            if address in self.known_set:
                return
            self._given.add(address)
            if self.listens:
                self.told.add(address)

    def is_repeated(self, result: bytes) -> bool:
        """Whether a daemon that was asked for a new address answered with one that is known or was told already.

        It was restarted between two probes, forgot what it had not saved, and would give it to a second customer.
        """
        try:
            address = bare(_decode_text(result))
        except msgspec.MsgspecError:
            return False
        return address in self._given or address in self.known_set

    def _take(self, fresh: list[str]) -> None:
        self.known_set.update(fresh)
        # a busy wallet is told thousands a day
        self._given.difference_update(fresh)
