"""Asks one daemon what the gateway has to know of it, and closes and loads its wallet.

Rule: a wallet that was closed here is loaded again here, and the daemon counts as whole only when it lists the wallet
by itself.  After close_wallet a daemon goes on answering from a wallet that is cut off from file and chain; so the two
calls stand behind each other in the queue of its slot, where nobody's call can come between them.  A wallet whose
password is not known here is not closed, for nobody could load it again; and where one was closed and did not load,
no other one is closed any more.

The wallet's password leaves the gateway in one call alone, the one that loads it, and no word of the answer goes
anywhere: it may hold paths.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from gateway.base.effects import Bound
from gateway.base.errors import Failure
from gateway.base.jsonrpc import Answer
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.profiles import Care, Method, Profile
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


IsPlain = Callable[[str], Awaitable[bool]]
"""Whether the wallet file of a backend is known not to be encrypted."""


class NoAnswerError(Exception):
    """A daemon did not answer; it is asked again later."""


class DeniedError(NoAnswerError):
    """A daemon answered with an error of its own."""


class CannotReloadError(Exception):
    """The wallet cannot be closed without danger; nothing was done.  The text says why."""


class NotLoadedError(Exception):
    """A wallet could not be loaded.  The text says why.

    Args:
        is_denied: because of its password, so that only a person can help.
    """

    def __init__(self, text: str, *, is_denied: bool = False) -> None:
        """Keep both; the text names the setting."""
        super().__init__(text)
        self.is_denied = is_denied


KEY_FILE = "wallet_password_file"
"""The other way to say it."""

LOCKED = b"password required"
"""What a daemon says to whatever signs, before it looks at anything else, where its wallet has a password."""


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
        password: of the wallet of a backend, by its name; "" for none.
        is_plain: whether the wallet file of a backend is known not to be encrypted, so that it loads without.
    """

    def __init__(
        self, profile: Profile, call_on: CallOn, loop: asyncio.AbstractEventLoop, call_anyway: CallOn | None = None,
        password: Callable[[str], str] = lambda _name: "", is_plain: IsPlain | None = None,
    ) -> None:  # fmt: skip
        """Have nothing under way."""
        self.password = password
        self.is_plain = is_plain
        self.may_reload = True
        """Not any more once a wallet did not load again: what could not be loaded there would not be elsewhere."""
        self.profile = profile
        self.call_on = call_on
        self.call_anyway = call_anyway or call_on
        self.loop = loop

    @property
    def can_reload(self) -> bool:
        """Whether this wallet family says which wallet it has loaded, and closes and loads it by two plain calls."""
        return self.profile.probe_style == "getinfo" and {"close", "load"} <= set(self.profile.care)

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
        if answer.result is None or _denial(answer) is not None:
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
        closing = self.loop.create_task(self.close(backend))
        loading = self.loop.create_task(self.load(backend, path))
        await asyncio.wait({closing, loading})
        for task in (closing, loading):
            with suppress(NoAnswerError, NotLoadedError):
                task.result()
        try:
            await self.see_loaded(backend, path)
        except NotLoadedError:
            self.may_reload = False
            raise

    async def check(self, backend: Backend, *, anyway: bool = False) -> str:
        """Return the path of the wallet that is loaded and can be loaded again.

        Raises CannotReloadError, NoAnswerError.
        """
        if not self.may_reload:
            raise CannotReloadError(
                "a wallet that was closed did not load again, and none is closed any more; mend that one, then restart "
                "the gateway"
            )
        if not self.can_reload:
            raise CannotReloadError(f"wallets of the profile {self.profile.name} are not reloaded")
        info = await self.info(backend, anyway=anyway)
        if list(info.wallets) != [info.default]:
            raise CannotReloadError(
                f"{backend.name} has loaded {len(info.wallets)} wallets, and load_wallet would load its default one; "
                "make the wallet of this gateway its default, and the only one"
            )
        if not self.password(backend.name) and await self.is_locked(backend, anyway=anyway):
            raise CannotReloadError(f"{setting(backend)} is not set, and its wallet has a password; {REMEDY}")
        if info.level is Level.SYNCED:
            # as good as a probe; the next one need not come between closing and loading
            backend.heard_at = backend.probed_at = self.loop.time()
        return info.default

    async def is_locked(self, backend: Backend, *, anyway: bool = False) -> bool:
        """Whether its wallet has a password that may be needed to load it.  Raises NoAnswerError.

        Something is asked for that no daemon can do and that would have to be signed: only a wallet with a password
        says that it wants one, and nothing is signed.
        """
        method = self.profile.methods.get("signmessage")
        if method is None:
            return False
        said = await self._denied(backend, method, b'["", ""]', PATIENCE, anyway=anyway) or b""
        if LOCKED not in said.lower():
            return False
        # its keys are encrypted; of the file only the file itself tells
        return self.is_plain is None or not await self.is_plain(backend.name)

    async def close(self, backend: Backend, *, patience: float = LOADING, anyway: bool = False) -> None:
        """Close the wallet.  Raises NoAnswerError."""
        await self._do(backend, self.profile.care["close"], {}, patience, anyway=anyway)

    async def load(
        self, backend: Backend, wallet: str = "", *, patience: float = LOADING, anyway: bool = False
    ) -> None:  # fmt: skip
        """Ask a daemon to load its wallet, with its password where it has one.

        Args:
            wallet: its path, asked for where it has to be known and is not.

        Raises:
            NotLoadedError: it does not.
            NoAnswerError: it was not heard of any more.
        """
        password = self.password(backend.name)
        care = self.profile.care.get("load_with_password" if password else "load")
        if care is None:
            raise NotLoadedError(f"the profile {self.profile.name} does not say how (care.load)", is_denied=True)
        if care.needs_wallet and not wallet:
            wallet = (await self.info(backend, anyway=anyway)).default
        said = await self._do(backend, care, {"wallet": wallet, "password": password}, patience, anyway=anyway)
        if said is None:
            return
        if b"password" in said.lower():
            state = "is not the password of its wallet" if password else "is not set, and its wallet has a password"
            raise NotLoadedError(f"{setting(backend)} {state}; {REMEDY}", is_denied=True)
        raise NotLoadedError("answers with an error when it is asked to load its wallet")

    async def _do(
        self, backend: Backend, care: Care, known: dict[str, str], patience: float, *, anyway: bool
    ) -> bytes | None:
        method = replace(care.method, bound=Bound.SERVER)
        return await self._denied(backend, method, care.fill(**known), patience, anyway=anyway)

    async def _denied(
        self, backend: Backend, method: Method, params: bytes, patience: float, *, anyway: bool
    ) -> bytes | None:
        """Return the words of an answer that is an error, be it dressed as a result; None for a good one.

        Raises NoAnswerError.
        """
        call = self.call_anyway if anyway else self.call_on
        answer = await call(backend, method, params, self.loop.time() + patience)
        if isinstance(answer, Failure):
            raise NoAnswerError(f"{backend.name} did not answer {method.name} ({answer.kind.name})")
        return _denial(answer)

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
                        f"{backend.name} does not load its wallet again; see whether the file is there, and whether "
                        f"{setting(backend)} is its password"
                    )
                loads += 1
                try:
                    await self.load(backend, path, anyway=True)
                except NotLoadedError as error:
                    if error.is_denied:
                        raise
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)


async def is_plain_file(path: str | None) -> bool:
    """Whether a wallet file lies on this machine and is not encrypted: then it is JSON."""
    if not path:
        return False

    def begins() -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 - nothing else is wanted of the path
            return file.read(1)

    try:
        return await asyncio.to_thread(begins) == b"{"
    except OSError:
        return False


def decode(backend: Backend, method: Method, result: bytes, kind: type[T]) -> T:
    """Return a result as what it should be.  Raises NoAnswerError where it is something else."""
    try:
        return msgspec.json.decode(result, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise NoAnswerError(f"{backend.name} answered {method.name} with something else") from None


REMEDY = f"set it, or {KEY_FILE}"


def setting(backend: Backend) -> str:
    """Return the name of the setting that holds the password of its wallet."""
    return f"wallets.{backend.wallet}.backends.{backend.name}.wallet_password"


def _denial(answer: Answer) -> bytes | None:
    """Return the words of an answer that is an error, be it dressed as a result; None for a good one."""
    result = answer.result
    if result is None:
        return bytes(answer.error or b"")
    if not result.lstrip().startswith(b"{"):
        return None
    try:
        return bytes(msgspec.json.decode(result, type=_Error).error)
    except (msgspec.MsgspecError, RecursionError):
        return None
