"""A run with several gateways: one database, one lease, a way to everything that can be cut, and what befalls each.

Rule: a fault is one gateway's, the database's or a daemon's, and is ended by who made it; a gateway has the same
address in all its lives, and at the daemons a user name of its own in each, so that journals tell who called.
"""

import asyncio
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.sandbox import fleet as sandbox
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.ports import free_port
from tests.checker import network
from tests.checker.connections import CLOSE_WAIT, connections_at
from tests.checker.database import Shared, shared, written
from tests.checker.gateway import Gateway
from tests.checker.history import Crowd, Deed
from tests.checker.network import Network
from tests.checker.plan import CUTS, DAEMONS, KINDS, Fault
from tests.checker.world import World
from tests.integration.postgres_server import PASSWORD

LEASES = (1.5, 2.0, 3.0)
"""Seconds that a lease lasts, by the seed: the shorter ones for more takeovers in a run, the longest as usual.
A gateway that is cut off in the middle of a transaction bars the others for a second, which would cost a shorter one.
"""

STOPS = 15.0
"""Seconds in which a gateway that was told to stop has to be gone; its own limit for calls is a third of that."""


class ReachedFleet(Fleet):
    """Daemons that write down who called, and listen where the gateways are.

    Args:
        host: what the gateways call them by.
    """

    def __init__(self, *arguments: Any, host: str, **more: Any) -> None:
        """Start all."""
        self.host = host
        super().__init__(*arguments, **more)

    def _start(self, index: int) -> None:
        # what `Fleet` starts, but for the module and the address
        before = self._processes[index]
        if before is not None and before.stdout is not None:
            before.stdout.close()
        options = {
            "host": "0.0.0.0" if self.host != LOOPBACK else LOOPBACK,
            "port": self._ports[index],
            "control": self._controls[index],
            "chain": f"{LOOPBACK}:{self.chain_port}",
            "data": self.directory / f"wallet-{index}",
            "seed": self._seed,
            "user": self.user,
            "password-env": sandbox.PASSWORD_VARIABLE,
            "journal": self.journal_path(index),
            "server-timeout": self._server_timeout,
            "sync-delay": self._sync_delay,
        }
        words = [f"--{name}={value}" for name, value in options.items()] + self._flags
        launch = sandbox._launch
        self._processes[index] = launch("tests.checker.attributed", words, {sandbox.PASSWORD_VARIABLE: self.password})


LOOPBACK = "127.0.0.1"


