"""Several gateways: whoever does not have the wallet sends nothing to its daemons, and any of them answers reads.

Rule: who called is told by the user name in the journals, when a call came by the daemon's kernel, and who had the
wallet by a witness in the database; never by what a gateway says.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.checker.evidence import Evidence, Row
from tests.checker.excuses import countable
from tests.checker.history import ERROR, RESULT, Deed, Holding
from tests.checker.judge_time import ANSWERED, READS
from tests.checker.verdict import Violation

TICK = 0.05
"""Seconds by which the kernel's word on when a call came may be wrong."""

LATE = 0.3
"""Seconds after a gateway goes on in which it has sent what it was about to send when it was stopped."""

STUCK = 2
"""Calls of one gateway that may come to a daemon late after one fault: a call and a probe."""

HELD_BACK_BY = frozenset({"cut_wallets", "cut_off"})
"""Faults that keep what a gateway sends from the daemons."""

AGAIN = 2.0
"""How many times the length of a cut it takes until the kernel sends again what was cut off, at most."""


def one_gateway(evidence: Evidence) -> Iterator[Violation]:
    """5: each call came from the gateway that had the wallet when it came."""
    late: dict[tuple[int, str, int], list[Row]] = defaultdict(list)
    alien: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in evidence.rows:
        if not evidence.holdings or not row.gateway or may_come(evidence, row):
            continue
        number = next((n for n, deed in enumerate(evidence.deeds) if _explains(evidence, deed, row)), None)
        if number is None:
            alien[row.daemon, row.gateway].append(row)
        else:
            late[row.daemon, row.gateway, number].append(row)
    for (daemon, gateway), rows in alien.items():
        yield Violation("5", f"{len(rows)} calls came to daemon {daemon} from {gateway}, {_who(evidence, rows[0])}",
                        (*_around(evidence, rows[0]), *rows))  # fmt: skip
    for (daemon, gateway, number), rows in late.items():
        if len(rows) > STUCK:
            text = f"{len(rows)} calls came to daemon {daemon} from {gateway} late, after one fault; {STUCK} may"
            yield Violation("5", text, (evidence.deeds[number], *rows))


def one_holding(evidence: Evidence) -> Iterator[Violation]:
    """5: nobody is given the wallet while another one has it."""
    for one, next_ in pairwise(evidence.holdings):
        if next_.begin < one.end and next_.gateway != one.gateway:
            text = (
                f"{next_.gateway} was given the wallet {one.end - next_.begin:.3f} s before {one.gateway} had lost it"
            )
            yield Violation("5", text, (one, next_))
        if next_.term <= one.term:
            yield Violation("5", f"the term {next_.term} came after {one.term}", (one, next_))


def reads(evidence: Evidence) -> Iterator[Violation]:
    """9: reads are answered wherever they are asked, as allocations are, unless a fault excuses them."""
    if not evidence.holdings:
        return
    counted = countable(evidence, READS)
    failed = [op for op in counted if op.how != RESULT and (op.how != ERROR or op.kind)]
    if len(failed) > (1 - ANSWERED) * len(counted):
        text = f"{len(failed)} of {len(counted)} reads outside faults were not answered"
        yield Violation("9", text, tuple(failed))


def may_come(evidence: Evidence, row: Row) -> bool:
    """Whether a call came from the gateway that had the wallet at that moment."""
    return any(
        one.gateway == row.gateway and one.begin - TICK <= row.came <= one.end + TICK for one in evidence.holdings
    )


def _explains(evidence: Evidence, deed: Deed, row: Row) -> bool:
    """Whether a fault of the gateway may have held a call back that it had sent, or was about to send, before."""
    if row.gateway != f"gw-{(deed.target or 0) + 1}":
        return False
    if deed.kind == "gateway_freeze":
        return deed.begin <= row.came <= deed.end + LATE
    return deed.kind in HELD_BACK_BY and deed.begin <= row.came <= _sent_again_by(evidence, deed)


def _sent_again_by(evidence: Evidence, cut: Deed) -> float:
    """Return until when the kernel sends again what was cut off, which may be after the next cuts of the same gateway.

    It waits twice as long each time, so that all its tries may fall into cuts between which the way was open.
    """
    others = sorted((one for one in evidence.deeds if one.kind in HELD_BACK_BY and one.target == cut.target),
                    key=lambda one: one.begin)  # fmt: skip
    end = cut.end
    for one in others:
        if cut.begin <= one.begin <= end + AGAIN * (end - cut.begin) + LATE:
            end = max(end, one.end)
    return end + AGAIN * (end - cut.begin) + LATE


def _who(evidence: Evidence, row: Row) -> str:
    had = [one.gateway for one in evidence.holdings if one.begin <= row.came <= one.end]
    return f"while {had[0]} had the wallet" if had else "which did not have the wallet"


def _around(evidence: Evidence, row: Row) -> list[Holding]:
    """Return the last holding of a call's gateway, and the one of its moment."""
    own = [one for one in evidence.holdings if one.gateway == row.gateway and one.begin <= row.came]
    return own[-1:] + [one for one in evidence.holdings if one.begin <= row.came <= one.end]
