"""A wallet that pays, in virtual time: the sandbox's chain and wallets in this process, the real rooms before them.

Rule: a crash can be planned at any step (each transaction, each call to a daemon, before and after it); from then on
nothing of that process does anything, and what a new one finds is the ledger and the daemons.
"""

import asyncio
import copy
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeVar

from pydantic import SecretStr
from sqlalchemy import Connection, select

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE
from gateway.base.errors import NO_BACKEND, OUTCOME_UNKNOWN, Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.breaker import Breaker
from gateway.fleet.pool import Pool
from gateway.flow.carry import Carried
from gateway.flow.held_coins import HeldCoins
from gateway.flow.outcome import Outcomes
from gateway.flow.pay import Payments
from gateway.ledger import epochs, intents
from gateway.ledger.payments import all_held
from gateway.ledger.schema import holds, keys, marks, metadata, publications
from gateway.ledger.store import InlineLedger, LedgerError
from gateway.profiles import Method, load
from gateway.rules.health import Limits
from gateway.rules.lifecycle import Phase
from gateway.rules.methods import Granted
from gateway.sandbox.chain import Chain, RefusedError
from gateway.sandbox.commands import Commands, registered
from gateway.sandbox.ledger import View
from gateway.sandbox.link import NoAnswerError
from gateway.sandbox.wallet import Notes, Wallet
from gateway.supervision.settle import Settler
from gateway.upstream.questions import Questions
from tests.virtual_time import run_virtual

T = TypeVar("T")

NAME = "main"
PROFILE = load("electron-cash")
SHOP = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)
STRANGER = "bchreg:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqha9s37tt"
STARTED = 1_800_000_000.0


class CrashError(BaseException):
    """The process ends here."""


class Daemon:
    """A sandbox wallet without a process: what it is asked, it does at once."""

    def __init__(self, name: str, chain: Chain, seed: str) -> None:
        """Begin in step with the chain."""
        self.name = name
        self.chain = chain
        self.is_silent = False
        """Its server takes everything and says nothing; what it was given to broadcast is lost."""
        self.swallows = False
        """Silent, but the bytes go out."""
        self.is_dead = False
        self.lags = False
        self.seconds = 0.001
        self.journal: list[tuple[str, Any]] = []
        self.mangle: Callable[[str, Any], Any] = lambda _method, result: result
        self.link = SimpleNamespace(ask=self._ask, view=View(), host="fake", port=0, connected=True, server_height=0)
        wallet = copy.deepcopy(derived(seed))
        self.node = SimpleNamespace(
            wallet=wallet, current=wallet, loaded=True, link=self.link, synchronized=True, save=lambda: None
        )
        self.methods = registered(Commands(self.node))  # type: ignore[arg-type]  # what commands need of a node
        self.catch_up()

    @property
    def wallet(self) -> Wallet:
        """The wallet."""
        found = self.node.wallet
        assert isinstance(found, Wallet)
        return found

    def catch_up(self) -> None:
        """Take in what the chain has had since."""
        view = self.wallet.view
        if not self.lags and view.revision < len(self.chain.events):
            view.apply(self.chain.events[view.revision :])
            self.wallet.synchronize()

    def run(self, method: str, params: Any) -> Answer:
        """Do what a call asks."""
        self.catch_up()
        self.journal.append((method, params))
        try:
            do = self.methods[method]
            result = do(**params) if isinstance(params, dict) else do(*params)
        except BaseException as error:  # noqa: BLE001 - a daemon answers whatever happens
            return Answer(None, json.dumps({"code": -32603, "message": f"Server error: {error!r}"}).encode())
        return Answer(json.dumps(self.mangle(method, result)).encode(), None)

    def ran(self, method: str) -> int:
        """How often a method was run."""
        return sum(one == method for one, _ in self.journal)

    def _ask(self, **question: Any) -> dict[str, Any]:
        if self.swallows:
            with suppress(RefusedError):
                self.chain.accept(question["tx"])
            raise NoAnswerError
        if self.is_silent:
            raise NoAnswerError
        try:
            match question["cmd"]:
                case "broadcast":
                    return {"txid": self.chain.accept(question["tx"])}
                case "transaction":
                    return self.chain.transaction(question["txid"])
        except RefusedError as refusal:
            return {"error": str(refusal)}
        raise AssertionError(question)


@lru_cache
def derived(seed: str) -> Wallet:
    """A wallet with its addresses, which take a while to make."""
    wallet = Wallet(seed, Notes(), View())
    wallet.synchronize()
    return wallet


