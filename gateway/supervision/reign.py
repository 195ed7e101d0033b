"""What is done with a primary only as long as it is the primary.

Rule: it ends in the moment in which another one is promoted, also where it waits for the old one's slot: a derivation
that is still to be sent would make the old primary the first to derive an address.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision.lists import NotNow

T = TypeVar("T")


class Reign:
    """The work of one wallet's mirror that ends with a promotion."""

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing under way."""
        self.pool = pool
        self.loop = loop
        self._under_way: dict[asyncio.Task[Any], Backend] = {}

    def look(self) -> None:
        """End what is done with one that is no longer primary."""
        for task, primary in self._under_way.items():
            if self.pool.primary is not primary:
                task.cancel()

    @asynccontextmanager
    async def over(self, primary: Backend, work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
        """Begin something that asks the primary; whoever leaves ends it."""
        task = self.loop.create_task(work, name="mirror-primary")
        self._under_way[task] = primary
        self.look()
        try:
            yield task
        finally:
            del self._under_way[task]
            task.cancel()

    def result(self, primary: Backend, task: "asyncio.Task[T]") -> T:
        """Return the result of what is done; raises NotNow where a promotion ended it."""
        if task.cancelled():
            raise NotNow(f"{primary.name} is no longer primary")
        return task.result()
