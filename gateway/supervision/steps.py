"""The steps of a restart: each is bounded, and told with its duration.

Rule: a step ends well or raises; a person reads in its event which one it was, how long it took and why it failed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision.asking import NotLoadedError
from gateway.supervision.upkeep import NoAnswerError
from gateway.upstream.launchers import LauncherError


class StepError(Exception):
    """A step did not end well; the text says why."""


TROUBLE = (StepError, LauncherError, NotLoadedError, NoAnswerError)
"""How steps fail; anything else is a mistake of ours."""


class Steps:
    """The steps of one restart.

    Args:
        cause: of the restart, in the words of `rules/patients.py`.
        is_ours: whether the launcher that the restart works with is the backend's still.
    """

    def __init__(
        self, pool: Pool, backend: Backend, cause: str, loop: asyncio.AbstractEventLoop,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """Have done none."""
        self.pool = pool
        self.backend = backend
        self.cause = cause
        self.loop = loop
        self.is_ours = is_ours

    @asynccontextmanager
    async def step(self, name: str, limit: float) -> AsyncIterator[None]:
        """Bound a step and tell how it went.  Raises StepError when it took too long."""
        self.backend.step = name
        began = self.loop.time()
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError:
            self.told(name, began, f"not within {limit:g} s")
            raise StepError(f"{name}: not within {limit:g} s") from None
        except TROUBLE as error:
            self.told(name, began, str(error))
            raise
        self.told(name, began, "")

    def told(self, name: str, began: float, error: str) -> None:
        """Tell that a step is over; `error` is "" where it went well."""
        fields: dict[str, object] = {"step": name, "took": self.since(began), "cause": self.cause}
        if error:
            fields["reason"] = error
        self.tell("restart.step", fields, "warning" if error else "info")

    def since(self, began: float) -> float:
        """Return the seconds since a moment of the loop's time."""
        return round(self.loop.time() - began, 3)

    def tell(self, event: str, fields: dict[str, object], level: str = "info") -> None:
        """Tell an event about this backend."""
        self.pool.emit(Event(event, self.pool.name, self.backend.name, fields, level))

    def see_ours(self) -> None:
        """Raise StepError where a reload has taken the backend or its launcher away."""
        if self.pool.by_name.get(self.backend.name) is not self.backend or not self.is_ours():
            raise StepError("its settings were changed meanwhile")
