"""What daemons show of a wallet: its lists, its use, and whether anybody ever used it.

Rule: nothing is decided here and nothing written; a daemon that does not answer is neither fresh nor used.
"""

import asyncio

import msgspec

from gateway.base.errors import Failure
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.profiles import Method, Profile
from gateway.rules.adoption import is_fresh
from gateway.rules.cashaddr import bare
from gateway.supervision.lists import PATIENCE, NotNow, is_prefix
from gateway.upstream.questions import CallOn


class Looks:
    """Looks at the daemons of one wallet.

    Args:
        profile: of the wallet; replaced on a reload.
        call_on: makes one upkeep call on one backend.
    """

    def __init__(self, pool: Pool, profile: Profile, call_on: CallOn, loop: asyncio.AbstractEventLoop) -> None:
        """Look at nothing yet."""
        self.pool = pool
        self.profile = profile
        self.call_on = call_on
        self.loop = loop

    async def ask(self, backend: Backend, method: Method, params: bytes) -> object:
        """Return the decoded answer of a daemon to one question.  Raises NotNow."""
        answer = await self.call_on(backend, method, params, self.loop.time() + PATIENCE)
        if isinstance(answer, Failure) or answer.result is None:
            raise NotNow(f"{backend.name} did not answer {method.name}")
        try:
            found: object = msgspec.json.decode(answer.result)
        except msgspec.MsgspecError as error:
            raise NotNow(f"{backend.name} answered {method.name} with {error}") from None
        return found

    async def by_seed(self, primary: Backend, listed: list[str]) -> list[dict[Backend, list[str]]]:
        """Return what each daemon in service lists, with prefixes: those of one seed together, the primary's first.

        Args:
            listed: by the primary, with prefixes.

        Raises NotNow.
        """
        sides = [{primary: listed}]
        method = self.profile.methods[self.profile.list_addresses]
        for one in self.pool.backends:
            if one is primary or not one.phase.is_serving:
                continue
            told = await self.ask(one, method, self.profile.list_params)
            texts = [text for text in told if isinstance(text, str)] if isinstance(told, list) else []
            if not texts:
                continue
            mine = list(map(bare, texts))
            alike = (side for side in sides if all(is_prefix(mine, list(map(bare, held))) for held in side.values()))
            side = next(alike, None)
            if side is None:
                sides.append({one: texts})
            else:
                side[one] = texts
        return sides

    async def is_fresh(self, backend: Backend, listed: list[str]) -> bool:
        """Return whether a daemon shows no use of its wallet.  Raises NotNow."""
        calls = self.profile.first_contact
        answers = [await self.ask(backend, method, params) for method, params in calls]
        return bool(calls) and is_fresh(len(listed), answers)

    async def in_use(self, backend: Backend) -> set[str]:
        """Return the receiving addresses (bare) that show history or a request on a daemon; raises NotNow.

        Whoever made those is not this gateway: its invoices are the ledger's, and what it gave out is in no pool.
        """
        listing = self.profile.methods[self.profile.list_addresses]
        found: set[str] = set()
        if {"receiving", "unused", "funded"} <= set(listing.params):
            listed = await self._texts(backend, listing, self.profile.list_params)
            unused = await self._texts(backend, listing, b'{"receiving": true, "unused": true}')
            funded = await self._texts(backend, listing, b'{"receiving": true, "funded": true}')
            # the daemon calls an address used when its coins are spent, and funded while they are not
            found = (listed - unused) | funded
        asked = (one.get("address") for one in await self.requests(backend) if isinstance(one, dict))
        return found | {bare(one) for one in asked if isinstance(one, str)}

    async def requests(self, backend: Backend) -> list[object]:
        """Return the invoices that a daemon has, as it tells them.  Raises NotNow."""
        found: list[object] = []
        for method in self.profile.methods.values():
            if method.role == "invoice_list":
                answer = await self.ask(backend, method, b"[]")
                found += answer if isinstance(answer, list) else []
        return found

    async def _texts(self, backend: Backend, method: Method, params: bytes) -> set[str]:
        answer = await self.ask(backend, method, params)
        return {bare(one) for one in answer if isinstance(one, str)} if isinstance(answer, list) else set()
