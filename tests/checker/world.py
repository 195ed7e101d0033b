"""The processes of a run, and what an accident or an operator does to them.

Rule: whatever is started here is ended here, by its own process id; each deed is written down with its beginning and
its end.  Children are started from threads that last as long as the run, for the kernel ends them with their thread.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.sandbox.fleet import Fleet, RpcError
from gateway.sandbox.node import SYNC_DELAY
from tests.checker.connections import watch
from tests.checker.gateway import GATEWAY, PATIENCE, ROOT, USUAL, Bounds, Gateway, name_of, settings, wallet_file
from tests.checker.history import Block, Deed, Diary, Paid
from tests.checker.leaks import Secrets, look
from tests.checker.plan import DAEMONS, KINDS, SLOW_TO_LEARN, SWITCHES, Fault

SERVER_TIMEOUT = 1.0
"""Seconds that a daemon waits for a silent chain: below the gateway's own bound, as the real 30 s are below 35 s."""


class World:
    """Three wallets, a chain and a gateway.

    Args:
        folder: fresh; everything is written below it.
        seed: of the wallets too, so that no two runs share an address.
        launcher: the gateway's module, or one that takes a rule away.
        sync_delay: seconds until a daemon has saved a new address.
    """

    doors = 1
    """How many gateways there are."""
    without: frozenset[str] = frozenset()
    """Kinds of faults that cannot be had here."""
    silence = 8.0
    """Seconds past its deadline after which a client stops to wait for an answer."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        has_ledger: bool = True,
        launcher: Sequence[str] = GATEWAY,
        bounds: Bounds = USUAL,
        sync_delay: float = SYNC_DELAY,
    ) -> None:
        """Start all of it, with wallets that nobody used."""
        self.folder = folder
        self.bounds = bounds
        self.secrets = Secrets()
        folder.mkdir(parents=True, exist_ok=True)
        self.diary = Diary(folder / "operator.jsonl")
        self.fleet = self._start_fleet(
            folder / "fleet", password=self.secrets.of("the daemons"), seed=f"checker {seed}", load=False,
            server_timeout=SERVER_TIMEOUT, sync_delay=sync_delay,
        )  # fmt: skip
        self.frozen: dict[int, float] = {}
        """Daemons that stand still, since when (monotonic)."""
        self._hands = [ThreadPoolExecutor(1, thread_name_prefix=f"hand-{n}") for n in range(self._many_hands)]
        self._kills: list[float] = []
        self._busy: set[str] = set()
        try:
            for n in range(DAEMONS):
                self._load(n)
                # what a wipe brings back: the wallet as it was before anybody came
                shutil.copy(wallet_file(self.fleet, n), folder / f"old-wallet-{n}")
            (folder / "ledger").mkdir()
            self._start_gateways(launcher, has_ledger=has_ledger)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything; may be called twice."""
        self._stop_gateways()
        self.fleet.stop()
        for hand in self._hands:
            hand.shutdown(wait=True, cancel_futures=True)

    @property
    def _many_hands(self) -> int:
        """How many things may be done at once that take a thread."""
        return DAEMONS + 1

    def door(self, number: int) -> tuple[str, int]:  # noqa: ARG002 - there is but one
        """Return host and port of a door; port 0 while its gateway is away."""
        return self.gateway.host, self.gateway.port

    def login(self, client: str) -> str:
        """Return the user name and the password of a client."""
        return self.secrets.client(client)

    def _start_gateways(self, launcher: Sequence[str], *, has_ledger: bool) -> None:
        found = self._settings(has_ledger=has_ledger)
        self.gateway = Gateway(self.folder, lambda _: found, launcher)
        self.gateway.start()

    def _stop_gateways(self) -> None:
        if hasattr(self, "gateway"):
            self.gateway.kill()

    @property
    def gateways(self) -> list[Gateway]:
        """All gateways."""
        return [self.gateway]

    def look(self) -> list[Path]:
        """Write down what the operators' doors tell at the end; return the files in which that has to be."""
        token = self.secrets.of("the operator")
        return [file for one in self.gateways for file in look(one.admin, token, one.folder, one.inside)]

    def _start_fleet(self, folder: Path, **more: Any) -> Fleet:
        """Start a chain and daemons."""
        return Fleet(DAEMONS, folder, **more)

    def _settings(self, *, has_ledger: bool) -> dict[str, Any]:
        """Return the gateway's configuration; comes after the wallets were loaded once and their files copied."""
        found = settings(self.fleet, self.folder, self.bounds, self.secrets, has_ledger=has_ledger)
        found["admin"]["token"] = self.secrets.of("the operator")
        return found

    # -- the chain ------------------------------------------------------------------------------------------

    async def pay(self, address: str, sats: int) -> None:
        """Let a customer pay."""
        answer = await asyncio.to_thread(self.fleet.chain, "fund", address=f"bchreg:{address}", sats=sats)
        self.diary.write(Paid(address, sats, answer["txid"], time.time()))

    async def mine(self, blocks: int = 1) -> None:
        """Find blocks."""
        for _ in range(blocks):
            answer = await asyncio.to_thread(self.fleet.chain, "mine", blocks=1)
            self.diary.write(Block(answer["height"], time.time()))

    # -- faults ---------------------------------------------------------------------------------------------

    async def do(self, fault: Fault) -> None:
        """Carry out one fault from its beginning to its end; leave it out while its target has another one.

        That is planned not to be, but to start a process may take longer than planned.
        """
        if fault.lane in self._busy:
            return
        self._busy.add(fault.lane)
        try:
            await self._do(fault)
        finally:
            self._busy.discard(fault.lane)

    async def _do(self, fault: Fault) -> None:
        begin = time.time()
        is_done, note = await self._carry_out(fault)
        target = None if KINDS[fault.kind].lane == "gateway" else fault.target
        self.diary.write(Deed(fault.kind, target, begin, time.time(), is_done, note))

    async def _carry_out(self, fault: Fault) -> tuple[bool, str]:
        """Do it and undo it; return whether it could be done, and a note about it."""
        is_done, note = True, ""
        match fault.kind:
            case "freeze":
                await self._freeze(fault)
            case "kill" | "wipe":
                await self._kill(fault)
            case "wedge":
                with self.fleet.wedge(fault.target):
                    await asyncio.sleep(fault.lasts)
            case "promote":
                is_done, note = await self._promote(fault.target)
            case "gateway_kill":
                is_done, note = await self._kill_gateway(fault)
            case "disk_full":
                self.gateway.limit_disk(is_full=True)
                await asyncio.sleep(fault.lasts)
                self.gateway.limit_disk(is_full=False)
            case name if name in SWITCHES:
                await self._switch(fault, name)
            case other:
                raise ValueError(f"no such fault: {other}")
        return is_done, note

    async def heal(self) -> None:
        """Make all daemons well, as an operator's supervisor would."""
        begin = time.time()
        for n in range(DAEMONS):
            if self.fleet.is_alive(n):
                self.fleet.thaw(n)
                await self._by_hand(n, self.fleet.control, n, "heal")
            else:
                await self._by_hand(n, self.fleet.start, n)
            await self._by_hand(n, self._load, n)
        self.diary.write(Deed("heal", None, begin, time.time()))

    async def _freeze(self, fault: Fault) -> None:
        self.fleet.freeze(fault.target)
        self.frozen[fault.target] = time.monotonic()
        watcher = asyncio.create_task(self._watch_connections(fault.target))
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            watcher.cancel()
            del self.frozen[fault.target]
            self.fleet.thaw(fault.target)

    async def _kill(self, fault: Fault) -> None:
        await self._by_hand(fault.target, self.fleet.kill, fault.target)
        if fault.kind == "wipe":
            shutil.copy(self.folder / f"old-wallet-{fault.target}", wallet_file(self.fleet, fault.target))
        await asyncio.sleep(fault.lasts)
        await self._by_hand(fault.target, self.fleet.start, fault.target)
        if fault.value:
            await self._by_hand(fault.target, self.fleet.control, fault.target, "slow", fault.value)
        await self._by_hand(fault.target, self._load, fault.target)
        if fault.value:
            await asyncio.sleep(SLOW_TO_LEARN)
            await self._by_hand(fault.target, self.fleet.control, fault.target, "heal")

    async def _switch(self, fault: Fault, name: str) -> None:
        has_value = name in {"slow", "behind"}
        value = fault.value if has_value else None
        await self._by_hand(fault.target, self.fleet.control, fault.target, name, value)
        await asyncio.sleep(fault.lasts)
        await self._by_hand(fault.target, self.fleet.control, fault.target, "heal")

    async def _kill_gateway(self, fault: Fault) -> tuple[bool, str]:
        self._kills.append(time.monotonic())
        await self._by_hand(DAEMONS, self.gateway.kill)
        await asyncio.sleep(fault.lasts)
        try:
            await self._by_hand(DAEMONS, self.gateway.start)
        except RuntimeError as error:
            return False, str(error)
        return True, ""

    async def _promote(self, daemon: int) -> tuple[bool, str]:
        """Order a promotion by the command, as an operator does."""
        return await self._command("promote", "-c", str(self.gateway.file), "--wallet", "main", name_of(daemon))

    async def _command(self, *command: str, inside: Sequence[str] = ()) -> tuple[bool, str]:
        """Run a command of the gateway; return whether it said that it was done, and what it said."""
        process = await asyncio.create_subprocess_exec(
            *inside,
            sys.executable,
            "-m",
            "gateway",
            *command,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
            return False, "the command did not end"
        return process.returncode == 0, said.decode()[-300:].strip()

    async def _watch_connections(self, daemon: int) -> None:
        await watch(daemon, self.fleet.port(daemon), self.diary, self._kills)

    def _load(self, daemon: int) -> None:
        """Load a wallet, as the supervisor of a daemon does after its start."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.fleet.rpc(daemon, "load_wallet", timeout=5.0)
            except (OSError, RpcError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    async def _by_hand(self, number: int, what: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._hands[number], what, *arguments)
