"""A backend whose answers are none: classified, counted, and never passed off as an answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Gateway, Reads, backends, client, settings_for, wait_until
from tests.integration.liar import SPOILS, Liar


@dataclass
class Liars:
    """Two liars: the primary of main, which has an honest standby, and solo, which has nobody else."""

    gateway: Gateway
    fleet: Fleet
    primary: Liar
    solo: Liar

    def attempts(self, wallet: str, outcome: str) -> float:
        """How many attempts of a wallet ended so."""
        return self.gateway.metric("ecgw_attempts_total", wallet=wallet, outcome=outcome)


@pytest.fixture(scope="module")
def module_liars(fleet: Fleet, folder: Path) -> Iterator[Liars]:
    """One gateway in front of both."""
    honest = backends(fleet)
    with Liar(fleet.port(0)) as primary, Liar(fleet.port(2)) as solo:
        settings = settings_for([])
        settings["wallets"] = {
            "main": {"backends": [{**honest[0], "url": primary.url}, honest[1]]},
            "solo": {"backends": [{**honest[2], "url": solo.url}]},
        }
        settings["clients"] = [client("shop", wallets=["main", "solo"])]
        settings["upstream"] = {"max_head": 65536, "max_body": 65536}
        # one bucket pays the repeats of all tests here, and the hedges of a busy machine: it is not what is tested
        settings["retry"] = {"burst": 100}
        with Gateway(folder / "liars", settings) as gateway:
            yield Liars(gateway, fleet, primary, solo)


@pytest.fixture
def liars(module_liars: Liars) -> Iterator[Liars]:
    """The same, honest at first and afterwards, and well."""
    for wallet in ("main", "solo"):
        module_liars.gateway.wait_all_well(wallet)
    yield module_liars
    for liar in (module_liars.primary, module_liars.solo):
        liar.spoil = ""
        liar.let_go.set()


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_spoilt_answer_is_an_error_or_comes_from_elsewhere(spoil: str, liars: Liars) -> None:
    """With another backend the read is answered rightly; without one it is outcome_unknown, and safe to repeat.

    An answer beyond its cap would be as large from any other one, so that it is not asked for twice.
    """
    reason = SPOILS[spoil][1]
    before = {wallet: liars.attempts(wallet, reason) for wallet in ("main", "solo")}
    liars.primary.spoil = liars.solo.spoil = spoil
    answer = liars.gateway.call("getbalance")
    for _ in range(20):
        if liars.attempts("main", reason) > before["main"]:
            break
        # the primary was busy with a probe, and another one had the answer
        answer = liars.gateway.call("getbalance")
    if reason == "oversized":
        assert answer.error["code"] == -32004
        assert "oversized" in answer.error["message"]
    else:
        assert answer.result == liars.fleet.rpc(1, "getbalance")
    found = liars.gateway.call("getbalance", path="/wallets/solo").error
    assert found["code"] == -32004, found
    assert found["data"]["executed"] == "unknown"
    assert found["data"]["safe_to_repeat"] is True
    assert reason in found["message"]
    for wallet in ("main", "solo"):
        assert liars.attempts(wallet, reason) == before[wallet] + 1


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_write_with_a_spoilt_answer_is_unknown_and_runs_once(spoil: str, liars: Liars) -> None:
    """It was carried out, so nobody may say that it was not; its client may send it again, the gateway does not."""
    address = liars.fleet.rpc(2, "listaddresses")[0]
    label = f"spoilt by {spoil}"
    liars.solo.spoil = spoil
    found = liars.gateway.call("setlabel", address, label, path="/wallets/solo").error
    assert found["code"] == -32004, found
    assert found["data"]["executed"] == "unknown"
    assert found["data"]["safe_to_repeat"] is True
    written = [row for row in liars.fleet.journal(2) if row["method"] == "setlabel" and label in row["params"]]
    assert len(written) == 1


def test_a_late_answer_is_nobodys(liars: Liars) -> None:
    """It comes after its caller was told outcome_unknown; the next caller gets the answer to its own call."""
    liars.solo.let_go.clear()
    liars.solo.spoil = "late"
    path = "/wallets/solo"
    found = liars.gateway.call("validateaddress", "nonsense", wait=0.3, path=path).error
    assert found["code"] == -32004
    liars.solo.spoil = ""
    liars.solo.let_go.set()
    address = liars.fleet.rpc(1, "listaddresses")[0]
    assert liars.gateway.call("validateaddress", address, path=path).result is True


def test_a_primary_that_spoils_every_other_answer_is_not_noticed(liars: Liars) -> None:
    """Half answers, again and again, under a few reads per second: each read is answered rightly."""
    asks = [("getbalance", (), liars.fleet.rpc(1, "getbalance")), ("version", (), liars.fleet.rpc(1, "version"))]
    before = liars.attempts("main", "half")
    with Reads(liars.gateway, asks, pause=0.2) as reads:
        for _ in range(3):
            liars.primary.spoil = "half a body"
            reads.wait_more(2)
            liars.primary.spoil = ""
            reads.wait_more(2)
    assert reads.wrong == []
    assert liars.attempts("main", "half") > before
    wait_until(lambda: not liars.gateway.backend("ec-1")["suspect"], "ec-1 is trusted again")
