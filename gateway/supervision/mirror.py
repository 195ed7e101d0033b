"""Keeps standbys aligned with the primary: each lists every receiving address that the primary lists.

Rule: a standby counts as aligned only by a comparison that both daemons answered, and only up to the write
that came last before the comparison began; whatever it may have lost since makes it unaligned again.

This is the first piece.  A standby whose list is shorter gets createnewaddress until it holds the primary's
addresses, each of them checked as it comes: the daemons derive the same n-th address from the same seed, so
another one at the same place means another seed, and such a standby is never aligned.

A primary that was killed forgets the addresses it had not saved, and would give them to a second customer.
Where a standby remembers them, the primary is made to derive past them before anything else is asked of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from gateway.base.errors import Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Method, Profile
from gateway.rules.lifecycle import Phase

CallOn = Callable[[Backend, Method, bytes, float], Awaitable[Answer | Failure]]
"""Makes one call on one backend through its slot, by a deadline in loop time."""

PERIOD = 10.0
"""Seconds between two comparisons when nothing happened."""

PATIENCE = 10.0
"""Seconds that one upkeep call may take, queueing included."""

SOON = 0.25
"""Seconds for which a standby that does not answer keeps the next comparison of the others waiting."""

AT_ONCE = 500
"""Addresses derived in one go, so that a standby far behind does not keep its slot from reads for long."""


class NotNow(Exception):  # noqa: N818 - not an error: the comparison is put off
    """A daemon did not answer a comparison."""


class Mirror:
    """The mirror of one wallet."""

    def __init__(
        self,
        pool: Pool,
        profile: Profile,
        call_on: CallOn,
        loop: asyncio.AbstractEventLoop,
        period: float = PERIOD,
    ) -> None:
        """Begin with nothing compared."""
        self.pool = pool
        self.profile = profile
        self.call_on = call_on
        self.loop = loop
        self.period = period
        self.derived = 0
        """Addresses derived on standbys so far."""
        self._wake = asyncio.Event()
        self._under_way: dict[Backend, asyncio.Task[None]] = {}
        self._one_by_one = asyncio.Lock()
        self._strangers: set[str] = set()
        pool.on_compare = self._wake.set

    async def run(self) -> None:
        """Compare for ever: after each write, when a standby comes into service, and now and then."""
        try:
            while True:
                self._wake.clear()
                with suppress(NotNow):
                    await self.compare()
                await self._until_needed()
        finally:
            for task in self._under_way.values():
                task.cancel()

    async def _until_needed(self) -> None:
        """Wait for a write or a period; look sooner while a standby in service is not aligned."""
        pause = 0.1 if self._behind() else self.period
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _behind(self) -> list[Backend]:
        """The standbys in service that are not aligned, strangers left out."""
        return [b for b in self._standbys() if not self.pool.is_aligned(b) and b.name not in self._strangers]

    def _standbys(self) -> list[Backend]:
        pool = self.pool
        return [b for b in pool.backends if b is not pool.primary and b.phase.is_serving]

    async def compare(self) -> None:
        """Compare every standby in service with the primary and bring it up.

        One that is slow to answer goes on by itself, and is left out of the next comparisons until it is done.

        Raises:
            NotNow: the primary is not in service or did not answer.
        """
        pool = self.pool
        standbys = self._standbys()
        if not standbys or pool.primary.phase not in (Phase.READY, Phase.WARMING):
            return
        written = pool.written
        wanted = await self._list(pool.primary)
        tasks = {self._begin(standby, wanted, written) for standby in standbys if standby not in self._under_way}
        if tasks:
            await asyncio.wait(tasks, timeout=SOON)

    def _begin(self, standby: Backend, wanted: list[str], written: int) -> "asyncio.Task[None]":
        """Begin to bring one standby up."""
        task = self.loop.create_task(self._try_to_bring_up(standby, wanted, written), name=f"mirror-{standby.name}")
        self._under_way[standby] = task
        task.add_done_callback(lambda _task: self._under_way.pop(standby, None))
        return task

    async def _try_to_bring_up(self, standby: Backend, wanted: list[str], written: int) -> None:
        """Bring one standby up, unless a daemon does not answer."""
        with suppress(NotNow):
            await self._bring_up(standby, wanted, written)

    async def _bring_up(self, standby: Backend, wanted: list[str], written: int) -> None:
        held = await self._list(standby)
        began = self.loop.time()
        missing = len(wanted) - len(held)
        for _ in range(min(missing, AT_ONCE)):
            if not _is_prefix(held, wanted):
                break
            held.append(await self._derive(standby))
        if not _is_prefix(held, wanted):
            self._tell_stranger(standby, held, wanted)
            return
        if missing > 0:
            self._tell_derived(standby, min(missing, AT_ONCE), began)
        elif missing < 0:
            await self._bring_primary_past(held)
        if len(held) >= len(wanted):
            self._strangers.discard(standby.name)
            self.pool.mark_aligned(standby, written)

    async def _bring_primary_past(self, held: list[str]) -> None:
        """Make the primary derive what a standby lists beyond it: the primary may have given it out and forgotten it.

        Raises NotNow.
        """
        primary = self.pool.primary
        async with self._one_by_one:
            listed = await self._list(primary)
            began = self.loop.time()
            missing = min(len(held) - len(listed), AT_ONCE)
            for _ in range(missing):
                await self._derive(primary)
        if missing > 0:
            self._tell_derived(primary, missing, began)

    def _tell_derived(self, backend: Backend, addresses: int, began: float) -> None:
        self.derived += addresses
        took = round(self.loop.time() - began, 3)
        self.pool.emit(Event("mirror.derived", self.pool.name, backend.name, {"addresses": addresses, "took": took}))

    def _tell_stranger(self, standby: Backend, held: list[str], wanted: list[str]) -> None:
        """Say once that a standby lists another address at the same place: it holds another seed."""
        self.pool.lose_alignment(standby, "lists other addresses than the primary")
        if standby.name in self._strangers:
            return
        self._strangers.add(standby.name)
        place = next(i for i, (one, other) in enumerate(zip(held, wanted, strict=False)) if one != other)
        self.pool.emit(Event("backend.diverged", self.pool.name, standby.name, {"first_index": place}, level="error"))

    async def _list(self, backend: Backend) -> list[str]:
        """Return the receiving addresses of a daemon in its own order.  Raises NotNow."""
        method, params = self.profile.methods[self.profile.list_addresses], self.profile.list_params
        result = await self._ask(backend, method, params)
        try:
            return msgspec.json.decode(result, type=list[str])
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} lists no addresses: {error}") from None

    async def _derive(self, backend: Backend) -> str:
        """Make a daemon derive its next address and return it.  Raises NotNow."""
        result = await self._ask(backend, self.profile.methods[self.profile.allocate], b"[]")
        try:
            return msgspec.json.decode(result, type=str)
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} derives no address: {error}") from None

    async def _ask(self, backend: Backend, method: Method, params: bytes) -> bytes:
        answer = await self.call_on(backend, method, params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure) or answer.result is None:
            raise NotNow(f"{backend.name} did not answer {method.name}")
        return answer.result


def _is_prefix(one: list[str], other: list[str]) -> bool:
    """Whether the shorter list is the beginning of the longer."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]
