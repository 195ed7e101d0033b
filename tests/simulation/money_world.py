"""A wallet with a ledger in virtual time: daemons on one seed and one chain, and a gateway that is killed.

Rule: everything random comes from one seed, and the judgement rests on what clients were told, on the journals of
the daemons and on the chain; the gateway's own word is asked only for who was primary when.
"""

import asyncio
import functools
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from gateway.base.config import Backend, Client, Settings, Timeouts, Wallet
from gateway.base.effects import GRANTABLE
from gateway.base.events import Event
from gateway.base.jsonrpc import Call
from gateway.flow.desk import Desk
from gateway.flow.dispatch import Dispatcher
from gateway.ledger.schema import addresses as address_rows
from gateway.ledger.store import LedgerError
from gateway.money import Book
from gateway.plant import Plant, build_wallet
from gateway.sandbox import addresses
from gateway.sandbox.chain import Chain
from gateway.sandbox.transactions import Transaction
from gateway.supervision.election import CannotPromoteError
from tests.fakes import Recorder
from tests.fakes_money import Dead, Life, MoneyDaemon, MortalLedger, MortalWire, Run, bare, derived, new_ledger

CLOCK = 1_800_000_000.0 - 1000.0
"""Seconds between the loop's time and the ledger's."""

USUAL = 0.0003
"""Seconds that a call takes."""

HANG = 12.0
"""Seconds that a call hangs which asks a silent server."""

ASKS_SERVER = frozenset({"broadcast", "getaddressbalance"})

UNSEEN = 1.2
"""Seconds for which a daemon can be away and no probe sees it."""

AFTERMATH = 6.0
"""Seconds after a fault for which its traces may show."""

BACK_WITHIN = 3.0
"""Seconds after the loss of a primary within which addresses must be given out again."""

PATIENCE = 9.0
"""Seconds of an allocation whose answer counts for the liveness of a history."""

AT_ONCE = 1e-9
"""Seconds that are no time."""

CUSTOMER = tuple(addresses.derive("customer", change=False, index=index).text for index in range(20))
"""Where payments go."""

COIN = 100_000
"""Satoshi of each coin that the wallet is given."""

ALLOCATES = ("createnewaddress", "createnewaddress", "getunusedaddress", "addrequest")
READS = ("ismine", "ismine", "listaddresses", "getbalance")
WRITES = ("setlabel",)
INVOICES = ("getrequest", "getrequest", "getrequest", "rmrequest")

SENT_ONCE = ("setlabel", "payto")
"""What is never sent again by itself."""

PLOTS = 0.35
"""The share of faults that are plots."""

STATUS = ("Pending", "Expired", "Unconfirmed", "Paid")
"""The states of an invoice; later ones are for ever."""

CLIENT = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)


@dataclass(eq=False)
class Told:
    """What one client was told."""

    method: str
    tag: str
    asked_at: float
    deadline: float
    gateway: int
    params: Any = None
    key: str | None = None
    answered_at: float = 0.0
    reply: dict[str, Any] = field(default_factory=dict)
    was_killed: bool = False
    """The gateway died before it answered."""

    @property
    def address(self) -> str | None:
        """The new address that it was told, bare."""
        result = self.reply.get("result")
        if self.method in ("createnewaddress", "getunusedaddress") and isinstance(result, str):
            return bare(result)
        if self.method == "addrequest" and isinstance(result, dict):
            return bare(str(result["address"]))
        return None

    @property
    def tx(self) -> Transaction | None:
        """The transaction that it was told."""
        result = self.reply.get("result")
        if self.method == "payto" and isinstance(result, dict) and "hex" in result:
            return Transaction.parse(result["hex"])
        return None

    @property
    def is_refused(self) -> bool:
        """Whether it was told that nobody may be asked for that here."""
        error = self.reply.get("error")
        return isinstance(error, dict) and error["code"] in (-32005, -32601, -32602)


@dataclass(frozen=True)
class Loss:
    """Addresses that a daemon forgot when it was killed and came back before a probe could see it.

    A hole that is known and excused for these addresses alone: it answers wallet reads without them until it is
    compared again.  Closing it takes a look at the process.
    """

    daemon: str
    at: float
    first: int
    end: int


@dataclass(frozen=True)
class Reign:
    """Who was primary from when on."""

    since: float
    epoch: int
    primary: str


class Gateway:
    """One incarnation of the gateway."""

    def __init__(self, world: "MoneyWorld", number: int) -> None:
        """Build all its rooms on the world's ledger.  Raises LedgerError or Dead."""
        self.life = Life(number, step=world.passed)
        self.life.ledger_fails = world.ledger_fails
        self.ledger = MortalLedger(world.store, self.life, world.ledger_takes, world.loop)
        self.wire = MortalWire(world.loop, self.life)
        world.life = self.life
        self.plant: Plant = build_wallet(
            "main",
            world.settings,
            wire=self.wire,  # type: ignore[arg-type]  # a fake with the same verbs
            targets={daemon.name: daemon.target for daemon in world.daemons},  # type: ignore[misc]  # the same
            watcher=world.recorder,
            emit=lambda event: world.heard(self.life, event),
            chance=world.random.random,
            loop=world.loop,
            book=Book(self.ledger, b"k" * 32, lambda: CLOCK + world.loop.time()),
        )
        if self.plant.closed is not None and not world.serves_closed:
            raise LedgerError(self.plant.closed.why)
        assert self.plant.desk is not None
        self.desks = {"main": self.plant.desk}
        self.dispatcher = Dispatcher(
            {"main": self.plant.runner}, world.recorder, world.recorder.emit, lambda _wallet: {}, world.loop,
            desks=self.desks,
        )  # fmt: skip

    @property
    def desk(self) -> Desk:
        """Who answers the calls of now."""
        return self.desks["main"]