class ClusterWorld(World):
    """Three wallets, a chain, a database and several gateways.

    Args:
        gateways: how many.
        The rest as for `World`.
    """

    silence = 4.0
    """There are others to ask."""

    fleet: ReachedFleet

    def __init__(self, folder: Path, seed: int, *, gateways: int, **more: Any) -> None:
        """Start all of it, in a network of its own where that can be had."""
        self.doors = gateways
        self.seed = seed
        self.lease = LEASES[seed % len(LEASES)]
        self.members: list[Gateway] = []
        self._around = ExitStack()
        try:
            self.network: Network | None = self._around.enter_context(network.network(gateways))
            self.without = CUTS if self.network is None else frozenset()
            place = None if self.network is None else f"{network.CLIENTS}/{network.MASK}"
            self.database: Shared = self._around.enter_context(shared(place))
            self._key = folder / "ledger.key"
            folder.mkdir(parents=True, exist_ok=True)
            self._key.write_bytes(secrets.token_bytes(32))
            self._key.chmod(0o600)
            super().__init__(folder, seed, **more)
        except BaseException:
            self._around.close()
            raise

    @property
    def _many_hands(self) -> int:
        return DAEMONS + self.doors + 1

    def stop(self) -> None:
        """End everything; may be called twice."""
        super().stop()
        self._around.close()

    def write_holdings(self) -> None:
        """Write down who had the wallet when; the database runs by then."""
        (self.folder / "holdings.json").write_text(written(self.database.holdings()), encoding="utf-8")

    # -- beginnings -------------------------------------------------------------------------------------------

    def _start_fleet(self, folder: Path, **more: Any) -> Fleet:
        return ReachedFleet(DAEMONS, folder, host=LOOPBACK if self.network is None else network.WALLETS, **more)

    def _start_gateways(self, launcher: Sequence[str], *, has_ledger: bool) -> None:
        for n in range(self.doors):
            place = self.folder / name_of(n)
            place.mkdir()
            inside = () if self.network is None else self.network.inside(n)
            host = LOOPBACK if self.network is None else self.network.host(n)
            port = network.PORT if self.network is not None else free_port()
            configure = self._configure(n, host, port, has_ledger=has_ledger)
            self.members.append(Gateway(place, configure, launcher, inside=inside, host=host))
        self.gateway = self.members[0]
        self.secrets.know("the database", PASSWORD)
        (self.folder / "token").write_text(self.secrets.of("the operator"), encoding="utf-8")
        self.database.watch(self._key)
        for one in self.members:
            one.start()

    def _stop_gateways(self) -> None:
        for one in self.members:
            if one.process is not None and one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
            one.kill()

    def _configure(self, member: int, host: str, port: int, *, has_ledger: bool) -> Any:
        database = LOOPBACK if self.network is None else network.DATABASE

        def configure(life: int) -> dict[str, Any]:
            found = self._settings(has_ledger=has_ledger)
            found["listen"] = {"host": host, "port": port}
            found["ledger"] = {
                "url": self.database.url(database), "password": PASSWORD, "key_file": str(self._key),
            }  # fmt: skip
            found["cluster"] = {
                "name": name_of(member), "address": f"http://{host}:{port}", "secret": self.secrets.of("the gateways"),
                "lease": self.lease,
            }  # fmt: skip
            for n, backend in enumerate(found["wallets"]["main"]["backends"]):
                backend["url"] = f"http://{self.fleet.host}:{self.fleet.port(n)}"
                backend["username"] = f"{name_of(member)}.{life}"
                del backend["wallet_file"]
            return found

        return configure

    @property
    def gateways(self) -> list[Gateway]:
        """All gateways."""
        return self.members

    def look(self) -> list[Path]:
        """Write down what the operators' doors tell, and what is in the database; return the files."""
        file = self.folder / "ledger.sql"
        self.database.dump(file)
        return [*super().look(), file]

    def door(self, number: int) -> tuple[str, int]:
        """Return host and port of a door; port 0 while its gateway is away."""
        one = self.members[number]
        return one.host, one.port

    # -- faults -----------------------------------------------------------------------------------------------

    async def _do(self, fault: Fault) -> None:
        begin = time.time()
        is_done, note = await self._carry_out(fault)
        target = None if KINDS[fault.kind].lane == "database" or fault.kind == "handover" else fault.target
        self.diary.write(Deed(fault.kind, target, begin, time.time(), is_done, note))

    async def _carry_out(self, fault: Fault) -> tuple[bool, str]:
        match fault.kind:
            case "gateway_kill" | "gateway_stop":
                return await self._end_gateway(fault)
            case "gateway_freeze":
                await self._freeze_gateway(fault)
            case "handover":
                return await self._hand_over()
            case "cut_database" | "cut_wallets" | "cut_gateways" | "cut_off":
                await self._cut(fault)
            case "database_stop" | "database_kill" | "database_freeze":
                await self._lose_database(fault)
            case _:
                return await super()._carry_out(fault)
        return True, ""

    async def _end_gateway(self, fault: Fault) -> tuple[bool, str]:
        self._kills.append(time.monotonic())
        one, hand = self.members[fault.target], DAEMONS + fault.target
        note = ""
        if fault.kind == "gateway_kill":
            await self._by_hand(hand, one.kill)
        elif not await self._by_hand(hand, one.end, STOPS):
            note = "it did not end by itself"
        await asyncio.sleep(fault.lasts)
        try:
            await self._by_hand(hand, one.start)
        except RuntimeError as error:
            return False, str(error)
        return not note, note

    async def _freeze_gateway(self, fault: Fault) -> None:
        process = self.members[fault.target].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            process.send_signal(signal.SIGCONT)

    async def _hand_over(self) -> tuple[bool, str]:
        """Order whoever has the wallet to hand it over, by the command, as an operator does."""
        holder = await self._by_hand(DAEMONS + self.doors, self.database.holder)
        for n, one in enumerate(self.members):
            if name_of(n) == holder and f"gateway {n}" not in self._busy:
                return await self._command(
                    "handover", "--wallet", "main", "--token-file", str(self.folder / "token"),
                    "--url", f"http://{LOOPBACK}:{one.admin}", inside=one.inside,
                )  # fmt: skip
        return False, "nobody has it who could be asked"

    async def _cut(self, fault: Fault) -> None:
        assert self.network is not None
        ways = {
            "cut_database": (network.DATABASE,),
            "cut_wallets": (network.WALLETS,),
            "cut_gateways": self.network.others(fault.target),
        }
        everybody = (network.DATABASE, network.WALLETS, *self.network.others(fault.target), network.CLIENTS)
        hand = DAEMONS + fault.target
        await self._by_hand(hand, self.network.cut, fault.target, *ways.get(fault.kind, everybody))
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            await self._by_hand(hand, self.network.mend, fault.target)

    async def _lose_database(self, fault: Fault) -> None:
        hand = DAEMONS + self.doors
        lose = {"database_stop": self.database.stop, "database_kill": self.database.kill}
        self.database.is_lost = True
        await self._by_hand(hand, lose.get(fault.kind, self.database.freeze))
        await asyncio.sleep(fault.lasts)
        await self._by_hand(hand, self.database.thaw if fault.kind == "database_freeze" else self.database.again)
        self.database.is_lost = False

    async def _watch_connections(self, daemon: int) -> None:
        """Count what of ours a frozen daemon has in its queue; what several holdings may leave, the judge knows."""
        began = time.monotonic()
        port = self.fleet.port(daemon)
        await asyncio.sleep(0.15)
        over = {one for one, state in connections_at(port).items() if state == CLOSE_WAIT}
        most = times = 0
        while True:
            await asyncio.sleep(0.1)
            found = {one: state for one, state in connections_at(port).items() if one not in over}
            allowed = 2 + sum(at >= began for at in self._kills)
            # the kernel's list is no picture of one moment, so that one look proves nothing
            times = times + 1 if len(found) > max(allowed, most) else 0
            if times == 2:
                most, times = len(found), 0
                note = ", ".join(sorted(f"{_address(one)}: {state}" for one, state in found.items()))
                self.diary.write(Crowd(daemon, time.time(), len(found), allowed, note))


def name_of(member: int) -> str:
    """Return how a gateway is called."""
    return f"gw-{member + 1}"


def _address(far_end: str) -> str:
    """Return an address as people write it, of a far end as the kernel's list has it."""
    number = bytes.fromhex(far_end.partition(":")[0])
    return socket.inet_ntoa(number[::-1])
