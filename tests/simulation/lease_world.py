"""Gateways that go after one lease, each on a loop and a clock of its own, and a database that fails in every way.

Rule: the world owns the true time.  Each gateway runs the very code of the product on an event loop whose clock is
fast or slow; frozen, its loop is not stepped while its clock goes on; killed, it is never stepped again.  Whether a
gateway holds can become true only where one of its callbacks runs, so to look at all of them after each is to look at
every instant.
"""

import asyncio
import functools
import heapq
import random
import selectors
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, delete

from gateway.base.errors import LedgerError
from gateway.base.events import Event
from gateway.ledger import leases
from gateway.ledger.held import HeldLedger
from gateway.ledger.schema import leases as rows
from gateway.ledger.schema import meta
from gateway.ledger.store import InlineLedger, T
from gateway.rules.lease import DRIFT, Gateway
from gateway.supervision.tenancy import FOR_GOOD, Tenancy

DAWN = 1_800_000_000.0
"""The database's clock when the true time is 0."""

TTL = 3.0

FAULTS_FROM, FAULTS_TO = 2.0, 11.0
"""True time in which faults begin; the longest ends a little later."""

HEALED = 13.0
"""True time at which all faults are over."""

BOUND = 12.0
"""Seconds within which somebody holds then: a lease that runs out, one ttl for another configuration, two for whoever
has just handed over, and a statement that was lost."""

CALM = 3.5
"""Seconds in which nothing may change afterwards."""

STATEMENT = 2.0
"""Seconds after which the ledger gives a statement up."""

STEP = 1e-9
"""Seconds that running what is due takes at least."""

NEVER = float("inf")


class _Still(selectors.DefaultSelector):
    """A selector that waits for nothing: there is nothing outside of the world."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once."""
        del timeout
        return []


class OwnLoop(asyncio.SelectorEventLoop):
    """The event loop of one gateway; its clock runs `rate` times as fast as the true one."""

    def __init__(self, world: "World", rate: float, offset: float) -> None:
        """Begin with nothing to do."""
        self._world = world
        self._rate = rate
        self._offset = offset
        super().__init__(_Still())

    def time(self) -> float:
        """Return the gateway's own time."""
        return self._offset + self._world.now * self._rate

    def due(self) -> float:
        """Return the true time at which it has something to do."""
        if self._ready:  # type: ignore[attr-defined]  # asyncio's own
            return self._world.now
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        return (scheduled[0].when() - self._offset) / self._rate if scheduled else NEVER

    def step(self) -> None:
        """Run what is due."""
        self.call_soon(self.stop)
        self.run_forever()


class Line:
    """The ledger as one gateway reaches it."""

    def __init__(self, world: "World", node: "Node") -> None:
        """Begin with nothing asked."""
        self.world = world
        self.node = node
        self.last_error = ""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Send one transaction, and wait for its answer for a while."""
        future: asyncio.Future[T] = self.node.loop.create_future()
        self.world.send(self.node, work, future)
        try:
            async with asyncio.timeout(STATEMENT):
                return await future
        except TimeoutError as error:
            raise LedgerError("no answer") from error

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Nobody blocks here."""
        raise NotImplementedError

    def close(self) -> None:
        """Have nothing to let go of."""


