"""The verdict about a run: every invariant of the design that can be seen from the outside.

Rule: each is a function of the evidence and knows nothing of the others; what a fault excuses is said where it is
excused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from gateway.base.errors import INTERNAL
from tests.checker.evidence import Evidence
from tests.checker.history import ALLOCATIONS, ERROR, Op, address_of, bare
from tests.checker.judge_cluster import one_gateway, one_holding, reads
from tests.checker.judge_money import executions, keys, limits, payments
from tests.checker.judge_restarts import busy, cured, one_at_a_time, one_process, reasons
from tests.checker.judge_time import answered_in_time, crowds, epochs, hollow, liveness, primaries, unknowns
from tests.checker.verdict import Violation

FINAL = "final"
"""The note of calls that were made when all was healed and quiet."""

RANK = {"Pending": 0, "Unconfirmed": 1, "Paid": 2}
"""How far an invoice is; Expired and Unknown tell nothing."""


def judge(evidence: Evidence) -> list[Violation]:
    """Return every violation, in the order of the invariants."""
    return [violation for one in INVARIANTS for violation in one(evidence)]


def once(evidence: Evidence) -> Iterator[Violation]:
    """1: no address is answered to two calls, whichever methods they were."""
    found: dict[str, list[Op]] = defaultdict(list)
    for op in evidence.of(*ALLOCATIONS):
        address = address_of(op)
        if address is not None:
            found[address].append(op)
    for address, ops in found.items():
        if len(ops) > 1:
            yield Violation("1", f"{address} was answered to {len(ops)} calls", tuple(ops))


def handed_is_seen(evidence: Evidence) -> Iterator[Violation]:
    """3: at the end every aligned daemon lists every address that was handed out; and reads say so all the time."""
    told = {address: op for op in evidence.of(*ALLOCATIONS) if (address := address_of(op)) is not None}
    for daemon in sorted(evidence.finals.aligned):
        lacks = [op for address, op in told.items() if address not in evidence.finals.listed.get(daemon, frozenset())]
        if lacks:
            text = f"daemon {daemon} counts as aligned and is blind to {len(lacks)} of {len(told)} handed addresses"
            yield Violation("3", text, tuple(lacks))
    for op in evidence.of("ismine", "listaddresses"):
        if not op.is_answered:
            continue
        if op.method == "ismine":
            asked = {bare(str(op.params[0]))} if op.result is not True else set()
        else:
            asked = set(told) - {bare(one) for one in op.result}
        lacks = [told[one] for one in asked if one in told and told[one].end < op.begin]
        if lacks:
            text = f"{op.method} did not know {len(lacks)} addresses that clients had been given before"
            yield Violation("3", text, (op, *lacks))


def nothing_crashes(evidence: Evidence) -> Iterator[Violation]:
    """Whatever fails, the gateway knows what to say: it never answers that it has failed itself."""
    for op in evidence.ops:
        if op.kind == INTERNAL.name:
            yield Violation("error", f"the gateway failed over {op.method}", (op,))


def invoices_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """3: an open invoice is listed and found, a removed one is not, and a paid one turns Paid."""
    made = {address: op for op in evidence.of("addrequest") if (address := address_of(op)) is not None}
    removals: dict[str, list[Op]] = defaultdict(list)
    for op in evidence.of("rmrequest"):
        removals[bare(str(op.params[0]))].append(op)
    paid = {one.address: one for one in evidence.paid}
    for op in evidence.of("listrequests"):
        if not op.is_answered or op.params:
            continue
        shown = {bare(one["address"]): one for one in op.result}
        is_final = op.note == FINAL
        for address, asked in made.items():
            removed = [one for one in removals[address] if one.begin < op.end]
            if address not in shown and not removed and asked.end < op.begin:
                yield Violation("3", f"the open invoice {address} is not listed", (asked, op))
            if address in shown and any(one.is_answered and one.end < op.begin for one in removed):
                yield Violation("3", f"the removed invoice {address} is listed", (asked, *removed, op))
            wanted = paid.get(address)
            if is_final and address in shown and wanted is not None and shown[address]["status"] != "Paid":
                text = f"the invoice {address} was paid ({wanted.txid}) and is {shown[address]['status']}"
                yield Violation("3", text, (asked, op))
    for op in evidence.of("getrequest"):
        address = bare(str(op.params[0]))
        asked_for = made.get(address)
        is_missing = op.how == ERROR and not op.kind
        if is_missing and asked_for is not None and asked_for.end < op.begin and not removals[address]:
            yield Violation("3", f"the open invoice {address} is not found", (asked_for, op))


def statuses_go_on(evidence: Evidence) -> Iterator[Violation]:
    """3: the state of an invoice never goes back."""
    seen: dict[str, list[tuple[Op, str]]] = defaultdict(list)
    for op in evidence.of("listrequests", "getrequest"):
        if op.is_answered:
            for one in op.result if isinstance(op.result, list) else [op.result]:
                seen[bare(one["address"])].append((op, one["status"]))
    for address, looks in seen.items():
        best: tuple[Op, str] | None = None
        for op, status in sorted(looks, key=lambda look: look[0].end):
            if status not in RANK:
                continue
            if best is not None and best[0].end < op.begin and RANK[status] < RANK[best[1]]:
                yield Violation("3", f"the invoice {address} was {best[1]} and is {status}", (best[0], op))
                break
            if best is None or RANK[status] > RANK[best[1]]:
                best = (op, status)


def broadcasts_are_there(evidence: Evidence) -> Iterator[Violation]:
    """3: what was called broadcast is on the chain."""
    for op in evidence.of("broadcast"):
        if (
            op.is_answered
            and isinstance(op.result, list)
            and op.result[0] is True
            and op.result[1] not in evidence.chain
        ):
            yield Violation("3", f"{op.result[1]} was called broadcast and is not on the chain", (op,))


def labels_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """3: a label that was taken is on every aligned daemon at the end; each address is labelled once in a run."""
    taken = [op for op in evidence.of("setlabel") if op.is_answered and evidence.has_ledger]
    for daemon in sorted(evidence.finals.aligned):
        has = set(evidence.finals.labels.get(daemon, {}).values())
        lacks = [op for op in taken if str(op.params[1]) not in has]
        if lacks:
            text = f"daemon {daemon} counts as aligned and lacks {len(lacks)} of {len(taken)} labels that were taken"
            yield Violation("3", text, tuple(lacks))


INVARIANTS: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    once,
    keys,
    payments,
    executions,
    handed_is_seen,
    invoices_are_kept,
    statuses_go_on,
    broadcasts_are_there,
    labels_are_kept,
    crowds,
    one_gateway,
    one_holding,
    primaries,
    epochs,
    answered_in_time,
    unknowns,
    liveness,
    hollow,
    reads,
    cured,
    reasons,
    one_at_a_time,
    one_process,
    busy,
    limits,
    nothing_crashes,
)
