"""The commands that make a copy of the ledger, put one back, and move the ledger into a database.

Rule: they end in a sentence on what was done and what has to be done next; that is part of the work.
"""

import time
from pathlib import Path

import click

from gateway.base.cluster import Ledger
from gateway.cli_common import CONFIG, configured, told
from gateway.ledger import backup as copies
from gateway.ledger.store import LedgerError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
@click.option("--force", is_flag=True, help="Overwrite FILE and FILE.key.")
def backup(file: Path, files: tuple[Path, ...], *, force: bool) -> None:
    """Copy the ledger to FILE and its key to FILE.key; the gateway may be running.

    `cp` does not do: what was written last lies in a second file beside a ledger that is in use.
    """
    _, ledger = configured(files)
    began = time.monotonic()
    with told():
        _see_file(ledger, f"pg_dump --format=custom --file={file} {ledger.url}")
        made = copies.back_up(ledger, file, time.time(), force=force)
    took = time.monotonic() - began
    click.echo(f"{made.path}: {made.size:,} bytes, of {made.moment}, looked through and found whole; {took:.1f} s")
    click.echo(f"{made.key}: its key. Keep both where only you can read them, best on another machine")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def restore(file: Path, files: tuple[Path, ...]) -> None:
    """Put the backup FILE, and its key FILE.key, in the place of the ledger; no gateway may have that open."""
    settings, ledger = configured(files)
    with told():
        _see_file(ledger, f"pg_restore --clean --if-exists --dbname={ledger.url} {file}")
        done = copies.restore(ledger, file, time.time())
    click.echo(f"{done.path} is the ledger of {done.moment} now")
    if done.kept:
        click.echo(f"what was there before is kept as {done.kept}")
    click.echo(
        "Start the gateway if it does not run. It knows nothing of what was done since: it gives out no address that "
        "was waiting then, and binds no payment to a key. Compare the payouts since then with the chain, and do not "
        "ask for one again before; then run, for each wallet:"
    )
    names = " ".join(f"-c {one}" for one in files)
    for wallet in settings.wallets:
        click.echo(f"  ec-gateway ledger adopt {names} --wallet {wallet}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CONFIG
def move(file: Path, files: tuple[Path, ...]) -> None:
    """Move the ledger in FILE into the database of ledger.url, for several gateways; all of them are stopped meanwhile.

    No gateway opens FILE after that.
    """
    _, ledger = configured(files)
    with told():
        if not ledger.url:
            raise LedgerError("ledger.url is not set: name the database that the ledger is to move into, and key_file")
        from gateway.ledger import moving  # noqa: PLC0415 - its driver is not for a gateway with a file

        done = moving.move(ledger, file, time.time())
    if done.rows:
        click.echo(f"{done.rows:,} rows of {file} are in the database {done.where} now")
    else:
        click.echo(f"what {file} held is in the database {done.where} already")
    click.echo(
        f"{file} stays as it was, and no gateway opens it any more. Start the gateways with ledger.url; keep the key "
        "file with them, and copy the database by its own means from now on"
    )


def _see_file(ledger: Ledger, instead: str) -> None:
    """Refuse to copy what is no file, and say what does.  Raises LedgerError."""
    if ledger.url:
        raise LedgerError(
            f"the ledger is in a database, which has its own means: `{instead}`, with all gateways stopped where "
            "something is put back, and then `ec-gateway ledger adopt` for each wallet; keep ledger.key_file with it"
        )
