"""The daily check list of an operator: how it was, how it stands, and what is left to do.

Rule: it shows what was found and decides nothing; what could not be looked at is said, and is not passed over.  Pure:
what was found in, lines out.
"""

import math
from collections.abc import Iterator, Sequence

from gateway.cli_status import aligned, clean, duration
from gateway.cli_todo import Found, Row, few, long, of_wallet, percent, reasons, to_do, unwatched, when
from gateway.rules.availability import TARGET
from gateway.rules.telling import BEGINS

SHOWN = 20
"""Rows of each kind that the text shows; the JSON has all that were found."""


def lines(found: Found) -> list[str]:
    """Return the check list for a person."""
    done = to_do(found)
    return [
        f"ec-gateway report: {_span(found)}, from {found.source}",
        *_away(found),
        "",
        f"AVAILABILITY (the target is {TARGET:.1%} of the time that was watched)",
        *_availability(found),
        "",
        *_incidents(found),
        "",
        *_restarts(found),
        "",
        *_orders(found),
        *_outcomes(found),
        _alerts(found),
        _ledger(found),
        "",
        "LEFT TO DO" if done else "LEFT TO DO: nothing",
        *(f"  {number}. {one}" for number, one in enumerate(done, 1)),
    ]


def as_json(found: Found) -> dict[str, object]:
    """Return all that was found, for a program."""
    return {
        "since": round(found.since, 3),
        "at": round(found.at, 3),
        "source": found.source,
        "gateway_answers": not found.away,
        "complete": found.is_complete,
        "unread": found.unread,
        "first_day": found.cut,
        "more": {name: name in found.more for name in BEGINS},
        "availability": [*found.whole],
        "days": [*found.days],
        "incidents": [*found.incidents],
        "restarts": [*found.restarts],
        "audit": [*found.orders],
        "outcomes": None if found.outcomes is None else [*found.outcomes],
        "alerts": None if found.alerts is None else [*found.alerts],
        "ledger_check": None if found.findings is None else [*found.findings],
        "to_do": to_do(found),
    }


CSV_COLUMNS = ("part", "when", "wallet", "backend", "what", "seconds", "value", "detail")


def as_rows(found: Found) -> Iterator[tuple[object, ...]]:
    """Yield all that was found as rows of CSV_COLUMNS."""
    for row in found.days:
        missing = "; ".join(f"{word} {seconds}" for word, seconds in row["reasons"].items())
        yield "availability", row["day"], row["wallet"], row["backend"], "share", row["watched"], row["share"], missing
    for row in found.incidents:
        yield ("incident", when(row["opened_at"]), row["wallet"], row["backend"], row["kind"], row["seconds"],
               row["severity"], row["title"])  # fmt: skip
    for row in found.restarts:
        yield ("restart", when(row["began_at"]), row["wallet"], row["backend"], row["cause"], row["seconds"],
               row["outcome"], row["reason"])  # fmt: skip
    for row in found.orders:
        yield ("order", when(row["at"]), row["wallet"], row["backend"], row["verb"], "", row["who"],
               row["answer"])  # fmt: skip
    for name, part in (("incidents", "incident"), ("restarts", "restart"), ("audit", "order")):
        if name in found.more:
            yield part, when(found.more[name]), "", "", "older", "", "", _where(found, name)
    if found.outcomes is None:
        yield "outcome", when(found.at), "", "", "unknown", "", "", found.unread or "could not be looked at"
    for row in found.outcomes or ():
        yield (
            "outcome",
            when(row["opened_at"]),
            row["wallet"],
            row["backend"],
            row["method"],
            "",
            row["id"],
            row["note"],
        )
    for row in found.alerts or ():
        yield ("alert", when(row["since"]), row["wallet"], row["backend"], row["kind"], "", row["severity"],
               row["text"])  # fmt: skip
    for one in found.findings or ():
        yield "ledger", when(found.at), "", "", "finding", "", "", one
    for one in to_do(found):
        yield "to do", when(found.at), "", "", "", "", "", one


# -- what was -------------------------------------------------------------------------------------------------


def _span(found: Found) -> str:
    return f"{duration(found.at - found.since)} until {when(found.at)} UTC"


def _away(found: Found) -> Iterator[str]:
    if found.away:
        yield f"NO GATEWAY ANSWERS: {clean(found.away)}"
    if not found.is_complete:
        yield "the history is not complete: the gateway has no ledger, or could not read it"


HEAD = ("WALLET", "BACKEND", "AVAILABLE", "MET", "WATCHED", "NOT WATCHED", "MISSING BECAUSE OF", "DAYS BELOW")


