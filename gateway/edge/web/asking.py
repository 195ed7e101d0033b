"""Asks for the lists of the page, which come from the ledger, and waits for none of them.

Rule: a ledger in trouble must not take the page away that tells of it.  What does not come within a second is shown as
it was known last, and is said to be so; it is not asked for a second time while the first question is under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.edge.admin_api import AdminApi
from gateway.observe.past import UNREAD, Answer

PATIENCE = 1.0
"""Seconds that a page waits for its lists, all of them together."""

GLANCE = 0.1
"""Seconds that it waits for one that took longer than that the last time."""

Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Known:
    """One list as far as it is known.

    Args:
        rows: None where it could never be read.
        age: seconds since it was read; None where that was just now.
        is_short: older rows are missing, for they cannot be read now.
        has_more: there are older rows, which are not on the page.
    """

    rows: Rows | None
    age: float | None = None
    is_short: bool = False
    has_more: bool = False


class Asking:
    """The lists of one gateway.

    Args:
        limit: rows of each of those that have no end.
        now: of the loop.
    """

    def __init__(self, api: AdminApi, limit: int, now: Callable[[], float]) -> None:
        """Know nothing yet."""
        self.now = now
        self._asks: Mapping[str, Callable[[], Awaitable[Any]]] = {
            # by name, for what answers may be another one by then
            "incidents": lambda: api.incidents(limit),
            "outcomes": lambda: api.outcomes(None),
            "audit": lambda: api.audit(limit),
        }
        self._under_way: dict[str, tuple[asyncio.Task[Any], float]] = {}
        self._known: dict[str, tuple[Known, float]] = {}
        self._slow: set[str] = set()

    async def lists(self) -> dict[str, Known]:
        """Return `incidents`, `outcomes` and `audit`, within a second."""
        asked = {name: self._asked(name) for name in self._asks}
        ends = {name: at + (GLANCE if name in self._slow else PATIENCE) for name, (_, at) in asked.items()}
        await asyncio.gather(*(self._wait(asked[name][0], end) for name, end in ends.items()))
        return {name: self._as_known(name, task) for name, (task, _) in asked.items()}

    def _asked(self, name: str) -> "tuple[asyncio.Task[Any], float]":
        """Return the question that is under way, and since when it is; ask where none is."""
        known = self._under_way.get(name)
        if known is None:
            task = asyncio.ensure_future(self._asks[name]())
            known = self._under_way[name] = (task, self.now())
            task.add_done_callback(lambda done: self._take(name, done))
        return known

    async def _wait(self, task: "asyncio.Task[Any]", end: float) -> None:
        if (left := end - self.now()) > 0.0:
            await asyncio.wait([task], timeout=left)

    def _take(self, name: str, task: "asyncio.Task[Any]") -> None:
        _, begun = self._under_way.pop(name)
        # a hundred readers, one after the other, must not wait a second each
        (self._slow.add if self.now() - begun >= PATIENCE else self._slow.discard)(name)
        if not task.cancelled() and task.exception() is None:
            found = task.result()
            is_history = isinstance(found, Answer)
            known = (
                Known(found.rows, is_short=found.why == UNREAD, has_more=found.has_more) if is_history else Known(found)
            )
            self._known[name] = (known, self.now())

    def _as_known(self, name: str, task: "asyncio.Task[Any]") -> Known:
        known, at = self._known.get(name, (Known(None), 0.0))
        if known.rows is None or (task.done() and not task.cancelled() and task.exception() is None):
            return known
        return Known(known.rows, self.now() - at, known.is_short, known.has_more)
