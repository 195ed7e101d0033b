"""What is told of a lease, each thing once; and how the database is asked about one.

Rule: whatever goes wrong with a question is told at the first time and when it is over, and never raised: whoever
renews a lease must not end by it.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy import Connection

from gateway.base.errors import LedgerError
from gateway.base.events import Emit, Event
from gateway.ledger.leases import OfLease
from gateway.ledger.store import Ledger
from gateway.rules import config_hash
from gateway.rules.config_hash import Difference
from gateway.rules.lease import Gateway, Lease, Remark, differing

T = TypeVar("T")

SAME = (
    "give all gateways the same of that, and reload those that differ (cluster.lease takes a restart); one with other "
    "backends or another profile takes over later than the rest would"
)

WORDS = {
    Remark.NAME_TAKEN: (
        "lease.name_taken", "another gateway that is alive has this one's name",
        "give each gateway a name of its own, cluster.name",
    ),
    Remark.WENT_BACK: (
        "lease.database_went_back", "the database has forgotten a lease that it had shown",
        "see whether it failed over to a copy that lags, or its clock was set back",
    ),
}  # fmt: skip
"""Event, reason and remedy of what is odd; another configuration is told with what differs."""


class NoAnswer:
    """What is returned where the database could not be asked."""


NO_ANSWER = NoAnswer()


class News:
    """What is told of the lease of one wallet.

    Args:
        gateway: name of this one.
    """

    def __init__(self, wallet: str, gateway: str, ledger: Ledger, emit: Emit) -> None:
        """Begin with nothing told."""
        self.wallet = wallet
        self.gateway = gateway
        self.ledger = ledger
        self.emit = emit
        self.trouble = ""
        """Why the database could not be asked; "" when it could."""
        self._is_older = False
        self._told: dict[Remark, tuple[str, ...]] = {}
        self._difference: Difference | None = None

    async def ask(self, work: Callable[[Connection], T], patience: float) -> T | NoAnswer:
        """Do one transaction of the lease's own, and wait for it no longer than `patience` seconds.

        One that was waited for in vain may be carried out all the same, at any later time.
        """
        question = OfLease(work)
        try:
            async with asyncio.timeout(patience):
                found = await self.ledger.run(question)
        except TimeoutError:
            self._is_away("it does not answer")
        except LedgerError as error:
            self._is_away(str(error) or "it could not be asked")
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end a lease in silence
            self.failed("lease", error)
            self._is_away(type(error).__name__)
        else:
            if self.trouble:
                self.trouble = ""
                self.tell("lease.database_returned")
            self._see_age(question.older)
            return found
        return NO_ANSWER

    def _is_away(self, why: str) -> None:
        is_new, self.trouble = not self.trouble, why
        if is_new:
            self.tell("lease.database_away", "warning", error=why)

    def _see_age(self, older: str) -> None:
        """Tell once that nothing is written any more, while the lease goes on."""
        if older and not self._is_older:
            self.tell("lease.ledger_is_older", "error", reason=older)
        self._is_older = bool(older)

    def remark(self, remarks: Collection[Remark], lease: Lease | None, me: Gateway, now: float) -> None:
        """Tell what is odd about a lease, after each look at it; once of each process and configuration."""
        for remark in remarks:
            if remark is not Remark.OTHER_CONFIG:
                self._remark(remark, lease, me)
        names = differing(lease, me) if lease is not None and Remark.OTHER_CONFIG in remarks else ()
        self._differ(names, lease, now)

    def _differ(self, names: tuple[str, ...], lease: Lease | None, now: float) -> None:
        """Tell what the holder has otherwise, once that has lasted, and now and then while it does."""
        instance = "" if lease is None else lease.instance
        found = self._difference = config_hash.see(self._difference, instance, names, now)
        if found is not None and config_hash.is_due(found, now):
            self._difference = config_hash.told(found, now)
            where, sections = _where(lease), ", ".join(names)
            reason = f"{where['holder']}, which holds {self.wallet}, differs from this gateway in: {sections}"
            self.tell("lease.config_differs", "error", **where, sections=sections, reason=reason, remedy=SAME)

    def _remark(self, remark: Remark, lease: Lease | None, me: Gateway) -> None:
        about = () if lease is None else (lease.instance, lease.config, me.config)
        if self._told.get(remark) == about and remark is not Remark.WENT_BACK:
            return
        self._told[remark] = about
        name, reason, remedy = WORDS[remark]
        self.tell(name, "error", **_where(lease), reason=reason, remedy=remedy)

    def taken_with_other_config(self, former: Lease, names: tuple[str, ...]) -> None:
        """Tell that this gateway took over and has the wallet in another configuration than it was held in."""
        sections = ", ".join(names)
        fields = {"sections": sections, "reason": f"the last holder differed from this gateway in: {sections}"}
        self.tell("lease.taken_with_other_config", "error", holder=former.holder, **fields, remedy=SAME)

    def failed(self, room: str, error: BaseException) -> None:
        """Tell a mistake of ours."""
        self.tell("room.failed", "error", room=room, error=f"{type(error).__name__}: {error}"[:500])

    def tell(self, name: str, level: str = "info", **fields: object) -> None:
        """Tell anything."""
        self.emit(Event(name, self.wallet, "", {"gateway": self.gateway, **fields}, level))


def _where(lease: Lease | None) -> dict[str, object]:
    return {} if lease is None else {"holder": lease.holder, "address": lease.address, "term": lease.term}
