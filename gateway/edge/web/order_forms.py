"""The forms that ask before something is ordered, and what each of them gives to the gateway.

Rule: the form says in words what will happen, to whom, and how that one stands now; names that are not there have none.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.base.people import Person
from gateway.edge.admin_api import AdminApi
from gateway.edge.web.headline import Snapshot, backends_of, called, name_of, with_names
from gateway.edge.web.views import VERBS
from gateway.edge.web.words import Words

MAX_REASON = 200
"""Characters, as the API has it."""

Give = Callable[[AdminApi, Person, Mapping[str, str], str, str], Awaitable[str]]
"""Carries it out: for whom, with the fields of the form, the reason, and from where."""


@dataclass(frozen=True, slots=True)
class OrderForm:
    """One form.

    Args:
        question, hint: what is asked, and what will happen.
        label: on its button.
        notes: further sentences; `is_bad` for what should be thought of.
        is_on: of a switch, whether it is on now; None for anything else.
        place: whom it is for, where there are several wallets; "" where the answer says enough.
        past: what is said to have been done when `on` is sent as "1" or "0", where the answer says how things are for
            a moment only: it stands on the page for longer.
    """

    href: str
    question: str
    hint: str
    label: str
    give: Give
    notes: tuple[Mapping[str, Any], ...] = field(default=())
    asks_reason: bool = True
    asks_executed: bool = False
    is_on: bool | None = None
    place: str = ""
    past: Mapping[str, str] = field(default_factory=dict)


def find(
    parts: Sequence[str], snapshot: Snapshot, outcomes: Sequence[Snapshot], words: Words
) -> OrderForm | None:  # fmt: skip
    """Return the form for the parts of a path, None where there is nothing of these names."""
    wallets: Mapping[str, Snapshot] = with_names(snapshot).get("wallets") or {}
    is_one = len(wallets) < 2
    match list(parts):
        case ["orders", wallet, "handover"] if wallet in wallets:
            return _handover(wallet, words)
        case ["orders", wallet, name, verb] if wallet in wallets and verb in VERBS:
            backends = backends_of(wallets[wallet])
            backend = next((one for one in backends if one.get("name") == name), None)
            return None if backend is None else _of_backend(wallet, backend, backends, verb, words)
        case ["outcomes", wallet, ident, "resolve"]:
            keys = [one for one in outcomes if one.get("wallet") == wallet and one.get("id") == ident]
            return _resolve(keys[0], words) if keys else None
        case ["switches", wallet, name, switch]:
            for one in snapshot.get("switches") or ():
                if one.get("wallet") == wallet and one.get("backend") == name:
                    return _switch(wallet, one, switch, words, name if is_one else called(wallet, name))
    return None


def _handover(wallet: str, words: Words) -> OrderForm:
    label, question, hint = words.orders["handover"]

    async def give(api: AdminApi, person: Person, _fields: Mapping[str, str], reason: str, peer: str) -> str:
        return await api.give_order(person, wallet, "", "handover", reason, peer)

    return OrderForm(f"/orders/{_path(wallet, 'handover')}", question.format(wallet=wallet), hint, label, give)


def _of_backend(
    wallet: str, backend: Snapshot, everyone: Sequence[Snapshot], verb: str, words: Words
) -> OrderForm:  # fmt: skip
    name, place = str(backend.get("name")), name_of(backend)
    label, question, hint = words.orders[verb]

    async def give(api: AdminApi, person: Person, _fields: Mapping[str, str], reason: str, peer: str) -> str:
        return await api.give_order(person, wallet, name, verb, reason, peer)

    phase, kind = str(backend.get("phase")), str(backend.get("kind"))
    state = f"{words.phases.get(phase, phase)}, {words.kinds.get(kind, kind)}"
    notes: list[Mapping[str, Any]] = [{"text": words.text("order.now", state=state), "is_bad": False}]
    if verb in ("restart", "drain"):
        if backend.get("primary"):
            notes.append({"text": words.text("order.primary", backend=place), "is_bad": True})
        if not any(_serves(one) for one in everyone if one is not backend):
            notes.append({"text": words.text("order.last"), "is_bad": True})
    href = f"/orders/{_path(wallet, name, verb)}"
    return OrderForm(
        href, question.format(backend=place), hint, label, give, tuple(notes), place="" if place == name else place
    )


def _resolve(outcome: Snapshot, words: Words) -> OrderForm:
    wallet, ident = str(outcome.get("wallet")), str(outcome.get("id"))
    label, question, hint = words.orders["resolve"]

    async def give(api: AdminApi, person: Person, fields: Mapping[str, str], reason: str, peer: str) -> str:
        return await api.resolve(person, wallet, ident, fields.get("executed") == "1", reason, peer)

    what = " · ".join(str(outcome[key]).strip() for key in ("method", "client", "backend", "note") if outcome.get(key))
    notes = ({"text": what, "is_bad": False},)
    href = f"/outcomes/{_path(wallet, ident, 'resolve')}"
    return OrderForm(href, question, hint, label, give, notes, asks_executed=True)


def _switch(wallet: str, row: Snapshot, switch: str, words: Words, place: str) -> OrderForm | None:
    found = next((one for one in row.get("switches") or () if one.get("name") == switch), None)
    if found is None:
        return None
    backend = str(row.get("backend"))
    label, hint = words.switches.get(switch, (switch, ""))

    async def give(api: AdminApi, person: Person, fields: Mapping[str, str], _reason: str, peer: str) -> str:
        return await api.flip(person, backend, switch, fields.get("on") == "1", peer)

    return OrderForm(
        f"/switches/{_path(wallet, backend, switch)}", f"{place}: {label}", hint, label, give,
        asks_reason=False, is_on=bool(found.get("is_on")), place="" if place == backend else place,
        past={
            on: words.text(key, backend=backend)
            for on, turned in (("1", "on"), ("0", "off"))
            if (key := f"switched.{switch}.{turned}") in words.texts
        },
    )  # fmt: skip


def _serves(backend: Snapshot) -> bool:
    return backend.get("phase") in ("READY", "WARMING") and not backend.get("drained")


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)