class MoneyWorld:
    """A wallet with a ledger behind a gateway that may be killed at any step."""

    def __init__(self, backends: int, seed: int, **changes: Any) -> None:  # noqa: PLR0915 - one line a fact
        """Build everything; must run inside the virtual loop.

        Args:
            changes: of the wallet's settings.
        """
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        names = [f"ec-{i}" for i in range(1, backends + 1)]
        wallet = Wallet(
            backends=tuple(Backend(name=name, url=f"http://127.0.0.1:{20000 + i}") for i, name in enumerate(names)),
            start_grace=60,
            **changes,
        )
        self.settings = Settings(anonymous=True, wallets={"main": wallet}, timeouts=Timeouts(server=HANG + 1))
        self.chain = Chain()
        self.daemons = [MoneyDaemon(name, self.loop, self.chain) for name in names]
        self.by_name = {daemon.name: daemon for daemon in self.daemons}
        self.slow: dict[str, Callable[[], float]] = {}
        self.slow_methods: dict[str, dict[str, float]] = {}
        for daemon in self.daemons:
            daemon.service = self._service(daemon)
        self.recorder = Recorder()
        self.store = new_ledger()
        self.ledger_fails = ""
        self.serves_closed = False
        """Whether a gateway that cannot open the ledger goes on without; else it is started again a little later."""
        self.was_put_back = False
        """Whether a test has put an older ledger in the place of the one that was in use."""
        self.ledger_seconds: Callable[[], float] = lambda: self.random.choice((0.0003, 0.002))
        self.told: list[Told] = []
        self.open: dict[Told, asyncio.Task[None]] = {}
        self.crashes: list[str] = []
        """Exceptions that no callback or task of the gateway may let through."""
        self.reigns: list[Reign] = []
        self.losses: list[Loss] = []
        self.knows_faults = False
        """Whether all that goes wrong is in `windows`; a test may do more than that."""
        self.windows: list[tuple[float, float]] = []
        """From when to when anything was wrong: faults with their aftermath."""
        self.hurt_until = dict.fromkeys(names, 0.0)
        self.hurt_since = dict.fromkeys(names, 0.0)
        self.plot = ""
        """The one plot that is the only fault there is; "" for all."""
        self.is_funded = False
        self.has_writes = False
        """Whether the gateway writes down what clients write."""
        self.kills = 0
        self.steps = 0
        self.dies_at_step = 0
        """The gateway is killed at the step of this number; 0 is never."""
        self.died_at = ""
        self.scenario_steps = 0
        """Steps of a scenario that a test wants to interrupt."""
        self.lost_at = 0.0
        """When a test took the primary away."""
        self.restarts_after: Callable[[], float] = lambda: self.random.uniform(0.05, 3.0)
        self.has_ended = False
        self.calm_since = float("inf")
        self.life = Life(0)
        self.gateway: Gateway | None = None
        self._numbers = 0
        self._tags = 0
        self._kept = {asyncio.current_task()}
        self.loop.set_exception_handler(self._crashed)

    # -- the gateway lives and dies -------------------------------------------------------------------------

    def start(self) -> None:
        """Start a gateway on the ledger as it is; one that cannot open it is started again a little later."""
        if self.gateway is not None or self.has_ended:
            return
        self._numbers += 1
        try:
            gateway = Gateway(self, self._numbers)
        except LedgerError:
            self.loop.call_later(0.5, self.start)
            return
        except Dead:
            # `kill` has seen to its next start
            return
        self.gateway = gateway
        self.has_writes = self.has("label")
        pool = gateway.plant.pool
        if pool.epoch:
            self.reigns.append(Reign(self.loop.time(), pool.epoch, pool.primary.name))
        gateway.plant.start()

    def kill(self, *, after: float | None = None) -> None:
        """End the gateway as kill -9 does: nothing of it runs on, and another one starts later.

        Args:
            after: seconds until then.
        """
        if self.life.is_dead:
            return
        self.life.is_dead = True
        self.kills += 1
        gateway, self.gateway = self.gateway, None
        if gateway is not None:
            gateway.wire.sever()
            gateway.plant.prober.stop()
            gateway.plant.runner.errands.clear()
        for told in self.open:
            told.was_killed = True
        self.open.clear()
        for task in asyncio.all_tasks(self.loop):
            if task not in self._kept:
                task.cancel()
        after = self.restarts_after() if after is None else after
        self._wrong(after)
        self.loop.call_later(after, self.start)

    def passed(self, what: str) -> None:
        """Count a step of the gateway, and kill it if this is the one."""
        self.steps += 1
        if self.steps == self.dies_at_step:
            self.dies_at_step = 0
            self.died_at = what
            self.kill()

    def die_within(self, steps: int) -> None:
        """Kill the gateway at the step of this number from now on."""
        self.dies_at_step = self.steps + steps

    def ledger_takes(self) -> float:
        """Return the seconds that a transaction takes."""
        return self.ledger_seconds()

    async def end(self) -> None:
        """Stop everything."""
        self.has_ended = True
        if self.gateway is not None:
            await self.gateway.plant.stop()
            self.gateway.wire.sever()

    def heard(self, life: Life, event: object) -> None:
        """Take an event of a gateway."""
        assert isinstance(event, Event)
        if life.is_dead:
            return
        self.recorder.emit(event)
        if event.name == "primary.promoted":
            self._reigns(int(str(event.fields["epoch"])), event.backend)

    def _crashed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Dead):
            self.crashes.append(f"an exception went through: {context.get('message')} {context.get('exception')!r}")

    # -- clients --------------------------------------------------------------------------------------------

    def ask(
        self, method: str, patience: float = PATIENCE, *, params: Any = None, key: str | None = None, tag: str = ""
    ) -> Told | None:
        """Make one call as a client; None while there is no gateway to call."""
        if self.gateway is None:
            return None
        self._tags += 1
        now = self.loop.time()
        told = Told(method, tag or f"t{self._tags}", now, now + patience, self.gateway.life.number, params, key)
        if params is None:
            told.params = self._params(told)
        self.told.append(told)
        self.open[told] = self.loop.create_task(self._ask(self.gateway, told))
        return told

    def _params(self, told: Told) -> Any:
        """Return what a client would ask with."""
        match told.method:
            case "createnewaddress" | "getunusedaddress" | "getbalance":
                return []
            case "addrequest":
                return {"amount": "0.001", "memo": told.tag}
            case "setlabel":
                return [told.tag, told.tag]
            case "listaddresses":
                return [True]
            case "getrequest" | "rmrequest":
                asked = [one.address for one in self.told if one.address and one.method == "addrequest"]
                return [self.random.choice(asked) if asked else derived(change=False, index=0)[0]]
            case "ismine":
                known = [one.address for one in self.told if one.address]
                recent = known[-5:]
                return [self.random.choice(recent) if recent else derived(change=False, index=0)[0]]
            case _:
                return []

    async def _ask(self, gateway: Gateway, told: Told) -> None:
        call = Call(told.method, json.dumps(told.params).encode(), b"1", v1=False)
        try:
            reply = await gateway.dispatcher.call("main", CLIENT, call, told.deadline, told.key)
        except Exception:
            # a process that is killed in the middle of a step has no tasks that find that step half done
            if gateway.life.is_dead:
                return
            raise
        if gateway.life.is_dead:
            return
        told.answered_at = self.loop.time()
        told.reply = json.loads(reply.body)
        self.open.pop(told, None)
        self._go_on(told)

    def _go_on(self, told: Told) -> None:
        """Do what a client does with an answer: broadcast what was signed, pay what was invoiced."""
        if told.address and not self.is_funded:
            # not before: a wallet with a history would not be fresh
            self.is_funded = True
            for index in range(8):
                self.chain.fund(derived(change=False, index=index)[0], COIN)
            self.chain.mine(1)
        chance = self.random.random()
        if told.tx is not None and chance < 0.7:
            self.loop.call_later(2.0 * self.random.random() ** 3, self._broadcast, told.tx.hex)
        elif told.method == "broadcast" and "error" in told.reply and chance < 0.5:
            self.loop.call_later(self.random.uniform(0.1, 2.0), self._broadcast, told.params[0])
        elif told.method == "payto" and told.key and "error" in told.reply and chance < 0.5:
            self.loop.call_later(self.random.uniform(0.1, 2.0), self._pay_again, told)
        elif told.method == "addrequest" and told.address and chance < 0.4:
            self.loop.call_later(self.random.uniform(0.0, 3.0), self.chain.fund, told.address, 100_000)

    def _broadcast(self, text: str) -> None:
        self.ask("broadcast", params=[text])

    def _pay_again(self, told: Told) -> None:
        self.ask("payto", params=told.params, key=told.key, tag=told.tag)

    def pay(self, *, is_new: bool = False) -> Told | None:
        """Ask for a payment: a new one, with a key most often, or an earlier one again."""
        if not self.has("payment"):
            return None
        keyed = [told for told in self.told if told.method == "payto" and told.key]
        if keyed and not is_new and self.random.random() < 0.35:
            again = self.random.choice(keyed)
            return self.ask("payto", params=again.params, key=again.key, tag=again.tag)
        self._tags += 1
        # the amount is the tag that a journal shows
        amount = f"{(20_000 + self._tags) / 1e8:.8f}"
        params = {"destination": self.random.choice(CUSTOMER), "amount": amount}
        key = f"key-{self._tags}" if self.random.random() < 0.75 else None
        return self.ask("payto", params=params, key=key, tag=amount)

    def has(self, role: str) -> bool:
        """Whether the gateway has a room for calls of this role."""
        return self.gateway is not None and role in self.gateway.desk.by_role

    async def answered(self) -> None:
        """Wait until every call has been answered, or its gateway is dead."""
        while self.open:
            await asyncio.wait(list(self.open.values()))

    async def healed(self) -> None:
        """Wait until nothing is wrong any more; a fault may begin another one."""
        left = max((until for _, until in self.windows), default=0.0) - self.loop.time()
        if left > 0.0:
            await asyncio.sleep(left)
            await self.healed()

    def promote(self, name: str) -> None:
        """Order a promotion as an operator does."""
        gateway = self.gateway
        if gateway is None or gateway.plant.money is None:
            return
        money = gateway.plant.money

        async def order() -> None:
            with suppress(CannotPromoteError):
                await money.verbs()["promote"](name)

        self._orders = self.loop.create_task(order())

    # -- faults -----------------------------------------------------------------------------------------------

    def faults(self) -> tuple[Callable[[MoneyDaemon, float], None], ...]:
        """Return what may happen to a daemon, and for how long."""
        return (
            self._freeze, self._freeze, self._wedge, self._kill, self._kill, self._restart_unseen, self._wipe,
            self._slow_down, self._cut, self._drop, self._mangle, self._disconnect, self._lag, self._silence,
            self._unload, self._save_late, self._promote, self._promote, self._end_gateway, self._die_soon,
            self._die_soon, self._die_soon, self._ledger_fails, self._ledger_hangs,
            self._ledger_loses_answers, self._reload, self._block,
        )  # fmt: skip

    def plots(self) -> tuple[Callable[[MoneyDaemon, float], None], ...]:
        """Return what chance alone would seldom bring together."""
        return (self._overtake, self._lag_behind, self._come_back_empty, self._break_off, self._lose_a_broadcast)

    def fault(self) -> None:
        """Let something happen, and heal it later, as chance wants."""
        plots = [plot for plot in self.plots() if self.plot in plot.__name__]
        happen = self.random.choice(plots if self.plot or self.random.random() < PLOTS else self.faults())
        happen(self.random.choice(self.daemons), self.random.choice((0.3, 2.0, 6.0)) * self.random.random() + 0.01)

    def _wrong(self, after: float) -> None:
        """Remember that something is wrong for so many seconds from now."""
        now = self.loop.time()
        self.windows.append((now, now + after + AFTERMATH))

    def _hurt(self, daemon: MoneyDaemon, after: float) -> None:
        """The same of one daemon."""
        now = self.loop.time()
        if now > self.hurt_until[daemon.name]:
            self.hurt_since[daemon.name] = now
        self.hurt_until[daemon.name] = max(self.hurt_until[daemon.name], now + after)
        self._wrong(after)

    def _heal(self, daemon: MoneyDaemon, after: float, heal: Callable[[], object]) -> None:
        self._hurt(daemon, after)
        self.loop.call_later(after, heal)

    def _freeze(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.freeze()
        self._heal(daemon, after, daemon.thaw)

    def _wedge(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.wedge()
        self._heal(daemon, after, daemon.unwedge)

    def _kill(self, daemon: MoneyDaemon, after: float, *, wiped_to: int | None = None) -> None:
        if not daemon.is_alive:
            return
        had = daemon.money.horizon
        daemon.kill(wiped_to=wiped_to)
        if after < UNSEEN:
            lost = Loss(daemon.name, self.loop.time(), daemon.node.saved.receiving, had)
            self.losses.append(lost)
        self._heal(daemon, after, daemon.start)

    def _restart_unseen(self, daemon: MoneyDaemon, _after: float) -> None:
        """Let it be back before the next probe looks."""
        self._kill(daemon, self.random.choice([0.001, self.random.uniform(0.0, 0.3)]))

    def _wipe(self, daemon: MoneyDaemon, after: float) -> None:
        """Let it come back with an older copy of its file."""
        self._kill(daemon, after + UNSEEN, wiped_to=self.random.choice((0, 0, 1, 5, 19)))

    def _slow_down(self, daemon: MoneyDaemon, after: float) -> None:
        longest = self.random.choice((0.02, 0.3, 3.0))
        self.slow[daemon.name] = lambda: self.random.uniform(0.0, longest)
        self._heal(daemon, after, lambda: self.slow.pop(daemon.name, None))

    def _cut(self, daemon: MoneyDaemon, _after: float) -> None:
        """Break the way to it while it is at work: what it had taken in is run when it goes on."""
        daemon.freeze()
        self.loop.call_later(0.2, daemon.cut)
        self._heal(daemon, 0.3, daemon.thaw)

    def _drop(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.drops_syns = True
        self._heal(daemon, after, lambda: setattr(daemon, "drops_syns", False))

    def _mangle(self, daemon: MoneyDaemon, after: float) -> None:
        words = ["half", "empty", "garbage", "foreign", "error"]
        daemon.mangle = lambda method: self.random.choice(words) if method != "getinfo" else None
        self._heal(daemon, after, lambda: setattr(daemon, "mangle", lambda _method: None))

    def _disconnect(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.node.link.connected = False
        self._heal(daemon, after, lambda: setattr(daemon.node.link, "connected", True))

    def _lag(self, daemon: MoneyDaemon, after: float) -> None:
        """Let it hear nothing of the chain while it claims to be in step."""
        daemon.node.link.lags = True
        self._heal(daemon, after, lambda: setattr(daemon.node.link, "lags", False))

    def _silence(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.node.link.is_silent = True
        self._heal(daemon, after, lambda: setattr(daemon.node.link, "is_silent", False))

    def _unload(self, daemon: MoneyDaemon, after: float) -> None:
        daemon.node.close()
        self._heal(daemon, after, daemon.node.load)

    def _save_late(self, daemon: MoneyDaemon, after: float) -> None:
        """Let it save new addresses late, so that a kill loses many."""
        daemon.node.sync_delay = 30.0
        self.loop.call_later(3 * after, lambda: setattr(daemon.node, "sync_delay", 0.07))

    def _promote(self, daemon: MoneyDaemon, _after: float) -> None:
        self._wrong(0.0)
        self.promote(daemon.name)

    def _end_gateway(self, _daemon: MoneyDaemon, _after: float) -> None:
        self.kill()

    def _die_soon(self, daemon: MoneyDaemon, _after: float) -> None:
        """Kill the gateway in the middle of what it does next: allocations, their refill, a promotion."""
        self._wrong(3.0)
        for method in self.random.choices((*ALLOCATES, *WRITES), k=2):
            self.ask(method)
        for _ in range(2):
            self.pay()
        if self.random.random() < 0.4:
            self.promote(daemon.name)
        self.die_within(self.random.randint(1, 25))

    def _ledger_fails(self, _daemon: MoneyDaemon, after: float) -> None:
        self.set_ledger("database or disk is full")
        self._wrong(after)
        self.loop.call_later(after, self.set_ledger, "")

    def set_ledger(self, fails: str) -> None:
        """Let the ledger fail with these words, or work again."""
        self.ledger_fails = self.life.ledger_fails = fails

    def _ledger_hangs(self, _daemon: MoneyDaemon, after: float) -> None:
        self.life.ledger_hangs_until = self.loop.time() + after
        self._wrong(after)

    def _ledger_loses_answers(self, _daemon: MoneyDaemon, after: float) -> None:
        """Let some transactions be committed without anybody being told, as a database does that is restarted."""
        self.life.answers_lost = self.random.choice((1, 1, 2, 5))
        self._wrong(after)

    def _reload(self, daemon: MoneyDaemon, after: float) -> None:
        """Take a backend out of the settings, be it the primary, and put it back."""
        if len(self.daemons) == 1:
            return
        self._hurt(daemon, after)
        self.reload(without=daemon.name)
        self.loop.call_later(after, self.reload)

    def reload(self, without: str = "") -> None:
        """Take new settings."""
        wallet = self.settings.wallets["main"]
        kept = tuple(one for one in wallet.backends if one.name != without)
        settings = self.settings.model_copy(update={"wallets": {"main": wallet.model_copy(update={"backends": kept})}})
        if self.gateway is None:
            return
        targets = {daemon.name: daemon.target for daemon in self.daemons if daemon.name != without}
        plant = self.gateway.plant
        try:
            plant.update(settings, targets)  # type: ignore[arg-type]  # fakes with the same verbs
        except Dead:
            return
        pool = plant.pool
        # one that the ledger does not have yet gives nothing out, and the next gateway may begin the same number anew
        is_written = plant.money is not None and not plant.money.rooms.election.is_owed
        if pool.epoch and is_written:
            self._reigns(pool.epoch, pool.primary.name)

    def _reigns(self, epoch: int, primary: str) -> None:
        """Take it down, unless it is known."""
        if not self.reigns or (self.reigns[-1].epoch, self.reigns[-1].primary) != (epoch, primary):
            self.reigns.append(Reign(self.loop.time(), epoch, primary))

    def _block(self, _daemon: MoneyDaemon, _after: float) -> None:
        """Let customers pay to addresses that they were told, and a block be found."""
        for told in self.random.sample(self.told, min(len(self.told), 6)):
            if told.address:
                self.chain.fund(told.address, 100_000)
        self.chain.mine(self.random.choice((1, 1, 3)))

    # -- several things at once, where chance alone would seldom bring them together ---------------------------------

    def _slow_some(self, daemon: MoneyDaemon, after: float, methods: tuple[str, ...], takes: float) -> None:
        """Let some methods of a daemon take long."""
        self.slow_methods[daemon.name] = dict.fromkeys(methods, takes)
        self._heal(daemon, after, lambda: self.slow_methods.pop(daemon.name, None))

    def _primary(self) -> MoneyDaemon:
        return self.by_name[self.reigns[-1].primary] if self.reigns else self.daemons[0]

    def _overtake(self, daemon: MoneyDaemon, _after: float) -> None:
        """Promote another one while the primary works on a signature or on a write."""
        primary = self._primary()
        others = [one for one in self.daemons if one is not primary] or [daemon]
        self._slow_some(primary, 1.0, SENT_ONCE, 0.2)
        if self.random.random() < 0.7:
            self.loop.call_later(0.01, lambda: self.pay(is_new=True))
        else:
            self.loop.call_later(0.01, self.ask, "setlabel")
        self.loop.call_later(self.random.uniform(0.05, 0.2), self.promote, self.random.choice(others).name)

    def _read_much(self, seconds: float) -> None:
        """Give out addresses, and let the primary be so slow with reads that others answer some of them."""
        self._slow_some(self._primary(), seconds, READS, 0.15)
        for i in range(int(seconds / 0.1)):
            if i % 3 == 0:
                self.loop.call_later(0.1 * i, self.ask, "createnewaddress")
            for late in (0.03, 0.031):
                self.loop.call_later(0.1 * i + late, self.ask, "ismine", 1.0)

    def _lag_behind(self, daemon: MoneyDaemon, _after: float) -> None:
        """Let a standby derive nothing, or slowly, while addresses are given out and looked for."""
        if daemon is not self._primary() and self.random.random() < 0.7:
            daemon.money.refuses.add("createnewaddress")
            self._heal(daemon, 3.0, lambda: daemon.money.refuses.discard("createnewaddress"))
        elif daemon is not self._primary():
            self._slow_some(daemon, 3.0, ("createnewaddress",), 0.4)
        for i in range(self.settings.wallets["main"].address_pool):
            self.loop.call_later(0.02 * i, self.ask, "createnewaddress")
        self._read_much(2.0)

    def _come_back_empty(self, daemon: MoneyDaemon, _after: float) -> None:
        """Let a standby come back without most addresses, slow to derive them again, and promote it perhaps."""
        if daemon is self._primary():
            return
        self._kill(daemon, 1.5, wiped_to=0)
        self._slow_some(daemon, 4.0, ("createnewaddress",), 0.2)
        self.loop.call_later(1.5, self._read_much, 2.0)
        if self.random.random() < 0.6:
            for late in (1.9, 2.4, 2.6):
                self.loop.call_later(late, self.promote, daemon.name)

    def _break_off(self, _daemon: MoneyDaemon, _after: float) -> None:
        """Break the way to the primary while it has a payment and a write to do."""
        daemon = self._primary()
        self._cut(daemon, 0.0)
        self.pay()
        self.loop.call_later(0.05, self.pay)
        self.loop.call_later(0.1, self.ask, "setlabel")

    def _lose_a_broadcast(self, _daemon: MoneyDaemon, _after: float) -> None:
        """Let every daemon die with a broadcast in hand that it has not begun."""
        waiting = [told.tx for told in self.told if told.tx and told.tx.txid not in self.chain.view.heights]
        for daemon in self.daemons:
            daemon.freeze()
            self._heal(daemon, 1.6, daemon.thaw)
            self.loop.call_later(0.5, self._kill, daemon, 1.0)
        if waiting:
            self.ask("broadcast", 0.4, params=[self.random.choice(waiting).hex])

    def _service(self, daemon: MoneyDaemon) -> Callable[[str], float]:
        """Return what says how long a daemon takes for a method at this moment."""

        def service(method: str) -> float:
            if method in ASKS_SERVER and (daemon.node.link.is_silent or not daemon.node.link.connected):
                # it holds the daemon, and all who wait for it, also when the server is back
                self._hurt(daemon, HANG)
                return HANG
            if method in self.slow_methods.get(daemon.name, {}):
                return self.slow_methods[daemon.name][method]
            return self.slow[daemon.name]() if daemon.name in self.slow else USUAL

        return service

    # -- what must hold ---------------------------------------------------------------------------------------

    def violations(self) -> list[str]:
        """Return every invariant that this history broke, in words."""
        return [
            *self.crashes,
            *self._twice(),
            *self._doubted(),
            *self._resent(),
            *self._signed(),
            *self._published(),
            *self._invoiced(),
            *self._undurable(),
            *self._mistold(),
            *self._crowded(),
            *self._usurped(),
            *self._outdated(),
            *self._blind(),
            *self._forgotten(),
            *self._late(),
            *self._unknown(),
            *self._dead(),
        ]

    def told_addresses(self) -> list[tuple[Told, str]]:
        """Return every new address that a client was told, and the call."""
        return [(told, told.address) for told in self.told if told.address]

    def allocations(self) -> tuple[int, int]:
        """Return how many allocations should have been answered, for nothing was wrong, and how many were."""
        asked = [
            told
            for told in self.told
            if told.method in ALLOCATES and told.deadline - told.asked_at >= PATIENCE and not told.is_refused
            and not any(since <= told.deadline and told.asked_at <= until for since, until in self.windows)
        ]  # fmt: skip
        return len(asked), sum(told.address is not None for told in asked)

    def _twice(self) -> list[str]:
        first: dict[str, Told] = {}
        found = []
        for told, address in self.told_addresses():
            other = first.setdefault(address, told)
            if other is not told:
                found.append(
                    f"1: {address} was told at {other.answered_at:.3f} ({other.method} {other.tag}) and again at"
                    f" {told.answered_at:.3f} ({told.method} {told.tag})"
                )
        return found

    def _doubted(self) -> list[str]:
        """Ledgers that were called older than what was done with them, while no older one was ever put back."""
        events = [one for one in self.recorder.events if isinstance(one, Event) and one.name == "address.foreign"]
        if self.was_put_back:
            return []
        return [f"a ledger was doubted, and none was put back: {one.fields}" for one in events if one.fields["doubted"]]

    def _ran(self) -> dict[str, list[Run]]:
        """Return the runs of tagged calls, by tag."""
        found: dict[str, list[Run]] = {}
        for daemon in self.daemons:
            for run in daemon.runs:
                if _is_clients(run):
                    found.setdefault(run.params[0], []).append(run)
                elif run.method == "payto" and not run.params.get("unsigned"):
                    found.setdefault(run.params["amount"], []).append(run)
        return {tag: sorted(runs, key=lambda run: run.ran_at) for tag, runs in found.items()}

    def _resent(self) -> list[str]:
        """Calls that were sent again by themselves after an attempt of unknown outcome."""
        found = []
        ran = self._ran()
        for told in self.told:
            # a label is a wish that the ledger keeps: whoever brings a daemon to it may be faster than the call itself
            if told.method != "payto" or not told.answered_at:
                continue
            runs = [run for run in ran.get(told.tag, []) if told.asked_at <= run.sent_at <= told.answered_at]
            if any(not run.is_heard for run in runs[:-1]) and len({run.gateway for run in runs}) == 1:
                found.append(f"2: {told.method} {told.tag} was sent again though its outcome was unknown: {len(runs)}")
        return found

    def _signed(self) -> list[str]:
        """Keys with two transactions, and coins that were told to somebody after a key had them."""
        found = []
        by_key: dict[str, Told] = {}
        owner: dict[str, str] = {}
        for told in sorted(self.told, key=lambda told: told.answered_at):
            tx = told.tx
            if tx is None:
                continue
            if told.key is not None:
                first = by_key.setdefault(told.key, told)
                if first.tx is not None and first.tx.txid != tx.txid:
                    found.append(f"2: {told.key} was told {first.tx.txid} and at {told.answered_at:.3f} {tx.txid}")
            for one in tx.inputs:
                other = owner.get(one.spent.text, told.tag)
                if other != told.tag:
                    found.append(
                        f"2: {one.spent.text} of {other} is spent by what {told.tag} was told at {told.answered_at:.3f}"
                    )
                if told.key is not None:
                    owner.setdefault(one.spent.text, told.tag)
        return found

    def _published(self) -> list[str]:
        """Broadcasts whose fate is another one than what was told, or that nobody brought to the chain."""
        found = []
        heights, spenders = self.chain.view.heights, self.chain.view.spenders
        for told in self.told:
            if told.method != "broadcast" or told.was_killed:
                continue
            tx = Transaction.parse(told.params[0])
            result, error = told.reply.get("result"), told.reply.get("error")
            is_out = tx.txid in heights
            is_beaten = any(spenders.get(one.spent, tx.txid) != tx.txid for one in tx.inputs)
            if isinstance(result, list) and result[0] and not is_out:
                found.append(f"3: broadcast of {tx.txid} was called accepted and the chain has it not")
            if isinstance(result, list) and not result[0] and is_out:
                found.append(f"4: broadcast of {tx.txid} was called refused ({result[1]}) and the chain has it")
            if isinstance(error, dict) and error["code"] == -32004 and not is_out and not is_beaten:
                found.append(f"2: broadcast of {tx.txid} was left unknown at {told.answered_at:.3f}, never resolved")
        return found

    def _invoiced(self) -> list[str]:
        """Invoices that are told otherwise than they were made, or whose status went back."""
        found = []
        made = {
            told.address: told.reply["result"] for told in self.told if told.method == "addrequest" and told.address
        }
        furthest: dict[str, str] = {}
        for told in sorted(self.told, key=lambda told: told.answered_at):
            result = told.reply.get("result")
            if told.method != "getrequest" or not isinstance(result, dict):
                continue
            address = bare(result["address"])
            first = made.get(address)
            if first is not None and any(first[name] != result[name] for name in ("id", "amount", "memo", "time")):
                found.append(f"3: the invoice of {address} was made as {first} and told as {result}")
            before, status = furthest.get(address, "Pending"), str(result["status"])
            if STATUS.index(status) < STATUS.index(before):
                found.append(f"3: the invoice of {address} was {before} and then {status}")
            furthest[address] = status
        return found

    def _undurable(self) -> list[str]:
        """What was told and is not in the ledger."""
        kept = self.store.transact(
            lambda connection: set(
                connection.scalars(select(address_rows.c.address).where(address_rows.c.state == "handed"))
            )
        )
        return [
            f"3: {address} was told to {told.tag} and is not in the ledger as given out"
            for told, address in self.told_addresses()
            if address not in kept
        ]

    def _mistold(self) -> list[str]:
        ran = self._ran()
        found = []
        for told in self.told:
            error = told.reply.get("error")
            executed = error.get("data", {}).get("executed") if isinstance(error, dict) else None
            runs = [run for run in ran.get(told.tag, []) if told.asked_at <= run.sent_at <= told.answered_at]
            if executed == "no" and runs and not self._has_twin(told):
                found.append(f"4: {told.method} {told.tag} was called not executed and ran: {runs[0]}")
            if told.method in WRITES and "result" in told.reply and not ran.get(told.tag):
                found.append(f"3: {told.method} {told.tag} was called done and was not")
        return found

    def _has_twin(self, told: Told) -> bool:
        """Whether the same call was made by somebody else at the same time."""
        return any(
            other is not told and other.tag == told.tag and other.asked_at <= told.answered_at
            and (other.was_killed or other.answered_at >= told.asked_at)
            for other in self.told
        )  # fmt: skip

    def _crowded(self) -> list[str]:
        return [
            f"5: {daemon.most_calls} unsettled calls of ours in {daemon.name}"
            for daemon in self.daemons
            if daemon.most_calls > 1
        ]

    def _reigning(self, at: float) -> set[str]:
        """Return who was primary at a time; two names at the instant of a change."""
        found = {reign.primary for reign in self.reigns if abs(reign.since - at) <= AT_ONCE}
        before = [reign.primary for reign in self.reigns if reign.since < at - AT_ONCE]
        return found | set(before[-1:])

    def _usurped(self) -> list[str]:
        """What was first done by another than the primary."""
        found = []
        by_epoch: dict[int, set[str]] = {}
        for reign in self.reigns:
            by_epoch.setdefault(reign.epoch, set()).add(reign.primary)
        found += [f"6: {sorted(who)} were primary in epoch {e}" for e, who in by_epoch.items() if len(who) > 1]
        epochs = [reign.epoch for reign in self.reigns]
        if epochs != sorted(epochs):
            found.append(f"6: the epoch went back: {epochs}")
        return [*found, *self._first()]

    def _first(self) -> list[str]:
        """Addresses and signatures that another daemon than the primary was first to make."""
        found = []
        listed = 20
        last = dict.fromkeys(self.by_name, listed)
        runs = sorted((run for daemon in self.daemons for run in daemon.runs), key=lambda run: run.ran_at)
        for run in runs:
            is_first = run.method == "createnewaddress" and run.listed > listed
            if is_first and last[run.daemon] + 1 < run.listed:
                # receipts have made the wallet grow by itself while the call was under way
                is_first = last[run.daemon] + 1 > listed
            listed, last[run.daemon] = max(listed, run.listed), run.listed
            if run.method == "payto" and not run.params.get("unsigned"):
                is_first = True
            if is_first and run.daemon not in self._reigning(run.sent_at):
                found.append(
                    f"6: {run.daemon} was first to {run.method} {run.params} at {run.ran_at:.3f}, no. {run.listed}"
                )
        return found

    def _outdated(self) -> list[str]:
        """What was told though the epoch had changed before the daemon that did it could answer."""
        ran = self._ran()
        found = []
        for told in self.told:
            if told.method not in SENT_ONCE or "result" not in told.reply or not self.has_writes:
                continue
            # the mirror tells others a label later
            runs = ran.get(told.tag, [])[: None if told.method == "payto" else 1]
            if told.tx is not None:
                runs = [run for run in runs if isinstance(run.result, dict) and run.result["hex"] == told.tx.hex]
            if runs and all(self._is_cut(run) for run in runs):
                found.append(
                    f"6: {told.method} {told.tag} was told at {told.answered_at:.4f}; it ran at {runs[0].ran_at:.4f},"
                    f" was sent at {runs[0].sent_at:.4f}, and the epoch changed in between"
                )
        return found

    def _is_cut(self, run: Run) -> bool:
        """Whether the epoch changed while a call was on its way, or its sender was no gateway any more."""
        return any(run.sent_at + AT_ONCE < reign.since < run.ran_at - AT_ONCE for reign in self.reigns)

    def _blind(self) -> list[str]:
        """Wallet reads of a daemon that lacked an address which was told before they began."""
        found = []
        told_at = [(told.answered_at, address) for told, address in self.told_addresses()]
        for told in self.told:
            result = told.reply.get("result")
            before = {address for at, address in told_at if at < told.asked_at}
            missing: set[str] = set()
            if told.method == "listaddresses" and isinstance(result, list):
                missing = before - {bare(one) for one in result}
            elif told.method == "ismine" and result is False:
                missing = {bare(told.params[0])} & before
            elif told.method == "getbalance" and isinstance(result, dict):
                missing = self._missed_by_balance(told, before)
            missing -= {address for loss in self.losses for address in self._lost(loss, told)}
            if missing:
                found.append(f"blind: {told.method} {told.tag} at {told.answered_at:.3f} knew nothing of {missing}")
        return found

    def _missed_by_balance(self, told: Told, before: set[str]) -> set[str]:
        """Return what every daemon lacked that may have answered this read."""
        runs = [
            run
            for daemon in self.daemons
            for run in daemon.runs
            if run.method == "getbalance" and told.asked_at <= run.ran_at <= told.answered_at
        ]
        if len(runs) != 1 or runs[0].result != told.reply["result"]:
            return set()
        return {address for address in before if places()[address] >= runs[0].listed}

    @staticmethod
    def _lost(loss: Loss, told: Told) -> list[str]:
        if loss.at > told.answered_at:
            return []
        return [bare(derived(change=False, index=index)[0]) for index in range(loss.first, loss.end)]

    def _forgotten(self) -> list[str]:
        """Addresses that were told and that a daemon does not list when all is well again."""
        found = []
        told = {address for _, address in self.told_addresses()}
        for daemon in self.daemons:
            missing = {address for address in told if places()[address] >= daemon.money.horizon}
            if missing:
                found.append(f"1: {daemon.name} does not list {sorted(missing)} when all is well again")
        return found

    def _late(self) -> list[str]:
        found = []
        for told in self.told:
            if told.was_killed:
                continue
            if not told.reply:
                found.append(f"7: {told.method} {told.tag} of {told.asked_at:.3f} was never answered")
            elif told.answered_at > told.deadline + 1.0:
                found.append(f"7: {told.method} {told.tag} was answered {told.answered_at - told.deadline:.3f} s late")
        return found

    def _unknown(self) -> list[str]:
        """Outcomes that were called unknown while nothing was wrong: a fault excuses them for its time alone."""
        return [
            f"9: the outcome of {told.method} {told.tag} was called unknown at {told.answered_at:.3f}, and all was well"
            for told in self.told
            if self.knows_faults
            and self._is_unknown(told)
            and not any(since <= told.answered_at and told.asked_at <= until for since, until in self.windows)
        ]

    @staticmethod
    def _is_unknown(told: Told) -> bool:
        error = told.reply.get("error")
        executed = error.get("data", {}).get("executed") if isinstance(error, dict) else None
        return executed == "unknown" and told.method not in READS and not told.was_killed

    def _dead(self) -> list[str]:
        """Calls of the calm at the end that were not answered with a result."""
        return [
            f"9: {told.method} {told.tag} failed in the calm: {told.reply}"
            for told in self.told
            if told.asked_at >= self.calm_since and "result" not in told.reply and not told.is_refused
        ]


@functools.cache
def places() -> dict[str, int]:
    """Return the place of each address that a history may see."""
    return {bare(derived(change=False, index=index)[0]): index for index in range(600)}


def _is_clients(run: Run) -> bool:
    """Whether this was a label that a client wanted; others go with invoices."""
    return run.method == "setlabel" and run.params[0] == run.params[1]


async def history(seed: int, *, seconds: float = 3.0, plot: str = "") -> MoneyWorld:
    """Live one random history and return the world after it.

    Args:
        plot: the only fault, by its name; "" lets everything happen.
    """
    chance = random.Random(seed)
    world = MoneyWorld(chance.choice([1, 2, 3, 3]), seed, address_pool=chance.choice([3, 8, 30]))
    world.plot = plot
    world.knows_faults = True
    world.start()
    rate = chance.choice([1.0, 3.0, 7.0])
    faults = chance.choice([0.2, 0.6, 1.5])
    await asyncio.sleep(chance.choice([0.0, 2.0]))
    began = world.loop.time()
    next_call, next_fault = 0.0, chance.expovariate(faults)
    while (step := min(next_call, next_fault)) < seconds:
        await asyncio.sleep(max(0.0, began + step - world.loop.time()))
        if next_fault <= next_call:
            world.fault()
            next_fault += chance.expovariate(faults)
        else:
            kind = chance.choices(("pay", ALLOCATES, READS, WRITES, INVOICES), (4, 5, 4, 1, 2))[0]
            if isinstance(kind, str):
                world.pay()
            elif kind is not INVOICES or world.has("invoice_get"):
                world.ask(chance.choice(kind), chance.choice([0.3, PATIENCE, PATIENCE]))
            next_call += chance.expovariate(rate)
    await calm(world)
    return world


async def _pay_in_the_calm(world: MoneyWorld) -> None:
    """Pay once more with coins that nobody holds, and bring it to the chain."""
    newest = next(told.address for told in reversed(world.told) if told.address)
    world.chain.fund(newest, COIN)
    world.chain.mine(1)
    await asyncio.sleep(2.0)
    paid = world.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.00015"}, key="last", tag="0.00015")
    await world.answered()
    if paid is not None and paid.tx is not None:
        world.ask("broadcast", params=[paid.tx.hex])
        await world.answered()
    await asyncio.sleep(1.0)


async def calm(world: MoneyWorld, *, is_short: bool = False) -> None:
    """Let every fault heal, ask for everything once more, and end.

    Args:
        is_short: only one thing was wrong, and is over; ask for little.
    """
    world.dies_at_step = 0
    await asyncio.sleep(3.0)
    await world.answered()
    if not is_short:
        await world.healed()
    world.calm_since = world.loop.time()
    for method in ("createnewaddress", *READS) if is_short else (*ALLOCATES, *READS, *WRITES):
        world.ask(method)
        await world.answered()
    if world.has("payment") and not is_short:
        await _pay_in_the_calm(world)
    await asyncio.sleep(1.0)
    await world.end()
