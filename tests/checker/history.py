"""What a run writes down: one JSON line for each call of a client, each deed of the operator, each block.

Rule: a line is on the disk before its writer goes on, so that a history never lacks what its client was told.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULT, ERROR, BROKEN, LEFT, REFUSED = "result", "error", "broken", "left", "refused"
"""How a call ended: answered, answered with an error, the connection broke, we hung up, nobody let us in."""

ALLOCATIONS = ("createnewaddress", "getunusedaddress", "addrequest")


@dataclass(frozen=True, slots=True)
class Op:
    """One call of one client.  Times are seconds since 1970."""

    client: str
    task: str
    method: str
    params: list[Any]
    begin: float
    end: float
    how: str
    result: Any = None
    error: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    deadline: float = 0.0
    """Seconds that the gateway had for it."""
    note: str = ""
    door: int = 0
    """The gateway that was asked, where there are several."""

    @property
    def is_answered(self) -> bool:
        """Whether the client was told a result; an error dressed as one is none."""
        dressed = isinstance(self.result, dict) and set(self.result) == {"error"}
        return self.how == RESULT and not dressed

    @property
    def executed(self) -> str:
        """What the client knows of its execution: yes, no, unknown."""
        if self.how == RESULT:
            return "yes"
        if self.how == REFUSED:
            return "no"
        if self.how != ERROR:
            return "unknown"
        data = self.error.get("data")
        found = data.get("executed") if isinstance(data, dict) else None
        return str(found) if found else "yes"  # the daemon's own errors carry none: it ran

    @property
    def kind(self) -> str:
        """The name of the gateway's error; "" for other ends."""
        data = self.error.get("data")
        return str(data.get("name", "")) if isinstance(data, dict) else ""

    @property
    def backend(self) -> str:
        """The backend of the last attempt, where an error names it."""
        data = self.error.get("data")
        return str(data.get("backend", "")) if isinstance(data, dict) else ""

    @property
    def request(self) -> str:
        """The id of the last attempt, where an error names it."""
        data = self.error.get("data")
        return str(data.get("request", "")) if isinstance(data, dict) else ""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to the processes, from its beginning to its end.

    kind: of a fault as in `plan`, or `promote`, `heal`, `settled`.
    stays: only the gateway can end it, by a restart; `is_back` says whether it did, and `end` when.
    """

    kind: str
    target: int | None
    """The daemon, or the gateway where there are several; None where there is but one."""
    begin: float
    end: float
    is_done: bool = True
    note: str = ""
    stays: bool = False
    is_back: bool = True


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a daemon that the gateway has started, by what it wrote down itself and by the kernel."""

    daemon: int
    pid: int
    begin: float
    end: float
    by_checker: bool = False
    """Ended by a fault of the run, or by its end; else by the gateway, or by itself."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One holding of the wallet by one of several gateways, as the database had it.  Times are seconds since 1970."""

    gateway: str
    term: int
    begin: float
    end: float
    """When it was given up, or when its last renewal would have ended."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was found."""

    height: int
    at: float


@dataclass(frozen=True, slots=True)
class Paid:
    """A customer's payment, made out of nothing."""

    address: str
    sats: int
    txid: str
    at: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """More of our connections in a daemon that stood still than there may be."""

    daemon: int
    at: float
    connections: int
    allowed: int
    note: str = ""


KINDS = {kind.__name__: kind for kind in (Op, Deed, Life, Block, Paid, Crowd)}
Record = Op | Deed | Life | Block | Paid | Crowd


class Diary:
    """A file of such lines.

    Args:
        syncs: wait for the disk; without, a line outlives its writer, and not the machine.
    """

    def __init__(self, path: Path, *, syncs: bool = True) -> None:
        """Open it; what is there already stays."""
        self._syncs = syncs
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, record: Record) -> None:
        """Write a line, and wait until it is on the disk."""
        line = {"is": type(record).__name__, **asdict(record)}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        if self._syncs:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file; a line cut short by a kill is left out."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            yield KINDS[fields.pop("is")](**fields)


def bare(address: str) -> str:
    """Return an address without the prefix of its network."""
    return address.rpartition(":")[2]


def address_of(op: Op) -> str | None:
    """Return the address (bare) that an allocation was answered with; None where it was not."""
    if op.method not in ALLOCATIONS or not op.is_answered:
        return None
    if isinstance(op.result, dict):
        found = op.result.get("address")
        return bare(found) if isinstance(found, str) else None
    return bare(op.result) if isinstance(op.result, str) else None


def argument(params: Any, place: int, name: str) -> Any:
    """Return an argument of a call, by position or by name; None where it is not given."""
    if isinstance(params, dict):
        return params.get(name)
    return params[place] if isinstance(params, list) and len(params) > place else None
