"""What the socket guard makes of the engine's answers: whether a container is ours, and what the caller may see of it.

Rule: an answer is written anew from the fields that are named here; one that is not understood makes nothing ours.

    full_id         is the container one of ours, and which one exactly: its id, for a name may change hands between
                    two requests
    trim_*          what is told
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.guard.rules import EVENTS, Label

LONGEST_MESSAGE = 300

_ID = re.compile(r"[0-9a-f]{64}")


def full_id(inspected: object, label: Label) -> str:
    """Return the id of a container that is ours, "" where it is not, or where the engine's answer is none."""
    if not isinstance(inspected, Mapping):
        return ""
    config, found = inspected.get("Config"), inspected.get("Id")
    if not isinstance(config, Mapping) or not isinstance(found, str) or not _ID.fullmatch(found):
        return ""
    return found if label.is_on(config.get("Labels")) else ""


_STATE = ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "ExitCode", "StartedAt", "FinishedAt")
_MEMORY = ("usage", "limit", "max_usage")
_MEMORY_STATS = ("inactive_file", "total_inactive_file", "active_file", "total_active_file", "cache")
"""All that the gateway takes off for page cache (`upstream/launchers/memory.py`): without one of them a daemon would
seem fuller than it is, and be restarted for it."""


def trim_inspect(inspected: Mapping[str, Any], label: Label) -> dict[str, Any]:
    """Return the state of a container: no environment, no command, no mounts, no output of health checks."""
    state = _mapping(inspected.get("State"))
    trimmed: dict[str, Any] = _only(state, _STATE)
    if isinstance(state.get("Health"), Mapping):
        trimmed["Health"] = _only(state["Health"], ("Status", "FailingStreak"))
    host = _mapping(inspected.get("HostConfig"))
    labels = _mapping(_mapping(inspected.get("Config")).get("Labels"))
    return {
        **_only(inspected, ("Id", "Name", "Created", "RestartCount")),
        "State": trimmed,
        "HostConfig": {
            **_only(host, ("Memory",)),
            "RestartPolicy": _only(_mapping(host.get("RestartPolicy")), ("Name", "MaximumRetryCount")),
        },
        "Config": {"Labels": _only(labels, (label.key,))},
    }


def trim_stats(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the memory that a container takes; empty where it does not run."""
    memory = _mapping(stats.get("memory_stats"))
    trimmed: dict[str, Any] = _only(memory, _MEMORY)
    if isinstance(memory.get("stats"), Mapping):
        trimmed["stats"] = _only(memory["stats"], _MEMORY_STATS)
    return {**_only(stats, ("id", "name", "read")), "memory_stats": trimmed}


def trim_event(event: object, label: Label) -> dict[str, Any] | None:
    """Return a death of one of our containers, None for anything else the engine may tell."""
    if not isinstance(event, Mapping):
        return None
    actor = _mapping(event.get("Actor"))
    attributes = _mapping(actor.get("Attributes"))
    is_death = event.get("Type") == "container" and event.get("Action") in EVENTS
    if not is_death or not label.is_on(attributes):
        return None
    return {
        **_only(event, ("Type", "Action", "status", "id", "time", "timeNano")),
        "Actor": {
            **_only(actor, ("ID",)),
            "Attributes": _only(attributes, ("name", "exitCode", "execDuration", label.key)),
        },
    }


def trim_message(answer: object) -> str:
    """Return what the engine says about an order it did not carry out, cut short."""
    message = answer.get("message") if isinstance(answer, Mapping) else None
    return message[:LONGEST_MESSAGE] if isinstance(message, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _only(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
