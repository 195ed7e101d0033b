"""In which phase each backend was, for the plot of a run: what the gateway itself says, which no verdict rests on.

Rule: only looks into the gateway's log; whoever is no gateway has no phases.
"""

import json
from datetime import datetime
from pathlib import Path

from gateway.rules.lifecycle import Phase

EVENTS = {f"backend.{phase.value.lower()}": phase.value for phase in Phase}


def phases(log: Path) -> list[dict[str, object]]:
    """Return each change of a phase as `{"at", "backend", "phase"}`, at in seconds since 1970, the oldest first."""
    if not log.exists():
        return []
    found: list[dict[str, object]] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"backend.' not in line:
            continue
        try:
            told = json.loads(line)
            phase = EVENTS.get(told["event"])
            if phase is not None:
                at = datetime.fromisoformat(told["timestamp"]).timestamp()
                found.append({"at": at, "backend": told["backend"], "phase": phase})
        except (ValueError, KeyError):
            continue
    return found
