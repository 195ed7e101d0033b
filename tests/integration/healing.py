"""What tests of self-healing do alike: quick settings, a client that reads all the time, a wait for the cure.

Rule: limits are generous and nothing is asserted on how long something took; what was done to a daemon is counted by
whoever runs it, not by what the gateway says of itself.
"""

import base64
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.gateway_process import Gateway, Reads, Settings, settings_for, wait_until

TOKEN = "a-token-of-the-operators-of-32-letters"

PATIENCE = 60.0
"""Seconds for one recovery; it takes some two."""

SATS = 21_000_000

BALANCE = {"confirmed": "0.21"}


def settings(backends: list[dict[str, Any]], ledger: Path) -> Settings:
    """Settings with which restarts follow each other quickly; calls wait only for whom a launcher brings back."""
    return settings_for(
        [],
        wallets={"main": {"backends": backends}},
        admin={"port": 0, "token": TOKEN},
        ledger={"path": str(ledger), "may_be_lost": True},
        restart={"backoff": 0.2, "backoff_max": 1.0, "healthy_after": 0.5, "max_per_hour": 1000},
    )


def begin(gateway: Gateway, fund: Callable[[str], object]) -> None:
    """Wait until everybody has a wallet, let it have coins, and wait until they are seen."""
    gateway.wait_all_well()
    fund(gateway.call("createnewaddress").result)
    wait_until(lambda: gateway.call("getbalance").json.get("result") == BALANCE, "the coins are seen")
    gateway.wait_all_well()


def ask(address: str, port: int, method: str, *params: object) -> Any:
    """Ask a daemon beside the gateway."""
    body = json.dumps({"id": 1, "method": method, "params": params}).encode()
    head = {"Authorization": "Basic " + base64.b64encode(b"user:sandbox").decode()}
    asked = urllib.request.Request(f"http://{address}:{port}", data=body, headers=head)
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - ours
        return json.load(answer)["result"]


def reading(gateway: Gateway) -> Reads:
    """A client that reads all the time, and counts what it was not answered, or answered wrongly."""
    asks: list[tuple[str, tuple[object, ...], object]] = [("getbalance", (), BALANCE)] * 2 + [("ping", (), True)]
    return Reads(gateway, asks, pause=0.05)


def restarts(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """The restarts of a backend that are done."""
    return gateway.events("restart.done", backend=name)


def heal(gateway: Gateway, name: str, harm: AbstractContextManager[None], *causes: str) -> str:
    """Do harm until a backend was restarted, and wait until all are READY and aligned again.

    No read is lost meanwhile, and the restarts of the backend had just these causes.  Returns an address that was given
    out before the harm.
    """
    before, given = len(restarts(gateway, name)), gateway.call("createnewaddress").result
    with reading(gateway) as reads:
        with harm:
            wait_until(lambda: len(restarts(gateway, name)) > before, f"{name} is restarted", PATIENCE)
        gateway.wait_all_well()
        reads.wait_more()
    assert not reads.wrong, reads.wrong
    done = restarts(gateway, name)[before:]
    assert [one["cause"] for one in done] == list(causes), done
    assert all(one["aligned"] and one["synced"] for one in done), done
    return str(given)


@contextmanager
def once(harm: Callable[[], object]) -> Iterator[None]:
    """Do something, once."""
    harm()
    yield


@contextmanager
def stranger(address: str, port: int) -> Iterator[None]:
    """Somebody has a connection open and says nothing, as in the incident: nobody else is served."""
    with socket.create_connection((address, port), timeout=PATIENCE):
        yield
