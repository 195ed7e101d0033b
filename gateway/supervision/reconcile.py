"""Keeps the daemons of a wallet alike in everything but receiving addresses, which are the mirror's.

Rule: state is compared and brought in line, operations are never replayed.  A daemon that lacks a freeze or cannot see
a change address does not sign, and a standby that lacks a mark, or stays wrong about the money, answers no wallet
reads; the primary answers them as long as its wallet is loaded, because something must.

Each round looks at every daemon in service by itself, so that a slow one holds nobody.  What it finds is in three
rooms: `marking` (labels and freezes), `horizon` (change addresses), `balances` (who is wrong about the money).  Change
addresses move by payments alone, so a round that a mark has woken brings marks and looks at nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import intents, marks
from gateway.ledger.marks import FREEZES, LABELS, Change
from gateway.ledger.store import Ledger, LedgerError
from gateway.profiles import Profile
from gateway.supervision.balances import GRACE, Balances
from gateway.supervision.horizon import Horizon
from gateway.supervision.marking import Marking
from gateway.supervision.upkeep import IsPlain, NoAnswerError, Upkeep
from gateway.upstream.questions import CallOn

PERIOD = 10.0
"""Seconds between two rounds when nothing happens."""

SOON = 0.25
"""Seconds until a daemon that is not whole is looked at again."""

WAIT = 0.05
"""Seconds for which a slow daemon keeps a round waiting."""

ALL_AGAIN = 3600.0
"""Seconds after which a daemon is given every mark once more: one may have been restarted between two probes."""


class Reconciler:
    """The reconciliation of one wallet.

    Args:
        call_on: makes one upkeep call on one backend in service; call_anyway: on one that is not, too.
        period: seconds between two rounds when nothing happens; grace: that balances may differ.
        password: of the wallet of a backend, by its name; "" for none; is_plain: whether its file loads without.
    """

    def __init__(
        self, pool: Pool, profile: Profile, ledger: Ledger, call_on: CallOn, loop: asyncio.AbstractEventLoop,
        *, call_anyway: CallOn | None = None, period: float = PERIOD, grace: float = GRACE,
        password: Callable[[str], str] = lambda _name: "", is_plain: IsPlain | None = None,
    ) -> None:  # fmt: skip
        """Begin with nothing known of any daemon."""
        self.pool = pool
        self.loop = loop
        self.period = period
        self.ledger = ledger
        self.upkeep = Upkeep(profile, call_on, loop, call_anyway, password, is_plain)
        self.marking = Marking(pool, self.upkeep, ledger)
        self.horizon = Horizon(pool, self.upkeep)
        self.balances = Balances(
            pool, self.upkeep, self.horizon, self._serving, self.held, period=period, grace=grace
        )  # fmt: skip
        self._wake = asyncio.Event()
        self._look_at = loop.time()
        """When all daemons are looked at again, in loop time."""
        self._must_read = False
        """Whether the ledger has marks that nobody told of."""
        self._may_be_unknown = True
        """Whether the ledger may have calls for a mark whose end was not known."""
        self._under_way: dict[Backend, asyncio.Task[None]] = {}
        self._held: Counter[Backend] = Counter()
        """Those whose wallet is being closed and loaded, and by how many."""
        self._times_held: Counter[Backend] = Counter()
        self._known_since: dict[Backend, float] = {}
        self._seen: dict[Backend, tuple[bool, bool]] = {}
        self._is_blind = False

    def __repr__(self) -> str:
        """Status line."""
        whole = sum(self.may_sign(one) for one in self.pool.backends)
        return f"<Reconciler {self.pool.name} whole={whole}/{len(self.pool.backends)} reloads={self.balances.reloads}>"

    # -- what others ask --------------------------------------------------------------------------------------

    def may_sign(self, backend: Backend) -> bool:
        """Whether a daemon has every freeze and sees every change address, so that it may sign and be primary."""
        if not self.pool.mirror and backend is not self.pool.primary:
            return not self.is_held(backend)
        return (
            not self.is_held(backend)
            and self.marking.has_freezes(backend)
            and not self.horizon.is_behind(backend)
            and (backend is self.pool.primary or not self.balances.is_diverged(backend))
        )

    def may_read(self, backend: Backend) -> bool:
        """Whether a daemon may answer wallet reads, as far as this room knows."""
        if self.is_held(backend):
            return False
        if backend is self.pool.primary or not self.pool.mirror:
            return True
        is_behind = not self.marking.has_all(backend) or self.horizon.is_behind(backend)
        return not is_behind and not self.balances.is_diverged(backend)

    # -- what others tell -------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look at once: a payment was signed, or a daemon may have been restarted."""
        self._look_at = self.loop.time()
        self._wake.set()

    def stirred(self) -> None:
        """Hear that a broadcast of ours was sent: for a while nobody knows what the balance should be."""
        self.balances.stirred()
        self.wake()

    async def level(self, patience: float) -> bool:
        """Let every standby see the change of a payment that was just signed, before its bytes leave.

        Args:
            patience: seconds that this may take.

        Returns whether all that serve see it.
        """
        until, standbys = self.loop.time() + patience, self._standbys
        with suppress(NoAnswerError, TimeoutError):
            async with asyncio.timeout_at(until):
                await self._look(self.pool.primary)
        while behind := [one for one in standbys() if self.horizon.is_behind(one)]:
            tasks = {self._under_way.get(one) or self._under(one, self._bring_up(one)) for one in behind}
            left = until - self.loop.time()
            if left <= 0 or not (await asyncio.wait(tasks, timeout=left))[0]:
                break
            if not any(self.horizon.lacks(one) for one in behind):
                break
        self._tell_changes()
        return not any(self.horizon.is_behind(one) for one in standbys())

    def marked(self, backend: str, change: Change) -> None:
        """Hear of a mark that was written, and of the backend that has it already ("" for none)."""
        # where another one came between, somebody writes who tells nobody
        self._must_read |= change.before > self.marking.newest
        self.marking.marked(self.pool.by_name.get(backend), change)
        self._may_be_unknown |= not backend
        self._tell_changes()
        self._wake.set()

    def lost(self, backend: Backend) -> None:
        """Hear that a daemon may have been restarted, and have lost what it had not saved."""
        self.marking.lost(backend)
        self.horizon.lost(backend)
        self._known_since.pop(backend, None)
        self.wake()

    def update(self, profile: Profile) -> None:
        """Take new settings."""
        self.upkeep.profile = profile

    def is_held(self, backend: Backend) -> bool:
        """Whether somebody closes and loads its wallet right now, or copies its file."""
        return self._held[backend] > 0

    def times_held(self, backend: Backend) -> int:
        """How often that began so far; what was seen before it is not so any more."""
        return self._times_held[backend]

    @contextmanager
    def held(self, backend: Backend) -> Iterator[None]:
        """Keep a daemon from wallet reads and signing while its wallet is closed and loaded."""
        self._held[backend] += 1
        self._times_held[backend] += 1
        self._doubt(backend)
        try:
            yield
        finally:
            self._held[backend] -= 1
            self._doubt(backend)

    def _doubt(self, backend: Backend) -> None:
        """Have the mirror look at a daemon again before it is asked for anything that needs every address."""
        self.lost(backend)
        self.pool.lose_alignment(backend, "its wallet is reloaded")
        if backend is self.pool.primary:
            self.pool.doubt_primary()
        self._tell_changes()
        self.pool.on_compare()

    # -- rounds -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reconcile for ever."""
        try:
            while True:
                self._wake.clear()
                await self.round()
                await self._until_needed()
        finally:
            for task in self._under_way.values():
                task.cancel()

    async def stop(self) -> None:
        """Wait for a reload under way, so that no wallet is left closed."""
        await self.balances.stop()

    async def round(self) -> None:
        """Bring up every daemon in service that is not whole; when it is time look at all, and compare balances."""
        is_look = self.loop.time() >= self._look_at
        if is_look:
            self._look_at = self.loop.time() + self.period
        if is_look or self._must_read:
            await self._read()
        await self._with_each(self._tend if is_look else self._mark, self._serving())
        # who was looked at before the one that has most change addresses may lack some after all
        await self._with_each(self._bring_up, [one for one in self._serving() if not self._is_whole(one)])
        self._tell_changes()
        if self.loop.time() >= self.balances.compare_at:
            await self.balances.compare()
            self._tell_changes()
        if is_look and self._may_be_unknown:
            await self._resolve()

    async def _read(self) -> None:
        try:
            await self.marking.read()
        except LedgerError as error:
            self._tell_blind(error)
        else:
            self._is_blind = self._must_read = False

    async def _resolve(self) -> None:
        """Close calls for a mark whose end was not known, once every daemon has the last value of all marks."""
        mine = self.pool.backends if self.pool.mirror else [self.pool.primary]
        if not all(one.phase.is_serving and one in self._known_since and self.marking.has_all(one) for one in mine):
            return
        name, newest = self.pool.name, self.marking.newest

        def work(connection: Connection) -> tuple[bool, bool]:
            # one that was written and not told of yet is on no daemon
            is_all = marks.newest(connection, name, (*FREEZES, *LABELS)) <= newest
            is_any = is_all and intents.resolve_marks(connection, name) > 0
            return is_all, is_any and not intents.count_unknown(connection, name)

        with suppress(LedgerError):
            is_all, were_the_last = await self.ledger.run(work)
            self._may_be_unknown = not is_all
            if were_the_last:
                # nobody has to look any more: an alert about them is over
                self.pool.emit(Event("outcome.all_resolved", name))

    def _serving(self) -> list[Backend]:
        """Return the daemons in service that are ours to keep alike; with `mirror: false` that is the primary.

        Nothing is written into a wallet of another seed.
        """
        pool = self.pool
        return [
            one
            for one in pool.backends
            if one.phase.is_serving and not self.is_held(one) and (pool.mirror or one is pool.primary)
            if not one.is_stranger
        ]

    def _standbys(self) -> list[Backend]:
        return [one for one in self._serving() if one is not self.pool.primary]

    def _is_whole(self, backend: Backend) -> bool:
        return self._is_known(backend) and self.marking.has_all(backend) and not self.horizon.lacks(backend)

    def _is_known(self, backend: Backend) -> bool:
        """Whether a daemon was looked at since it came into service."""
        is_counted = not self.horizon.is_kept or self.horizon.count(backend) is not None
        return backend in self._known_since and is_counted

    def _forget_the_gone(self) -> None:
        """Forget what is known of daemons whose phase has changed: who was away may have been restarted."""
        now = self.loop.time()
        for backend, since in list(self._known_since.items()):
            if backend not in self.pool.backends or backend.since > since or now - since >= ALL_AGAIN:
                self.lost(backend)

    async def _with_each(
        self, work: Callable[[Backend], Coroutine[Any, Any, None]], backends: list[Backend]
    ) -> None:  # fmt: skip
        """Do something with daemons side by side; one that is slow goes on by itself and is left out meanwhile."""
        tasks = {self._under(one, work(one)) for one in backends if one not in self._under_way}
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT)

    def _under(self, backend: Backend, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self.loop.create_task(_unless_silent(work), name=f"reconcile-{backend.name}")
        self._under_way[backend] = task
        task.add_done_callback(lambda _task: self._under_way.pop(backend, None))
        return task

    async def _tend(self, backend: Backend) -> None:
        await self._look(backend)
        if not self._is_whole(backend):
            await self._bring_up(backend)

    async def _mark(self, backend: Backend) -> None:
        """Give a daemon the marks that it lacks; one that nobody has looked at yet is looked at."""
        if not self._is_known(backend):
            await self._tend(backend)
        elif not self._is_whole(backend):
            await self._bring_up(backend)

    async def _look(self, backend: Backend) -> None:
        self._known_since.setdefault(backend, self.loop.time())
        if self.horizon.is_kept:
            await self.horizon.look(backend)

    async def _bring_up(self, backend: Backend) -> None:
        await self.marking.bring_up(backend)
        if self.horizon.lacks(backend):
            await self.horizon.bring_up(backend)
        self._tell_changes()

    async def _until_needed(self) -> None:
        """Wait for a word or a period; look every now and then who has come into service or is not whole."""
        while not self._wake.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON):
                    await self._wake.wait()
            self._forget_the_gone()
            now = self.loop.time()
            if now >= min(self._look_at, self.balances.compare_at) or not all(map(self._is_whole, self._serving())):
                return

    def _tell_changes(self) -> None:
        """Have the pool look again at who takes what, when an answer of this room is another one than before."""
        seen = {one: (self.may_read(one), self.may_sign(one)) for one in self.pool.backends}
        if seen != self._seen:
            self._seen = seen
            self.pool.refresh()
            self.pool.on_change()

    def _tell_blind(self, error: LedgerError) -> None:
        """Say once that the ledger cannot be read: daemons keep what they have."""
        if not self._is_blind:
            self._is_blind = True
            fields: dict[str, object] = {"reason": str(error)}
            self.pool.emit(Event("reconcile.blind", self.pool.name, "", fields, "error"))


async def _unless_silent(work: Awaitable[None]) -> None:
    """Do it, and leave it for later where a daemon or the ledger does not answer."""
    with suppress(NoAnswerError, LedgerError):
        await work
