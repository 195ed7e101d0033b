"""The command that tries the sinks of alerts out.

Rule: as in `cli`: one line for each sink with what happened and what to do, an exit code, never a traceback, and no URL
or secret.
Exit codes: 0 every sink has taken its message, 1 one has not or there is none, 2 the command line was wrong.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.base.care import Sink as SinkSettings
from gateway.base.config import Settings
from gateway.base.errors import ConfigError
from gateway.base.loader import load
from gateway.observe import sinks
from gateway.observe.alerts import trial_message
from gateway.observe.sinks import SinkError
from gateway.rules.kinds import blot


@click.command("alert-test")
@click.option(
    "-c", "--config", "files", type=click.Path(path_type=Path), multiple=True, required=True,
    help="File of the gateway; several merge, later ones win.",
)  # fmt: skip
@click.option("--sink", "name", help="Name of one sink; all of them when left out.")
def alert_test(files: tuple[Path, ...], name: str | None) -> None:
    """Send a test message to every sink of alerts and say what happened."""
    chosen = _chosen(_configured(files), name)
    troubles = asyncio.run(_try_all(chosen))
    for sink, trouble in zip(chosen, troubles, strict=True):
        click.echo(f"{sink.name} ({sink.kind}): {trouble or 'delivered'}", err=bool(trouble))
    sys.exit(1 if any(troubles) else 0)


COMMANDS: tuple[click.Command, ...] = (alert_test,)


def _configured(files: tuple[Path, ...]) -> Settings:
    try:
        return load(list(files), os.environ, [])
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)


def _chosen(settings: Settings, name: str | None) -> Sequence[SinkSettings]:
    """Return the sinks to try; ends the command where there is none."""
    found = settings.alerts.sinks
    if not found:
        click.echo("alerts.sinks: there is none in this configuration, so nobody is told; see docs/alerts.md", err=True)
        sys.exit(1)
    chosen = [sink for sink in found if name in (None, sink.name)]
    if not chosen:
        raise click.UsageError(f"there is no sink {name}; there are {', '.join(sink.name for sink in found)}")
    return chosen


async def _try_all(chosen: Sequence[SinkSettings]) -> list[str]:
    """Try every sink at once; return what went wrong with each, "" where nothing did."""
    return await asyncio.gather(*map(_try, chosen))


async def _try(settings: SinkSettings) -> str:
    findings = await asyncio.to_thread(sinks.check, settings)
    if findings:
        return "; ".join(f"{key} {message}; {remedy}" for key, message, remedy in findings)
    try:
        sink = sinks.build(settings)
        try:
            async with asyncio.timeout(settings.timeout):
                await sink.send(trial_message(socket.gethostname(), time.time()))
        finally:
            await sink.close()
    except SinkError as error:
        return f"not delivered: {blot(error)}"
    except TimeoutError:
        return f"not delivered: nothing has come back within {settings.timeout:g} s; look whether the receiver runs"
    except Exception as error:  # noqa: BLE001 - a package from elsewhere may raise anything, with anything in its text
        return f"not delivered: the sink itself failed ({type(error).__name__}); look at the package that brings it"
    return ""
