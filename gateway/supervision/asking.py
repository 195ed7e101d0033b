"""What the supervisor asks a daemon that is out of service, in the words of its profile: stop, close and load.

Rule: the wallet's password leaves the gateway in one call alone, the one that loads it, and no word of the answer goes
anywhere: it may hold paths.  An answer proves nothing; what counts is what the next probe shows.
"""

import asyncio
from collections.abc import Callable

from gateway.base.errors import Failure
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Profile
from gateway.supervision.upkeep import IsPlain, NoAnswerError, NotLoadedError, Upkeep, setting
from gateway.upstream.questions import CallOn

__all__ = ("Asking", "NotLoadedError")

LOOK = 0.1
"""Seconds between two looks at what a probe shows."""

SEEN = 5.0
"""Seconds within which a wallet that is loaded shows in a probe."""


class Asking:
    """The questions to the daemons of one wallet.

    Args:
        call: makes an upkeep call on a backend in service or not.
        password: of the wallet of a backend, by its name; "" for none.
        is_plain: whether its file is known to load without.
    """

    def __init__(
        self, pool: Pool, profile: Profile, call: CallOn, password: Callable[[str], str],
        loop: asyncio.AbstractEventLoop, is_plain: IsPlain | None = None,
    ) -> None:  # fmt: skip
        """Ask nothing yet."""
        self.is_plain = is_plain
        self.pool = pool
        self.profile = profile
        self.call = call
        self.password = password
        self.loop = loop

    @property
    def can_reload(self) -> bool:
        """Whether this family says which wallet it has loaded, and closes and loads it by two plain calls."""
        return self._upkeep.can_reload

    async def stop(self, backend: Backend, patience: float) -> bool:
        """Ask a daemon to save its wallet and end; return whether it may have heard of it."""
        care = self.profile.care.get("stop")
        if care is None or backend.is_suspect or backend.level < Level.ANSWERS:
            return False
        answer = await self.call(backend, care.method, care.fill(), self.loop.time() + patience)
        return not isinstance(answer, Failure) or answer.kind.executed != "no"

    async def load(self, backend: Backend, patience: float) -> None:
        """Load the wallet; returns when a probe has shown it.

        Raises:
            NotLoadedError: it was not.
            NoAnswerError: the daemon did not answer.
        """
        await self._upkeep.load(backend, patience=patience)
        until = self.loop.time() + SEEN
        while backend.level < Level.LOADED:
            if backend.level < Level.ANSWERS:
                raise NoAnswerError(f"{backend.name} is gone again")
            if self.loop.time() >= until:
                raise NotLoadedError(
                    f"was asked to load its wallet and has none; see whether the file is there, and whether "
                    f"{setting(backend)} is its password"
                )
            self.pool.on_doubt(backend)
            await asyncio.sleep(LOOK)

    async def reload(self, backend: Backend, patience: float) -> None:
        """Close the wallet and load it again, so that the daemon asks its server for everything anew.

        Raises CannotReloadError (nothing was done), NotLoadedError, NoAnswerError.
        """
        upkeep = self._upkeep
        await upkeep.check(backend)
        await upkeep.close(backend, patience=patience)
        backend.level = Level.ANSWERS
        await self.load(backend, patience)

    @property
    def _upkeep(self) -> Upkeep:
        # of the profile of now
        return Upkeep(self.profile, self.call, self.loop, password=self.password, is_plain=self.is_plain)
