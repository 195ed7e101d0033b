"""The way from any earlier ledger to the tables of `schema`: one file a step under versions/.

Rule: all steps that are missing are one transaction of the caller's, so that a ledger is of one version or of
another and never in between.  A step that was released is never changed; another one follows it.
"""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from gateway.ledger.schema import metadata

STEP = re.compile(r"([0-9]{4})_\w+\.py")

VERSION_TABLE = "alembic_version"


class UnknownVersionError(Exception):
    """The ledger is of a version that this gateway has never heard of; `version` and `newest` name both."""

    def __init__(self, version: str, newest: str) -> None:
        """Keep the version of the ledger and the newest one that is known here."""
        super().__init__(f"schema {version}, and this gateway knows up to {newest}")
        self.version = version
        self.newest = newest


class StrangeTablesError(Exception):
    """The database has tables and no version: it is somebody else's."""


@cache
def versions() -> tuple[str, ...]:
    """Return every version there is, the oldest first."""
    names = (STEP.fullmatch(path.name) for path in (Path(__file__).parent / "versions").iterdir())
    return tuple(sorted(name[1] for name in names if name is not None))


def version(connection: Connection) -> str | None:
    """Return the version of a ledger, None for one without tables.

    Raises:
        StrangeTablesError: there are tables, and none of them says a version.
    """
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if tables:
            raise StrangeTablesError(", ".join(sorted(tables)[:3]))
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one_or_none()  # noqa: S608 - ours


def bring_up(connection: Connection) -> str | None:
    """Make every step that is missing, in the transaction of the connection; return the version it had before.

    Raises:
        UnknownVersionError: it is of a newer gateway.
        StrangeTablesError: it is no ledger.
    """
    before = version(connection)
    newest = versions()[-1]
    if before is not None and before not in versions():
        raise UnknownVersionError(before, newest)
    if before is None:
        # the steps lead to exactly these tables, as a test sees; alembic takes 10 MiB, and a new ledger needs none
        metadata.create_all(connection)
        connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{newest}')")  # noqa: S608 - ours
    elif before != newest:
        upgrade(connection)
    return before


def upgrade(connection: Connection | Engine) -> None:
    """Make every step that is missing by alembic."""
    from alembic import command  # noqa: PLC0415 - only an older ledger needs it
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.attributes["connection"] = connection
    config.set_main_option("script_location", "gateway.ledger:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
