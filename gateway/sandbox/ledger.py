"""What a chain says, kept as a row of events, and what follows from it: heights, coins, who was paid.

The rule: a view is nothing but the events applied in order, so a daemon that is behind is the same view
of fewer events.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.sandbox.transactions import Outpoint, Output, Transaction

START_HEIGHT = 120
FIRST_BLOCK_TIME = 1_700_000_000
BLOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Event:
    """Either a transaction that was taken into the mempool, or a block that confirms the whole mempool."""

    height: int = 0
    """Of the block; 0 for a transaction."""
    tx: Transaction | None = None

    def to_json(self) -> dict[str, object]:
        """As it travels from the chain to a daemon."""
        return {"block": self.height} if self.tx is None else {"tx": self.tx.hex}

    @classmethod
    def from_json(cls, text: dict[str, object]) -> "Event":
        """Read back what to_json wrote."""
        if "tx" in text:
            return cls(tx=Transaction.parse(str(text["tx"])))
        return cls(height=int(str(text["block"])))


@dataclass
class View:
    """The state of the chain after some events."""

    height: int = START_HEIGHT
    transactions: dict[str, Transaction] = field(default_factory=dict)
    heights: dict[str, int] = field(default_factory=dict)
    """The block of each transaction by txid; 0 while it waits in the mempool."""
    mempool: list[str] = field(default_factory=list)
    coins: dict[Outpoint, Output] = field(default_factory=dict)
    """Unspent outputs."""
    spenders: dict[Outpoint, str] = field(default_factory=dict)
    """Which transaction spent an output."""
    touching: dict[str, list[str]] = field(default_factory=dict)
    """The transactions that paid to a script or spent from it, oldest first."""
    revision: int = 0
    """How many events were applied."""

    def apply(self, events: Iterable[Event]) -> None:
        """Take more events in; those that do not fit (unknown coins) are the chain's fault and raise KeyError."""
        for event in events:
            if event.tx is None:
                self._confirm(event.height)
            else:
                self._add(event.tx)
            self.revision += 1

    def missing(self, tx: Transaction) -> bool:
        """Whether the transaction spends a coin that does not exist or is spent already."""
        spent = [one.spent for one in tx.inputs]
        return len(set(spent)) != len(spent) or any(coin not in self.coins for coin in spent)

    def output(self, outpoint: Outpoint) -> Output | None:
        """The output of a known transaction, spent or not."""
        tx = self.transactions.get(outpoint.txid)
        return tx.outputs[outpoint.index] if tx and outpoint.index < len(tx.outputs) else None

    def _confirm(self, height: int) -> None:
        for txid in self.mempool:
            self.heights[txid] = height
        self.mempool.clear()
        self.height = height

    def _add(self, tx: Transaction) -> None:
        txid = tx.txid
        scripts = []
        for one in tx.inputs:
            # A coinbase of the sandbox spends a coin that never was; it is known by its all-zero txid.
            if one.spent in self.coins:
                scripts.append(self.coins.pop(one.spent).script)
            self.spenders[one.spent] = txid
        for index, made in enumerate(tx.outputs):
            self.coins[Outpoint(txid, index)] = made
            scripts.append(made.script)
        for script in dict.fromkeys(scripts):
            self.touching.setdefault(script, []).append(txid)
        self.transactions[txid] = tx
        self.heights[txid] = 0
        self.mempool.append(txid)


def block_time(height: int) -> int:
    """The time stamp of a block, in Unix seconds; the sandbox finds one each ten minutes of its own time."""
    return FIRST_BLOCK_TIME + height * BLOCK_SECONDS
