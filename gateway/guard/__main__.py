"""The command line of the socket guard: `python -m gateway.guard`.

Rule: it runs until SIGTERM; a mistake is told in one line with its remedy.  Exit codes: 0 done, 1 it cannot listen or
(with --check) does not answer, 2 the command line was wrong.
"""

import argparse
import http.client
import signal
import socket
import sys
from pathlib import Path

from gateway.guard.rules import Label

CHECK_TIMEOUT = 5.0
"""Seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    chosen = _parser().parse_args(arguments)
    if chosen.check:
        return _check(chosen.listen)
    # a check is a container's, every few seconds: it pays for no loop and no HTTP server
    import asyncio  # noqa: PLC0415

    try:
        asyncio.run(_run(chosen.listen, chosen.engine, chosen.label))
    except OSError as error:
        _say(f"cannot listen at {chosen.listen} ({error.strerror}); name a folder that is there and may be written to")
        return 1
    return 0


async def _run(listen: Path, engine: Path, label: Label) -> None:
    import asyncio  # noqa: PLC0415 - see main

    import structlog  # noqa: PLC0415 - see main

    from gateway.guard.door import Door, serve  # noqa: PLC0415 - see main

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
    await serve(Door(listen, engine, label, log=log), stopped)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway.guard", description="Lets a gateway restart its wallets' containers, and nothing else."
    )
    parser.add_argument("--listen", type=Path, default=Path("/run/ecgw/docker.sock"), help="the socket it makes")
    parser.add_argument("--engine", type=Path, default=Path("/var/run/docker.sock"), help="the engine's socket")
    parser.add_argument("--label", type=_label, default=Label("ecgw.wallet"), help="KEY or KEY=VALUE of our containers")
    parser.add_argument("--check", action="store_true", help="ask a running guard whether the engine answers")
    return parser


def _label(text: str) -> Label:
    try:
        return Label.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("guard", timeout=CHECK_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _check(path: Path) -> int:
    """Say whether a guard answers at a path, and its engine behind it."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        _say(f"no guard answers at {path} ({error})")
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        _say(f"the guard answers {answer.status}: {text}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
