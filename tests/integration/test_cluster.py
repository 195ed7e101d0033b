"""Several gateways on one PostgreSQL before the same wallets: one holds a wallet, the others send its calls there."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaos import needs
from chaos.clocks import CLOCKED, Clock
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.ports import free_port
from tests.integration.gateway_process import Gateway, backends, client, settings_for, wait_until
from tests.integration.postgres_server import PASSWORD, Server, running

SECRET = "the gateways know it"
TOKEN = "of the operators, 32 letters long"
LEASE = 1.0
"""Seconds; shorter than the default, so that takeovers come soon."""


@dataclass
class Gateways:
    """Gateways in front of one fleet, on one database."""

    folder: Path
    fleet: Fleet
    server: Server
    url: str
    names: tuple[str, ...] = ("gw-1", "gw-2")
    running: dict[str, Gateway] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, called: str = "", clock: Clock | None = None, **changes: Any) -> Gateway:
        """Start one of them, which is called otherwise where that is said; it has the same address each time.

        Args:
            clock: its own.
        """
        port = self.ports.setdefault(name, free_port())
        key = self.folder / "ledger.key"
        if not key.exists():
            key.write_bytes(secrets.token_bytes(32))
            key.chmod(0o600)
        chosen = settings_for(
            backends(self.fleet),
            listen={"port": port},
            ledger={"url": self.url, "password": PASSWORD, "key_file": str(key)},
            admin={"port": 0, "token": TOKEN},
            cluster={"name": called or name, "address": f"http://127.0.0.1:{port}", "secret": SECRET, "lease": LEASE},
            **changes,
        )
        under = {} if clock is None else {"environ": clock.environment(), "under": (CLOCKED,)}
        self.running[name] = Gateway(self.folder / name, chosen, **under)  # type: ignore[arg-type]  # what it takes
        return self.running[name]

    def holder(self) -> str:
        """Return who says that it holds the wallet; "" for nobody."""
        holds = [name for name, one in self.running.items() if lease(one)["held"]]
        assert len(holds) < 2, holds
        return holds[0] if holds else ""

    def wait_for_holder(self, other_than: str = "") -> str:
        """Wait until one of them holds the wallet and all its daemons are well there."""

        def is_well() -> bool:
            name = self.holder()
            if not name or name == other_than:
                return False
            wallet = status(self.running[name])["wallets"]["main"]
            well = [one["phase"] == "READY" and one["aligned"] for one in wallet.get("backends", [])]
            return len(well) == len(self.fleet) and all(well)

        wait_until(is_well, "a gateway holds the wallet, and its daemons are well")
        return self.holder()

    def end(self) -> None:
        """End all."""
        for one in self.running.values():
            if one.process.poll() is None:
                one.signal(signal.SIGCONT)
            one.kill()


def status(gateway: Gateway) -> Any:
    """What operators are shown."""
    return gateway.admin("/api/v1/status").json


def lease(gateway: Gateway) -> Any:
    """How the lease of the wallet stands, as one gateway sees it; nothing where it does not answer."""
    if gateway.process.poll() is not None:
        return {"held": False}
    return status(gateway)["wallets"]["main"]["lease"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The database of a module's tests."""
    with running() as one:
        yield one


@pytest.fixture
def gateways(tmp_path: Path, server: Server) -> Iterator[Gateways]:
    """Two gateways in front of three daemons on one seed, one of which holds the wallet."""
    with Fleet(3, tmp_path / "fleet") as fleet:
        both = Gateways(tmp_path, fleet, server, server.database().url)
        try:
            for name in both.names:
                both.start(name)
            holder = both.running[both.wait_for_holder()]
            wait_until(lambda: status(holder)["wallets"]["main"]["ledger"]["state"] == "adopted", "it is adopted")
            yield both
        finally:
            both.end()


