"""The dashboards and the rules against a real Prometheus, which scraped real gateways through faults.

Three gateways: two that share a wallet of three daemons on one PostgreSQL, and one that is alone and starts its daemon
itself.  They are called, paid through, and hurt; then every expression of every panel and rule is asked.
"""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.rpc import DoorCounters
from gateway.observe.catalogue import CATALOGUE
from gateway.observe.metrics import Metrics
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.ports import free_port
from gateway.upstream.launchers import Memory
from tests.config import expressions
from tests.config.expressions import RULES, Expression
from tests.integration.gateway_process import ALL_EFFECTS, ROOT, Gateway, client, settings_for, wait_until
from tests.integration.postgres_server import running as running_database
from tests.integration.prometheus_server import RATE_INTERVAL, Prometheus, require
from tests.integration.prometheus_server import running as running_prometheus
from tests.integration.receiver import SECRET, Receiver, receiving
from tests.integration.test_cluster import Gateways, lease
from tests.supervision.care_bench import CareBench, play

pytestmark = pytest.mark.timeout(180)
"""The first test waits for all that is done before, on a machine that others may keep busy."""

STRANGER = "bchreg:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqha9s37tt"

WITHOUT_DATA = {"wallet: Memory grows by: A"}
"""A slope needs ten looks at a daemon, ten seconds apart: longer than all of this.  A test of its own records it."""

NOT_SEEN = {"backend_memory_growth_bytes_per_second"}
"""The same, as a metric."""


@dataclass
class Seen:
    """What a Prometheus has seen, and when."""

    prometheus: Prometheus
    began: float
    ended: float
    pages: list[bytes]
    """What gateways showed at the end."""

    def samples(self, expression: str) -> list[float]:
        """All values of an expression that are numbers."""
        # a step more than it took: what was scraped last lies between the last two of them
        found = self.prometheus.over(filled_in(expression), self.began, self.ended + 1.0)
        values = [float(text) for series in found for _, text in series["values"]]
        return [value for value in values if math.isfinite(value)]


def filled_in(expression: str) -> str:
    """What Grafana makes of an expression where everything is chosen."""
    text = expression.replace("$__rate_interval", RATE_INTERVAL)
    return text.replace("$instance", ".*").replace("$wallet", ".*")


def alone(folder: Path, chain: Fleet, receiver: Receiver) -> dict[str, Any]:
    """Settings of the gateway that starts its daemon itself and tells somebody of what is wrong."""
    port = free_port()
    options = {
        "port": port, "control": 0, "chain": f"127.0.0.1:{chain.chain_port}", "data": folder / "wallet",
        "seed": "alone", "user": "user", "password-env": "ITS_PASSWORD", "journal": folder / "journal.jsonl",
    }  # fmt: skip
    command = [sys.executable, "-m", "gateway.sandbox.daemon", *(f"--{key}={one}" for key, one in options.items())]
    launcher = {
        "kind": "process", "command": command, "output": str(folder / "daemon.log"),
        "env": {"ITS_PASSWORD": "sandbox", "PYTHONPATH": str(ROOT)}, "die_with_gateway": True,
    }  # fmt: skip
    backend = {
        "name": "own", "url": f"http://127.0.0.1:{port}", "username": "user", "password": "sandbox",
        "launcher": launcher,
    }  # fmt: skip
    sinks = [
        {"name": "pager", "kind": "webhook", "url": receiver.url, "secret": SECRET, "timeout": 2},
        {"name": "away", "kind": "webhook", "url": f"http://127.0.0.1:{free_port()}/", "secret": SECRET, "timeout": 1},
    ]
    return settings_for(
        [],
        clients=[client(name, effects=ALL_EFFECTS, wallets=["shop"]) for name in ("shop", "till")],
        wallets={"shop": {"backends": [backend]}},
        ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
        restart={"backoff": 0.2, "backoff_max": 1.0, "healthy_after": 0.5, "max_per_hour": 100},
        alerts={"sinks": sinks, "settle": 0.5, "stuck_after": 1.0},
    )


