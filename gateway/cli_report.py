"""The command that tells an operator each day how it was, how it stands, and what is left to do.

Rule: it asks the running gateway, and reads the ledger itself where none answers; it changes nothing, and what it could
not look at stands in the report.
Exit codes: 0 the report was made, 1 it could not be, 2 the command line was wrong.
"""

import csv
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from gateway.base.moments import MomentError, read_moment
from gateway.cli_checklist import CSV_COLUMNS, as_json, as_rows, lines
from gateway.cli_door import DEFAULT_URL, Door, RefusedError, UnreachableError, door_of
from gateway.cli_todo import Found
from gateway.rules import availability, telling
from gateway.rules.telling import defused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.base.cluster import Ledger
    from gateway.base.config import Settings

MOST = 1000
"""Rows of each kind, availability left out: a gateway gives of that as many as it may."""

UNREAD = "the ledger cannot be read"

NO_LEDGER = "this configuration has no ledger"

BY_URL = "name the configuration by -c FILE, so that the ledger can be read"


@click.command(epilog="Exit codes: 0 the report was made, 1 it could not be, 2 the command line is wrong.")
@click.option(
    "-c", "--config", "files", type=click.Path(path_type=Path), multiple=True,
    help="File of the gateway, to find its door and its ledger by; several merge, later ones win.",
)  # fmt: skip
@click.option("--url", help=f"The operators' door; else that of -c FILE, else $ECGW_ADMIN_URL, else {DEFAULT_URL}.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with a token, where the door asks for one.")
@click.option("--since", default="30d", show_default=True, help="From when: 30d, 12h, a date, or seconds since 1970.")
@click.option(
    "--format", "shape", type=click.Choice(("text", "json", "csv")), default="text", show_default=True,
    help="For a person, for a program, for a spreadsheet.",
)  # fmt: skip
def report(files: tuple[Path, ...], url: str | None, token_file: Path | None, since: str, shape: str) -> None:
    """Tell how it was, how it stands and what is left to do: the daily check list."""
    at = time.time()
    try:
        begin = read_moment(since, at)
    except MomentError as error:
        raise click.UsageError(f"--since {since!r} is no moment; {error}") from None
    door = door_of(files, url, token_file, for_order=False)
    try:
        found = _from_door(door, begin, at)
    except UnreachableError as error:
        if not files:
            click.echo(f"{error}; {BY_URL}", err=True)
            sys.exit(1)
        found = _from_ledger(files, begin, at, str(error))
    except RefusedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    else:
        found = _looked_through(files, found)
    click.echo(SHAPES[shape](found))


COMMANDS: tuple[click.Command, ...] = (report,)


# -- the running gateway --------------------------------------------------------------------------------------


def _from_door(door: Door, since: float, at: float) -> Found:
    """Ask a gateway.  Raises UnreachableError, RefusedError."""
    status = door.status()
    limits = {name: "" if name == "availability" else f"&limit={MOST}" for name in telling.COLUMNS}
    answers = {name: _asked(door, f"/api/v1/{name}?since={since:.3f}{limit}") for name, limit in limits.items()}
    outcomes = _asked(door, "/api/v1/outcomes", is_told=True)
    is_unread = "unread" in outcomes or any(one.get("incomplete_because") == "unread" for one in answers.values())
    wallets: Mapping[str, Any] = status.get("wallets", {})
    days = answers["availability"].get("availability", [])
    return Found(
        since=since,
        at=at,
        source=f"the gateway at {door.url}",
        whole=_summed(days),
        days=days,
        incidents=answers["incidents"].get("incidents", []),
        restarts=answers["restarts"].get("restarts", []),
        orders=answers["audit"].get("audit", []),
        outcomes=outcomes.get("outcomes"),
        unread=UNREAD if is_unread else "",
        cut=str(answers["availability"].get("first_day", "")),
        more={
            name: telling.until(name, answer[name])
            for name, answer in answers.items()
            if name in telling.BEGINS and answer.get("more") and answer.get(name)
        },
        alerts=status.get("alerts"),
        not_ready={name: one.get("not_ready", ()) for name, one in wallets.items()},
        standing=[
            (name, str(backend.get("name")), verb)
            for name, one in wallets.items()
            for backend in one.get("backends", ())
            for verb, is_on in (("drain", backend.get("drained")), ("hold", backend.get("held")))
            if is_on
        ],
        unlooked=BY_URL,
        is_complete=all(answer.get("complete", True) for answer in answers.values()),
    )


