"""The switches that a visitor throws: what can happen to a wallet daemon, done to one of the sandbox's.

The rule: a switch is on for one life of its daemon.  When whoever cares for the daemon has started it again, all of its
switches are off, because what was wrong is over; and whatever we hold of it (a connection) is let go.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.sandbox.lines import say

PATIENCE = 2.0
"""Seconds for a daemon's side door, which is a thread of its own and answers at once unless all of it is frozen."""

LOOK = 0.01
"""Seconds between two looks at a process that is about to stop or to go on."""

VALUES = {"leak": 16.0, "slow": 3.0}
"""Mebibytes kept with each call; seconds that each call takes longer."""

TOLD = ("leak", "slow", "lose_chain")
"""Thrown at the daemon's side door (`gateway.sandbox.control`); it knows no way to end one of them alone."""

NAMES = ("freeze", "kill", "wedge", *TOLD, "heal")


class SwitchError(Exception):
    """A switch that was not thrown; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Handle:
    """What is known of a daemon that has switches.

    Args:
        name: as the gateway calls it.
        port: of its RPC.
        control: of its side door.
        pid: the process that is this daemon now; None while there is none.
    """

    name: str
    port: int
    control: int
    pid: Callable[[], int | None]


@dataclass(slots=True)
class _Life:
    """What was done to one life of a daemon."""

    pid: int
    told: set[str] = field(default_factory=set)
    held: asyncio.StreamWriter | None = None
    """The idle connection by which it is wedged."""


class Switches:
    """All switches of a wallet's daemons.

    Args:
        wallet: the name of the wallet.
        handles: its daemons.
        shop_port: where the shop is that sells against the wallet, 0 where there is none.
    """

    def __init__(self, wallet: str, handles: Sequence[Handle], *, shop_port: int = 0) -> None:
        self.wallet = wallet
        self.shop_port = shop_port
        self._handles = {one.name: one for one in handles}
        self._lives: dict[str, _Life] = {}

    def names(self) -> list[dict[str, object]]:
        """The switches of each daemon, and which are on now."""
        return [
            {
                "wallet": self.wallet,
                "backend": handle.name,
                "switches": [{"name": name, "is_on": name in self._thrown(handle)} for name in NAMES],
            }
            for handle in self._handles.values()
        ]

    async def flip(self, backend: str, name: str, on: bool) -> str:  # noqa: FBT001 - on or off is what a switch is
        """Throw one switch and return a sentence about it; heal takes back whatever was done, so does off for one.

        Raises:
            SwitchError: there is no such daemon or switch, or it cannot be thrown now.
        """
        handle = self._handles.get(backend)
        if handle is None:
            raise SwitchError(f"the sandbox has no daemon {backend!r}; there are {', '.join(self._handles)}")
        if name not in NAMES:
            raise SwitchError(f"there is no switch {name!r}; there are {', '.join(NAMES)}")
        life = self._life(handle)
        if name == "heal":
            return await self._heal(handle, life)
        if life is None:
            raise SwitchError(f"{backend} does not run now; it is being started, so throw it again in a moment")
        match name:
            case "freeze":
                return await _freeze(handle, life, on=on)
            case "kill":
                return _kill(handle, life, on=on)
            case "wedge":
                return await _wedge(handle, life, on=on)
        return await _tell_daemon(handle, life, name, on=on)

    async def _heal(self, handle: Handle, life: _Life | None) -> str:
        if life is None:
            return f"{handle.name} does not run now; a daemon that is started anew has no switch on"
        _signal(life.pid, signal.SIGCONT)
        await _let_go(life)
        await _say(handle, {"cmd": "heal"})
        life.told.clear()
        return f"{handle.name} is healed: it runs on, nothing holds it, and it sees the chain"

    def _life(self, handle: Handle) -> _Life | None:
        """The life that the daemon has now; what was held of the one before is let go."""
        pid, known = handle.pid(), self._lives.get(handle.name)
        if known is not None and known.pid == pid:
            return known
        if known is not None and known.held is not None:
            known.held.close()
        self._lives.pop(handle.name, None)
        if pid is None:
            return None
        life = self._lives[handle.name] = _Life(pid)
        return life

    def _thrown(self, handle: Handle) -> set[str]:
        life = self._life(handle)
        if life is None:
            return set()
        is_wedged = life.held is not None and not life.held.is_closing()
        return life.told | ({"freeze"} if is_stopped(life.pid) else set()) | ({"wedge"} if is_wedged else set())


def is_stopped(pid: int) -> bool:
    """Whether a process exists and is not scheduled."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")


async def _freeze(handle: Handle, life: _Life, *, on: bool) -> str:
    _signal(life.pid, signal.SIGSTOP if on else signal.SIGCONT)
    # the kernel stops each of its threads in its own time; whoever looks after the answer is to see it done
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while is_stopped(life.pid) != on:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(LOOK)
    if on:
        return f"{handle.name} is frozen (SIGSTOP): its port still takes connections, and nobody is answered"
    return f"{handle.name} goes on (SIGCONT); it executes what was waiting"


def _kill(handle: Handle, life: _Life, *, on: bool) -> str:
    if not on:
        raise SwitchError(f"a kill cannot be taken back; {handle.name} is started anew by the gateway")
    _signal(life.pid, signal.SIGKILL)
    return f"{handle.name} was killed (SIGKILL); what it had not saved is lost"


async def _wedge(handle: Handle, life: _Life, *, on: bool) -> str:
    if not on:
        await _let_go(life)
        return f"the connection that held {handle.name} is closed"
    if life.held is None or life.held.is_closing():
        try:
            async with asyncio.timeout(PATIENCE):
                _, life.held = await asyncio.open_connection("127.0.0.1", handle.port)
        except OSError as error:  # TimeoutError is one
            raise SwitchError(
                f"{handle.name} takes no connection ({error or 'its backlog is full'}); heal it first"
            ) from None
    return f"{handle.name} is wedged: a foreign connection says nothing to it, and it waits for that one alone"


async def _tell_daemon(handle: Handle, life: _Life, name: str, *, on: bool) -> str:
    if is_stopped(life.pid):
        raise SwitchError(f"{handle.name} is frozen and hears of nothing; let it go on first, or heal it")
    if on:
        await _say(handle, {"cmd": name, **({"value": VALUES[name]} if name in VALUES else {})})
        life.told.add(name)
        return _SENTENCES[name].format(handle.name)
    await _say(handle, {"cmd": "heal"})
    life.told.discard(name)
    for other in sorted(life.told):
        await _say(handle, {"cmd": other, **({"value": VALUES[other]} if other in VALUES else {})})
    return f"{name} of {handle.name} is over"


_SENTENCES = {
    "leak": f"{{}} leaks: each call keeps {VALUES['leak']:g} MiB more",
    "slow": f"{{}} is slow: each call takes {VALUES['slow']:g} s longer",
    "lose_chain": "{} has lost the chain: it sees neither blocks nor payments",
}


async def _say(handle: Handle, order: dict[str, object]) -> None:
    try:
        await say(handle.control, order, PATIENCE)
    except (OSError, ValueError):
        raise SwitchError(f"{handle.name} does not hear its switches now; heal it, or wait for its restart") from None


async def _let_go(life: _Life) -> None:
    if life.held is not None:
        life.held.close()
        with suppress(OSError):  # the daemon may have ended it in its own way
            await life.held.wait_closed()
        life.held = None


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended in this moment, and a new life has no switch on
        os.kill(pid, number)
