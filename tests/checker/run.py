"""One run from start to verdict.

Rule: in this order: start everything with a wallet that nobody used, let the clients work while the faults happen,
heal, wait (bounded) until all is well, ask once more what was told, stop everything, judge.
"""

import ast
import asyncio
import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.fleet import RpcError
from gateway.sandbox.node import SYNC_DELAY
from tests.checker.calls import Caller
from tests.checker.clients import Common, cast, coins
from tests.checker.cluster import ClusterWorld
from tests.checker.evidence import chain_events, gather
from tests.checker.excuses import CLOSING
from tests.checker.gateway import DAY_LIMIT, GATEWAY, USUAL, Bounds
from tests.checker.history import ALLOCATIONS, Deed, Diary, address_of, bare
from tests.checker.judge import FINAL, judge
from tests.checker.leaks import leaks
from tests.checker.plan import DAEMONS, Fault, plan
from tests.checker.report import Summary, page, summarize
from tests.checker.restarts import RestartingWorld
from tests.checker.site import Site
from tests.checker.world import World

COINS = 24
"""Coins that the wallet is given, so that many payments can be under way."""

COIN = 1_000_000
"""Satoshi of each."""

READY = 20.0
"""Seconds in which a thing is done that nothing stands in the way of."""

OPEN = 40.0
"""Seconds in which the gateway has to hand out its first address, the start of three daemons among them."""

SETTLED = 30.0
"""Seconds in which all has to be well again after the faults."""

QUIET = 1.5
"""Seconds that are given to what is done in the background, such as labels on standbys, before the last look."""


@dataclass(frozen=True)
class Options:
    """How a run is made.

    faults: None takes those of the seed.
    only: names of tasks, None for all.
    keyed: the share of payments that have a key.
    pause: what all pauses of clients are multiplied with.
    quiet: seconds before the first client begins, in which the gateway's own work comes to an end.
    restarts: whether the gateway starts and restarts the daemons; None: where the seed is even.
    sync_delay: seconds until a daemon has saved a new address.
    gateways: how many; several share a database, and start no daemons.
    """

    seed: int
    seconds: float = 20.0
    faults: Sequence[Fault] | None = None
    only: frozenset[str] | None = None
    has_ledger: bool = True
    launcher: Sequence[str] = GATEWAY
    keeps: bool = False
    pause: float = 1.0
    keyed: float = 0.6
    bounds: Bounds = USUAL
    quiet: float = 0.0
    restarts: bool | None = None
    sync_delay: float = SYNC_DELAY
    gateways: int = 1
    folder: Path | None = None
    """Where the run's own folder is made; the system's place for such things when None."""

    @property
    def has_restarts(self) -> bool:
        """Whether the gateway starts and restarts the daemons."""
        if self.gateways > 1:
            return False
        return self.seed % 2 == 0 if self.restarts is None else self.restarts


def run(options: Options) -> Summary:
    """Make one run and judge it; must be called in a thread that lasts as long."""
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"checker-{options.seed}-", dir=options.folder))
    with _world(options, folder) as world:
        asyncio.run(_live(world, options))
        looks = world.look()
        if isinstance(world, ClusterWorld):
            world.write_holdings()
        (folder / "chain.json").write_text(json.dumps(chain_events(world.fleet.chain_port)), encoding="utf-8")
    limit = DAY_LIMIT if options.has_ledger else None
    evidence = gather(folder, has_ledger=options.has_ledger, day_limit=limit)
    violations = [*judge(evidence), *leaks(folder, world.secrets, looks)]
    summary = summarize(options.seed, options.seconds, evidence, violations, str(folder))
    (folder / "report.md").write_text(page(summary), encoding="utf-8")
    if not options.keeps and not violations:
        shutil.rmtree(folder)
        summary = summarize(options.seed, options.seconds, evidence, violations, "")
    return summary


def attempt(options: Options) -> Summary | str:
    """Make one run; return in words why it could not be made, where that is so."""
    try:
        return run(options)
    except Exception as error:  # noqa: BLE001 - a world that cannot be set up says nothing of the others
        return f"seed {options.seed}: COULD NOT BE MADE; {type(error).__name__}: {error}\n{traceback.format_exc()}"


def _world(options: Options, folder: Path) -> World:
    more: dict[str, Any] = {
        "has_ledger": options.has_ledger,
        "launcher": options.launcher,
        "bounds": options.bounds,
        "sync_delay": options.sync_delay,
    }
    if options.gateways > 1:
        return ClusterWorld(folder, options.seed, gateways=options.gateways, **more)
    return (RestartingWorld if options.has_restarts else World)(folder, options.seed, **more)


