"""Wallets that are not there yet, not loaded, or without their chain: told apart, waited for, and taken back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Answer, Gateway, backends, settings_for, wait_until


def only(fleet: Fleet, **changes: object) -> dict[str, object]:
    """Settings for the first daemon of a fleet alone."""
    settings = settings_for(backends(fleet)[:1])
    settings["wallets"]["main"].update(changes)
    return settings


def readiness(gateway: Gateway) -> tuple[int, str, str]:
    """Status of /readyz, why main is not ready, and what ails it."""
    answer = gateway.admin("/readyz")
    body = answer.json
    assert body["ready"] is (answer.status == 200)
    return answer.status, "; ".join(body["wallets"]["main"]), "; ".join(body["ailing"]["main"])


@contextmanager
def gateway_for(fleet: Fleet, folder: Path, **changes: object) -> Iterator[Gateway]:
    """A gateway in front of the first daemon."""
    with Gateway(folder, only(fleet, **changes)) as gateway:
        yield gateway


def test_the_first_call_waits_for_a_wallet_that_is_late(tmp_path: Path) -> None:
    """The gateway is up before its daemon: not ready, starting; the call waits and is answered once it can be."""
    with Fleet(1, tmp_path / "fleet") as fleet:
        fleet.kill(0)
        with gateway_for(fleet, tmp_path / "gateway") as gateway:
            wait_until(lambda: "starting, refuses connections, expected back" in readiness(gateway)[1], "it is late")
            assert readiness(gateway)[0] == 503
            with gateway.knock() as line:
                line.request(b'{"id":1,"method":"getbalance"}')
                wait_until(lambda: gateway.status()["waiting"] == 1, "the call waits")
                fleet.start(0)
                assert line.answer().result == fleet.rpc(0, "getbalance")
            wait_until(lambda: readiness(gateway) == (200, "", ""), "it is ready")


def test_a_wallet_that_is_not_loaded_is_loaded_and_no_call_meets_the_daemon_without_it(tmp_path: Path) -> None:
    """With the daemon's first version of the library such a call would end it."""
    with Fleet(1, tmp_path / "fleet", load=False) as fleet, gateway_for(fleet, tmp_path / "gateway") as gateway:
        assert gateway.call("getbalance").result == fleet.rpc(0, "getbalance")
        wait_until(lambda: readiness(gateway) == (200, "", ""), "it is ready")
        fleet.control(0, "unload")
        wait_until(lambda: len(_loads(fleet)) == 2, "it was loaded again")
        wait_until(lambda: readiness(gateway) == (200, "", ""), "it is ready again")
        assert [row for row in fleet.journal(0) if row["method"] == "getbalance" and "error" in row] == []


def _loads(fleet: Fleet) -> list[object]:
    return [row for row in fleet.journal(0) if row["method"] in ("load_wallet", "daemon")]


def test_where_nothing_is_enforced_a_wallet_that_is_not_loaded_is_told(tmp_path: Path) -> None:
    """No call reaches the daemon until somebody has loaded one."""
    with (
        Fleet(1, tmp_path / "fleet", load=False) as fleet,
        Gateway(tmp_path / "gateway", {**only(fleet), "restart": {"enforce": False}}) as gateway,
    ):
        wait_until(lambda: "starting, no wallet is loaded" in readiness(gateway)[1], "it says so")
        assert readiness(gateway)[0] == 503
        found = gateway.call("getbalance", wait=0.3).error
        assert (found["code"], found["data"]["executed"]) == (-32003, "no")
        assert "no wallet is loaded" in found["message"]
        fleet.rpc(0, "load_wallet")
        wait_until(lambda: readiness(gateway) == (200, "", ""), "it is ready")
        fleet.control(0, "unload")
        wait_until(lambda: "adrift, no wallet is loaded" in readiness(gateway)[1], "it noticed")


def test_a_lost_chain_is_told_and_the_last_daemon_serves_on(tmp_path: Path) -> None:
    """Never the last that answers: it is adrift, /readyz says so beside its 200, and is silent again when healed."""
    with Fleet(1, tmp_path / "fleet") as fleet, gateway_for(fleet, tmp_path / "gateway") as gateway:
        gateway.wait_all_well()
        fleet.control(0, "lose_chain")
        wait_until(lambda: "adrift, its wallet is not synced" in readiness(gateway)[2], "it says so")
        assert readiness(gateway)[0] == 200
        assert gateway.call("getbalance").result == fleet.rpc(0, "getbalance")
        fleet.control(0, "heal")
        wait_until(lambda: readiness(gateway) == (200, "", ""), "it is well")


def test_a_daemon_that_never_had_its_chain_is_not_ready(tmp_path: Path) -> None:
    """Starting, its wallet not synced; 503 until it is."""
    with Fleet(1, tmp_path / "fleet", load=False) as fleet:
        fleet.control(0, "lose_chain")
        fleet.rpc(0, "load_wallet")
        with gateway_for(fleet, tmp_path / "gateway") as gateway:
            wait_until(lambda: "starting, its wallet is not synced" in readiness(gateway)[1], "it says so")
            assert readiness(gateway)[0] == 503
            fleet.control(0, "heal")
            wait_until(lambda: readiness(gateway) == (200, "", ""), "it is ready")


def test_a_daemon_behind_the_others_is_adrift(gateway: Gateway, fleet: Fleet) -> None:
    """It claims to be synced; only the others' height shows that it is not, and it takes no reads meanwhile."""
    fleet.chain("mine", blocks=3)
    fleet.control(1, "behind", 3)
    wait_until(lambda: gateway.backend("ec-2")["phase"] == "EJECTED", "ec-2 is ejected")
    status, why, ailing = readiness(gateway)
    assert (status, why) == (200, "")
    assert ailing == "ec-2: adrift, behind the height of the others"
    before = len(fleet.journal(1))
    for _ in range(20):
        assert gateway.call("getinfo").result["blockchain_height"] == fleet.rpc(0, "getinfo")["blockchain_height"]
    assert {row["id"][0] for row in fleet.journal(1)[before:]} <= {"p"}, "probes alone"
    fleet.control(1, "heal")
    gateway.wait_all_well()


def test_all_dead_is_said_at_once_and_over_when_one_is_back(tmp_path: Path) -> None:
    """no_backend names each of them; the same call is answered after one has returned."""
    with Fleet(2, tmp_path / "fleet") as fleet:
        settings = settings_for(backends(fleet))
        settings["wallets"]["main"]["expect_return"] = 0
        with Gateway(tmp_path / "gateway", settings) as gateway:
            gateway.wait_all_well()
            fleet.kill(0)
            fleet.kill(1)
            wait_until(lambda: readiness(gateway)[1].count("dead, refuses connections") == 2, "both are dead")
            answer = gateway.call("getbalance", user="web")
            _check_no_backend(answer)
            fleet.start(1)
            wait_until(lambda: readiness(gateway)[0] == 200, "one is back")
            assert gateway.call("version").result == fleet.rpc(1, "version")
            found = gateway.call("createnewaddress").error
            assert found["code"] == -32001, "the primary alone allocates"
            assert "ec-1: dead, refuses connections" in found["message"]
            assert json.dumps(found).count("ec-2") == 0


def _check_no_backend(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    found = answer.error
    assert found["code"] == -32001
    assert (found["data"]["executed"], found["data"]["safe_to_repeat"]) == ("no", True)
    for name in ("ec-1", "ec-2"):
        assert f"{name}: dead, refuses connections" in found["message"]
