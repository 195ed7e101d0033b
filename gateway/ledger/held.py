"""The ledger as the rooms of one holding of a wallet have it: fenced.

Rule: nothing is written by a gateway that has lost the lease, whatever it believes.  Each transaction first looks, in
itself, whether the lease still names this process and this term and has not ended on the database's clock; where it
does not, nothing of the transaction happens.

Transactions of a shared ledger follow one another, and taking a lease is one of them.  So between that look and the
commit nobody else can have become the holder, however long the transaction took.

A holding is over for good: rooms of an earlier term write nothing after this gateway has gained the lease again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol, TypeVar

from sqlalchemy import Connection

from gateway.base.errors import LedgerError
from gateway.ledger import leases
from gateway.ledger.store import Transacting, UncertainError
from gateway.ledger.timing import Timing
from gateway.rules.lease import Gateway

T = TypeVar("T")


class LeaseError(LedgerError):
    """This gateway does not hold the wallet any more; nothing was written."""


class UncertainLeaseError(LeaseError, UncertainError):
    """It does not hold the wallet any more, and nobody knows whether what it wrote before was committed."""


class Holding(Protocol):
    """What is asked of the lease; `supervision.tenancy.Tenancy` has it."""

    wallet: str
    me: Gateway
    clock: leases.Clock

    def holds(self, term: int) -> bool:
        """Whether that holding counts now, by the own clock."""
        raise NotImplementedError


class _Refused:
    """What a transaction returns that was not begun; raised inside it, it would count as a trouble of the ledger's."""


REFUSED = _Refused()


class HeldLedger:
    """What rooms of one wallet know of the ledger.

    Args:
        ledger: of the whole gateway; it stays its owner's to close.
        term: of the holding that the rooms were built for, as `on_gained` was told.
    """

    def __init__(self, ledger: Transacting, holding: Holding, term: int) -> None:
        """Begin with nothing refused."""
        self.ledger = ledger
        self.holding = holding
        self.term = term
        self._refusal = ""

    @property
    def last_error(self) -> str:
        """Why the last transaction failed; "" when it did not."""
        return self._refusal or self.ledger.last_error

    @property
    def timing(self) -> Timing:
        """How long transactions take, those of other wallets included."""
        return self.ledger.timing

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction, if the lease is held.  Raises LedgerError."""
        self._see_the_clock()
        with self._in_time():
            found = await self.ledger.run(self._fenced(work))
        return self._allowed(found)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do the same here and now.  Raises LedgerError."""
        self._see_the_clock()
        with self._in_time():
            found = self.ledger.transact(self._fenced(work))
        return self._allowed(found)

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read one moment.  Nobody is fenced off: what is done with it goes by a transaction.  Raises LedgerError."""
        self._see_the_clock()
        with self._in_time():
            return self.ledger.look(work)

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Do the same.  Raises LedgerError."""
        self._see_the_clock()
        with self._in_time():
            return await self.ledger.see(work)

    def close(self) -> None:
        """Leave the ledger to the gateway, which has other wallets in it."""

    def _see_the_clock(self) -> None:
        """Ask nobody where the own clock says that it is over, as after the process was frozen."""
        if not self.holding.holds(self.term):
            self._refuse()
        self._refusal = ""

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Raise what the ledger raises, as a LeaseError where the holding is over by then.

        A database that does not answer is waited for longer than a lease lasts: whoever goes on without it must not go
        on without the lease.
        """
        try:
            yield
        except UncertainError as error:
            if not self.holding.holds(self.term):
                self._refusal = f"{self._lost}; what was being written may have been"
                raise UncertainLeaseError(f"{self._refusal} ({error})") from error
            raise
        except LedgerError as error:
            if not self.holding.holds(self.term):
                self._refusal = f"{self._lost}; nothing was written"
                raise LeaseError(f"{self._refusal} ({error})") from error
            raise

    def _fenced(self, work: Callable[[Connection], T]) -> Callable[[Connection], T | _Refused]:
        wallet, instance, clock = self.holding.wallet, self.holding.me.instance, self.holding.clock

        def fenced(connection: Connection) -> T | _Refused:
            if not leases.is_current(connection, wallet, instance, self.term, clock):
                return REFUSED
            return work(connection)

        return fenced

    def _allowed(self, result: T | _Refused) -> T:
        if isinstance(result, _Refused):
            self._refuse()
        self._refusal = ""
        return result

    def _refuse(self) -> NoReturn:
        self._refusal = f"{self._lost}; nothing was written"
        raise LeaseError(self._refusal)

    @property
    def _lost(self) -> str:
        return f"this gateway does not hold the lease of wallet {self.holding.wallet} any more"
