"""Two real daemons: Electrum from Debian's package, offline on regtest, one seed, profile electrum."""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.base.jsonrpc import request
from gateway.flow.attempt import classify
from gateway.rules.retry import Sent, Tried
from gateway.sandbox.ports import free_port
from gateway.upstream.wire import Fate, Outcome, Target, Wire
from tests.integration.conftest import ELECTRUM_WAY_OUT
from tests.integration.gateway_process import Gateway, Reads, settings_for, wait_until

SECRETS = ("getseed", "getprivatekeys", "getmasterprivate", "get", "getconfig", "signtransaction_with_privkey", "sweep")

CONTROL = ("stop", "load_wallet", "setconfig", "run_cmdline", "bumpfee", "addtransaction", "changegaplimit", "lnpay")


@dataclass
class Electrum:
    """One daemon with a folder of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> str:
        """Run one command of its command line."""
        asked = ["electrum", "--regtest", "-D", str(self.folder), *words, "--offline"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        return done.stdout

    def start(self) -> None:
        """Start it and load its wallet."""
        # not by its own `-d`: a process of ours is one that we can end
        words = ["electrum", "--regtest", "-D", str(self.folder), "daemon", "--offline"]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._is_up, "electrum answers")
        assert self.rpc("load_wallet") is True

    def _is_up(self) -> bool:
        try:
            return self.rpc("ping") is True
        except OSError:
            return False

    def rpc(self, method: str, *params: object) -> Any:
        """Ask it directly."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        credentials = {"Authorization": "Basic " + base64.b64encode(b"user:electrum").decode()}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body, credentials)
        with urllib.request.urlopen(asked, timeout=10) as reply:  # noqa: S310 - always http on loopback
            return json.load(reply)["result"]

    def receiving(self) -> list[str]:
        """Its receiving addresses, in its own order."""
        found = self.rpc("listaddresses", *(True,))
        assert isinstance(found, list)
        return found

    def signal(self, number: signal.Signals) -> None:
        """Freeze it or let it go on."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it, frozen or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def daemons(folder: Path) -> Iterator[tuple[Electrum, Electrum]]:
    """Two of them on one seed; the second has not derived anything beyond its first addresses."""
    if shutil.which("electrum") is None:
        missing = f"Electrum is not installed; the way out: {ELECTRUM_WAY_OUT}"
        if os.environ.get("ECGW_REQUIRE_REAL") == "1":
            pytest.fail(f"{missing} (ECGW_REQUIRE_REAL=1 wants it)")
        pytest.skip(missing)
    one, other = (Electrum(folder / name, free_port()) for name in ("electrum-1", "electrum-2"))
    one.folder.mkdir()
    seed = json.loads(one.command("create"))["seed"]
    other.folder.mkdir()
    other.command("restore", seed)
    for daemon in (one, other):
        for key, value in (("rpcuser", "user"), ("rpcpassword", "electrum"), ("rpcport", str(daemon.port))):
            daemon.command("setconfig", key, value)
    try:
        for daemon in (one, other):
            daemon.start()
        for _ in range(3):
            one.rpc("createnewaddress")
        yield one, other
    finally:
        for daemon in (one, other):
            daemon.stop()


@pytest.fixture(scope="module")
def shared_electrum(daemons: tuple[Electrum, Electrum], folder: Path) -> Iterator[Gateway]:
    """One gateway in front of both."""
    backends = [
        {"name": f"el-{n}", "url": f"http://127.0.0.1:{daemon.port}", "username": "user", "password": "electrum"}
        for n, daemon in enumerate(daemons, 1)
    ]
    settings = settings_for(backends)
    settings["wallets"]["main"]["profile"] = "electrum"
    with Gateway(folder / "electrum-gateway", settings) as gateway:
        yield gateway


@pytest.fixture
def electrum(shared_electrum: Gateway) -> Gateway:
    """The same, with both daemons well."""
    shared_electrum.wait_all_well()
    return shared_electrum


def test_real_reads_pass_through_to_the_byte(electrum: Gateway, daemons: tuple[Electrum, Electrum]) -> None:
    """What the daemon says is what the client gets."""
    one, _ = daemons
    asks: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("version", ()),
        ("getbalance", ()),
        ("listaddresses", (True,)),
        ("validateaddress", ("nonsense",)),
        ("ismine", (one.rpc("listaddresses")[0],)),
        ("onchain_history", ()),
        ("list_requests", ()),
    )
    for method, params in asks:
        assert electrum.call(method, *params).result == one.rpc(method, *params)


def test_a_real_standby_is_aligned_and_follows(electrum: Gateway, daemons: tuple[Electrum, Electrum]) -> None:
    """It began three addresses short, and gets each one that the primary gives out."""
    one, other = daemons
    given = [electrum.call("createnewaddress").result for _ in range(5)]
    assert len(set(given)) == 5
    electrum.wait_all_well()
    assert one.receiving() == other.receiving()
    assert set(given) <= set(other.receiving())


def test_a_real_frozen_daemon_is_not_noticed(electrum: Gateway, daemons: tuple[Electrum, Electrum]) -> None:
    """SIGSTOP for the primary, then for the standby, under a few reads per second."""
    address = daemons[1].rpc("listaddresses")[0]
    asks = [("ismine", (address,), True), ("version", (), daemons[1].rpc("version")), ("ping", (), True)]
    with Reads(electrum, asks) as reads:
        for number, daemon in enumerate(daemons, 1):
            daemon.signal(signal.SIGSTOP)
            wait_until(lambda n=number: electrum.backend(f"el-{n}")["kind"] == "wedged", "it is seen")  # type: ignore[misc]  # a default binds the number
            reads.wait_more()
            daemon.signal(signal.SIGCONT)
            electrum.wait_all_well()
            reads.wait_more()
    assert reads.wrong == []


async def test_an_unknown_method_is_an_error_page_and_no_answer(daemons: tuple[Electrum, Electrum]) -> None:
    """The profile lets none through, so the wire asks the daemon itself: HTTP 500 in plain text proves nothing."""
    loop = asyncio.get_running_loop()
    wire = Wire(connect=5, write=5, max_head=65536, max_body=65536, resolve_ttl=30)
    target = Target.make(f"http://127.0.0.1:{daemons[0].port}", "user", "electrum", keep_alive=True)
    ended: asyncio.Future[Outcome] = loop.create_future()
    wire.send(target, request("g1", "nosuchmethod", b"[]"), whole=10, reuse=False, on_end=ended.set_result)
    outcome = await ended
    await wire.close()
    assert (outcome.fate, outcome.status) == (Fate.ANSWERED, 500)
    assert classify(outcome, "g1") == Tried(Sent.UNKNOWN, "status_500")


def test_what_the_profile_does_not_know_is_refused(electrum: Gateway) -> None:
    """With the way to allow it, and without a byte to the daemon."""
    found = electrum.call("nosuchmethod").error
    assert (found["code"], found["data"]["executed"]) == (-32005, "no")
    assert "nosuchmethod" in found["message"]


def test_real_errors_pass_through(electrum: Gateway, daemons: tuple[Electrum, Electrum]) -> None:
    """The daemon's own error object, code and words."""
    found = electrum.call("getaddressbalance", "nonsense").error
    assert found == {"code": 1, "message": "invalid bitcoin address: nonsense"}
    wrong = electrum.call("getbalance", 1, 2, 3).error
    assert (wrong["code"], wrong["data"]["executed"]) == (-32602, "no")
    assert daemons[0].rpc("ping") is True


def test_connections_are_kept_for_reads(electrum: Gateway) -> None:
    """This daemon speaks HTTP/1.1 and serves several at once, so its profile allows it."""
    before = electrum.metric("ecgw_wire_connections_reused_total")
    for _ in range(5):
        electrum.call("getbalance")
    assert electrum.metric("ecgw_wire_connections_reused_total") >= before + 4


@pytest.mark.parametrize("method", [*SECRETS, *CONTROL])
def test_a_real_daemon_is_never_asked_for_secrets(method: str, electrum: Gateway) -> None:
    """Nor told to stop, nor for what two daemons on one seed cannot share."""
    found = electrum.call(method).error
    assert (found["code"], found["data"]["executed"]) == (-32005, "no")


def test_no_call_names_another_wallet_file(electrum: Gateway) -> None:
    """By name or by position: the profile forbids it everywhere."""
    for params in (["/another/wallet"], {"wallet": "/another/wallet"}, {"wallet_path": "/another/wallet"}):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getbalance", "params": params}).encode()
        found = electrum.post(body).error
        assert found["data"]["executed"] == "no", found
