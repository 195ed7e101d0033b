"""What one daemon lists as its receiving addresses, and its next one.

Rule: an answer that cannot be read is no answer, and the comparison that needed it is put off.  Addresses are compared
without the prefix of their network.
"""

import asyncio
from collections.abc import Callable

import msgspec

from gateway.base.errors import Failure
from gateway.fleet.backend import Backend
from gateway.profiles import Method, Profile
from gateway.rules.cashaddr import bare
from gateway.upstream.questions import CallOn

PATIENCE = 10.0
"""Seconds that one upkeep call may take, queueing included."""


class NotNow(Exception):  # noqa: N818 - not an error: the comparison is put off
    """A daemon did not answer a comparison."""


class CannotList(NotNow):
    """A daemon answered a comparison with an error or with something else than a list."""


class Lists:
    """The lists of the daemons of one wallet.

    Args:
        profile: of the wallet; replaced on a reload.
        call_on: makes one upkeep call on one backend.
        is_held: whether the wallet of a backend is closed, loaded or exchanged right now.
    """

    def __init__(
        self, profile: Profile, call_on: CallOn, loop: asyncio.AbstractEventLoop,
        is_held: Callable[[Backend], bool] = lambda _backend: False,
    ) -> None:  # fmt: skip
        """Ask nothing yet."""
        self.is_held = is_held
        self.profile = profile
        self.call_on = call_on
        self.loop = loop

    async def of(self, backend: Backend) -> list[str]:
        """Return the receiving addresses of a daemon in its own order, without prefixes.  Raises NotNow."""
        listed = await self.as_written(backend)
        # in place: all daemons are compared at once, and each list would be held twice
        for place, address in enumerate(listed):
            listed[place] = bare(address)
        return listed

    async def as_written(self, backend: Backend) -> list[str]:
        """Return the receiving addresses of a daemon in its own order.  Raises NotNow."""
        method, params = self.profile.methods[self.profile.list_addresses], self.profile.list_params
        result = await self._ask(backend, method, params)
        try:
            listed = msgspec.json.decode(result, type=list[str])
        except msgspec.MsgspecError as error:
            raise CannotList(f"{backend.name} lists no addresses: {error}") from None
        backend.listed = len(listed)
        return listed

    async def derive(self, backend: Backend) -> str:
        """Make a daemon derive its next address and return it (bare).  Raises NotNow."""
        result = await self._ask(backend, self.profile.methods[self.profile.allocate], b"[]")
        try:
            derived = bare(msgspec.json.decode(result, type=str))
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} derives no address: {error}") from None
        if backend.listed is not None:
            backend.listed += 1
        return derived

    async def _ask(self, backend: Backend, method: Method, params: bytes) -> bytes:
        if self.is_held(backend):
            # what is derived on a closed wallet is saved nowhere, and its list is of before
            raise NotNow(f"the wallet of {backend.name} is loaded anew")
        answer = await self.call_on(backend, method, params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure):
            raise NotNow(f"{backend.name} did not answer {method.name}")
        if answer.result is None:
            raise CannotList(f"{backend.name} answered {method.name} with an error")
        return answer.result


def is_prefix(one: list[str], other: list[str]) -> bool:
    """Whether the shorter list is the beginning of the longer."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]
