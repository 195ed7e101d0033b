"""The history as rows for a program: the members that /api/v1 answers, the columns of its tables, the report's lines.

Rule: one shape for each kind of row, wherever it comes from; times are seconds since 1970, and a day is written as
such.  What lasts has no end, and its seconds are those until now.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.rules.availability import DAY, Share
from gateway.rules.deeds import Order, Restart
from gateway.rules.stories import Incident

Row = dict[str, object]

COLUMNS: Mapping[str, Sequence[str]] = {
    "incidents": (
        "opened_at", "closed_at", "seconds", "severity", "kind", "wallet", "backend", "title", "times", "done",
        "gateway", "id",
    ),
    "availability": (
        "day", "wallet", "backend", "elapsed", "watched", "available", "share", "met", "stood_still", "not_running",
        "reasons",
    ),
    "restarts": (
        "began_at", "ended_at", "seconds", "wallet", "backend", "cause", "reason", "by", "outcome", "step", "detail",
        "gateway", "id",
    ),
    "audit": (
        "at", "who", "by", "peer", "wallet", "backend", "verb", "reason", "outcome", "answer", "done_at", "gateway",
        "id",
    ),
}  # fmt: skip
"""The columns of each kind of row as a table, in their order."""

STARTS = frozenset("=+-@\t\r\n")
"""With these a cell begins that a spreadsheet may run."""


BEGINS: Mapping[str, str] = {"incidents": "opened_at", "restarts": "began_at", "audit": "at"}
"""By which of its moments each kind of row is ordered, and asked for."""


def until(what: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the moment by which the rows that are older than these are asked for.

    What is open is told beside the newest, however old it is.  A whole second, so that nothing is skipped; what began
    within it comes again.
    """
    newest = [row for row in rows if row.get("closed_at", 0.0) is not None] or rows
    return math.ceil(min(float(row[BEGINS[what]]) for row in newest))


def incident(gateway: str, one: Incident, now: float) -> Row:
    """Return one incident."""
    return {
        "id": one.id,
        "kind": one.kind,
        "severity": one.severity,
        "wallet": one.wallet,
        "backend": one.backend,
        "title": one.title,
        "opened_at": round(one.opened_at, 3),
        "closed_at": _moment(one.closed_at),
        "seconds": _lasted(one.opened_at, one.closed_at, now),
        "times": one.times,
        "alerts": list(one.alerts),
        "done": [{"at": round(line.at, 3), "text": line.text} for line in one.done],
        "gateway": gateway,
    }


def restart(gateway: str, one: Restart, now: float) -> Row:
    """Return one restart."""
    return {
        "id": one.id,
        "wallet": one.wallet,
        "backend": one.backend,
        "cause": one.cause,
        "reason": one.reason,
        "by": one.by,
        "began_at": round(one.began_at, 3),
        "ended_at": _moment(one.ended_at),
        "seconds": _lasted(one.began_at, one.ended_at, now),
        "outcome": one.outcome,
        "step": one.step,
        "detail": one.detail,
        "gateway": gateway,
    }


def order(gateway: str, one: Order) -> Row:
    """Return one order."""
    return {
        "id": one.id,
        "at": round(one.at, 3),
        "who": one.who,
        "by": one.by,
        "peer": one.peer,
        "wallet": one.wallet,
        "backend": one.backend,
        "verb": one.verb,
        "reason": one.reason,
        "outcome": one.outcome,
        "answer": one.answer,
        "done_at": _moment(one.done_at),
        "gateway": gateway,
    }


def share(one: Share) -> Row:
    """Return one day of one wallet or backend."""
    return {
        "day": day_of(one.day),
        "wallet": one.wallet,
        "backend": one.backend,
        "elapsed": round(one.elapsed, 1),
        "watched": round(one.watched, 1),
        "available": round(one.available, 1),
        # down, so that 99.9996 % is never told as all
        "share": None if one.share is None else int(one.share * 1_000_000 + 1e-6) / 1_000_000,
        "met": one.is_met,
        "stood_still": round(one.stood_still, 1),
        "not_running": round(one.not_running, 1),
        "reasons": {word: round(seconds, 1) for word, seconds in sorted(one.reasons.items())},
    }


def day_of(day: int) -> str:
    """Return a day, which is counted since 1970, as people write it."""
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")


def cells(name: str, row: Row) -> Iterator[object]:
    """Yield the cells of a row in the order of its columns; none of them is run by a spreadsheet."""
    for column in COLUMNS[name]:
        value = row[column]
        if column in MOMENTS and isinstance(value, float):
            value = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
        if isinstance(value, Mapping):
            value = "; ".join(f"{word} {seconds}" for word, seconds in value.items())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = "; ".join(str(line["text"]) for line in value)
        yield defused(value)


MOMENTS = frozenset({"opened_at", "closed_at", "began_at", "ended_at", "at", "done_at"})


def defused(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: a text that begins like one gets a quote before it."""
    if isinstance(value, str) and value.lstrip(" ")[:1] in STARTS and value.strip(" "):
        return f"'{value}"
    return "" if value is None else value


def _moment(at: float | None) -> float | None:
    return None if at is None else round(at, 3)


def _lasted(begin: float, end: float | None, now: float) -> float:
    return round(max(0.0, (now if end is None else end) - begin), 3)
