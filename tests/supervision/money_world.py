"""A wallet of fake daemons that have money, labels and change addresses, behind a real gateway core and a ledger.

Rule: these daemons do what real ones were measured to do: labels and freezes are lost by a kill, a closed wallet goes
on answering from what it was, a reload makes it see what it had missed.
"""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.ledger import epochs, marks
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger
from gateway.plant import Plant, build_wallet
from gateway.supervision.reconcile import Reconciler
from tests.fakes import FakeDaemon, FakeWallet, FakeWire, Recorder
from tests.simulation.world import settings
from tests.virtual_time import run_virtual

PATH = "default_wallet"


@dataclass
class Notes:
    """What a daemon saves, and loses when it is killed before."""

    labels: dict[str, str] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    change: int = 20


@dataclass
class MoneyWallet(FakeWallet):
    """A wallet with money."""

    notes: Notes = field(default_factory=Notes)
    on_file: Notes = field(default_factory=Notes)
    used_change: int = 0
    """Change addresses in use on the chain."""
    satoshi: int = 1_000_000
    missed: int = 0
    """Satoshi that it does not see until its wallet is reloaded."""
    stays_wrong: int = 0
    """Reloads that do not help."""
    stays_closed: int = 0
    """Loads that fail."""
    other_path: str = ""
    """The wallet that it has loaded, where that is not its default one."""
    denies: frozenset[str] = frozenset()
    """Methods that it answers with an error."""
    is_synced: bool = True
    """Whether its wallet is in step with its server."""
    is_poor: bool = False
    """No payment can be put together."""
    password: str = ""
    """Of the wallet file; "" for none."""

    def answer(self, method: str, params: Any) -> object:
        """Run one method."""
        if method in self.denies:
            return {"error": "no"}
        found: Callable[[Any], object] | None = getattr(self, f"do_{method}", None)
        return found(params) if found is not None else super().answer(method, params)

    def save(self) -> None:
        """Write the wallet file."""
        self.on_file = copy.deepcopy(self.notes)

    def do_getinfo(self, params: Any) -> object:
        """The state, with the paths of real daemons."""
        found: Any = super().answer("getinfo", params)
        path = self.other_path or PATH
        return {**found, "default_wallet": PATH, "wallets": {path: self.is_synced} if self.is_loaded else {}}

    def do_close_wallet(self, _params: Any) -> object:
        """Save and close; questions go on being answered."""
        was, self.is_loaded = self.is_loaded, False
        if was:
            self.save()
        return was

    def do_signmessage(self, params: Any) -> object:
        """Sign: where there is a password nothing else is looked at before it."""
        if self.password:
            return {"error": "Password required"}
        assert params == ["", ""], "a message that nobody can sign"
        return {"error": "Invalid address"}

    def do_daemon(self, params: Any) -> object:
        """Load it with a password."""
        [asked] = params
        assert (asked["subcommand"], asked["wallet_path"]) == ("load_wallet", PATH)
        if asked["password"] != self.password:
            return {"error": "InvalidPassword: Incorrect password"}
        return self.loaded()

    def do_load_wallet(self, _params: Any) -> object:
        """Load it without one."""
        return {"error": "InvalidPassword: Incorrect password"} if self.password else self.loaded()

    def loaded(self) -> object:
        """Load it from its file, and hear of everything that was missed."""
        if self.stays_closed:
            self.stays_closed -= 1
            return False
        if not self.is_loaded:
            self.is_loaded = True
            self.notes = copy.deepcopy(self.on_file)
            if self.stays_wrong:
                self.stays_wrong -= 1
            else:
                self.missed = 0
        return True

    def do_getbalance(self, _params: Any) -> object:
        """What is there, less what is missed."""
        return {"confirmed": f"{(self.satoshi - self.missed) / 1e8:.8f}"}

    def do_listaddresses(self, params: Any) -> object:
        """Receiving ones, or change."""
        if params == [False, True, False, False, True, False, True]:
            funded = [["change-funded", "0.5"]] if self.used_change else []
            return funded + [[f"change-{n}", "0."] for n in range(self.used_change, self.notes.change)]
        if params == [False, True]:
            return [f"change-{n}" for n in range(self.notes.change)]
        return self.addresses

    def do_payto(self, params: Any) -> object:
        """Put an unsigned payment together, which derives a change address where none is unused."""
        assert params["unsigned"] is True
        if self.is_poor:
            return {"error": "NotEnoughFunds"}
        if self.used_change >= self.notes.change:
            self.notes.change += 1
        return {"hex": "00", "complete": False, "final": True}

    def do_setlabel(self, params: Any) -> object:
        """Set or take away."""
        key, label = params
        self.notes.labels[key] = label
        if not label:
            del self.notes.labels[key]
        return None

    def do_freeze(self, params: Any) -> object:
        """Freeze an address of the wallet."""
        if params[0] not in self.addresses:
            return False
        self.notes.frozen.add(params[0])
        return True

    def do_unfreeze(self, params: Any) -> object:
        """The other way."""
        self.notes.frozen.discard(params[0])
        return True

    def do_freeze_utxo(self, params: Any) -> object:
        """Freeze any coin."""
        self.notes.frozen.add(params[0])
        return True

    def do_unfreeze_utxo(self, params: Any) -> object:
        """The other way."""
        self.notes.frozen.discard(params[0])
        return True


