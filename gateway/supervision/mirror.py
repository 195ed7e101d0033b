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
service lists them.  Addresses are compared without the prefix of their network.  While all daemons are known to be
level, the pool is filled without a comparison.  What concerns the ledger is in `filling`, the memory in `recall`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Profile
from gateway.rules.cashaddr import bare
from gateway.supervision.catching_up import CatchingUp
from gateway.supervision.filling import Filling, Keeper
from gateway.supervision.lists import CannotList, Lists, NotNow, is_prefix
from gateway.supervision.recall import Recall
from gateway.supervision.reign import Reign
from gateway.supervision.standbys import Standbys
from gateway.supervision.tidings import Tidings
from gateway.upstream.questions import CallOn

PERIOD = 10.0
"""Seconds between two comparisons when nothing happened."""

LATE = 0.05
"""Seconds after which a comparison goes on without the primary; ten times what its list usually takes."""

OWED = 0.5
"""Seconds until a comparison is tried again that did not get as far as the ledger."""


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
        self.lists = Lists(profile, call_on, loop, lambda one: pool.is_held(one))  # noqa: PLW0108 - set later
        self.loop = loop
        self.period = period
        self.recall = Recall(pool, list(known or ()))
        self.tidings = Tidings(pool, loop)
        self.catching_up = CatchingUp(self.lists, self.recall, self.tidings, loop)
        self.standbys = Standbys(pool, self.catching_up, lambda: 0 if keeper is None else keeper.known, loop)
        self.reign = Reign(pool, loop)
        self.filling: Filling | None = None
        if keeper is not None:
            self.filling = Filling(
                pool, keeper, self.lists, self.recall, self.tidings, self.reign, self.standbys.under, loop
            )  # fmt: skip
        self._wake = asyncio.Event()
        self._compared_at = float("-inf")
        """When the last comparison ended, however it ended."""
        pool.on_compare = self._stirred

    def _stirred(self) -> None:
        """Hear of a write, of a change among the backends, or of a promotion."""
        self.reign.look()
        self._wake.set()

    @property
    def profile(self) -> Profile:
        """Of the wallet; replaced on a reload."""
        return self.lists.profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self.lists.profile = profile

    async def run(self) -> None:
        """Compare for ever: after each write, when a standby comes into service, and now and then."""
        try:
            while True:
                self._wake.clear()
                with suppress(NotNow):
                    if not await self.refill():
                        await self.compare()
                await self._until_needed()
        finally:
            self.standbys.stop()

    async def _until_needed(self) -> None:
        """Wait for a write or a period; look sooner while a standby in service is not aligned."""
        pool = self.pool
        is_unchecked = pool.primary.phase.is_serving and not pool.is_primary_checked
        period = max(0.0, self._compared_at + self.period - self.loop.time())
        pause = 0.02 if is_unchecked else 0.1 if self.standbys.behind() else OWED if self._owes else period
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    @property
    def _owes(self) -> bool:
        """Whether the last comparison, or the last refill, did not get as far as the ledger."""
        return self.filling is not None and self.filling.owes

    async def refill(self) -> bool:
        """Fill up the pool without a comparison; False is an order to compare.  Raises NotNow."""
        # what nobody has heard of is found by comparisons alone, and these must come also while refills do
        is_due = self.loop.time() >= self._compared_at + self.period
        if self.filling is None or self.standbys.under_way or is_due:
            return False
        return await self.filling.refill(self.pool.primary, self.standbys.serving())

    async def compare(self) -> None:
        """Compare every standby in service with the primary and bring it up.

        One that is slow to answer goes on by itself, and is left out of the next comparisons until it is done.

        Raises:
            NotNow: the primary is not in service or did not answer.
        """
        try:
            await self._compare()
        finally:
            self._compared_at = self.loop.time()
            if self.filling is not None:
                self.filling.look_for_strangers()

    async def _compare(self) -> None:
        pool, filling = self.pool, self.filling
        if not pool.primary.phase.is_serving:
            if filling is not None:
                # what was given out is in the ledger, so that one of the others can be found whole and take over
                await self.standbys.go_on_without_primary()
            return
        if filling is not None:
            filling.owes = True
        written = pool.written
        self.standbys.begin()
        primary = pool.primary
        wanted = await self._hear_primary(primary)
        self._see_primary(primary)
        await self.standbys.bring_up(wanted, written)
        # a new one may have been left out of this comparison
        self._see_primary(primary)
        if filling is None or self.standbys.are_waited_for(len(wanted)):
            return
        if len(self.recall.known) > len(wanted):
            # a standby lists more, which the next comparison brings the primary past; what it means is decided then
            return
        await filling.hand_in(primary, wanted)

    def _see_primary(self, primary: Backend) -> None:
        if self.pool.primary is not primary:
            raise NotNow(f"{primary.name} is no longer primary")

    async def _hear_primary(self, primary: Backend) -> list[str]:
        """Return what the primary lists; while it keeps us waiting the standbys are looked at.  Raises NotNow."""
        async with self.reign.over(primary, self._list_primary(primary)) as asking:
            await asyncio.wait({asking}, timeout=LATE)
            if not asking.done():
                await self.standbys.go_on_without_primary()
                await asyncio.wait({asking})
            if primary.is_stranger and self.filling is not None:
                # of the others one may list what the ledger has, and take over
                await self.standbys.go_on_without_primary()
            return self.reign.result(primary, asking)

    async def _list_primary(self, primary: Backend) -> list[str]:
        """Return what the primary lists, after it was brought past every address that is known to be given out.

        Raises NotNow.
        """
        if self.keeper is None and not self.pool.is_primary_checked and self.is_money_elsewhere(primary):
            # the primary before it is still answering somebody: what it tells must be known first
            raise NotNow("a money call is under way at another backend")
        told, doubts = set(self.recall.told), self.pool.doubts
        try:
            as_written = await self.lists.as_written(primary)
            listed = list(map(bare, as_written))
            self._judge_primary(primary, listed)
            self._see_no_doubt(primary, doubts)
            if self.keeper is not None and len(listed) < self.keeper.known:
                self.pool.doubt_primary()
                doubts = self.pool.doubts
            listed = await self._bring_past(primary, listed, told)
            self._see_no_doubt(primary, doubts)
            self.recall.told -= told
            self.tidings.is_blind = False
            self.recall.know(listed)
            # what comes now is for the pool, and nobody's call has to wait for it
            self.pool.mark_primary_checked(primary)
            if self.keeper is not None and self.filling is not None:
                await self.filling.tell(self.keeper.met(primary, as_written))
                listed = await self.filling.grow(primary, listed)
                self.recall.know(listed)
        except CannotList as error:
            # nothing to compare with; refusing money for ever would help nobody
            self.tidings.tell_blind(primary, str(error))
            self.pool.mark_primary_checked(primary)
            raise
        return listed

    def _see_no_doubt(self, primary: Backend, doubts: int) -> None:
        """Raise NotNow where the primary may have been restarted since it was asked: its list is of before."""
        if self.pool.doubts != doubts:
            raise NotNow(f"{primary.name} may have been restarted while it was asked")

    def _judge_primary(self, primary: Backend, listed: list[str]) -> None:
        """Raise NotNow for a primary that contradicts what is known: another seed, or another daemon on its port.

        What is known is not forgotten for it.  It gets neither money nor wallet reads until it lists the known
        addresses again; whoever means the change restarts the gateway.
        """
        known = self.recall.known
        if not is_prefix(listed, known):
            self.tidings.tell_stranger(primary, listed, known)
            raise NotNow(f"{primary.name} lists other addresses than before")
        self.tidings.is_kin(primary)

    async def _bring_past(self, primary: Backend, listed: list[str], told: set[str]) -> list[str]:
        """Make the primary derive until it lists what is known and what was told, and return its list then.

        Raises NotNow.
        """
        listed = await self.catching_up.derive_until(primary, listed, told)
        missing = told - set(listed) if told else told
        if missing:
            # each try would derive new ones
            self.recall.listens = False
            self.tidings.tell_lost(primary, len(missing))
        return listed
