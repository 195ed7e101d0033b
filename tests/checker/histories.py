"""Hand-written histories: the words in which the judge's tests are written.

Rule: times are seconds since some beginning; whatever is not said is as in an ordinary answered call.
"""

from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.transactions import Input, Outpoint, Output, Transaction
from tests.checker.evidence import Evidence, Finals, Mined, Row
from tests.checker.history import ERROR, RESULT, Deed, Op
from tests.checker.judge import judge

SHOP = addresses.derive("customers", change=False, index=0).text
OTHER = addresses.derive("customers", change=False, index=1).text
CALM = Finals(aligned=frozenset({0, 1, 2}), listed={n: frozenset({"A", "B", "C"}) for n in range(3)})
INVOICE = {"address": "A", "status": "Pending"}


def op(method: str, *params: Any, at: float = 10.0, took: float = 0.1, **more: Any) -> Op:
    """One call, answered with `result` unless told otherwise."""
    how = more.pop("how", RESULT)
    return Op("till", "task", method, list(params), at, at + took, how, deadline=4.0, **more)


def failed(method: str, *params: Any, name: str, executed: str, **more: Any) -> Op:
    """One call that ended in an error of the gateway."""
    data = {"name": name, "executed": executed, "request": more.pop("request", ""), "backend": more.pop("backend", "")}
    return op(method, *params, how=ERROR, error={"code": -32000, "data": data}, **more)


def row(daemon: int, at: float, method: str, *params: Any, result: Any = None, id: str = "g1") -> Row:  # noqa: A002 - as in the journal
    """One line of a journal."""
    return Row(daemon, at, id, method, list(params), result)


def transaction(destination: str = SHOP, *, sats: int = 1000, coin: str = "aa") -> Transaction:
    """A signed payment that spends one coin."""
    spent = Input(Outpoint(coin * 32, 0), "51")
    return Transaction((spent,), (Output(sats, addresses.parse(destination).script),))


def signature(tx: Transaction) -> dict[str, Any]:
    """What payto answers."""
    return {"hex": tx.hex, "complete": True, "final": True}


def found(evidence: Evidence) -> set[str]:
    """The invariants that are violated."""
    return {violation.invariant for violation in judge(evidence)}


def mined(*found: Transaction, height: int = 121) -> dict[str, Mined]:
    """A chain with these in one block."""
    return {tx.txid: Mined(tx, height) for tx in found}


def fault(kind: str, begin: float, end: float, target: int | None = 0, **more: Any) -> Deed:
    """One fault."""
    return Deed(kind, target, begin, end, **more)
