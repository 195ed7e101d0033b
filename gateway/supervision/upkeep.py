"""Asks one daemon what the gateway has to know of it, and closes and loads its wallet.

Rule: a wallet that was closed here is loaded again here, and the daemon counts as whole only when it lists the wallet
by itself.  After close_wallet a daemon goes on answering from a wallet that is cut off from file and chain; so the two
calls stand behind each other in the queue of its slot, where nobody's call can come between them.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from gateway.base.effects import Bound
from gateway.base.errors import Failure
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.profiles import Method, Profile
from gateway.profiles.probes import read_probe
from gateway.upstream.questions import CallOn

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a question may take, queueing included."""

LOADING = 35.0
"""Seconds that closing or loading may take: a large wallet is written and read as a whole."""

SYNCING = 10.0
"""Seconds within which a loaded wallet is in step with its server; 0.2 is usual."""

LOADS = 3
"""How often a wallet is asked to be loaded until that counts as impossible."""

SATOSHI = Decimal(100_000_000)


class NoAnswerError(Exception):
    """A daemon did not answer; it is asked again later."""


class DeniedError(NoAnswerError):
    """A daemon answered with an error of its own."""


class CannotReloadError(Exception):
    """The wallet cannot be closed without danger; nothing was done.  The text says why."""


class NotLoadedError(Exception):
    """A wallet was closed and could not be loaded again.  The text says why."""


@dataclass(frozen=True, slots=True)
class Info:
    """What getinfo says."""

    level: Level
    height: int
    wallets: dict[str, bool]
    """The loaded wallets by path, and whether each is in step with its server."""
    default: str
    """The path that load_wallet loads."""


class _Info(msgspec.Struct):
    wallets: dict[str, bool] = {}
    default_wallet: str = ""


class _Balance(msgspec.Struct):
    confirmed: str = "0"
    unconfirmed: str = "0"
    unmatured: str = "0"


class _Error(msgspec.Struct):
    error: msgspec.Raw


