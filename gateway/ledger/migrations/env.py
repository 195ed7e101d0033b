"""What alembic runs around the steps: it takes the connection or the engine that it is given.

Rule: with a connection, the transaction is the caller's, and nothing is committed here.
"""

from alembic import context
from sqlalchemy import Connection, Engine

from gateway.ledger.schema import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | Engine = context.config.attributes["connection"]
if isinstance(given, Engine):
    with given.begin() as begun:
        _run(begun)
else:
    _run(given)
