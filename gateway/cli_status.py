"""How the wallets stand, as a table for a person.

Rule: it shows what the gateway said and decides nothing; what a newer gateway says in words that are not known here is
shown as it came.  Pure: a status in, lines out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.base.standing import KINDS, LEDGERS, PHASES

OUTCOMES = {
    "here": "answered here after a takeover",
    "not_reached": "not sent",
    "no_holder": "without a holder",
    "unknown": "with an unknown outcome",
    "failed": "given up",
    "left": "left by their client",
}
"""What became of forwarded calls, in words; what is not here is its own word."""

HEAD = ("", "BACKEND", "STATE", "CONDITION", "FOR", "ALIGNED", "RESTARTS/H", "MEMORY", "NEXT TRY")


def table(status: dict[str, Any]) -> list[str]:
    """Return the lines for what /api/v1/status answered."""
    draining = "draining, takes no new calls" if status.get("draining") else "serving"
    lines = [f"ec-gateway {clean(status.get('version', '?'))}: {draining}", *_ledger(status.get("ledger"))]
    lines += _peers(status.get("peer_calls"))
    for wallet in status.get("wallets", {}).values():
        backends = wallet.get("backends", [])
        notes = [f"   {clean(one.get('name', '?'))}: {note}" for one in backends for note in _notes(one)]
        rows = aligned([HEAD, *map(_row, backends)]) if backends else []
        lines += ["", _wallet(wallet), *_lease(wallet), *rows, *notes]
    lines += ["", "* the primary: it alone gives out addresses and signs"]
    return lines


def ready(body: dict[str, Any]) -> list[str]:
    """Return the lines for what /readyz answered: why it is not ready, and what ails those that others stand in for."""
    lines = ["ready" if body.get("ready") else "not ready"]
    if body.get("draining"):
        lines.append("the gateway is on its way out")
    for which in ("wallets", "ailing"):
        for wallet, reasons in body.get(which, {}).items():
            lines += [f"{clean(wallet)}: {clean(reason)}" for reason in reasons]
    return list(dict.fromkeys(lines))


def backend_of(status: dict[str, Any], wallet: str, name: str) -> dict[str, Any] | None:
    """Return what a status says of one backend."""
    backends = status.get("wallets", {}).get(wallet, {}).get("backends", [])
    return next((one for one in backends if one.get("name") == name), None)


def state(backend: dict[str, Any]) -> str:
    """Return how a backend stands, in words."""
    step = f" ({clean(backend['step'])})" if backend.get("step") else ""
    by_order = "".join(f", {word}" for word in ("drained", "held") if backend.get(word))
    return f"{_word(PHASES, backend.get('phase'))}{step}{by_order}"


def condition(backend: dict[str, Any]) -> str:
    """Return what is the matter with a backend, in words."""
    word, reason = _word(KINDS, backend.get("kind")), clean(backend.get("reason") or "")
    return f"{word}: {reason}" if reason and backend.get("kind") != "ok" else word


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose columns stand below each other; those that are empty everywhere are left out."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]


def clean(text: object) -> str:
    """Return a text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def duration(seconds: float) -> str:
    """Return a time in the unit that a person would take."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _ledger(ledger: object) -> Iterator[str]:
    """Yield how the ledger answers this gateway."""
    if not isinstance(ledger, dict):
        return
    found = ledger.get("transactions")
    if isinstance(found, dict):
        count, failed, usual = found.get("count", 0), found.get("failed", 0), found.get("usual_ms")
        times = "" if usual is None else f", {_ms(usual)} each, {_ms(found.get('slowest_ms'))} the slowest"
        waits = f"; one has waited for {_ms(found.get('waits_ms'))}" if found.get("waiting") else ""
        yield f"ledger: {count} transactions in the last minute{times}, {failed} failed{waits}"
    if ledger.get("error"):
        yield f"ledger error: {clean(ledger['error'])}"


def _peers(calls: object) -> Iterator[str]:
    """Yield what other gateways sent here."""
    if isinstance(calls, dict):
        taken, elsewhere, refused = (calls.get(name, 0) for name in ("taken", "not_holder", "refused"))
        yield f"calls from other gateways: {taken} taken, {elsewhere} for a wallet held elsewhere, {refused} refused"


def _ms(value: object) -> str:
    """Return milliseconds as a person reads them."""
    found = float(value) if isinstance(value, int | float) else 0.0
    return f"{found / 1000:.1f} s" if found >= 1000 else f"{found:.1f} ms" if found < 10 else f"{found:.0f} ms"


def _wallet(wallet: dict[str, Any]) -> str:
    name = clean(wallet.get("wallet", "?"))
    if "backends" not in wallet:
        return f"wallet {name}"
    return f"wallet {name} ({clean(wallet.get('profile', '?'))}): {', '.join(_about(wallet))}"


def _lease(wallet: dict[str, Any]) -> Iterator[str]:
    """Yield who has the wallet, where gateways share it."""
    lease = wallet.get("lease")
    if not isinstance(lease, dict):
        return
    if lease.get("held"):
        held = f"held by this gateway (term {clean(lease.get('term'))})"
    elif lease.get("holder"):
        who = f"{clean(lease['holder'])} at {clean(lease.get('address'))}"
        held = f"held by {who} (term {clean(lease.get('term'))}); calls are sent there"
    else:
        held = "held by no gateway that is known here"
    ago = lease.get("answered_ago")
    yield f"   {held}; the database was {'never heard of' if ago is None else f'heard of {duration(float(ago))} ago'}"
    sent = lease.get("forwarded")
    if isinstance(sent, dict) and (sent.get("calls") or lease.get("forwarding") or not lease.get("held")):
        ends = sent.get("outcomes") or {}
        told = "".join(f", {clean(count)} {OUTCOMES.get(outcome, clean(outcome))}" for outcome, count in ends.items())
        calls, repeats = clean(sent.get("calls", 0)), clean(sent.get("repeats", 0))
        under_way = clean(lease.get("forwarding", 0))
        yield f"   {calls} calls sent to other gateways so far{told}; {repeats} sent again, {under_way} under way"
    if lease.get("closed"):
        yield f"   this gateway cannot take it over: {clean(lease['closed'])}"


def _about(wallet: dict[str, Any]) -> Iterator[str]:
    yield f"calls: {wallet.get('in_flight', 0)} under way, {wallet.get('waiting', 0)} waiting"
    ledger = wallet.get("ledger")
    if ledger is None:
        yield "no ledger"
    else:
        yield f"addresses ahead: {ledger.get('pool', '?')} of {ledger.get('pool_size', '?')}"
        if ledger.get("state") not in (None, "adopted"):
            yield f"ledger: {LEDGERS.get(str(ledger['state']), clean(ledger['state']))}"
        if ledger.get("error"):
            yield f"ledger error: {clean(ledger['error'])}"
    if wallet.get("panic"):
        yield "fewer than half of the backends are well"


def _row(backend: dict[str, Any]) -> tuple[str, ...]:
    return (
        "*" if backend.get("primary") else "",
        clean(backend.get("name", "?")),
        state(backend),
        condition(backend),
        duration(float(backend.get("for_seconds") or 0.0)),
        "yes" if backend.get("aligned") else "no",
        clean(backend.get("restarts", "")),
        _memory(backend),
        _next_try(backend),
    )


def _notes(backend: dict[str, Any]) -> Iterator[str]:
    """Yield what does not fit into a row: what is done about it, and what the launcher says."""
    if backend.get("ordered"):
        yield f"a restart is ordered: {clean(backend['ordered'])}"
    if backend.get("care"):
        yield clean(backend["care"])
    if backend.get("launcher_error"):
        yield f"its launcher: {clean(backend['launcher_error'])}"


def _memory(backend: dict[str, Any]) -> str:
    memory = backend.get("memory")
    if not isinstance(memory, dict) or not memory.get("used"):
        return ""
    used, limit = float(memory["used"]), float(memory.get("limit") or 0.0)
    share = f" ({used / limit:.0%})" if limit else ""
    return f"{used / (1 << 20):.0f} MiB{share}"


def _next_try(backend: dict[str, Any]) -> str:
    seconds = backend.get("next_try")
    return "" if seconds is None else f"in {duration(float(seconds))}"


def _word(words: dict[str, str], said: object) -> str:
    return words.get(str(said), clean(said).lower())
