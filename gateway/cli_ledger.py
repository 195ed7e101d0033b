"""The commands that look into the ledger, and those that ask the running gateway for something through it.

Rule: as in `cli`: one line with a remedy and an exit code, never a traceback.  What only reads keeps nobody from
writing; an order that no gateway takes is withdrawn and said to be.
Exit codes: 0 done, 1 it could not be done or something is wrong, 2 the command line was wrong.
"""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Connection

from gateway import cli_backup
from gateway.base.config import Settings
from gateway.cli_common import CONFIG, configured, reading, told
from gateway.ledger import check as consistency
from gateway.ledger import export as exporting
from gateway.ledger import names, orders, outcomes, retention
from gateway.ledger.key_file import read_key
from gateway.ledger.opening import look, open_beside
from gateway.ledger.outcomes import CannotAbandonError, Story
from gateway.ledger.place import check_there, key_path
from gateway.ledger.store import InlineLedger, LedgerError
from gateway.rules.payment import hash_of

WALLET = click.option("--wallet", help="Name of the wallet; needed where there are several.")


@click.group()
def ledger() -> None:
    """Look after the ledger: what was handed out, signed and paid."""


@ledger.command()
@CONFIG
def check(files: tuple[Path, ...]) -> None:
    """Look whether the ledger agrees with itself; the gateway may be running."""
    settings, path = configured(files)
    assert settings.ledger is not None  # noqa: S101 - seen by `configured`
    with told():
        check_there(path)
        look(settings.ledger)
    with told(), reading(path) as connection:
        findings = consistency.check(connection)
        gone = names.strays(connection, _clients(settings), settings.wallets, time.time())
    for stray in gone:
        click.echo(f"warning: {stray}", err=True)
    for finding in findings:
        click.echo(finding, err=True)
    if findings:
        click.echo(f"{len(findings)} finding{'' if len(findings) == 1 else 's'}; keep a copy of {path}", err=True)
        sys.exit(1)
    click.echo("ok")


@ledger.command()
@CONFIG
def export(files: tuple[Path, ...]) -> None:
    """Print the whole ledger as lines of JSON; the gateway may be running.

    It holds signed transactions and what customers paid: keep it like the ledger itself.
    """
    _, path = configured(files)
    with told(), reading(path) as connection, suppress(BrokenPipeError):
        for line in exporting.lines(connection):
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


@ledger.command()
@CONFIG
def prune(files: tuple[Path, ...]) -> None:
    """Remove what is older than it has to be kept; the running gateway does it every hour."""
    _, path = configured(files)
    total = 0
    with told(), closing(open_beside(path)) as opened:
        while done := opened.transact(lambda connection: retention.prune(connection, time.time())):
            total += done
            # the gateway waits for the same file
            time.sleep(retention.PAUSE)
    click.echo(f"{total} row{'' if total == 1 else 's'} removed or shortened")


@ledger.command()
@CONFIG
@WALLET
def adopt(files: tuple[Path, ...], wallet: str | None) -> None:
    """Take over a wallet that was used before: its addresses count as given out, its requests become invoices."""
    _order(files, wallet, "adopt")


@click.command()
@click.argument("backend")
@CONFIG
@WALLET
def promote(backend: str, files: tuple[Path, ...], wallet: str | None) -> None:
    """Make BACKEND the primary of its wallet, through the running gateway."""
    _order(files, wallet, "promote", backend)


@click.command()
@click.argument("backend")
@CONFIG
@WALLET
@click.option("--from", "source", help="The backend whose file is given; an aligned standby when absent.")
def reinit(backend: str, files: tuple[Path, ...], wallet: str | None, source: str | None) -> None:
    """Give BACKEND a copy of another backend's wallet file, through the running gateway."""
    _order(files, wallet, "reinit", backend, *([source] if source is not None else []))


@click.command()
@click.argument("key", required=False)
@CONFIG
@WALLET
@click.option("--client", help="Name of the client whose key it is.")
@click.option("--abandon", is_flag=True, help="Give the key up: its coins are released, it never signs again.")
def outcome(files: tuple[Path, ...], key: str | None, wallet: str | None, client: str | None, *, abandon: bool) -> None:
    """List payments whose outcome is not known; or tell of one KEY (its text, its hash or a txid)."""
    if abandon and key is None:
        raise click.UsageError("name the key to give up")
    if key is not None and not _is_text(key):
        raise click.UsageError("this KEY is no text in UTF-8; copy it from `ec-gateway outcome`, or name its txid")
    settings, path = configured(files)
    if key is None:
        with told(), reading(path) as connection:
            _see_names(connection, settings, wallet, client)
            lines = list(_open_outcomes(connection, wallet, client))
        click.echo("\n".join(lines) or "nothing is open")
        return

    def found(connection: Connection) -> list[Story]:
        _see_names(connection, settings, wallet, client)
        stories = outcomes.find(connection, key, wallet, client, _hashed(settings, key))
        if not stories:
            why = "an outcome without a key is listed by `ec-gateway outcome`"
            raise LedgerError(f"no client ever used the key {key} here; {why}")
        return stories

    if abandon:
        with told(), closing(open_beside(path)) as opened:
            click.echo(_abandoned(opened, key, found))
        return
    with told(), reading(path) as connection:
        stories = found(connection)
    click.echo("\n".join(map(_line, stories)))


