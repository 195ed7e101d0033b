"""The wallet of one daemon: what it knows of its seed, and what it makes of a view of the chain.

Pure state, no input or output.  The rule: everything a daemon may forget (addresses made, labels, invoices,
frozen coins) is in `Notes`, and everything else follows from the seed, the notes and the view; so two
daemons with equal notes and views answer alike, and with different ones they differ as the real ones do.
"""

import copy
import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.ledger import Event, View
from gateway.sandbox.transactions import COIN, Outpoint, Output, Transaction

GAP_LIMIT = 20
"""How many addresses past the last old one a wallet watches; the same for receiving and for change."""

OLD_AFTER = 2
"""An address is old, and widens the gap, once a transaction of it has more confirmations than this."""


@dataclass
class Notes:
    """What the wallet file holds, and a kill may lose."""

    receiving: int = 0
    """How many receiving addresses were derived."""
    change: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    """By txid, by address in the older form, or by any other text that a caller chose, which is never looked up."""
    frozen: list[str] = field(default_factory=list)
    """Addresses whose coins are not spent."""
    frozen_coins: list[str] = field(default_factory=list)
    """Outpoints (``txid:index``) that are not spent; the wallet need not know them."""
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Invoices by address, as addrequest made them."""

    def to_json(self) -> dict[str, Any]:
        """As the wallet file holds them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output of the wallet."""

    outpoint: Outpoint
    output: Output
    address: str
    height: int
    """0 while unconfirmed."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Satoshis: what is confirmed, and what the mempool adds to it or takes away."""

    confirmed: int
    unconfirmed: int


