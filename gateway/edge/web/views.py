"""What each part of the page shows, from the snapshot and the lists beside it.

Rule: it chooses words and figures and decides nothing; whatever is missing in a snapshot is left out, for a newer or
an older gateway may have made it.  All texts leave here as they are: escaping is the business of the templates.  Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.edge.web import figures
from gateway.edge.web.headline import Snapshot, backends_of, condition_of, name_of, tone_of
from gateway.edge.web.words import Words

VERBS = ("restart", "drain", "undrain", "hold", "release", "promote")
"""What can be ordered of a backend, in the order of their buttons."""

LOW = 0.34
"""Part of the address pool below which its figure is marked, as `alerts.pool_low` is by default."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure under its label.

    Args:
        live, note_live: names under which the script renews value and note; "" for what it leaves alone.
        share: a part of one, drawn as a bar; None for none.
        note: a few words beside it.
        is_bad: it is no good sign.
        is_wide: it has too many words for a column.
    """

    label: str
    value: str
    live: str = ""
    share: float | None = None
    note: str = ""
    note_live: str = ""
    is_bad: bool = False
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Button:
    """Something that can be ordered; `href` is the page that asks again."""

    label: str
    href: str
    name: str
    is_on: bool = False


def card(
    backend: Snapshot, wallet_name: str, words: Words, *, may_order: bool, sandbox: bool = False
) -> dict[str, Any]:  # fmt: skip
    """Return what the card of a backend shows."""
    phase = str(backend.get("phase"))
    name = str(backend.get("name", "?"))
    step = str(backend.get("step") or "")
    state = words.phases.get(phase, phase)
    return {
        "id": f"b-{wallet_name}-{name}",
        "name": name,
        "called": name_of(backend),
        "tone": tone_of(backend).word,
        "is_primary": bool(backend.get("primary")),
        "state": f"{state} ({words.steps.get(step, step)})" if step else state,
        "badges": [words.text(key) for key in ("drained", "held") if backend.get(key)],
        "condition": condition_of(backend, words),
        "since": backend.get("since"),
        "notes": [*_notes(backend, words)],
        "spark": figures.sparkline(backend.get("sparkline")),
        "latency": figures.milliseconds(backend.get("latency_ms")),
        "facts": [*_facts(backend, words, sandbox=sandbox)],
        "url": str(backend.get("url") or ""),
        "next_try": backend.get("next_try"),
        "orders": [*_orders(backend, wallet_name, name, words)] if may_order else [],
        "orders_of": words.text("orders.of", backend=name_of(backend)),
    }


def _notes(backend: Snapshot, words: Words) -> Iterator[str]:
    """Yield what is done about it, and what its launcher says."""
    if backend.get("suspect"):
        yield words.text("suspect")
    if backend.get("ordered"):
        yield words.text("ordered", why=words.mark(str(backend["ordered"])))
    if backend.get("care"):
        yield words.mark(str(backend["care"]))
    if backend.get("launcher_error"):
        yield words.text("launcher_error", why=words.foreign(str(backend["launcher_error"])))
    failure = backend.get("failure")
    if isinstance(failure, Mapping):
        step = str(failure.get("step"))
        yield words.text("failure", step=words.steps.get(step, step), why=words.mark(str(failure.get("reason"))))


def _facts(backend: Snapshot, words: Words, *, sandbox: bool) -> Iterator[Fact]:
    text = words.text
    yield Fact(text("score"), figures.decimal(backend.get("score")), "score")
    slots = text("slots.of", taken=backend.get("in_flight", 0), slots=backend.get("slots", 1))
    yield Fact(text("slots"), slots, "slots")
    if backend.get("height") is not None:
        yield Fact(text("height"), figures.number(backend["height"]), "height")
    aligned = bool(backend.get("aligned"))
    yield Fact(
        text("horizon"), figures.number(backend.get("horizon")), "horizon",
        note=text("aligned.yes" if aligned else "aligned.no"), is_bad=not aligned,
    )  # fmt: skip
    memory = backend.get("memory")
    if isinstance(memory, Mapping) and memory.get("used"):
        used, limit = figures.size(memory["used"]), figures.size(memory.get("limit") or None)
        part = memory.get("share") if limit else None
        # a child of the gateway has no limit of its own there: what is told is the machine's
        key = "memory.machine" if sandbox and backend.get("launcher") == "process" else "memory.of"
        note = text(key, share=figures.share(part), limit=limit) if part is not None else ""
        yield Fact(text("memory"), used, "memory", share=part, note=note, note_live="memory_share")
    restarts = backend.get("restarts")
    if restarts is not None:
        yield Fact(text("restarts"), figures.number(restarts), note=text("restarts.hour"))
    circuit = str(backend.get("circuit", "closed"))
    said = words.texts.get(f"circuit.{circuit}", circuit)
    yield Fact(text("circuit"), said, is_bad=circuit != "closed")
    launcher = backend.get("launcher")
    yield Fact(text("launcher"), str(launcher or text("launcher.none")), is_wide=not launcher)


def _orders(backend: Snapshot, wallet: str, name: str, words: Words) -> Iterator[Button]:
    """Yield the orders that make sense now; whether one can be carried out is the gateway's to say."""
    is_drained, is_held = bool(backend.get("drained")), bool(backend.get("held"))
    fits = {
        "restart": bool(backend.get("launcher")),
        "drain": not is_drained,
        "undrain": is_drained,
        "hold": not is_held,
        "release": is_held,
        "promote": not backend.get("primary"),
    }
    for verb in VERBS:
        if fits[verb]:
            yield Button(words.orders[verb][0], f"/orders/{quote(wallet, safe='')}/{quote(name, safe='')}/{verb}", verb)


