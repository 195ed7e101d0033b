"""Keeps standbys aligned with the primary: each lists every receiving address that the primary lists.

Rule: a standby counts as aligned only by a comparison that both daemons answered, and only up to the write
that came last before the comparison began; whatever it may have lost since makes it unaligned again.

This is the first piece.  A standby whose list is shorter gets createnewaddress until it holds the primary's
addresses, each of them checked as it comes: the daemons derive the same n-th address from the same seed, so
another one at the same place means another seed, and such a standby is never aligned.

A primary that was killed forgets the addresses it had not saved, and would give them to a second customer.
So the mirror remembers the longest list it saw and every address that a client was told since, and a primary
that comes into service (or becomes one by a reload) derives past them before a money call goes there.  This
memory lasts as long as the process.

With a ledger what is known is the ledger's list, which outlasts everything, and clients are told addresses of its
pool alone.  Then the mirror also makes the primary derive as many as the pool wants, and says when every daemon in
service lists them.  Addresses are compared without the prefix of their network.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from gateway.base.errors import Failure, LedgerError
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Method, Profile
from gateway.rules.cashaddr import bare
from gateway.upstream.questions import CallOn

T = TypeVar("T")

PERIOD = 10.0
"""Seconds between two comparisons when nothing happened."""

PATIENCE = 10.0
"""Seconds that one upkeep call may take, queueing included."""

LATE = 0.05
"""Seconds after which a comparison goes on without the primary; ten times what its list usually takes."""

SOON = 0.25
"""Seconds for which a standby that does not answer keeps the next comparison of the others waiting."""

OWED = 0.5
"""Seconds until a comparison is tried again that did not get as far as the ledger."""

LEFT_BEHIND = 3.0
"""Seconds for which new addresses wait for a standby in service that does not get as far as to list them."""

AT_ONCE = 500
"""Addresses derived in one go, so that a standby far behind does not keep its slot from reads for long."""


GUESSED = 20
"""Addresses that a killed primary may have derived beside those that clients were told: calls without an answer."""


class _Invoice(msgspec.Struct):
    """The answer to addrequest."""

    address: str


_decode_text = msgspec.json.Decoder(str).decode
_decode_told = msgspec.json.Decoder(str | _Invoice).decode


class Keeper(Protocol):
    """Who writes down what is listed; the ledger's keeper."""

    known: int
    """Addresses that are written down: any of them may have been given out."""

    def wanted(self) -> int:
        """Return how many addresses the primary should list; 0 for as many as it does."""

    async def met(self, primary: Backend, listed: list[str]) -> None:
        """Hear what the primary lists, with prefixes."""

    async def mirrored(self, listed: list[str], ours: set[str]) -> bool:
        """Hear what every daemon in service lists, without prefixes, and which of it was derived for the pool.

        Return whether it is written down now.
        """


class NotNow(Exception):  # noqa: N818 - not an error: the comparison is put off
    """A daemon did not answer a comparison."""


class CannotList(NotNow):
    """A daemon answered a comparison with an error or with something else than a list."""


