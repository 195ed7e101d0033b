"""Fakes for money: wallet daemons in virtual time that share a chain, and a ledger that can fail at any step.

Rule: what a wallet knows and forgets is the sandbox's own code, which was held against the real daemon; here it only
gets a clock that jumps, a line to the chain without a socket, and a file that is a variable.
"""

import asyncio
import copy
import functools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Connection

from gateway.ledger.held import LeaseError
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError, UncertainError
from gateway.ledger.timing import Timing
from gateway.sandbox import addresses
from gateway.sandbox.chain import Chain, RefusedError
from gateway.sandbox.commands import Commands, registered
from gateway.sandbox.ledger import View
from gateway.sandbox.link import NoAnswerError
from gateway.sandbox.wallet import Notes, Wallet
from gateway.upstream.wire import Fate, Outcome
from tests.fakes import FakeDaemon, FakeExchange, FakeTarget, FakeWallet, FakeWire

SEED = "one seed for all"

SYNC = 0.07
"""Seconds between a new address and its being saved, with a server that answers."""

T = TypeVar("T")


@functools.cache
def derived(*, change: bool, index: int) -> tuple[str, str]:
    """Return an address of the seed with its prefix, and its script."""
    found = addresses.derive(SEED, change=change, index=index)
    return found.text, found.script


def bare(address: str) -> str:
    """Return an address without the prefix of its network."""
    return address.rpartition(":")[2]


class SeedWallet(Wallet):
    """A wallet of the seed that derives each address once for all histories."""

    def _derive(self) -> None:
        for branch, wanted, change in (
            (self.receiving, self.notes.receiving, False),
            (self.change, self.notes.change, True),
        ):
            for index in range(len(branch), wanted):
                address, script = derived(change=change, index=index)
                branch.append(address)
                self._place[address] = len(self._place)
                self._scripts[address] = script
                self._owners[script] = address
                self._index[address] = (change, index)


class FakeLine:
    """A daemon's line to the chain."""

    host = "fake"
    port = 0

    def __init__(self, chain: Chain) -> None:
        """Begin in step with the chain."""
        self.chain = chain
        self.view = View()
        self.is_silent = False
        """The server takes everything and says nothing."""
        self.lags = False
        """What the chain says is not looked at."""
        self.connected = True
        self.unsent: list[str] = []
        """Broadcasts that waited in vain; they go out when the server is back, whatever their callers were told."""

    @property
    def online(self) -> bool:
        """Whether news come in."""
        return self.connected and not self.is_silent and not self.lags

    @property
    def server_height(self) -> int:
        """The height that the server told."""
        return self.view.height if self.connected else 0

    def look(self) -> bool:
        """Take in the news and say whether there were any."""
        if not self.online:
            return False
        for text in self.unsent:
            self._accept(text)
        self.unsent.clear()
        news = self.chain.events[self.view.revision :]
        self.view.apply(news)
        return bool(news)

    def ask(self, **question: Any) -> dict[str, Any]:
        """Answer one question; raises NoAnswerError where the server says nothing."""
        if not self.connected or self.is_silent:
            if question["cmd"] == "broadcast":
                self.unsent.append(question["tx"])
            raise NoAnswerError
        match question["cmd"]:
            case "broadcast":
                return self._accept(question["tx"])
            case "transaction":
                try:
                    return self.chain.transaction(question["txid"])
                except RefusedError as refusal:
                    return {"error": str(refusal)}
            case _:
                return self.chain.script(question["script"])

    def _accept(self, text: str) -> dict[str, Any]:
        try:
            return {"txid": self.chain.accept(text)}
        except RefusedError as refusal:
            return {"error": str(refusal)}