class Node:
    """One process of a gateway."""

    def __init__(self, world: "World", name: str, config: str) -> None:
        """Start it."""
        self.world = world
        self.name = name
        self.config = config
        chance = world.random
        # clocks at the edges of what is allowed are the ones that show a mistake
        self.rate = chance.choice((1 - DRIFT, 1.0, 1 + DRIFT, chance.uniform(1 - DRIFT, 1 + DRIFT)))
        self.loop = OwnLoop(world, self.rate, chance.uniform(0.0, 10_000.0))
        self.loop.set_exception_handler(world.crashed)
        self.frozen_until = 0.0
        self.cut_until = 0.0
        self.slow_until = 0.0
        self.late_until = 0.0
        self.is_dead = False
        self.has_rooms = False
        self.begun = 0
        self.writer: asyncio.Task[None] | None = None
        me = Gateway(name, f"{len(world.nodes)}", f"http://{name}:7777", config)
        self.tenancy = Tenancy(
            "main", Line(world, self), me, TTL, self.loop, self.gained, self.lost, self.emit, world.clock
        )
        self.work: asyncio.Task[Any] = self.loop.create_task(self.tenancy.run())

    @property
    def is_running(self) -> bool:
        """Whether its code runs now."""
        return not self.is_dead and self.world.now >= self.frozen_until

    @property
    def is_cut(self) -> bool:
        """Whether nothing goes from it to the database, or back."""
        return self.world.now < self.cut_until

    def emit(self, event: Event) -> None:
        """Keep what is told."""
        self.world.events.append((round(self.world.now, 4), self.tenancy.me.instance, event))

    async def gained(self, term: int) -> None:
        """Begin to write."""
        self.begun += 1
        if self.has_rooms:
            self.world.wrong(f"{self} begins twice")
        self.has_rooms = True
        await asyncio.sleep(self.world.random.uniform(0.0, 0.2))
        ledger = HeldLedger(self.tenancy.news.ledger, self.tenancy, term)  # type: ignore[arg-type]  # a line is one
        self.writer = self.loop.create_task(self.write(ledger, term))

    async def lost(self) -> None:
        """End."""
        self.has_rooms = False
        if self.writer is not None:
            self.writer.cancel()
            self.writer = None

    async def write(self, ledger: HeldLedger, term: int) -> None:
        """Write for ever."""
        while True:
            with suppress(LedgerError):
                await ledger.run(lambda c: self.world.written(self, term, c))
            await asyncio.sleep(0.6)

    def __repr__(self) -> str:
        """Name and process."""
        return f"{self.name}/{self.tenancy.me.instance}"


