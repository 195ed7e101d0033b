"""What the commands of the ledger share: the option that names the files, and the ledger, be it a file or a database.

Rule: what cannot be done is told in one line with a remedy and exit code 1, never a traceback.  What only reads keeps
nobody from writing.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.base.cluster import Ledger
from gateway.base.config import Settings
from gateway.base.errors import ConfigError
from gateway.base.loader import load
from gateway.ledger import opening
from gateway.ledger.place import check_there
from gateway.ledger.store import LedgerError, Transacting, reason

T = TypeVar("T")

CONFIG = click.option(
    "-c", "--config", "files", type=click.Path(path_type=Path), multiple=True, required=True,
    help="File of the gateway; several merge, later ones win.",
)  # fmt: skip

LONG = 600.0
"""Seconds that one statement of a command which reads everything may take."""


def configured(files: tuple[Path, ...]) -> tuple[Settings, Ledger]:
    """Return the settings and those of the ledger; ends the command where there is none."""
    try:
        settings = load(list(files), os.environ, [])
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)
    if settings.ledger is None:
        click.echo("ledger: there is none in this configuration; add `ledger: {path: ...}`", err=True)
        sys.exit(1)
    return settings, settings.ledger


@contextmanager
def told() -> Iterator[None]:
    """Tell what could not be done in one line, and end the command."""
    try:
        yield
    except LedgerError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except SQLAlchemyError as error:
        click.echo(f"the ledger cannot be read ({reason(error)}); `ec-gateway ledger check` may tell more", err=True)
        sys.exit(1)


def where(ledger: Ledger) -> str:
    """Return where a ledger is, in words."""
    return ledger.url or ledger.path


def looked(ledger: Ledger, work: Callable[[Connection], T]) -> T:
    """Read one moment of the ledger.  Raises LedgerError."""
    if ledger.url:
        from gateway.ledger import opening_postgres  # noqa: PLC0415 - its driver is not for a gateway with a file

        with closing(opening_postgres.open_beside(ledger)) as opened:
            return opened.look(work, LONG)
    engine = opening.open_reader(Path(ledger.path))
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


@contextmanager
def beside(ledger: Ledger) -> Iterator[Transacting]:
    """Open the ledger for a command that writes.  Raises LedgerError."""
    with closing(_opened(ledger)) as opened:
        yield opened


def look_through(ledger: Ledger) -> tuple[str, ...]:
    """See whether a gateway could rely on the ledger; return what may lose payments.  Raises LedgerError."""
    if ledger.url:
        from gateway.ledger import opening_postgres  # noqa: PLC0415 - its driver is not for a gateway with a file

        return opening_postgres.look(ledger)
    check_there(Path(ledger.path))
    opening.look(ledger)
    return ()


def is_held(ledger: Ledger, opened: Transacting) -> bool:
    """Return whether a gateway has the ledger open.  Raises LedgerError."""
    if ledger.url:
        from gateway.ledger import opening_postgres  # noqa: PLC0415 - its driver is not for a gateway with a file

        return opened.transact(opening_postgres.is_in_use)
    try:
        descriptor = os.open(f"{ledger.path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def take_for_granted(ledger: Ledger, at: float) -> bool:
    """Go on with a database that has lost what was committed last; False where nothing is known to be missing.

    Raises LedgerError.
    """
    if not ledger.url:
        return False
    from gateway.ledger import opening_postgres  # noqa: PLC0415 - its driver is not for a gateway with a file

    with closing(opening_postgres.open_beside(ledger, may_be_behind=True)) as opened:
        return opened.transact(lambda connection: opening_postgres.take_for_granted(connection, at))


def _opened(ledger: Ledger) -> Transacting:
    if ledger.url:
        from gateway.ledger import opening_postgres  # noqa: PLC0415 - its driver is not for a gateway with a file

        return opening_postgres.open_beside(ledger)
    return opening.open_beside(Path(ledger.path))
