"""What the clients of a run do, each until its end: allocate, read, pay, label, leave; and customers who pay them.

Rule: every choice comes from the seed and the name of the task; every payment has a destination of its own, and every
label a text of its own, by which the judge finds it in journals and on the chain.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox import addresses
from tests.checker.calls import Caller
from tests.checker.history import ALLOCATIONS, ERROR, RESULT, Diary, Op, address_of
from tests.checker.site import Site

LEAVES = 0.1
"""The share of calls in which the client hangs up."""


@dataclass
class Common:
    """What the clients of a run know of each other."""

    world: Site
    seed: int
    diary: Callable[[str], Diary]
    """A client's diary by its name."""
    ends_at: float = 0.0
    """When they stop, monotonic."""
    handed: list[str] = field(default_factory=list)
    invoices: dict[str, int] = field(default_factory=dict)
    """Open ones that a customer may pay: address and satoshi."""
    payments: "itertools.count[int]" = field(default_factory=itertools.count)
    keyed: float = 0.6
    """The share of payments that have a key."""
    pause: float = 1.0
    """What all pauses are multiplied with."""

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.ends_at

    def take(self, op: Op) -> None:
        """Note what an allocation brought."""
        address = address_of(op)
        if address is not None:
            self.handed.append(address)


@dataclass(frozen=True, slots=True)
class Task:
    """One task of one client: its choices and its calls."""

    common: Common
    caller: Caller
    chance: random.Random

    async def pause(self, shortest: float, longest: float) -> None:
        """Do nothing for a while."""
        await asyncio.sleep(self.chance.uniform(shortest, longest) * self.common.pause)

    def leaves(self) -> float | None:
        """Return after how many seconds to hang up, mostly never."""
        # half of them within the few milliseconds that an answer takes, so that it is under way
        longest = 0.004 if self.chance.random() < 0.5 else 0.06
        return self.chance.uniform(0.0, longest) if self.chance.random() < LEAVES else None


Work = Callable[[Task], Awaitable[None]]


async def allocate(task: Task) -> None:
    """Get addresses by all three ways; open invoices, and take some back."""
    common = task.common
    number = 0
    while common.goes_on:
        method = task.chance.choice(ALLOCATIONS)
        number += 1
        params: tuple[Any, ...] = ()
        sats = task.chance.randrange(10_000, 900_000)
        if method == "addrequest":
            params = (coins(sats), f"{task.caller.task} {number}", 3600)
        op = await task.caller.call(method, *params, leave_after=task.leaves())
        common.take(op)
        address = address_of(op)
        if method == "addrequest" and address is not None:
            if task.chance.random() < 0.15:
                await task.pause(0.0, 0.5)
                await task.caller.call("rmrequest", address)
            else:
                common.invoices[address] = sats
        await task.pause(0.02, 0.25)


async def read(task: Task) -> None:
    """Ask for what was told before."""
    common = task.common
    while common.goes_on:
        kind = task.chance.random()
        if kind < 0.45 and common.handed:
            recent = common.handed[-12:] if task.chance.random() < 0.5 else common.handed
            await task.caller.call("ismine", task.chance.choice(recent), leave_after=task.leaves())
        elif kind < 0.6:
            await task.caller.call("getbalance", leave_after=task.leaves())
        elif kind < 0.75 and common.invoices:
            await task.caller.call("getrequest", task.chance.choice(list(common.invoices)))
        elif kind < 0.85:
            await task.caller.call("listrequests")
        elif kind < 0.93:
            await task.caller.call("listaddresses", True)  # noqa: FBT003 - of the daemon's own method: receiving ones
        else:
            await task.caller.call("gateway.status")
        await task.pause(0.01, 0.12)