def _asked(door: Door, path: str, *, is_told: bool = False) -> dict[str, Any]:
    """Ask one thing; a gateway that knows nothing of it answers nothing.  Raises UnreachableError, RefusedError.

    Args:
        is_told: what cannot be read now is told in the report, and does not end it.
    """
    code, found = door.ask("GET", quote(path, safe="/?=&."))
    if code == 200:
        return found
    if code == 404:
        return {"complete": False}
    if code == 503 and is_told:
        return {"unread": True}
    raise RefusedError(str(found.get("detail", f"HTTP {code} for {path}")))


def _looked_through(files: tuple[Path, ...], found: Found) -> Found:
    """Look the ledger through beside the gateway that has it open."""
    if not files:
        return found
    ledger = _settings(files).ledger
    return replace(found, unlooked=NO_LEDGER) if ledger is None else _checked(ledger, found)


def _settings(files: tuple[Path, ...]) -> "Settings":
    """Read the configuration; ends the command where it cannot be read."""
    from gateway.base.errors import ConfigError  # noqa: PLC0415 - only -c needs these, and they take half a second
    from gateway.base.loader import load  # noqa: PLC0415 - the same

    try:
        return load(list(files), os.environ, [])
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)


# -- the ledger -----------------------------------------------------------------------------------------------


def _from_ledger(files: tuple[Path, ...], since: float, at: float, away: str) -> Found:
    """Read the ledger, for no gateway answers; ends the command where it cannot be read."""
    from gateway.cli_common import looked, where  # noqa: PLC0415 - the engine takes half a second
    from gateway.ledger import history, standing, unresolved  # noqa: PLC0415 - as above
    from gateway.ledger.store import LedgerError  # noqa: PLC0415 - as above

    settings = _settings(files)
    ledger = settings.ledger
    if ledger is None:
        click.echo(f"{away}; and {NO_LEDGER} that could be read", err=True)
        sys.exit(1)
    found = Found(since=since, at=at, source=f"the ledger {where(ledger)}", away=away)

    def read(connection: "Connection") -> Found:
        first, last = int(since // availability.DAY), int(at // availability.DAY)
        counts = [(key, count) for _, key, count in history.read_counts(connection, first, last)]
        days = [telling.share(one) for one in availability.shares(counts, at)]
        wanted = (connection, since, at, None, MOST + 1)
        rows = {
            "incidents": [telling.incident(*one, at) for one in history.read_incidents(*wanted)],
            "restarts": [telling.restart(*one, at) for one in history.read_restarts(*wanted)],
            "audit": [telling.order(*one) for one in history.read_orders(*wanted)],
        }
        return replace(
            found,
            whole=_summed(days),
            days=days,
            incidents=rows["incidents"][:MOST],
            restarts=rows["restarts"][:MOST],
            orders=rows["audit"][:MOST],
            more={name: telling.until(name, all_[:MOST]) for name, all_ in rows.items() if len(all_) > MOST},
            outcomes=[asdict(one) for one in unresolved.unresolved(connection, at)],
            standing=[
                (name, one.backend, one.verb) for name in settings.wallets for one in standing.read(connection, name)
            ],
        )

    try:
        return _checked(ledger, looked(ledger, read))
    except LedgerError as error:
        click.echo(f"{away}; and the ledger cannot be read either: {error}", err=True)
        sys.exit(1)


def _checked(ledger: "Ledger", found: Found) -> Found:
    """Look a ledger through."""
    from gateway.cli_common import look_through, looked  # noqa: PLC0415 - as above
    from gateway.ledger import check  # noqa: PLC0415 - as above
    from gateway.ledger.store import LedgerError  # noqa: PLC0415 - as above

    try:
        warnings = look_through(ledger)
        return replace(found, findings=[*warnings, *looked(ledger, check.check)])
    except LedgerError as error:
        return replace(found, unlooked=str(error))


# -- shapes ---------------------------------------------------------------------------------------------------


def _summed(days: Sequence[Mapping[str, Any]]) -> list[telling.Row]:
    """Return the days of each place as one row."""
    shares = [
        availability.Share(
            0, one["wallet"], one["backend"], one["elapsed"], one["watched"], one["available"], one["stood_still"],
            one["not_running"], one["reasons"],
        )
        for one in days
    ]  # fmt: skip
    rows = [telling.share(one) for one in availability.whole(shares)]
    return [{key: value for key, value in row.items() if key != "day"} for row in rows]


def _as_csv(found: Found) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(CSV_COLUMNS)
    writer.writerows([defused(cell) for cell in row] for row in as_rows(found))
    return written.getvalue().rstrip("\r\n")


SHAPES: Mapping[str, Callable[[Found], str]] = {
    "text": lambda found: "\n".join(lines(found)),
    "json": lambda found: json.dumps(as_json(found), indent=2, ensure_ascii=False),
    "csv": _as_csv,
}
