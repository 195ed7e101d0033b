"""The command line.

Rule: a mistake is told in one line with its remedy and an exit code, never in a traceback.
Exit codes: 0 done, 1 the configuration or the start failed, 2 the command line was wrong.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from gateway import __version__
from gateway.base.errors import ConfigError

FILES = click.Path(path_type=Path)


ELSEWHERE = {
    # the engine of the ledger takes 12 MiB, which a running gateway without one does not spend
    **dict.fromkeys(("ledger", "promote", "reinit", "outcome"), "gateway.cli_ledger"),
    # `status --ready` is a container's health check: it starts every few seconds and needs none of the rooms
    **dict.fromkeys(("drain", "undrain", "restart", "hold", "release", "handover", "status"), "gateway.cli_care"),
    # what sends alerts is needed by few commands
    "alert-test": "gateway.cli_alerts",
    # reads the ledger where no gateway answers
    "report": "gateway.cli_report",
    "hash-password": "gateway.cli_admin",
}
"""Commands that are imported when they are asked for, and the room whose COMMANDS they are among."""


class _Commands(click.Group):
    """The commands, also those that are elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ELSEWHERE:
            commands: tuple[click.Command, ...] = import_module(ELSEWHERE[cmd_name]).COMMANDS
            return next(command for command in commands if command.name == cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ec-gateway")
def main() -> None:
    """A high-availability JSON-RPC gateway in front of Electron Cash wallet daemons."""


@main.command()
@click.option(
    "-c", "--config", "files", type=FILES, multiple=True, required=True, help="File; several merge, later ones win."
)
def run(files: tuple[Path, ...]) -> None:
    """Run the gateway until it is told to stop."""
    from gateway import app  # noqa: PLC0415 - only this command needs all rooms

    try:
        code = app.run(list(files))
    except ConfigError as error:
        _tell(error)
        code = 1
    except app.StartError as error:
        click.echo(str(error), err=True)
        code = 1
    sys.exit(code)


@main.command()
@click.argument("files", type=FILES, nargs=-1)
@click.option("--schema", "show_schema", is_flag=True, help="Print the JSON Schema for editors.")
def check(files: tuple[Path, ...], *, show_schema: bool) -> None:
    """Check configuration files (several merge, as with run) and say everything that is wrong with them."""
    from gateway.base.loader import load, warnings  # noqa: PLC0415 - takes half a second; see ELSEWHERE
    from gateway.base.schema import schema  # noqa: PLC0415 - the same

    if show_schema:
        click.echo(json.dumps(schema(), indent=2))
        return
    if not files:
        raise click.UsageError("name the files to check, or --schema")
    from gateway import app  # noqa: PLC0415 - profiles and certificates are read by the root
    from gateway.watch import check_sinks  # noqa: PLC0415 - the same

    try:
        settings = load(list(files), os.environ)
        app.check_profiles(settings)
        app.check_certificates(settings)
        app.check_launchers(settings)
        check_sinks(settings)
        app.check_ledger(settings)
        if missing := app.look_at_launchers(settings):
            raise ConfigError(missing)  # noqa: TRY301 - told as all other mistakes are
    except ConfigError as error:
        _tell(error)
        sys.exit(1)
    for warning in warnings(settings):
        click.echo(f"warning: {warning}", err=True)
    for name, wallet in settings.wallets.items():
        backends = ", ".join(backend.name for backend in wallet.backends)
        click.echo(f"wallet {name} ({wallet.profile}): {backends}; primary {wallet.primary_name}")
    click.echo("ok")


@main.command()
@click.option("--wallets", default=3, show_default=True, type=click.IntRange(1, 9), help="Wallet daemons to start.")
@click.option("--port", default=7777, show_default=True, type=click.IntRange(0, 65535), help="Port for calls.")
@click.option(
    "--admin-port", default=7780, show_default=True, type=click.IntRange(0, 65535), help="Port for operators."
)
@click.option("--shop-port", default=7781, show_default=True, type=click.IntRange(0, 65535), help="Port of the shop.")
def sandbox(wallets: int, port: int, admin_port: int, shop_port: int) -> None:
    """Run the gateway with sandbox wallets behind it: invented coins, real behaviour."""
    from gateway import app, demo  # noqa: PLC0415 - only this command needs all rooms

    try:
        code = demo.run(wallets, port, admin_port, shop_port)
    except app.StartError as error:
        click.echo(f"{error}; --port, --admin-port and --shop-port take other ones, 0 a free one", err=True)
        code = 1
    sys.exit(code)


def _tell(error: ConfigError) -> None:
    for problem in error.problems:
        click.echo(str(problem), err=True)
    count = len(error.problems)
    click.echo(f"{count} problem{'' if count == 1 else 's'}", err=True)
