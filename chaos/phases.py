"""What the gateway itself says of a run: in which phase each backend was, and which signs a scenario expects.

Rule: only looks into the gateway's log; whoever is no gateway has no phases.  No run holds because of what is found
here: phases are for the plot, and a sign that is lacking can only turn a run red.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from chaos.script import Sign
from gateway.rules.lifecycle import Phase

EVENTS = {f"backend.{phase.value.lower()}": phase.value for phase in Phase}


def phases(log: Path) -> list[dict[str, object]]:
    """Return each change of a phase as `{"at", "backend", "phase"}`, at in seconds since 1970, the oldest first."""
    return [
        {"at": at, "backend": backend, "phase": EVENTS[event]}
        for at, event, backend in _told(log)
        if backend and event in EVENTS
    ]


def unseen(signs: Sequence[Sign], log: Path, since: float) -> list[Sign]:
    """Return those of some signs that the gateway never logged after a moment, seconds since 1970."""
    told = [(event, backend) for at, event, backend in _told(log) if at >= since]
    return [one for one in signs if not any(event == one.event and one.backend in {"", who} for event, who in told)]


def _told(log: Path) -> Iterator[tuple[float, str, str]]:
    """Yield each event as its time, its name and its backend, "" where it names none."""
    if not log.exists():
        return
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            told = json.loads(line)
            yield datetime.fromisoformat(told["timestamp"]).timestamp(), told["event"], told.get("backend") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line cut short by a kill, or none of the gateway's
