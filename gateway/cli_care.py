"""The commands for the daemons of a running gateway: how they stand, and orders for them.

Rule: as in `cli`: one line with a remedy and an exit code, never a traceback.  `status --ready` is a container's health
check, so none of the gateway's rooms is imported here.
Exit codes: 0 done; 1 refused, failed or not ready; 2 the command line, or a file that it names, is wrong; 3 the
gateway cannot be reached.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from gateway import cli_status
from gateway.cli_door import DEFAULT_URL, ELSEWHERE, Door, RefusedError, UnreachableError, door_of

POLL = 0.5
"""Seconds between two looks while a restart is followed."""

WAIT = 900.0
"""Seconds that a restart is followed; the limits of its steps come to less than that."""

CLEAR = "\033[H\033[2J"
"""Empties a terminal."""

UNREACHABLE = 3


FILES = click.option(
    "-c", "--config", "files", type=click.Path(path_type=Path), multiple=True,
    help="File of the gateway, to read address and token from; several merge, later ones win.",
)  # fmt: skip
URL = click.option(
    "--url", help=f"The operators' door; else that of -c FILE, else $ECGW_ADMIN_URL, else {DEFAULT_URL}."
)
TOKEN = click.option(
    "--token-file", type=click.Path(path_type=Path),
    help="File with the token of the operators' door; else that of -c FILE, else $ECGW_TOKEN_FILE.",
)  # fmt: skip
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the gateway answered, as JSON.")
WALLET = click.option("--wallet", help="Name of the wallet; needed where there are several.")
REASON = click.option("--reason", default="", help="Why; goes into the gateway's log.")
CODES = "Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong, 3 the gateway cannot be reached."


def _order(verb: str, text: str) -> click.Command:
    """Make the command of one order."""

    @click.command(verb, help=text, epilog=CODES)
    @click.argument("backend")
    @WALLET
    @REASON
    @FILES
    @URL
    @TOKEN
    @AS_JSON
    def command(
        backend: str, wallet: str | None, reason: str, files: tuple[Path, ...], url: str | None,
        token_file: Path | None, *, as_json: bool,
    ) -> None:  # fmt: skip
        door = door_of(files, url, token_file, for_order=True)
        with _told():
            _tell(door.order(_one_wallet(door, wallet), backend, verb, reason), as_json=as_json)

    return command


drain = _order("drain", "Give BACKEND no more calls; those under way finish.")
undrain = _order("undrain", "Give BACKEND calls again.")
hold = _order("hold", "Let the gateway neither restart BACKEND nor load its wallet by itself, until it is released.")
release = _order("release", "Let the gateway restart BACKEND, and load its wallet, by itself again.")


@click.command(epilog=CODES)
@click.argument("backend")
@WALLET
@REASON
@click.option("--wait", is_flag=True, help="Follow it until the daemon is READY again, or has failed.")
@click.option("--timeout", default=WAIT, show_default=True, type=click.FloatRange(min=1), help="Seconds to follow it.")
@FILES
@URL
@TOKEN
@AS_JSON
def restart(
    backend: str, wallet: str | None, reason: str, files: tuple[Path, ...], url: str | None,
    token_file: Path | None, *, wait: bool, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Stop BACKEND in the right way and start it again, one at a time in a wallet."""
    door = door_of(files, url, token_file, for_order=True)
    with _told():
        name = _one_wallet(door, wallet)
        began = time.monotonic()
        _tell(door.order(name, backend, "restart", reason), as_json=as_json)
        if not wait:
            return
        for line in follow(door.status, name, backend, began=began, timeout=timeout):
            click.echo(line, err=as_json)


