"""The shop as a process: reads its options, opens its door, sells until it is ended.

The rule: it ends with whoever started it; a socket that listens may be given to it, so that its port is known before.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys

from aiohttp import web

from gateway.sandbox.lines import say
from gateway.sandbox.processes import die_with_parent, report_ready
from gateway.sandbox.shop.books import Books
from gateway.sandbox.shop.business import Business
from gateway.sandbox.shop.door import Door
from gateway.sandbox.shop.till import Till

PASSWORD_VARIABLE = "SHOP_PASSWORD"  # noqa: S105 - the name of a variable, not a password

CHAIN_PATIENCE = 5.0
"""Seconds for the chain, which answers at once while it runs."""


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway.sandbox.shop", description="A shop that sells for invented coins.")
    parser.add_argument("--gateway", required=True, metavar="URL", help="where calls go")
    parser.add_argument("--user", default="user", help=f"for the gateway; the password is in {PASSWORD_VARIABLE}")
    parser.add_argument("--chain", type=int, required=True, metavar="PORT", help="the sandbox's chain")
    parser.add_argument("--status-port", type=int, default=0, metavar="PORT", help="of the gateway's status page")
    parser.add_argument("--port", type=int, default=7781, help="where the shop listens; 0 takes a free one")
    parser.add_argument("--fd", type=int, metavar="N", help="a socket that listens already, instead of --port")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this parent ends")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the shop until it is ended by a signal."""
    parser = _options()
    chosen = parser.parse_args(arguments)
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        parser.error(f"set the variable {PASSWORD_VARIABLE} to the password for the gateway")
    if chosen.die_with_parent:
        die_with_parent(chosen.die_with_parent)
    door = socket.create_server(("127.0.0.1", chosen.port)) if chosen.fd is None else socket.socket(fileno=chosen.fd)
    asyncio.run(_run(chosen, password, door))


async def _run(chosen: argparse.Namespace, password: str, listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    books = Books()
    async with Till(chosen.gateway, chosen.user, password, books, loop.time) as till:
        business = Business(till, books, lambda order: say(chosen.chain, order, CHAIN_PATIENCE), loop.time)
        runner = web.AppRunner(
            Door(business, chosen.status_port).application(), access_log=None, keepalive_timeout=30, shutdown_timeout=1
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            business.open()
            report_ready(port=listening.getsockname()[1])
            await ended.wait()
        finally:
            await business.close()
            await runner.cleanup()


if __name__ == "__main__":
    main(sys.argv[1:])