class CrashingLedger(InlineLedger):
    """A ledger in memory that can be away, and in which a process can end."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(None)
        metadata.create_all(self.engine)
        self.is_away = False
        self.step: Callable[[], None] = lambda: None
        self.fail_at = -1
        """Which transaction from now fails."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction."""
        self.step()
        await asyncio.sleep(0)
        self.fail_at -= 1
        if self.is_away or self.fail_at == 0:
            raise LedgerError("the disk is full")
        result = self.transact(work)
        self.step()
        return result


@dataclass
class World:
    """Chain, daemons, ledger, and the process of now."""

    loop: asyncio.AbstractEventLoop
    coins: int = 3
    daemons: int = 1
    value: int = 1_000_000
    chain: Chain = field(default_factory=Chain)
    events: list[Event] = field(default_factory=list)
    steps: int = 0
    crash_at: int = -1
    has_crashed: bool = False
    now: float = STARTED
    told: list[tuple[str, Any]] = field(default_factory=list)
    """Key and result of each keyed call that was answered with one."""

    def __post_init__(self) -> None:
        """Fund the wallet and start a process."""
        self.fleet = {f"ec-{n}": Daemon(f"ec-{n}", self.chain, "seed") for n in range(1, self.daemons + 1)}
        first = self.fleet["ec-1"].wallet.receiving[0]
        for _ in range(self.coins):
            self.chain.fund(first, self.value)
        self.chain.mine(1)
        self.ledger = CrashingLedger()
        self.primary = "ec-1"
        self.publish_to = ""
        self.marked: list[tuple[str, str, str]] = []
        self.start()

    def start(self) -> None:
        """Start a gateway on the ledger that is there."""
        self.has_crashed, self.crash_at = False, -1
        self.ledger.step = self.step
        standing = self.ledger.transact(lambda c: epochs.begin(c, NAME, self.primary, list(self.fleet), self.now))
        self.ledger.transact(lambda c: intents.orphans(c, NAME, self.now))
        self.pool = self._pool(standing.epoch)
        self.questions = Questions(PROFILE, self.call_on, self.loop)
        coins = HeldCoins(self.ledger.transact(lambda c: all_held(c, NAME)))
        self.payments = Payments(
            self.pool, self.questions, self.ledger, b"secret", self.carry, lambda: self.now, self.loop,
            on_marked=lambda backend, change: self.marked.append((backend, change.mark.key, change.mark.value)),
            coins=coins,
        )  # fmt: skip
        publisher = self.payments.publisher
        self.settler = Settler(
            self.pool, self.questions, self.ledger, publisher.is_sending, lambda: self.now, self.loop,
            on_marked=lambda backend, change: self.marked.append((backend, change.mark.key, change.mark.value)),
            write_late=self.payments.write_late, coins=coins,
        )  # fmt: skip
        self.outcomes = Outcomes(self.pool, self.ledger, b"secret")

    def _pool(self, epoch: int) -> Pool:
        backends = []
        for name in self.fleet:
            backend = Backend(
                name, NAME, slots=1, is_serial=True, top=Level.SYNCED, breaker=Breaker(5, 1.0, 10.0, 1), ewma=10.0,
                grace_until=0.0, now=self.loop.time(),
            )  # fmt: skip
            backend.phase, backend.height = Phase.READY, self.chain.view.height
            backends.append(backend)
        pool = Pool(
            NAME, backends, primary=self.primary, limits=Limits(0.5, 2.0, 5.0), start_grace=60, expect_return=0,
            slow_start=0, lag_blocks=1, mirror=False, emit=self.events.append,
        )  # fmt: skip
        pool.epoch = epoch
        return pool

    def promote(self, name: str) -> None:
        """Make another backend primary."""
        epoch = self.pool.epoch
        new = self.ledger.transact(lambda c: epochs.promote(c, NAME, name, epoch, self.now))
        self.primary = name
        self.pool.set_primary(self.pool.by_name[name], new or epoch)

    # -- the way to the daemons ---------------------------------------------------------------------------

    def step(self) -> None:
        """Go on, or crash here; a process that has crashed goes nowhere."""
        self.steps += 1
        if self.steps == self.crash_at:
            self.has_crashed = True
        if self.has_crashed:
            raise CrashError

    async def call_on(self, backend: Backend, method: Method, params: bytes, deadline: float) -> Answer | Failure:
        """Make an upkeep call."""
        return (await self._call(backend.name, method, params, deadline)).result

    async def carry(self, client: str, granted: Granted, deadline: float) -> Carried:
        """Carry a client's call to the primary, or a broadcast to whom the test says."""
        del client
        name = self.publish_to if granted.method.role == "broadcast" and self.publish_to else self.pool.primary.name
        return await self._call(name, granted.method, granted.params, deadline)

    async def _call(self, name: str, method: Method, params: bytes, deadline: float) -> Carried:
        self.step()
        daemon, epoch = self.fleet[name], self.pool.epoch
        if daemon.is_dead:
            await asyncio.sleep(0.001)
            return Carried(Failure(NO_BACKEND, "no_backend: dead", safe_to_repeat=True), 0, "", "")
        asks = method.name == "broadcast" and (daemon.is_silent or daemon.swallows)
        seconds = 30.0 if asks else daemon.seconds
        if asks:
            answer = daemon.run(method.name, json.loads(params or b"[]"))
        if self.loop.time() + seconds > deadline:
            await asyncio.sleep(max(0.0, deadline - self.loop.time()))
            unknown = Failure(OUTCOME_UNKNOWN, "outcome_unknown: silent", safe_to_repeat=False)
            return Carried(unknown, epoch, name, "g1")
        await asyncio.sleep(seconds)
        self.step()
        if not asks:
            answer = daemon.run(method.name, json.loads(params or b"[]"))
        self.step()
        return Carried(answer, epoch, name, "g1")

    # -- what a client does -------------------------------------------------------------------------------

    def granted(self, method: str, params: Any) -> Granted:
        """A call as the desk gets it."""
        row = PROFILE.methods[method]
        return Granted(row, row.effect, row.bound, json.dumps(params).encode())

    async def pay(
        self, key: str | None = None, sats: int = 100_000, *, method: str = "payto", params: Any = None,
        client: Client = SHOP, wait: float = 9.0,
    ) -> Answer | Failure:  # fmt: skip
        """Ask for a payment."""
        amount = str(Decimal(sats) / 100_000_000)
        call = self.granted(method, params if params is not None else [STRANGER, amount])
        result = await self.payments.pay(client, call, self.loop.time() + wait, key)
        if key is not None and isinstance(result, Answer) and result.result is not None:
            self.told.append((key, json.loads(result.result)))
        return result

    async def broadcast(self, tx: Any, *, client: Client = SHOP, wait: float = 9.0) -> Answer | Failure:
        """Broadcast bytes."""
        call = self.granted("broadcast", [tx])
        return await self.payments.broadcast(client, call, self.loop.time() + wait, None)

    async def ask(self, **query: str) -> dict[str, Any]:
        """Ask for an outcome."""
        answer = await self.outcomes.handle(SHOP, json.dumps(query).encode())
        assert isinstance(answer, Answer), answer
        found = json.loads(answer.result or b"")
        assert isinstance(found, dict)
        return found

    async def settle(self, seconds: float = 0.0) -> None:
        """Let time pass, then do one round of settling."""
        await asyncio.sleep(seconds)
        self.now += seconds
        for backend in self.pool.backends:
            self.fleet[backend.name].catch_up()
            backend.height = self.fleet[backend.name].wallet.view.height
        await self.settler.round()

    # -- what there is ------------------------------------------------------------------------------------

    def rows(self, table: Any, *columns: Any) -> list[Any]:
        """Rows of a table."""
        return list(self.ledger.transact(lambda c: list(c.execute(select(*(columns or (table,)))))))

    def key_states(self) -> list[str]:
        """States of all keys."""
        return [row.state for row in self.rows(keys)]

    def publication(self, txid: str) -> str:
        """State of a publication."""
        return next(str(row.state) for row in self.rows(publications) if row.txid == txid)

    def holds(self) -> dict[str, str]:
        """Transaction by held coin."""
        return {row.outpoint: row.txid for row in self.rows(holds)}

    def frozen(self) -> set[str]:
        """Coins that are marked as frozen by us."""
        return {row.key for row in self.rows(marks) if row.value and row.owner == "gateway"}

    def names(self) -> list[str]:
        """Names of events."""
        return [event.name for event in self.events]


def play(scene: Callable[[World], Coroutine[Any, Any, None]], **changes: Any) -> World:
    """Play a scene in a new world."""

    async def live() -> World:
        world = World(asyncio.get_running_loop(), **changes)
        await scene(world)
        return world

    return run_virtual(live())


def result_of(answer: Answer | Failure) -> Any:
    """Return the decoded result; fails with anything else."""
    assert isinstance(answer, Answer), answer
    assert answer.result is not None, answer
    return json.loads(answer.result)


def failure_of(answer: Answer | Failure) -> Failure:
    """Return the failure."""
    assert isinstance(answer, Failure), answer
    return answer


def limited(**limits: str) -> Client:
    """A client with limits in coins."""
    return replace_client(**{name: Decimal(value) for name, value in limits.items()})


def replace_client(**changes: Any) -> Client:
    """The shop with other settings."""
    return SHOP.model_copy(update=changes)
