"""The commands that make a copy of the ledger and put one back.

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


def _see_file(ledger: Ledger, instead: str) -> None:
    """Refuse to copy what is no file, and say what does.  Raises LedgerError."""
    if ledger.url:
        raise LedgerError(
            f"the ledger is in a database, which has its own means: `{instead}`, with all gateways stopped where "
            "something is put back, and then `ec-gateway ledger adopt` for each wallet; keep ledger.key_file with it"
        )
