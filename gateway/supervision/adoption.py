"""Takes over a wallet that was used before, by an operator's order.

Rule: what the daemons list when they are asked counts as given out, their invoices go on being answered, and their
labels and freezes become the ledger's; all of it in one transaction.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from gateway.base.events import Event
from gateway.fleet.pool import Pool
from gateway.ledger.marks import FREEZES, LABELS, Change
from gateway.supervision import belongings
from gateway.supervision.belongings import Belongings, Taken
from gateway.supervision.keeper import Keeper
from gateway.supervision.mirror import Mirror

TOLD = 10
"""Invoices that are named where more than one was found of an address."""


class CannotAdoptError(Exception):
    """The wallet cannot be adopted now; the text says why."""


class Adoption:
    """The order `adopt` of one wallet.

    Args:
        clock: seconds since 1970.
        on_marked: hears of the newest label and freeze that came with it.
    """

    def __init__(
        self, pool: Pool, keeper: Keeper, mirror: Mirror, clock: Callable[[], float],
        on_marked: Callable[[str, Change], None],
    ) -> None:  # fmt: skip
        """Do nothing until ordered."""
        self.pool = pool
        self.keeper = keeper
        self.mirror = mirror
        self.clock = clock
        self.on_marked = on_marked

    async def run(self, _argument: str) -> str:
        """Take the wallet over; return a sentence about it.

        Raises:
            CannotAdoptError: the primary is not in service, or did not answer.
            NotNow: another daemon did not answer.
            LedgerError: it could not be written down, or the ledger knows other addresses, or another wallet has them.
        """
        primary, name = self.pool.primary, self.pool.name
        if not primary.phase.is_serving:
            ailment = primary.ailment or "it was not heard of yet"
            raise CannotAdoptError(f"{primary.name} is not in service ({ailment}); nothing was adopted")
        listed = await self.mirror.lists.as_written(primary)
        if not listed:
            raise CannotAdoptError(f"{primary.name} lists no address: it never met its server; nothing was adopted")
        mine = (await self.keeper.looks.by_seed(primary, listed))[0]
        found = await belongings.look(self.keeper.looks, list(mine))
        taken: list[Taken] = []

        def also(connection: Connection) -> None:
            taken.append(belongings.take_over(connection, name, found, self.clock()))

        answer = await self.keeper.adopt(listed, also)
        self._tell_changes(taken[0])
        return f"{answer}; {_counted(taken[0])} came with it{self._tell_left_out(found)}"

    def _tell_changes(self, taken: Taken) -> None:
        """Have every daemon given what came from one of them; until then those that lack a freeze do not sign."""
        for kinds in (FREEZES, LABELS):
            newest = [one for one in taken.changes if one.mark.kind in kinds][-1:]
            for change in newest:
                self.on_marked("", change)

    def _tell_left_out(self, found: Belongings) -> str:
        """Say of which addresses there was more than one invoice; return it in words, "" where of none."""
        if not found.left_out:
            return ""
        told = [
            f"{backend} {one.id} (kept: {found.invoices[one.address].id})" for backend, one in found.left_out[:TOLD]
        ]
        fields: dict[str, object] = {"invoices": len(found.left_out), "left_out": told}
        self.pool.emit(Event("wallet.invoices_left_out", self.pool.name, "", fields, "warning"))
        more = ", ..." if len(found.left_out) > TOLD else ""
        return f"; left out, for their addresses have another invoice: {', '.join(told)}{more}"


def _counted(taken: Taken) -> str:
    return f"{taken.invoices} invoices, {taken.labels} labels and {taken.freezes} freezes"
