"""A run whose gateway restarts daemons: it starts them, loads their wallets and ends those that are sick.

Rule: nothing is made well here that the gateway has to make well; a deed that `stays` ends when its daemon is back, and
is written down as not back when that takes too long.  What could not be done, because the daemon was just being
restarted, leaves no trace.
"""

import asyncio
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.sandbox.fleet import Fleet
from tests.checker.gateway import name_of, wallet_file
from tests.checker.history import Deed
from tests.checker.launched import LaunchedFleet, Living
from tests.checker.plan import DAEMONS, KINDS, SLOW_TO_LEARN, Fault
from tests.checker.world import World

LONGEST = 45.0
"""Seconds after which a daemon counts as never coming back; the judge allows less."""

LOOK = 0.03

LIMITS = {
    "backoff": 0.5,
    "backoff_max": 2.0,
    "healthy_after": 2.0,
    "max_per_hour": 10_000,
    "failed_retry": 3.0,
    "adrift_after": 5.0,
    "drain_timeout": 4.0,
    "stop_timeout": 3.0,
    "start_timeout": 6.0,
    "load_timeout": 5.0,
    "sync_timeout": 15.0,
    "align_timeout": 15.0,
}
"""Seconds of restarts, short so that many happen in a run."""


STILL_WEDGED = "nobody ended it"


GRACE = 8.0
"""Seconds for which a gateway takes a daemon that it has not seen well since its own start for one that is starting."""


class NothingToHurtError(Exception):
    """The daemon is not there, because it is just being restarted."""