class Upkeep:
    """The gateway's own calls on single daemons.

    Args:
        call_on: makes a call on a backend that is in service.
        call_anyway: the same on one that is not, as long as it answers; a wallet that did not load is loaded by it.
    """

    def __init__(
        self, profile: Profile, call_on: CallOn, loop: asyncio.AbstractEventLoop, call_anyway: CallOn | None = None
    ) -> None:  # fmt: skip
        """Have nothing under way."""
        self.profile = profile
        self.call_on = call_on
        self.call_anyway = call_anyway or call_on
        self.loop = loop

    @property
    def can_reload(self) -> bool:
        """Whether this wallet family says which wallet it has loaded, and closes and loads it by two plain calls."""
        methods = self.profile.methods
        return self.profile.probe_style == "getinfo" and "close_wallet" in methods and "load_wallet" in methods

    # -- questions --------------------------------------------------------------------------------------------

    async def ask(
        self, backend: Backend, method: Method, params: bytes = b"[]", *, patience: float = PATIENCE,
        anyway: bool = False,
    ) -> bytes:  # fmt: skip
        """Return the raw result of a call.

        Raises:
            NoAnswerError: there was no answer.
            DeniedError: the answer was an error, be it dressed as a result.
        """
        call = self.call_anyway if anyway else self.call_on
        answer = await call(backend, method, params, self.loop.time() + patience)
        if isinstance(answer, Failure):
            raise NoAnswerError(f"{backend.name} did not answer {method.name} ({answer.kind.name})")
        if answer.result is None or _is_error(answer.result):
            # its words may hold addresses and paths, and go nowhere
            raise DeniedError(f"{backend.name} answered {method.name} with an error")
        return answer.result

    async def read(self, backend: Backend, method: Method, kind: type[T], params: bytes = b"[]") -> T:
        """Return the decoded result of a call.  Raises NoAnswerError."""
        return decode(backend, method, await self.ask(backend, method, params), kind)

    async def info(self, backend: Backend, *, anyway: bool = False) -> Info:
        """Return what the daemon says of itself.  Raises NoAnswerError."""
        method = self.profile.methods[self.profile.probe]
        result = await self.ask(backend, method, anyway=anyway)
        said = decode(backend, method, result, _Info)
        probe = read_probe(self.profile, result)
        return Info(probe.level, probe.height or 0, said.wallets, said.default_wallet)

    async def balance(self, backend: Backend) -> tuple[int, int]:
        """Return what is confirmed, unripe coins among it, and what is not yet, in satoshi.  Raises NoAnswerError."""
        method = self.profile.methods["getbalance"]
        said = await self.read(backend, method, _Balance)
        try:
            confirmed, unconfirmed, unmatured = (
                int(Decimal(text) * SATOSHI) for text in (said.confirmed, said.unconfirmed, said.unmatured)
            )
        except (InvalidOperation, ValueError, OverflowError):
            raise NoAnswerError(f"{backend.name} names no amounts") from None
        return confirmed + unmatured, unconfirmed

    async def listed(self, backend: Backend, *, change: bool) -> list[str]:
        """Return the receiving or the change addresses in the daemon's own order.  Raises NoAnswerError."""
        method = self.profile.methods[self.profile.list_addresses]
        params = b"[false, true]" if change else self.profile.list_params
        return await self.read(backend, method, list[str], params)

    # -- the wallet -------------------------------------------------------------------------------------------

    async def reload(self, backend: Backend) -> None:
        """Close the wallet and load it again, so that the daemon asks its server for everything anew.

        Raises:
            CannotReloadError: nothing was done.
            NotLoadedError: it is closed.
            NoAnswerError: it was not heard of any more; it may be closed or not.
        """
        path = await self.check(backend)
        closing = self.loop.create_task(self.control(backend, "close_wallet"))
        loading = self.loop.create_task(self.control(backend, "load_wallet"))
        await asyncio.wait({closing, loading})
        for task in (closing, loading):
            with suppress(NoAnswerError):
                task.result()
        await self.see_loaded(backend, path)

    async def check(self, backend: Backend, *, anyway: bool = False) -> str:
        """Return the path of the wallet that is loaded and would be loaded again.

        Raises CannotReloadError, NoAnswerError.
        """
        if not self.can_reload:
            raise CannotReloadError(f"wallets of the profile {self.profile.name} are not reloaded")
        info = await self.info(backend, anyway=anyway)
        if list(info.wallets) != [info.default]:
            raise CannotReloadError(
                f"{backend.name} has loaded {len(info.wallets)} wallets, and load_wallet would load its default one; "
                "make the wallet of this gateway its default, and the only one"
            )
        if info.level is Level.SYNCED:
            # as good as a probe; the next one need not come between closing and loading
            backend.heard_at = backend.probed_at = self.loop.time()
        return info.default

    async def control(self, backend: Backend, verb: str, *, anyway: bool = False) -> bool:
        """Close or load the wallet; return whether the daemon says that it did.  Raises NoAnswerError."""
        method = replace(self.profile.methods[verb], bound=Bound.SERVER)
        result = await self.ask(backend, method, patience=LOADING, anyway=anyway)
        return result.strip() == b"true"

    async def see_loaded(self, backend: Backend, path: str) -> None:
        """Return once the daemon lists the wallet and is in step with its server; load it where it is not listed.

        A wallet that is loaded and not in step is waited for, and in the end left to the probes.
        Raises NotLoadedError, NoAnswerError.
        """
        until, pause, loads = self.loop.time() + SYNCING, 0.02, 0
        while True:
            info = await self.info(backend, anyway=True)
            if info.wallets.get(path) or (path in info.wallets and self.loop.time() >= until):
                return
            if path not in info.wallets:
                if loads == LOADS:
                    raise NotLoadedError(
                        f"{backend.name} does not load its wallet again; load it by hand, with its password if the "
                        "file has one, or restart the daemon"
                    )
                loads += 1
                with suppress(DeniedError):
                    await self.control(backend, "load_wallet", anyway=True)
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)


def decode(backend: Backend, method: Method, result: bytes, kind: type[T]) -> T:
    """Return a result as what it should be.  Raises NoAnswerError where it is something else."""
    try:
        return msgspec.json.decode(result, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise NoAnswerError(f"{backend.name} answered {method.name} with something else") from None


def _is_error(result: bytes) -> bool:
    if not result.lstrip().startswith(b"{"):
        return False
    try:
        msgspec.json.decode(result, type=_Error)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
