"""Compares what the daemons of a wallet say about its money, and reloads the wallet of the odd one.

Rule: only what was said at one height is compared; who is odd and what is to be done is decided in
`rules/agreement.py`, which is told when a payment of ours was sent.  One wallet is reloaded at a time, and where a
wallet could not be loaded again none is closed any more: the others still serve.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from gateway.base.events import Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.rules.agreement import Case, Finding, Reading, judge
from gateway.supervision.horizon import Horizon
from gateway.supervision.upkeep import CannotReloadError, NoAnswerError, NotLoadedError, Upkeep

GRACE = 10.0
"""Seconds that balances may differ: a daemon may hear of a payment so much later than another."""

DOUBTFUL = 1.0
"""Seconds between two comparisons while balances differ."""

WAIT = 0.5
"""Seconds for which a comparison waits for a slow daemon."""


class Balances:
    """The balances of one wallet.

    Args:
        serving: returns the daemons to compare.
        held: keeps a daemon from wallet reads and signing while its wallet is closed and loaded.
        period: seconds between two comparisons while all agree; grace: that balances may differ.
    """

    def __init__(
        self, pool: Pool, upkeep: Upkeep, horizon: Horizon, serving: Callable[[], list[Backend]],
        held: Callable[[Backend], AbstractContextManager[None]], *, period: float, grace: float,
    ) -> None:  # fmt: skip
        """Begin with a comparison that is due."""
        self.pool = pool
        self.upkeep = upkeep
        self.horizon = horizon
        self.serving = serving
        self.held = held
        self.period = period
        self.grace = grace
        self.loop = upkeep.loop
        self.compare_at = 0.0
        """When the next comparison is due, in loop time."""
        self.reloads = 0
        """Wallets reloaded so far."""
        self._cases: dict[str, Case] = {}
        self._diverged: set[Backend] = set()
        self._stirred_at = float("-inf")
        self._cure: asyncio.Task[None] | None = None

    def is_diverged(self, backend: Backend) -> bool:
        """Whether a daemon stayed wrong against a majority after it was reloaded."""
        return backend in self._diverged

    def stirred(self) -> None:
        """Hear that a broadcast of ours was sent: for a while nobody knows what the balance should be."""
        self._stirred_at = self.loop.time()

    async def stop(self) -> None:
        """Wait for a reload under way, so that no wallet is left closed."""
        if self._cure is not None:
            await asyncio.wait({self._cure}, timeout=self.grace)

    async def compare(self) -> None:
        """Compare the balances of all daemons, the primary too, and cure the odd one."""
        self.compare_at = self.loop.time() + self.period
        self._diverged &= set(self.pool.backends)
        if not self.upkeep.can_reload or len(self.serving()) < 2:
            return
        readings = await self._readings()
        before, now, by_name = self._cases, self.loop.time(), self.pool.by_name
        found = judge(
            readings, before, now, self.grace, stirred_at=self._stirred_at, may_cure=self.upkeep.may_reload
        )  # fmt: skip
        self._cases = {name: case for name, case in found.cases.items() if name in by_name}
        self._take_in(found)
        if found.odd:
            self.compare_at = self.loop.time() + min(DOUBTFUL, self.grace / 2)
        if found.cure is not None and found.cure in by_name:
            since = before.get(found.cure, Case()).odd_since or now
            fields: dict[str, object] = {"compared": len(readings), "lasted": round(now - since, 3)}
            self._tell("backend.odd_balance", found.cure, fields)
            self._cure = self.loop.create_task(self.cure(by_name[found.cure]), name=f"cure-{found.cure}")
            await asyncio.shield(self._cure)

    def _take_in(self, found: Finding) -> None:
        """Take note of who stays odd against a majority, and of who agrees again."""
        by_name = self.pool.by_name
        for name in found.healed:
            self._diverged -= {by_name.get(name)}
            self._tell("backend.balance_agrees", name, {}, "info")
        for name in found.diverged:
            if found.has_majority and name in by_name:
                self._diverged.add(by_name[name])
            self._tell("backend.diverged_balance", name, {"remedy": self._remedy(name)}, "error")

    async def cure(self, backend: Backend) -> None:
        """Reload the wallet of a daemon; it answers for the wallet again when that is loaded and in step."""
        began = self.loop.time()
        error: Exception | None = None
        with self.held(backend):
            try:
                await self.upkeep.reload(backend)
            except (NoAnswerError, CannotReloadError, NotLoadedError) as reason:
                error = reason
        took = round(self.loop.time() - began, 3)
        if error is None:
            self.reloads += 1
            self._tell("backend.reloaded", backend.name, {"reason": "another balance than the others", "took": took})
            return
        self._tell("backend.not_reloaded", backend.name, {"reason": str(error), "took": took}, "error")

    # -- what each says ---------------------------------------------------------------------------------------

    async def _readings(self) -> list[Reading]:
        """Ask every daemon for its balance; one that does not answer soon, or moves meanwhile, is left out."""
        tasks = [self.loop.create_task(self._reading(one)) for one in self.serving()]
        done, late = await asyncio.wait(tasks, timeout=WAIT)
        for task in late:
            task.cancel()
        found = [task.result() for task in tasks if task in done]
        return [one for one in found if one is not None]

    async def _reading(self, backend: Backend) -> Reading | None:
        try:
            before = await self.upkeep.info(backend)
            receiving = len(await self.upkeep.listed(backend, change=False))
            if self.horizon.is_kept:
                await self.horizon.look(backend)
            confirmed, unconfirmed = await self.upkeep.balance(backend)
            after = await self.upkeep.info(backend)
        except NoAnswerError:
            return None
        if before.height != after.height or after.level is not Level.SYNCED:
            return None
        return Reading(
            backend.name, backend is self.pool.primary, after.height, confirmed, unconfirmed,
            receiving, self.horizon.count(backend) or 0, self.loop.time(),
        )  # fmt: skip

    def _remedy(self, name: str) -> str:
        if name == self.pool.primary.name:
            return "compare its history with that of the others; promote one of them, then restart it"
        return f"restart it; if that does not help, `ec-gateway reinit {name}` gives it another wallet file"

    def _tell(self, event: str, backend: str, fields: dict[str, object], level: str = "warning") -> None:
        self.pool.emit(Event(event, self.pool.name, backend, fields, level))