class Clients:
    """Clients that ask all the time, each through a gateway of its own; what they were told."""

    def __init__(self, gateways: Gateways, method: str, through: Callable[[], Gateway]) -> None:
        """Begin."""
        self.gateways = gateways
        self.method = method
        self.through = through
        self.answers: list[tuple[float, float, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                found: Any = self.through().call(self.method, wait=8.0).json
            except (OSError, json.JSONDecodeError, ValueError) as error:
                found = {"error": {"message": f"{type(error).__name__}: {error}"}}
            self.answers.append((began, time.monotonic() - began, found))
            self._stop.wait(0.02)

    def stop(self) -> list[tuple[float, float, Any]]:
        """End and return what was answered."""
        self._stop.set()
        self._thread.join()
        return self.answers

    def failed(self) -> list[Any]:
        """Return the answers that were errors."""
        return [found for _, _, found in self.answers if found.get("error")]


def test_any_gateway_answers_and_one_alone_speaks_to_the_wallets(gateways: Gateways) -> None:
    """Reads, new addresses, status; each daemon's journal shows no call that two gateways made."""
    told = [one.call("createnewaddress").result for _ in range(5) for one in gateways.running.values()]
    assert len(set(told)) == 10
    balances = {json.dumps(one.call("getbalance").result) for one in gateways.running.values()}
    assert len(balances) == 1
    holder = gateways.holder()
    (other,) = set(gateways.names) - {holder}
    assert lease(gateways.running[other])["holder"] == holder
    assert gateways.running[other].metric("ecgw_forwarded_calls_total", outcome="answered") >= 6
    assert gateways.running[other].metric("ecgw_wire_connections_opened_total") == 0
    assert gateways.running[holder].metric("ecgw_lease_held", wallet="main") == 1


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_holder_that_is_lost_is_followed_and_no_address_is_told_twice(gateways: Gateways, how: str) -> None:
    """Reads in flight through the other gateway never fail; allocations come or are told as not done or unknown."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    through = gateways.running[other]
    reads = Clients(gateways, "getbalance", lambda: through)
    addresses = Clients(gateways, "createnewaddress", lambda: through)
    time.sleep(0.5)
    lost = gateways.running[first]
    os.kill(lost.process.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    if how == "killed":
        lost.process.wait()
        del gateways.running[first]
    else:
        gateways.running.pop(first)
    wait_until(lambda: gateways.holder() == other, "the other one takes over")
    gateways.wait_for_holder()
    before = len(addresses.answers)
    wait_until(lambda: len(addresses.answers) > before + 10, "addresses are given out again")
    if how == "frozen":
        lost.signal(signal.SIGCONT)
        wait_until(lambda: lease(lost)["holder"] == other, "the one that was frozen sees who holds the wallet")
        assert not lease(lost)["held"]
        gateways.running[first] = lost
        late = [lost.call("createnewaddress").result for _ in range(3)]
    else:
        late = []
    reads.stop()
    told = [found["result"] for _, _, found in addresses.stop() if found.get("result")] + late
    assert reads.failed() == []
    assert len(told) == len(set(told))
    assert [one for one in addresses.failed() if "outcome_unknown" not in one["error"]["message"]] == []
    if how == "frozen":
        assert lost.events("lease.lost")


def test_an_operator_hands_the_wallet_over_and_no_call_fails(gateways: Gateways, tmp_path: Path) -> None:
    """By the command, at the gateway that holds it; the other one says where to give the order."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")

    def handover(name: str) -> subprocess.CompletedProcess[str]:
        url = f"http://127.0.0.1:{gateways.running[name].admin_port}"
        command = [sys.executable, "-m", "gateway", "handover", "--url", url, "--token-file", str(token)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    refused = handover(other)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{first} does" in refused.stderr
    clients = [
        Clients(gateways, method, lambda name=name: gateways.running[name])  # type: ignore[misc]  # a gateway for each
        for name in gateways.names
        for method in ("getbalance", "createnewaddress")
    ]
    done = handover(first)
    assert done.returncode == 0, done.stderr
    assert gateways.wait_for_holder() == other
    ended = [one.stop() for one in clients]
    assert [one.failed() for one in clients] == [[], [], [], []]
    told = [
        found["result"]
        for one, calls in zip(clients, ended, strict=True)
        for _, _, found in calls
        if one.method == "createnewaddress"
    ]
    assert len(told) == len(set(told))
    shown = subprocess.run(
        [sys.executable, "-m", "gateway", "status", "--url", f"http://127.0.0.1:{gateways.running[first].admin_port}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert f"held by {other} at http://127.0.0.1:{gateways.ports[other]}" in shown


def test_a_gateway_that_is_told_to_stop_hands_over_first(gateways: Gateways) -> None:
    """No call fails: neither through the other one nor through itself, as long as its door is open."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    through = gateways.running[other]
    clients = [Clients(gateways, method, lambda: through) for method in ("getbalance", "createnewaddress")]
    time.sleep(0.3)
    assert gateways.running.pop(first).stop() == 0
    gateways.wait_for_holder()
    time.sleep(0.3)
    for one in clients:
        one.stop()
    assert [one.failed() for one in clients] == [[], []]
    gateways.start(first)
    wait_until(lambda: lease(gateways.running[first])["holder"] == other, "it follows")


def test_a_gateway_that_knows_other_clients_and_limits_says_so(gateways: Gateways) -> None:
    """What differs, to the operators of both; nobody who reads the database sees a password, or can try one out."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    gateways.running.pop(other).stop()
    known = [client("shop", max_per_day="0.5"), client("web", errors="http"), client("newshop")]
    follower, holder = gateways.start(other, clients=known), gateways.running[first]
    wait_until(lambda: follower.events("lease.config_differs"), "it says so")
    assert follower.events("lease.config_differs")[0]["sections"] == "clients, limits"
    wait_until(lambda: [one for one in status(follower)["alerts"] if one["kind"] == "gateways"], "an alert says so")
    assert "differs from this gateway in: clients, limits" in str(status(follower)["alerts"])
    refused = follower.call("getbalance", user="newshop").error["message"]
    assert refused.startswith("method_refused: ")
    (told,) = holder.events("peer.refused")
    assert (told["reason"], told["client"], told["gateway"]) == ("client", "newshop", other)
    database = gateways.url.rpartition("/")[2]
    shown = gateways.server.sql("SELECT value FROM meta WHERE starts_with(key, 'lease ')", database)
    assert "clients=" in shown
    assert not [one for one in (gateways.fleet.password, "shop", "web") if one in shown]


def test_no_gateway_is_ready_while_no_daemon_lives(gateways: Gateways) -> None:
    """Whichever of them one asks; and both are again as soon as daemons are."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    follower = gateways.running[other]
    wait_until(lambda: follower.admin("/readyz").status == 200, "the follower is ready")
    for n in range(len(gateways.fleet)):
        gateways.fleet.kill(n)
    both = list(gateways.running.values())
    wait_until(lambda: [one.admin("/readyz").status for one in both] == [503, 503], "neither is ready")
    assert "which holds it: ec-1: " in follower.admin("/readyz").text.decode()
    assert "ecgw_ready 0.0" in follower.admin("/metrics").text.decode()
    for n in range(len(gateways.fleet)):
        gateways.fleet.start(n)
    wait_until(lambda: [one.admin("/readyz").status for one in both] == [200, 200], "both are ready")


def test_a_database_that_goes_away_leaves_reads_for_a_lease_and_nothing_more(gateways: Gateways) -> None:
    """Then no_backend for everything, and all is well again when it is back."""
    first = gateways.wait_for_holder()
    holder = gateways.running[first]
    gateways.server.stop()
    try:
        refused = holder.call("createnewaddress", wait=2.0).error["message"]
        assert refused.startswith(("read_only", "no_backend"))
        wait_until(lambda: not lease(holder)["held"], "its lease has ended")
        assert holder.call("getbalance", wait=0.5).error["message"].startswith("no_backend")
        assert holder.admin("/readyz").status == 503
    finally:
        gateways.server.start()
    gateways.wait_for_holder()
    told = {one.call("createnewaddress").result for one in gateways.running.values()}
    assert len(told) == 2


def test_a_gateway_of_the_holders_name_sends_its_calls_there_like_any_other(gateways: Gateways) -> None:
    """The one address and the other are told apart; whoever is left takes over."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    twin = gateways.start("twin", called=first)
    wait_until(lambda: twin.events("lease.name_taken"), "it sees that its name is taken")
    assert twin.admin("/readyz").status == 200
    told = [one.call("createnewaddress", wait=2.0).result for one in (twin, gateways.running[first], twin)]
    gateways.running.pop(other).kill()
    gateways.running.pop(first).kill()
    gateways.wait_for_holder()
    told.append(twin.call("createnewaddress", wait=2.0).result)
    assert len(set(told)) == 4


def test_a_gateway_that_cannot_open_the_ledger_is_of_use_all_the_same(gateways: Gateways) -> None:
    """A newer version's it follows in; one that has lost something it holds for reads, and says why for no more."""
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    name = gateways.url.rpartition("/")[2]
    version = gateways.server.sql("SELECT version_num FROM alembic_version", name)
    gateways.running.pop(other).kill()
    gateways.server.sql("UPDATE alembic_version SET version_num = '9999'", name)
    follower = gateways.start(other)
    wait_until(lambda: lease(follower)["holder"] == first, "it sees the holder")
    told = [follower.call("createnewaddress", wait=2.0).result for _ in range(2)]
    assert follower.admin("/readyz").status == 200
    assert "was written by a newer ec-gateway" in lease(follower)["closed"]
    for each in gateways.names:
        gateways.running.pop(each).kill()
    gateways.server.sql(f"UPDATE alembic_version SET version_num = '{version}'", name)  # noqa: S608 - ours
    gateways.server.sql("INSERT INTO meta (key, value) SELECT 'lost', '99999'", name)
    for each in gateways.names:
        gateways.start(each)
    wait_until(lambda: gateways.holder() != "", "one of them holds the wallet")
    for one in gateways.running.values():
        wait_until(lambda one=one: "result" in one.call("getbalance", wait=2.0).json, "it reads")  # type: ignore[misc]
        refused = one.call("createnewaddress", wait=2.0).error["message"]
        assert refused.startswith("read_only")
        assert "`ec-gateway ledger adopt`" in refused
    assert len(set(told)) == 2


def test_a_gateway_whose_clock_jumps_says_so_and_holds_the_wallet_as_before(gateways: Gateways, tmp_path: Path) -> None:
    """An hour ahead as the one that sends calls on, then behind as the one that holds; the lease has another clock."""
    why = needs.missing(frozenset({"faketime"}))
    if why and not needs.is_required():
        pytest.skip(why)
    assert not why
    first = gateways.wait_for_holder()
    (other,) = set(gateways.names) - {first}
    gateways.running.pop(other).stop()
    clock = Clock(tmp_path / "clock")
    jumping, steady = gateways.start(other, clock=clock), gateways.running[first]
    wait_until(lambda: jumping.admin("/readyz").status == 200, "the one with a clock of its own is ready")
    told = [jumping.call("createnewaddress").result]

    clock.set(3600.0)
    wait_until(lambda: jumping.admin("/readyz").status == 503, "what it signs is not taken any more, and it says so")
    refused = jumping.call("createnewaddress", wait=2.0).error
    assert refused["message"].startswith("no_backend: ")
    assert refused["data"]["safe_to_repeat"] is True
    assert "the clocks of both gateways" in jumping.events("forward.refused")[0]["way_out"]
    assert steady.events("peer.refused")[0]["reason"] == "age"
    assert gateways.holder() == first, "the other one is not hurt"
    told.append(steady.call("createnewaddress").result)
    clock.set(0.0)
    wait_until(lambda: jumping.admin("/readyz").status == 200, "it is well again with a clock that is right")
    told.append(jumping.call("createnewaddress").result)

    gateways.running.pop(first).stop()
    assert gateways.wait_for_holder() == other
    steady = gateways.start(first)
    wait_until(lambda: steady.admin("/readyz").status == 200, "the one that follows now is ready")
    clock.set(-3600.0)
    wait_until(lambda: jumping.events("peer.refused"), "the holder takes no call from a clock that is not its own")
    told.append(jumping.call("createnewaddress").result)
    assert gateways.holder() == other, "a lease is not measured by a wall clock"
    jumping.kill()
    del gateways.running[other]
    assert gateways.wait_for_holder() == first
    told.append(steady.call("createnewaddress").result)
    assert len(told) == len(set(told))
