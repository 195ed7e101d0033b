"""What the commands of the ledger share: the option that names the files, and how they tell what they cannot do.

Rule: one line with a remedy and exit code 1, never a traceback.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.base.config import Settings
from gateway.base.errors import ConfigError
from gateway.base.loader import load
from gateway.ledger.opening import open_reader
from gateway.ledger.store import LedgerError, reason

CONFIG = click.option(
    "-c", "--config", "files", type=click.Path(path_type=Path), multiple=True, required=True,
    help="File of the gateway; several merge, later ones win.",
)  # fmt: skip


def configured(files: tuple[Path, ...]) -> tuple[Settings, Path]:
    """Return the settings and where the ledger is; ends the command where there is none."""
    try:
        settings = load(list(files), os.environ, [])
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)
    if settings.ledger is None:
        click.echo("ledger: there is none in this configuration; add `ledger: {path: ...}`", err=True)
        sys.exit(1)
    return settings, Path(settings.ledger.path)


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


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Give a connection that reads one moment of the ledger."""
    engine = open_reader(path)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
