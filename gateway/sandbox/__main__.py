"""The command line of the sandbox: run wallets and a chain until told to end, and throw their switches.

The rule: what it prints first is all that is needed to use the wallets; then it is silent.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from gateway.sandbox.fleet import PASSWORD_VARIABLE, Fleet, tell


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 1 where a switch or the chain said no."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "run":
        return _run(chosen.wallets, chosen.directory, chosen.user, load=not chosen.no_load)
    try:
        answer = tell(chosen.port, {"cmd": chosen.cmd, **dict(map(_pair, chosen.arguments))})
    except RuntimeError as refusal:
        _print(f"refused: {refusal}")
        return 1
    _print(json.dumps(answer))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway.sandbox", description="Wallet daemons without real coins.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run wallets on one seed and their chain until Ctrl-C")
    run.add_argument("--wallets", type=int, default=2)
    run.add_argument("--directory", type=Path, help="for wallet files and journals; default: a new one, removed after")
    run.add_argument("--user", default="user", help=f"for Basic authentication; the password is in {PASSWORD_VARIABLE}")
    run.add_argument("--no-load", action="store_true", help="wait to be told to load the wallets, as real ones do")
    one = commands.add_parser("tell", help="tell a control port or the chain something, and print the answer")
    one.add_argument("port", type=int)
    one.add_argument("cmd", help="such as freeze, heal, mine")
    one.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="such as value=3, address=bchreg:... sats=1000")
    return parser


def _run(wallets: int, directory: Path | None, user: str, *, load: bool) -> int:
    password = os.environ.get(PASSWORD_VARIABLE, "sandbox")
    # SIGTERM ends it as Ctrl-C does: in order.
    signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="sandbox-") as fresh:
            place = directory or Path(fresh)
            with Fleet(wallets, place, user=user, password=password, load=load) as fleet:
                _print(f"SANDBOX chain={fleet.chain_port} directory={place}")
                for index in range(wallets):
                    _print(f"wallet={index} url={fleet.url(index)} control={fleet.control_port(index)}")
                while True:
                    signal.pause()
    except KeyboardInterrupt:
        return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _pair(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
