"""Who is primary of a wallet, since when; and the fence.

Rule: the epoch grows by one with each new primary and with each start of a gateway, in the transaction that makes
it so; whoever writes a result compares the epoch in his own transaction, and loses when it is another one.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gateway.ledger.schema import wallets

NEW, UNADOPTED, ADOPTED = "new", "unadopted", "adopted"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of a wallet."""

    state: str
    """`new`, `unadopted` or `adopted`."""
    epoch: int
    primary: str
    fingerprint: str
    """Its first receiving address; "" before first contact."""


def current(connection: Connection, wallet: str) -> Standing | None:
    """Return how a wallet stands, None when it was never heard of."""
    row = connection.execute(select(wallets).where(wallets.c.name == wallet)).one_or_none()
    return None if row is None else Standing(row.state, row.epoch, row.primary_backend, row.fingerprint)


def is_current(connection: Connection, wallet: str, epoch: int) -> bool:
    """Whether an epoch is the wallet's of now: the fence."""
    return connection.scalar(select(wallets.c.epoch).where(wallets.c.name == wallet)) == epoch


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
    return Standing(found.state, found.epoch + 1, keeps, found.fingerprint)


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


def settle(connection: Connection, wallet: str, state: str, fingerprint: str) -> None:
    """Note how first contact went."""
    connection.execute(update(wallets).where(wallets.c.name == wallet).values(state=state, fingerprint=fingerprint))
