"""`make sandbox`: the whole gateway with sandbox wallets behind it, and what to try with them.

Rule: whatever it starts it also stops, and everything it shows says that the coins are not real.
"""

import secrets
import shlex
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from gateway import app
from gateway.base.cluster import Ledger
from gateway.base.config import Admin, Backend, Client, Health, Listen, Log, Settings, Wallet
from gateway.base.effects import GRANTABLE
from gateway.sandbox.fleet import Fleet

USER = "user"
PASSWORD = "sandbox"  # noqa: S105 - a password to nothing, shown on the screen


def run(wallets: int, port: int, admin_port: int) -> int:
    """Run until it is told to stop; return the exit code."""
    inner = secrets.token_urlsafe(16)
    with (
        tempfile.TemporaryDirectory(prefix="ec-gateway-sandbox-") as folder,
        Fleet(wallets, Path(folder), user=USER, password=inner) as fleet,
    ):
        settings = _settings(fleet, inner, port, admin_port, Path(folder) / "ledger.db")

        def welcome(started: app.App) -> None:
            text = _welcome(fleet, started.rpc.port, started.admin.port)
            with suppress(OSError):  # nobody reads it any more; the wallets and the gateway go on
                print(text, flush=True)  # noqa: T201 - this is for the person at the screen

        return app.run_settings(settings, started=welcome)


def _settings(fleet: Fleet, inner: str, port: int, admin_port: int, ledger: Path) -> Settings:
    return Settings(
        listen=Listen(port=port),
        admin=Admin(port=admin_port),
        clients=(Client(name="visitor", username=USER, password=SecretStr(PASSWORD), effects=GRANTABLE),),
        wallets={
            "main": Wallet(
                backends=tuple(
                    Backend(name=f"ec-{number + 1}", url=fleet.url(number), username=USER, password=SecretStr(inner))
                    for number in range(len(fleet))
                ),
                expect_return=10.0,
            )
        },
        ledger=Ledger(path=str(ledger), may_be_lost=True),
        health=Health(slow_start=5.0),
        log=Log(format="console"),
        sandbox=True,
    )


def _welcome(fleet: Fleet, port: int, admin_port: int) -> str:
    def curl(method: str, more: str = "") -> str:
        body = f'{{"jsonrpc": "2.0", "id": 1, "method": "{method}", "params": []}}'
        return f"curl -s{more} -u {USER}:{PASSWORD} http://127.0.0.1:{port}/ -d '{body}'"

    def tell(number: int) -> str:
        return f"{shlex.quote(sys.executable)} -m gateway.sandbox tell {fleet.control_port(number)}"

    rows = "\n".join(
        f"    ec-{n + 1}   pid {fleet.pid(n)}   {fleet.url(n)}   switches at port {fleet.control_port(n)}"
        for n in range(len(fleet))
    )
    first = fleet.pid(0)
    return f"""
==============================  SANDBOX  ==============================
  Invented coins, real behaviour.  Nothing here is worth anything.

  calls          http://127.0.0.1:{port}/        (user {USER}, password {PASSWORD})
  operators      http://127.0.0.1:{admin_port}/readyz   /livez   /metrics
  wallets
{rows}

  try it (X-Sandbox in the head of each answer says what this is):
    {curl("getbalance", "i")}
    {curl("createnewaddress")}

  see how the gateway sees its wallets:
    {curl("gateway.status")}

  freeze the primary, keep calling, and watch the lines below; then let it go on:
    kill -STOP {first}
    {curl("getbalance")}
    kill -CONT {first}

  other switches: slow value=SECONDS, behind value=BLOCKS, lose_chain, silent_chain, wrong_balance, unload, leak;
  heal ends them (a wallet that unload took comes back by load_wallet); docs/sandbox.md says what each does:
    {tell(0)} slow value=3
    {tell(0)} heal

  Ctrl-C stops everything.
=======================================================================
"""
