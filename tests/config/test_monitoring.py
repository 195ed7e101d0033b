"""The files of the monitoring beside each set of containers: they fit, and open nothing to anybody."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.rules.kinds import Severity
from tests.config.expressions import CONFIG, RULES
from tests.integration.docker_compose import program

ROOT = CONFIG.parent
SETS = ("docker-compose.yml", "docker-compose.ha.yml", "compose.sandbox.yml")
FILE = "compose.monitoring.yml"
OURS = {"prometheus", "alertmanager", "grafana"}


def tool(name: str, package: str) -> str:
    """A real one; a missing one is told, and an error where real components are wanted."""
    found = shutil.which(name)
    if found is None:
        way_out = f"{name} is not installed; the way out: apt-get install -y --no-install-recommends {package}"
        assert os.environ.get("ECGW_REQUIRE_REAL") != "1", way_out
        pytest.skip(way_out)
    return found


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def made_of(name: str, profiles: str) -> dict[str, Any]:
    """What Compose makes of a set with these profiles."""
    done = subprocess.run(
        [program(), "-f", name, "--project-directory", str(ROOT), "config", "--format", "json"],
        cwd=ROOT,
        env={**os.environ, "ELECTRON_CASH_IMAGE": "mine", "COMPOSE_PROFILES": profiles},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(params=SETS)
def project(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What Compose makes of a set and the monitoring beside it."""
    return made_of(request.param, "monitoring")


@pytest.mark.parametrize("name", SETS)
def test_without_its_profile_nothing_of_it_runs(name: str) -> None:
    """Whoever watches by other means has none of it."""
    assert not made_of(name, "")["services"].keys() & OURS


def test_three_wallets_and_the_monitoring_are_asked_for_together() -> None:
    """Both are profiles; which settings the gateway reads then is seen in tests/guard/test_compose_files.py."""
    assert made_of(SETS[0], "three,monitoring")["services"].keys() >= {*OURS, "ec-1", "ec-2", "ec-3"}


def test_compose_takes_it_beside_each_set(project: dict[str, Any]) -> None:
    """Without a capability, read-only, with a limit, and with nothing of the set's own changed."""
    services = project["services"]
    assert services.keys() > OURS
    for name in OURS:
        one = services[name]
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert int(one["mem_limit"]) <= 512 << 20
        assert one["healthcheck"]["test"][0] == "CMD"
    assert project["networks"]["operators"]["internal"] is True


def test_only_prometheus_meets_the_gateways_and_only_grafana_is_reached_from_outside(project: dict[str, Any]) -> None:
    """On this machine alone; whoever reads charts is not in the operators' network."""
    networks = {name: set(one.get("networks") or ()) for name, one in project["services"].items()}
    assert {name for name in OURS if "operators" in networks[name]} == {"prometheus"}
    assert all(networks[name] <= {"operators", "monitoring"} for name in OURS)
    assert {name for name, places in networks.items() if "monitoring" in places} == OURS
    ports = {name: one["ports"] for name, one in project["services"].items() if name in OURS and one.get("ports")}
    assert list(ports) == ["grafana"]
    assert ports["grafana"][0]["host_ip"] == "127.0.0.1"
    assert "grafana_password" in project["secrets"]
    assert "PASSWORD__FILE" in str(project["services"]["grafana"]["environment"])


def test_every_file_that_is_mounted_is_there() -> None:
    """And no other folder of this machine."""
    for service in read(ROOT / FILE)["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert not source.startswith(".") or ((ROOT / source).is_dir() and mount.endswith(":ro"))


def test_prometheus_finds_the_gateways_of_each_set_by_their_names() -> None:
    """Those under which they are known in the operators' network."""
    (job,) = read(CONFIG / "prometheus" / "prometheus.yml")["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    found = {
        alias
        for file in SETS
        for name, one in read(ROOT / file)["services"].items()
        if name.startswith("gateway")
        for alias in one["networks"]["operators"]["aliases"]
    }
    assert set(names["names"]) == found
    assert (job["job_name"], names["port"]) == ("ec-gateway", 7780)


def test_promtool_takes_the_configuration() -> None:
    """With the rules that it names."""
    words = [tool("promtool", "prometheus"), "check", "config", "prometheus.yml"]
    done = subprocess.run(words, cwd=CONFIG / "prometheus", check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_takes_the_example_and_every_severity_has_a_receiver() -> None:
    """What no route takes would be told to nobody."""
    amtool, file = tool("amtool", "prometheus-alertmanager"), str(CONFIG / "alertmanager" / "alertmanager.yml")
    done = subprocess.run([amtool, "check-config", file], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = RULES.read_text(encoding="utf-8")
    used = {severity for severity in Severity if f"severity: {severity}" in rules}
    for severity in used:
        words = [
            amtool,
            "config",
            "routes",
            "test",
            f"--config.file={file}",
            f"severity={severity}",
            "alertname=EcgwGone",
        ]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        assert told == {Severity.CRITICAL: "pager", Severity.WARNING: "mail"}[severity]
    assert len(used) == 2
