"""What the operators' door shows of the whole gateway: one object, for the page, for scripts and for the event stream.

Rule: everything in it is already known; to make it asks no daemon and reads no ledger.  Moments are seconds since 1970
and stay as they are while nothing happens, so that two snapshots can be compared.  No secret is in it, no address of a
customer and no key.
"""

import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import __version__
from gateway.base.config import Settings
from gateway.observe.alerts import Alerts
from gateway.observe.rates import Rates
from gateway.plant import Plant

if TYPE_CHECKING:
    from gateway.cluster import Cluster
    from gateway.ledger.store import Transacting

PATIENCE = 9.0
"""Seconds that a call waits at most unless its client says otherwise: one that finds nobody for longer is an error."""

SLIP = 0.5
"""Seconds by which two clocks may part before moments are told anew: the machine slept, or its clock was set."""


class Snapshots:
    """Makes snapshots of a gateway.

    Args:
        settings, plants, names, is_draining: asked anew each time; `names` are the wallets that calls may be for.
        cluster: None where the gateway is alone.
        now: of the loop; clock: seconds since 1970.
        book: the ledger, why it is not open, or None where none is kept.
    """

    def __init__(
        self, settings: Callable[[], Settings], plants: Callable[[], Mapping[str, Plant]],
        names: Callable[[], Collection[str]], cluster: Callable[[], "Cluster | None"], alerts: Alerts, rates: Rates,
        is_draining: Callable[[], bool], now: Callable[[], float], clock: Callable[[], float] = time.time,
        book: Callable[[], "Transacting | str | None"] = lambda: None,
    ) -> None:  # fmt: skip
        """Begin now."""
        self.settings = settings
        self.plants = plants
        self.names = names
        self.cluster = cluster
        self.alerts = alerts
        self.rates = rates
        self.is_draining = is_draining
        self.now = now
        self.clock = clock
        self.book = book
        self._shift = clock() - now()
        """What turns a moment of the loop into one since 1970."""
        self._started_at = round(clock(), 3)
        self._idle_since: dict[str, float] = {}
        """Of each wallet that takes no calls: since when, on the loop's clock."""
        self.machine = socket.gethostname()

    def whole(self) -> dict[str, object]:
        """Return how everything stands."""
        now, at, settings, cluster = self.now(), self.clock(), self.settings(), self.cluster()
        if abs(at - now - self._shift) > SLIP:
            self._shift = at - now
        wallets: dict[str, dict[str, object]] = {}
        plants = self.plants()
        for name in self.names():
            plant = plants.get(name)
            wallets[name] = {"wallet": name} if plant is None else self._wallet(plant, now)
            if cluster is not None:
                lease = cluster.status(name)
                wallets[name] |= {"lease": lease, "holder": lease}
            wallets[name] |= self._readiness(name, plant, cluster, now)
        return {
            "version": __version__,
            "gateway": self.machine if settings.cluster is None else settings.cluster.name,
            "sandbox": settings.sandbox,
            "started_at": self._started_at,
            "time": round(at, 3),
            "draining": self.is_draining(),
            "ledger": ledger_status(self.book()),
            "peer_calls": None if cluster is None else cluster.peer_calls(),
            "alerts": self.alerts.shown(),
            "wallets": wallets,
        }

    def turn(self) -> None:
        """End a second of the charts."""
        self.rates.turn(self.clock(), self._places())
        now, cluster, plants, names = self.now(), self.cluster(), self.plants(), self.names()
        self._idle_since = {name: since for name, since in self._idle_since.items() if name in names}
        # also while nobody has the page open: who opens it is told since when
        for name in names:
            self._readiness(name, plants.get(name), cluster, now)

    def samples(self) -> dict[str, object]:
        """Return the second that ended last, for charts that are open."""
        return {
            "time": self.rates.until,
            "wallets": {
                wallet: {
                    **self.rates.last(wallet),
                    "backends": {name: self.rates.last_answer(wallet, name) for name in backends},
                }
                for wallet, backends in self._places()
            },
        }

    def _places(self) -> Iterable[tuple[str, Collection[str]]]:
        return [(name, plant.pool.by_name) for name, plant in self.plants().items()]

    def _readiness(
        self, name: str, plant: Plant | None, cluster: "Cluster | None", now: float
    ) -> dict[str, object]:  # fmt: skip
        """Return whether a wallet takes calls, and if not why, since when, and whether clients feel it by now."""
        if cluster is not None:
            reasons = cluster.why_not_ready(name)
        else:
            reasons = ["it is being started"] if plant is None else plant.why_not_ready()
        if not reasons:
            self._idle_since.pop(name, None)
            return {"not_ready": [], "not_ready_since": None, "overdue": False}
        since = self._idle_since.setdefault(name, now)
        return {
            "not_ready": reasons,
            "not_ready_since": round(since + self._shift, 1),
            "overdue": now - since >= PATIENCE,
        }

    def _wallet(self, plant: Plant, now: float) -> dict[str, object]:
        """Return what is known of one wallet: as `gateway.status` says it, and what only operators are shown."""
        shown = plant.status(now)
        money, urls = plant.money, {one.name: one.url for one in plant.settings.wallets[plant.name].backends}
        shown["rates"] = self.rates.now(plant.name)
        shown["slots_taken"] = sum(len(one.occupants) for one in plant.pool.backends)
        shown["slots"] = sum(one.slots for one in plant.pool.backends)
        shown["addresses"] = None
        shown["unresolved"] = 0
        if money is not None:
            keeper, settler = money.keeper, money.rooms.settler
            shown["addresses"] = {"ahead": keeper.free, "of": keeper.size, "handed": keeper.known - keeper.free}
            shown["unresolved"] = settler.unknown + settler.open_calls
        backends = shown["backends"]
        assert isinstance(backends, list)  # noqa: S101 - `Plant.status` makes one
        for one, backend in zip(backends, plant.pool.backends, strict=True):
            one["since"] = round(backend.since + self._shift, 1)
            one["slots"] = backend.slots
            one["horizon"] = backend.listed
            one["sparkline"] = self.rates.sparkline(plant.name, backend.name)
            one["url"] = place(urls.get(backend.name, ""))
        return shown


def ledger_status(ledger: "Transacting | str | None") -> dict[str, object] | None:
    """Return how the ledger answers: what every gateway sees that talks to it, whoever holds the wallets."""
    if ledger is None:
        return None
    if isinstance(ledger, str):
        return {"error": ledger, "transactions": None}
    figures = ledger.timing.figures()
    return {
        "error": ledger.last_error,
        "transactions": {
            "count": figures.count,
            "failed": figures.failed,
            "usual_ms": None if figures.usual is None else round(figures.usual * 1000, 2),
            "slowest_ms": round(figures.slowest * 1000, 2),
            "waiting": figures.waiting,
            "waits_ms": round(figures.waits * 1000, 2),
        },
    }


def place(url: str) -> str:
    """Return where a daemon listens, HOST:PORT, without credentials and path; "" of nothing."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{f'[{host}]' if ':' in host else host}:{port}" if host else ""
