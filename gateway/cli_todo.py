"""What an operator should do after a look at all that was found, the most urgent first; and how figures are written.

Rule: each is one sentence with its command or its chapter.  Pure: what was found in, sentences out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.base.standing import placed
from gateway.cli_status import clean, duration
from gateway.rules.availability import DAY

UNWATCHED = 0.001
"""The share of the time that may pass without anybody watching before it is worth a line."""

DEFER = frozenset({"info"})
"""Alerts that nobody has to do anything about."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found; times in seconds since 1970.

    Args:
        since, at: from when, and until now.
        source: where it comes from, in words.
        away: why no gateway answers; "" where one does.
        whole: availability of each wallet and backend over all of the time; days: the same by day.
        alerts: what is open now; None where nobody could be asked.
        not_ready: why a wallet takes no calls now, by wallet.
        standing: backends that are kept from calls or restarts by an order: wallet, backend, `drain` or `hold`.
        findings: of the look through the ledger; None where it was not looked through, `unlooked` says why.
        is_complete: whether the history is all that there was.
        unread: why the gateway could not read its ledger; "" where it could, or has none.
        cut: the first day of which availability is told where older ones were too much for one answer, else "".
        more: of what there are older rows than those that are told: by which moment (`until`) they are asked for.
    """

    since: float
    at: float
    source: str
    away: str = ""
    whole: Sequence[Row] = ()
    days: Sequence[Row] = ()
    incidents: Sequence[Row] = ()
    restarts: Sequence[Row] = ()
    orders: Sequence[Row] = ()
    outcomes: Sequence[Row] | None = ()
    alerts: Sequence[Row] | None = None
    not_ready: Mapping[str, Sequence[str]] = field(default_factory=dict)
    standing: Sequence[tuple[str, str, str]] = ()
    findings: Sequence[str] | None = None
    unlooked: str = ""
    is_complete: bool = True
    unread: str = ""
    cut: str = ""
    more: Mapping[str, int] = field(default_factory=dict)


def to_do(found: Found) -> list[str]:
    """Return what somebody should do, the most urgent first, one sentence each."""
    return [
        clean(one)
        for part in (_start_it, _serve, _see_alerts, _see_open, _resolve, _mend, _take_back, _better, _keep)
        for one in part(found)
    ]


def _start_it(found: Found) -> Iterator[str]:
    if found.away:
        yield f"start the gateway, or see why it does not answer: {found.away}"


def _serve(found: Found) -> Iterator[str]:
    for wallet, reasons in found.not_ready.items():
        if reasons:
            yield f"{wallet} takes no calls: {'; '.join(reasons)}"


def _see_alerts(found: Found) -> Iterator[str]:
    for row in found.alerts or ():
        # what is over needs nobody, as long as it stays so
        if row["severity"] not in DEFER and row.get("quiet_since") is None:
            what = of_wallet(found, f"{row['title']}: {row['text']}", row)
            yield f"{row['severity']}: {what}; see docs/alerts.md#{row['kind']}"


def _see_open(found: Found) -> Iterator[str]:
    """Without a gateway its last open incidents are all that is known."""
    for row in found.incidents:
        if found.alerts is None and row["closed_at"] is None and row["severity"] not in DEFER:
            yield f"an incident was open when the gateway was last seen: {of_wallet(found, row['title'], row)}"


def _resolve(found: Found) -> Iterator[str]:
    if found.unread:
        yield f"{found.unread}: calls may have ended in a way that nobody knows; see the log, and docs/money.md"
    if found.outcomes:
        yield (
            f"{len(found.outcomes)} call(s) or payment(s) of which nobody knows the end: `ec-gateway outcome -c FILE` "
            "tells of each, and docs/money.md what to do"
        )


def _mend(found: Found) -> Iterator[str]:
    for one in found.findings or ():
        yield f"ledger: {one}; keep a copy of it, and see docs/money.md"


def _take_back(found: Found) -> Iterator[str]:
    for wallet, backend, verb in found.standing:
        back = {"drain": "undrain", "hold": "release"}.get(verb, "release")
        what = {"drain": "gets no calls", "hold": "is not restarted"}.get(verb, verb)
        command = f"`ec-gateway {back} {backend} --wallet {wallet}`"
        yield f"{backend} of {wallet} {what} by order; when that is over: {command}"


def _better(found: Found) -> Iterator[str]:
    for row in found.whole:
        if row["met"] is False:
            of = f"{row['backend']} of {row['wallet']}" if row["backend"] else f"the wallet {row['wallet']}"
            yield f"{of} was available for {percent(row['share'])} of the time: {reasons(row['reasons'])}"


def _keep(found: Found) -> Iterator[str]:
    for row in found.whole:
        lost = row["stood_still"] + row["not_running"]
        if not row["backend"] and row["elapsed"] and lost / row["elapsed"] > UNWATCHED:
            yield f"nobody watched {row['wallet']} for {long(lost)} of {long(row['elapsed'])}: {unwatched(row)}"
    if not found.is_complete and not found.unread:
        yield "give the gateway a ledger (`ledger: {path: ...}`): without one its history ends with it"


def of_wallet(found: Found, text: str, row: Row) -> str:
    """Return a sentence that says of which wallet it is, where there are several."""
    rows = [*found.whole, *found.incidents, *(found.alerts or ())]
    wallets = {*found.not_ready, *(one["wallet"] for one in rows)} - {""}
    return placed(text, row["wallet"], row["backend"]) if len(wallets) > 1 else text


# -- figures -----------------------------------------------------------------------------------------------------


def percent(share: float | None) -> str:
    """Return a share; cut and not rounded, so that nothing below the target is told as it."""
    return "-" if share is None else f"{int(share * 100_000 + 1e-6) / 1000:.3f} %"


def unwatched(row: Row) -> str:
    """Return for how long nobody watched, and why."""
    parts = [
        f"{word} {long(row[name])}"
        for name, word in (("not_running", "not running"), ("stood_still", "stood still"))
        if row[name] >= 1.0
    ]
    return ", ".join(parts)


def reasons(reasons: Mapping[str, float]) -> str:
    """Return what most of the missing time went to."""
    most = sorted(reasons.items(), key=lambda one: -one[1])
    return ", ".join(f"{clean(word)} {long(seconds)}" for word, seconds in most[:4])


def few(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def long(seconds: float) -> str:
    """Return a time in the unit that a person would take."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds / DAY:.1f} d" if seconds >= 2 * DAY else duration(seconds)


def when(at: float) -> str:
    """Return a moment in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
