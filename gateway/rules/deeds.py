"""What was done on purpose: every restart with its cause and outcome, and every order with who gave it and the answer.

Rule: each has one row from its beginning, so that what was broken off by the end of the gateway can be seen as that.
The gateway's own restarts are told from those that somebody ordered.  An answer belongs to the order whose number it
repeats; only where it has none, to the first of the same daemon and the same verb.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.base.events import Event
from gateway.rules.kinds import blot
from gateway.rules.service import Place

OPEN, DONE, FAILED, REFUSED, BROKEN_OFF = "open", "done", "failed", "refused", "broken off"

BY_RULE, BY_SCHEDULE, BY_COMMAND = "gateway", "schedule", "command line"
"""By whom, where it was no person at the operators' door."""

SCHEDULED = frozenset({"cron", "age", "memory"})

MOST_OPEN = 500
"""Orders under way; beyond them the oldest is forgotten, and its row stays open until the gateway ends."""

HOUR, REFUSALS = 3600.0, 20
"""Seconds for which refusals are counted, and how many of them have rows of their own."""

LONGEST = 500
"""Characters of a reason or an answer."""


@dataclass(frozen=True, slots=True)
class Restart:
    """One restart of a daemon; times in seconds since 1970.

    Args:
        cause: dead, wedged, lost, adrift, unloaded, order, cron, age or memory.
        by: who ordered it, or `gateway`, or `schedule`.
        step: where it failed.
        detail: why it failed, or what is missing though it was done.
    """

    id: str
    wallet: str
    backend: str
    cause: str
    reason: str
    by: str
    began_at: float
    ended_at: float | None = None
    outcome: str = OPEN
    step: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One order; times in seconds since 1970.

    Args:
        who: the name of the person or token.
        by: session, token, open, or `command line`.
        peer: from which address.
        verb: of a switch of the sandbox `switch NAME`, and `switch NAME off` where it was taken back.
        reason: why, after what it was about where no daemon says that: an outcome by its id.
    """

    id: str
    at: float
    who: str
    by: str
    peer: str
    wallet: str
    backend: str
    verb: str
    reason: str
    outcome: str = OPEN
    answer: str = ""
    done_at: float | None = None


Deed = Restart | Order


@dataclass(frozen=True, slots=True)
class Deeds:
    """What is under way.

    Args:
        life: begins the ids.
        orders: by the number that their events repeat, or by the id of their row.
        ordered: who has ordered a restart of a place last.
    """

    life: str
    number: int = 0
    restarts: Mapping[Place, Restart] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    ordered: Mapping[Place, str] = field(default_factory=dict)
    refused: tuple[float, int, Order | None] = (0.0, 0, None)
    """Since when refusals are counted, how many there were, and the row of the last."""


def hear(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    """Take in an event; return also what has changed.  `at` in seconds since 1970."""
    match event.name:
        case "restart.begun":
            return _begun(deeds, event, at)
        case "restart.done" | "restart.failed":
            return _ended(deeds, event, at)
        case "order.given":
            return _given(deeds, event, at)
        case "order.done" | "order.failed":
            return _answered(deeds, event, at)
        case "order.refused":
            return _refused(deeds, event, at)
    return deeds, []


def end(deeds: Deeds, at: float, note: str) -> tuple[Deeds, list[Deed]]:
    """Break off everything that is under way, for nobody will hear how it ends."""
    restarts: list[Deed] = [
        replace(one, ended_at=at, outcome=BROKEN_OFF, detail=note) for one in deeds.restarts.values()
    ]
    orders = [replace(one, done_at=at, outcome=BROKEN_OFF, answer=note) for one in deeds.orders.values()]
    return Deeds(deeds.life, deeds.number), [*restarts, *orders]


def _begun(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    place, cause = (event.wallet, event.backend), _text(event, "cause")
    by = BY_SCHEDULE if cause in SCHEDULED else BY_RULE
    ordered = dict(deeds.ordered)
    if cause == "order":
        by = ordered.pop(place, "an operator")
    restart = Restart(
        f"{deeds.life}-d{deeds.number + 1}", *place, cause=cause, reason=_text(event, "reason"), by=by, began_at=at
    )
    before = deeds.restarts.get(place)
    # one that is begun again was not told to have ended, as when a reload took its backend away
    lost: list[Deed] = [] if before is None else [replace(before, ended_at=at, outcome=BROKEN_OFF)]
    after = replace(
        deeds, number=deeds.number + 1, restarts={**deeds.restarts, place: restart}, ordered=ordered
    )  # fmt: skip
    return after, [*lost, restart]


def _ended(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    place = (event.wallet, event.backend)
    restart = deeds.restarts.get(place)
    if restart is None:
        return deeds, []
    if event.name == "restart.done":
        lacks = [words for name, words in LACKS.items() if event.fields.get(name) is False]
        restart = replace(restart, ended_at=at, outcome=DONE, detail=", ".join(lacks))
    else:
        detail = _text(event, "reason")
        restart = replace(restart, ended_at=at, outcome=FAILED, step=_text(event, "step"), detail=detail)
    left = {key: one for key, one in deeds.restarts.items() if key != place}
    return replace(deeds, restarts=left), [restart]


LACKS = {"synced": "not yet at the height of the chain", "aligned": "not yet with all addresses"}


def _given(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    order = _order(deeds, event, at)
    ordered = dict(deeds.ordered)
    if order.verb == "restart":
        ordered[event.wallet, event.backend] = order.who or order.peer
    orders = dict(list(deeds.orders.items())[1 - MOST_OPEN :])
    number = _text(event, "order")
    orders[number if number and number not in orders else order.id] = order
    return replace(deeds, number=deeds.number + 1, orders=orders, ordered=ordered), [order]


def _answered(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    outcome = DONE if event.name == "order.done" else FAILED
    order = _asked(deeds, event)
    number = deeds.number
    if order is None:
        # forgotten, or it was given before anybody listened: nobody but the answer tells of it
        number += 1
        order = replace(_order(deeds, event, at), by=BY_COMMAND, reason=_text(event, "argument"))
    left = {key: one for key, one in deeds.orders.items() if one.id != order.id}
    done = replace(order, outcome=outcome, answer=_text(event, "answer"), done_at=at)
    return replace(deeds, number=number, orders=left), [done]


def _asked(deeds: Deeds, event: Event) -> Order | None:
    """Return the order that is answered."""
    if number := _text(event, "order"):
        return deeds.orders.get(number)
    asked = (event.wallet, event.backend, _verb(event))
    return next((one for one in deeds.orders.values() if (one.wallet, one.backend, one.verb) == asked), None)


def _refused(deeds: Deeds, event: Event, at: float) -> tuple[Deeds, list[Deed]]:
    """Take in a refusal; beyond a few in an hour they are counted, so that guessing drives nothing out of the trail."""
    since, count, last = deeds.refused
    if last is None or at - since >= HOUR:
        since, count = at, 0
    if last is not None and count >= REFUSALS:
        more = count + 1 - REFUSALS
        last = replace(last, answer=f"{_text(event, 'why')}; and {more} more within an hour", done_at=at)
        return replace(deeds, refused=(since, count + 1, last)), [last]
    order = replace(_order(deeds, event, at), outcome=REFUSED, answer=_text(event, "why"), done_at=at)
    return replace(deeds, number=deeds.number + 1, refused=(since, count + 1, order)), [order]


def _order(deeds: Deeds, event: Event, at: float) -> Order:
    return Order(
        f"{deeds.life}-d{deeds.number + 1}", at, who=_text(event, "who"), by=_text(event, "by"),
        peer=_text(event, "peer"), wallet=event.wallet, backend=event.backend, verb=_verb(event),
        reason=": ".join(filter(None, (about(event), _text(event, "reason"))))[:LONGEST],
    )  # fmt: skip


def _verb(event: Event) -> str:
    """Return what was ordered; a switch is thrown where nothing else is said."""
    return f"{_text(event, 'verb')}{' off' if event.fields.get('on', True) is not True else ''}"


def about(event: Event) -> str:
    """Return what an order is about, "" where its daemon says that: an outcome, and what is said of it."""
    given = str(event.fields.get("outcome", ""))
    if not given:
        return ""
    # a client's key in the clear is none of these
    found = _OUTCOME.fullmatch(given)
    short = "an outcome that is none" if found is None else f"{found[1]}{(found[3] or '')[:50]}"
    return short if "executed" not in event.fields else f"{short} executed={_yes(event.fields['executed'])}"


_OUTCOME = re.compile(r"(call-[0-9]{1,19}|(?:key|broadcast)-[0-9a-f]{12})([0-9a-f]*)(-[A-Za-z0-9._-]*)?")
"""An outcome as operators are shown it; of a hash its first digits are kept, which name it well enough."""


def _yes(value: object) -> str:
    return "yes" if value is True else "no"


def _text(event: Event, name: str) -> str:
    return str(blot(event.fields.get(name, "")))[:LONGEST]
