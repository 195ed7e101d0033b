"""Which daemons serve, and why not: from events in their order, set right by what a look shows.

Rule: an event says exactly when something changed, a look says what is so; where they differ the look counts, and what
is not there any more is forgotten.  Reasons are words of one short list, so that they can be summed up for a year.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.base.events import Event
from gateway.rules.conditions import BackendView, WalletView
from gateway.rules.heard import BEGUN, MEANT
from gateway.rules.kinds import blot

Place = tuple[str, str]
"""A wallet and a backend; "" for the backend is the wallet itself."""

STARTING, RESTARTING, PLANNED, DRAINED, FAILED, READ_ONLY, UNKNOWN = (
    "starting", "restarting", "planned restart", "drained", "failed", "read only", "unknown"
)  # fmt: skip
"""Why something does not serve, beside the kinds of `rules/health.py`: dead, wedged, adrift."""

BACK = frozenset({"backend.ready", "backend.warming"})
"""Events after which calls go there again."""

CARE = frozenset({"backend.draining", "backend.restarting"})
"""Events after which the supervisor has it."""

OVER = frozenset({*BACK, "backend.ejected", "backend.failed", "backend.starting", "restart.failed"})
"""Events after which a restart that somebody meant is over."""

DRAINS = {"backend.drained": True, "backend.undrained": False}

OF_INTEREST = frozenset({*CARE, *OVER, *DRAINS, BEGUN})
"""Events that change anything here."""


@dataclass(frozen=True, slots=True)
class Service:
    """How a backend or a wallet serves.

    Args:
        why: what it is out of service for, a word; "" while it is in service.
        reason: the same as it was told, a sentence without addresses.
        is_planned: somebody has meant it.
        has_served: since this gateway began with it.
        is_drained: by an operator's order.
    """

    why: str = STARTING
    reason: str = ""
    is_planned: bool = False
    has_served: bool = False
    is_drained: bool = False

    @property
    def is_serving(self) -> bool:
        """Whether calls go there."""
        return not self.why and not self.is_drained

    @property
    def word(self) -> str:
        """Why it does not serve; "" where it does."""
        return DRAINED if self.is_drained else self.why

    @property
    def is_out(self) -> bool:
        """Whether it does not serve although it should: everybody starts once."""
        return not self.is_serving and (self.has_served or self.word != STARTING)


@dataclass(frozen=True, slots=True)
class Services:
    """Of every backend how it serves, and the wallets whose ledger cannot be written, each with the reason."""

    backends: Mapping[Place, Service] = field(default_factory=dict)
    read_only: Mapping[str, str] = field(default_factory=dict)

    def places(self) -> dict[Place, Service]:
        """Return every backend and every wallet."""
        wallets: dict[str, list[tuple[str, Service]]] = {}
        for (wallet, backend), one in self.backends.items():
            wallets.setdefault(wallet, []).append((backend, one))
        found: dict[Place, Service] = {(wallet, ""): self._of_wallet(wallet, ones) for wallet, ones in wallets.items()}
        return found | dict(self.backends)

    def _of_wallet(self, wallet: str, ones: list[tuple[str, Service]]) -> Service:
        """Return how a wallet serves: one backend does for reads, and what gives out or signs needs the ledger too."""
        has_served = any(one.has_served for _, one in ones)
        if wallet in self.read_only:
            return Service(READ_ONLY, self.read_only[wallet], has_served=has_served)
        if any(one.is_serving for _, one in ones):
            return Service("", has_served=True)
        words = sorted({one.word for _, one in ones})
        reasons = [f"{backend}: {one.reason or one.word}" for backend, one in ones]
        return Service("+".join(words), "; ".join(reasons), all(one.is_planned for _, one in ones), has_served)


def hear(services: Services, event: Event) -> Services:
    """Return how everything serves after an event."""
    if event.name not in OF_INTEREST or not event.backend:
        return services
    place = (event.wallet, event.backend)
    before = services.backends.get(place, Service())
    after = _after(before, event)
    return services if after == before else replace(services, backends={**services.backends, place: after})


def _after(before: Service, event: Event) -> Service:
    name, reason = event.name, str(blot(event.fields.get("reason", "")))
    if name in DRAINS:
        return replace(before, is_drained=DRAINS[name], is_planned=DRAINS[name])
    if name == BEGUN:
        return replace(before, is_planned=before.is_drained or event.fields.get("cause") in MEANT)
    if name in BACK:
        return Service("", has_served=True, is_drained=before.is_drained, is_planned=before.is_drained)
    if name in CARE:
        return replace(before, why=PLANNED if before.is_planned else RESTARTING, reason=reason)
    is_planned = before.is_drained
    if name == "restart.failed":
        # where it is, the events of its phases say
        return replace(before, is_planned=is_planned)
    word = {"backend.starting": STARTING, "backend.failed": FAILED}.get(name) or str(event.fields.get("kind", UNKNOWN))
    return replace(before, why=word, reason=reason, is_planned=is_planned)


def look(services: Services, views: Iterable[WalletView]) -> Services:
    """Return how everything serves as it is seen now; wallets that others hold are not seen."""
    backends: dict[Place, Service] = {}
    read_only: dict[str, str] = {}
    for view in views:
        for one in view.backends:
            place = (view.name, one.name)
            backends[place] = _seen(services.backends.get(place, Service()), one)
        if view.backends and view.ledger_error:
            read_only[view.name] = str(blot(view.ledger_error))
    if backends == services.backends and read_only == services.read_only:
        return services
    return Services(backends, read_only)


def _seen(known: Service, view: BackendView) -> Service:
    """Return what is known of a backend, set right by what is seen of it."""
    if known.is_drained != view.is_drained:
        known = replace(known, is_drained=view.is_drained, is_planned=view.is_drained)
    if known.is_serving == view.is_serving or known.is_drained:
        return known
    if view.is_serving:
        return Service("", has_served=True)
    word = RESTARTING if view.is_in_care else view.kind.value
    return replace(known, why=word, reason=str(blot(view.reason)))