ledger.add_command(cli_backup.backup)
ledger.add_command(cli_backup.restore)

COMMANDS: tuple[click.Command, ...] = (ledger, promote, reinit, outcome)


# -- orders to the running gateway ----------------------------------------------------------------------------


def _order(files: tuple[Path, ...], wallet: str | None, verb: str, *backends: str) -> None:
    """Place an order, wait for its answer and tell it."""
    settings, path = configured(files)
    name = _one_wallet(settings, wallet)
    known = [backend.name for backend in settings.wallets[name].backends]
    for one in backends:
        if one not in known:
            raise click.UsageError(f"{name} has no backend {_shown(one)}; there are {', '.join(known)}")
    with told(), closing(open_beside(path)) as opened:
        if not _is_held(path):
            raise LedgerError(f"no gateway has {path} open; start it (`ec-gateway run`), then give the order again")
        number = opened.transact(
            lambda connection: orders.place(connection, name, verb, " ".join(backends), time.time())
        )
        answer = orders.wait_for_answer(opened, number, patience=orders.PATIENCE)
        if answer.state == orders.TAKEN:
            raise LedgerError(f"the gateway is still at it after {orders.PATIENCE:g} s; see its log for how it ends")
        if answer.state != orders.DONE:
            raise LedgerError(answer.answer)
    click.echo(answer.answer)


def _one_wallet(settings: Settings, wallet: str | None) -> str:
    known = ", ".join(settings.wallets)
    if wallet is None and len(settings.wallets) > 1:
        raise click.UsageError(f"name the wallet by --wallet; there are {known}")
    if wallet is not None and wallet not in settings.wallets:
        raise click.UsageError(f"there is no wallet {_shown(wallet)}; there are {known}")
    return wallet or next(iter(settings.wallets))


def _is_held(path: Path) -> bool:
    """Return whether a gateway has a ledger open."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


# -- outcomes -------------------------------------------------------------------------------------------------


def _open_outcomes(connection: Connection, wallet: str | None, client: str | None) -> Iterator[str]:
    """Yield a line for each call, broadcast and key that is not settled."""
    for row in outcomes.unknown_intents(connection, wallet):
        if client in (None, row.client):
            where = f" on {row.backend} (request {row.request})" if row.backend else ""
            note = f"; {row.note}" if row.note else ""
            yield f"call {row.id}: {row.method} of {row.client} in {row.wallet}, {_when(row.opened_at)}{where}{note}"
    for row in outcomes.unknown_publications(connection, wallet):
        if client in (None, row.client):
            tries = f"sent {row.tries} times, last {_when(row.last_at)}"
            yield f"broadcast {row.txid} of {row.client} in {row.wallet}, {_when(row.first_at)}; {tries}"
    yield from map(_line, outcomes.open_keys(connection, wallet, client))


def _see_names(connection: Connection, settings: Settings, wallet: str | None, client: str | None) -> None:
    """Raise UsageError for a wallet or a client that neither the configuration nor the ledger knows."""
    for what, name, known in (
        ("wallet", wallet, {*settings.wallets, *names.known_wallets(connection)}),
        ("client", client, {*_clients(settings), *names.known_clients(connection)}),
    ):
        if name is not None and name not in known:
            raise click.UsageError(f"there is no {what} {_shown(name)}; there are {', '.join(sorted(known))}")


def _clients(settings: Settings) -> list[str]:
    return list(names.configured_clients([one.name for one in settings.clients], anonymous=settings.anonymous))


def _is_text(word: str) -> bool:
    """Whether a word of the command line was text in UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(word: str) -> str:
    return word if _is_text(word) else ascii(word)


def _line(story: Story) -> str:
    """Tell of one key."""
    name = story.key if story.key is not None else f"(hash {story.key_hash})"
    sent = f"broadcast {story.broadcast}" if story.broadcast else "never broadcast through this gateway"
    held = f"; holds {story.coins} coins, {story.held / 100_000_000:.8f} BCH" if story.coins else ""
    txid = f", txid {story.txid}" if story.txid else ""
    what = f"{story.method} of {story.client} in {story.wallet}, {_when(story.opened_at)}"
    return f"key {name}: {story.state} since {_when(story.updated_at)}, {sent}{txid}{held}; {what}"


def _hashed(settings: Settings, key: str) -> str:
    """Return the hash that is left of a key whose text is gone, "" where its secret cannot be read here."""
    with suppress(LedgerError):
        secret = read_key(key_path(settings.ledger)) if settings.ledger else None
        return "" if secret is None else hash_of(secret, key)
    return ""


def _abandoned(opened: InlineLedger, key: str, found: Callable[[Connection], list[Story]]) -> str:
    """Give a key up and say so.  Raises LedgerError where that is not right."""

    def work(connection: Connection) -> str:
        stories = found(connection)
        if len(stories) > 1:
            whose = ", ".join(f"--wallet {story.wallet} --client {story.client}" for story in stories)
            raise LedgerError(f"{len(stories)} keys are called so; say which: {whose}")
        try:
            coins = outcomes.abandon(connection, stories[0], time.time())
        except CannotAbandonError as error:
            raise LedgerError(f"the key {key} cannot be given up: {error}") from None
        return f"the key {key} is given up; {coins} coins are released, and it never signs again"

    return opened.transact(work)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
