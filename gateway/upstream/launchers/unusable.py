"""Stands in for a launcher that a package brought and that could not be made: it does nothing and says why.

Rule: the daemon is asked, stepped around and told of as any other; only its restarts fail, and the log says at what.
"""

from typing import NoReturn

from gateway.upstream.launchers import LauncherError, Memory, OnDeath, Status


class UnusableLauncher:
    """Every order to it raises LauncherError.

    Args:
        kind: what it should have been.
        why: what went wrong, and what to do about it.
    """

    takes_along = False

    def __init__(self, kind: str, why: str) -> None:
        """Know nothing of the daemon."""
        self.kind = kind
        self.why = why

    def _refuse(self) -> NoReturn:
        raise LauncherError(self.why, may_pass=False)

    async def status(self) -> Status:
        """Raise LauncherError, as all of them do."""
        self._refuse()

    async def start(self) -> None:
        """Raise LauncherError."""
        self._refuse()

    async def stop(self, grace: float) -> None:
        """Raise LauncherError."""
        del grace
        self._refuse()

    async def kill(self) -> None:
        """Raise LauncherError."""
        self._refuse()

    async def memory(self) -> Memory | None:
        """Raise LauncherError."""
        self._refuse()

    async def read_wallet(self, path: str) -> bytes:
        """Raise LauncherError."""
        del path
        self._refuse()

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Raise LauncherError."""
        del path, content
        self._refuse()

    def watch(self, on_death: OnDeath) -> None:
        """Hear of no death: probes find it dead."""

    async def close(self) -> None:
        """There is nothing to let go."""
