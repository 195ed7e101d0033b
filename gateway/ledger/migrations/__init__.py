"""The way from any earlier ledger to the tables of `schema`: one file a step under versions/.

Rule: all steps that are missing are one transaction of the caller's, so that a ledger is of one version or of
another and never in between.  A step that was released is never changed; another one follows it.
"""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

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
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(reversed([step.revision for step in steps]))


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
    return MigrationContext.configure(connection).get_current_revision()


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
    if before != newest:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "gateway.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config
