"""The commands that look into the ledger, and those that ask the running gateway for something through it.

Rule: as in `cli`: one line with a remedy and an exit code, never a traceback.  What only reads keeps nobody from
writing; an order that no gateway takes is withdrawn and said to be.
Exit codes: 0 done, 1 it could not be done or something is wrong, 2 the command line was wrong.
"""

import getpass
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Connection

from gateway import cli_backup
from gateway.base.config import Settings
from gateway.cli_common import (
    CONFIG,
    beside,
    configured,
    is_held,
    look_through,
    looked,
    take_for_granted,
    told,
    where,
)
from gateway.ledger import check as consistency
from gateway.ledger import export as exporting
from gateway.ledger import history, names, orders, outcomes, retention
from gateway.ledger.key_file import read_key
from gateway.ledger.outcomes import CannotAbandonError, Story
from gateway.ledger.place import key_path
from gateway.ledger.store import LedgerError, Transacting
from gateway.rules.deeds import BY_COMMAND, DONE, Order
from gateway.rules.payment import hash_of

WALLET = click.option("--wallet", help="Name of the wallet; needed where there are several.")


@click.group()
def ledger() -> None:
    """Look after the ledger: what was handed out, signed and paid."""


@ledger.command()
@CONFIG
def check(files: tuple[Path, ...]) -> None:
    """Look whether the ledger agrees with itself; the gateway may be running."""
    settings, ledger = configured(files)
    clients = _clients(settings)
    with told():
        warnings = look_through(ledger)
        findings, gone = looked(
            ledger, lambda c: (consistency.check(c), names.strays(c, clients, settings.wallets, time.time()))
        )
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for stray in gone:
        click.echo(f"warning: {stray}", err=True)
    for finding in findings:
        click.echo(finding, err=True)
    if findings:
        count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
        click.echo(f"{count}; keep a copy of {where(ledger)}", err=True)
        sys.exit(1)
    click.echo("ok")


@ledger.command()
@CONFIG
def export(files: tuple[Path, ...]) -> None:
    """Print the whole ledger as lines of JSON; the gateway may be running.

    It holds signed transactions and what customers paid: keep it like the ledger itself.
    """
    _, ledger = configured(files)

    def write(connection: Connection) -> None:
        # whoever reads it may have enough
        with suppress(BrokenPipeError):
            for line in exporting.lines(connection):
                sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()

    with told():
        looked(ledger, write)


@ledger.command()
@CONFIG
def prune(files: tuple[Path, ...]) -> None:
    """Remove what is older than it has to be kept; the running gateway does it every hour."""
    _, ledger = configured(files)
    total = 0
    with told(), beside(ledger) as opened:
        while done := opened.transact(lambda connection: retention.prune(connection, time.time())):
            total += done
            # the gateway waits for the same ledger
            time.sleep(retention.PAUSE)
    click.echo(f"{total} row{'' if total == 1 else 's'} removed or shortened")


@ledger.command()
@CONFIG
@WALLET
def adopt(files: tuple[Path, ...], wallet: str | None) -> None:
    """Take over a wallet that was used before: its addresses count as given out, its requests become invoices."""
    _, ledger = configured(files)
    with told():
        was_behind = take_for_granted(ledger, time.time())
    if was_behind:
        click.echo(
            "what the database has lost is taken for granted: no address that waited is given out, and no payment is "
            "bound to a key. Restart the gateways, then run this again for each wallet"
        )
        return
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
    settings, ledger = configured(files)
    if key is None:

        def listed(connection: Connection) -> list[str]:
            _see_names(connection, settings, wallet, client)
            return list(_open_outcomes(connection, wallet, client))

        with told():
            lines = looked(ledger, listed)
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
        with told(), beside(ledger) as opened:
            click.echo(_abandoned(opened, key, found))
        return
    with told():
        stories = looked(ledger, found)
    click.echo("\n".join(map(_line, stories)))


ledger.add_command(cli_backup.backup)
ledger.add_command(cli_backup.restore)
ledger.add_command(cli_backup.move)

COMMANDS: tuple[click.Command, ...] = (ledger, promote, reinit, outcome)


# -- orders to the running gateway ----------------------------------------------------------------------------


def _order(files: tuple[Path, ...], wallet: str | None, verb: str, *backends: str) -> None:
    """Place an order, wait for its answer and tell it."""
    settings, ledger = configured(files)
    name = _one_wallet(settings, wallet)
    known = [backend.name for backend in settings.wallets[name].backends]
    for one in backends:
        if one not in known:
            raise click.UsageError(f"{name} has no backend {_shown(one)}; there are {', '.join(known)}")
    with told(), beside(ledger) as opened:
        if not is_held(ledger, opened):
            remedy = "start it (`ec-gateway run`), then give the order again"
            raise LedgerError(f"no gateway has {where(ledger)} open; {remedy}")
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


def _abandoned(opened: Transacting, key: str, found: Callable[[Connection], list[Story]]) -> str:
    """Give a key up and say so.  Raises LedgerError where that is not right."""

    def work(connection: Connection) -> str:
        stories = found(connection)
        if len(stories) > 1:
            whose = ", ".join(f"--wallet {story.wallet} --client {story.client}" for story in stories)
            raise LedgerError(f"{len(stories)} keys are called so; say which: {whose}")
        try:
            coins = outcomes.abandon(connection, stories[0], at := time.time())
        except CannotAbandonError as error:
            raise LedgerError(f"the key {key} cannot be given up: {error}") from None
        history.write_order(connection, _given_up(stories[0], coins, at))
        return f"the key {key} is given up; {coins} coins are released, and it never signs again"

    return opened.transact(work)


def _given_up(story: Story, coins: int, at: float) -> Order:
    """Return the row of the trail for a key that was given up, as the operators' door would write it."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        # in a container whose users nobody has named
        who = ""
    return Order(
        f"command-{secrets.token_hex(8)}", at, who=who, by=BY_COMMAND, peer="", wallet=story.wallet, backend="",
        verb="resolve", reason=f"key-{story.key_hash[:12]}-{story.client} executed=no", outcome=DONE,
        answer=f"a key of {story.client} is given up; {coins} coins are released, and it never signs again",
        done_at=at,
    )  # fmt: skip


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
