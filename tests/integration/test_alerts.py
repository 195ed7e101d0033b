"""Alerts end to end: a real gateway, sandbox wallets and a real HTTP receiver, which hears each thing exactly once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import ROOT, Gateway, backends, settings_for, wait_until
from tests.integration.receiver import SECRET, Receiver, receiving


@pytest.fixture(scope="module")
def one_daemon(folder: Path) -> Iterator[Fleet]:
    """A wallet with one daemon, as in the incident."""
    with Fleet(1, folder / "one") as fleet:
        yield fleet


@pytest.fixture
def daemon(one_daemon: Fleet) -> Iterator[Fleet]:
    """The same, well before and after."""
    yield one_daemon
    if one_daemon.is_alive(0):
        one_daemon.thaw(0)
    else:
        one_daemon.start(0)


def settings_with(fleet: Fleet, receiver: Receiver, folder: Path, **alerts: Any) -> dict[str, Any]:
    """Settings with short times and one webhook."""
    sinks = [{"name": "pager", "kind": "webhook", "url": receiver.url, "secret": SECRET, "timeout": 2}]
    return settings_for(
        backends(fleet),
        ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
        alerts={"sinks": sinks, "settle": 1.0, "stuck_after": 1.5, **alerts},
    )


def freeze_for_an_alert(gateway: Gateway, fleet: Fleet) -> None:
    """Freeze the daemon until the gateway has told of it."""
    before = len(gateway.events("alert.opened", alert="all_down"))
    fleet.freeze(0)
    wait_until(lambda: len(gateway.events("alert.opened", alert="all_down")) > before, "all_down is opened")


def thaw_for_an_end(gateway: Gateway, fleet: Fleet) -> None:
    """Let the daemon go on until the gateway has told that it is over."""
    before = len(gateway.events("alert.closed", alert="all_down"))
    fleet.thaw(0)
    wait_until(lambda: len(gateway.events("alert.closed", alert="all_down")) > before, "all_down is closed")


def test_a_frozen_wallet_is_opened_and_closed_exactly_once(daemon: Fleet, tmp_path: Path) -> None:
    """Signed, with one incident and its duration, and without an address or a password."""
    with receiving() as receiver, Gateway(tmp_path, settings_with(daemon, receiver, tmp_path)) as gateway:
        gateway.wait_all_well()
        freeze_for_an_alert(gateway, daemon)
        wait_until(lambda: receiver.told("all_down") == ["opened"], "the receiver hears of it")
        wait_until(lambda: receiver.told("stuck") == ["opened"], "the receiver hears of the daemon")
        thaw_for_an_end(gateway, daemon)
        wait_until(lambda: receiver.told("all_down") == ["opened", "closed"], "the receiver hears of the end")
        wait_until(lambda: receiver.told("stuck") == ["opened", "closed"], "and of that of the daemon")
        opened, closed = (one["data"] for one in receiver.messages if one["data"]["kind"] == "all_down")
        assert opened["incident"] == closed["incident"]
        assert opened["text"].startswith("main answers nothing (ec-1: silent")
        assert closed["seconds"] > 0
        assert gateway.metric("ecgw_alert_messages_total", sink="pager", outcome="delivered") == receiver.posts
        text = json.dumps(receiver.messages)
        assert not any(address.rpartition(":")[2] in text for address in daemon.rpc(0, "listaddresses"))
        assert daemon.password not in text
        assert gateway.stop() == 0
        assert receiver.posts == len(receiver.messages)


def test_an_answer_that_gets_lost_makes_nothing_happen_twice(daemon: Fleet, tmp_path: Path) -> None:
    """It is sent again with the same id, and the receiver has done it already."""
    with receiving(lose=2) as receiver, Gateway(tmp_path, settings_with(daemon, receiver, tmp_path)) as gateway:
        gateway.wait_all_well()
        freeze_for_an_alert(gateway, daemon)
        thaw_for_an_end(gateway, daemon)
        wait_until(lambda: receiver.told("all_down") == ["opened", "closed"], "the receiver hears of both")
        assert receiver.posts > len(receiver.messages)


def test_a_receiver_that_was_away_hears_of_everything_once_it_is_back(daemon: Fleet, tmp_path: Path) -> None:
    """Opened and closed while nobody was there; calls were answered all the while, and log and metrics say why."""
    with receiving() as receiver, Gateway(tmp_path, settings_with(daemon, receiver, tmp_path)) as gateway:
        gateway.wait_all_well()
        receiver.close()
        freeze_for_an_alert(gateway, daemon)
        wait_until(lambda: gateway.events("alert.not_delivered", sink="pager"), "it is told that nobody takes it")
        assert gateway.metric("ecgw_alert_sink_failing", sink="pager") == 1
        thaw_for_an_end(gateway, daemon)
        assert gateway.call("version").json["result"]
        assert receiver.messages == []
        receiver.open()
        wait_until(lambda: receiver.told("all_down") == ["opened", "closed"], "the receiver hears of both, in order")
        wait_until(lambda: gateway.metric("ecgw_alert_sink_failing", sink="pager") == 0, "the sink works")
        assert "refused" in gateway.events("alert.not_delivered")[0]["reason"].lower()
        assert SECRET not in gateway.log_path.read_text()


def test_a_sink_that_a_reload_brings_hears_of_what_is_open_and_a_gateway_that_stops_closes_it(
    daemon: Fleet, tmp_path: Path
) -> None:
    """Whoever comes late is told what he will be told the end of; and the next gateway begins anew."""
    with receiving() as receiver:
        settings = settings_with(daemon, receiver, tmp_path)
        without = {**settings, "alerts": {**settings["alerts"], "sinks": []}}
        with Gateway(tmp_path, without) as gateway:
            gateway.wait_all_well()
            freeze_for_an_alert(gateway, daemon)
            gateway.write(settings)
            wait_until(lambda: receiver.told("all_down") == ["opened"], "the receiver hears of it")
            assert gateway.stop() == 0
            assert receiver.told("all_down") == ["opened", "closed"]


# -- trying it out --------------------------------------------------------------------------------------------


def alert_test(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `ec-gateway alert-test`."""
    command = [sys.executable, "-m", "gateway", "alert-test", "-c", str(config), *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_alert_test_reaches_a_receiver(fleet: Fleet, tmp_path: Path) -> None:
    """Without a gateway; and says when nobody is there."""
    with receiving() as receiver:
        config = tmp_path / "gateway.yaml"
        config.write_text(yaml.safe_dump(settings_with(fleet, receiver, tmp_path)), encoding="utf-8")
        done = alert_test(config)
        assert (done.returncode, done.stdout) == (0, "pager (webhook): delivered\n")
        assert receiver.told("test") == ["test"]
        receiver.close()
        done = alert_test(config, "--sink", "pager")
        assert done.returncode == 1
        assert "pager (webhook): not delivered: it cannot be reached (Connection refused)" in done.stderr
        assert receiver.url not in done.stderr
        assert SECRET not in done.stdout + done.stderr
