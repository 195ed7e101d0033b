"""Calls with effects, and a primary that falls silent or dies: nothing runs twice, nothing is denied that ran."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Answer, Gateway, backends, settings_for, wait_until

OPEN = frozenset({"01", "08"})
"""ESTABLISHED, and CLOSE_WAIT: the daemon has closed and we have not."""

TURNS = 5
"""How often a daemon is frozen until a call of ours is caught in it: a probe or the mirror may hold the slot."""


def labels_in(fleet: Fleet) -> Counter[str]:
    """How often each label was set, over all daemons."""
    return Counter(
        str(row["params"][1]) for n in range(len(fleet)) for row in fleet.journal(n) if row["method"] == "setlabel"
    )


class Labels:
    """Writes that can be told apart in the journals, each from a thread of its own."""

    def __init__(self, gateway: Gateway, address: str) -> None:
        """Begin with none."""
        self.gateway = gateway
        self.address = address
        self.answers: dict[str, Answer] = {}
        self._threads: list[threading.Thread] = []

    def begin(self, label: str, wait: float) -> None:
        """Set a label, by a deadline."""

        def run() -> None:
            self.answers[label] = self.gateway.call("setlabel", self.address, label, wait=wait)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)

    def join(self) -> None:
        """Wait for all answers."""
        for thread in self._threads:
            thread.join()

    def check(self, fleet: Fleet) -> None:
        """Hold every answer against the journals."""
        ran = labels_in(fleet)
        assert set(ran.values()) <= {1}, "something ran twice"
        for label, answer in self.answers.items():
            found = answer.json
            if "error" not in found:
                assert ran[label] == 1, f"{label} was answered and never ran"
            elif found["error"]["data"]["executed"] == "no":
                assert ran[label] == 0, f"{label} ran, and its caller was told that it did not: {found}"


def test_writes_to_a_frozen_primary_are_unknown_and_run_once(gateway: Gateway, fleet: Fleet) -> None:
    """The one that was sent is unknown, those behind it were not sent; the journals agree after the thaw."""
    labels = Labels(gateway, fleet.rpc(1, "listaddresses")[0])
    unknown: list[str] = []
    for turn in range(TURNS):
        fleet.freeze(0)
        for number in range(6):
            labels.begin(f"frozen {turn}.{number}", wait=0.6 + number / 10)
        labels.join()
        fleet.thaw(0)
        gateway.wait_all_well()
        unknown += [label for label, answer in labels.answers.items() if answer.error["code"] == -32004]
        if unknown:
            break
    assert len(unknown) == 1, "one was sent, for a serial daemon has one slot"
    assert all(
        answer.error["data"]["executed"] == ("unknown" if label in unknown else "no")
        for label, answer in labels.answers.items()
    )
    assert gateway.call("setlabel", labels.address, "after the thaw").result is None
    labels.check(fleet)
    assert labels_in(fleet)[unknown[0]] == 1, "a frozen daemon runs what it had taken"


def test_writes_around_kills_are_never_denied_wrongly(gateway: Gateway, fleet: Fleet) -> None:
    """A stream of writes, and the primary killed and started in the middle of it, several times."""
    labels = Labels(gateway, fleet.rpc(1, "listaddresses")[0])
    fleet.control(0, "slow", 0.03)
    for number in range(3):
        for turn in range(8):
            labels.begin(f"kill {number}.{turn}", wait=3.0)
        time.sleep(0.05)  # so that one of them is in the daemon; whichever it is, the journal tells
        fleet.kill(0)
        fleet.start(0)
        fleet.control(0, "slow", 0.03)
        gateway.wait_all_well()
    labels.join()
    fleet.control(0, "heal")
    labels.check(fleet)
    assert any("error" not in answer.json for answer in labels.answers.values())


def test_an_address_is_not_given_out_twice_by_a_silent_primary(gateway: Gateway, fleet: Fleet) -> None:
    """The call to a frozen primary is unknown and not repeated; the next one gives another address."""
    given = [gateway.call("createnewaddress").result]
    codes: list[int] = []
    while -32004 not in codes and len(codes) < TURNS:
        gateway.wait_all_well()
        fleet.freeze(0)
        found = gateway.call("createnewaddress", wait=0.4).error
        codes.append(found["code"])
        fleet.thaw(0)
    assert codes[-1] == -32004
    assert found["data"]["safe_to_repeat"] is False
    assert "listaddresses" in found["data"]["next_step"]
    gateway.wait_all_well()
    given.append(gateway.call("createnewaddress").result)
    assert len(set(given)) == 2
    gateway.wait_all_well()
    lists = [fleet.rpc(n, "listaddresses") for n in range(len(fleet))]
    assert lists[0] == lists[1] == lists[2]
    assert set(given) <= set(lists[0])


def test_payments_go_to_the_primary_alone(gateway: Gateway, fleet: Fleet) -> None:
    """Signed there and nowhere else, broadcast by whoever is free, and refused to a client without the right."""
    refused = gateway.call("payto", "x", "0.001").error
    assert refused["code"] == -32005
    assert refused["data"]["executed"] == "no"
    destination = fleet.rpc(1, "listaddresses")[7]
    signed = gateway.call("payto", destination, 0.00123456, user="till").result
    assert signed["complete"] is True
    sent = gateway.call("broadcast", signed["hex"], user="till").result
    assert sent[0] is True
    again = gateway.call("broadcast", signed["hex"], user="till").result
    assert again[0] is False
    assert "already exists" in again[1]
    rows = [row for n in range(len(fleet)) for row in fleet.journal(n) if row["method"] == "payto"]
    assert [row["params"] for row in rows] == [[destination, "0.00123456"]], "the amount goes on as text, and once"
    assert rows == [row for row in fleet.journal(0) if row["method"] == "payto"]


def test_an_idempotency_key_is_refused_while_nobody_can_keep_it(gateway: Gateway, fleet: Fleet) -> None:
    """read_only, and nothing was sent; a key on a read does no harm."""
    key = {"Idempotency-Key": "order-1"}
    address = fleet.rpc(1, "listaddresses")[0]
    found = gateway.call("setlabel", address, "keyed", headers=key).error
    assert (found["code"], found["data"]["executed"]) == (-32008, "no")
    assert labels_in(fleet)["keyed"] == 0
    assert gateway.call("version", headers=key).result


def test_a_hang_up_ends_a_read_and_never_a_write(gateway: Gateway, fleet: Fleet) -> None:
    """The client leaves while both wait; only the write is found in a journal."""
    address = fleet.rpc(1, "listaddresses")[0]
    fleet.control(0, "slow", 0.5)
    holder = Labels(gateway, address)
    holder.begin("the one that holds the slot", wait=5.0)
    wait_until(lambda: gateway.backend("ec-1")["in_flight"] == 1, "the slot is taken")
    calls = {
        "getalias": b'{"id":1,"method":"getalias","params":["nobody"]}',
        "setlabel": json.dumps({"id": 1, "method": "setlabel", "params": [address, "of one who left"]}).encode(),
    }
    for body in calls.values():
        with gateway.knock() as line:
            line.request(body)
            wait_until(lambda: gateway.status()["waiting"] >= 1, "the call waits")
    wait_until(lambda: gateway.metric("ecgw_calls_in_progress", wallet="main") <= 2, "the read has ended")
    wait_until(lambda: labels_in(fleet)["of one who left"] == 1, "the write ran")
    holder.join()
    fleet.control(0, "heal")
    gateway.wait_all_well()
    assert not [row for row in fleet.journal(0) if row["method"] == "getalias"]


@pytest.fixture
def own_fleet(folder: Path) -> Iterator[Fleet]:
    """Two daemons of which the second has derived less."""
    with Fleet(2, folder / "unequal") as two:
        for _ in range(12):
            two.rpc(0, "createnewaddress")
        yield two


def test_a_shorter_standby_is_brought_up_before_it_takes_wallet_reads(own_fleet: Fleet, folder: Path) -> None:
    """Until it holds every address it is asked for none; then it stands in for the primary, and lists the same."""
    last = own_fleet.rpc(0, "listaddresses")[-1]
    own_fleet.freeze(1)
    settings = settings_for(backends(own_fleet))
    with Gateway(folder / "unequal-gateway", settings) as gateway:
        wait_until(lambda: gateway.backend("ec-1")["phase"] == "READY", "the primary is ready")
        for _ in range(20):
            assert gateway.call("ismine", last).result is True
        own_fleet.thaw(1)
        gateway.wait_all_well()
        assert own_fleet.rpc(0, "listaddresses") == own_fleet.rpc(1, "listaddresses")
        asked = [row["method"] for row in own_fleet.journal(1) if row["id"] != "fleet"]
        first_wallet_read = asked.index("ismine") if "ismine" in asked else len(asked)
        assert asked[:first_wallet_read].count("createnewaddress") == 12
        own_fleet.kill(0)
        for _ in range(20):
            assert gateway.call("ismine", last).result is True
        assert gateway.events("mirror.derived", backend="ec-2", addresses=12)


def test_no_connection_to_a_daemon_is_ever_idle(gateway: Gateway, fleet: Fleet) -> None:
    """After a burst of calls the gateway holds nothing open: what is seen at one moment is gone a second later."""
    for _ in range(30):
        gateway.call("getbalance")
    ports = {fleet.port(n) for n in range(len(fleet))}
    seen = open_to(ports)
    for _ in range(3):
        time.sleep(0.7)
        now = open_to(ports)
        assert not seen & now, "a connection to a daemon was there at two moments"
        seen = now
    with fleet.wedge(1):
        assert len(open_to({fleet.port(1)})) >= 1, "one that is idle would have been seen"


def open_to(ports: set[int]) -> set[tuple[str, str]]:
    """Both ends of every connection to one of these ports that our side has not closed, as the kernel lists them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if state in OPEN and int(remote.rpartition(":")[2], 16) in ports:
            found.add((local, remote))
    return found