class Traffic:
    """Clients of all three gateways: they read, take addresses, pay, do what they may not, and send what is no call."""

    def __init__(self, gateways: list[Gateway]) -> None:
        """Begin."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in gateways]
        for thread in self._threads:
            thread.start()

    def _run(self, gateway: Gateway) -> None:
        while not self._over.wait(0.1):
            for method, params in (("getbalance", ()), ("createnewaddress", ()), ("getseed", ()), ("version", ())):
                self._try(gateway, json.dumps({"id": 1, "method": method, "params": params}))
            self._try(gateway, "{")
            self._try(gateway, "{}", user="nobody")

    @staticmethod
    def _try(gateway: Gateway, body: str, user: str = "till") -> None:
        try:
            gateway.post(body.encode(), user=user, headers={"X-Request-Timeout": "3"})
        except OSError:
            # it was killed, which is part of the game
            time.sleep(0.1)

    def stop(self) -> None:
        """End."""
        self._over.set()
        for thread in self._threads:
            thread.join()


def pay(gateway: Gateway, fleet: Fleet) -> None:
    """Sign a payment, and broadcast another one."""
    fleet.chain("fund", address=gateway.call("createnewaddress").result, sats=9_000_000)
    fleet.chain("mine", blocks=1)
    wait_until(lambda: gateway.call("getbalance").json.get("result", {}).get("confirmed") == "0.09", "coins are seen")
    signed = gateway.call("payto", STRANGER, "0.001", user="till", headers={"Idempotency-Key": "one"}).result
    gateway.call("broadcast", signed["hex"], user="till")
    gateway.call("payto", STRANGER, "0.001", user="till", headers={"Idempotency-Key": "two"})


def hurt(both: Gateways, single: Gateway) -> None:
    """A daemon is frozen, another one killed, and then the gateway that holds the wallet."""
    primary = next(one["name"] for one in both.running[both.holder()].status()["backends"] if one["primary"])
    index = int(primary[-1]) - 1
    both.fleet.freeze(index)
    for _ in range(2):
        wanted = len(single.events("restart.done")) + 1
        os.kill(daemon_of(single), signal.SIGKILL)
        for _ in range(3):
            # nobody can answer so soon
            single.call("getbalance", wait=0.01)
        wait_until(partial(is_restarted, single, wanted), "the killed daemon is back")
        # a scrape between them: what has grown within one is no rate
        time.sleep(1.2)
    both.fleet.thaw(index)
    holder = both.wait_for_holder()
    both.running[holder].kill()
    both.wait_for_holder(other_than=holder)


def is_restarted(gateway: Gateway, count: int) -> bool:
    """Whether so many restarts are done."""
    return len(gateway.events("restart.done")) >= count


def daemon_of(gateway: Gateway) -> int:
    """The process of the daemon that a gateway has started: its only child."""
    pid = gateway.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(child)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A Prometheus after all of that."""
    require()
    folder = tmp_path_factory.mktemp("monitoring")
    with running_database() as database, Fleet(3, folder / "fleet") as fleet, receiving() as receiver:
        both = Gateways(folder, fleet, database, database.database().url)
        try:
            for name in both.names:
                both.start(name)
            (folder / "alone").mkdir()
            with Gateway(folder / "alone" / "gateway", alone(folder / "alone", fleet, receiver)) as single:
                single.wait_all_well("shop")
                holder = both.running[both.wait_for_holder()]
                targets = {name: f"127.0.0.1:{one.admin_port}" for name, one in both.running.items()}
                targets["alone"] = f"127.0.0.1:{single.admin_port}"
                with running_prometheus(folder / "prometheus", free_port(), targets, [RULES]) as prometheus:
                    began = time.time()
                    traffic = Traffic([*both.running.values(), single])
                    try:
                        wait_until(lambda: adopted(holder), "the wallet is adopted")
                        pay(holder, fleet)
                        hurt(both, single)
                        wait_until(
                            lambda: is_all_seen(prometheus), "the last of it was scraped, and the rules looked at it"
                        )
                    finally:
                        traffic.stop()
                    alive = [one for one in (*both.running.values(), single) if one.process.poll() is None]
                    pages = [one.admin("/metrics").text for one in alive]
                    yield Seen(prometheus, began, time.time(), pages)
        finally:
            both.end()


def adopted(gateway: Gateway) -> bool:
    """Whether the ledger has taken its wallet over."""
    return bool(lease(gateway)["held"]) and (gateway.status()["ledger"] or {}).get("state") == "adopted"


def is_all_seen(prometheus: Prometheus) -> bool:
    """Whether what comes last is there: a rate of a rate, calls that were sent on anew, and the next holder."""
    asked = (
        "ecgw:calls_failed:ratio_rate1h",
        "ecgw:calls_failed:ratio_rate5m",
        "ecgw_forwarded_repeats_total",
        "ecgw_lease_term > 1",
    )
    return all(prometheus.ask("query", query=one)["result"] for one in asked)


def test_every_panel_shows_something(seen: Seen) -> None:
    """No expression errs, and none is without a number the whole time."""
    empty = [one.place for one in expressions.panels() if not seen.samples(one.text)]
    assert set(empty) - WITHOUT_DATA == set()


def test_every_choice_and_every_mark_can_be_asked(seen: Seen) -> None:
    """The choices show what there is."""
    shown = {}
    for one, label in expressions.variables():
        series = seen.prometheus.over(filled_in(one.text), seen.began, seen.ended)
        shown[label] = {each["metric"][label] for each in series}
    assert shown == {"instance": {"gw-1", "gw-2", "alone"}, "wallet": {"main", "shop"}}
    marks = {one.place: bool(seen.samples(one.text)) for one in expressions.marks()}
    assert marks["incident: Promotions"], "a standby was promoted"


def test_every_rule_is_healthy(seen: Seen) -> None:
    """Each was looked at again and again, and none could not be worked out."""
    groups = seen.prometheus.ask("rules")["groups"]
    found = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(found.values()) == {"ok"}, found
    assert len(found) == len({one.place for one in expressions.rules()})


