"""One story of something that went wrong: its kinds, what stands in it, and those that are told all at once.

Rule: a story is a fact that only grows: it keeps its id and its beginning, takes a bounded number of lines, and is over
once.  What opens and closes them is `rules/incidents.py`.
"""

from dataclasses import dataclass, field, replace

MOST_LINES, FIRST_LINES = 40, 10
"""Lines of a story; beyond them the oldest goes but for the first few."""

MOST_ALERTS = 40
"""Ids of alerts that a story keeps, the newest."""

LONGEST = 300
"""Characters of a line."""

OUT, PLANNED, ALL_DOWN, STOOD_STILL, KILLED, STOPPED, PUT_BACK, TAKEN_OVER = (
    "out_of_service", "planned", "all_down", "stood_still", "gateway_killed", "gateway_stopped", "ledger_put_back",
    "taken_over",
)  # fmt: skip
"""Kinds of stories that are no alert's; all others are called as the alert is."""

SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was done, in words; `at` in seconds since 1970."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Incident:
    """One story; times in seconds since 1970.

    Args:
        id: of the alert that opened it, or one of this gateway's life.
        closed_at: None while it lasts.
        times: how often it happened, where it came back soon.
        alerts: ids of the alerts that joined it.
        parts: what keeps it open.
        begun: what was begun while it was open, and may end after it: a verb and its daemon; written down nowhere.
    """

    id: str
    kind: str
    severity: str
    wallet: str
    backend: str
    title: str
    opened_at: float
    closed_at: float | None = None
    done: tuple[Line, ...] = ()
    times: int = 1
    alerts: tuple[str, ...] = ()
    parts: frozenset[str] = frozenset()
    begun: frozenset[str] = field(default=frozenset(), compare=False)

    def with_line(self, text: str, at: float) -> "Incident":
        """Return it with one more line."""
        lines = (*self.done, Line(at, text[:LONGEST]))
        if len(lines) > MOST_LINES:
            lines = lines[:FIRST_LINES] + lines[FIRST_LINES + 1 :]
        return replace(self, done=lines)

    def with_alert(self, number: str) -> "Incident":
        """Return it with one more alert that joined."""
        return replace(self, alerts=(*self.alerts, number)[-MOST_ALERTS:])

    def ended(self, at: float) -> "Incident":
        """Return it as over; no story is shorter than nothing, whatever a clock says."""
        return replace(self, closed_at=max(at, self.opened_at), parts=frozenset())


ABSENCES = {
    KILLED: ("critical", "the gateway ended without a word: killed, or its machine was off"),
    STOPPED: ("info", "the gateway was stopped"),
    PUT_BACK: ("critical", "the ledger was put back, and what happened since its copy was made is not in it"),
}


def absence(kind: str, life: str, ended_at: float, at: float) -> Incident:
    """Return the story of the time in which the gateway did not run; both in seconds since 1970.

    Args:
        kind: KILLED, STOPPED or PUT_BACK.
        life: of the one that begins now.
        ended_at: when the one before was last seen.
    """
    severity, title = ABSENCES[kind]
    story = Incident(f"{life}-s0", kind, severity, "", "", title, min(ended_at, at))
    return story.with_line("the gateway was started again", at).ended(at)
