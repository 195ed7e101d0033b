"""Brings the standbys of one wallet to what the primary lists, each by itself.

Rule: nothing else is done with a standby while something is; one that is slow goes on by itself, and one that lists
another address at the same place holds another seed and is derived nothing on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision.catching_up import CatchingUp
from gateway.supervision.filling import AT_ONCE, SOON
from gateway.supervision.lists import NotNow, is_prefix

LEFT_BEHIND = 3.0
"""Seconds for which new addresses wait for a standby in service that does not get as far as to list them."""


class Standbys:
    """The standbys of one wallet, as its mirror treats them.

    Args:
        written_down: how many addresses the ledger has, 0 without one.
    """

    def __init__(
        self, pool: Pool, catching_up: CatchingUp, written_down: Callable[[], int], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Begin with nothing under way."""
        self.pool = pool
        self.catching_up = catching_up
        self.lists = catching_up.lists
        self.recall = catching_up.recall
        self.tidings = catching_up.tidings
        self.written_down = written_down
        self.loop = loop
        self.under_way: dict[Backend, asyncio.Task[None]] = {}
        self._waited_since: dict[Backend, float] = {}
        """Since when new addresses wait for a standby to list them."""
        self._listed: dict[Backend, int] = {}
        """How many of the primary's addresses each standby was seen to list in this comparison."""

    def serving(self) -> list[Backend]:
        """Return those in service; none where others keep the daemons alike."""
        pool = self.pool
        if not pool.mirror:
            return []
        return [b for b in pool.backends if b is not pool.primary and b.phase.is_serving and not pool.is_held(b)]

    def behind(self) -> list[Backend]:
        """Return those in service that are not aligned, strangers left out."""
        return [b for b in self.serving() if not self.pool.is_aligned(b) and b.name not in self.tidings.strangers]

    def under(self, standby: Backend, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Begin something with a standby that nothing else may be done with meanwhile."""
        task = self.loop.create_task(_unless_not_now(work), name=f"mirror-{standby.name}")
        self.under_way[standby] = task
        task.add_done_callback(lambda _task: self.under_way.pop(standby, None))
        return task

    def stop(self) -> None:
        """End what is under way."""
        for task in self.under_way.values():
            task.cancel()

    # -- with what the primary lists ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what was seen in the comparison before."""
        self._listed.clear()

    async def bring_up(self, wanted: list[str], written: int) -> None:
        """Bring all in service to what the primary lists.

        Args:
            written: the write count that this comparison counts up to.
        """
        tasks = {
            self.under(standby, self._bring_up(standby, wanted, written))
            for standby in self.serving()
            if standby not in self.under_way
        }
        if tasks:
            await asyncio.wait(tasks, timeout=SOON)

    async def _bring_up(self, standby: Backend, wanted: list[str], written: int) -> None:
        times_held = self.pool.times_held(standby)
        held = await self.lists.of(standby)
        if len(held) < self.written_down():
            self._lose(standby, "lists fewer addresses than are written down")
        began = self.loop.time()
        missing = len(wanted) - len(held)
        is_alike = is_prefix(held, wanted)
        for _ in range(min(missing, AT_ONCE) if is_alike else 0):
            held.append(await self.lists.derive(standby))
            is_alike = held[-1] == wanted[len(held) - 1]
            if not is_alike:
                # a payment to its last addresses makes a daemon extend its list by itself; it derives what comes then
                held = await self.lists.of(standby)
                if is_prefix(held, wanted):
                    raise NotNow(f"{standby.name} has extended its list meanwhile")
                break
        if self.pool.times_held(standby) != times_held:
            raise NotNow(f"the wallet of {standby.name} was loaded anew meanwhile")
        if not is_alike:
            self.tidings.tell_stranger(standby, held, wanted)
            return
        if missing > 0:
            self.tidings.tell_derived(standby, min(missing, AT_ONCE), began)
        elif missing < 0:
            self._remember(standby, held)
        if len(held) >= len(wanted):
            self._listed[standby] = len(held)
            self.tidings.is_kin(standby)
            if len(held) >= len(self.recall.known):
                # more may have become known while this one was asked, and was out of service for a while
                self.pool.mark_aligned(standby, written)

    def _remember(self, standby: Backend, held: list[str]) -> None:
        """Take over what a standby lists beyond the primary, which may have given it out and forgotten it."""
        if len(held) > len(self.recall.known) and is_prefix(held, self.recall.known):
            self.recall.know(held)
            self.pool.doubt_primary()
            self.pool.emit(Event("mirror.primary_behind", self.pool.name, standby.name, {"listed": len(held)}))

    def are_waited_for(self, wanted: int) -> bool:
        """Whether a standby has to list more before anybody may be told what the primary lists.

        One that cannot is left behind after a while: it answers no wallet reads until it has caught up, and one sick
        standby must not keep the pool dry.
        """
        now = self.loop.time()
        strangers = self.tidings.strangers
        late = [b for b in self.serving() if b.name not in strangers and self._listed.get(b, 0) < wanted]
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

    # -- while the primary does not answer ----------------------------------------------------------------------

    async def go_on_without_primary(self) -> None:
        """Bring the standbys to what clients were told, while the primary does not answer.

        It gave out an address and fell silent before anybody could compare.  The address itself is the proof:
        a standby that derives it holds the same seed, and one that lists all that was told is blind to none of it.
        """
        written, told = self.pool.written, set(self.recall.told)
        if not self.recall.known:
            return
        tasks = {
            self.under(standby, self._bring_to_told(standby, told, written))
            for standby in self.serving()
            if standby not in self.under_way and not self.pool.is_aligned(standby)
        }
        if tasks:
            await asyncio.wait(tasks, timeout=SOON)

    async def _bring_to_told(self, standby: Backend, told: set[str], written: int) -> None:
        held, known = await self.lists.of(standby), self.recall.known
        if not is_prefix(held, known):
            self.tidings.tell_stranger(standby, held, known)
            return
        held = await self.catching_up.derive_until(standby, held, told)
        if len(held) >= len(self.recall.known) and told <= set(held):
            self.tidings.is_kin(standby)
            self.pool.mark_aligned(standby, written)


async def _unless_not_now(work: Coroutine[Any, Any, None]) -> None:
    """Do something, unless a daemon does not answer."""
    with suppress(NotNow):
        await work