@pytest.mark.parametrize("one", expressions.rules(), ids=lambda one: one.place)
def test_what_a_rule_compares_is_there(seen: Seen, one: Expression) -> None:
    """Whether or not it holds: a rule about something that nobody counts would never fire."""
    for name in one.names:
        assert seen.samples(name), f"{name} was never seen"


def test_every_metric_of_the_catalogue_was_seen_and_is_what_it_says(seen: Seen) -> None:
    """With its kind and text as Prometheus took them in, and with just its labels."""
    told = seen.prometheus.ask("metadata")
    wrong = []
    for row in CATALOGUE.values():
        if row.name in NOT_SEEN:
            continue
        series = seen.prometheus.over(row.samples[0], seen.began, seen.ended)
        # an empty one is none to Prometheus, such as the effect of a call that nobody classified
        labels = {name for one in series for name in one["metric"]} - {"__name__", "instance", "job", "le"}
        if labels != set(row.labels) or not series:
            wrong.append(f"{row.name}: {labels}")
        (kind,) = told.get(f"ecgw_{row.name}", [{}])
        if (kind.get("type"), kind.get("help")) != (row.kind, row.text):
            wrong.append(f"{row.name}: {kind}")
    assert wrong == []


def test_promtool_finds_nothing_wrong_with_what_a_gateway_shows(seen: Seen) -> None:
    """Names, units, kinds and texts by its own conventions."""
    assert len(seen.pages) == 2
    for page in seen.pages:
        done = subprocess.run(["promtool", "check", "metrics"], input=page, check=False, capture_output=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_what_was_done_to_the_daemons_is_told(seen: Seen) -> None:
    """The frozen one and the killed one were out, a restart was counted, and the lease changed hands."""
    assert min(seen.samples('ecgw_backend_up{wallet="main"}')) == 0
    assert max(seen.samples('sum(ecgw_restarts_total{wallet="shop", outcome="done"})')) >= 1
    assert max(seen.samples("ecgw_lease_term")) > min(seen.samples("ecgw_lease_term"))
    assert max(seen.samples('sum(ecgw_alerts_open{wallet="shop"})')) >= 1
    assert max(seen.samples('ecgw_alert_messages_total{sink="pager", outcome="delivered"}')) >= 1
    assert max(seen.samples('ecgw_alert_sink_failing{sink="away"}')) == 1


RECORDED = 60
"""Scrapes of half an hour of a daemon that leaks."""

LEAK = 1000.0
"""Bytes a second."""


def record() -> list[list[str]]:
    """What `/metrics` says of growing memory while a daemon leaks, scrape by scrape: half an hour in a moment."""
    scrapes: list[list[str]] = []

    async def scene(bench: CareBench) -> None:
        metrics = Metrics(version="0", door=DoorCounters(), dropped_lines=lambda: 0)
        metrics.set_source(lambda: bench.plant.gauges(bench.loop.time()))
        began = bench.loop.time()
        for number in range(RECORDED):
            bench.launchers[0].usage = Memory(1_000_000 + int((bench.loop.time() - began) * LEAK), 1 << 30)
            await asyncio.sleep(30.0)
            found = [line for line in metrics.text().decode().splitlines() if any(name in line for name in NOT_SEEN)]
            assert found or number < RECORDED // 2, "the slope is told as soon as there were enough looks"
            scrapes.append(found)

    play(scene)
    return scrapes


def test_growing_memory_is_shown_as_it_was_recorded(tmp_path: Path) -> None:
    """The one panel whose data takes longer than a test: a Prometheus has them from what a gateway said of a leak."""
    require()
    began = time.time() - 4 * 3600.0
    heads: dict[str, None] = {}
    samples = []
    for number, lines in enumerate(record()):
        for line in lines:
            if line.startswith("#"):
                heads[line] = None
            else:
                # as a scrape would have it
                series, _, value = line.rpartition(" ")
                series = series.replace("{", '{instance="recorded",job="ec-gateway",')
                samples.append(f"{series} {value} {began + number * 30.0:.3f}")
    file = tmp_path / "recorded.txt"
    file.write_text("\n".join([*heads, *samples, "# EOF", ""]), encoding="utf-8")
    words = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(file), str(tmp_path / "prometheus" / "data")]
    subprocess.run(words, check=True, capture_output=True)
    with running_prometheus(tmp_path / "prometheus", free_port(), {}, []) as prometheus:
        seen = Seen(prometheus, began, began + RECORDED * 30.0, [])
        for one in expressions.panels():
            if one.place in WITHOUT_DATA:
                assert max(seen.samples(one.text)) == pytest.approx(LEAK, rel=0.05), one.place
        for name in NOT_SEEN:
            found = prometheus.over(f"ecgw_{name}", seen.began, seen.ended)
            labels = {label for one in found for label in one["metric"]}
            assert labels - {"__name__", "instance", "job"} == set(CATALOGUE[name].labels)
            assert f"# TYPE ecgw_{name} {CATALOGUE[name].kind}" in heads