class Node:
    """A daemon's state between calls, as the sandbox's commands expect it."""

    def __init__(self, chain: Chain, loop: asyncio.AbstractEventLoop) -> None:
        """Begin loaded, with a file that holds a fresh wallet in step."""
        self.loop = loop
        self.link = FakeLine(chain)
        self.file = SimpleNamespace(path="wallet", folder="folder")
        self.saved = Notes(receiving=20, change=20)
        self.older: list[Notes] = [copy.deepcopy(self.saved)]
        """What the file held before, oldest first."""
        self.loaded = False
        self.current: SeedWallet | None = None
        self.sync_delay = SYNC
        self.running = True
        self._sync: asyncio.TimerHandle | None = None
        self._known = 0
        self.load()

    @property
    def wallet(self) -> SeedWallet:
        """The wallet; raises what the real daemon raises without one."""
        if self.current is None:
            raise BaseException("Wallet not loaded. Use 'electron-cash daemon load_wallet'")  # noqa: TRY002 - its name
        return self.current

    @property
    def synchronized(self) -> bool:
        """Whether the wallet says that it is in step."""
        return True

    def load(self) -> None:
        """Load the wallet from its file."""
        if self.loaded:
            return
        self.link.look()
        self.current = SeedWallet(SEED, copy.deepcopy(self.saved), self.link.view)
        self.loaded = True
        if self.link.online:
            self.current.synchronize()
            self.save()
        self._known = len(self.current.addresses())

    def save(self) -> None:
        """Write the wallet file."""
        if self.current is not None:
            self.older.append(self.saved)
            del self.older[1:-20]
            self.saved = copy.deepcopy(self.current.notes)

    def close(self) -> bool:
        """Save and close the wallet; say whether it was open."""
        was_loaded = self.loaded
        if was_loaded:
            self.save()
            self.loaded, self.current = False, None
        return was_loaded

    def stop(self) -> None:
        """Save."""
        if self.loaded:
            self.save()

    def forget(self) -> None:
        """Lose what was not saved, as with a kill."""
        self.loaded, self.current = False, None
        if self._sync is not None:
            self._sync.cancel()
            self._sync = None

    def before_call(self) -> None:
        """Take in what the chain said."""
        if self.link.look() and self.current is not None:
            self.current.see(self.link.view)
            self.current.synchronize()
            self.after_call()

    def after_call(self) -> None:
        """Have new addresses saved in a moment."""
        if self.current is None or len(self.current.addresses()) == self._known:
            return
        self._known = len(self.current.addresses())
        if self._sync is None:
            self._sync = self.loop.call_later(self.sync_delay, self._synced)

    def _synced(self) -> None:
        self._sync = None
        if self.link.online:
            self.save()


class MoneyWallet(FakeWallet):
    """The wallet of a fake daemon, with the sandbox's commands behind it."""

    def __init__(self, node: Node) -> None:
        """Answer for a node."""
        super().__init__()
        self.node = node
        self.refuses: set[str] = set()
        """Methods that it answers with an error, without doing anything."""
        self.methods = registered(Commands(node))  # type: ignore[arg-type]  # a node without sockets and threads

    @property
    def horizon(self) -> int:
        """How many receiving addresses it lists, also while no wallet is loaded."""
        return (self.node.saved if self.node.current is None else self.node.current.notes).receiving

    def answer(self, method: str, params: object) -> object:
        """Run one method; an exception becomes an error as the daemon words it."""
        if method in self.refuses:
            return Refusal("Server error: TimeoutError: ")
        self.node.before_call()
        try:
            run = self.methods[method]
            result = run(**params) if isinstance(params, dict) else run(*params)  # type: ignore[misc]  # a list else
        except BaseException as error:  # noqa: BLE001 - so does the daemon
            return Refusal(f"Server error: {type(error).__name__}: {error}")
        self.node.after_call()
        return result


@dataclass(frozen=True)
class Refusal:
    """An error instead of a result."""

    message: str


@dataclass(frozen=True)
class Run:
    """One call that a daemon ran."""

    daemon: str
    sent_at: float
    ran_at: float
    gateway: int
    """Which incarnation of the gateway sent it."""
    method: str
    params: Any
    result: Any
    listed: int
    """Receiving addresses that it listed then."""
    is_heard: bool
    """Whether its answer reached the gateway."""


class MoneyDaemon(FakeDaemon):
    """A serial daemon with a wallet that knows money."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, chain: Chain) -> None:
        """Begin alive, loaded and synced."""
        super().__init__(name, loop)
        self.node = Node(chain, loop)
        self.money = self.wallet = MoneyWallet(self.node)
        self.runs: list[Run] = []
        """Its journal: every call that was run, in order."""

    def say(self, exchange: FakeExchange, call: dict[str, object], result: object) -> None:
        """Answer, and keep what was run."""
        method = str(call["method"])
        if method != "getinfo":
            self.runs.append(
                Run(
                    daemon=self.name,
                    sent_at=exchange.started_at,
                    ran_at=self.loop.time(),
                    gateway=getattr(exchange, "gateway", 0),
                    method=method,
                    params=call["params"],
                    result=result,
                    listed=self.money.horizon,
                    is_heard=not exchange.ended and self.mangle(method) is None,
                )
            )
        if isinstance(result, Refusal) and self.mangle(method) is None:
            error = {"code": -32603, "message": result.message}
            exchange.end(Fate.ANSWERED, "", json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode())
        else:
            super().say(exchange, call, None if isinstance(result, Refusal) else result)

    def save(self) -> None:
        """Write the wallet file."""
        self.node.save()

    def kill(self, *, wiped_to: int | None = None) -> None:
        """Die; what was not saved is lost.

        Args:
            wiped_to: the file is replaced by one of its older copies, which may be any number from 0.
        """
        super().kill()
        self.node.forget()
        if wiped_to is not None:
            self.node.saved = copy.deepcopy(self.node.older[wiped_to % len(self.node.older)])

    def start(self) -> None:
        """Be started again, with the wallet loaded from its file."""
        if not self.is_alive:
            super().start()
            self.node.load()


class Dead(BaseException):
    """What is left of a gateway that was killed touches the ledger or the wire."""


@dataclass
class Life:
    """One incarnation of a gateway, as far as fakes must know."""

    number: int
    is_dead: bool = False
    step: Callable[[str], None] = lambda _what: None
    """Called before and after each step that reaches the world; kills the gateway when that step's turn has come."""
    ledger_fails: str = ""
    """Why the ledger cannot be written; "" when it can."""
    ledger_hangs_until: float = 0.0
    answers_lost: int = 0
    """Transactions from now on that are committed, and nobody can say so: the way to a database broke."""
    is_lease_lost: bool = False
    """Another gateway has the wallet: nothing is written any more."""

    def check(self) -> None:
        """Raise Dead where the process is no more."""
        if self.is_dead:
            raise Dead

    def at(self, what: str) -> None:
        """Pass one step."""
        self.check()
        self.step(what)
        self.check()


