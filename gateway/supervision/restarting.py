"""One restart of one daemon, step by step, from the last call that it finishes to its first new one.

Rule: every step has a limit and is told with its duration; nothing is stopped before the launcher has answered, so that
what is stopped can be started; and whoever takes a backend out of the pool's hands here gives it back, well or not.

    promote   another primary, where it is the primary and one can take over     (an orderly restart alone)
    drain     the calls that it has                                              (the same)
    wait      where it does not answer and may be saving its wallet, or be on its way up
    stop      RPC `stop`, which alone saves the wallet, until that instance is gone
    end       the launcher's own soft way after it, where the launcher cannot say whether the instance is gone
    wait      where it is there and listens not, until it answers or is gone: it may be saving its wallet
    kill      where it does not answer, or does not go; never where it may be well and only cannot be reached
    start     its process, unless somebody else has started it
    answer    until its RPC answers
    load      its wallet, with its password
    sync      until it stands at the height of the chain
    align     until it lists every address that was given out, now in slow start

The wallet's other daemons may be restarted once the wallet is loaded: a chain that takes long to sync must not keep a
dead daemon waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Cause
from gateway.supervision.hands import Hands
from gateway.supervision.renewing import ASK, LOOK, Renewing
from gateway.supervision.steps import TROUBLE, StepError, Steps
from gateway.upstream.launchers import LauncherError

SOFT = 0.25
"""Seconds between two looks at whether no money call is under way, before another one is made primary."""


class Restarting:
    """One restart.

    Args:
        is_urgent: the daemon serves nobody, so that there is nothing to drain.
        is_gentle: nothing is ended: it may be running, and its network away.
        is_for_gone: its launcher said that its process is gone.
        is_wedged: it takes connections and answers nothing, whatever it is restarted for.
        on_loaded: called when its process is up and has its wallet.
    """

    def __init__(
        self, hands: Hands, backend: Backend, *, cause: str, reason: str, is_urgent: bool,
        is_gentle: bool = False, is_for_gone: bool = False, is_wedged: bool = False,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Begin nothing yet."""
        self.hands = hands
        self.pool = hands.pool
        self.backend = backend
        self.cause = cause
        self.reason = reason
        self.is_urgent = is_urgent
        self.on_loaded = on_loaded
        self.loop = hands.loop
        self.is_synced = self.is_whole = True
        self.may_pass = True
        """Whether what it failed by may pass by itself."""
        self.steps = Steps(hands.pool, backend, cause, hands.loop, hands.is_ours)
        self.failure: tuple[str, str] | None = None
        """Step and reason, where it failed."""
        self.renewing = Renewing(
            hands,
            backend,
            self.steps,
            is_urgent=is_urgent,
            is_gentle=is_gentle,
            is_for_gone=is_for_gone,
            is_wedged=is_wedged,
            is_lost=cause == Cause.LOST,
        )

    async def run(self) -> bool:
        """Do it; return whether it went well, which is told as an event, as is why not."""
        began = self.loop.time()
        self.steps.tell("restart.begun", {"cause": self.cause, "reason": self.reason}, "warning")
        try:
            await self._steps()
        except TROUBLE as error:
            self.may_pass = not isinstance(error, LauncherError) or error.may_pass
            self.failure = (self.backend.step, str(error))
            fields: dict[str, object] = {"cause": self.cause, "reason": str(error), "step": self.backend.step}
            # before anything was stopped: it serves on, and no event will say that it does again
            fields |= {"serves_on": True} if self.backend.phase.is_serving else {}
            self._give_back(str(error))
            self.steps.tell("restart.failed", {**fields, "took": self.steps.since(began)}, "error")
            return False
        finally:
            # also where it was cancelled, or by a mistake of ours: no backend stays in nobody's hands
            self._give_back("its restart was given up")
        fields = {"cause": self.cause, "reason": self.reason, "synced": self.is_synced, "aligned": self.is_whole}
        self.steps.tell("restart.done", {**fields, "took": self.steps.since(began)})
        return True

    def _give_back(self, reason: str) -> None:
        now, phase = self.loop.time(), self.backend.phase
        if phase is Phase.DRAINING:
            self.pool.spare(self.backend, now, reason)
        elif phase is Phase.RESTARTING:
            self.pool.miscarried(self.backend, now, reason)
        self.backend.step = ""

    async def _steps(self) -> None:
        """Do one step after the other.  Raises StepError and what the rooms below raise."""
        limits = self.hands.limits
        self.backend.step = "look"
        status = await self.renewing.look()
        if not self.is_urgent or self.backend.phase.is_serving:
            await self._leave()
        now = self.loop.time()
        expected = limits.stop_timeout + limits.start_timeout + limits.load_timeout + self.hands.start_grace
        self.pool.begin_restart(self.backend, now, self.reason, expected)
        await self.renewing.run(status)
        async with self.steps.step("load", limits.load_timeout):
            await self._load()
        self.on_loaded()
        async with self.steps.step("sync", limits.sync_timeout):
            await self._sync()
        self.pool.restarted(self.backend, self.loop.time(), "its restart is done")
        await self._align()

    # -- out of service ---------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Let it finish what it has, as nobody but we wants it away."""
        limits, pool, backend = self.hands.limits, self.pool, self.backend
        if self.hands.promote is not None and backend is pool.primary:
            with suppress(StepError):
                async with self.steps.step("promote", limits.drain_timeout):
                    await self._promote(self.hands.promote)
        pool.order_out(backend, self.loop.time(), self.reason)
        backend.step = "drain"
        began = self.loop.time()
        while backend.occupants and backend.phase is Phase.DRAINING:
            # a call that still has time is never cut short; none comes after it
            until = max(began + limits.drain_timeout, backend.last_bound or 0.0)
            if self.loop.time() >= until:
                break
            self.steps.see_ours()
            await asyncio.sleep(LOOK)
        self.steps.told("drain", began, "" if not backend.occupants else "calls past their bound are left")

    async def _promote(self, promote: Callable[[str], Awaitable[str]]) -> None:
        """Let another one allocate and sign, between two money calls: a promotion costs the answers still owed."""
        pool, backend = self.pool, self.backend
        while any(one.is_money for one in backend.occupants):  # noqa: ASYNC110 - no call pays for an event
            await asyncio.sleep(SOFT)
        able = [one for one in pool.backends if one is not backend and one.may_serve and pool.is_aligned(one)]
        if not able:
            raise StepError("no other one can take over")
        best = max(able, key=lambda one: (one.phase is Phase.READY, one.score))
        try:
            await promote(best.name)
        except Exception as error:
            # the election tells its own reasons; where nobody takes over, calls wait
            raise StepError(str(error)) from error

    # -- back in service --------------------------------------------------------------------------------------

    async def _load(self) -> None:
        if self.backend.level < Level.LOADED:
            await self.hands.asking.load(self.backend, self.hands.limits.load_timeout)

    async def _sync(self) -> None:
        """Wait for the height of the chain, and not for a chain that is silent for all."""
        pool, backend = self.pool, self.backend
        began = self.loop.time()
        while not self._is_proved():
            self.steps.see_ours()
            if backend.diagnosis.kind in (Kind.DEAD, Kind.WEDGED) or backend.level < Level.LOADED:
                raise StepError(backend.diagnosis.reason or "it lost its wallet again")
            others = any(one.may_serve and one.level >= one.top for one in pool.backends if one is not backend)
            if not others and self.loop.time() - began >= self.hands.start_grace:
                self.is_synced = False
                return
            pool.on_doubt(backend)
            await asyncio.sleep(ASK)

    def _is_proved(self) -> bool:
        backend = self.backend
        return backend.level >= backend.top and not backend.is_suspect and backend.behind_since is None

    async def _align(self) -> None:
        """Wait for the mirror; one that it does not reach serves what needs no addresses."""
        pool, backend, began = self.pool, self.backend, self.loop.time()
        backend.step = "align"
        while not (pool.is_aligned(backend) and (backend is not pool.primary or pool.is_primary_checked)):
            if self.loop.time() - began >= self.hands.limits.align_timeout or not self.is_synced:
                self.is_whole = False
                break
            if not backend.phase.is_serving:
                raise StepError(f"it fell ill again: {backend.diagnosis.reason}")
            self.steps.see_ours()
            await asyncio.sleep(LOOK)
        self.steps.told("align", began, "" if self.is_whole else "the mirror has not reached it")
