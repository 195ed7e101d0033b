"""Who works in a run: readers, allocators, payers and batches, each at its rate.

Rule: a call begins at its time, whether or not those before it have ended, as many customers do it; every choice comes
from the seed and the name of the task; every payment has a destination of its own, by which the judge finds it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chaos.callers import Client
from gateway.sandbox import addresses
from tests.checker.clients import CAST, Common, Task, coins, customer, hex_of
from tests.checker.history import address_of

READS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("validateaddress", ("",)),
    ("getbalance", ()),
    ("history", ()),
    ("listaddresses", (True,)),
)
"""What a payment service asks by turns; an empty text stands for an address of the wallet."""

INVOICES = 0.5
"""The share of allocations that are invoices."""

KEYED = 0.6
"""The share of payments that have a key."""

TRIES = 4
"""How often a client asks again for a payment of which it was told nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a workload.

    Args:
        work: what one call, or one payment, is.
        rate: how many begin in a second.
        client: whose name they come under.
    """

    work: "Work"
    rate: float
    client: str = "shop"

    @property
    def kind(self) -> str:
        """What it is called in figures."""
        return self.work.__name__


@dataclass
class Shared(Common):
    """What all who work know of each other."""

    paid: set[str] = field(default_factory=set)
    """Invoices that a customer has paid."""


@dataclass
class Turn:
    """One call that begins now."""

    common: Shared
    client: Client
    number: int
    chance: random.Random


Work = Callable[[Turn], Awaitable[None]]


async def read(turn: Turn) -> None:
    """Ask for one of the things that a service asks for, and now and then for an address that was handed out."""
    common = turn.common
    if common.handed and turn.number % 8 == 7:
        await turn.client.call("ismine", turn.chance.choice(common.handed))
        return
    method, params = READS[turn.number % len(READS)]
    known = addresses.derive(f"checker {common.seed}", change=False, index=turn.number % 10).text
    await turn.client.call(method, *(known if one == "" else one for one in params))


async def allocate(turn: Turn) -> None:
    """Get an address, by an invoice or without."""
    if turn.chance.random() < INVOICES:
        sats = turn.chance.randrange(10_000, 900_000)
        op = await turn.client.call("addrequest", coins(sats), f"{turn.client.task} {turn.number}", 3600)
        address = address_of(op)
        if address is not None:
            turn.common.invoices[address] = sats
    else:
        op = await turn.client.call("createnewaddress")
    turn.common.take(op)


async def pay(turn: Turn) -> None:
    """Pay out, with a key or without, and broadcast; with a key, ask again where nothing was told."""
    destination = customer(turn.common.seed, next(turn.common.payments))
    amount = coins(turn.chance.randrange(20_000, 90_000))
    key = f"order {turn.client.task} {turn.number}" if turn.chance.random() < KEYED else None
    signed = None
    for _ in range(TRIES if key is not None else 1):
        op = await turn.client.call("payto", destination, amount, key=key)
        signed = hex_of(op)
        if signed is not None or op.executed != "unknown" or not turn.common.goes_on:
            break
        await asyncio.sleep(turn.chance.uniform(0.1, 0.5))
    if signed is not None:
        await turn.client.call("broadcast", signed)


async def batch(turn: Turn) -> None:
    """Ask for several things at once."""
    known = addresses.derive(f"checker {turn.common.seed}", change=False, index=turn.number % 10).text
    calls: list[tuple[str, tuple[object, ...]]] = [("getbalance", ()), ("validateaddress", (known,)), ("history", ())]
    if turn.common.handed:
        calls.append(("ismine", (turn.chance.choice(turn.common.handed),)))
    await turn.client.batch(calls)


async def buy(turn: Turn) -> None:
    """Pay an open invoice on the chain, and now and then find a block."""
    unpaid = sorted(set(turn.common.invoices) - turn.common.paid)
    if unpaid:
        address = turn.chance.choice(unpaid)
        turn.common.paid.add(address)
        await turn.common.world.pay(address, turn.common.invoices[address])
    if turn.number % 4 == 3:
        await turn.common.world.mine()


@dataclass(frozen=True, slots=True)
class Workload:
    """Who works.

    Args:
        parts: with their rates.
        cast: whether the checker's own clients work too, who label, hang up and remove invoices.
    """

    words: str
    parts: tuple[Part, ...]
    cast: bool = False

    @property
    def allocates(self) -> bool:
        """Whether somebody asks for addresses."""
        return self.cast or any(part.work is allocate for part in self.parts)


WORKLOADS = {
    "readers": Workload("40 reads a second", (Part(read, 40.0),)),
    "counter": Workload("40 reads and 3 addresses or invoices a second", (Part(read, 40.0), Part(allocate, 3.0))),
    "trickle": Workload("6 reads and 6 addresses a minute", (Part(read, 0.1), Part(allocate, 0.1))),
    "shop": Workload(
        "20 reads, 4 addresses or invoices, 1 payment, 1 batch a second; customers pay",
        (Part(read, 20.0), Part(allocate, 4.0), Part(pay, 1.0, "till"), Part(batch, 1.0), Part(buy, 0.5)),
    ),
    "money": Workload(
        "10 addresses or invoices and 4 payments a second, 5 reads; customers pay",
        (Part(allocate, 10.0), Part(pay, 4.0, "till"), Part(read, 5.0), Part(buy, 2.0)),
    ),
    "mixed": Workload("the checker's ten clients, and 5 reads a second", (Part(read, 5.0),), cast=True),
}


@dataclass
class Crew:
    """All who work in a run, until its end.

    Args:
        make: gives a client by its name and its task.
    """

    common: Shared
    make: Callable[[str, str], Client]
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def work(self, workload: Workload, seconds: float) -> None:
        """Work for so many seconds, and let the calls under way end."""
        self.common.ends_at = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for n, part in enumerate(workload.parts):
                group.create_task(self._part(part, n, len(workload.parts)))
            if workload.cast:
                for client, name, work in CAST:
                    chance = random.Random(f"{name} {self.common.seed}")
                    task = Task(self.common, self.make(client, name), chance)
                    group.create_task(work(task))  # type: ignore[arg-type]  # an Awaitable that is a coroutine

    async def _part(self, part: Part, place: int, of: int) -> None:
        began = time.monotonic()
        # spread, so that they do not all begin in one moment
        offset = place / of / part.rate
        number = 0
        name = f"{part.kind}-{place}"
        chance = random.Random(f"{name} {self.common.seed}")
        client = self.make(part.client, name)
        async with asyncio.TaskGroup() as group:
            while True:
                at = began + offset + number / part.rate
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                if not self.common.goes_on:
                    return
                turn = Turn(self.common, client, number, random.Random(chance.random()))
                group.create_task(part.work(turn))  # type: ignore[arg-type]  # the same
                number += 1
