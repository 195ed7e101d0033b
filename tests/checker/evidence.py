"""Everything a verdict may rest on, read from the folder of a run once its processes are gone.

Rule: histories of clients and of the operator, journals of the daemons, what each daemon lists at the end, and the
chain; nothing that the gateway wrote.
"""

import json
import socket
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.sandbox.ledger import Event
from gateway.sandbox.storage import read_journal
from gateway.sandbox.transactions import SerializationError, Transaction
from tests.checker.history import Block, Crowd, Deed, Holding, Life, Op, Paid, argument, read


@dataclass(frozen=True, slots=True)
class Row:
    """One call that a daemon executed, by its journal; `at` is when it had."""

    daemon: int
    at: float
    id: str
    method: str
    params: Any
    result: Any = None
    error: Any = None
    by: str = ""
    """Who called, where there are several gateways: `NAME.LIFE` of a gateway."""
    came: float = 0.0
    """When the call came to the daemon, which may have stood still then; 0.0 where nobody wrote it down."""

    @property
    def gateway(self) -> str:
        """The gateway that called; "" where it was the checker, or there is but one."""
        return self.by.partition(".")[0] if "." in self.by else ""

    @property
    def destination(self) -> str | None:
        """Where a payto goes that makes signed bytes; None for any other call."""
        if self.method != "payto" or argument(self.params, 7, "unsigned"):
            return None
        found = argument(self.params, 0, "destination")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction of the chain; height 0: in no block yet."""

    tx: Transaction
    height: int


@dataclass(frozen=True)
class Finals:
    """What daemons and gateway say when all is healed and quiet."""

    is_settled: bool = True
    """Whether every backend was in service and aligned in time."""
    aligned: frozenset[int] = frozenset()
    """Daemons that the gateway calls aligned."""
    listed: dict[int, frozenset[str]] = field(default_factory=dict)
    """Receiving addresses (bare) of each daemon."""
    labels: dict[int, dict[str, str]] = field(default_factory=dict)
    """Labels by address (bare) of each daemon."""
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """A run."""

    ops: list[Op] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    """Of daemons that the gateway starts; none where the checker does."""
    holdings: list[Holding] = field(default_factory=list)
    """Who of several gateways had the wallet; none where there is but one."""
    rows: list[Row] = field(default_factory=list)
    chain: dict[str, Mined] = field(default_factory=dict)
    finals: Finals = Finals()
    has_ledger: bool = True
    day_limit: int | None = None
    """Satoshi that the client `kiosk` may take out in a day."""

    @cached_property
    def spenders(self) -> dict[str, str]:
        """Which transaction of the chain spends a coin, `txid:index`."""
        return {one.spent.text: txid for txid, mined in self.chain.items() for one in mined.tx.inputs}

    def of(self, *methods: str) -> list[Op]:
        """Return the calls of some methods in the order of their beginnings."""
        return [op for op in self.ops if op.method in methods]


def gather(folder: Path, *, has_ledger: bool, day_limit: int | None) -> Evidence:
    """Read a run's folder."""
    records = [record for path in sorted(folder.glob("*.jsonl")) for record in read(path)]
    rows = [
        Row(
            n,
            row["time"],
            str(row["id"]),
            row["method"],
            row["params"],
            row.get("result"),
            row.get("error"),
            row.get("by", ""),
            row.get("came", 0.0),
        )
        for n, path in enumerate(sorted((folder / "fleet").glob("journal-*.jsonl")))
        for row in read_journal(path)
    ]
    events = [Event.from_json(line) for line in json.loads((folder / "chain.json").read_text())]
    held = folder / "holdings.json"
    holdings = json.loads(held.read_text()) if held.exists() else []
    finals = json.loads((folder / "finals.json").read_text())
    return Evidence(
        ops=sorted((one for one in records if isinstance(one, Op)), key=lambda one: one.begin),
        deeds=sorted((one for one in records if isinstance(one, Deed)), key=lambda one: one.begin),
        blocks=[one for one in records if isinstance(one, Block)],
        paid=[one for one in records if isinstance(one, Paid)],
        crowds=[one for one in records if isinstance(one, Crowd)],
        lives=sorted((one for one in records if isinstance(one, Life)), key=lambda one: one.begin),
        holdings=[Holding(**one) for one in holdings],
        rows=sorted(rows, key=lambda row: row.at),
        chain=_mined(events),
        finals=Finals(
            is_settled=finals["is_settled"],
            aligned=frozenset(finals["aligned"]),
            listed={int(n): frozenset(found) for n, found in finals["listed"].items()},
            labels={int(n): found for n, found in finals["labels"].items()},
            note=finals["note"],
        ),
        has_ledger=has_ledger,
        day_limit=day_limit,
    )


def chain_events(port: int) -> list[dict[str, Any]]:
    """Return every event of a chain, as a daemon that starts anew is told them."""
    found: list[dict[str, Any]] = []
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as line:
        line.sendall(b'{"cmd": "subscribe"}\n')
        with line.makefile("rb") as file:
            for text in file:
                event = json.loads(text)
                if "ready" in event:
                    break
                found.append(event)
    return found


def transaction(text: object) -> Transaction | None:
    """Return the transaction that signed bytes are, None for anything else."""
    try:
        return Transaction.parse(str(text))
    except SerializationError:
        return None


def _mined(events: list[Event]) -> dict[str, Mined]:
    found: dict[str, Mined] = {}
    waiting: list[Transaction] = []
    for event in events:
        if event.tx is not None:
            waiting.append(event.tx)
            continue
        found |= {tx.txid: Mined(tx, event.height) for tx in waiting}
        waiting.clear()
    return found | {tx.txid: Mined(tx, 0) for tx in waiting}