async def pay(task: Task) -> None:
    """Pay out, with keys and without, and do what a client does that was told nothing."""
    while task.common.goes_on:
        number = next(task.common.payments)
        destination = customer(task.common.seed, number)
        sats = task.chance.randrange(20_000, 90_000)
        if task.chance.random() < task.common.keyed:
            signed = await _sign_with_key(task, f"order {number}", destination, sats)
        else:
            op = await task.caller.call("payto", destination, coins(sats), leave_after=task.leaves())
            signed = hex_of(op)
        if signed is not None and task.chance.random() < 0.93:
            await _broadcast(task, signed)
        await task.pause(0.05, 0.5)


async def label(task: Task) -> None:
    """Name addresses, each once."""
    common = task.common
    named: set[str] = set()
    while common.goes_on:
        fresh = [one for one in common.handed if one not in named]
        if fresh:
            address = task.chance.choice(fresh)
            named.add(address)
            text = f"{task.caller.task} label {len(named)}"
            await task.caller.call("setlabel", addresses.parse(f"bchreg:{address}").legacy, text)
        await task.pause(0.1, 0.6)


async def buy(task: Task) -> None:
    """Pay invoices on the chain, each once and in full, and find blocks."""
    common = task.common
    paid: set[str] = set()
    while common.goes_on:
        unpaid = [one for one in common.invoices if one not in paid]
        if unpaid and task.chance.random() < 0.7:
            address = task.chance.choice(unpaid)
            paid.add(address)
            await common.world.pay(address, common.invoices[address])
        if task.chance.random() < 0.25:
            await common.world.mine()
        await task.pause(0.2, 1.0)


CAST: tuple[tuple[str, str, Work], ...] = (
    ("shop", "desk-1", allocate),
    ("shop", "desk-2", allocate),
    ("web", "desk-3", allocate),
    ("shop", "eye-1", read),
    ("web", "eye-2", read),
    ("till", "payer-1", pay),
    ("till", "payer-2", pay),
    ("kiosk", "payer-3", pay),
    ("shop", "namer", label),
    ("", "customer", buy),
)
"""Client, task, what it does."""


def cast(common: Common, only: frozenset[str] | None = None) -> list[tuple[Work, Task]]:
    """Return the tasks of a run, all or those with some names."""
    return [
        (
            work,
            Task(
                common,
                Caller(common.world, common.diary(client), client, name),
                random.Random(f"{name} {common.seed}"),
            ),
        )
        for client, name, work in CAST
        if only is None or name in only
    ]


async def _sign_with_key(task: Task, key: str, destination: str, sats: int) -> str | None:
    """Sign under a key, again where the outcome is not known; now and then once more, or with other parameters."""
    signed = None
    for _ in range(4):
        op = await task.caller.call("payto", destination, coins(sats), key=key, leave_after=task.leaves())
        signed = hex_of(op)
        if signed is not None or op.kind in {"limit_exceeded", "method_refused", "key_reused"}:
            break
        if op.how == ERROR and not op.kind:
            break  # the daemon's own word, such as too few coins
        await task.pause(0.1, 0.6)
    if task.chance.random() < 0.15:
        await task.caller.call("payto", destination, coins(sats + 1), key=key, note="other parameters")
    if task.chance.random() < 0.2:
        again = hex_of(await task.caller.call("payto", destination, coins(sats), key=key, note="the same again"))
        signed = signed or again
    return signed


async def _broadcast(task: Task, signed: str) -> None:
    for _ in range(3):
        op = await task.caller.call("broadcast", signed, leave_after=task.leaves())
        if op.how == RESULT and isinstance(op.result, list) and "did not answer" not in str(op.result[1:]):
            return
        await task.pause(0.1, 0.6)


def hex_of(op: Op) -> str | None:
    """Return the signed bytes that a payto was answered with."""
    if op.is_answered and isinstance(op.result, dict) and op.result.get("complete") is True:
        return str(op.result["hex"])
    return None


def coins(sats: int) -> str:
    """Return an amount as clients write it."""
    return f"{sats // 100_000_000}.{sats % 100_000_000:08d}"


def customer(seed: int, number: int) -> str:
    """Return the address that a payment goes to; no two payments share one."""
    return addresses.derive(f"customers {seed}", change=False, index=number).text
