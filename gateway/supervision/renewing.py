"""A new process for a daemon: the old one is ended, in the way that loses least, and another one answers.

Rule: a process is ended once, and only the one that was there when the restart began: what somebody else has started
since is taken as it is.  Only RPC `stop` saves the wallet, so everything else comes after it, and after the time that
saving takes: the daemon answers first, and saves then.
"""

import asyncio
from contextlib import suppress

from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.rules.health import Kind
from gateway.supervision.hands import Hands
from gateway.supervision.steps import StepError, Steps
from gateway.upstream.launchers import LauncherError, State, Status, heard

LOOK = 0.1
"""Seconds between two looks while something is waited for."""

ASK = 0.25
"""Seconds between two questions to the launcher while something is waited for."""

LEAVING = 5.0
"""Seconds in which a process that listens no more may end by itself: whoever told it to stop, it saves its wallet."""

SAVING = 3.6
"""Seconds of silence in which a daemon that was well may be saving its wallet, because somebody told it to stop.  More
would not fit into the 5 s from a wedge to serving again."""

SAVED = 3.0
"""Seconds after its port was closed in which a process may still save, where nobody can say when it is gone."""

AWAY = 1.5
"""Seconds within which a probe shows whether something listens."""

STRANGER = (
    "its launcher says that nothing runs, and something listens there; correct launcher.status, or end it by hand"
)

TAKEN_BACK = "its launcher said that its process was gone, and says now that it runs"

RESUMED = 2.0
"""Seconds in which a paused daemon answers once it was let go on."""

GONE = frozenset({State.EXITED, State.ABSENT})


