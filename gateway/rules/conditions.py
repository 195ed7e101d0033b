"""What holds right now: conditions from what one look shows of each wallet, and from what is remembered of events.

Rule: facts go in and conditions come out; whether anybody is told, and how often, is `rules/alerts.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.base.care import Alerts
from gateway.rules import health
from gateway.rules.heard import Heard
from gateway.rules.kinds import DAY, HOUR, Condition, Key, Kind, blot

MOST_NAMED = 5
"""Backends that a text names."""


@dataclass(frozen=True, slots=True)
class BackendView:
    """What one look shows of a daemon.

    Args:
        is_serving: it takes calls.
        is_excused: out of service by intent: drained, or starting for the first time.
        is_drained: by an operator's order, which he may have forgotten.
        is_held: by an operator's order, so that nobody restarts it or loads its wallet.
        is_in_care: the supervisor restarts it right now.
        failures: faults in a row.
        silent_for: seconds in which it accepted no connection or answered nothing, without an excuse.
        launcher_error: why it could not be restarted now.
    """

    name: str
    is_serving: bool = True
    is_excused: bool = False
    is_drained: bool = False
    is_held: bool = False
    is_in_care: bool = False
    kind: health.Kind = health.Kind.OK
    reason: str = ""
    failures: int = 0
    silent_for: float = 0.0
    is_stranger: bool = False
    memory_share: float | None = None
    launcher_error: str = ""


@dataclass(frozen=True, slots=True)
class WalletView:
    """What one look shows of a wallet.

    Args:
        longest_wait: age of the oldest call of a client, or of one that a daemon still has, in seconds.
        pool_share: what is left of the address pool, None where there is none.
        held_for: seconds since the oldest payment that holds coins and is on no chain was begun.
        ledger_error: why the ledger cannot be used.
        is_unadopted: the wallet was used before and waits for an operator.
        why_no_address: what else keeps it from giving out an address, in words.
        is_doubted: the daemons have more than the ledger, so that no payment is bound to a key.
        has_no_holder: gateways share it, and none is known to hold it.
        why_not_held: why this gateway could not take it over, with the way out.
        ledger_unsafe: what may lose payments that the ledger has committed, in words.
    """

    name: str
    backends: tuple[BackendView, ...] = ()
    longest_wait: float = 0.0
    pool_share: float | None = None
    broadcasts_unknown: int = 0
    held_for: float = 0.0
    ledger_error: str = ""
    is_unadopted: bool = False
    why_no_address: str = ""
    is_doubted: bool = False
    has_no_holder: bool = False
    why_not_held: str = ""
    ledger_unsafe: str = ""

    @property
    def is_here(self) -> bool:
        """Whether this gateway has its daemons; those of a wallet that another one holds are not seen."""
        return bool(self.backends)


def places(views: Iterable[WalletView]) -> frozenset[tuple[str, str]]:
    """Return every wallet and backend there is; "" stands for the wallet itself."""
    return frozenset((view.name, name) for view in views for name in ("", *(one.name for one in view.backends)))


def conditions(views: Iterable[WalletView], heard: Heard, limits: Alerts) -> Iterator[Condition]:
    """Yield everything that holds now; of each key at most one."""
    found: dict[Key, Condition] = {key: mark for key, (mark, _) in heard.marks.items()}
    for view in views:
        planned = frozenset(backend for wallet, backend in heard.planned if wallet == view.name)
        for condition in _of_wallet(view, planned, limits):
            # what is so now says more than what was heard of it
            found[condition.key] = condition
    yield from found.values()


def _of_wallet(view: WalletView, planned: frozenset[str], limits: Alerts) -> Iterator[Condition]:
    name = view.name
    yield from _of_service(view, planned)
    if view.longest_wait >= limits.stuck_after:
        seconds = round(view.longest_wait)
        yield Condition(Kind.WAITING, name, "", f"a call of {name} has waited for {seconds} s", {"seconds": seconds})
    if view.pool_share is not None and view.pool_share < limits.pool_low:
        text = f"{view.pool_share:.0%} of the addresses that {name} keeps ready are left"
        yield Condition(Kind.POOL_LOW, name, "", text, {"share": round(view.pool_share, 2)})
    if view.broadcasts_unknown:
        text = f"{view.broadcasts_unknown} broadcast(s) of {name} may or may not have reached the chain"
        yield Condition(Kind.UNKNOWN_OUTCOME, name, "", text, {"broadcasts": view.broadcasts_unknown})
    if view.held_for >= DAY:
        hours = round(view.held_for / HOUR)
        text = f"coins of {name} have been held for {hours} hours for a payment that is on no chain"
        yield Condition(Kind.HELD_LONG, name, "", text, {"hours": hours})
    yield from _of_ledger(view)
    if view.why_no_address:
        why = blot(view.why_no_address)
        yield Condition(Kind.NO_ADDRESSES, name, "", f"{name} gives out no address: {why}", {"reason": why})
    elif view.is_unadopted:
        text = f"{name} was used before; it gives out no address until `ec-gateway ledger adopt` was run"
        yield Condition(Kind.NOT_ADOPTED, name, "", text)
    if view.has_no_holder:
        text = f"no gateway is known to hold {name}, so that none of its calls is answered"
        yield Condition(Kind.NO_HOLDER, name, "", *_with_reason(text, view.why_not_held))
    elif view.why_not_held:
        # it sends calls to the holder, and nobody would miss it before that one is gone
        text = f"another gateway holds {name}, and this one could not take it over"
        yield Condition(Kind.GATEWAYS, name, "", *_with_reason(text, view.why_not_held))
    if view.is_doubted:
        text = f"the daemons of {name} have more than the ledger; until somebody has looked no key binds a payment"
        yield Condition(Kind.DOUBTED, name, "", text)
    for backend in view.backends:
        yield from _of_backend(name, backend, limits)


def _of_ledger(view: WalletView) -> Iterator[Condition]:
    """Yield what is the matter with the ledger, which is one for all wallets."""
    if view.ledger_error:
        text, facts = _with_reason("nothing is given out and no key is taken", view.ledger_error)
        yield Condition(Kind.READ_ONLY, "", "", text, facts)
    if view.ledger_unsafe:
        text, facts = _with_reason("payments may be forgotten", view.ledger_unsafe)
        yield Condition(Kind.UNSAFE, "", "", text, facts)


def _with_reason(text: str, why: str) -> tuple[str, dict[str, object]]:
    """Return a text with its reason, where there is one, and what a program reads of it."""
    if not why:
        return text, {}
    reason = blot(why)
    return f"{text}: {reason}", {"reason": reason}


def _of_service(view: WalletView, planned: frozenset[str]) -> Iterator[Condition]:
    """Yield what is the matter with the backends of a wallet together."""
    name, backends = view.name, view.backends
    serving = sum(one.is_serving for one in backends)
    missing = [one for one in backends if not one.is_serving and not one.is_excused]
    drained = [one for one in backends if one.is_drained]
    # one that is restarted on purpose comes back in a moment, and somebody knows; a drain lasts until it is taken back
    is_quiet = bool(missing) and all(one.is_in_care and one.name in planned for one in missing)
    facts = {"serving": serving, "backends": len(backends)}
    reasons = [
        f"{one.name}: {blot(one.reason) or one.kind}{', and held by order' if one.is_held else ''}" for one in missing
    ]
    why = "; ".join([*reasons, *(f"{one.name}: drained by order" for one in drained)][:MOST_NAMED])
    if not serving and (missing or (drained and len(drained) == len(backends))):
        text = f"{name} answers nothing ({why})"
        yield Condition(Kind.ALL_DOWN, name, "", text, facts, is_quiet=is_quiet)
    if missing and serving * 2 < len(backends):
        text = f"{serving} of {len(backends)} daemons of {name} serve ({why})"
        yield Condition(Kind.BELOW_HALF, name, "", text, facts, is_quiet=is_quiet)
    adrift = [one for one in backends if one.kind is health.Kind.ADRIFT]
    if len(adrift) == len(backends) > 1:
        reason = blot(adrift[0].reason)
        yield Condition(Kind.ALL_ADRIFT, name, "", f"every daemon of {name} is adrift: {reason}", {"reason": reason})


def _of_backend(wallet: str, view: BackendView, limits: Alerts) -> Iterator[Condition]:
    name, reason = view.name, blot(view.reason)
    if view.silent_for >= limits.stuck_after:
        seconds = round(view.silent_for)
        text = f"{name} has accepted or answered nothing for {seconds} s{f': {reason}' if reason else ''}"
        yield Condition(Kind.STUCK, wallet, name, text, {"seconds": seconds}, is_quiet=view.is_in_care)
    if view.failures >= limits.failures:
        yield Condition(
            Kind.FAILURES, wallet, name, f"{view.failures} calls in a row failed at {name}", {"calls": view.failures}
        )
    if view.memory_share is not None and view.memory_share > limits.memory_share:
        share = round(view.memory_share, 3)
        text = f"{name} takes {view.memory_share:.0%} of the memory that it may take"
        yield Condition(Kind.MEMORY, wallet, name, text, {"share": share})
    if view.launcher_error:
        why = blot(view.launcher_error)
        text = f"{name} could not be restarted now, and nobody else would do it: {why}"
        yield Condition(Kind.LAUNCHER, wallet, name, text, {"reason": why})
    if view.kind is health.Kind.ADRIFT:
        yield Condition(Kind.ADRIFT, wallet, name, f"{name} is adrift: {reason}", {"reason": reason})
    if view.is_stranger:
        text = f"{name} lists other addresses than before, as with another seed"
        yield Condition(Kind.WRONG_SEED, wallet, name, text)
