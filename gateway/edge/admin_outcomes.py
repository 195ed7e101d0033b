"""Outcomes that nobody knows, for operators: what there is, and what a person says about one.

Rule: all of it is in the ledger, and what is said goes through the wallet's own, which refuses where another gateway
holds the wallet by now.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.base.errors import LedgerError, OrderError
from gateway.base.events import Emit, Event
from gateway.base.people import Person
from gateway.edge.admin_access import Refused
from gateway.edge.admin_orders import OrderDesk
from gateway.edge.admin_requests import checked_reason
from gateway.observe.reader import BusyError, Reader

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.store import Ledger

UNREAD = "the ledger cannot be read now"
BUSY = "others ask for outcomes just now; ask again in a moment"
NO_LEDGER = "this gateway keeps no ledger, so that nothing is written down of calls whose outcome is not known"


FRESH = 2.0
"""Seconds for which a list is shown to others as well, unless somebody has said something meanwhile."""

MOST_KEPT = 64
"""Lists that are kept: one of each wallet that is asked for, and that of all."""


class OutcomeDesk:
    """Tells of outcomes and takes what people say about them.

    Args:
        desk: gives orders their lines in the log.
        reading: the ledger of this gateway; None without one, and while it is not open.
        is_kept: whether there is one by the configuration.
        mark: what is different once there is another outcome of which nobody knows.
        writing: the ledger as the rooms of a wallet have it.  Raises OrderError.
        resolved: called with a wallet when something was said about one of its outcomes.
        clock: seconds since 1970.
    """

    def __init__(
        self, desk: OrderDesk, *, reading: Callable[[], "Ledger | None"], writing: Callable[[str], "Ledger"],
        resolved: Callable[[str], None], emit: Emit, clock: Callable[[], float],
        is_kept: Callable[[], bool] | None = None, mark: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        """Know nothing; everything is in the ledger."""
        self.desk = desk
        self.reading = reading
        self.is_kept = is_kept or (lambda: reading() is not None)
        self.mark = mark
        self.reader = Reader("outcomes")
        self._listed: dict[str | None, tuple[float, object, list[dict[str, object]]]] = {}
        self.writing = writing
        self.resolved = resolved
        self.emit = emit
        self.clock = clock

    async def listed(self, wallet: str | None = None) -> list[dict[str, object]]:
        """Return what is open; [] without a ledger.  Raises Refused (503)."""
        if not self.is_kept():
            return []
        ledger = self.reading()
        at, mark = self.clock(), self.mark()
        if ledger is not None and (known := self._listed.get(wallet)) is not None:
            listed_at, marked, found = known
            if 0.0 <= at - listed_at < FRESH and marked == mark:
                return list(found)

        def read(connection: "Connection") -> list[dict[str, object]]:
            from gateway.ledger.unresolved import unresolved  # noqa: PLC0415 - the engine of the ledger takes 12 MiB

            return [asdict(one) for one in unresolved(connection, at, wallet)]

        try:
            listed = await self.reader.look(ledger, read, lambda rows: rows, is_light=True)
        except BusyError:
            raise Refused(503, BUSY, {"Retry-After": "2"}) from None
        if listed is None:
            # why, says the log; it may quote what is in there
            raise Refused(503, f"{UNREAD}; its log says why", {"Retry-After": "2"})
        if len(self._listed) > MOST_KEPT:
            self._listed.clear()
        self._listed[wallet] = at, mark, listed
        return list(listed)

    async def resolve(
        self, person: Person, wallet: str, outcome: str, *, executed: bool, reason: str, peer: str = ""
    ) -> str:
        """Take what somebody says about an outcome; return a sentence.  Raises Refused and OrderError."""
        self.desk.see_here(wallet)
        reason = checked_reason(reason)

        async def act() -> str:
            return await self._resolve(person, wallet, outcome, reason, executed=executed)

        return await self.desk.carry_out(
            person, wallet, "", "resolve", reason, peer, act, outcome=outcome[:100], executed=executed
        )

    async def _resolve(self, person: Person, wallet: str, outcome: str, reason: str, *, executed: bool) -> str:
        ledger = self.writing(wallet)
        from gateway.ledger.unresolved import CannotResolveError, NoOutcomeError, resolve  # noqa: PLC0415 - as above

        at, who = self.clock(), person.name
        try:
            told, left = await ledger.run(
                lambda c: resolve(c, wallet, outcome, executed=executed, who=who, reason=reason, at=at)
            )
        except NoOutcomeError as error:
            raise Refused(404, str(error)) from None
        except CannotResolveError as error:
            raise OrderError(str(error)) from None
        except LedgerError:
            raise Refused(503, f"{UNREAD}; nothing was changed", {"Retry-After": "2"}) from None
        self._listed.clear()
        self.resolved(wallet)
        if not left:
            self.emit(Event("outcome.all_resolved", wallet))
        return told
