"""The real processes of one run: a chain, three wallets, a door before them, and whatever faults put in between.

Rule: whatever is started here is ended here, by its own process id, also when the run is cut off; the kernel ends it
where the run itself is killed.  It is a `Site` of the checker, so that its clients and its judge serve here as well.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.doors import DOORS, Door
from chaos.faults import Fault
from chaos.gate import Gate
from chaos.programs import Program
from chaos.wallets import Wallet
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.node import SYNC_DELAY
from gateway.sandbox.ports import free_port
from tests.checker.gateway import GATEWAY, Bounds
from tests.checker.history import Block, Diary, Paid
from tests.checker.launched import LaunchedFleet
from tests.checker.leaks import Secrets
from tests.checker.plan import DAEMONS

USUAL = Bounds(deadline=9.0, server=35.0)
"""As shipped."""

SERVER_TIMEOUT = 5.0
"""Seconds that a daemon waits for a silent chain; the real one's 30 would outlast a run."""

STOPS = 15.0


@dataclass
class Launch:
    """With what the door is started; a fault's `prepare` changes it."""

    urls: list[str]
    """Where the door finds each wallet."""
    settings: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    """Each is given the gateway's configuration at each of its starts, and changes it in place."""
    environment: dict[str, str] = field(default_factory=dict)
    """Added to the door's."""
    inside: list[str] = field(default_factory=list)
    """What comes before the door's command, and becomes it: ("nsenter", "--net=...")."""
    module: Sequence[str] = GATEWAY
    """The gateway's, or one that takes a rule away."""


