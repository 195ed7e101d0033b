"""Brings one daemon past every address that is known or was told, by deriving.

Rule: what was derived is read back and not assumed, for clients may be given addresses at the same time.
"""

import asyncio

from gateway.fleet.backend import Backend
from gateway.supervision.filling import AT_ONCE
from gateway.supervision.lists import Lists
from gateway.supervision.recall import Recall
from gateway.supervision.tidings import Tidings

GUESSED = 20
"""Addresses that a killed primary may have derived beside those that clients were told: calls without an answer."""


class CatchingUp:
    """What primary and standbys of one wallet have in common when they list too little."""

    def __init__(self, lists: Lists, recall: Recall, tidings: Tidings, loop: asyncio.AbstractEventLoop) -> None:
        """Derive nothing yet."""
        self.lists = lists
        self.recall = recall
        self.tidings = tidings
        self.loop = loop

    async def derive_until(self, backend: Backend, listed: list[str], told: set[str]) -> list[str]:
        """Make a daemon derive until it lists what is known and what was told, or as many as that may need.

        Args:
            listed: by it, bare; its list at the end is returned.

        Raises NotNow.
        """
        recall = self.recall
        began, before = self.loop.time(), len(listed)
        most = max(0, len(recall.known) - before) + len(told) + GUESSED
        while missing := max(len(recall.known) - len(listed), len(told - set(listed)) if told else 0):
            if len(listed) - before >= most:
                break
            known = set(recall.known)
            for _ in range(min(missing, AT_ONCE)):
                derived = await self.lists.derive(backend)
                # daemons extend their lists by themselves meanwhile, and what is beyond the end is for nobody
                if told <= known and (derived not in known or derived == recall.known[-1]):
                    break
            listed = await self.lists.of(backend)
        if len(listed) > before:
            self.tidings.tell_derived(backend, len(listed) - before, began)
        return listed
