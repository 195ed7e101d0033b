"""What the lists of the page show: alerts, incidents, unresolved outcomes, and the orders that were given.

Rule: as in `views.py`: words and figures are chosen and nothing is decided, and what is missing is left out.  Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from gateway.edge.web import figures
from gateway.edge.web.asking import Known
from gateway.edge.web.headline import Snapshot, Tone, rank_of, title_of, todo_of_alert
from gateway.edge.web.views import Button
from gateway.edge.web.words import Words

SHOWN = 5
"""Entries of a list that are seen at once; the others are one touch away."""


def alerts_view(snapshot: Snapshot, words: Words) -> list[dict[str, Any]]:
    """Return the open alerts, the worst first, as the first sentence has it."""
    found = []
    wallets = snapshot.get("wallets") or {}
    for alert in snapshot.get("alerts") or ():
        severity = str(alert.get("severity"))
        tone = {"critical": Tone.CRITICAL, "warning": Tone.WARNING}.get(severity, Tone.WATCH)
        text, kind = str(alert.get("text") or ""), str(alert.get("kind"))
        known = words.alerts.get(kind)
        found.append(
            {
                "tone": tone.word,
                "level": (-tone, rank_of(alert)),
                "title": title_of(alert, words),
                "text": words.mark(text),
                "since": alert.get("since"),
                "todo": todo_of_alert(alert, wallets.get(str(alert.get("wallet") or ""), {}), words),
                "docs": f"docs/alerts.md#{kind}" if known else "",
            }
        )
    return sorted(found, key=lambda one: (one["level"], one["since"] or 0.0))


def incidents_view(incidents: Iterable[Snapshot], words: Words, now: float) -> list[dict[str, Any]]:
    """Return the timeline: what happened, what was done, how long it took; the newest first."""
    found = []
    for one in incidents:
        opened, closed = one.get("opened_at"), one.get("closed_at")
        severity = str(one.get("severity"))
        tone = {"critical": Tone.CRITICAL, "warning": Tone.WARNING}.get(severity, Tone.WATCH)
        seconds = one.get("seconds")
        if not isinstance(seconds, int | float):
            seconds = (closed or now) - opened if isinstance(opened, int | float) else 0.0
        found.append(
            {
                "id": str(one.get("id") or ""),
                "tone": tone.word,
                "is_open": closed is None,
                "title": _story(one, words),
                "opened_at": opened,
                "lasted": words.text("incident.lasted", duration=figures.duration(float(seconds), words.units)),
                "done": [
                    {"at": step.get("at"), "text": words.mark(text)}
                    for step in one.get("done") or ()
                    if (text := str(step.get("text") or ""))
                ],
            }
        )
    return sorted(found, key=lambda one: -(one["opened_at"] or 0.0))


def _story(incident: Snapshot, words: Words) -> str:
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
