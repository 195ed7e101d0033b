"""What is remembered of events that no look would find any more: a failed restart, a call whose end nobody knows.

Rule: a mark is left by an event and ends by another one, or when nothing of its kind has happened for a time, or
when what it is about is no more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.base.events import Event
from gateway.rules.kinds import Condition, Key, Kind, blot


@dataclass(frozen=True, slots=True)
class Heard:
    """What is remembered of events.

    Args:
        marks: what was left by events that no look would find any more, with when it last happened.
        planned: wallet and backend of restarts that somebody has meant.
    """

    marks: Mapping[Key, tuple[Condition, float]] = field(default_factory=dict)
    planned: frozenset[tuple[str, str]] = frozenset()


LEAVES: dict[str, tuple[Kind, str]] = {
    "restart.done": (Kind.RESTARTED, "was restarted"),
    "restart.failed": (Kind.RESTART_FAILED, "could not be restarted"),
    "backend.failed": (Kind.FAILED, "was restarted as often as an hour allows, and is tried again now and then"),
    "backend.diverged": (Kind.WRONG_SEED, "lists other addresses than the primary"),
    "backend.diverged_balance": (Kind.DIVERGED, "says another balance than the others, also after a reload"),
    "restart.no_help": (Kind.NO_HELP, "takes as much memory again after a restart for that, and is left alone"),
    "wallet.not_loaded": (Kind.NOT_LOADED, "does not load its wallet"),
    "room.failed": (Kind.ROOM_FAILED, "a part of the gateway failed, and the log says how"),
    "lease.name_taken": (Kind.GATEWAYS, "another gateway that is alive has this one's name"),
    "lease.config_differs": (Kind.GATEWAYS, "gateways that share this wallet are configured differently"),
    "lease.database_went_back": (Kind.GATEWAYS, "the database has forgotten what it had shown"),
    "forward.refused": (Kind.GATEWAYS, "another gateway does not take the calls of this one"),
    "lease.holder_unreached": (Kind.CUT_OFF, "calls that come to this gateway are not answered"),
    "call.outcome_unknown": (Kind.UNKNOWN_OUTCOME, "a call that changes something was sent and not answered"),
}
"""Events that leave a mark, and how it is told."""

SERVES_ON = (Kind.LAUNCHER, "could not be restarted, and serves on")
"""The same of a restart that failed before anything was stopped: no event says that it serves again."""

ENDS: dict[str, tuple[Kind, ...]] = {
    "restart.done": (Kind.RESTART_FAILED, Kind.FAILED, Kind.NOT_LOADED, Kind.LAUNCHER),
    "backend.warming": (Kind.RESTART_FAILED, Kind.FAILED, Kind.NOT_LOADED),
    "backend.ready": (Kind.RESTART_FAILED, Kind.FAILED, Kind.NOT_LOADED),
    "wallet.loaded": (Kind.NOT_LOADED,),
    "memory.relieved": (Kind.NO_HELP,),
    "backend.reloaded": (Kind.NOT_LOADED,),
    "backend.aligned": (Kind.WRONG_SEED,),
    "backend.reinitialized": (Kind.WRONG_SEED, Kind.DIVERGED),
    "backend.balance_agrees": (Kind.DIVERGED,),
    "lease.holder_reached": (Kind.CUT_OFF,),
    "outcome.all_resolved": (Kind.UNKNOWN_OUTCOME,),
}
"""Events that take marks away."""

BEGUN = "restart.begun"

MEANT = frozenset({"order", "cron", "age", "memory"})
"""Causes of a restart for which somebody has taken out a daemon that may have been well."""

OVER = frozenset({"restart.done", "restart.failed", "backend.warming", "backend.ejected", "backend.failed"})
"""Events after which a daemon that is out is not meant to be."""

OF_INTEREST = frozenset({*LEAVES, *ENDS, BEGUN, *OVER})
"""Events that change anything here."""

TOLD = ("cause", "reason", "step", "took", "client", "method", "request", "remedy", "room")
"""Fields of events that go into facts; none of them holds an address or a key."""


def hear(heard: Heard, event: Event, now: float) -> Heard:
    """Return what is remembered after an event."""
    if event.name not in OF_INTEREST:
        return heard
    place = (event.wallet, event.backend)
    marks, planned = dict(heard.marks), heard.planned
    for kind in ENDS.get(event.name, ()):
        marks.pop((kind, *place), None)
    if event.name == BEGUN and event.fields.get("cause") in MEANT:
        planned |= {place}
    elif event.name in OVER:
        planned -= {place}
    if event.name in LEAVES:
        mark = _mark(event)
        before = marks.get(mark.key)
        marks[mark.key] = (replace(mark, count=1 if before is None else before[0].count + 1), now)
    return Heard(marks, planned)


def _mark(event: Event) -> Condition:
    kind, words = SERVES_ON if event.fields.get("serves_on") else LEAVES[event.name]
    facts = {name: blot(event.fields[name]) for name in TOLD if event.fields.get(name) not in (None, "")}
    reason = f": {facts['reason']}" if "reason" in facts else ""
    if kind is Kind.UNKNOWN_OUTCOME:
        # of the wallet, whichever daemon it was: there is one thing to do about all of them
        facts |= {"backend": event.backend} if event.backend else {}
        return Condition(kind, event.wallet, "", f"{words}{reason}", facts)
    if kind in (Kind.GATEWAYS, Kind.CUT_OFF):
        # no daemon has a part in it
        return Condition(kind, event.wallet, event.backend, f"{words}{reason}", facts)
    if kind is Kind.ROOM_FAILED:
        # the mistake is ours, whichever daemon it was about
        facts |= {"backend": event.backend} if event.backend else {}
        return Condition(kind, event.wallet, "", f"{words} (room {facts.get('room', '?')}){reason}", facts)
    at = f" (at: {facts['step']})" if "step" in facts else ""
    return Condition(kind, event.wallet, event.backend, f"{event.backend} {words}{at}{reason}", facts)


def forget(heard: Heard, there: Collection[tuple[str, str]], now: float) -> Heard:
    """Return what is still remembered: nothing that is too old, or of a place that is not `there` any more."""
    marks = {
        key: (mark, at) for key, (mark, at) in heard.marks.items() if key[1:] in there and now - at < mark.row.lasts
    }
    return Heard(marks, heard.planned & frozenset(there))