@functools.cache
def _stores() -> tuple[InlineLedger, InlineLedger]:
    """Return an empty ledger in memory, and the one that histories use one after another."""
    empty = InlineLedger(None)
    metadata.create_all(empty.engine)
    return empty, InlineLedger(None)


def new_ledger() -> InlineLedger:
    """Return an empty ledger in memory; the one before it is no more.

    Statements stay compiled from one history to the next, which is half of what they cost.
    """
    empty, used = _stores()
    source, target = empty.engine.raw_connection(), used.engine.raw_connection()
    source.driver_connection.backup(target.driver_connection)  # type: ignore[union-attr]  # sqlite3's own
    source.close()
    target.close()
    return used


class MortalLedger(InlineLedger):
    """The ledger as one incarnation of a gateway has it: on a thread of its own, one transaction after another.

    A caller that is cancelled leaves; the transaction is done all the same, unless the gateway is killed before.

    Args:
        takes: seconds that the next transaction takes.
    """

    def __init__(
        self, store: InlineLedger, life: Life, takes: Callable[[], float], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Begin with nothing under way."""
        self.path = None
        self.last_error = ""
        self.timing = Timing(loop.time)
        self.engine = store.engine
        self.store = store
        self.life = life
        self.takes = takes
        self.loop = loop
        self.transactions = 0
        self._free_at = 0.0

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction when its turn comes."""
        self.life.check()
        future: asyncio.Future[T] = self.loop.create_future()
        begin = max(self.loop.time(), self._free_at, self.life.ledger_hangs_until)
        self._free_at = begin + self.takes()

        def now() -> None:
            if self.life.is_dead:
                return
            try:
                result = self.transact(work)
            except Dead:
                return
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller hears of it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.loop.call_at(self._free_at, now)
        return await future

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction here and now."""
        self.life.at("before a transaction")
        if self.life.ledger_fails:
            self.last_error = self.life.ledger_fails
            raise LedgerError(self.last_error)
        if self.life.is_lease_lost:
            raise LeaseError("this gateway does not hold the lease any more; nothing was written")
        self.transactions += 1
        try:
            result = self.store.transact(work)
        except LedgerError as error:
            self.last_error = str(error)
            raise
        self.last_error = ""
        self.life.at("after a transaction")
        if self.life.answers_lost:
            self.life.answers_lost -= 1
            self.last_error = "the connection broke while it was committed"
            raise UncertainError(self.last_error)
        return result

    def close(self) -> None:
        """Leave the store to the next incarnation."""


class MortalWire(FakeWire):
    """The wire of one incarnation of a gateway."""

    def __init__(self, loop: asyncio.AbstractEventLoop, life: Life) -> None:
        """Begin with nothing sent."""
        super().__init__(loop)
        self.life = life

    def send(
        self, target: FakeTarget, body: bytes, *, whole: float, reuse: bool, on_end: Callable[[Outcome], None],
        more: bytes = b"",
    ) -> FakeExchange:  # fmt: skip
        """Send one call."""
        self.life.at("before a call is sent")

        def ended(outcome: Outcome) -> None:
            # whatever ends here, the daemon on whose stack this runs goes on
            with suppress(Dead):
                self.life.at("before an answer is read")
                on_end(outcome)

        exchange = super().send(target, body, whole=whole, reuse=reuse, on_end=ended, more=more)
        exchange.gateway = self.life.number  # type: ignore[attr-defined]  # read back by the daemon's journal
        self.life.at("after a call was sent")
        return exchange

    def sever(self) -> None:
        """Lose every connection, as the end of the process does; daemons run what they took in."""
        for exchange in self.sent:
            if not exchange.ended:
                exchange.ended = exchange.was_cut = True
                if exchange.timer is not None:
                    exchange.timer.cancel()
