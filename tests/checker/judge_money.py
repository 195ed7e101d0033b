"""Invariants 2 and 4, and the limits: no payment twice, nothing denied that ran.

Rule: a payment is known by its destination, which no other has; a broadcast by its bytes, a label by its text.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

from gateway.sandbox.transactions import Transaction
from tests.checker.evidence import Evidence, Row, transaction
from tests.checker.history import Op
from tests.checker.verdict import Violation

DEEP = 6
"""Confirmations after which a conflict has won for ever."""

TRIES = 3
"""Signatures that a call may cost: one whose coins turn out to be another payment's is thrown away unseen."""

RAN_AND_DENIED = frozenset({"limit_exceeded"})
"""Errors that say "not executed" of a signing that ran and was never shown: what counts is the payment."""


def keys(evidence: Evidence) -> Iterator[Violation]:
    """2: a key gives one transaction, for one set of parameters; two live keys never sign the same coin."""
    signed: dict[tuple[str, str], list[tuple[Op, Transaction]]] = defaultdict(list)
    for op in evidence.of("payto"):
        tx = _signed(op)
        if op.key is not None and tx is not None:
            signed[op.client, op.key].append((op, tx))
    for (client, key), found in signed.items():
        found.sort(key=lambda one: one[0].end)
        (first, tx), *later = found
        for op, other in later:
            if op.params != first.params:
                yield Violation(
                    "2", f"the key {key!r} of {client} was answered for two sets of parameters", (first, op)
                )
            elif other.txid != tx.txid and not _is_dead(evidence, tx, op.begin):
                yield Violation("2", f"the key {key!r} of {client} gave two transactions", (first, op))
    firsts = [(name, *found[0]) for name, found in signed.items()]
    for (name, op, tx), (other_name, other_op, other) in combinations(firsts, 2):
        shared = _coins(tx) & _coins(other)
        later_begin = max(op.begin, other_op.begin)
        earlier = tx if op.end <= other_op.end else other
        if shared and not _is_dead(evidence, earlier, later_begin):
            coin = min(shared)
            yield Violation("2", f"the keys {name[1]!r} and {other_name[1]!r} both sign {coin}", (op, other_op))


def payments(evidence: Evidence) -> Iterator[Violation]:
    """2: nobody is paid twice for one payment."""
    asked: dict[str, list[Op]] = defaultdict(list)
    for op in evidence.of("payto"):
        asked[str(op.params[0])].append(op)
    for destination, ops in asked.items():
        found = {
            txid
            for txid, mined in evidence.chain.items()
            if any(made.address == destination for made in mined.tx.outputs)
        }
        if len(found) > 1:
            text = f"{destination} was paid {len(found)} times for one payment: {', '.join(sorted(found))}"
            yield Violation("2", text, tuple(ops))


def executions(evidence: Evidence) -> Iterator[Violation]:
    """2 and 4: no more executions than calls; none of a call that was called not executed."""
    yield from _payto_executions(evidence)
    texts = Counter(str(row.params[1]) for row in evidence.rows if row.method == "setlabel" and _has(row.params, 2))
    for op in evidence.of("setlabel"):
        if op.executed == "no" and texts[str(op.params[1])]:
            yield Violation("4", f"the label {op.params[1]!r} was called not executed and ran", (op,))
    sent = {_hex(row) for row in evidence.rows if row.method == "broadcast"}
    by_bytes: dict[str, list[Op]] = defaultdict(list)
    for op in evidence.of("broadcast"):
        by_bytes[str(op.params[0])].append(op)
    for text, ops in by_bytes.items():
        if text in sent and all(op.executed == "no" for op in ops):
            yield Violation("4", "a broadcast was called not executed each time, and ran", tuple(ops))


def _payto_executions(evidence: Evidence) -> Iterator[Violation]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in evidence.rows:
        if row.destination is not None:
            rows[row.destination].append(row)
    ops: dict[str, list[Op]] = defaultdict(list)
    for op in evidence.of("payto"):
        ops[str(op.params[0])].append(op)
    for destination, ran in rows.items():
        calls = ops[destination]
        denied = [op for op in calls if op.executed == "no" and op.kind not in RAN_AND_DENIED]
        may_have_run = [op for op in calls if op not in denied and not _is_known(op, calls)]
        if not may_have_run:
            yield Violation("4", f"a payment to {destination} was called not executed and ran", (*denied, *ran))
        elif len(ran) > TRIES * len(may_have_run):
            text = f"{len(may_have_run)} calls for a payment to {destination} ran {len(ran)} times"
            yield Violation("2", text, (*calls, *ran))
        elif len(calls) == 1 and _is_sent_again(evidence, ran):
            text = f"one call for a payment to {destination} ran {len(ran)} times, sent again before it had ended"
            yield Violation("2", text, (*calls, *ran))


def _is_sent_again(evidence: Evidence, ran: list[Row]) -> bool:
    """Whether a later request of one call ran before an earlier one.

    Signatures that cannot be used are made again, each after the one before was answered: so they run in the order of
    their numbers.  A start of the gateway begins to count anew.
    """
    starts = [deed.end for deed in evidence.deeds if deed.kind == "gateway_kill"]
    return any(
        _number(one) > _number(next_)
        and one.by == next_.by
        and not any(one.at <= start <= next_.at for start in starts)
        for one, next_ in pairwise(ran)
    )


def _number(row: Row) -> int:
    return int("".join(letter for letter in row.id if letter.isdigit()) or 0)


def _is_known(op: Op, calls: list[Op]) -> bool:
    """Whether a call only asks again for what its key was answered before."""
    return op.key is not None and any(
        one.key == op.key and one.client == op.client and _signed(one) is not None and one.end < op.begin
        for one in calls
    )


def limits(evidence: Evidence) -> Iterator[Violation]:
    """The amounts that a client may sign for in a day; the fee, a few satoshi, is left out."""
    if evidence.day_limit is None or not evidence.has_ledger:
        return
    taken: dict[str, int] = {}
    ops = []
    for op in evidence.of("payto"):
        tx = _signed(op)
        if op.client == "kiosk" and tx is not None:
            destination = str(op.params[0])
            taken[tx.txid] = sum(made.value for made in tx.outputs if made.address == destination)
            ops.append(op)
    if sum(taken.values()) > evidence.day_limit:
        text = f"kiosk signed for {sum(taken.values())} satoshi; its limit is {evidence.day_limit}"
        yield Violation("limit", text, tuple(ops))


def _signed(op: Op) -> Transaction | None:
    if op.is_answered and isinstance(op.result, dict) and op.result.get("complete") is True:
        return transaction(op.result.get("hex"))
    return None


def _coins(tx: Transaction) -> set[str]:
    return {one.spent.text for one in tx.inputs}


def _is_dead(evidence: Evidence, tx: Transaction, at: float) -> bool:
    """Whether a transaction could never be valid any more at a time: a conflict was six blocks deep."""
    height = max((block.height for block in evidence.blocks if block.at <= at), default=0)
    for coin in _coins(tx):
        winner = evidence.spenders.get(coin)
        if winner is not None and winner != tx.txid:
            found = evidence.chain[winner].height
            if found and height - found + 1 >= DEEP:
                return True
    return False


def _has(params: Any, many: int) -> bool:
    return isinstance(params, list) and len(params) >= many


def _hex(row: Row) -> str:
    tx = row.params[0] if _has(row.params, 1) else row.params.get("tx") if isinstance(row.params, dict) else None
    return str(tx["hex"] if isinstance(tx, dict) and "hex" in tx else tx)