class MoneyDaemon(FakeDaemon):
    """A daemon with such a wallet."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """Begin whole."""
        super().__init__(name, loop)
        self.money = MoneyWallet()
        self.wallet = self.money

    def kill(self) -> None:
        """Lose what was not saved."""
        super().kill()
        self.money.notes = copy.deepcopy(self.money.on_file)

    def ran(self, method: str) -> list[object]:
        """The parameters of each call of a method."""
        return [params for _, name, params in self.journal if name == method]


class MoneyWorld:
    """A wallet of such daemons; `play` runs a scenario in it."""

    def __init__(self, backends: int, **how: Any) -> None:
        """Build everything; must run inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        self.daemons = [MoneyDaemon(f"ec-{n}", self.loop) for n in range(1, backends + 1)]
        self.recorder = Recorder()
        self.plant: Plant = build_wallet(
            "main",
            settings(backends),
            wire=FakeWire(self.loop),  # type: ignore[arg-type]  # a fake with the same verbs
            targets={daemon.name: daemon.target for daemon in self.daemons},  # type: ignore[misc]  # the same
            watcher=self.recorder,
            emit=self.recorder.emit,
            chance=lambda: 0.5,
            loop=self.loop,
        )
        self.pool = self.plant.pool
        self.ledger = InlineLedger(None)
        metadata.create_all(self.ledger.engine)
        names = [daemon.name for daemon in self.daemons]
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", names, 1.0))
        self.reconciler = Reconciler(
            self.pool, self.plant.profile, self.ledger, self.plant.runner.call_on, self.loop, **how
        )  # fmt: skip
        self.pool.is_held, self.pool.times_held = self.reconciler.is_held, self.reconciler.times_held
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to probe, to mirror, to reconcile."""
        self.plant.start()
        self.task = self.loop.create_task(self.reconciler.run())

    async def stop(self) -> None:
        """End all of it."""
        assert self.task is not None
        assert not self.task.done(), self.task
        await self.reconciler.stop()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.plant.stop()
        self.ledger.close()

    def mark(self, kind: str, key: str, value: str, owner: str = marks.CLIENT, backend: str = "") -> None:
        """Write a mark down and tell of it."""
        change = self.ledger.transact(lambda c: marks.put(c, "main", kind, key, value, owner, 1.0))
        assert change is not None
        self.reconciler.marked(backend, change)

    def backend(self, number: int) -> Backend:
        """The backend of a daemon, counted from 0."""
        return self.pool.backends[number]

    def events(self, name: str) -> list[Event]:
        """The events of a name."""
        return [one for one in self.recorder.events if isinstance(one, Event) and one.name == name]


Play = Callable[[MoneyWorld], Coroutine[Any, Any, None]]


def play(
    scene: Play, backends: int = 3, before: Callable[[MoneyWorld], None] = lambda _world: None, **how: Any
) -> MoneyWorld:
    """Play a scene in a world that has run for two seconds; `before` prepares its daemons."""

    async def live() -> MoneyWorld:
        world = MoneyWorld(backends, **how)
        before(world)
        world.start()
        await asyncio.sleep(2.0)
        await scene(world)
        await world.stop()
        return world

    return run_virtual(live())