@click.command(epilog=CODES.replace("refused or failed", "not ready"))
@click.option("--ready", is_flag=True, help="Only say whether every wallet can take calls, by the exit code.")
@click.option("--watch", is_flag=True, help="Show it anew until Ctrl-C.")
@click.option(
    "--interval", default=1.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds between two looks."
)
@FILES
@URL
@TOKEN
@AS_JSON
def status(
    files: tuple[Path, ...], url: str | None, token_file: Path | None, *, ready: bool, watch: bool, interval: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how the wallets and their daemons stand; takes a token only where the gateway asks who looks."""
    door = door_of(files, url, token_file, for_order=False)

    def shown() -> bool:
        is_well, found = _readiness(door) if ready else (True, door.status())
        words = cli_status.ready if ready else cli_status.table
        click.echo(json.dumps(found) if as_json else "\n".join(words(found)))
        return is_well

    if watch:
        with suppress(KeyboardInterrupt):
            _watch(shown, interval)
        return
    with _told():
        if not shown():
            sys.exit(1)


@click.command(epilog=CODES)
@WALLET
@REASON
@FILES
@URL
@TOKEN
@AS_JSON
def handover(
    wallet: str | None, reason: str, files: tuple[Path, ...], url: str | None, token_file: Path | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Let another gateway have the wallet: calls under way finish, new ones wait and go there."""
    door = door_of(files, url, token_file, for_order=True)
    with _told():
        _tell(door.handover(_one_wallet(door, wallet), reason), as_json=as_json)


COMMANDS: tuple[click.Command, ...] = (drain, undrain, restart, hold, release, handover, status)


# -- following a restart ------------------------------------------------------------------------------------------


def follow(
    look: Callable[[], dict[str, Any]],
    wallet: str,
    backend: str,
    *,
    began: float,
    timeout: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Yield a line for each change until a backend that was ordered to restart is READY again.

    A gateway that cannot be reached in between may be restarting itself; it is asked again.

    Args:
        look: returns the status of all wallets.
        began: when the order was given, in seconds of `now`.
        timeout: seconds.

    Raises:
        RefusedError: it has failed, also before anything was stopped, is gone from the settings, or is not READY in
            time.
    """
    last = ""
    while True:
        try:
            found = cli_status.backend_of(look(), wallet, backend)
        except UnreachableError:
            line, phase = "the gateway does not answer", ""
        else:
            if found is None:
                raise RefusedError(f"{wallet} has no {backend} any more; somebody changed the settings")
            phase, line = str(found.get("phase")), f"{cli_status.state(found)}; {cli_status.condition(found)}"
            # the phase began after the order, so it is not the one from before; and the order waits no more
            is_new = float(found.get("for_seconds", 0.0)) < now() - began
            # also one that came round by itself meanwhile: nobody has restarted it
            if phase in ("READY", "WARMING") and (why := _why_called_off(found, now() - began)):
                raise RefusedError(f"{backend} could not be restarted, and serves on: {why}")
            if phase == "READY" and is_new and not found.get("ordered"):
                yield f"{backend} is READY again after {cli_status.duration(now() - began)}"
                return
        if phase == "FAILED":
            raise RefusedError(f"{backend} has FAILED: {line}; docs/operating.md says what to do")
        if line != last:
            yield f"{cli_status.duration(now() - began)}: {line}"
            last = line
        if now() - began >= timeout:
            raise RefusedError(f"{backend} is not READY after {timeout:g} s: {line}; the gateway goes on with it")
        sleep(POLL)


def _why_called_off(found: dict[str, Any], seconds: float) -> str:
    """Return why a restart failed within so many seconds that nobody tries again: of a daemon that serves on."""
    failure = found.get("failure")
    if not failure or found.get("ordered") or found.get("step") or float(failure["seconds_ago"]) >= seconds:
        return ""
    return cli_status.clean(failure["reason"])


def _watch(shown: Callable[[], object], interval: float) -> None:
    """Show something again and again; a gateway that cannot be reached is no reason to end."""
    while True:
        if sys.stdout.isatty():
            click.echo(CLEAR, nl=False)
        try:
            shown()
        except (RefusedError, UnreachableError) as error:
            click.echo(str(error))
        time.sleep(interval)


def _readiness(door: Door) -> tuple[bool, dict[str, Any]]:
    """Return whether the gateway is ready, and why not.  Raises UnreachableError."""
    code, found = door.ask("GET", "/readyz")
    if "ready" not in found:
        raise UnreachableError(f"{door.url} does not say whether it is ready (HTTP {code}); {ELSEWHERE}")
    return code == 200, found


def _one_wallet(door: Door, wallet: str | None) -> str:
    """Return which wallet is meant.  Raises RefusedError, UnreachableError."""
    if wallet is not None:
        return wallet
    names = list(door.status().get("wallets", {}))
    if len(names) != 1:
        raise click.UsageError(f"name the wallet by --wallet; there are {', '.join(names)}")
    return str(names[0])


# -- what is told -------------------------------------------------------------------------------------------------


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    click.echo(json.dumps(found) if as_json else cli_status.clean(found.get("answer", "done")))


@contextmanager
def _told() -> Iterator[None]:
    """Tell what could not be done in one line, and end the command."""
    try:
        yield
    except RefusedError as error:
        click.echo(cli_status.clean(error), err=True)
        sys.exit(1)
    except UnreachableError as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)
