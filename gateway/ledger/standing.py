"""What operators ordered for good: backends that are held (not restarted) or drained (given no calls).

Rule: an order stands until it is taken back, over any restart of the gateway; given twice it stands once.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from gateway.ledger.schema import standing


@dataclass(frozen=True, slots=True)
class Standing:
    """One order; `verb` is `hold` or `drain`, `at` in seconds since 1970."""

    backend: str
    verb: str
    at: float


def read(connection: Connection, wallet: str) -> list[Standing]:
    """Return what stands for a wallet."""
    rows = connection.execute(select(standing).where(standing.c.wallet == wallet).order_by(standing.c.backend)).all()
    return [Standing(row.backend, row.verb, row.at) for row in rows]


def put(connection: Connection, wallet: str, backend: str, verb: str, at: float) -> bool:
    """Let an order stand; False when it did before."""
    of_it = (standing.c.wallet == wallet, standing.c.backend == backend, standing.c.verb == verb)
    if connection.execute(select(standing.c.verb).where(*of_it)).first() is not None:
        return False
    connection.execute(insert(standing).values(wallet=wallet, backend=backend, verb=verb, at=at))
    return True


def take_back(connection: Connection, wallet: str, backend: str, verb: str) -> bool:
    """Take an order back; False when there was none."""
    of_it = (standing.c.wallet == wallet, standing.c.backend == backend, standing.c.verb == verb)
    return connection.execute(delete(standing).where(*of_it)).rowcount == 1
