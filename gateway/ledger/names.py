"""Names of clients and wallets that the ledger has and the configuration has no more.

Rule: a key belongs to the name of its client and of its wallet.  Under another name the same key is a new one and pays
again, so a name that is gone while its keys are not is told before anybody finds out.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, not_, or_, select, union

from gateway.ledger.retention import DAY, KEY_DAYS
from gateway.ledger.schema import intents, keys, publications, wallets
from gateway.rules.payment import TOMBSTONE


@dataclass(frozen=True, slots=True)
class Stray:
    """Keys of a client in a wallet, one of which is no longer configured."""

    client: str
    wallet: str
    keys: int
    is_client_gone: bool
    """Otherwise it is the wallet."""

    def __str__(self) -> str:
        """Return the warning, with the way out."""
        what, name = ("client", self.client) if self.is_client_gone else ("wallet", self.wallet)
        return (
            f"the ledger has {self.keys} keys of client {self.client} in wallet {self.wallet}, and no {what} is called "
            f"{name} any more: sent again under another name, each of them is a new key and pays again; give the "
            f"{what} its old name back, or let it send none of these keys again"
        )


def strays(connection: Connection, clients: Collection[str], names: Collection[str], at: float) -> list[Stray]:
    """Return the keys whose client or wallet is no longer configured, but for those that ended long ago.

    Args:
        clients, names: of the clients and the wallets that are configured.
        at: seconds since 1970.
    """
    is_old = and_(keys.c.state == TOMBSTONE, keys.c.updated_at < at - KEY_DAYS * DAY)
    is_gone = or_(keys.c.client.not_in(list(clients)), keys.c.wallet.not_in(list(names)))
    found = select(keys.c.client, keys.c.wallet, func.count()).where(is_gone, not_(is_old))
    rows = connection.execute(found.group_by(keys.c.client, keys.c.wallet).order_by(keys.c.client, keys.c.wallet))
    return [Stray(client, wallet, count, client not in clients) for client, wallet, count in rows]


def known_wallets(connection: Connection) -> set[str]:
    """Return the names of all wallets that the ledger has."""
    return set(connection.scalars(select(wallets.c.name)))


def known_clients(connection: Connection) -> set[str]:
    """Return the names of all clients that paid or began something, as far as the ledger has it."""
    return set(connection.scalars(union(*(select(table.c.client) for table in (keys, intents, publications)))))


def configured_clients(names: Collection[str], *, anonymous: bool) -> Iterator[str]:
    """Yield the names under which callers are let in."""
    yield from names
    if anonymous:
        yield ANONYMOUS


ANONYMOUS = "anonymous"
"""What a caller without credentials is called."""
