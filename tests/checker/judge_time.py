"""Invariants 5, 6, 7 and 9: one call at a time in a daemon, one primary in an epoch, answers in time, and liveness.

Rule: what a fault may explain is explained by the operator's own notes of it.  The seconds of the design are exact in
virtual time; a real run, on a machine that has other things to do, gets three times as many.
"""

from collections import defaultdict
from collections.abc import Iterator

from tests.checker.evidence import Evidence, Row
from tests.checker.excuses import (
    AWAY,
    BACK,
    CLOSING,
    PATIENCE,
    TAKEOVERS,
    after_faults,
    countable,
    faults,
    is_door_lost,
    settled_at,
)
from tests.checker.history import ALLOCATIONS, BROKEN, ERROR, RESULT, Deed, Op, address_of, bare
from tests.checker.verdict import Violation

LATE = 1.0 * PATIENCE
"""Seconds past its deadline that a call may take."""

WITHOUT_PAUSE = 0.1
"""Seconds between two derivations of one order to catch up."""

AFTER_THAW = 0.6
"""Seconds in which a daemon that stood still works off what it had taken before."""

ANSWERED = 0.99
"""The share of allocations that are answered outside faults."""

READS = frozenset(
    {
        "ismine", "getbalance", "getrequest", "listrequests", "listaddresses", "gateway.status",
        "getinfo", "history", "validateaddress", "version",
    }
)  # fmt: skip


def crowds(evidence: Evidence) -> Iterator[Violation]:
    """5: no daemon holds two unsettled calls of ours; beside the one there may be a probe."""
    for crowd in evidence.crowds:
        stood_still = _at(evidence, crowd.at, "freeze", crowd.daemon)
        since = min((deed.begin for deed in stood_still), default=crowd.at)
        # each further holding may leave as much: who lost the wallet has closed its own, and the daemon does not know
        allowed = crowd.allowed + 2 * sum(since <= one.begin <= crowd.at for one in evidence.holdings)
        if crowd.connections <= allowed:
            continue
        held = f"{crowd.connections} connections ({crowd.note})"
        text = f"daemon {crowd.daemon} stood still and held {held}; {allowed} may be"
        yield Violation("5", text, tuple(stood_still))
    by_id: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in evidence.rows:
        by_id[row.daemon, row.id].append(row)
    for deed in evidence.deeds:
        if deed.kind != "freeze" or deed.target is None or any(_during(evidence, deed, "gateway_kill")):
            continue
        if any(deed.begin <= one.begin <= deed.end for one in evidence.holdings):
            continue
        caught = [
            op
            for op in evidence.ops
            if op.request
            and op.executed == "unknown"
            and deed.begin < op.begin
            and op.end < deed.end
            and any(deed.end <= row.at < deed.end + AFTER_THAW for row in by_id[deed.target, op.request])
        ]
        if len({op.request for op in caught}) > 1:
            text = f"{len(caught)} calls were in daemon {deed.target} while it stood still"
            yield Violation("5", text, (deed, *caught))


def primaries(evidence: Evidence) -> Iterator[Violation]:
    """6: who signs and derives first changes only when a fault, an order or a start of the gateway explains it."""
    before: Row | None = None
    for row in _acts(evidence):
        if before is not None and row.daemon != before.daemon:
            explained = any(
                deed.begin <= row.at
                and deed.end + BACK >= before.at
                and (
                    deed.kind in TAKEOVERS
                    or (deed.kind == "promote" and deed.is_done)
                    or (deed.kind in AWAY and deed.target == before.daemon)
                )
                for deed in evidence.deeds
            )
            if not explained:
                text = f"daemon {row.daemon} acted as primary after daemon {before.daemon}, and nothing had happened"
                yield Violation("6", text, (before, row))
        before = row


def epochs(evidence: Evidence) -> Iterator[Violation]:
    """6: after a promotion is acknowledged, no signature of another backend is answered; an epoch has one primary."""
    answered: dict[str, Op] = {}
    for op in evidence.of("payto"):
        if op.is_answered and isinstance(op.result, dict) and "hex" in op.result:
            answered.setdefault(str(op.result["hex"]), op)
    promotions = [deed for deed in evidence.deeds if deed.kind == "promote" and deed.is_done]
    for row in evidence.rows:
        found = row.result.get("hex") if row.destination is not None and isinstance(row.result, dict) else None
        shown = answered.get(str(found))
        if shown is None:
            continue
        last = max((deed for deed in promotions if deed.end < row.at), key=lambda deed: deed.end, default=None)
        if last is None or last.target == row.daemon or _may_have_moved_on(evidence, last, row.at):
            continue
        if any(
            other is not row
            and other.destination == row.destination
            and other.daemon == last.target
            and isinstance(other.result, dict)
            and other.result.get("hex") == found
            for other in evidence.rows
        ):
            continue  # the new primary signed the very same bytes
        text = f"daemon {row.daemon} signed after daemon {last.target} had been made primary, and it was answered"
        yield Violation("6", text, (last, row, shown))
    named: dict[int, tuple[str, Op]] = {}
    for op in evidence.of("gateway.status"):
        if op.is_answered and isinstance(op.result, dict) and isinstance(op.result.get("epoch"), int):
            primary, first = named.setdefault(op.result["epoch"], (str(op.result.get("primary")), op))
            if op.result.get("primary") != primary:
                yield Violation("6", f"epoch {op.result['epoch']} had two primaries", (first, op))