class Mirror:
    """The mirror of one wallet.

    Args:
        call_on: makes one upkeep call on one backend.
        period: seconds between two comparisons when nothing happens.
        is_money_elsewhere: whether a client still waits for a money call at another backend than this one.
        keeper, known: of the ledger, where there is one, and what it lists.
    """

    def __init__(
        self,
        pool: Pool,
        profile: Profile,
        call_on: CallOn,
        loop: asyncio.AbstractEventLoop,
        period: float = PERIOD,
        is_money_elsewhere: Callable[[Backend], bool] = lambda _primary: False,
        keeper: Keeper | None = None,
        known: list[str] | None = None,
    ) -> None:
        """Begin with nothing compared."""
        self.keeper = keeper
        self.is_money_elsewhere = is_money_elsewhere
        self.pool = pool
        self.profile = profile
        self.call_on = call_on
        self.loop = loop
        self.period = period
        self.derived = 0
        """Addresses derived on standbys so far."""
        self._wake = asyncio.Event()
        self._known: list[str] = known or []
        """The longest list seen: what is in it may have been given out."""
        self._known_set: set[str] = set(self._known)
        self._given: set[str] = set()
        """Every address that a client was told since the gateway's start, without the prefix of the network."""
        self._told: set[str] = set()
        """Addresses that clients were told and that no list has shown yet, without the prefix of the network."""
        self._listens = True
        self._blind = False
        self._ours: set[str] = set()
        """Addresses that were derived for the pool and that the keeper has not written down yet."""
        self._owes = False
        """The last comparison did not get as far as the ledger."""
        self._waited_since: dict[Backend, float] = {}
        """Since when new addresses wait for a standby to list them."""
        self._lists: dict[Backend, int] = {}
        """How many of the primary's addresses each standby was seen to list in this comparison."""
        self._under_way: dict[Backend, asyncio.Task[None]] = {}
        pool.on_told, pool.is_repeated = self.told, self.is_repeated
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
        pool = self.pool
        is_unchecked = pool.primary.phase.is_serving and not pool.is_primary_checked
        pause = 0.02 if is_unchecked else 0.1 if self._behind() else OWED if self._owes else self.period
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
        if not pool.mirror:
            return []
        return [b for b in pool.backends if b is not pool.primary and b.phase.is_serving]

    async def compare(self) -> None:
        """Compare every standby in service with the primary and bring it up.

        One that is slow to answer goes on by itself, and is left out of the next comparisons until it is done.

        Raises:
            NotNow: the primary is not in service or did not answer.
        """
        pool = self.pool
        if not pool.primary.phase.is_serving:
            if self.keeper is not None:
                # what was given out is in the ledger, so that one of the others can be found whole and take over
                await self._go_on_without_primary()
            return
        self._owes = self.keeper is not None
        written = pool.written
        self._lists.clear()
        primary = pool.primary
        asking = self.loop.create_task(self._list_primary(primary), name="mirror-primary")
        try:
            await asyncio.wait({asking}, timeout=LATE)
            if not asking.done():
                await self._go_on_without_primary()
            while not asking.done():
                if pool.primary is not primary:
                    raise NotNow(f"{primary.name} is no longer primary")
                await asyncio.wait({asking}, timeout=LATE)
            wanted = asking.result()
        finally:
            asking.cancel()
        if pool.primary is not primary:
            raise NotNow(f"{primary.name} is no longer primary")
        tasks = {
            self._under(standby, self._bring_up(standby, wanted, written))
            for standby in self._standbys()
            if standby not in self._under_way
        }
        if tasks:
            await asyncio.wait(tasks, timeout=SOON)
        if pool.primary is not primary:
            # the new one may have been left out of this comparison
            raise NotNow(f"{primary.name} is no longer primary")
        if self.keeper is not None and not self._waits_for_standbys(len(wanted)):
            if await self._while_primary(primary, self._tell_keeper(self.keeper.mirrored(wanted, self._ours))):
                self._ours.difference_update(wanted)
            self._owes = False

    async def _while_primary(self, primary: Backend, work: Coroutine[Any, Any, T]) -> T:
        """Do something that may ask the primary, for as long as it is the primary; raises NotNow after that.

        It may be frozen in the middle, and the one that takes over must not wait for its answer.
        """
        task = self.loop.create_task(work, name="mirror-keeper")
        try:
            while not (await asyncio.wait({task}, timeout=LATE))[0]:
                if self.pool.primary is not primary:
                    raise NotNow(f"{primary.name} is no longer primary")
            return task.result()
        finally:
            task.cancel()

    def _waits_for_standbys(self, wanted: int) -> bool:
        """Whether a standby has to list more before anybody may be told what the primary lists.

        One that cannot is left behind after a while: it answers no wallet reads until it has caught up, and one sick
        standby must not keep the pool dry.
        """
        now = self.loop.time()
        late = [b for b in self._standbys() if b.name not in self._strangers and self._lists.get(b, 0) < wanted]
        self._waited_since = {b: self._waited_since.get(b, now) for b in late}
        waited_for = [b for b in late if now - self._waited_since[b] < LEFT_BEHIND]
        if not waited_for:
            for standby in late:
                self._lose(standby, "does not list new addresses")
        return bool(waited_for)

    def _lose(self, standby: Backend, reason: str) -> None:
        """Let a standby that was whole count as whole no more."""
        if standby.aligned_to is not None:
            self.pool.lose_alignment(standby, reason)

    async def _tell_keeper(self, work: Awaitable[T]) -> T:
        """Let the keeper write something down; raises NotNow where that was not possible."""
        try:
            return await work
        except LedgerError as error:
            raise NotNow(f"the ledger could not be written: {error}") from error

    async def _list_primary(self, primary: Backend) -> list[str]:
        """Return what the primary lists, after it was brought past every address that is known to be given out.

        Raises NotNow.
        """
        if self.keeper is None and not self.pool.is_primary_checked and self.is_money_elsewhere(primary):
            # the primary before it is still answering somebody: what it tells must be known first
            raise NotNow("a money call is under way at another backend")
        told = set(self._told)
        try:
            as_written = await self.list_as_written(primary)
            listed = list(map(bare, as_written))
            self._judge_primary(primary, listed)
            if self.keeper is not None and len(listed) < self.keeper.known:
                self.pool.doubt_primary()
            listed = await self._bring_past(primary, listed, told)
            self._told -= told
            self._blind = False
            self._know(listed)
            # what comes now is for the pool, and nobody's call has to wait for it
            self.pool.mark_primary_checked(primary)
            if self.keeper is not None:
                await self._tell_keeper(self.keeper.met(primary, as_written))
                listed = await self._grow(primary, listed, self.keeper.wanted())
                self._know(listed)
        except CannotList as error:
            # nothing to compare with; refusing money for ever would help nobody
            self._tell_blind(primary, str(error))
            self.pool.mark_primary_checked(primary)
            raise
        return listed

    def _judge_primary(self, primary: Backend, listed: list[str]) -> None:
        """Raise NotNow for a primary that contradicts what is known: another seed, or another daemon on its port.

        What is known is not forgotten for it.  It gets neither money nor wallet reads until it lists the known
        addresses again; whoever means the change restarts the gateway.
        """
        is_stranger = not _is_prefix(listed, self._known)
        self.pool.mark_stranger(primary, is_stranger=is_stranger)
        if is_stranger:
            self._tell_stranger(primary, listed, self._known)
            raise NotNow(f"{primary.name} lists other addresses than before")
        self._strangers.discard(primary.name)

    def _know(self, listed: list[str]) -> None:
        if len(listed) != len(self._known):
            self._known_set = set(listed)
        self._known = listed

    async def _grow(self, primary: Backend, listed: list[str], wanted: int) -> list[str]:
        """Make the primary derive what the pool wants; return its list then.  Raises NotNow."""
        began, before = self.loop.time(), len(listed)
        if wanted <= before:
            return listed
        for _ in range(min(wanted - before, AT_ONCE)):
            if self.pool.primary is not primary:
                # the one of now alone is first to derive
                raise NotNow(f"{primary.name} is no longer primary")
            self._ours.add(await self._derive(primary))
        listed = await self._list(primary)
        self._tell_derived(primary, len(listed) - before, began)
        return listed

    async def _bring_past(self, primary: Backend, listed: list[str], told: set[str]) -> list[str]:
        """Make the primary derive until it lists what is known and what was told, and return its list then.

        Raises NotNow.
        """
        listed = await self._derive_until(primary, listed, told)
        missing = told - set(listed) if told else told
        if missing:
            self._tell_lost(primary, len(missing))
        return listed

    async def _derive_until(self, backend: Backend, listed: list[str], told: set[str]) -> list[str]:
        """Make a daemon derive until it lists what is known and what was told, or as many as that may need.

        Clients may be given addresses at the same time, so what was derived is read back and not assumed.
        Raises NotNow.
        """
        began, before = self.loop.time(), len(listed)
        most = max(0, len(self._known) - before) + len(told) + GUESSED
        while missing := max(len(self._known) - len(listed), len(told - set(listed)) if told else 0):
            if len(listed) - before >= most:
                break
            for _ in range(min(missing, AT_ONCE)):
                await self._derive(backend)
            listed = await self._list(backend)
        if len(listed) > before:
            self._tell_derived(backend, len(listed) - before, began)
        return listed

    def told(self, result: bytes) -> None:
        """Remember an address that a client was told: a bare text, or the `address` of an invoice."""
        with suppress(msgspec.MsgspecError):
            told = _decode_told(result)
            address = bare(told.address if isinstance(told, _Invoice) else told)
            self._given.add(address)
            if self._listens and address not in self._known_set:
                self._told.add(address)

    def is_repeated(self, result: bytes) -> bool:
        """Whether a daemon that was asked for a new address answered with one that is known or was told already.

        It was restarted between two probes, forgot what it had not saved, and would give it to a second customer.
        """
        try:
            address = bare(_decode_text(result))
        except msgspec.MsgspecError:
            return False
        return address in self._given or address in self._known_set

    async def _go_on_without_primary(self) -> None:
        """Bring the standbys to what clients were told, while the primary does not answer.

        It gave out an address and fell silent before anybody could compare.  The address itself is the proof:
        a standby that derives it holds the same seed, and one that lists all that was told is blind to none of it.
        """
        written, told = self.pool.written, set(self._told)
        if not self._known:
            return
        tasks = {
            self._under(standby, self._bring_to_told(standby, told, written))
            for standby in self._standbys()
            if standby not in self._under_way and not self.pool.is_aligned(standby)
        }
        if tasks:
            await asyncio.wait(tasks, timeout=SOON)

    async def _bring_to_told(self, standby: Backend, told: set[str], written: int) -> None:
        held = await self._list(standby)
        if not _is_prefix(held, self._known):
            return
        held = await self._derive_until(standby, held, told)
        if len(held) >= len(self._known) and told <= set(held):
            self.pool.mark_aligned(standby, written)

    def _under(self, standby: Backend, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Begin something with a standby that nothing else may be done with meanwhile."""
        task = self.loop.create_task(_unless_not_now(work), name=f"mirror-{standby.name}")
        self._under_way[standby] = task
        task.add_done_callback(lambda _task: self._under_way.pop(standby, None))
        return task

    async def _bring_up(self, standby: Backend, wanted: list[str], written: int) -> None:
        held = await self._list(standby)
        if self.keeper is not None and len(held) < self.keeper.known:
            self._lose(standby, "lists fewer addresses than are written down")
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
            self._remember(standby, held)
        if len(held) >= len(wanted):
            self._lists[standby] = len(held)
            self._strangers.discard(standby.name)
            if len(held) >= len(self._known):
                # more may have become known while this one was asked, and was out of service for a while
                self.pool.mark_aligned(standby, written)

    def _remember(self, standby: Backend, held: list[str]) -> None:
        """Take over what a standby lists beyond the primary, which may have given it out and forgotten it."""
        if len(held) > len(self._known) and _is_prefix(held, self._known):
            self._know(held)
            self.pool.doubt_primary()
            self.pool.emit(Event("mirror.primary_behind", self.pool.name, standby.name, {"listed": len(held)}))

    def _tell_lost(self, primary: Backend, missing: int) -> None:
        """Say that told addresses are not to be found again, and try it no more: each try would derive new ones."""
        self._listens = False
        fields: dict[str, object] = {"addresses": missing}
        self.pool.emit(Event("mirror.address_lost", self.pool.name, primary.name, fields, level="error"))

    def _tell_blind(self, primary: Backend, reason: str) -> None:
        """Say once that the primary's list cannot be read, so that nothing can be compared."""
        if not self._blind:
            self._blind = True
            self.pool.emit(Event("mirror.blind", self.pool.name, primary.name, {"reason": reason}, level="error"))

    def _tell_derived(self, backend: Backend, addresses: int, began: float) -> None:
        self.derived += addresses
        took = round(self.loop.time() - began, 3)
        # one address for each allocation is the daily bread and would fill the log
        level = "debug" if addresses == 1 and backend is not self.pool.primary else "info"
        fields: dict[str, object] = {"addresses": addresses, "took": took}
        self.pool.emit(Event("mirror.derived", self.pool.name, backend.name, fields, level))

    def _tell_stranger(self, standby: Backend, held: list[str], wanted: list[str]) -> None:
        """Say once that a standby lists another address at the same place: it holds another seed."""
        self.pool.lose_alignment(standby, "lists other addresses than the primary")
        if standby.name in self._strangers:
            return
        self._strangers.add(standby.name)
        place = next(i for i, (one, other) in enumerate(zip(held, wanted, strict=False)) if one != other)
        self.pool.emit(Event("backend.diverged", self.pool.name, standby.name, {"first_index": place}, level="error"))

    async def _list(self, backend: Backend) -> list[str]:
        """Return the receiving addresses of a daemon in its own order, without prefixes.  Raises NotNow."""
        return list(map(bare, await self.list_as_written(backend)))

    async def list_as_written(self, backend: Backend) -> list[str]:
        """Return the receiving addresses of a daemon in its own order.  Raises NotNow."""
        method, params = self.profile.methods[self.profile.list_addresses], self.profile.list_params
        result = await self._ask(backend, method, params)
        try:
            return msgspec.json.decode(result, type=list[str])
        except msgspec.MsgspecError as error:
            raise CannotList(f"{backend.name} lists no addresses: {error}") from None

    async def _derive(self, backend: Backend) -> str:
        """Make a daemon derive its next address and return it.  Raises NotNow."""
        result = await self._ask(backend, self.profile.methods[self.profile.allocate], b"[]")
        try:
            return bare(msgspec.json.decode(result, type=str))
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} derives no address: {error}") from None

    async def _ask(self, backend: Backend, method: Method, params: bytes) -> bytes:
        answer = await self.call_on(backend, method, params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure):
            raise NotNow(f"{backend.name} did not answer {method.name}")
        if answer.result is None:
            raise CannotList(f"{backend.name} answered {method.name} with an error")
        return answer.result


async def _unless_not_now(work: Coroutine[Any, Any, None]) -> None:
    """Do something, unless a daemon does not answer."""
    with suppress(NotNow):
        await work


def _is_prefix(one: list[str], other: list[str]) -> bool:
    """Whether the shorter list is the beginning of the longer."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]