class Wallet:
    """A seed, the notes about it, and the view of the chain that the daemon has.

    A new one without a single note has no addresses: they are made when it first meets its server.
    """

    def __init__(self, seed: str, notes: Notes, view: View) -> None:
        self.seed = seed
        self.notes = notes
        self.view = view
        """The chain as this wallet sees it: what the daemon knows, and its own transactions that were never sent."""
        self.missed: set[str] = set()
        """Transactions that it does not see although it thinks that it does."""
        self._base = view
        self._local: dict[str, Transaction] = {}
        self.receiving: list[str] = []
        self.change: list[str] = []
        self._scripts: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        """Own addresses by their scripts."""
        self._place: dict[str, int] = {}
        """When each was derived, counted from 0."""
        self._index: dict[str, tuple[bool, int]] = {}
        self._derive()

    # The chain

    def sees(self, view: View) -> bool:
        """Whether the wallet looks at this view."""
        return self._base is view

    def see(self, view: View) -> None:
        """Look at a view, new or changed; own transactions that the chain has or excludes are no longer local."""
        self._base = view
        self._local = {txid: tx for txid, tx in self._local.items() if txid not in view.transactions}
        if not self._local:
            self.view = view
            return
        self.view = copy.deepcopy(view)
        for txid, tx in list(self._local.items()):
            if self.view.missing(tx):
                del self._local[txid]
            else:
                self.view.apply([Event(tx=tx)])

    def add_local(self, tx: Transaction) -> None:
        """Count a transaction as made although nobody else has heard of it; a restart forgets it."""
        self._local[tx.txid] = tx
        self.see(self._base)

    def miss_newest(self) -> None:
        """Stop seeing the newest receipt that is unspent, else the newest transaction."""
        txids = [txid for txid, _ in self.transactions()]
        unspent = {coin.outpoint.txid for coin in self.coins()}
        receipts = [txid for txid in txids if txid in unspent and not self.spends_own(txid)]
        self.missed.update((receipts or txids)[-1:])

    def history(self) -> list[tuple[str, int]]:
        """The wallet's transactions with their heights: it is saved when they have changed."""
        return [(txid, self.view.heights[txid]) for txid, _ in self.transactions()]

    # Addresses

    def create_address(self, *, change: bool = False) -> str:
        """Derive the next address of a branch, used or not."""
        if change:
            self.notes.change += 1
        else:
            self.notes.receiving += 1
        self._derive()
        return (self.change if change else self.receiving)[-1]

    def synchronize(self) -> None:
        """Keep GAP_LIMIT addresses past the last old one.

        This is the gap-limit blindness: a payment to an address further out is not seen at all.
        """
        for branch, change in ((self.receiving, False), (self.change, True)):
            while len(branch) < GAP_LIMIT or any(self._is_old(address) for address in branch[-GAP_LIMIT:]):
                self.create_address(change=change)

    def addresses(self) -> list[str]:
        """All addresses, receiving ones first."""
        return self.receiving + self.change

    @property
    def count(self) -> int:
        """How many addresses there are."""
        return len(self._index)

    def owns(self, address: str) -> bool:
        """Whether the wallet watches this address (in the form answers have)."""
        return address in self._index

    def public_key(self, address: str) -> str:
        """The stand-in for the public key of an own address, in hexadecimal; KeyError for a foreign one."""
        change, index = self._index[address]
        return addresses.public_key(self.seed, change=change, index=index).hex()

    def unused(self) -> list[str]:
        """Receiving addresses without history and without an invoice, in order."""
        return [one for one in self.receiving if not self.history_of(one) and one not in self.notes.requests]

    def change_address(self) -> str:
        """Where the next payment sends its rest: the first change address without history, else a new one."""
        fresh = (one for one in self.change if not self.history_of(one))
        return next(fresh, None) or self.create_address(change=True)

    def history_of(self, address: str) -> list[str]:
        """The txids that touched an own address, oldest first."""
        found = self.view.touching.get(self._scripts[address], [])
        return [txid for txid in found if txid not in self.missed] if self.missed else found

    # Coins

    def coins(self) -> list[Coin]:
        """All unspent outputs of the wallet, frozen ones too, in the order of addresses and history."""
        found = []
        for address in self._touched():
            script = self._scripts[address]
            for txid in self.history_of(address):
                for index, output in enumerate(self.view.transactions[txid].outputs):
                    outpoint = Outpoint(txid, index)
                    if output.script == script and outpoint in self.view.coins:
                        found.append(Coin(outpoint, output, address, self.view.heights[txid]))
        return found

    def is_frozen(self, coin: Coin) -> bool:
        """Whether a coin may not be spent, for itself or for its address."""
        return coin.address in self.notes.frozen or coin.outpoint.text in self.notes.frozen_coins

    def balance(self, only: str | None = None) -> Balance:
        """The balance of the wallet, or of one own address."""
        confirmed = unconfirmed = 0
        for address in self._touched() if only is None else [only]:
            for txid in self.history_of(address):
                change = self._effect(txid, {self._scripts[address]})
                if self.view.heights[txid]:
                    confirmed += change
                else:
                    unconfirmed += change
        return Balance(confirmed, unconfirmed)

    def transactions(self) -> list[tuple[str, int]]:
        """The wallet's transactions, oldest first, each with what it added (satoshis, negative when it took)."""
        own = self._owners.keys()
        txids = {txid for address in self._touched() for txid in self.history_of(address)}
        order = {txid: place for place, txid in enumerate(self.view.transactions)}
        return [(txid, self._effect(txid, own)) for txid in sorted(txids, key=order.__getitem__)]

    def spends_own(self, txid: str) -> bool:
        """Whether a transaction spends a coin of this wallet; without that it is a plain receipt."""
        spent = [self.view.output(one.spent) for one in self.view.transactions[txid].inputs]
        return any(output is not None and output.script in self._owners for output in spent)

    def label_of(self, txid: str) -> str:
        """The label of a transaction: its own, else those of the addresses that a receipt paid to."""
        label = self.notes.labels.get(txid, "")
        if label or self.spends_own(txid):
            return label
        paid = dict.fromkeys(made.script for made in self.view.transactions[txid].outputs)
        own = sorted((self._owners[script] for script in paid if script in self._owners), key=self._place.__getitem__)
        labels = [self.notes.labels.get(storage_key(address), "") for address in own]
        return ", ".join(filter(None, labels))

    # Invoices

    def request_id(self, address: str, moment: int) -> str:
        """The short name of an invoice: two daemons that ask in one second give the same one to two invoices."""
        return hashlib.sha256(f"{address}{moment}".encode()).hexdigest()[:10]

    def received(self, address: str) -> list[tuple[int, int, str]]:
        """What was ever paid to an own address: confirmations, satoshis and txid of each payment."""
        payments = []
        for txid in self.history_of(address):
            height = self.view.heights[txid]
            confirmations = self.view.height - height + 1 if height else 0
            payments += [
                (confirmations, output.value, txid)
                for output in self.view.transactions[txid].outputs
                if output.script == self._scripts[address]
            ]
        return payments

    def request_status(self, address: str, now: float) -> tuple[str, list[str], int | None]:
        """The state of an invoice, the txids that paid to it, and the confirmations where the sum is reached.

        A later payment to an invoice that was paid makes it unconfirmed again, there as here.
        """
        asked = self.notes.requests[address]
        total = 0
        txids = []
        reached = None
        for confirmations, value, txid in sorted(self.received(address), reverse=True):
            total += value
            txids.append(txid)
            if total >= (asked["amount"] or 0):
                reached = confirmations
        if reached is not None:
            return ("Paid" if reached else "Unconfirmed"), txids, reached
        if asked["exp"] is not None and asked["time"] + asked["exp"] < now:
            return "Expired", txids, None
        return "Pending", txids, None

    # Inside

    def _touched(self) -> list[str]:
        """Own addresses that the chain has heard of, in the order in which they were derived.

        Most of a wallet's addresses never see a coin, and a chain in the sandbox knows few scripts.
        """
        if len(self.view.touching) > len(self._scripts):
            return [address for address, script in self._scripts.items() if script in self.view.touching]
        own = [self._owners[script] for script in self.view.touching if script in self._owners]
        return sorted(own, key=self._place.__getitem__)

    def _effect(self, txid: str, scripts: Collection[str]) -> int:
        """What a transaction adds to some scripts, in satoshis."""
        tx = self.view.transactions[txid]
        gained = sum(output.value for output in tx.outputs if output.script in scripts)
        spent = [self.view.output(one.spent) for one in tx.inputs]
        return gained - sum(output.value for output in spent if output and output.script in scripts)

    def _is_old(self, address: str) -> bool:
        heights = (self.view.heights[txid] for txid in self.history_of(address))
        return any(height and self.view.height - height + 1 > OLD_AFTER for height in heights)

    def _derive(self) -> None:
        """Make the addresses that the notes count and the lists do not hold yet."""
        for branch, wanted, change in (
            (self.receiving, self.notes.receiving, False),
            (self.change, self.notes.change, True),
        ):
            for index in range(len(branch), wanted):
                address = addresses.derive(self.seed, change=change, index=index)
                branch.append(address.text)
                self._place[address.text] = len(self._place)
                self._scripts[address.text] = address.script
                self._owners[address.script] = address.text
                self._index[address.text] = (change, index)


def satoshis(amount: object) -> int:
    """Satoshis of an amount in coins, as text or as a number.

    A JSON number went through a binary float: 0.009 is a little less than that, and the rest is cut off, so
    it books 899,999 satoshis as the real daemon does.  Raises decimal.InvalidOperation or TypeError.
    """
    return int(COIN * Decimal(amount))  # type: ignore[arg-type]  # whatever a caller sent; Decimal judges it


def storage_key(address: str) -> str:
    """Under what the label of an address is kept: setlabel with another form of it labels nothing."""
    return addresses.parse(address).legacy


def coins_text(sats: int) -> str:
    """Satoshis as coins, in the words of a balance: ``0.899997``, ``0``, ``1E-8``."""
    return str(Decimal(sats) / COIN)


def plain_text(sats: int) -> str:
    """Satoshis as coins, in the words of a history and of an invoice: ``0.009``, ``1.``, ``-0.000003``, ``0.``."""
    return f"{Decimal(sats) / COIN:.8f}".rstrip("0")
