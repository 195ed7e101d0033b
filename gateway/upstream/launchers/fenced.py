"""A launcher that does something to its daemon only while this gateway has the wallet.

Rule: a gateway that was frozen, and wakes when another has taken over, may be in the middle of a restart; what it was
about to do to a daemon is not done any more.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from gateway.upstream.launchers import Heir, Launcher, LauncherError

LOST = "this gateway does not hold the wallet any more; nothing was done"


class _Fenced:
    """Verbs that change something ask first; everything else is the launcher's own."""

    def __init__(self, launcher: Launcher, may: Callable[[], bool]) -> None:
        self._launcher = launcher
        self._may = may

    def __getattr__(self, name: str) -> Any:
        return getattr(self._launcher, name)

    async def _ask(self, begin: Callable[[], Awaitable[None]]) -> None:
        if not self._may():
            raise LauncherError(LOST)
        await begin()

    async def start(self) -> None:
        """Start it.  Raises LauncherError."""
        await self._ask(self._launcher.start)

    async def stop(self, grace: float) -> None:
        """End it softly.  Raises LauncherError."""
        await self._ask(lambda: self._launcher.stop(grace))

    async def kill(self) -> None:
        """End it by force.  Raises LauncherError."""
        await self._ask(self._launcher.kill)

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Replace a file of it.  Raises LauncherError."""
        await self._ask(lambda: self._launcher.write_wallet(path, content))

    def take_over(self, before: Launcher) -> None:
        """Go on with the daemon of the launcher before, fenced or not, where this kind takes one over."""
        # said here, because whether one is an heir is asked of the class
        if isinstance(self._launcher, Heir):
            whose = before._launcher if isinstance(before, _Fenced) else before  # noqa: SLF001 - one of the same kind
            self._launcher.take_over(whose)


def fence(launcher: Launcher, may: Callable[[], bool]) -> Launcher:
    """Return the same launcher, whose verbs raise LauncherError once `may` says no."""
    return cast("Launcher", _Fenced(launcher, may))