class World:
    """A database and gateways."""

    def __init__(self, seed: int, plot: str = "") -> None:
        """Build everything at true time 0.

        Args:
            plot: the one fault that happens, to the holder; "" for any.
        """
        self.random = random.Random(seed)
        self.now = 0.0
        self.plot = plot
        self.store = _store()
        self.store.transact(lambda c: (c.execute(delete(rows)), c.execute(delete(meta))))
        self.events: list[tuple[float, str, Event]] = []
        self.nodes: list[Node] = []
        self.violations: list[str] = []
        self.seen: set[str] = set()
        """What happened at all, so that a history without faults is not taken for a proof."""
        self.writes = 0
        self.stopped_until = 0.0
        self.hangs_until = 0.0
        self.latency = self.random.choice((0.0005, 0.002, 0.02, 0.1))
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._held: set[Node] = set()
        for number in range(self.random.randint(2, 4)):
            config = "another" if number and self.random.random() < 0.1 else "c"
            self.start(f"gw-{number + 1}", config)

    def clock(self) -> float:
        """Return the time of the database."""
        return DAWN + self.now

    def start(self, name: str, config: str) -> None:
        """Start a process of a gateway."""
        self.nodes.append(Node(self, name, config))

    def crashed(self, _loop: object, context: dict[str, Any]) -> None:
        """Keep what nobody caught."""
        self.wrong(f"crashed: {context.get('exception') or context.get('message')!r}")

    def wrong(self, what: str) -> None:
        """Keep a violation."""
        if len(self.violations) < 20:
            self.violations.append(f"{self.now:.4f}: {what}")

    @property
    def alive(self) -> list[Node]:
        """Every process that was not killed."""
        return [node for node in self.nodes if not node.is_dead]

    @property
    def holder(self) -> Node | None:
        """Who says that it holds."""
        return next((node for node in self.alive if node.tenancy.is_held), None)

    # -- time -----------------------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a true time."""
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, what))

    def run_until(self, end: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until something is so at the latest."""
        while not until():
            node, when = None, self._heap[0][0] if self._heap else NEVER
            for one in self.nodes:
                if not one.is_dead:
                    due = max(one.loop.due(), one.frozen_until)
                    if due < when:
                        node, when = one, due
            if when > end:
                self.now = end
                return
            self.now = max(self.now, when)
            if node is None:
                heapq.heappop(self._heap)[2]()
            else:
                node.loop.step()
                self.judge()
                # a timer rings a little early by asyncio's own reckoning; where no time passed, whoever waits for the
                # last of it would ask for ever
                self.now += STEP

    def judge(self) -> None:
        """See that nobody holds beside another, and that rooms are ended before others begin."""
        holding = {node for node in self.nodes if not node.is_dead and node.tenancy.is_held}
        if len(holding) > 1:
            self.wrong(f"two hold: {sorted(map(repr, holding))}")
        for node in holding - self._held:
            for other in self.nodes:
                if other is not node and other.is_running and other.has_rooms:
                    self.wrong(f"{other} still has its rooms while {node} gains")
        self._held = holding

    # -- the database -----------------------------------------------------------------------------------------

    def send(self, node: Node, work: Callable[[Connection], Any], future: "asyncio.Future[Any]") -> None:
        """Carry a transaction to the database."""
        if node.is_cut:
            return
        delay = self.latency * self.random.uniform(0.2, 1.5)
        if self.now < node.slow_until:
            delay += self.random.choice((0.0, self.random.uniform(0.0, 4.0)))
        self.at(self.now + delay, lambda: self._carry_out(node, work, future))

    def _carry_out(self, node: Node, work: Callable[[Connection], Any], future: "asyncio.Future[Any]") -> None:
        """Do it, whoever still waits for it."""
        if self.now < self.stopped_until:
            self._answer(node, future, LedgerError("connection refused"), self.latency)
            return
        if self.now < self.hangs_until:
            # what was sent to a frozen database is carried out when it goes on
            self.at(self.hangs_until + self.latency * self.random.random(), lambda: self._carry_out(node, work, future))
            return
        result = self.store.transact(work)
        delay = self.latency * self.random.uniform(0.2, 1.5)
        if self.now < node.slow_until:
            if self.random.random() < 0.3:
                self.seen.add("an answer was lost")
                return
            delay += self.random.choice((self.random.uniform(0.0, 1.4), self.random.uniform(0.0, 4.0)))
        if self.now < node.late_until:
            delay += self.random.uniform(0.3, 0.5)
        self._answer(node, future, result, delay)

    def _answer(self, node: Node, future: "asyncio.Future[Any]", what: object, delay: float) -> None:
        """Bring an answer back."""

        def arrive() -> None:
            if not node.is_dead and not node.is_cut:
                node.loop.call_soon(_settle, future, what)

        self.at(self.now + delay, arrive)

    def written(self, node: Node, term: int, connection: Connection) -> None:
        """Be a transaction of a holder: is it the holder of this instant?"""
        self.writes += 1
        lease = leases.read(connection, "main", self.clock)
        if lease is None or (lease.instance, lease.term) != (node.tenancy.me.instance, term) or not lease.left:
            self.wrong(f"{node} wrote in term {term}, and the lease was {lease}")

    # -- faults -------------------------------------------------------------------------------------------------

    def fault(self) -> None:
        """Let something happen, if anybody is left."""
        if not self.alive:
            return
        kind = self.plot or self.random.choice(sorted(FAULTS))
        node = (self.holder if self.plot or self.random.random() < 0.7 else None) or self.random.choice(self.alive)
        lasts = self.random.choice((self.random.uniform(0.1, 2.0), self.random.uniform(2.0, 8.0)))
        self.seen.add(kind)
        FAULTS[kind](self, node, lasts)

    def kill(self, node: Node, lasts: float) -> None:
        """Kill a process; it is started again, by the same name."""
        self._end(node)
        self.at(min(self.now + lasts, HEALED), lambda: self.start(node.name, node.config))

    def freeze(self, node: Node, lasts: float) -> None:
        """Freeze a process."""
        node.frozen_until = self.now + lasts

    def cut(self, node: Node, lasts: float) -> None:
        """Cut a gateway from the database."""
        node.cut_until = min(self.now + lasts, HEALED)

    def slow(self, node: Node, lasts: float) -> None:
        """Let its statements be slow, and some of their answers get lost."""
        node.slow_until = self.now + lasts

    def late_then_cut(self, node: Node, _lasts: float) -> None:
        """Let answers be a little late, then let none come."""
        node.late_until = self.now + self.random.uniform(1.5, 3.0)
        self.at(node.late_until, lambda: self.cut(node, 6.0))

    def stop_database(self, _node: Node, lasts: float) -> None:
        """Stop the database; it refuses whatever comes."""
        self.stopped_until = self.now + lasts

    def hang_database(self, _node: Node, lasts: float) -> None:
        """Freeze the database; what it was sent it carries out later."""
        self.hangs_until = self.now + lasts

    def hand_over(self, node: Node, _lasts: float) -> None:
        """Let an operator hand over."""
        node.loop.create_task(node.tenancy.handover())

    def leave(self, node: Node, lasts: float) -> None:
        """Let a gateway be stopped as it should be, and started anew."""

        async def go() -> None:
            await node.tenancy.handover(FOR_GOOD)
            self.at(self.now, lambda: None if node.is_dead else self.kill(node, lasts))

        node.loop.create_task(go())

    def _end(self, node: Node) -> None:
        """End a process without a word."""
        if node.is_dead:
            return
        node.is_dead = True
        node.loop.set_exception_handler(lambda *_: None)
        node.cut_until = NEVER
        tasks = asyncio.all_tasks(node.loop)
        for task in tasks:
            task.cancel()
        for _ in range(5):
            node.loop.step()
        node.loop.close()

    def heal(self) -> None:
        """End every fault."""
        self.stopped_until = self.hangs_until = 0.0
        for node in self.nodes:
            node.frozen_until = node.cut_until = node.slow_until = node.late_until = 0.0

    def close(self) -> None:
        """End every process."""
        for node in self.nodes:
            self._end(node)


FAULTS: dict[str, Callable[[World, Node, float], None]] = {
    "kill": World.kill,
    "freeze": World.freeze,
    "cut": World.cut,
    "slow": World.slow,
    "late, then cut": World.late_then_cut,
    "stop the database": World.stop_database,
    "hang the database": World.hang_database,
    "hand over": World.hand_over,
    "leave": World.leave,
}
"""What goes wrong, by name."""


def history(seed: int, plot: str = "") -> World:
    """Live one history and return the world as it is then, judged and closed."""
    world = World(seed, plot)
    try:
        _live(world)
    finally:
        world.close()
    return world


def _live(world: World) -> None:
    world.run_until(1.0 + 5 * TTL, until=lambda: world.holder is not None)
    first = world.holder
    if first is None or world.now > 1.5:
        world.wrong("nobody gained the lease in peace")
    for _ in range(world.random.randint(1, 5)):
        world.at(world.random.uniform(FAULTS_FROM, FAULTS_TO), world.fault)
    world.run_until(FAULTS_FROM)
    if world.holder is not first or first is None or first.begun != 1:
        world.wrong("the lease changed hands in peace")
    world.run_until(HEALED)
    world.at(HEALED, world.heal)
    world.run_until(HEALED + 0.001)
    world.run_until(HEALED + BOUND, until=lambda: world.holder is not None)
    if world.holder is None:
        world.wrong("nobody holds after the faults")
        return
    _stay_calm(world)


def _stay_calm(world: World) -> None:
    """See that nothing changes any more, once gateways that were told to go have gone."""
    world.run_until(world.now + TTL)
    world.run_until(world.now + BOUND, until=lambda: world.holder is not None)
    holder, begun, writes = world.holder, sum(node.begun for node in world.nodes), world.writes
    world.run_until(world.now + CALM)
    if world.holder is not holder or sum(node.begun for node in world.nodes) != begun:
        world.wrong("the lease changes hands while all is well")
    if world.writes < writes + 3:
        world.wrong("the holder writes nothing")


def _settle(future: "asyncio.Future[Any]", what: object) -> None:
    if future.done():
        return
    if isinstance(what, LedgerError):
        future.set_exception(what)
    else:
        future.set_result(what)


@functools.cache
def _store() -> InlineLedger:
    """Return the database that histories use one after another: statements stay compiled."""
    store = InlineLedger(None)
    for table in (rows, meta):
        table.create(store.engine)
    return store
