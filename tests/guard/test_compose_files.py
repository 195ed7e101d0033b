"""The compose files keep their promises, as far as they can be read: who mounts what, who shares a network with whom.

What a real engine makes of them is tests/integration/test_compose.py.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.app import check_profiles
from gateway.base.config import Settings
from gateway.base.loader import load

ROOT = Path(__file__).parents[2]
REAL, SANDBOX = ROOT / "docker-compose.yml", ROOT / "compose.sandbox.yml"
SETTINGS = ROOT / "config/compose"

WALLETS = ("ec-1", "ec-2", "ec-3")


def read(path: Path) -> dict[str, Any]:
    """A compose file, its anchors filled in."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def members(path: Path) -> dict[str, set[str]]:
    """Which services are in which network."""
    found: dict[str, set[str]] = {}
    for name, service in read(path)["services"].items():
        for network in service.get("networks", ["default"] if "network_mode" not in service else []):
            found.setdefault(network, set()).add(name)
    return found


def loaded(tmp_path: Path, *names: str) -> Settings:
    """Settings as the gateway's container sees them, with secrets in a folder of this test."""
    (tmp_path / "secrets").mkdir()
    for name in ("shop_password", "wallet_rpc_password", "admin_token"):
        (tmp_path / "secrets" / name).write_text("a-secret-of-more-than-32-letters-long\n")
    files = []
    for name in names:
        text = (SETTINGS / name).read_text(encoding="utf-8")
        files.append(tmp_path / name)
        files[-1].write_text(text.replace("/run/secrets", str(tmp_path / "secrets")))
    settings = load(files, {"ECGW_PROJECT": "mine"})
    check_profiles(settings)
    return settings


@pytest.mark.parametrize("path", [REAL, SANDBOX], ids=lambda path: path.name)
def test_the_guard_alone_has_the_engines_socket(path: Path) -> None:
    """And no network to be reached by; the gateway has what the guard makes, read-only."""
    services = read(path)["services"]
    holders = {name for name, one in services.items() if "docker.sock" in str(one.get("volumes", ""))}
    assert holders == {"guard"}
    assert services["guard"]["network_mode"] == "none"
    assert {name for name, one in services.items() if "guard:/run/ecgw" in str(one.get("volumes"))} == {
        "guard",
        "gateway",
    }
    assert "guard:/run/ecgw:ro" in services["gateway"]["volumes"]


@pytest.mark.parametrize("path", [REAL, SANDBOX], ids=lambda path: path.name)
def test_a_wallet_shares_its_network_with_the_gateway_alone(path: Path) -> None:
    """One idle connection from anybody else would be the outage."""
    found = members(path)
    for wallet in WALLETS:
        assert found[wallet] == {wallet, "gateway"}
    assert found["shop"] == {"gateway"}
    assert found["operators"] == {"gateway"}
    # what stands for the Internet in the sandbox; the gateway is not in it
    assert found.keys() - {*WALLETS, "shop", "operators"} <= {"chain"}
    assert "gateway" not in found.get("chain", set())


@pytest.mark.parametrize("path", [REAL, SANDBOX], ids=lambda path: path.name)
def test_every_container_is_bound(path: Path) -> None:
    """No capability, no new privileges, a limit of memory and of processes, and nothing published but on loopback."""
    for name, service in read(path)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["init"] is True, name
        assert "privileged" not in service, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
            assert name == "gateway"


@pytest.mark.parametrize("path", [REAL, SANDBOX], ids=lambda path: path.name)
def test_docker_does_not_start_a_wallet_that_was_stopped_in_order(path: Path) -> None:
    """An orderly stop ends with 0, and what comes next is the gateway's."""
    for wallet in WALLETS:
        service = read(path)["services"][wallet]
        assert service["restart"] == "on-failure"
        assert service["labels"] == {"ecgw.wallet": "${COMPOSE_PROJECT_NAME}"}
    assert read(path)["services"]["guard"]["command"] == ["--label=ecgw.wallet=${COMPOSE_PROJECT_NAME}"]


def test_the_real_file_has_no_wallet_of_its_own() -> None:
    """No default could take money, and no secret is in an environment."""
    services = read(REAL)["services"]
    for wallet in WALLETS:
        assert services[wallet]["image"].startswith("${ELECTRON_CASH_IMAGE:?")
    for name, service in services.items():
        for key in service.get("environment", {}):
            assert not re.search(r"PASSWORD$|TOKEN$|SECRET", key), (name, key)
    assert "ledger:/var/lib/ec-gateway" in services["gateway"]["volumes"]
    assert services["gateway"]["networks"]["shop"]["aliases"] == ["electron-cash"]


@pytest.mark.parametrize(
    ("names", "wallets"),
    [
        (["gateway.yaml", "wallets-one.yaml"], ["ec-1"]),
        (["gateway.yaml", "wallets-three.yaml"], ["ec-1", "ec-2", "ec-3"]),
        (["sandbox.yaml"], ["ec-1", "ec-2", "ec-3"]),
    ],
    ids=["one", "three", "sandbox"],
)
def test_the_settings_fit_the_files(tmp_path: Path, names: list[str], wallets: list[str]) -> None:
    """Each backend is a service, and its launcher knows that service's container and the guard's socket."""
    settings = loaded(tmp_path, *names)
    backends = settings.wallets["main"].backends
    assert [backend.name for backend in backends] == wallets
    for backend in backends:
        assert backend.url == f"http://{backend.name}:7777"
        assert backend.launcher is not None
        assert backend.launcher.kind == "docker"
        assert backend.launcher.own == {
            "container": f"mine-{backend.name}-1",
            "host": "unix:///run/ecgw/docker.sock",
        }
    assert settings.admin.host == "ecgw-admin"
    assert settings.ledger is not None
    assert settings.ledger.path == "/var/lib/ec-gateway/ledger.db"


@pytest.mark.parametrize(
    ("profiles", "wallets"),
    [
        ("", "one"),
        ("three", "three"),
        ("monitoring", "one"),
        ("three,monitoring", "three"),
        ("monitoring,three", "three"),
        ("thre", "one"),
    ],
)
def test_the_gateway_reads_the_wallets_that_the_profiles_name(tmp_path: Path, profiles: str, wallets: str) -> None:
    """Profiles that name none, such as `monitoring`, leave it at one; the words of the command are kept as they are."""
    gateway = read(REAL)["services"]["gateway"]
    assert gateway["environment"]["PROFILES"] == "${COMPOSE_PROFILES:-}"
    shell, option, script, name = gateway["entrypoint"]
    stub = tmp_path / "ec-gateway"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    script = script.replace("$$", "$").replace("/etc/ec-gateway", str(SETTINGS))
    done = subprocess.run(
        [shell, option, script, name, *gateway["command"], "with a space"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PROFILES": profiles},
        check=True,
        capture_output=True,
        text=True,
    )
    words = ["run", "-c", "/etc/ec-gateway/gateway.yaml", "with a space", "-c", f"{SETTINGS}/wallets-{wallets}.yaml"]
    assert done.stdout.splitlines() == words


def test_what_is_not_needed_does_not_go_into_the_image() -> None:
    """Everything is left out but a few: a secret that is added tomorrow is left out as well."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    assert [line for line in lines if line.startswith("!")] == [
        "!gateway",
        "!pyproject.toml",
        "!README.md",
        "!requirements/runtime.txt",
        "!requirements/compile.txt",
        "!scripts/compile.py",
    ]
