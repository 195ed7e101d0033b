"""`make sandbox`: the whole gateway with sandbox wallets behind it, switches for them, a shop, and what to try.

Rule: whatever it starts it also stops, and everything it shows says that the coins are not real.  The gateway cares for
the wallets as it does elsewhere: it is their launcher that starts again what hangs or died, and nothing else.
"""

import asyncio
import os
import secrets
import shlex
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from pydantic import SecretStr

from gateway import app
from gateway.base.care import Alerts, Launcher, Preventive, Restart
from gateway.base.cluster import Ledger
from gateway.base.config import Admin, Backend, Client, Health, Listen, Log, Settings, Wallet
from gateway.base.effects import GRANTABLE
from gateway.base.errors import OrderError
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.switches import NAMES, Handle, SwitchError, Switches
from gateway.upstream.launchers.children import identity_in, is_alive
from gateway.upstream.launchers.process import memory_of
from gateway.upstream.launchers.tether import identity

USER = "user"
PASSWORD = "sandbox"  # noqa: S105 - a password to nothing, shown on the screen

SHOP_USER = "shop"

LEAKED = 256 * 1024 * 1024
"""Bytes at which a wallet that leaks is restarted: soon enough to be watched, and no burden for a laptop."""

WALLET = "main"


class OpenSwitches(Switches):
    """The switches as the operators' door knows them: what cannot be done is an OrderError."""

    async def flip(self, backend: str, name: str, on: bool) -> str:  # noqa: FBT001 - as there
        """Throw one switch.  Raises OrderError."""
        try:
            return await super().flip(backend, name, on)
        except SwitchError as error:
            raise OrderError(str(error)) from None


def run(wallets: int, port: int, admin_port: int, shop_port: int) -> int:
    """Run until it is told to stop; return the exit code.  Raises StartError."""
    inner = secrets.token_urlsafe(16)
    with ExitStack() as stack:
        shop = stack.enter_context(_shop_socket(shop_port))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ec-gateway-sandbox-")))
        fleet = stack.enter_context(Fleet(wallets, folder, user=USER, password=inner))
        outputs = [folder / f"ec-{number + 1}.log" for number in range(wallets)]
        for number, output in enumerate(outputs):
            _let_adopt(fleet.pid(number), _pid_file(output))
        for_shop = secrets.token_urlsafe(16)
        settings = _settings(fleet, inner, for_shop, outputs, port, admin_port, folder / "ledger.db")
        switches = _switches(fleet, outputs, shop.getsockname()[1])

        def welcome(started: app.App) -> None:
            if started.admin.api is not None:
                started.admin.api.switches = switches
            _open_shop(fleet, shop, for_shop, started.rpc.port, started.admin.port)
            text = _welcome(fleet, started.rpc.port, started.admin.port, switches.shop_port)
            with suppress(OSError):  # nobody reads it any more; the wallets and the gateway go on
                print(text, flush=True)  # noqa: T201 - this is for the person at the screen

        return app.run_settings(settings, started=welcome)


def _settings(
    fleet: Fleet, inner: str, for_shop: str, outputs: list[Path], port: int, admin_port: int, ledger: Path
) -> Settings:
    leaked = LEAKED / _memory()
    return Settings(
        listen=Listen(port=port),
        admin=Admin(port=admin_port, open=True),
        clients=(
            Client(name="visitor", username=USER, password=SecretStr(PASSWORD), effects=GRANTABLE),
            Client(name="shop", username=SHOP_USER, password=SecretStr(for_shop)),
        ),
        wallets={
            WALLET: Wallet(
                backends=tuple(
                    Backend(
                        name=f"ec-{number + 1}",
                        url=fleet.url(number),
                        username=USER,
                        password=SecretStr(inner),
                        launcher=_launcher(fleet, number, output),
                    )
                    for number, output in enumerate(outputs)
                ),
                preventive=Preventive(memory_share=leaked),
            )
        },
        ledger=Ledger(path=str(ledger), may_be_lost=True),
        health=Health(slow_start=5.0),
        # a visitor plays more in a quarter of an hour than a daemon ails in a year
        restart=Restart(backoff=2.0, backoff_max=10.0, healthy_after=30.0, max_per_hour=1000, adrift_after=15.0),
        alerts=Alerts(memory_share=leaked * 0.8),
        log=Log(format="console"),
        sandbox=True,
    )


