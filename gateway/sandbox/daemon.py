"""A sandbox wallet daemon as a process: reads its options, opens its doors, serves until it is stopped or killed.

The rule: no signal is handled; SIGTERM ends it as hard as a kill does, and what was not saved is lost.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from gateway.sandbox.control import ControlServer
from gateway.sandbox.link import SERVER_TIMEOUT, ChainLink
from gateway.sandbox.node import SYNC_DELAY, Node
from gateway.sandbox.processes import die_with_parent, report_ready
from gateway.sandbox.server import WalletServer
from gateway.sandbox.storage import Journal


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway.sandbox.daemon", description="A wallet daemon without real coins.")
    parser.add_argument("--host", default="127.0.0.1", help="where RPC listens; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, required=True, help="RPC port; 0 takes a free one")
    parser.add_argument("--control", type=int, default=0, help="port for switches; 0 takes a free one")
    parser.add_argument("--chain", required=True, metavar="HOST:PORT", help="the chain process")
    parser.add_argument("--data", type=Path, required=True, help="folder for the wallet file")
    parser.add_argument("--seed", required=True, help="any text; equal texts make equal wallets")
    parser.add_argument("--user", required=True, help="name for Basic authentication")
    parser.add_argument("--password-env", required=True, metavar="NAME", help="variable that holds the password")
    parser.add_argument("--journal", type=Path, required=True, help="file for executed calls")
    parser.add_argument("--load", action="store_true", help="load the wallet at once; the real one waits to be told")
    parser.add_argument("--start-delay", type=float, default=0.0, metavar="S", help="seconds before it listens")
    parser.add_argument("--lost", action="store_true", help="never meet the chain, until the switch heal is thrown")
    parser.add_argument("--server-timeout", type=float, default=SERVER_TIMEOUT, metavar="S", help="wait for the chain")
    parser.add_argument(
        "--sync-delay", type=float, default=SYNC_DELAY, metavar="S", help="until a new address is saved"
    )
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this parent ends")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run one daemon."""
    parser = _options()
    chosen = parser.parse_args(arguments)
    password = os.environ.get(chosen.password_env)
    if not password:
        parser.error(f"set the variable {chosen.password_env} to the password")
    host, _, port = chosen.chain.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--chain must be HOST:PORT, got {chosen.chain}")
    if chosen.die_with_parent:
        die_with_parent(chosen.die_with_parent)
    # Python would turn Ctrl-C into an exception inside a call; the real daemon just ends.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    time.sleep(chosen.start_delay)
    link = ChainLink(host, int(port), timeout=chosen.server_timeout, lost=chosen.lost)
    node = Node(chosen.seed, chosen.data, link, sync_delay=chosen.sync_delay)
    control = ControlServer(chosen.control, node)
    server = WalletServer(chosen.port, node, Journal(chosen.journal), chosen.user, password, host=chosen.host)
    if chosen.load:
        node.load()
    control.start()
    report_ready(port=server.port, control=control.port)
    server.run()


if __name__ == "__main__":
    main(sys.argv[1:])