def wallet_view(name: str, wallet: Snapshot, words: Words, snapshot: Snapshot, *, may_order: bool) -> dict[str, Any]:
    """Return what the section of a wallet shows."""
    rates = wallet.get("rates") or {}
    ledger = wallet.get("ledger")
    state = str(ledger.get("state")) if isinstance(ledger, Mapping) else ""
    lease = wallet.get("holder") or wallet.get("lease")
    is_sandbox = bool(snapshot.get("sandbox"))
    cards = [card(one, name, words, may_order=may_order, sandbox=is_sandbox) for one in backends_of(wallet)]
    return {
        "id": f"w-{name}",
        "name": name,
        "profile": str(wallet.get("profile") or ""),
        "is_here": "backends" in wallet,
        "facts": [*_wallet_facts(wallet, words)] if "backends" in wallet else [],
        "notes": [*_wallet_notes(wallet, state, words)],
        "holder": _holder(lease, words) if isinstance(lease, Mapping) else "",
        "holder_since": lease.get("since") if isinstance(lease, Mapping) else None,
        "handover": (
            Button(words.orders["handover"][0], f"/orders/{quote(name, safe='')}/handover", "handover")
            if may_order and isinstance(lease, Mapping) and lease.get("held")
            else None
        ),
        "now_calls": words.text(
            "chart.now.calls", calls=figures.rate(rates.get("calls")), errors=figures.rate(rates.get("errors"))
        ),
        "now_latency": words.text(
            "chart.now.latency",
            p50=figures.milliseconds(rates.get("p50_ms")),
            p95=figures.milliseconds(rates.get("p95_ms")),
        ),
        "cards": cards,
        "switches": [*_switches(name, snapshot, words)] if may_order else [],
    }


def _wallet_facts(wallet: Snapshot, words: Words) -> Iterator[Fact]:
    text, rates = words.text, wallet.get("rates") or {}
    per_second = text("per_second")
    yield Fact(text("calls"), figures.rate(rates.get("calls")), "calls", note=per_second)
    errors = rates.get("errors")
    yield Fact(text("errors"), figures.rate(errors), "errors", note=per_second, is_bad=bool(errors))
    yield Fact(text("latency.p50"), figures.milliseconds(rates.get("p50_ms")), "p50_ms")
    yield Fact(text("latency.p95"), figures.milliseconds(rates.get("p95_ms")), "p95_ms")
    yield Fact(text("in_flight"), figures.number(wallet.get("in_flight", 0)), "in_flight")
    yield Fact(text("waiting"), figures.number(wallet.get("waiting", 0)), "waiting")
    addresses = wallet.get("addresses")
    if isinstance(addresses, Mapping):
        ahead, of = addresses.get("ahead"), addresses.get("of")
        part = ahead / of if isinstance(ahead, int | float) and isinstance(of, int | float) and of else None
        value = text("addresses.of", ahead=figures.number(ahead), of=figures.number(of))
        note = text("addresses.handed", n=figures.number(addresses.get("handed")))
        is_low = part is not None and part < LOW
        yield Fact(text("addresses"), value, "addresses", share=part, note=note, note_live="handed", is_bad=is_low)
    elif wallet.get("ledger") is None:
        yield Fact(text("addresses"), text("no_ledger"))


def _wallet_notes(wallet: Snapshot, state: str, words: Words) -> Iterator[str]:
    if wallet.get("panic"):
        yield words.text("panic")
    if state not in ("", "adopted"):
        yield f"{words.text('ledger')}: {words.ledgers.get(state, state)}"
    ledger = wallet.get("ledger")
    if isinstance(ledger, Mapping) and ledger.get("error"):
        yield f"{words.text('ledger.error')}: {words.mark(str(ledger['error']))}"
    for reason in wallet.get("not_ready") or ():
        yield f"{words.text('not_ready')}: {words.mark(str(reason))}"
    lease = wallet.get("holder") or wallet.get("lease")
    # who has just taken it over has no rooms yet, and is itself who looks after them
    if "backends" not in wallet and not (isinstance(lease, Mapping) and lease.get("held")):
        yield words.text("only_elsewhere")


def _holder(lease: Snapshot, words: Words) -> str:
    term = lease.get("term", "?")
    if lease.get("held"):
        return words.text("holder.self", term=term)
    if lease.get("holder"):
        return words.text("holder.other", holder=lease["holder"], address=lease.get("address", "?"), term=term)
    return words.text("holder.none")


def _switches(wallet: str, snapshot: Snapshot, words: Words) -> Iterator[dict[str, Any]]:
    """Yield the switches of the sandbox for each daemon of a wallet."""
    for one in snapshot.get("switches") or ():
        backend = str(one.get("backend"))
        if one.get("wallet") != wallet:
            continue
        buttons = []
        for switch in one.get("switches") or ():
            name = str(switch.get("name"))
            label, hint = words.switches.get(name, (name, ""))
            href = f"/switches/{quote(wallet, safe='')}/{quote(backend, safe='')}/{quote(name, safe='')}"
            buttons.append({"button": Button(label, href, name, bool(switch.get("is_on"))), "hint": hint})
        yield {"backend": backend, "title": words.text("switches.of", backend=backend), "buttons": buttons}
