"""Three sandbox daemons kept alike by the real wire: balances, labels, freezes, change addresses, a wallet file."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.base.config import Backend, Health, Settings, Wallet
from gateway.ledger import epochs, marks
from gateway.ledger.marks import FREEZE, FREEZE_UTXO, GATEWAY, LABEL
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger
from gateway.plant import Plant, build_wallet
from gateway.sandbox import addresses
from gateway.sandbox.fleet import Fleet
from gateway.supervision.reconcile import Reconciler
from gateway.supervision.reinit import KEPT, Reinit
from gateway.upstream.target import Target
from gateway.upstream.wire import Wire
from tests.fakes import Recorder
from tests.integration.gateway_process import PATIENCE

T = TypeVar("T")

GRACE = 0.6
FROZEN, CHANGE = (False, False, False, True), (False, True)
"""Parameters of listaddresses."""

NOBODY = addresses.derive("somebody else", change=False, index=0).text


class Shop:
    """The core of a gateway and its reconciler in front of a fleet, on this loop."""

    def __init__(self, fleet: Fleet) -> None:
        """Build it all; must run on a loop."""
        self.fleet = fleet
        self.loop = asyncio.get_running_loop()
        names = [f"ec-{n + 1}" for n in range(len(fleet))]
        rows = tuple(Backend(name=name, url=fleet.url(n)) for n, name in enumerate(names))
        quick = Health(probe_interval=0.2, probe_timeout=0.5, wedged_after=1.0, slow_start=0.1)
        settings = Settings(anonymous=True, wallets={"main": Wallet(backends=rows, expect_return=5.0)}, health=quick)
        self.wire = Wire(connect=1.0, write=2.0, max_head=1 << 16, max_body=1 << 26, resolve_ttl=30.0)
        targets = {
            name: Target.make(fleet.url(n), fleet.user, fleet.password, keep_alive=False)
            for n, name in enumerate(names)
        }
        self.recorder = Recorder()
        self.plant: Plant = build_wallet(
            "main", settings, wire=self.wire, targets=targets, watcher=self.recorder, emit=self.recorder.emit,
            chance=lambda: 0.5, loop=self.loop,
        )  # fmt: skip
        self.pool = self.plant.pool
        self.ledger = InlineLedger(None)
        metadata.create_all(self.ledger.engine)
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", names, 1.0))
        self.reconciler = Reconciler(
            self.pool, self.plant.profile, self.ledger, self.plant.runner.call_on, self.loop, period=1.0, grace=GRACE
        )  # fmt: skip

    async def daemon(self, number: int, method: str, *params: object) -> Any:
        """Ask a daemon directly."""
        return await asyncio.to_thread(self.fleet.rpc, number, method, *params)

    def mark(self, kind: str, key: str, value: str, owner: str = marks.CLIENT) -> None:
        """Write a mark down and tell of it."""
        change = self.ledger.transact(lambda c: marks.put(c, "main", kind, key, value, owner, 1.0))
        assert change is not None
        self.reconciler.marked("", change)

    def is_whole(self) -> bool:
        """Whether all daemons serve, are aligned, and may read and sign."""
        return all(
            one.may_serve
            and self.pool.is_aligned(one)
            and self.reconciler.may_sign(one)
            and self.reconciler.may_read(one)
            for one in self.pool.backends
        )

    async def until(self, holds: Callable[[], Awaitable[object] | object], what: str) -> None:
        """Wait until something holds."""
        end = self.loop.time() + PATIENCE
        while True:
            found = holds()
            if await found if isinstance(found, Awaitable) else found:
                return
            assert self.loop.time() < end, f"never happened: {what} ({self.pool.backends}, {self.recorder.names()})"
            await asyncio.sleep(0.05)


Scene = Callable[[Shop], Coroutine[Any, Any, None]]


def play(fleet: Fleet, scene: Scene) -> None:
    """Play a scene once all daemons are whole."""

    async def live() -> None:
        shop = Shop(fleet)
        shop.plant.start()
        task = asyncio.create_task(shop.reconciler.run())
        try:
            await shop.until(shop.is_whole, "all daemons are whole")
            await scene(shop)
            assert not task.done(), task
        finally:
            await shop.reconciler.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await shop.plant.stop()
            await shop.wire.close()
            shop.ledger.close()

    asyncio.run(live())


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Fleet]:
    """Three daemons with one coin, for this test alone."""
    with Fleet(3, tmp_path) as three:
        three.chain("fund", address=three.rpc(0, "listaddresses")[0], sats=9_000_000)
        three.chain("mine", blocks=1)
        yield three


@pytest.mark.parametrize("number", [0, 2])
def test_a_balance_that_is_wrong_is_cured_by_a_reload(own: Fleet, number: int) -> None:
    """The primary's as well as a standby's, while the daemon claims to be in step all the time."""
    own.chain("fund", address=own.rpc(0, "listaddresses")[1], sats=1_000_000)
    own.chain("mine", blocks=1)

    async def scene(shop: Shop) -> None:
        right = await shop.daemon(1, "getbalance")
        await asyncio.to_thread(own.control, number, "wrong_balance")
        wrong = await shop.daemon(number, "getbalance")
        assert wrong != right

        async def is_right() -> bool:
            return bool(await shop.daemon(number, "getbalance") == right)

        await shop.until(is_right, "the balance is right")
        await shop.until(shop.is_whole, "all daemons are whole again")
        closed = [sum(row["method"] == "close_wallet" for row in own.journal(n)) for n in range(3)]
        assert closed == [int(n == number) for n in range(3)]

    play(own, scene)


def test_labels_and_freezes_reach_all_daemons_and_come_back_after_a_kill(own: Fleet) -> None:
    """An address, a coin, a label; what a killed standby and a killed primary lost they have again."""

    async def scene(shop: Shop) -> None:
        address = str((await shop.daemon(0, "listaddresses"))[0])
        coin = (await shop.daemon(0, "listunspent"))[0]
        outpoint = f"{coin['prevout_hash']}:{coin['prevout_n']}"
        shop.mark(LABEL, coin["prevout_hash"], "first sale")
        shop.mark(FREEZE, marks_key(address), "1")
        shop.mark(FREEZE_UTXO, outpoint, "1", GATEWAY)

        async def has_all(number: int) -> bool:
            labels = {one["label"] for one in await shop.daemon(number, "history")}
            frozen = await shop.daemon(number, "listaddresses", *FROZEN)
            coins = await shop.daemon(number, "listunspent")
            return labels == {"first sale"} and frozen == [address] and coins[0]["is_frozen_coin"]

        for number in range(3):
            await shop.until(lambda n=number: has_all(n), f"daemon {number} has them")  # type: ignore[misc]  # bound
        for number in (2, 0):
            await asyncio.to_thread(own.kill, number)
            await shop.until(lambda n=number: not shop.pool.backends[n].may_serve, "its death is seen")  # type: ignore[misc]  # bound
            await shop.until(lambda n=number: not shop.reconciler.may_sign(shop.pool.backends[n]), "it may not sign")  # type: ignore[misc]  # bound
            await asyncio.to_thread(own.start, number)
            await shop.until(lambda n=number: has_all(n), f"daemon {number} has them again")  # type: ignore[misc]  # bound
        await shop.until(shop.is_whole, "all daemons are whole again")
        shop.mark(FREEZE, marks_key(address), "")

        async def is_lifted() -> bool:
            return not any([await shop.daemon(n, "listaddresses", *FROZEN) for n in range(3)])

        await shop.until(is_lifted, "the freeze is lifted everywhere")

    play(own, scene)


def marks_key(address: str) -> str:
    """An address as the ledger has it."""
    return address.rpartition(":")[2]


def test_after_thirty_payouts_without_a_block_every_daemon_sees_the_change(own: Fleet) -> None:
    """The primary pays, the standbys derive what it used: the same balance, and each could sign the next one."""

    async def scene(shop: Shop) -> None:
        for _ in range(30):
            signed = await shop.daemon(0, "payto", NOBODY, "0.001")
            assert await shop.reconciler.level(5.0)
            assert (await shop.daemon(0, "broadcast", signed["hex"]))[0] is True
            shop.reconciler.stirred()
            await shop.until(shop.is_whole, "all daemons are whole after a payout")

        async def are_alike() -> bool:
            return (
                len({str(await shop.daemon(n, "getbalance")) for n in range(3)}) == 1
                and len({len(await shop.daemon(n, "listaddresses", *CHANGE)) for n in range(3)}) == 1
            )

        await shop.until(are_alike, "balances and change addresses are alike")
        assert len(await shop.daemon(1, "listaddresses", *CHANGE)) >= 30
        signed = await shop.daemon(2, "payto", NOBODY, "0.001")
        assert (await shop.daemon(2, "broadcast", signed["hex"]))[0] is True

    play(own, scene)
    assert all(
        row["params"]["unsigned"] is True
        for n in (1, 2)
        for row in own.journal(n)
        if row["method"] == "payto" and row["id"] != "fleet"
    )


def test_reinit_gives_a_standby_the_wallet_file_of_the_primary(own: Fleet) -> None:
    """Labels, invoices and all; the daemon serves from it, and so it does after a kill."""

    def file(name: str) -> str:
        return str(own.directory / f"wallet-{int(name[-1]) - 1}" / "regtest" / "wallets" / "default_wallet")

    async def scene(shop: Shop) -> None:
        for _ in range(5):
            await shop.daemon(0, "createnewaddress")
        invoice = await shop.daemon(0, "addrequest", "0.01", "for the file")
        txid = (await shop.daemon(0, "history"))[0]["txid"]
        await shop.daemon(0, "setlabel", txid, "not saved yet")
        order = Reinit(shop.pool, shop.reconciler.upkeep, file, shop.reconciler.held)
        sentence = await order.run("ec-3 ec-1")
        assert sentence.startswith("ec-3 has the wallet file of ec-1 now")
        assert [one["address"] for one in await shop.daemon(2, "listrequests")] == [invoice["address"]]
        await shop.until(shop.is_whole, "all daemons are whole again")
        await asyncio.to_thread(own.kill, 2)
        await asyncio.to_thread(own.start, 2)
        assert (await shop.daemon(2, "history"))[0]["label"] == "not saved yet"
        assert await shop.daemon(2, "listaddresses") == await shop.daemon(0, "listaddresses")

    play(own, scene)
    folder = Path(file("ec-3")).parent
    assert {one.name for one in folder.iterdir()} == {"default_wallet", f"default_wallet{KEPT}"}