class Stage:
    """The processes of one run.

    Args:
        folder: fresh; everything is written below it.
        seed: of the wallets too, so that no two runs share an address.
        door: one of `doors.DOORS`.
        has_ledger: a gateway without one gives addresses twice, which the judge has to see.
        module: the gateway's, or one that takes a rule away.
    """

    doors = 1
    silence = 4.0
    """Seconds past its deadline after which a client stops to wait for an answer."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        door: str = "gateway",
        has_ledger: bool = True,
        module: Sequence[str] = GATEWAY,
        bounds: Bounds = USUAL,
        sync_delay: float = SYNC_DELAY,
    ) -> None:
        """Have started nothing."""
        self.folder = folder
        self.seed = seed
        self.bounds = bounds
        self.has_ledger = has_ledger
        self.door_name = door
        self.door_port = 0
        """Where the door listens, the same in all its lives; known before `prepare`."""
        self.approach: tuple[str, int] | None = None
        """Where clients go instead, if a fault stands between them and the door."""
        self.launchers: list[dict[str, Any]] = []
        """The gateway's settings for starting each wallet; empty where it does not."""
        self.programs: list[Program] = []
        self.door_ends: list[float] = []
        """When lives of the door were ended here, monotonic."""
        self.secrets = Secrets()
        """Of everybody in the run."""
        self.keep: dict[str, Any] = {}
        """What faults keep here by their names from `prepare` to `tidy`."""
        self._module = module
        self._sync_delay = sync_delay
        self._hands: list[ThreadPoolExecutor] = []
        self._prepared: list[Fault] = []
        self._door: Door | None = None

    # -- beginning and end ----------------------------------------------------------------------------------

    async def start(self, faults: Sequence[Fault] = ()) -> None:
        """Start all, with wallets that nobody used: chain and wallets, what faults prepare, the door.

        Call `stop` in any case, also when this fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.diary = Diary(self.folder / "operator.jsonl", syncs=False)
        self.door_port = free_port()
        self._hands = [ThreadPoolExecutor(1, thread_name_prefix=f"hand-{n}") for n in range(DAEMONS + 1)]
        self.fleet = await self.by_hand(self._start_fleet)
        self.wallets = [Wallet(self.fleet, n, self._hands[n]) for n in range(DAEMONS)]
        for one in self.wallets:
            await one.load()
            # what a roll-back brings back: the wallet as it was before anybody came
            shutil.copy(one.file, self.old_file(one.number))
        (self.folder / "ledger").mkdir()
        self.launch = Launch([one.url for one in self.wallets], module=self._module)
        if isinstance(self.fleet, LaunchedFleet):
            await self.by_hand(self.fleet.hand_over)
            self.launchers = [self.fleet.launcher(n) for n in range(DAEMONS)]
        for fault in faults:
            self._prepared.append(fault)
            prepare = getattr(fault, "prepare", None)
            if prepare is not None:
                await prepare(self)
        self._door = DOORS[self.door_name](self)
        await self.by_hand(self._door.start)

    async def stop(self) -> None:
        """End everything; may be called twice, and at any moment."""
        if self._door is not None:
            self._door.kill()
        for fault in reversed(self._prepared):
            tidy = getattr(fault, "tidy", None)
            if tidy is not None:
                with contextlib.suppress(Exception):
                    await tidy(self)
        for program in reversed(self.programs):
            program.kill()
        if hasattr(self, "wallets"):
            for one in self.wallets:
                await one.let_go()
        if hasattr(self, "fleet"):
            await self.by_hand(self.fleet.stop)
        while self._hands:
            self._hands.pop().shutdown(wait=True, cancel_futures=True)
        if hasattr(self, "diary"):
            self.diary.close()
            del self.diary

    def _start_fleet(self) -> Fleet:
        more: dict[str, Any] = {
            "password": self.secrets.of("the daemons"),
            "seed": f"checker {self.seed}",
            "load": False,
            "server_timeout": SERVER_TIMEOUT,
            "sync_delay": self._sync_delay,
        }
        folder = self.folder / "fleet"
        if self.door_name == "gateway":
            return LaunchedFleet(DAEMONS, folder, diary=self.diary, **more)
        return Fleet(DAEMONS, folder, **more)

    # -- what there is --------------------------------------------------------------------------------------

    @property
    def front(self) -> Door:
        """The door's process."""
        if self._door is None:
            raise RuntimeError("the door is not there yet; a fault's `prepare` runs before it")
        return self._door

    @property
    def gateway(self) -> Gate:
        """The gateway, where it is the door.  Raises RuntimeError."""
        if not isinstance(self._door, Gate):
            raise RuntimeError(f"the door is {self.door_name}")  # noqa: TRY004 - a state, and no argument of the wrong type
        return self._door

    @property
    def is_gateway(self) -> bool:
        """Whether the door is our gateway, which starts the wallets; else nobody does but the faults themselves."""
        return self.door_name == "gateway"

    def old_file(self, wallet: int) -> Path:
        """Return a copy of a wallet's file from before anybody came."""
        return self.folder / f"old-wallet-{wallet}"

    def door(self, number: int) -> tuple[str, int]:  # noqa: ARG002 - there is but one
        """Return host and port where clients go."""
        return self.approach or ("127.0.0.1", self.door_port)

    def login(self, client: str) -> str:
        """Return the user name and the password of a client."""
        return self.front.login(client)

    # -- doing ----------------------------------------------------------------------------------------------

    async def begin(self, program: Program, port: int = 0) -> Program:
        """Start a program that is ended with the run, and wait until it listens."""
        self.programs.append(program)
        await self.by_hand(program.start, port)
        return program

    async def pay(self, address: str, sats: int) -> None:
        """Let a customer pay."""
        answer = await asyncio.to_thread(self.fleet.chain, "fund", address=f"bchreg:{address}", sats=sats)
        self.diary.write(Paid(address, sats, answer["txid"], time.time()))

    async def mine(self, blocks: int = 1) -> None:
        """Find blocks."""
        for _ in range(blocks):
            answer = await asyncio.to_thread(self.fleet.chain, "mine", blocks=1)
            self.diary.write(Block(answer["height"], time.time()))

    async def by_hand(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """Do what blocks, in a thread that lasts as long as the run, for the kernel ends children with theirs."""
        return await asyncio.get_running_loop().run_in_executor(self._hands[-1], what, *arguments)
