"""What a fault excuses: for how long allocations may fail after it, and which clients need not be answered in time.

Rule: a daemon or a gateway that is lost excuses allocations for as long as a promotion or a takeover may take, where
another one is well all the time; whoever asks at the door of a lost gateway is excused until it is back.  Whatever it
was, its excuse ends when all is healed and serves again.  The seconds of the design are exact in virtual time; a real
run, on a machine that has other things to do, gets three times as many.
"""

from collections.abc import Iterable, Iterator

from tests.checker.evidence import Evidence
from tests.checker.history import ALLOCATIONS, LEFT, Deed, Op
from tests.checker.plan import DAEMONS, KINDS, OUT_OF_REACH, SWITCHES

PATIENCE = 3
"""How much longer than the design says a real run may take."""

BACK = 3.0 * PATIENCE
"""Seconds after which allocations are back when the primary is lost."""

GATEWAY_FAULTS = frozenset(name for name, kind in KINDS.items() if kind.lane in {"gateway", "database"})
DAEMON_FAULTS = OUT_OF_REACH | SWITCHES
AWAY = DAEMON_FAULTS | {"restart"}
"""What takes a daemon away; an order to restart is no fault, and excuses only what another daemon could not do."""

DATABASE_FAULTS = frozenset(name for name, kind in KINDS.items() if kind.lane == "database")

TAKEOVERS = GATEWAY_FAULTS - {"disk_full"} | {"handover"}
"""After what another life of the gateway, or another gateway, may go on."""

LOST = frozenset({"gateway_kill", "gateway_freeze", "cut_database", "cut_off"})
"""What loses a gateway among several: another one has to take over."""

SILENT = frozenset({"gateway_kill", "gateway_stop", "gateway_freeze", "cut_off"})
"""What makes a gateway leave its clients without an answer."""

CLOSING = 20
"""Allocations that are asked for when all serves again: no fault excuses them."""

HEARD = 3.0
"""Seconds after that in which what was lost on the way is sent again, and answered."""


def faults(evidence: Evidence) -> list[Deed]:
    """Return the deeds after which outcomes may be unknown."""
    return [deed for deed in evidence.deeds if deed.kind in DAEMON_FAULTS | GATEWAY_FAULTS | {"promote", "handover"}]


def countable(evidence: Evidence, methods: Iterable[str] = ALLOCATIONS) -> list[Op]:
    """Return the calls, allocations by default, that should have been answered: nobody left, and no fault excuses."""
    deeds = [deed for deed in evidence.deeds if deed.kind in AWAY | GATEWAY_FAULTS | {"promote"}]
    doors = {op.door for op in evidence.ops}
    windows = {door: list(_windows(evidence, deeds, door)) for door in doors}
    return [
        op
        for op in evidence.of(*methods)
        if op.how != LEFT and not any(begin <= op.end and op.begin <= end for begin, end in windows[op.door])
    ]


def after_faults(ops: Iterable[Op], evidence: Evidence) -> list[Op]:
    """Return those of some calls that began after the first fault, where there was one, and whose client waited."""
    kinds = AWAY | GATEWAY_FAULTS | {"promote"}
    first = min((deed.begin for deed in evidence.deeds if deed.kind in kinds), default=float("-inf"))
    return [op for op in ops if op.begin >= first and op.how != LEFT]


def settled_at(evidence: Evidence) -> float | None:
    """Return when all was healed and served again; None where that never was, or nobody wrote it down."""
    return min((deed.end for deed in evidence.deeds if deed.kind == "settled" and deed.is_done), default=None)


def is_door_lost(evidence: Evidence, op: Op) -> bool:
    """Whether the gateway that a client asked could not answer for a part of the time.

    One alone that is killed refuses its clients, who know at once; only where it stands still do they hear nothing.
    """
    return any(
        (deed.kind in SILENT and deed.target == op.door if evidence.holdings else deed.kind == "gateway_freeze")
        and deed.begin <= op.end
        and deed.end + HEARD >= op.begin
        for deed in evidence.deeds
    )


def _windows(evidence: Evidence, deeds: Iterable[Deed], door: int) -> Iterator[tuple[float, float]]:
    """Yield the times in which faults excuse allocations at a door, none of them longer than until all serves again."""
    settled = settled_at(evidence)
    for deed in deeds:
        window = _window(evidence, deed, door)
        if window is not None:
            begin, end = window
            yield begin, end if settled is None else min(end, settled)


def _window(evidence: Evidence, deed: Deed, door: int) -> tuple[float, float] | None:
    """Return the time in which a fault excuses allocations at a door.

    A daemon that is lost excuses them for as long as a promotion may take, if another one is well all the time, and
    one that was ordered to restart does not excuse any then; else, and for what befalls the only gateway, until its
    end and as long again as a promotion may take.
    """
    whole = deed.begin, deed.end + BACK
    if deed.kind in AWAY:
        if not _has_another(evidence, deed, AWAY, DAEMONS):
            return whole
        return None if deed.kind == "restart" else (deed.begin, deed.begin + BACK)
    if not evidence.holdings or deed.kind in DATABASE_FAULTS | {"promote"}:
        return whole
    return _window_among_gateways(evidence, deed, door)


def _window_among_gateways(evidence: Evidence, deed: Deed, door: int) -> tuple[float, float] | None:
    """Return the time in which what befalls one of several gateways excuses allocations at a door."""
    whole = deed.begin, deed.end + BACK
    is_own = deed.target == door
    match deed.kind:
        case "cut_wallets":
            return whole if _held(evidence, deed, own=True) else None
        case "cut_gateways":
            return whole if _held(evidence, deed, own=not is_own) else None
        case "gateway_stop":
            return whole if is_own else None
        case _:
            many = 1 + max(op.door for op in evidence.ops)
            is_short = not is_own and _has_another(evidence, deed, LOST | {"gateway_stop"}, many)
            return (deed.begin, deed.begin + BACK) if is_short else whole


def _has_another(evidence: Evidence, deed: Deed, kinds: frozenset[str], many: int) -> bool:
    """Whether another one of many was well all the time."""
    return any(
        n != deed.target
        and not any(
            one.target == n and one.kind in kinds and one.begin <= deed.end + BACK and one.end + BACK >= deed.begin
            for one in evidence.deeds
        )
        for n in range(many)
    )


def _held(evidence: Evidence, deed: Deed, *, own: bool) -> bool:
    """Whether the gateway of a fault, or another one, had the wallet in its time."""
    name = f"gw-{(deed.target or 0) + 1}"
    return any(
        (one.gateway == name) is own and one.begin <= deed.end and one.end >= deed.begin for one in evidence.holdings
    )