def answered_in_time(evidence: Evidence) -> Iterator[Violation]:
    """7: every call is answered by its deadline plus one second."""
    for op in evidence.ops:
        took = op.end - op.begin
        if is_door_lost(evidence, op):
            continue  # the gateway that was asked stands still, or nothing comes through to it or from it
        if op.how == BROKEN and op.note == "silence":
            yield Violation("7", f"{op.method} was not answered at all", (op,))
        elif op.how in {RESULT, ERROR} and took > op.deadline + LATE:
            yield Violation("7", f"{op.method} took {took:.1f} s; its deadline was {op.deadline} s", (op,))


def unknowns(evidence: Evidence) -> Iterator[Violation]:
    """9: an unknown outcome has a fault behind it, and there are no more than calls in flight at faults."""
    found = [op for op in evidence.ops if op.how == ERROR and op.executed == "unknown" and op.method not in READS]
    for op in found:
        if not any(deed.begin <= op.end and deed.end + BACK >= op.begin for deed in faults(evidence)):
            yield Violation("9", f"the outcome of {op.method} is unknown, and nothing had happened", (op,))
    in_flight = sum(
        op.begin <= deed.begin <= op.end for op in evidence.ops if op.method not in READS for deed in faults(evidence)
    )
    # and one call for each fault that was sent before anybody could notice
    most = in_flight + len(faults(evidence))
    if len(found) > most:
        text = f"{len(found)} outcomes are unknown; {most} calls at most were in flight at faults"
        yield Violation("9", text, tuple(found))


def liveness(evidence: Evidence) -> Iterator[Violation]:
    """9: outside faults 99 % of allocations are answered; and the wallet comes back whole."""
    for deed in evidence.deeds:
        if deed.kind in {"gateway_kill", "gateway_stop"} and not deed.is_done:
            what = "did not start again after it was killed" if deed.kind == "gateway_kill" else "did not end or start"
            yield Violation("9", f"the gateway {what}: {deed.note[-300:]}", (deed,))
    if not evidence.finals.is_settled:
        yield Violation("9", f"not all backends came back after the faults: {evidence.finals.note}")
    counted = countable(evidence)
    failed = [op for op in counted if address_of(op) is None]
    if len(failed) > (1 - ANSWERED) * len(counted):
        text = f"{len(failed)} of {len(counted)} allocations outside faults were not answered"
        yield Violation("9", text, tuple(failed))


def hollow(evidence: Evidence) -> Iterator[Violation]:
    """9: a run in which hardly an allocation counts after the first fault tells nothing of liveness.

    Those that are asked for when all serves again have no excuse, so that there are at least as many of them.
    """
    if not evidence.has_ledger or settled_at(evidence) is None:
        return
    counted = after_faults(countable(evidence), evidence)
    if len(counted) < CLOSING:
        asked = len(after_faults(evidence.of(*ALLOCATIONS), evidence))
        yield Violation("9", f"{len(counted)} of {asked} allocations after the first fault count; {CLOSING} must")


def _acts(evidence: Evidence) -> list[Row]:
    """Return what only a primary does: signatures of clients' payments, and derivations that nobody made before.

    Left out is what a daemon works off after it stood still (sent before, and fenced when it is answered), an address
    that another daemon had by itself, for it extends its list without a call, and what a standby derives too much while
    it catches up, for its own list grows under its hands as well.
    """
    catching_up = _catching_up(evidence)
    first: dict[str, Row] = {}
    derived: dict[str, set[int]] = defaultdict(set)
    for row in evidence.rows:
        if row.method == "createnewaddress" and isinstance(row.result, str):
            first.setdefault(bare(row.result), row)
            derived[bare(row.result)].add(row.daemon)

    def is_act(row: Row) -> bool:
        if any(
            deed.target == row.daemon
            and deed.kind in {"freeze", "wedge", "slow", "silent_chain"}
            and deed.begin <= row.at <= deed.end + AFTER_THAW
            for deed in evidence.deeds
        ):
            return False
        if row.destination is not None:
            return True
        if row.method != "createnewaddress" or not isinstance(row.result, str):
            return False
        if id(row) in catching_up:
            return False
        address = bare(row.result)
        listed = {n for n, found in evidence.finals.listed.items() if address in found}
        return first[address] is row and listed <= derived[address]

    return [row for row in evidence.rows if is_act(row)]


def _catching_up(evidence: Evidence) -> set[int]:
    """Return (by identity) derivations without a pause that began with one that another daemon had made before."""
    first: dict[str, Row] = {}
    last: dict[int, tuple[float, bool]] = {}
    found: set[int] = set()
    for row in evidence.rows:
        if row.method != "createnewaddress" or not isinstance(row.result, str):
            continue
        is_repeated = first.setdefault(bare(row.result), row) is not row
        at, is_run = last.get(row.daemon, (float("-inf"), False))
        is_run = is_run if row.at - at < WITHOUT_PAUSE else is_repeated
        last[row.daemon] = (row.at, is_run)
        if is_run:
            found.add(id(row))
    return found


def _may_have_moved_on(evidence: Evidence, promotion: Deed, until: float) -> bool:
    """Whether somebody else may have become primary since a promotion."""
    return any(
        one is not promotion
        and one.begin <= until
        and one.end >= promotion.begin
        and (one.kind in TAKEOVERS | {"promote"} or (one.kind in AWAY and one.target == promotion.target))
        for one in evidence.deeds
    )


def _at(evidence: Evidence, moment: float, kind: str, target: int) -> list[Deed]:
    return [
        deed
        for deed in evidence.deeds
        if deed.kind == kind and deed.target == target and deed.begin <= moment <= deed.end
    ]


def _during(evidence: Evidence, deed: Deed, kind: str) -> Iterator[Deed]:
    return (one for one in evidence.deeds if one.kind == kind and one.begin <= deed.end and one.end >= deed.begin)
