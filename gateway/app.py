"""The composition root: builds every room, starts, reloads, drains and stops them.

Rule: rooms get what they need handed in, and this is the only place that knows them all.  A reload is all or
nothing: settings that cannot be used change nothing, and calls under way are not touched.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.base import jsonrpc
from gateway.base.care import Launcher
from gateway.base.config import Admin, Listen, Settings, Tls, Wallet
from gateway.base.diff import difference, needs_restart
from gateway.base.errors import ConfigError, LedgerError, OrderError, Problem
from gateway.base.events import Event
from gateway.base.loader import load, secret_files, warnings
from gateway.edge.admin import AdminDoor
from gateway.edge.admin_access import Access
from gateway.edge.admin_api import AdminApi
from gateway.edge.admin_history import AdminHistory
from gateway.edge.admin_orders import OrderDesk
from gateway.edge.admin_outcomes import OutcomeDesk
from gateway.edge.auth import Authenticator
from gateway.edge.certificate import server_context
from gateway.edge.descriptors import Descriptors, raise_limit
from gateway.edge.passwords import Passwords
from gateway.edge.rpc import DoorCounters, RpcDoor
from gateway.edge.sign_in import SignIn
from gateway.flow.dispatch import Dispatcher
from gateway.flow.sent import Sent
from gateway.loop import new_loop, spare_the_collector
from gateway.observe import logs
from gateway.observe.attempts import attempt_line, call_line
from gateway.observe.metrics import Metrics
from gateway.observe.rates import Rates
from gateway.plant import Plant, build_wallet, fenced
from gateway.profiles import Profile, path_of
from gateway.profiles import load as load_profile
from gateway.rules.conditions import WalletView
from gateway.snapshot import Snapshots
from gateway.supervision.reload import watch
from gateway.supervision.schedule import mistakes
from gateway.upstream.target import Target
from gateway.upstream.wire import Wire
from gateway.watch import alerts_of, check_sinks, history_of

if TYPE_CHECKING:
    from gateway.closed import Opener
    from gateway.cluster import Cluster
    from gateway.ledger.store import Transacting
    from gateway.money import Book
    from gateway.supervision.clerk import Verb
    from gateway.supervision.durability import Durability

SETTINGS = "(settings)"
"""Stands for the file where a mistake is found only after all files were merged."""

READING = "this gateway has just taken the wallet over, and reads its ledger"
"""Why rooms that were just built give nothing out."""

QUIET_POLL = 0.02
"""Seconds between two looks at whether the last call has ended, while the gateway or a wallet goes out."""

LAST_WORDS = 0.5
"""Seconds in which the last answers may be written once nothing more is waited for."""

COPIED = (
    "this ledger knows nothing of what was done since: compare the payouts since then with the chain, and ask for none "
    "again before; then `ec-gateway ledger adopt -c FILE --wallet NAME` for each wallet"
)
"""What follows on a backup that was put back."""

READY_FIRST = 1.0
"""Seconds between failing readiness and closing the door, so that whoever balances hears of it first."""


class App:
    """One gateway.

    Args:
        settings: already checked.
        paths: the files they came from; empty where they were built in memory.
        descriptors: how many connections fit into this process.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Sequence[Path] = (),
        descriptors: Descriptors = Descriptors(),  # noqa: B008 - frozen
    ) -> None:
        """Build the rooms; must run on the loop that will serve."""
        self.settings = settings
        self.paths = list(paths)
        self.loop = asyncio.get_running_loop()
        self.log = logs.get_logger()
        self.history = history_of(settings, lambda: self.plants, logs.event_sink, self.loop)
        self.history.past.has_ledger = settings.ledger is not None
        self.durability: Durability | None = None
        """Where the ledger is a database: whether that keeps what it commits."""
        self.alerts = alerts_of(
            settings, lambda: self.plants, self._tell, self.loop, self._elsewhere,
            lambda: "" if self.durability is None else self.durability.alarm,
        )  # fmt: skip
        self.emit = self._emit
        self.stir: Callable[[], None] = lambda: None
        """Tells the page that something may have changed."""
        self.is_draining = False
        self.counters = DoorCounters()
        self.metrics = Metrics(version=__version__, door=self.counters, dropped_lines=logs.dropped_lines)
        self.metrics.set_source(self._gauges)
        self.metrics.timing = lambda: None if self.book is None else self.book.ledger.timing
        self._count_for(settings)
        self.rates = self.metrics.rates = Rates(time.time())
        self.wire = self._wire()
        self._sent: dict[str, Sent] = {}
        self._opener: Opener[Plant] | None = None
        self.book, self._why_closed = (None, "") if settings.ledger is None else _open_book(settings)
        # where gateways share wallets, rooms are built as soon as a wallet is held
        held = {} if settings.cluster is not None else settings.wallets
        self.plants = {name: self._build(name, settings, _targets(name, wallet)) for name, wallet in held.items()}
        self.runners = {name: plant.runner for name, plant in self.plants.items()}
        self.desks = {name: plant.desk for name, plant in self.plants.items() if plant.desk is not None}
        self.dispatcher = Dispatcher(self.runners, self.metrics, self.emit, self.status, self.loop, self.desks)
        self.cluster = None if settings.cluster is None else self._cluster()
        self.rpc = RpcDoor(
            settings.listen,
            _authenticator(settings),
            self.dispatcher,
            self._names,
            sandbox=settings.sandbox,
            counters=self.counters,
            descriptors=descriptors,
            peers=None if self.cluster is None else self.cluster.peers,
            begin=self.dispatcher.begin,
        )
        self.snapshots = Snapshots(
            lambda: self.settings, lambda: self.plants, self._names, lambda: self.cluster, self.alerts, self.rates,
            lambda: self.is_draining, self.loop.time, book=self._ledger_now,
        )  # fmt: skip
        access = Access(settings.admin, emit=self.emit, now=self.loop.time)
        self.admin = AdminDoor(
            settings.admin,
            ready=self.why_not_ready,
            ailing=self.what_ails,
            draining=lambda: self.is_draining,
            metrics=self.metrics.text,
            api=AdminApi(
                access,
                status=self.snapshots.whole,
                backends=lambda: {name: plant.pool.by_name for name, plant in self.plants.items()},
                orders=lambda: self.plants,
                draining=lambda: self.is_draining,
                emit=self.emit,
                elsewhere=dict if self.cluster is None else self.cluster.elsewhere,
                hand_over=None if self.cluster is None else self.cluster.hand_over,
                outcomes=self._outcome_desk,
                rates=self.rates,
                samples=self.snapshots.samples,
                turn=self.snapshots.turn,
                listeners=descriptors.listeners,
            ),
            sign_in=SignIn(access, Passwords(access.brakes, now=self.loop.time), emit=self.emit),
            descriptors=descriptors,
        )
        if self.admin.api is not None:
            self.stir = self.admin.api.stream.stir
            self.admin.api.history = AdminHistory(self.history.past, time.time)
            self.history.listeners.append(self.admin.api.stream.incident)
            self.admin.api.desk.recorded = self.history.recorded
        self._stopping: asyncio.Event = asyncio.Event()
        self._hurry: asyncio.Event = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._retiring: list[Plant] = []
        """Wallets that a reload took away and that have calls under way."""

    def _outcome_desk(self, desk: OrderDesk) -> OutcomeDesk:
        """Build who tells operators of outcomes that nobody knows, and hears what they say of them."""

        def writing(wallet: str) -> "Transacting":
            plant = self.plants.get(wallet)
            if plant is None or plant.money is None:
                raise OrderError(f"the ledger of {wallet} is not open here; see how things stand")
            return plant.money.book.ledger

        def resolved(wallet: str) -> None:
            plant = self.plants.get(wallet)
            if plant is not None and plant.money is not None:
                plant.money.rooms.settler.look_again()

        return OutcomeDesk(
            desk, reading=lambda: None if self.book is None else self.book.ledger, writing=writing, resolved=resolved,
            emit=self.emit, clock=time.time, is_kept=lambda: self.settings.ledger is not None, mark=self._unresolved,
        )  # fmt: skip

    def _unresolved(self) -> object:
        """Return how many outcomes nobody knows, as the rooms of the wallets have counted."""
        settlers = {name: plant.money.rooms.settler for name, plant in self.plants.items() if plant.money is not None}
        return [(name, one.unknown, one.open_calls) for name, one in settlers.items()]

    def _cluster(self) -> "Cluster":
        """Build what a gateway among others needs."""
        from gateway.cluster import Cluster  # noqa: PLC0415 - one that is alone needs none of it

        cluster = Cluster(
            lambda: self.settings, self.dispatcher, self._build_held, self._wire, self._admit, self._dismiss,
            self.emit, self.loop, self._why_no_book,
        )  # fmt: skip
        self.dispatcher.forwarders = cluster.forwarders
        self.dispatcher.is_held = cluster.is_held
        return cluster

    def _names(self) -> Collection[str]:
        """Return the wallets that calls may be for."""
        return self.runners.keys() if self.cluster is None else self.cluster.forwarders.keys()

    def _elsewhere(self) -> Iterator[WalletView]:
        """Yield what is seen of the wallets that have no rooms here."""
        cluster = self.cluster
        if cluster is not None:
            for name in self._names():
                if name not in self.plants:
                    why = cluster.why_no_seat(name)
                    yield WalletView(name, has_no_holder=not cluster.has_holder(name), why_not_held=why)

    def _why_no_book(self) -> str:
        """Return why the ledger could not be opened so far, with the way out; "" once it is open."""
        return self._why_closed if self._opener is None else self._opener.why

    def _wire(self, may_send: Callable[[], bool] | None = None) -> Wire:
        """Build a wire; each holding of a shared wallet has its own."""
        limits, timeouts = self.settings.upstream, self.settings.timeouts
        return Wire(
            connect=timeouts.connect, write=timeouts.write, max_head=limits.max_head, max_body=limits.max_body,
            resolve_ttl=limits.resolve_ttl, may_send=may_send,
        )  # fmt: skip

    def _build_held(self, name: str, wire: Wire, book: "Book", may: Callable[[], bool]) -> Plant:
        """Build the rooms of one holding of a wallet; its ledger is opened later."""
        plant = build_wallet(
            name,
            self.settings,
            wire=wire,
            targets=_targets(name, self.settings.wallets[name]),
            watcher=self.metrics,
            emit=self.emit,
            chance=random.random,
            loop=self.loop,
            why_closed=READING,
            make_launcher=lambda launcher, of, loop: fenced(launcher, of, loop, may),
            sent=self._sent_of(name),
        )
        plant.own_book = book
        return plant

    def _admit(self, plant: Plant) -> None:
        """Let calls come to the rooms of a wallet that was gained."""
        self.plants[plant.name] = plant
        self.runners[plant.name] = plant.runner
        if plant.desk is not None:
            self.desks[plant.name] = plant.desk

    def _dismiss(self, plant: Plant) -> None:
        """Let no call come to rooms any more; the wallet may have others by now."""
        if self.plants.get(plant.name) is plant:
            for rooms in (self.plants, self.runners, self.desks):
                rooms.pop(plant.name, None)

    # -- life -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the admin door, begin to probe, then open the door for clients.

        Raises:
            StartError: a door cannot be opened.
        """
        with _opening("admin", self.settings.admin):
            await self.admin.start()
        for plant in self.plants.values():
            plant.start()
        if self.cluster is not None:
            self.cluster.open(self.book)
        self.alerts.start()
        self.history.start()
        with _opening("listen", self.settings.listen):
            await self.rpc.start()
        self.emit(
            Event(
                "gateway.started",
                fields={
                    "version": __version__,
                    "compiled": not jsonrpc.__file__.endswith(".py"),
                    "rpc": f"{self.settings.listen.host}:{self.rpc.port}",
                    "admin": f"{self.settings.admin.host}:{self.admin.port}",
                    "wallets": sorted(self._names()),
                },
            )
        )
        if self.paths:
            self._spawn(watch(self._watched, self.reload))
        if self.book is not None:
            self._keep_book(self.book)
        if self.settings.ledger is not None:
            from gateway.closed import Opener  # noqa: PLC0415 - the engine of the ledger takes 12 MiB

            self._opener = Opener(
                self.settings.ledger, time.time, lambda: self.plants, self._keep_book, self._ledger_opened,
                self.emit, self.loop, self.book, self._why_closed, is_shared=self.cluster is not None,
            )  # fmt: skip
            self._spawn(self._opener.run())

    def _keep_book(self, book: "Book") -> None:
        """Begin what a ledger needs in the background, now that it is open."""
        from gateway.ledger import retention  # noqa: PLC0415 - as above
        from gateway.supervision.clerk import Clerk  # noqa: PLC0415 - as above

        self.book, self._why_closed = book, ""
        self.history.open(book.ledger, is_copy=bool(book.copied))
        if self.cluster is not None:
            self.cluster.open(book)
        for warning in book.warnings:
            self.emit(Event("ledger.unsafe", fields={"warning": warning}, level="error"))
        if book.judged is not None and self.settings.ledger is not None:
            from gateway.supervision.durability import Durability  # noqa: PLC0415 - a file loses nothing

            self.durability = Durability(
                book.judged, book.warnings, self.emit, self.loop.time,
                is_borne=self.settings.ledger.may_be_asynchronous,
            )  # fmt: skip
            self._spawn(self.durability.run())
        if book.copied:
            fields: dict[str, object] = {"moment": book.copied, "remedy": COPIED}
            self.emit(Event("ledger.put_back", fields=fields, level="error"))
        of = None if self.cluster is None else (lambda: list(self.plants))
        self._spawn(Clerk(book.ledger, self._verbs, book.clock, self.emit, of, self.history.recorded).run())
        self._spawn(retention.keep_small(book.ledger, book.clock, self.emit))
        self._spawn(self._tell_strays(book))

    async def _tell_strays(self, book: "Book") -> None:
        """Warn of keys whose client or wallet is no longer configured: under another name each would pay again."""
        from gateway.ledger import names  # noqa: PLC0415 - as above

        settings = self.settings
        clients = list(names.configured_clients([one.name for one in settings.clients], anonymous=settings.anonymous))
        with suppress(LedgerError):
            for stray in await book.ledger.run(lambda c: names.strays(c, clients, settings.wallets, book.clock())):
                self.emit(Event("config.risky", fields={"warning": str(stray)}, level="warning"))

    def _ledger_opened(self, plant: Plant) -> None:
        """Let a wallet's calls go to the rooms that it has just got."""
        if plant.desk is not None and self.plants.get(plant.name) is plant:
            self.desks[plant.name] = plant.desk

    async def serve(self, started: Callable[["App"], None] = lambda _app: None) -> None:
        """Serve until a signal says otherwise, then end cleanly; `started` is called once the doors are open.

        Raises StartError.
        """
        for number, what in (
            (signal.SIGTERM, self.stop_soon),
            (signal.SIGINT, self.stop_soon),
            (signal.SIGHUP, self.reload),
        ):
            self.loop.add_signal_handler(number, what)
        try:
            await self.start()
            started(self)
            await self._stopping.wait()
            await self.drain()
        finally:
            await self.stop()

    def stop_soon(self) -> None:
        """Drain on the first signal, hurry on the second."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def drain(self) -> None:
        """Fail readiness, close the door to new calls, and let those under way finish."""
        self.is_draining = True
        self.emit(
            Event("gateway.draining", fields={"in_flight": self._in_flight(), "at_most": self.settings.drain_timeout})
        )
        if self.cluster is not None:
            # from here on its calls are another gateway's, and those that still come here are sent there
            await self._or_hurry(self.cluster.leave())
        self.rpc.drain()
        await self._or_hurry(asyncio.sleep(READY_FIRST))
        deadline = self.loop.time() + self.settings.drain_timeout
        await self._or_hurry(self.rpc.finish(self.settings.drain_timeout))
        await self._or_hurry(self._until_quiet(deadline))
        await self._or_hurry(self._save())

    async def _save(self) -> None:
        """Let the daemons that end with this process save their wallets."""
        await asyncio.gather(*(plant.save() for plant in self.plants.values()))

    async def stop(self) -> None:
        """Close everything; calls still under way are given up, and who waits for one is told what is known of it."""
        left = self._in_flight()
        for plant in [*self.plants.values(), *self._retiring]:
            plant.give_up()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.rpc.stop(LAST_WORDS)
        if self.cluster is not None:
            await self.cluster.stop()
        await self.alerts.stop()
        for plant in self.plants.values():
            await plant.stop()
        await self.history.stop()
        self.history.past.close()
        await self.wire.close()
        await self.admin.stop()
        if self.book is not None:
            self.book.ledger.close()
        self.emit(Event("gateway.stopped", fields={"given_up": left}))

    async def _or_hurry(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something unless a second signal comes first."""
        task = self.loop.create_task(work)
        hurry = self.loop.create_task(self._hurry.wait())
        await asyncio.wait({task, hurry}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        hurry.cancel()
        await asyncio.gather(task, hurry, return_exceptions=True)

    async def _until_quiet(self, deadline: float) -> None:
        """Wait for calls whose client has gone, money calls above all, for what is left of the time to drain."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._in_flight():  # noqa: ASYNC110 - asked only on the way out; no call pays for an event
                    await asyncio.sleep(QUIET_POLL)

    def _in_flight(self) -> int:
        sent_on = 0 if self.cluster is None else sum(len(one.under_way) for one in self.cluster.forwarders.values())
        return sent_on + sum(plant.calls for plant in [*self.plants.values(), *self._retiring])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- settings -------------------------------------------------------------------------------------------

    def _watched(self) -> list[Path]:
        profiles = {wallet.profile for wallet in self.settings.wallets.values()}
        doors = (self.settings.listen.tls, self.settings.admin.tls)
        certificate = [Path(path) for tls in doors if tls is not None for path in (tls.certificate, tls.key)]
        return [*self.paths, *secret_files(self.paths), *map(path_of, profiles), *certificate]

    def reload(self) -> None:
        """Read the files again and take them over, all or nothing."""
        if not self.paths:
            return
        try:
            settings, bearable = self._read_again()
            check_profiles(settings)
            check_certificates(settings)
            check_launchers(settings)
            check_sinks(settings)
            targets = {name: _targets(name, settings.wallets[name]) for name in settings.wallets}
        except ConfigError as error:
            for problem in error.problems:
                self.emit(Event("config.refused", fields={"problem": str(problem)}, level="error"))
            return
        for problem in bearable:
            # the log goes where it went before, well or not; that is no reason to refuse the rest
            self.emit(Event("config.risky", fields={"warning": str(problem)}, level="warning"))
        self._renew("listen", self.rpc, settings.listen.tls)
        self._renew("admin", self.admin, settings.admin.tls)
        changes = difference(self.settings, settings)
        edited = self._edited({name: load_profile(one.profile) for name, one in settings.wallets.items()})
        if not changes and not edited:
            return
        self._take_over_wallets(settings, targets)
        for wire in [self.wire] if self.cluster is None else [self.wire, *self.cluster.wires()]:
            wire.connect, wire.write = settings.timeouts.connect, settings.timeouts.write
            wire.max_head, wire.max_body = settings.upstream.max_head, settings.upstream.max_body
            wire.resolver.ttl = settings.upstream.resolve_ttl
        self.rpc.update(settings.listen, _authenticator(settings))
        self.admin.update(settings.admin)
        self.alerts.update(settings.alerts)
        logs.configure(settings.log, sandbox=settings.sandbox)
        self._count_for(settings)
        later = needs_restart(changes)
        self.settings = settings
        if self.cluster is not None:
            self.cluster.update(self.book)
        shown = {change.key: f"{change.old} -> {change.new}" for change in changes}
        fields: dict[str, object] = {"changes": shown, "need_a_restart": later}
        if edited:
            fields["new_profile_of"] = edited
        self.emit(Event("config.reloaded", fields=fields))
        if self.book is not None:
            self._spawn(self._tell_strays(self.book))

    def _renew(self, name: str, door: RpcDoor | AdminDoor, tls: Tls | None) -> None:
        """Let a door show the certificate that its files hold now."""
        try:
            if door.renew(tls):
                self.emit(Event("certificate.renewed", fields={"door": name}))
        except OSError as error:
            # read well a moment ago: they are being replaced, and the door shows the old one until they are whole
            self.emit(
                Event("config.risky", fields={"warning": f"{name}.tls cannot be used ({error})"}, level="warning")
            )

    def _edited(self, profiles: Mapping[str, Profile]) -> list[str]:
        """Return the wallets whose profile says something else now, though no setting of them may have changed."""
        if self.cluster is not None:
            return self.cluster.edited(profiles)
        known = {name: plant.profile for name, plant in self.plants.items()}
        return [name for name, one in profiles.items() if known.get(name, one) != one]

    def _take_over_wallets(self, settings: Settings, targets: dict[str, dict[str, Target]]) -> None:
        """Give the wallets that stay their new settings; where none is shared, build and end those that come and go."""
        is_alone = self.cluster is None
        new = [name for name in targets if is_alone and name not in self.plants]
        fresh = {name: self._build(name, settings, targets[name]) for name in new}
        for name in [name for name in self.plants if is_alone and name not in settings.wallets]:
            self.runners.pop(name)
            self.desks.pop(name, None)
            self._spawn(self._retire(self.plants.pop(name)))
        # where gateways share wallets, also those whose ledger is still being read
        for name, plant in (self.plants if self.cluster is None else self.cluster.plants()).items():
            if name in targets:
                plant.update(settings, targets[name])
        for plant in fresh.values():
            self._admit(plant)
            plant.start()

    def _read_again(self) -> tuple[Settings, list[Problem]]:
        """Return what the files say now, and which mistakes in it stood there before.  Raises ConfigError."""
        bearable: list[Problem] = []
        settings = load(self.paths, os.environ, bearable)
        if bearable and settings.log.file != self.settings.log.file:
            raise ConfigError(bearable)
        return settings, bearable

    async def _retire(self, plant: Plant) -> None:
        """Let a removed wallet finish what it has."""
        self._retiring.append(plant)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_timeout):
                    while plant.calls:  # noqa: ASYNC110 - the same
                        await asyncio.sleep(QUIET_POLL)
        finally:
            self._retiring.remove(plant)
            await plant.stop()

    def _build(self, name: str, settings: Settings, targets: dict[str, Target]) -> Plant:
        return build_wallet(
            name,
            settings,
            wire=self.wire,
            targets=targets,
            watcher=self.metrics,
            emit=self.emit,
            chance=random.random,
            loop=self.loop,
            book=self.book,
            why_closed=self._why_closed,
            sent=self._sent_of(name),
        )

    def _sent_of(self, wallet: str) -> Sent:
        """Return what this process has sent for a wallet; it outlives the rooms, for others come in their place."""
        return self._sent.setdefault(wallet, Sent())

    def _verbs(self) -> dict[str, "Mapping[str, Verb]"]:
        """Return what operators may order, by wallet."""
        return {name: plant.money.verbs() for name, plant in self.plants.items() if plant.money is not None}

    # -- what it tells --------------------------------------------------------------------------------------

    def status(self, wallet: str) -> dict[str, object]:
        """Return what `gateway.status` answers for a wallet."""
        plant = self.plants[wallet]
        return {"version": __version__, "draining": self.is_draining, **plant.status(self.loop.time())}

    def why_not_ready(self) -> dict[str, list[str]]:
        """Return for each wallet why it is not ready; empty lists when it is."""
        if self.cluster is not None:
            return {name: self.cluster.why_not_ready(name) for name in self._names()}
        return {name: plant.why_not_ready() for name, plant in self.plants.items()}

    def what_ails(self) -> dict[str, list[str]]:
        """Return for each wallet what is the matter with its backends, one sentence each; empty lists when well."""
        return {name: plant.what_ails() for name, plant in self.plants.items()}

    def _gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        now = self.loop.time()
        for plant in self.plants.values():
            yield from plant.gauges(now)
        yield from self._ledger_gauges()
        yield "wire_connections_opened_total", {}, float(self.wire.opened)
        yield "wire_connections_reused_total", {}, float(self.wire.reused)
        yield "ready", {}, float(not self.is_draining and not any(self.why_not_ready().values()))
        yield "draining", {}, float(self.is_draining)
        if self.cluster is not None:
            yield from self.cluster.gauges()
        yield from self.alerts.gauges()
        yield from self.history.past.gauges()
        if self.admin.api is not None:
            yield "admin_stream_listeners", {}, float(len(self.admin.api.stream.listeners))

    def _ledger_gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what every gateway knows of the ledger, also one that holds no wallet and only looks at leases."""
        if self.settings.ledger is None:
            return
        timing = None if self.book is None else self.book.ledger.timing
        failing = self.book is None or bool(self.book.ledger.last_error) or self.book.ledger.timing.is_stuck
        for wallet in self._names():
            if wallet not in self.plants:
                yield "ledger_failing", {"wallet": wallet}, float(failing)
            if timing is not None:
                yield "ledger_last_transaction_seconds", {"wallet": wallet}, timing.last
        if timing is not None:
            yield "ledger_waiting_transactions", {}, float(timing.waiting)
            yield "ledger_waiting_seconds", {}, timing.waits

    def _ledger_now(self) -> "Transacting | str | None":
        """Return the ledger, why it is not open, or None where none is kept."""
        if self.settings.ledger is None:
            return None
        return (self._why_closed or "it was not opened yet") if self.book is None else self.book.ledger

    def _count_for(self, settings: Settings) -> None:
        """Count for what is configured now, and write a line for each call and try where the log wants that."""
        self.metrics.keep({name: [one.name for one in wallet.backends] for name, wallet in settings.wallets.items()})
        is_wanted = logs.is_debug()
        self.metrics.on_attempt, self.metrics.on_call = (attempt_line, call_line) if is_wanted else (None, None)

    def _emit(self, event: Event) -> None:
        """Write an event down and let the alerts and the history hear of it."""
        self._tell(event)
        self.alerts.hear(event)
        self.stir()

    def _tell(self, event: Event) -> None:
        """Write an event down and let the history hear of it; what the alerts say they do not hear themselves."""
        logs.event_sink(event)
        self.history.hear(event)


class StartError(Exception):
    """The gateway cannot start; the text says why and what would help."""


@contextmanager
def _opening(key: str, door: Listen | Admin) -> Iterator[None]:
    """Say which door it was that could not be opened."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        remedy = f"stop whoever listens there, or set {key}.host and {key}.port to others"
        raise StartError(f"{key}: {door.host}:{door.port} cannot be listened on ({why}); {remedy}") from error


def _open_book(settings: Settings) -> tuple["Book | None", str]:
    """Open the ledger; where it cannot be relied on now, return why.

    Raises StartError for a mistake of the configuration.
    """
    from gateway.ledger.store import MisplacedError  # noqa: PLC0415 - as above
    from gateway.money import open_book  # noqa: PLC0415 - as above

    assert settings.ledger is not None  # noqa: S101 - or there is nothing to open
    try:
        return open_book(settings.ledger, time.time, is_shared=settings.cluster is not None), ""
    except MisplacedError as error:
        raise StartError(f"ledger: {error}") from error
    except LedgerError as error:
        # to be down would help nobody: balances are still asked for, and signed payments still go out
        return None, str(error)


def _authenticator(settings: Settings) -> Authenticator:
    return Authenticator(settings.clients, anonymous=settings.anonymous, wallets=tuple(settings.wallets))


def check_profiles(settings: Settings) -> None:
    """Load the profile of every wallet.  Raises ConfigError with the mistakes of all of them."""
    problems: list[Problem] = []
    for wallet in settings.wallets.values():
        try:
            load_profile(wallet.profile)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def check_certificates(settings: Settings) -> None:
    """Read every certificate that the settings name.  Raises ConfigError with the mistakes of all of them."""
    problems: list[Problem] = []
    for name, wallet in settings.wallets.items():
        try:
            _targets(name, wallet)
        except ConfigError as error:
            problems += error.problems
    for door, tls in (("listen", settings.listen.tls), ("admin", settings.admin.tls)):
        if tls is None:
            continue
        try:
            server_context(tls)
        except OSError as error:
            remedy = "name PEM files of a certificate and of its own key"
            problems.append(Problem(SETTINGS, 0, f"{door}.tls", f"cannot be used ({error})", remedy))
    if problems:
        raise ConfigError(problems)


def check_launchers(settings: Settings) -> None:
    """See that every launcher can be made and every time of cron is one.  Raises ConfigError with all mistakes."""
    problems = [
        Problem(SETTINGS, 0, f"wallets.{name}.preventive.{key}", message, remedy)
        for name, wallet in settings.wallets.items()
        for key, message, remedy in mistakes(wallet.preventive)
    ]
    if named := _named_launchers(settings):
        from gateway.upstream.launchers import registry  # noqa: PLC0415 - many have no launcher

        problems += [
            Problem(SETTINGS, 0, f"{place}.{key}", message, remedy)
            for place, launcher in named
            for key, message, remedy in registry.check(launcher)
        ]
        problems += [Problem(SETTINGS, 0, *clash) for clash in registry.clashes(named)]
    if problems:
        raise ConfigError(problems)


def look_at_launchers(settings: Settings) -> list[Problem]:
    """Return what this machine lacks of what the launchers need; it may come, and the other daemons go on."""
    named = _named_launchers(settings)
    if not named:
        return []
    from gateway.upstream.launchers import registry  # noqa: PLC0415 - as above

    return [
        Problem(SETTINGS, 0, f"{place}.{key}", message, remedy)
        for place, launcher in named
        for key, message, remedy in registry.look(launcher)
    ]


def _named_launchers(settings: Settings) -> list[tuple[str, Launcher]]:
    return [
        (f"wallets.{name}.backends.{one.name}.launcher", one.launcher)
        for name, wallet in settings.wallets.items()
        for one in wallet.backends
        if one.launcher is not None
    ]


def check_ledger(settings: Settings) -> None:
    """See whether the ledger that is there could be relied on; nothing is changed.  Raises ConfigError."""
    if settings.ledger is None or (settings.ledger.path and not Path(settings.ledger.path).exists()):
        return
    try:
        if settings.ledger.url:
            from gateway.ledger.opening_postgres import look as look_at_database  # noqa: PLC0415 - as above

            look_at_database(settings.ledger)
        else:
            from gateway.ledger.opening import look  # noqa: PLC0415 - as above

            look(settings.ledger)
    except LedgerError as error:
        raise ConfigError(
            [Problem(SETTINGS, 0, "ledger", str(error), "the gateway serves reads alone as it is")]
        ) from None


def _targets(name: str, wallet: Wallet) -> dict[str, Target]:
    """Return where the backends of a wallet listen.  Raises ConfigError for certificates that cannot be read."""
    profile = load_profile(wallet.profile)
    targets = {}
    for one in wallet.backends:
        try:
            targets[one.name] = Target.make(
                one.url,
                one.username,
                one.password.get_secret_value(),
                keep_alive=profile.keep_alive,
                verify=one.tls.verify,
                ca_file=one.tls.ca_file,
            )
        except OSError as error:
            key = f"wallets.{name}.backends.{one.name}.tls.ca_file"
            problem = Problem(SETTINGS, 0, key, f"cannot be read ({error})", "name a file of PEM certificates")
            raise ConfigError([problem]) from None
    return targets


def run(paths: Sequence[Path]) -> int:
    """Run a gateway from its files until it is told to stop; return the exit code.

    A log that cannot be written keeps nobody from paying: it is told on standard error, and the gateway runs.

    Raises:
        ConfigError: the files cannot be used.
        StartError: a door cannot be opened.
    """
    bearable: list[Problem] = []
    settings = load(paths, os.environ, bearable)
    check_profiles(settings)
    check_certificates(settings)
    check_launchers(settings)
    check_sinks(settings)
    for problem in bearable + look_at_launchers(settings):
        with suppress(OSError, AttributeError):  # there may be no standard error, or nobody who reads it
            sys.stderr.write(f"{problem}\n")
    return run_settings(settings, paths)


def run_settings(
    settings: Settings, paths: Sequence[Path] = (), started: Callable[[App], None] = lambda _app: None
) -> int:
    """Run a gateway from settings in hand; `started` is called once its doors are open.  Raises StartError."""
    logs.configure(settings.log, sandbox=settings.sandbox)
    descriptors = raise_limit()
    for warning in warnings(settings) + descriptors.warnings(settings.listen.max_connections):
        logs.event_sink(Event("config.risky", fields={"warning": warning}, level="warning"))

    async def main() -> None:
        await App(settings, paths, descriptors).serve(started)

    spare_the_collector()
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    except StartError as error:
        logs.event_sink(Event("gateway.failed", fields={"error": str(error)}, level="error"))
        raise
    return 0