async def _live(world: World, options: Options) -> None:
    with ExitStack() as stack:
        diaries: dict[str, Diary] = {}

        def diary(client: str) -> Diary:
            if client not in diaries:
                diaries[client] = Diary(world.folder / f"client-{client or 'none'}.jsonl")
                stack.callback(diaries[client].close)
            return diaries[client]

        auditor = Caller(world, diary("auditor"), "auditor", "auditor")
        await wait_until_open(auditor)
        await fund(world, auditor, options.seed)
        await asyncio.sleep(options.quiet)
        common = Common(
            world,
            options.seed,
            diary,
            ends_at=time.monotonic() + options.seconds,
            keyed=options.keyed,
            pause=options.pause,
        )
        faults = options.faults
        if faults is None:
            faults = plan(
                options.seed, options.seconds, restarts=options.has_restarts, gateways=options.gateways,
                without=world.without,
            )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for work, task in cast(common, options.only):
                group.create_task(work(task))  # type: ignore[arg-type]  # an Awaitable that is a coroutine
            for fault in faults:
                group.create_task(_later(world, fault, common.ends_at))
        await world.heal()
        is_settled, status = await settle(world, auditor)
        await afterwards(world, auditor)
        await write_finals(world, status, is_settled=is_settled)


async def wait_until_open(auditor: Caller) -> None:
    """Wait until addresses are handed out: then the wallet is taken over, and its first addresses are foreign."""
    end = time.monotonic() + OPEN
    while address_of(await auditor.call("createnewaddress")) is None:
        if time.monotonic() > end:
            raise RuntimeError("the gateway hands out no address though all is well")
        await asyncio.sleep(0.2)


async def fund(world: Site, auditor: Caller, seed: int) -> None:
    """Give the wallet its coins, on addresses that it listed before the gateway came."""
    for n in range(COINS):
        address = addresses.derive(f"checker {seed}", change=False, index=n % 10)
        await world.pay(bare(address.text), COIN)
    await world.mine()
    end = time.monotonic() + READY
    while await _balance(auditor) != COINS * COIN:
        if time.monotonic() > end:
            raise RuntimeError("the wallet does not show its coins though all is well")
        await asyncio.sleep(0.2)


async def _balance(auditor: Caller) -> int:
    """Return the confirmed balance, satoshi; 0 where none was answered."""
    op = await auditor.call("getbalance")
    if not op.is_answered or not isinstance(op.result, dict):
        return 0
    return round(float(op.result.get("confirmed", 0)) * 100_000_000)


async def _later(world: World, fault: Fault, ends_at: float) -> None:
    """Carry out a fault at its time; what is left of it when the clients stop is cut off."""
    begins = ends_at - time.monotonic()
    await asyncio.sleep(fault.at)
    lasts = max(0.0, min(fault.lasts, begins - fault.at))
    await world.do(replace(fault, lasts=lasts))


async def settle(world: Site, auditor: Caller) -> tuple[bool, dict[str, Any]]:
    """Wait until the gateway says that every backend is in service and aligned."""
    begin, end = time.time(), time.monotonic() + SETTLED
    status: dict[str, Any] = {}
    is_settled = False
    while not is_settled and time.monotonic() < end:
        await asyncio.sleep(0.3)
        op = await auditor.call("gateway.status")
        await auditor.call("version")  # a call closes a circuit that is half open
        if op.is_answered:
            status = op.result
            is_settled = all(one["phase"] == "READY" and one["aligned"] for one in status["backends"])
    world.diary.write(Deed("settled", None, begin, time.time(), is_settled))
    return is_settled, status


async def afterwards(world: Site, auditor: Caller) -> None:
    """Ask for more addresses, confirm what waits, and read what was told."""
    for n in range(CLOSING):
        method = ALLOCATIONS[n % len(ALLOCATIONS)]
        params = (coins(10_000 + n), f"afterwards {n}") if method == "addrequest" else ()
        await auditor.call(method, *params)
    await world.mine(2)
    end = time.monotonic() + READY
    while time.monotonic() < end:
        # The state of an invoice follows the chain a little later: the last look is the one that is judged.
        op = await auditor.call("listrequests")
        statuses = [one["status"] for one in op.result] if op.is_answered else ["Unconfirmed"]
        if "Unconfirmed" not in statuses and op.end - op.begin < 1.0 and time.monotonic() > end - READY + QUIET:
            break
        await asyncio.sleep(0.3)
    await auditor.call("listrequests", note=FINAL)


async def write_finals(world: Site, status: dict[str, Any], *, is_settled: bool) -> None:
    """Ask each daemon itself what it lists at the end."""
    backends = status.get("backends", [])
    aligned = [n for n, one in enumerate(backends) if one["phase"] == "READY" and one["aligned"]]
    listed: dict[int, list[str]] = {}
    labels: dict[int, dict[str, str]] = {}
    for n in range(DAEMONS):
        try:
            receiving = await asyncio.to_thread(world.fleet.rpc, n, "listaddresses", True)  # noqa: FBT003 - the daemon's
            named = await asyncio.to_thread(world.fleet.rpc, n, "listaddresses", receiving=True, labels=True)
        except (OSError, RpcError):
            continue
        listed[n] = [bare(one) for one in receiving]
        # the daemon writes a label as Python writes a text
        labels[n] = {bare(address): str(ast.literal_eval(text)) for address, text in named if len(text) > len("''")}
    ailing = [one for one in backends if one["phase"] != "READY" or not one["aligned"]]
    finals = {
        "is_settled": is_settled,
        "aligned": aligned,
        "listed": listed,
        "labels": labels,
        "note": "" if is_settled else json.dumps(ailing),
    }
    (world.folder / "finals.json").write_text(json.dumps(finals), encoding="utf-8")