class Renewing:
    """One daemon's way to a new process.

    Args:
        is_urgent: it serves nobody.
        is_gentle: it may be running and well; it is started, and nothing is ended.
        is_for_gone: it is renewed because its launcher said that its process is gone.
        is_wedged: it takes connections and answers nothing.
        is_lost: it is renewed because it cannot be reached, though its launcher said that it runs.
    """

    def __init__(
        self, hands: Hands, backend: Backend, steps: Steps, *, is_urgent: bool, is_gentle: bool = False,
        is_for_gone: bool = False, is_wedged: bool = False, is_lost: bool = False,
    ) -> None:  # fmt: skip
        """Have ended nothing."""
        self.hands = hands
        self.pool = hands.pool
        self.backend = backend
        self.steps = steps
        self.is_urgent = is_urgent
        self.is_gentle = is_gentle
        self.is_for_gone = is_for_gone
        self.is_wedged = is_wedged
        self.is_lost = is_lost
        self.loop = hands.loop
        self.instance = ""
        """Of the process that is to end."""
        self.has_reached = False
        """Whether a process was ended or started."""

    async def look(self) -> Status:
        """Ask the launcher before anything is stopped.

        Raises StepError where it says that nothing is there and something listens: it would start a second daemon on
        the same wallet; and where it takes back that the process was gone, which may be well then behind a way that is
        gone.  Raises LauncherError.
        """
        status = await self.status()
        if self.is_lost and status.state is State.UNKNOWN:
            # of such a one less is done, and later
            raise StepError("its launcher cannot say whether it runs")
        if self.is_for_gone and status.state is State.RUNNING and not (self._is_fresh(status) or self._is_refused()):
            raise StepError(TAKEN_BACK)
        if status.state in GONE and await self._listens():
            raise StepError(f"{STRANGER}; {status.detail}" if status.detail else STRANGER)
        return status

    async def _listens(self) -> bool:
        """Whether something listens, as far as a probe shows within a moment."""
        until, backend = self.loop.time() + AWAY, self.backend
        if self.is_wedged and backend.refused_since is not None and backend.is_out_of_reach:
            # the way to it is there again, and a probe that waits for an answer has shown it
            return True
        while backend.refused_since is None:
            if self._is_mute():
                return False
            if self.loop.time() >= until:
                return True
            self.pool.on_doubt(backend)
            await asyncio.sleep(LOOK)
        return False

    def _is_mute(self) -> bool:
        """Whether no connection comes about and none is refused: nobody is there, or one whose queue is full."""
        backend = self.backend
        return backend.refused_since is None and backend.is_suspect and backend.suspected_of == "connect_timeout"

    async def status(self) -> Status:
        """Ask the launcher.  Raises StepError, LauncherError."""
        try:
            async with asyncio.timeout(self.hands.patience("status")):
                return await heard(self.hands.launcher.status)
        except TimeoutError:
            raise StepError("its launcher does not answer") from None

    async def _polled(self) -> Status | None:
        """Ask the launcher while something is waited for; None where it cannot tell now and may be asked again."""
        try:
            return await self.status()
        except StepError:
            return None
        except LauncherError as error:
            if not error.may_pass:
                raise
            return None

    async def run(self, status: Status) -> None:
        """End the process that is there, unless that is done or must not be, and have it or a new one answer.

        Args:
            status: of the process, just looked at.

        Raises StepError, LauncherError.
        """
        self.instance = status.instance
        backend, limits, launcher = self.backend, self.hands.limits, self.hands.launcher
        if status.state is State.PAUSED and await self._is_resumed():
            if self.is_urgent or self.is_gentle:
                return
            # somebody wants a new process; now that this one answers, it can be ended in the way that saves
            status = await self.status()
        is_fresh = self._is_fresh(status)
        if (patience := self._patience(status, is_fresh=is_fresh)) > 0.0:
            if await self._comes(patience, is_fresh=is_fresh):
                return
            status = await self.status()
            is_fresh = status.state is State.STARTING
        if not is_fresh and status.state not in GONE and not self.is_gentle:
            status = await self._end(status)
        elif status.state in GONE and self._is_mute():
            await self._end_hidden()
        if status.state in GONE or not self.is_gentle:
            self.pool.renewed(backend, self.loop.time())
        if not is_fresh and status.state not in (State.RUNNING, State.STARTING):
            async with self.steps.step("start", self.hands.patience("start")):
                await heard(launcher.start)
            self.has_reached = True
        async with self.steps.step("answer", limits.start_timeout):
            await self._until_answers()

    def _is_fresh(self, status: Status) -> bool:
        """Whether somebody else has started it a moment ago, as an engine's own restart policy does."""
        if status.state is State.STARTING:
            return True
        if not self.is_urgent or status.state is not State.RUNNING or status.started_at is None:
            return False
        limit, age = self.hands.limits.start_timeout, self.hands.clock() - status.started_at
        if self.backend.diagnosis.kind is Kind.WEDGED or age >= limit:
            return False
        if not status.instance:
            return age >= 0.0
        # the launcher's clock may be ahead, or ours was set back: it is no younger than we have known it
        return self.loop.time() - self.hands.known_since(status.instance) < limit

    def _patience(self, status: Status, *, is_fresh: bool) -> float:
        """Return the seconds in which the process may answer, or end, by itself: killed now, it would not save."""
        limits = self.hands.limits
        if self._is_deaf(status):
            return limits.start_timeout if is_fresh else min(LEAVING, limits.stop_timeout)
        backend, silent_since = self.backend, self.backend.unanswered_since
        if (
            status.state in GONE
            or silent_since is None
            or backend.diagnosis.kind is not Kind.WEDGED
            or backend.occupants
            or not backend.was_ready
        ):
            return 0.0
        return silent_since + SAVING - self.loop.time()

    def _is_deaf(self, status: Status) -> bool:
        """Whether it runs and does not listen: it is on its way up, or down, or will never listen again."""
        return self.is_urgent and status.state is State.RUNNING and self._is_refused()

    def _is_refused(self) -> bool:
        """Whether nobody listens there, which its host has said."""
        return self.backend.refused_since is not None and not self.backend.is_out_of_reach

    async def _comes(self, patience: float, *, is_fresh: bool) -> bool:
        """Wait whether a process that does not answer does so, or ends.

        Returns whether it answers.  Raises StepError when a fresh one does neither, LauncherError.
        """
        backend = self.backend
        if is_fresh:
            self.pool.renewed(backend, self.loop.time())
        try:
            async with self.steps.step("wait", patience):
                asked_at = self.loop.time()
                while backend.level < Level.ANSWERS or backend.is_suspect or backend.unanswered_since is not None:
                    self.steps.see_ours()
                    if self.loop.time() - asked_at >= ASK:
                        asked_at, status = self.loop.time(), await self._polled()
                        if status is not None and self._has_left(status):
                            return False
                    self.pool.on_doubt(backend)
                    await asyncio.sleep(LOOK)
                return True
        except StepError:
            if is_fresh:
                raise
            return False

    async def _is_resumed(self) -> bool:
        """Let a paused process go on, which loses nothing; return whether it answers then."""
        try:
            async with self.steps.step("resume", self.hands.patience("start") + RESUMED):
                await heard(self.hands.launcher.start)
                self.has_reached = True
                await self._until_heard()
        except (StepError, LauncherError):
            return False
        return True

    async def _until_heard(self) -> None:
        """Wait a moment for an answer of a process that was let go on.  Raises StepError."""
        until, backend = self.loop.time() + RESUMED, self.backend
        while backend.unanswered_since is not None or backend.is_suspect:
            if self.loop.time() >= until:
                raise StepError("it was let go on and does not answer")
            await asyncio.sleep(LOOK)

    async def _end(self, status: Status) -> Status:
        """End its process, the saving way where that is possible; return how it is then."""
        backend, limits, launcher = self.backend, self.hands.limits, self.hands.launcher
        answers = backend.level >= Level.ANSWERS and not backend.is_suspect
        if answers and backend.diagnosis.kind not in (Kind.WEDGED, Kind.DEAD):
            is_saved, until = False, self.loop.time() + limits.stop_timeout
            with suppress(StepError):
                async with self.steps.step("stop", limits.stop_timeout):
                    if await self.hands.asking.stop(backend, limits.stop_timeout):
                        self.has_reached = True
                        if status.state is not State.UNKNOWN:
                            return await self._until_gone()
                        await self._until_saved(until)
                        is_saved = True
            if is_saved:
                # it cannot be asked whether it is gone; its own soft way returns when it is
                async with self.steps.step("end", limits.stop_timeout + self.hands.patience("stop")):
                    await heard(lambda: launcher.stop(limits.stop_timeout))
                return await self._polled() or Status(State.UNKNOWN)
        try:
            # one order after the other, and each may take what its launcher says
            async with self.steps.step("kill", self.hands.patience("status") + self.hands.patience("kill")):
                if await self._is_same():
                    await heard(launcher.kill)
                    self.has_reached = True
        except (StepError, LauncherError):
            # where nobody listens, and nobody can say whether a process is there, there may be none to end: most
            # commands fail then
            if status.state is not State.UNKNOWN or not self._is_refused():
                raise
        return await self._polled() or Status(State.UNKNOWN)

    async def _end_hidden(self) -> None:
        """End what its launcher takes for gone, as far as that can be; a launcher that is right may fail with it.

        A wedged daemon whose queue is full looks like nobody, and a second one beside it would have the same wallet.
        """
        with suppress(StepError, LauncherError):
            async with self.steps.step("kill", self.hands.patience("kill")):
                await heard(self.hands.launcher.kill)
                self.has_reached = True

    async def _until_saved(self, until: float) -> None:
        """Wait until a daemon that was told to stop has closed its port, and had a moment to save; to `until` at most.

        Whoever calls sets the limit for the port.
        """
        backend = self.backend
        while backend.refused_since is None:
            self.steps.see_ours()
            self.pool.on_doubt(backend)
            await asyncio.sleep(LOOK)
        await asyncio.sleep(min(SAVED, max(0.0, until - self.loop.time() - LOOK)))

    async def _is_same(self) -> bool:
        """Whether the process that was to end is still the one that is there."""
        status = await self.status()
        return status.state not in GONE and not self._is_another(status)

    def _is_another(self, status: Status) -> bool:
        return bool(self.instance) and bool(status.instance) and status.instance != self.instance

    def _has_left(self, status: Status) -> bool:
        return status.state in GONE or status.state is State.STARTING or self._is_another(status)

    async def _until_gone(self) -> Status:
        while True:
            status = await self._polled()
            if status is not None and self._has_left(status):
                return status
            await asyncio.sleep(ASK)

    async def _until_answers(self) -> None:
        """Wait for its RPC; a process that ends meanwhile is not waited for."""
        backend, asked_at, instance, was_gone = self.backend, self.loop.time(), "", False
        while backend.level < Level.ANSWERS or backend.is_suspect:
            self.steps.see_ours()
            if self.loop.time() - asked_at >= 1.0:
                asked_at, status = self.loop.time(), await self._polled()
                is_gone = status is not None and status.state in GONE
                # one that lived for less than a second was never seen: twice gone, with an exit code, is the same
                if status is not None and is_gone and (instance or (was_gone and status.exit_code is not None)):
                    raise StepError(f"it ended again ({status.detail or f'exit code {status.exit_code}'})")
                was_gone = is_gone
                instance = (status.instance if status is not None else "") or instance
            self.pool.on_doubt(backend)
            await asyncio.sleep(LOOK)