class RestartingWorld(World):
    """Three wallets, a chain and a gateway that starts the wallets' daemons."""

    fleet: LaunchedFleet

    def _start_fleet(self, folder: Path, **more: Any) -> Fleet:
        return LaunchedFleet(DAEMONS, folder, diary=self.diary, **more)

    def _settings(self, *, has_ledger: bool) -> dict[str, Any]:
        self.fleet.hand_over()
        found = super()._settings(has_ledger=has_ledger)
        (self.folder / "token").write_text(found["admin"]["token"], encoding="utf-8")
        found["restart"] = LIMITS
        wallet = found["wallets"]["main"]
        wallet["start_grace"] = GRACE
        for n, backend in enumerate(wallet["backends"]):
            backend["launcher"] = self.fleet.launcher(n)
        return found

    async def heal(self) -> None:
        """Throw back the switches of the daemons that are there; all else is the gateway's."""
        begin = time.time()
        for n in range(DAEMONS):
            one = self.fleet.lives.now(n)
            if one is not None and one.is_alive and not one.is_stopped:
                await self._control(n, "heal")
        self.diary.write(Deed("heal", None, begin, time.time()))

    async def _do(self, fault: Fault) -> None:
        begin = time.time()
        is_daemon = KINDS[fault.kind].lane == "daemon"
        try:
            is_done, note = await self._carry_out(fault)
        except NothingToHurtError:
            return
        is_back = True
        if is_done and (is_daemon or fault.stays):
            # whatever was done, the gateway may have restarted the daemon for it, and is given the time
            is_back = note != STILL_WEDGED and await self._until_back(fault, begin)
        target = None if KINDS[fault.kind].lane == "gateway" else fault.target
        end, stays = time.time(), fault.stays and is_done
        deed = Deed(fault.kind, target, begin, end, is_done, note, stays=stays, is_back=is_back)
        if is_back and fault.kind == "wipe" and fault.value:
            await asyncio.sleep(SLOW_TO_LEARN)
            await self._control(fault.target, "heal")
        self.diary.write(deed)

    async def _carry_out(self, fault: Fault) -> tuple[bool, str]:
        match fault.kind:
            case "restart":
                return await self._order(fault.target)
            case "wedge":
                return True, await self._wedge(fault)
            case "slow" | "behind" | "wrong_balance" | "lose_chain" | "silent_chain":
                await self._throw(fault)
            case _:
                return await super()._carry_out(fault)
        return True, ""

    async def _freeze(self, fault: Fault) -> None:
        """Stop a daemon, which the gateway may let go on; unless it stays, we do."""
        one = self._somebody(fault.target)
        one.signal(signal.SIGSTOP)
        self.frozen[fault.target] = time.monotonic()
        await self._until(lambda: one.is_stopped or not one.is_alive, 1.0)
        watcher = asyncio.create_task(self._watch_connections(fault.target))
        try:
            await self._until(lambda: not one.is_stopped, LONGEST if fault.stays else fault.lasts)
        finally:
            watcher.cancel()
            del self.frozen[fault.target]
            if not fault.stays:
                one.signal(signal.SIGCONT)

    async def _kill(self, fault: Fault) -> None:
        """Kill a daemon and leave it to the gateway; its old file is there before anybody can start it."""
        one = self._somebody(fault.target)
        if fault.kind == "wipe":
            one.signal(signal.SIGSTOP)
            await self._until(lambda: one.is_stopped or not one.is_alive, 1.0)
            shutil.copy(self.folder / f"old-wallet-{fault.target}", wallet_file(self.fleet, fault.target))
        await self._by_hand(fault.target, one.kill)
        if fault.value:
            end = time.monotonic() + LONGEST
            while not await self._control(fault.target, "slow", fault.value):
                if time.monotonic() > end:
                    return
                await asyncio.sleep(LOOK)

    async def _wedge(self, fault: Fault) -> str:
        """Hold a foreign connection that says nothing; one that stays is held until its daemon is ended."""
        one = self._somebody(fault.target)
        try:
            with self.fleet.wedge(fault.target):
                await self._until(lambda: not one.is_alive, LONGEST if fault.stays else fault.lasts)
        except OSError:
            raise NothingToHurtError from None
        return STILL_WEDGED if fault.stays and one.is_alive else ""

    async def _throw(self, fault: Fault) -> None:
        one = self._somebody(fault.target)
        value = fault.value if fault.kind in {"slow", "behind"} else None
        if not await self._control(fault.target, fault.kind, value):
            raise NothingToHurtError
        await self._until(lambda: not one.is_alive, fault.lasts)
        if one.is_alive:
            await self._control(fault.target, "heal")

    async def _order(self, daemon: int) -> tuple[bool, str]:
        """Order a restart by the command, as an operator does; one that joins another restart is no order."""
        done, said = await self._command(
            "restart", name_of(daemon), "--wallet", "main", "--token-file", str(self.folder / "token"),
            "--url", f"http://127.0.0.1:{self.gateway.admin}",
        )  # fmt: skip
        return done and "already" not in said and "before" not in said, said

    async def _until_back(self, fault: Fault, since: float) -> bool:
        """Wait until a daemon is there with its wallet; after an order, until that is a new one."""
        end = time.monotonic() + LONGEST
        needs_new = fault.kind == "restart"
        while time.monotonic() < end:
            if needs_new and any(at >= end - LONGEST for at in self._kills):
                return True  # the gateway that took the order is gone, and the order with it
            # an order for one that stands still is taken to be carried out when it is let go on
            needs_new = needs_new and fault.target not in self.frozen
            one = self.fleet.lives.now(fault.target)
            is_new = one is not None and one.begin >= since
            if (is_new or not needs_new) and self.fleet.is_back(fault.target, since):
                return True
            await asyncio.sleep(LOOK)
        return False

    def _somebody(self, daemon: int) -> Living:
        one = self.fleet.lives.now(daemon)
        if one is None or not self.fleet.is_back(daemon, one.begin):
            raise NothingToHurtError
        return one

    async def _control(self, daemon: int, name: str, value: float | None = None) -> bool:
        """Throw a switch; return whether anybody was there."""
        try:
            await self._by_hand(daemon, self.fleet.control, daemon, name, value)
        except (OSError, ValueError):
            return False
        return True

    async def _until(self, holds: Callable[[], bool], longest: float) -> None:
        end = time.monotonic() + longest
        while not holds() and time.monotonic() < end:  # noqa: ASYNC110 - the same
            await asyncio.sleep(LOOK)
