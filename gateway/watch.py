"""What the alerts and the history see of the wallets, and both of a gateway put together.

Rule: looking changes nothing, asks no daemon and reads no ledger; everything seen here is already known.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from gateway.base.config import Settings
from gateway.base.errors import ConfigError, Problem
from gateway.base.events import Emit
from gateway.fleet.backend import Backend
from gateway.observe import sinks
from gateway.observe.alerts import Alerts
from gateway.observe.history import History
from gateway.plant import Plant
from gateway.rules import health
from gateway.rules.conditions import BackendView, WalletView
from gateway.upstream.launchers import State, Status

if TYPE_CHECKING:
    from gateway.money import Money

SETTINGS = "(settings)"
"""Stands for the file where a mistake is found only after all files were merged."""


def alerts_of(
    settings: Settings, plants: Callable[[], Mapping[str, Plant]], tell: Emit, loop: asyncio.AbstractEventLoop,
    elsewhere: Callable[[], Iterable[WalletView]] = tuple, unsafe: Callable[[], str] = str,
) -> Alerts:  # fmt: skip
    """Build the alerts of a gateway; nothing is started.

    Args:
        elsewhere: wallets without rooms here, where gateways share them.
        unsafe: what may lose payments that the ledger has committed, "" for nothing.
    """

    def seen() -> Iterator[WalletView]:
        why = unsafe()
        for view in chain(views(plants().values(), loop.time()), elsewhere()):
            yield replace(view, ledger_unsafe=why) if why else view

    return Alerts(
        settings.alerts,
        seen,
        tell,
        time.time,
        random.random,
        loop,
        gateway=socket.gethostname(),
    )


def history_of(
    settings: Settings, plants: Callable[[], Mapping[str, Plant]], tell: Emit, loop: asyncio.AbstractEventLoop
) -> History:
    """Build the history of a gateway; nothing is started.  Wallets that other gateways hold are theirs to watch."""
    name = "" if settings.cluster is None else settings.cluster.name
    history = History(lambda: views(plants().values(), loop.time()), tell, time.time, loop, name)
    # not the name of its rows: a container that is made anew is called differently, and is the same gateway
    history.past.called = socket.gethostname()
    return history


def check_sinks(settings: Settings) -> None:
    """Check the settings of every sink.  Raises ConfigError with the mistakes of all of them."""
    problems = [
        Problem(SETTINGS, 0, f"alerts.sinks.{sink.name}.{key}", message, remedy)
        for sink in settings.alerts.sinks
        for key, message, remedy in sinks.check(sink)
    ]
    if problems:
        raise ConfigError(problems)


def views(plants: Iterable[Plant], now: float) -> Iterator[WalletView]:
    """Yield what is seen of each wallet now."""
    for plant in plants:
        yield _wallet(plant, now)


def _wallet(plant: Plant, now: float) -> WalletView:
    backends = plant.pool.backends
    ages = [now - errand.arrived_at for errand in plant.runner.errands if errand.own is None]
    # a daemon may work on after its caller has gone, and nobody else gets in there
    ages += [now - one.dialled_at for backend in backends for one in backend.occupants]
    seen = WalletView(
        plant.name,
        tuple(_backend(plant, backend, now) for backend in backends),
        longest_wait=max(ages, default=0.0),
    )
    if plant.closed is not None:
        return replace(seen, ledger_error=plant.closed.why)
    return seen if plant.money is None else _with_ledger(seen, plant.money)


def _with_ledger(seen: WalletView, money: "Money") -> WalletView:
    """Return a view with what the ledger's rooms know."""
    from gateway.ledger.epochs import DOUBTED, UNADOPTED  # noqa: PLC0415 - the engine takes 12 MiB; it is here by now

    keeper, settler = money.keeper, money.rooms.settler
    return replace(
        seen,
        pool_share=keeper.free / keeper.size if keeper.is_adopted else None,
        broadcasts_unknown=settler.unknown,
        held_for=settler.oldest,
        ledger_error=money.book.ledger.last_error,
        is_unadopted=keeper.state == UNADOPTED,
        why_no_address=keeper.trouble,
        is_doubted=keeper.state == DOUBTED,
    )


def _backend(plant: Plant, backend: Backend, now: float) -> BackendView:
    phase, found, care = backend.phase, backend.diagnosis, plant.supervisor
    seen, chart = care.watching.of(backend.name), care.charts.get(backend.name)
    # a restart lends it the same excuse, and one that had to be restarted is not starting by itself
    is_restarted = phase.is_in_care or (chart is not None and bool(chart.record.begun))
    is_excused = found.kind is health.Kind.STARTING and not backend.was_ready and not is_restarted
    return BackendView(
        backend.name,
        is_serving=phase.is_serving and not backend.is_drained,
        is_excused=backend.is_drained or is_excused,
        is_drained=backend.is_drained,
        is_held=chart is not None and chart.is_held,
        is_in_care=phase.is_in_care,
        kind=found.kind,
        reason=found.reason,
        failures=backend.breaker.failures,
        silent_for=0.0 if found.kind in (health.Kind.BUSY, health.Kind.STARTING) else _silence(backend, now),
        is_stranger=backend.is_stranger,
        memory_share=None if seen.memory is None else seen.memory.share,
        launcher_error=seen.error or _absence(seen.status),
    )


def _absence(status: Status | None) -> str:
    """Return what is said of a process that nobody could start, because there is nothing of its name."""
    if status is None or status.state is not State.ABSENT:
        return ""
    return status.detail or "its launcher knows nothing of that name"


def _silence(backend: Backend, now: float) -> float:
    """Return for how long a backend has accepted no connection or answered nothing."""
    since = [at for at in (backend.refused_since, backend.unanswered_since) if at is not None]
    return now - min(since) if since else 0.0