def _launcher(fleet: Fleet, number: int, output: Path) -> Launcher:
    return Launcher.model_validate(
        {
            "kind": "process",
            "command": fleet.command(number),
            "output": str(output),
            "env": fleet.variables,
            "die_with_gateway": True,
        }
    )


def _pid_file(output: Path) -> Path:
    """Where the launcher looks for who runs."""
    return Path(f"{output}.pid")


def _let_adopt(pid: int, file: Path) -> None:
    """Tell the launcher of a daemon that the fleet has started: all at once, which is quicker than one by one.

    The fleet stays its parent, and takes note of its end when the sandbox ends.
    """
    file.touch(mode=0o600)
    file.write_text(f"{identity(pid)}\n", encoding="ascii")


def _switches(fleet: Fleet, outputs: list[Path], shop_port: int) -> OpenSwitches:
    def running(output: Path) -> int | None:
        who = identity_in(_pid_file(output))
        return int(who.split()[1]) if is_alive(who) else None

    handles = [
        Handle(f"ec-{n + 1}", fleet.port(n), fleet.control_port(n), lambda output=output: running(output))  # type: ignore[misc]  # mypy has no type for a bound default
        for n, output in enumerate(outputs)
    ]
    return OpenSwitches(WALLET, handles, shop_port=shop_port)


def _memory() -> int:
    """Bytes of which the gateway counts shares: those of this machine, or of the container which we are in."""
    found = asyncio.run(memory_of(os.getpid()))
    return max(found.limit if found else 0, LEAKED)


def _shop_socket(port: int) -> socket.socket:
    """Listen for the shop before anything is started, so that a port that is taken is told at once."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise app.StartError(
            f"shop: 127.0.0.1:{port} cannot be listened on ({why}); stop whoever listens there"
        ) from error


def _open_shop(fleet: Fleet, door: socket.socket, password: str, port: int, admin_port: int) -> None:
    arguments = [
        f"--fd={door.fileno()}",
        f"--gateway=http://127.0.0.1:{port}/",
        f"--chain={fleet.chain_port}",
        f"--status-port={admin_port}",
        f"--user={SHOP_USER}",
    ]
    fleet.start_beside("gateway.sandbox.shop", arguments, {"SHOP_PASSWORD": password}, pass_fds=[door.fileno()])


def _welcome(fleet: Fleet, port: int, admin_port: int, shop_port: int) -> str:
    def curl(method: str, more: str = "") -> str:
        body = f'{{"jsonrpc": "2.0", "id": 1, "method": "{method}", "params": []}}'
        return f"curl -s{more} -u {USER}:{PASSWORD} http://127.0.0.1:{port}/ -d '{body}'"

    def throw(switch: str) -> str:
        url = f"http://127.0.0.1:{admin_port}/api/v1/sandbox/ec-1/{switch}"
        return f"curl -s -H 'Content-Type: application/json' {url} -d '{{\"on\": true}}'"

    tell = f"{shlex.quote(sys.executable)} -m gateway.sandbox tell {fleet.control_port(0)}"
    rows = "\n".join(
        f"    ec-{n + 1}   pid {fleet.pid(n)}   {fleet.url(n)}   switches at port {fleet.control_port(n)}"
        for n in range(len(fleet))
    )
    return f"""
==============================  SANDBOX  ==============================
  Invented coins, real behaviour.  Nothing here is worth anything.

  status page    http://127.0.0.1:{admin_port}/        freeze, kill or wedge a wallet by a button and watch it heal
  shop           http://127.0.0.1:{shop_port}/        sells meanwhile; let its automatic customer in
  calls          http://127.0.0.1:{port}/        (user {USER}, password {PASSWORD})
  operators      http://127.0.0.1:{admin_port}/readyz   /livez   /metrics   /api/v1/status
  wallets
{rows}

  try it (X-Sandbox in the head of each answer says what this is):
    {curl("getbalance", "i")}
    {curl("createnewaddress")}

  see how the gateway sees its wallets:
    {curl("gateway.status")}

  freeze the primary and keep calling: the gateway goes around it, ends it and starts it anew, as the lines below tell
    kill -STOP {fleet.pid(0)}
    {curl("getbalance")}

  the same by the switches of the status page: {", ".join(NAMES)}
    {throw("freeze")}
    {throw("heal")}

  more of them at a wallet's own port, such as behind value=BLOCKS, silent_chain, wrong_balance, unload; heal ends
  them (a wallet that unload took comes back by load_wallet); docs/sandbox.md says what each does:
    {tell} slow value=3
    {tell} heal

  Ctrl-C stops everything.
=======================================================================
"""
