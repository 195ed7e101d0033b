"""Who is primary of a wallet, since when; and the fence.

Rule: the epoch grows by one with each new primary and with each start of a gateway, in the transaction that makes
it so; whoever writes a result compares the epoch in his own transaction, and loses when it is another one.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from gateway.ledger.schema import wallets
from gateway.rules.cashaddr import bare

NEW, UNADOPTED, ADOPTED, DOUBTED = "new", "unadopted", "adopted", "doubted"
"""States of a wallet.  DOUBTED is adopted, and daemons showed that the ledger is older than what was done with it: keys
may be missing, so no payment is bound to one until an operator has looked."""

_STANDING = select(wallets).where(wallets.c.name == bindparam("of"))
# each allocation asks these two
_EPOCH = select(wallets.c.epoch).where(wallets.c.name == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of a wallet."""

    state: str
    """One of the four above."""
    epoch: int
    primary: str
    fingerprint: str
    """Its first receiving address; "" before first contact."""
    planned: int = 0
    """How many receiving addresses the gateway has set out to let daemons list."""

    @property
    def is_adopted(self) -> bool:
        """Whether addresses may be given out."""
        return self.state in (ADOPTED, DOUBTED)


def current(connection: Connection, wallet: str) -> Standing | None:
    """Return how a wallet stands, None when it was never heard of."""
    row = connection.execute(_STANDING, {"of": wallet}).one_or_none()
    if row is None:
        return None
    return Standing(row.state, row.epoch, row.primary_backend, row.fingerprint, row.planned)


def is_current(connection: Connection, wallet: str, epoch: int) -> bool:
    """Whether an epoch is the wallet's of now: the fence."""
    return connection.scalar(_EPOCH, {"of": wallet}) == epoch


def begin(connection: Connection, wallet: str, primary: str, names: list[str], at: float) -> Standing:
    """Begin a new epoch because a gateway starts.

    Args:
        primary: the configured one; counts for a wallet that is new, or whose last primary is no backend any more.
        names: the backends there are now.
    """
    found = current(connection, wallet)
    if found is None:
        connection.execute(insert(wallets).values(name=wallet, state=NEW, epoch=1, primary_backend=primary, since=at))
        return Standing(NEW, 1, primary, "")
    keeps = found.primary if found.primary in names else primary
    connection.execute(
        update(wallets).where(wallets.c.name == wallet).values(epoch=found.epoch + 1, primary_backend=keeps, since=at)
    )
    return Standing(found.state, found.epoch + 1, keeps, found.fingerprint, found.planned)


def promote(connection: Connection, wallet: str, primary: str, epoch: int, at: float) -> int | None:
    """Make another backend primary; return the new epoch, None when somebody else was faster.

    Args:
        epoch: the one that the decision was made in.
    """
    done = connection.execute(
        update(wallets)
        .where(wallets.c.name == wallet, wallets.c.epoch == epoch)
        .values(epoch=epoch + 1, primary_backend=primary, since=at)
    )
    return epoch + 1 if done.rowcount == 1 else None


def doubt(connection: Connection, wallet: str) -> None:
    """Note that the ledger of an adopted wallet may be older than what was done with it."""
    mine = (wallets.c.name == wallet, wallets.c.state == ADOPTED)
    connection.execute(update(wallets).where(*mine).values(state=DOUBTED))


def plan(connection: Connection, wallet: str, epoch: int, count: int) -> bool:
    """Note how many addresses daemons are about to list, before the first of them is derived; False in an older epoch.

    It is never lowered: what was derived for an earlier plan may be listed at any time.
    """
    mine = (wallets.c.name == wallet, wallets.c.epoch == epoch)
    connection.execute(update(wallets).where(*mine, wallets.c.planned < count).values(planned=count))
    return is_current(connection, wallet, epoch)


def twin(connection: Connection, wallet: str, first: str) -> str | None:
    """Return the other wallet that gives out addresses of the same seed, None where there is none.

    Args:
        first: receiving address of the wallet, with or without prefix.
    """
    given = select(wallets.c.name, wallets.c.fingerprint).where(
        wallets.c.name != wallet, wallets.c.state.in_((ADOPTED, DOUBTED))
    )
    rows = connection.execute(given.order_by(wallets.c.name))
    return next((str(row.name) for row in rows if bare(row.fingerprint) == bare(first)), None)


def settle(connection: Connection, wallet: str, state: str, fingerprint: str) -> None:
    """Note how first contact went."""
    connection.execute(update(wallets).where(wallets.c.name == wallet).values(state=state, fingerprint=fingerprint))
