"""What launchers of every kind need alike: what they are made from, one flight for one order, waiting until it is so.

Rule: nothing here knows a kind; a wait ends by its deadline and says what it waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from gateway.upstream.launchers import LauncherError

T = TypeVar("T")

Finding = tuple[str, str, str]
"""Key below `launcher`, what is wrong with it, what to do."""

LOOK_EVERY = 0.1
"""Seconds between two looks at something that is about to end: a wallet takes seconds to start anyway."""


@dataclass(frozen=True, slots=True)
class Common:
    """What a launcher is given beside its own keys.

    Args:
        name: of the backend, for messages.
        password: of the launcher's own interface, "" where there is none.
        timeout: seconds for one order.
        loop: what it runs on; its clock is the one that counts.
    """

    name: str
    password: str = field(repr=False)
    timeout: float
    loop: asyncio.AbstractEventLoop


def _absolute(path: str) -> str:
    # a launcher does not know where the settings were written, and a relative path would mean the working directory
    if not path.startswith("/"):
        raise ValueError("is no absolute path; begin it with /")
    return path


AbsolutePath = Annotated[str, Field(min_length=1), AfterValidator(_absolute)]


class Flight:
    """Orders to one daemon, one after the other; the same order given again joins the one under way.

    A caller that goes away takes no order back: half a restart is worse than a whole one.  It ends by its own deadline.
    """

    def __init__(self, common: Common) -> None:
        """Begin with nothing under way."""
        self._common = common
        self._turn = asyncio.Lock()
        self._flying: dict[str, asyncio.Task[Any]] = {}

    async def once(self, order: str, carry_out: Callable[[], Coroutine[Any, Any, T]], *, limit: float) -> T:
        """Carry out an order, or join the same one that is under way or waits for its turn.

        Args:
            order: its name, for joining and for messages.
            limit: seconds, from its turn on.

        Raises:
            LauncherError: of the order, or because its time is up.
        """
        task = self._flying.get(order)
        if task is None:
            task = self._common.loop.create_task(self._in_turn(order, carry_out, limit))
            self._flying[order] = task
            task.add_done_callback(lambda done: self._landed(order, done))
        try:
            result: T = await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                # the launcher was closed; the caller goes on, and is not to think that it was cancelled itself
                raise LauncherError(f"{order} of {self._common.name} was given up: the launcher is closed") from None
            raise
        return result

    async def close(self) -> None:
        """End what is under way."""
        flying = list(self._flying.values())
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)

    async def _in_turn(self, order: str, carry_out: Callable[[], Coroutine[Any, Any, T]], limit: float) -> T:
        async with self._turn:
            try:
                async with asyncio.timeout(limit):
                    return await carry_out()
            except TimeoutError as error:
                message = f"{order} of {self._common.name} was not done within {limit:g} s; look at the launcher's host"
                raise LauncherError(message) from error

    def _landed(self, order: str, task: asyncio.Task[Any]) -> None:
        if self._flying.get(order) is task:
            del self._flying[order]
        # whoever asked may be gone; an error that nobody reads is no news
        if not task.cancelled():
            task.exception()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when something holds; whoever calls sets the limit."""
    while not await holds():  # noqa: ASYNC110 - it is so elsewhere, where nobody sets an event of ours
        await asyncio.sleep(LOOK_EVERY)