def _availability(found: Found) -> list[str]:
    if not found.whole:
        return ["  nothing was watched in this time"]
    below: dict[tuple[str, str], list[str]] = {}
    for day in found.days:
        if day["met"] is False:
            below.setdefault((day["wallet"], day["backend"]), []).append(str(day["day"]))
    rows = [
        (
            clean(row["wallet"]) if not row["backend"] else "",
            clean(row["backend"]),
            percent(row["share"]),
            {True: "yes", False: "NO", None: "-"}[row["met"]],
            long(row["watched"]),
            unwatched(row),
            reasons(row["reasons"]),
            few(below.get((row["wallet"], row["backend"]), [])),
        )
        for row in found.whole
    ]
    cut = [f"  from {found.cut} on alone: older days are too many for one answer"] if found.cut else []
    return [*(f"  {line}" for line in aligned([HEAD, *rows])), *cut]


def _incidents(found: Found) -> Iterator[str]:
    severities = [str(row["severity"]) for row in found.incidents]
    counts = {one: severities.count(one) for one in ("critical", "warning", "info")}
    is_open = sum(row["closed_at"] is None for row in found.incidents)
    told = [f"{count} {word}" for word, count in {**counts, "open": is_open}.items() if count]
    yield _head("INCIDENTS", found.incidents, told, has_more="incidents" in found.more)
    for row in found.incidents[:SHOWN]:
        lasts, seconds, times = row["closed_at"] is None, long(row["seconds"]), row["times"]
        # between several times it was well: it did not last
        often = f"open, {times} times within {seconds} so far" if lasts else f"{times} times within {seconds}"
        lasted = often if times > 1 else f"{'open for' if lasts else 'lasted'} {seconds}"
        title = clean(of_wallet(found, row["title"], row))
        yield f"  {when(row['opened_at'])}  {row['severity']:<8}  {title} ({lasted})"
    yield from _rest(found.incidents)
    yield from _older(found, "incidents")


def _restarts(found: Found) -> Iterator[str]:
    outcomes = [str(row["outcome"]) for row in found.restarts]
    told = [f"{outcomes.count(one)} {one}" for one in sorted(set(outcomes))]
    yield _head("RESTARTS", outcomes, told, has_more="restarts" in found.more)
    for row in found.restarts[:SHOWN]:
        step = f" at {row['step']}" if row["step"] else ""
        how = clean(f"{row['outcome']}{step} in {long(row['seconds'])}")
        why = clean(f"{row['cause']}, by {row['by']}: {row['reason']}")
        yield f"  {when(row['began_at'])}  {clean(row['wallet'])} {clean(row['backend'])}  {how} ({why})"
    yield from _rest(found.restarts)
    yield from _older(found, "restarts")


def _head(what: str, rows: Sequence[object], told: Sequence[str], *, has_more: bool) -> str:
    parts = f" ({', '.join(told)})" if told else ""
    count = f"more than {len(rows)}; of the newest" if has_more else f"{len(rows) or 'none'}"
    return f"{what}: {count}{parts}"


def _rest(rows: Sequence[Row]) -> Iterator[str]:
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN} more; --format json has them"


def _older(found: Found, name: str) -> Iterator[str]:
    if name in found.more:
        yield f"  {_where(found, name)}"


def _where(found: Found, name: str) -> str:
    asked = f"since={math.floor(found.since)}&until={found.more[name]}"
    return f"there are older ones: GET /api/v1/{name}?{asked}"


def _orders(found: Found) -> Iterator[str]:
    people = sorted({clean(row["who"] or row["by"]) for row in found.orders})
    yield _head("ORDERS", found.orders, [f"by {few(people)}"] if people else [], has_more="audit" in found.more)
    yield from _older(found, "audit")


def _outcomes(found: Found) -> Iterator[str]:
    if found.outcomes is None:
        yield f"UNRESOLVED OUTCOMES: {f'unknown: {found.unread}' if found.unread else 'could not be looked at'}"
        return
    yield f"UNRESOLVED OUTCOMES: {len(found.outcomes) or 'none'}"
    for row in found.outcomes[:SHOWN]:
        what = clean(f"{row['wallet']}  {row['method']} of {row['client']}: {row['id']}")
        yield f"  {when(row['opened_at'])}  {what}"
    yield from _rest(found.outcomes)


def _alerts(found: Found) -> str:
    if found.alerts is None:
        return "OPEN ALERTS: could not be looked at, for only the running gateway knows"
    quiet = sum(row.get("quiet_since") is not None for row in found.alerts)
    return f"OPEN ALERTS: {len(found.alerts) or 'none'}{f' ({quiet} over by now, and still watched)' if quiet else ''}"


def _ledger(found: Found) -> str:
    if found.findings is None:
        return f"LEDGER CHECK: not done ({clean(found.unlooked)})"
    return f"LEDGER CHECK: {'ok' if not found.findings else f'{len(found.findings)} finding(s)'}"
