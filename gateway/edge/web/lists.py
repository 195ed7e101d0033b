"""What the lists of the page show: alerts, incidents, unresolved outcomes, and the orders that were given.

Rule: as in `views.py`: words and figures are chosen and nothing is decided, and what is missing is left out.  Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from gateway.base.standing import placed
from gateway.edge.web import figures
from gateway.edge.web.asking import Known
from gateway.edge.web.headline import Snapshot, Tone, called, is_quiet, rank_of, title_of, todo_of_alert, with_names
from gateway.edge.web.views import Button
from gateway.edge.web.words import Words
from gateway.rules.stories import TAKEN_OVER
from gateway.rules.telling import until

SHOWN = 5
"""Entries of a list that are seen at once; the others are one touch away."""


def alerts_view(snapshot: Snapshot, words: Words) -> list[dict[str, Any]]:
    """Return the open alerts, the worst first, as the first sentence has it; those that are over come last."""
    found = []
    snapshot = with_names(snapshot)
    wallets = snapshot.get("wallets") or {}
    for alert in snapshot.get("alerts") or ():
        severity, quiet = str(alert.get("severity")), is_quiet(alert)
        loud = {"critical": Tone.CRITICAL, "warning": Tone.WARNING}.get(severity, Tone.WATCH)
        tone = Tone.WATCH if quiet else loud
        text, kind = str(alert.get("text") or ""), str(alert.get("kind"))
        known, title = words.alerts.get(kind), title_of(alert, words)
        found.append(
            {
                "tone": tone.word,
                "level": (-tone, quiet, rank_of(alert)),
                "title": words.text("alert.quiet", title=title) if quiet else title,
                "text": words.mark(text),
                "since": alert.get("since"),
                "quiet_since": alert.get("quiet_since"),
                "closes_at": alert.get("closes_at"),
                "todo": todo_of_alert(alert, wallets.get(str(alert.get("wallet") or ""), {}), words),
                "docs": f"docs/alerts.md#{kind}" if known else "",
            }
        )
    return sorted(found, key=lambda one: (one["level"], one["since"] or 0.0))


def incidents_view(
    incidents: Sequence[Snapshot], words: Words, now: float, wallets: Iterable[str] = ()
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the timeline: what happened, what was done, how long it took; what is open, then the newest first.

    What happened several times is not said to have lasted: between them it was well.  Neither is a takeover, which is
    but a moment.

    Args:
        wallets: names of those there are now.
    """
    found = []
    is_one = len({*wallets, *(str(one["wallet"]) for one in incidents if one.get("wallet"))}) < 2
    for one in incidents:
        opened, closed = one.get("opened_at"), one.get("closed_at")
        severity = str(one.get("severity"))
        tone = {"critical": Tone.CRITICAL, "warning": Tone.WARNING}.get(severity, Tone.WATCH)
        seconds = one.get("seconds")
        if not isinstance(seconds, int | float):
            seconds = (closed or now) - opened if isinstance(opened, int | float) else 0.0
        times = one.get("times")
        count = times if isinstance(times, int) else 1
        is_many = count > 1
        duration = figures.duration(max(float(seconds), float(is_many)), words.units)
        lasted = "" if one.get("kind") == TAKEN_OVER else words.text("incident.lasted", duration=duration)
        found.append(
            {
                "id": str(one.get("id") or ""),
                "tone": tone.word,
                "is_open": closed is None,
                "title": _story(one, words, is_one=is_one),
                "opened_at": opened,
                "lasted": words.text("incident.times", n=figures.number(count), duration=duration)
                if is_many
                else lasted,
                "so_far": words.text("incident.so_far", n=figures.number(count)) if is_many else "",
                "done": [
                    {"at": step.get("at"), "text": words.mark(text)}
                    for step in one.get("done") or ()
                    if (text := str(step.get("text") or ""))
                ],
            }
        )
    return sorted(found, key=lambda one: (not one["is_open"], -(one["opened_at"] or 0.0)))


def _story(incident: Snapshot, words: Words, *, is_one: bool) -> str:
    """Return what an incident is about, and of which wallet where there is not but one."""
    wallet, backend = str(incident.get("wallet") or ""), str(incident.get("backend") or "")
    if is_one or not wallet:
        return _title(incident, words)
    told = {**incident, "called": called(wallet, backend)} if backend else incident
    title = _title(told, words)
    return title if title.startswith(f"{wallet} / ") else placed(title, wallet, backend)


def _title(incident: Snapshot, words: Words) -> str:
    """Return what an incident is about; one that began as an alert says its kind and its text."""
    title = str(incident.get("title") or "")
    known = words.alerts.get(str(incident.get("kind")))
    if words.knows(title) or known is None:
        return words.mark(title)
    return f"{title_of(incident, words)}: {words.mark(title.partition(': ')[2])}"


def unread(name: str, known: Known, words: Words, now: float) -> dict[str, Any] | None:
    """Return what is said where a list cannot be read, or not all of it; None where it is whole."""
    if known.rows is None:
        return {"text": words.text(f"{name}.unknown"), "at": None}
    if known.age is not None:
        return {"text": words.text(f"{name}.unknown"), "at": now - known.age}
    return {"text": words.text("list.older"), "at": None} if known.is_short else None


def older(name: str, known: Known) -> str:
    """Return where those are that are too old for the page; "" where a list has none."""
    return f"/api/v1/{name}?since=0&until={until(name, known.rows)}" if known.has_more and known.rows else ""


def outcomes_view(outcomes: Sequence[Snapshot], *, may_order: bool, words: Words) -> list[dict[str, Any]]:
    """Return the calls of which nobody knows how they ended."""
    return [
        {
            "wallet": str(one.get("wallet") or ""),
            "id": str(one.get("id") or ""),
            "client": str(one.get("client") or ""),
            "method": str(one.get("method") or "?"),
            "state": words.foreign(str(one.get("state") or "")),
            "backend": str(one.get("backend") or ""),
            "note": words.foreign(str(one.get("note") or "").strip()),
            "opened_at": one.get("opened_at"),
            "resolve": Button(
                words.text("resolve"),
                f"/outcomes/{quote(str(one.get('wallet') or ''), safe='')}/{quote(str(one.get('id') or ''), safe='')}"
                "/resolve",
                "resolve",
            )
            if may_order
            else None,
        }
        for one in outcomes
    ]


def audit_view(orders: Sequence[Snapshot], words: Words) -> list[dict[str, Any]]:
    """Return who ordered what, the newest first."""
    return [
        {
            "at": one.get("at"),
            "who": words.text("audit.open" if one.get("by") == "open" else "audit.nobody")
            if one.get("by") == "open" or not one.get("who")
            else str(one["who"]),
            "verb": words.text("audit.refused")
            if one.get("outcome") == "refused"
            else words.verb(str(one.get("verb") or "")),
            "place": " / ".join(str(one[key]) for key in ("wallet", "backend") if one.get(key)),
            "reason": str(one.get("reason") or ""),
            "answer": words.mark(str(one.get("answer") or "")),
        }
        for one in orders
    ]
