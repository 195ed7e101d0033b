"""Takes over a wallet that was used before, by an operator's order.

Rule: what the primary lists when it is asked counts as given out, its invoices go on being answered, and its labels
become the ledger's; all of it in one transaction, once.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress

from sqlalchemy import Connection

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import invoices, marks
from gateway.ledger.marks import LABEL
from gateway.profiles import Profile
from gateway.rules.invoices import label_key, taken_over
from gateway.supervision.keeper import Keeper
from gateway.supervision.mirror import Mirror

OWNER = "client"
"""Of labels that were there before: nobody's to take away but a client's."""


class CannotAdoptError(Exception):
    """The wallet cannot be adopted now; the text says why."""


class Adoption:
    """The order `adopt` of one wallet.

    Args:
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, profile: Profile, keeper: Keeper, mirror: Mirror, clock: Callable[[], float]
    ) -> None:
        """Do nothing until ordered."""
        self.pool = pool
        self.profile = profile
        self.keeper = keeper
        self.mirror = mirror
        self.clock = clock

    async def run(self, _argument: str) -> str:
        """Take the wallet over; return a sentence about it.

        Raises:
            CannotAdoptError: the primary is not in service, or did not answer.
            LedgerError: it could not be written down, or the ledger knows other addresses.
        """
        primary = self.pool.primary
        if not primary.phase.is_serving:
            ailment = primary.ailment or "it was not heard of yet"
            raise CannotAdoptError(f"{primary.name} is not in service ({ailment}); nothing was adopted")
        listed = await self.mirror.list_as_written(primary)
        if not listed:
            raise CannotAdoptError(f"{primary.name} lists no address: it never met its server; nothing was adopted")
        requests = await self._requests(primary)
        labels = dict(await self._labels(primary))
        name, at = self.pool.name, self.clock()

        def also(connection: Connection) -> None:
            invoices.take_over(connection, name, [one for one in map(taken_over, requests) if one is not None])
            for address, label in labels.items():
                marks.put(connection, name, LABEL, label_key(address), label, OWNER, at)

        answer = await self.keeper.adopt(listed, also)
        return f"{answer}; {len(requests)} invoices and {len(labels)} labels came with it"

    async def _requests(self, primary: Backend) -> list[object]:
        """Return the invoices that the primary has, as it tells them."""
        found: list[object] = []
        for method in self.profile.methods.values():
            if method.role == "invoice_list":
                answer = await self.keeper.ask(primary, method, b"[]")
                found += answer if isinstance(answer, list) else []
        return found

    async def _labels(self, primary: Backend) -> Iterator[tuple[str, str]]:
        """Return the labels of its receiving addresses."""
        listing = self.profile.methods[self.profile.list_addresses]
        if not {"receiving", "labels"} <= set(listing.params):
            return iter(())
        answer = await self.keeper.ask(primary, listing, b'{"receiving": true, "labels": true}')
        return _read_labels(answer)


def _read_labels(answer: object) -> Iterator[tuple[str, str]]:
    """Yield address and label of each item that has one; the daemon writes labels as Python would."""
    for item in answer if isinstance(answer, list) else []:
        match item:
            case [str(address), *_, str(written)]:
                label: object = ""
                with suppress(ValueError, SyntaxError):
                    label = ast.literal_eval(written)
                if isinstance(label, str) and label:
                    yield address, label
