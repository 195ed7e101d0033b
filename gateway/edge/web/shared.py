"""The words of the page, which are the same for all who speak a language and may do the same: drawn once, packed once.

Rule: a hundred open pages that learn of one change cost one drawing, and nothing of a reader is in what they share: no
name, no token, no answer to an order.  What is kept is no older than FRESH, and never older than what was asked for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

FRESH = 0.25
"""Seconds for which what was drawn is shown to others as well."""

SPREAD, MOST_SPREAD = 0.0025, 0.25
"""Seconds for each page that is open, and at most, over which they spread what they fetch in the same moment."""

Key = tuple[str, bool]
"""A language, and whether orders may be given."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn.

    Args:
        named: what the templates of a whole page are given of it.
        plain, packed: the words alone, as an open page fetches them.
    """

    named: Mapping[str, Any]
    plain: bytes
    packed: bytes


class Shared:
    """What is drawn for all.

    Args:
        now: of the loop; clock: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float], clock: Callable[[], float]) -> None:
        """Have drawn nothing."""
        self._now = now
        self._clock = clock
        self._drawn: dict[Key, tuple[float, float, Drawn]] = {}
        """When the drawing began, of the loop and since 1970, and what came of it."""
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: Key, since: float, draw: Callable[[float], Awaitable[Drawn]]) -> Drawn:
        """Return what is no older than a moment; `draw` takes the moment at which it begins, in seconds since 1970."""
        # what is to come, or no moment at all, is nobody's to wait for
        if not since <= (present := self._clock()):
            since = present
        async with self._locks[key]:
            if (found := self._drawn.get(key)) is not None:
                began, at, drawn = found
                rest = FRESH - (self._now() - began)
                if rest > 0 and at >= since:
                    return drawn
                if rest > 0:
                    # whoever asks often for what is new gets it a few times a second, with all others who wait
                    await asyncio.sleep(rest)
            began, at = self._now(), self._clock()
            drawn = await draw(at)
            self._drawn[key] = began, at, drawn
            return drawn

    def forget(self) -> None:
        """Draw anew whatever is asked for next: an order was given."""
        self._drawn.clear()


def spread(listeners: int) -> float:
    """Return over how many seconds so many open pages spread what they fetch in the same moment."""
    return min(MOST_SPREAD, SPREAD * listeners)
