"""How a gateway starts, takes new settings and ends, as an operator sees it."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from gateway.sandbox.ports import free_port
from tests.integration.gateway_process import (
    ROOT,
    Answer,
    Gateway,
    Reads,
    Settings,
    backends,
    client,
    raw_request,
    settings_for,
    wait_until,
)
from tests.integration.test_faults import known_reads

BALANCE = b'{"jsonrpc":"2.0","id":1,"method":"getbalance"}'

SECRET = "not-for-the-log"


@pytest.fixture
def own(fleet: Fleet, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of a test's own, in front of the module's daemons."""
    with Gateway(tmp_path, settings_for(backends(fleet))) as one:
        one.wait_all_well()
        yield one
    for index in range(len(fleet)):
        fleet.thaw(index)
        fleet.control(index, "heal")


@pytest.fixture
def unprobed(fleet: Fleet, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that hardly ever probes: no probe is in a daemon that a test freezes, and a call goes straight in."""
    settings = settings_for(backends(fleet))
    settings["health"] = settings["health"] | {"probe_interval": 60.0}
    with Gateway(tmp_path, settings) as one:
        one.wait_all_well()
        yield one
    for index in range(len(fleet)):
        fleet.thaw(index)


def wait_for_attempt(gateway: Gateway) -> None:
    """Wait until a client's call is in a daemon."""
    wait_until(lambda: gateway.status()["in_flight"], "the call is under way")


# -- its end --------------------------------------------------------------------------------------------------


def test_sigterm_drains(own: Gateway, fleet: Fleet) -> None:
    """Not ready first, while calls under way are answered and new ones still are; then it ends, with code 0."""
    right = fleet.rpc(0, "getbalance")
    for index in range(3):
        fleet.control(index, "slow", 0.7)
    with own.knock() as line, own.knock() as late:
        line.request(BALANCE)
        wait_until(lambda: any(one["in_flight"] for one in own.status()["backends"]), "the call is in a daemon")
        own.signal(signal.SIGTERM)
        wait_until(lambda: own.events("gateway.draining"), "it drains")
        ready = own.admin("/readyz")
        assert (ready.status, ready.json["draining"]) == (503, True)
        assert own.admin("/livez").status == 200
        late.request(b'{"id":2,"method":"gateway.status"}')
        answer = late.answer()
        assert answer.result["draining"] is True
        assert answer.headers["Connection"] == "close"
        assert line.answer().result == right
    assert own.wait() == 0
    assert own.events("gateway.stopped")[0]["given_up"] == 0
    assert own.stderr == ""


def test_a_second_signal_hurries(unprobed: Gateway, fleet: Fleet) -> None:
    """A call to a frozen daemon would hold it for long; it is given up, and its caller is told so."""
    fleet.freeze(0)
    address = fleet.rpc(1, "listaddresses")[0]
    with unprobed.knock() as line:
        line.request(json.dumps({"id": 1, "method": "setlabel", "params": [address, "never mind"]}).encode())
        wait_for_attempt(unprobed)
        unprobed.signal(signal.SIGTERM)
        wait_until(lambda: unprobed.events("gateway.draining"), "it drains")
        unprobed.signal(signal.SIGTERM)
        found = line.answer().error
        assert (found["code"], found["data"]["executed"]) == (-32004, "unknown")
        assert line.is_closed()
        assert unprobed.wait() == 0
    assert unprobed.events("gateway.draining")[0]["in_flight"] == 1
    assert unprobed.events("gateway.stopped")[0]["given_up"] == 1
    assert unprobed.stderr == ""


def test_a_batch_that_is_given_up_has_all_its_answers(unprobed: Gateway, fleet: Fleet) -> None:
    """What is known of the entry that was sent, and that nothing after it was."""
    fleet.freeze(0)
    address = fleet.rpc(1, "listaddresses")[0]
    entries = [{"id": number, "method": "setlabel", "params": [address, f"no {number}"]} for number in range(3)]
    with unprobed.knock() as line:
        line.request(json.dumps(entries).encode())
        wait_for_attempt(unprobed)
        unprobed.signal(signal.SIGTERM)
        wait_until(lambda: unprobed.events("gateway.draining"), "it drains")
        unprobed.signal(signal.SIGTERM)
        found = line.answer().json
    assert [(one["id"], one["error"]["data"]["executed"]) for one in found] == [(0, "unknown"), (1, "no"), (2, "no")]
    assert unprobed.wait() == 0
    fleet.thaw(0)
    labels = [row["params"][1] for row in fleet.journal(0) if row["method"] == "setlabel"]
    assert "no 1" not in labels
    assert "no 2" not in labels


def test_a_client_that_stays_connected_does_not_hold_up_the_end(own: Gateway) -> None:
    """Idle keep-alive connections are closed."""
    with own.knock() as line:
        line.request(BALANCE)
        assert line.answer().result
        own.signal(signal.SIGTERM)
        assert line.is_closed()
        assert own.wait() == 0


def test_few_descriptors_are_shared_out(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle strangers at both doors take what is theirs, and no call and no daemon notices."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -Sn 100\nulimit -Hn 120\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    right = fleet.rpc(0, "getbalance")
    with Gateway(tmp_path / "few", settings_for(backends(fleet))) as gateway, ExitStack() as strangers:
        gateway.wait_all_well()
        (warning,) = [one for one in gateway.events("config.risky") if "max_connections" in one["warning"]]
        assert "4096" in warning["warning"]
        assert "120" in warning["warning"]
        with gateway.knock() as line:
            refused = gateway.metric("ecgw_door_connections_refused_total")
            for port in (gateway.port, gateway.admin_port):
                for _ in range(130):
                    strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(50):
                line.request(BALANCE)
                assert line.answer().result == right
        strangers.close()
        wait_until(lambda: gateway.metric("ecgw_door_connections_refused_total") > refused + 30, "it refused some")
        assert not gateway.events("library.said")
        assert not gateway.events("backend.suspected")
        assert not gateway.events("backend.ejected")


# -- where its log goes ---------------------------------------------------------------------------------------


def lost_lines(gateway: Gateway) -> float:
    """Lines that could not be written."""
    return gateway.metric("ecgw_log_lines_dropped_total")


@pytest.mark.parametrize("where", ["a full disk", "a closed pipe"])
def test_a_log_that_goes_nowhere_harms_nothing(where: str, fleet: Fleet, tmp_path: Path) -> None:
    """It serves, counts the lines it lost, reloads, and ends with code 0 and without a traceback."""
    if where == "a full disk":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        read_end, output = os.pipe()
        os.close(read_end)
    settings = settings_for(backends(fleet)[:1])
    with Gateway(tmp_path, settings, stdout=output) as gateway:
        os.close(output)
        wait_until(lambda: gateway.admin("/readyz").status == 200, "it is ready")
        assert gateway.call("getbalance").result == fleet.rpc(0, "getbalance")
        lost = lost_lines(gateway)
        assert lost > 0
        gateway.signal(signal.SIGHUP)
        gateway.write({**settings, "log": {"level": "debug"}})
        wait_until(
            lambda: gateway.call("version") and gateway.metric("ecgw_log_lines_dropped_total") > lost + 3, "it logs"
        )
        assert gateway.stop() == 0
        assert gateway.stderr == ""


def test_a_rotating_file_takes_the_log(fleet: Fleet, tmp_path: Path) -> None:
    """Where nobody collects standard output; what could not start is said on standard error as well."""
    file = tmp_path / "logs" / "gateway.log"
    settings = settings_for(backends(fleet)[:1], log={"file": {"path": str(file)}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings["listen"] = {"port": taken.getsockname()[1]}
        with pytest.raises(AssertionError, match="cannot be listened on"):
            Gateway(tmp_path, settings)
    assert "gateway.failed" in file.read_text()


def test_a_log_that_can_never_be_opened_is_said_once_and_borne(fleet: Fleet, tmp_path: Path) -> None:
    """On standard error, where it starts: payments go on without a log."""
    (tmp_path / "own").mkdir()
    settings = settings_for(backends(fleet)[:1], log={"file": {"path": str(tmp_path)}}, listen={"port": free_port()})
    file = tmp_path / "own" / "gateway.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "-c", str(file)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: is_open(settings["listen"]["port"]), "its door is open")
        finally:
            process.terminate()
            _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(said.splitlines()) == 1
    assert f"log.file.path: {tmp_path} cannot be written (Is a directory)" in said


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# -- new settings ---------------------------------------------------------------------------------------------


def test_new_settings_are_taken_over_while_calls_are_under_way(own: Gateway, fleet: Fleet) -> None:
    """By a change of the file alone: a wallet, a client and a backend come; the difference is told, secrets are not."""
    right = fleet.rpc(0, "getbalance")
    fleet.control(0, "slow", 0.5)
    settings = settings_for(backends(fleet)[:2])
    settings["wallets"]["cold"] = {"backends": backends(fleet)[2:]}
    settings["clients"] = [client("shop", password=SECRET, wallets=["main", "cold"]), client("new")]
    settings["listen"]["max_batch"] = 1
    with own.knock() as line:
        line.request(b'{"id":1,"method":"createnewaddress"}')
        wait_until(lambda: own.backend("ec-1")["in_flight"] == 1, "the call is in the primary")
        own.write(settings)
        wait_until(lambda: own.events("config.reloaded"), "the file was read again")
        assert line.answer().result.startswith("bchreg:")
    fleet.control(0, "heal")
    told = own.events("config.reloaded")[-1]
    assert told["need_a_restart"] == []
    assert told["changes"]["listen.max_batch"] == "100 -> 1"
    assert "clients.shop.password" in told["changes"], "that it changed is told"
    assert any(key.startswith("wallets.main.backends.ec-3") for key in told["changes"])
    assert own.call("version", user="shop").status == 401, "the old password is over"
    assert own.call("getbalance", user="new").result == right
    wait_until(lambda: not own.admin("/readyz").json["wallets"]["cold"], "the new wallet is ready")
    assert own.post(b"[" + BALANCE + b"," + BALANCE + b"]", user="new").error["code"] == -32600
    log = own.log_path.read_text()
    assert SECRET not in log
    assert fleet.password not in log


def test_a_bad_file_changes_nothing_and_each_mistake_has_its_line(own: Gateway, fleet: Fleet) -> None:
    """All or nothing: what is good in it is not taken either; the next good one is."""
    settings = settings_for(backends(fleet)[:1])
    settings["listen"]["max_bodies"] = 7
    settings["health"]["probe_interval"] = "often"
    own.write(settings)
    wait_until(lambda: len(own.events("config.refused")) == 2, "both mistakes are told")
    lines = own.file.read_text().splitlines()
    for event, (key, text) in zip(
        own.events("config.refused"),
        (("listen.max_bodies", "max_bodies"), ("health.probe_interval", "probe_interval")),
        strict=True,
    ):
        place = 1 + next(number for number, line in enumerate(lines) if text in line)
        assert f"{own.file}:{place}: {key}: " in event["problem"]
        assert event["level"] == "error"
    assert len(own.status()["backends"]) == 3
    own.file.write_text("wallets: [", encoding="utf-8")
    wait_until(lambda: len(own.events("config.refused")) == 3, "a file that is no YAML is told")
    own.file.unlink()
    own.signal(signal.SIGHUP)
    wait_until(lambda: len(own.events("config.refused")) >= 4, "a file that is gone is told")
    assert len(own.status()["backends"]) == 3
    own.write(settings_for(backends(fleet)[:1]))
    wait_until(lambda: len(own.status()["backends"]) == 1, "the next good one is taken")
    assert own.call("getbalance").result == fleet.rpc(0, "getbalance")


def test_what_takes_a_restart_is_said(own: Gateway, fleet: Fleet) -> None:
    """Another port cannot be taken over while it runs, and nobody is left to find that out by himself."""
    own.write(settings_for(backends(fleet), admin={"port": 1}))
    wait_until(lambda: own.events("config.reloaded"), "the file was read again")
    assert own.events("config.reloaded")[-1]["need_a_restart"] == ["admin.port"]
    assert own.admin("/livez").status == 200


def test_backends_come_and_go_under_load(own: Gateway, fleet: Fleet) -> None:
    """Standbys, then the primary itself, are taken out and put back while reads go on: none errs."""
    rows = backends(fleet)
    with Reads(own, known_reads(fleet), pause=0.02) as reads:
        for chosen in (rows[:2], rows[1:], rows[2:], rows[::-1], rows[:1], rows):
            reloads = len(own.events("config.reloaded"))
            own.write(settings_for(chosen))
            wait_until(lambda n=reloads: len(own.events("config.reloaded")) > n, "the file was read again")  # type: ignore[misc]  # a default binds the number
            reads.wait_more(3)
            own.wait_all_well()
            assert [one["name"] for one in own.status()["backends"]] == [row["name"] for row in chosen]
    assert reads.wrong == []


def test_a_wallet_comes_and_goes_under_load(own: Gateway, fleet: Fleet) -> None:
    """Calls to it are answered, or refused as not executed; those to the other one never notice."""
    rows = backends(fleet)
    without = settings_for(rows[:2], clients=[client("shop")])
    with_cold: Settings = json.loads(json.dumps(without))
    with_cold["wallets"]["cold"] = {"backends": rows[2:]}
    with_cold["clients"] = [client("shop", wallets=["main", "cold"])]
    others: list[Answer] = []
    over = threading.Event()

    def call_cold() -> None:
        while not over.is_set():
            others.append(own.call("getbalance", path="/wallets/cold"))

    thread = threading.Thread(target=call_cold)
    with Reads(own, known_reads(fleet), pause=0.05) as reads:
        thread.start()
        try:
            for settings in (with_cold, without, with_cold, without):
                reloads = len(own.events("config.reloaded"))
                own.write(settings)
                wait_until(lambda n=reloads: len(own.events("config.reloaded")) > n, "the file was read again")  # type: ignore[misc]  # a default binds the number
                if settings is with_cold:
                    wait_until(lambda: own.admin("/readyz").json["wallets"].get("cold") == [], "cold is ready")
                    answered = len(others)
                    wait_until(lambda n=answered: any("result" in one.json for one in others[n:]), "cold answers")  # type: ignore[misc]  # a default binds the number
                reads.wait_more(2)
        finally:
            over.set()
            thread.join()
    assert reads.wrong == []
    right = fleet.rpc(2, "getbalance")
    for answer in others:
        found = answer.json
        assert found.get("result") == right or found["error"]["data"]["executed"] == "no", found
    assert not own.events("door.failed")


def test_a_new_secret_in_its_file_is_noticed(fleet: Fleet, tmp_path: Path) -> None:
    """The configuration itself did not change; the old password ends, the new one opens."""
    secret = tmp_path / "shop.password"
    secret.write_text("shop\n", encoding="utf-8")
    settings = settings_for(backends(fleet)[:1])
    settings["clients"] = [{"name": "shop", "username": "shop", "password_file": "shop.password"}]
    with Gateway(tmp_path, settings) as gateway:
        wait_until(lambda: gateway.call("version").status == 200, "the first password opens")
        replacement = tmp_path / "new"
        replacement.write_text(SECRET, encoding="utf-8")
        replacement.replace(secret)
        wait_until(lambda: gateway.call("version").status == 401, "the old password is over")
        assert SECRET not in gateway.log_path.read_text()


def test_pipelined_writes_and_a_drain_lose_nothing(own: Gateway, fleet: Fleet) -> None:
    """Two requests in one write when the drain begins: each is answered, or was never begun."""
    fleet.control(0, "slow", 0.3)
    before = sum(row["method"] == "createnewaddress" and row["id"] != "fleet" for row in fleet.journal(0))
    with own.knock() as line:
        allocate = raw_request(b'{"id":1,"method":"createnewaddress"}')
        line.send(allocate + allocate)
        wait_until(lambda: own.backend("ec-1")["in_flight"] == 1, "the first is in the primary")
        own.signal(signal.SIGTERM)
        told = line.file.read().count(b'"result": "bchreg:')
    assert own.wait() == 0
    fleet.control(0, "heal")
    after = sum(row["method"] == "createnewaddress" and row["id"] != "fleet" for row in fleet.journal(0))
    assert told == after - before
