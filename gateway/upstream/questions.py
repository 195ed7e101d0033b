"""What the gateway asks one daemon about its coins, in the words of its profile.

Rule: an answer that cannot be read is no answer; whoever asks says how long he waits, and decides what it means that
none came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from gateway.base.errors import Failure
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.profiles import Method, Profile
from gateway.rules import cashaddr
from gateway.rules.coins import Coin, Entry, read_history, read_unspent
from gateway.rules.transaction import Output, Transaction, bytes_of, parse

T = TypeVar("T")

CallOn = Callable[[Backend, Method, bytes, float], Awaitable[Answer | Failure]]
"""Backend, method, raw parameters, deadline in loop time."""


class NotAnsweredError(Exception):
    """The daemon did not say it; the text says why."""


class Questions:
    """Questions to the daemons of one wallet.

    Args:
        profile: of the wallet; replaced on a reload.
        call_on: makes one upkeep call on one backend.
    """

    def __init__(self, profile: Profile, call_on: CallOn, loop: asyncio.AbstractEventLoop) -> None:
        """Ask nothing yet."""
        self.profile = profile
        self.call_on = call_on
        self.loop = loop

    @property
    def tells_pairs(self) -> bool:
        """Whether `broadcast` is answered with `[true, txid]`, as Electron Cash does; else with the txid alone."""
        return self.profile.probe_style == "getinfo"

    async def unspent(self, backend: Backend, deadline: float) -> dict[str, Coin]:
        """Return the wallet's coins by outpoint.  Raises NotAnsweredError."""
        answer = await self._ask(backend, "listunspent", [], deadline)
        return self._read(backend, lambda: read_unspent(answer))

    async def history(self, backend: Backend, deadline: float) -> dict[str, Entry]:
        """Return the wallet's transactions by txid.  Raises NotAnsweredError."""
        name = "history" if "history" in self.profile.methods else "onchain_history"
        answer = await self._ask(backend, name, [], deadline)
        return self._read(backend, lambda: read_history(answer))

    async def addresses(self, backend: Backend, deadline: float) -> tuple[frozenset[str], str | None]:
        """Return all of the wallet's addresses without prefix, and their network.  Raises NotAnsweredError."""
        answer = await self._ask(backend, "listaddresses", [], deadline)
        if not isinstance(answer, list) or not all(isinstance(one, str) for one in answer):
            raise NotAnsweredError(f"{backend.name} answered listaddresses with something else")
        network = cashaddr.network_of(answer[0]) if answer else None
        return frozenset(one.rpartition(":")[2] for one in answer), network

    async def transaction(self, backend: Backend, txid: str, deadline: float) -> Transaction:
        """Return a transaction that the daemon knows.  Raises NotAnsweredError."""
        answer = await self._ask(backend, "gettransaction", [txid], deadline)
        found = self._read(backend, lambda: parse(bytes_of(answer) or ""))
        if found.txid != txid:
            raise NotAnsweredError(f"{backend.name} answered gettransaction with another transaction")
        return found

    async def output(self, backend: Backend, outpoint: str, deadline: float) -> Output:
        """Return the coin that an outpoint names, spent or not.  Raises NotAnsweredError."""
        txid, _, place = outpoint.partition(":")
        made = (await self.transaction(backend, txid, deadline)).outputs
        if int(place) >= len(made):
            raise NotAnsweredError(f"{backend.name} knows no such coin")
        return made[int(place)]

    async def freeze(
        self, backend: Backend, outpoints: Iterable[str], deadline: float, *, frozen: bool = True
    ) -> list[str]:
        """Freeze coins on a daemon, or lift that, one after the other; return those that it did not do."""
        name = "freeze_utxo" if frozen else "unfreeze_utxo"
        left = list(outpoints)
        while left and name in self.profile.methods:
            try:
                await self._ask(backend, name, [left[0]], deadline)
            except NotAnsweredError:
                return left
            del left[0]
        return left

    async def broadcast(self, backend: Backend, text: str, deadline: float) -> Answer | Failure:
        """Send bytes through one daemon."""
        method = self.profile.methods["broadcast"]
        return await self.call_on(backend, method, msgspec.json.encode([text]), deadline)

    def _read(self, backend: Backend, read: Callable[[], T]) -> T:
        try:
            return read()
        except ValueError as error:
            raise NotAnsweredError(f"{backend.name}: {error}") from None

    async def _ask(self, backend: Backend, name: str, params: list[object], deadline: float) -> object:
        method = self.profile.methods.get(name)
        if method is None:
            raise NotAnsweredError(f"the profile {self.profile.name} has no {name}")
        answer = await self.call_on(backend, method, msgspec.json.encode(params), deadline)
        if isinstance(answer, Failure):
            raise NotAnsweredError(f"{backend.name} did not answer {name} ({answer.kind.name})")
        if answer.result is None:
            raise NotAnsweredError(f"{backend.name} answered {name} with an error")
        try:
            found: object = msgspec.json.decode(answer.result)
        except msgspec.MsgspecError:
            raise NotAnsweredError(f"{backend.name} answered {name} with no JSON") from None
        return found
