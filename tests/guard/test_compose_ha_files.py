"""The files of two gateways keep their promises, as far as they can be read: compose, HAProxy, keepalived, settings.

What a real engine makes of them is tests/integration/test_compose_ha.py.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from gateway.app import READY_FIRST, check_profiles
from gateway.base.config import Settings
from gateway.base.loader import load
from gateway.ledger.key_file import LENGTH
from tests.guard.test_compose_files import REAL, ROOT, SETTINGS, WALLETS, members, read

PAIR = ROOT / "docker-compose.ha.yml"
MONITORING = ROOT / "compose.monitoring.yml"
HAPROXY = ROOT / "config/haproxy/haproxy.cfg"
KEEPALIVED = ROOT / "config/keepalived"

GATEWAYS = ("gateway-1", "gateway-2")
LEASE = 3.0


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secret files as the script makes them."""
    folder = tmp_path_factory.mktemp("secrets") / "secrets"
    subprocess.run([ROOT / "scripts/compose_secrets.sh", folder], check=True, capture_output=True)
    return folder


def loaded(tmp_path: Path, secrets: Path, node: str) -> Settings:
    """Settings as the container of one gateway sees them."""
    files = []
    for name in ("gateway.ha.yaml", "wallets-three.yaml"):
        text = (SETTINGS / name).read_text(encoding="utf-8")
        files.append(tmp_path / name)
        files[-1].write_text(text.replace("/run/secrets", str(secrets)))
    settings = load(files, {"ECGW_PROJECT": "mine", "ECGW_NODE": node})
    check_profiles(settings)
    return settings


def options(name: str) -> list[str]:
    """Lines of HAProxy's configuration that begin with a word."""
    lines = [line.strip() for line in HAPROXY.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line.split()[:1] == [name]]


# -- the compose file


def test_only_gateways_reach_wallets_and_the_database_and_only_the_front_is_reached() -> None:
    """The payment service shares a network with the front alone, which shares none with a wallet or the database."""
    found = members(PAIR)
    assert found == {
        "shop": {"front"},
        "operators": {"front", *GATEWAYS},
        "database": {"database", *GATEWAYS},
        **{wallet: {wallet, *GATEWAYS} for wallet in WALLETS},
    }
    networks = read(PAIR)["networks"]
    assert networks["operators"] == networks["database"] == {"internal": True}
    services = read(PAIR)["services"]
    assert services["front"]["networks"]["shop"]["aliases"] == ["electron-cash"]
    assert [services[one]["networks"]["operators"]["aliases"] for one in GATEWAYS] == [["gw-1"], ["gw-2"]]


def test_one_guard_has_the_engines_socket_and_both_gateways_have_its_own() -> None:
    """Read-only, and on no network."""
    services = read(PAIR)["services"]
    assert {name for name, one in services.items() if "docker.sock" in str(one.get("volumes", ""))} == {"guard"}
    assert services["guard"]["network_mode"] == "none"
    assert {name for name, one in services.items() if "guard:/run/ecgw" in str(one.get("volumes"))} == {
        "guard",
        *GATEWAYS,
    }
    assert all("guard:/run/ecgw:ro" in services[one]["volumes"] for one in GATEWAYS)


def test_every_container_is_bound() -> None:
    """No capability, no new privileges, limits, nothing published, and no secret in an environment."""
    for name, service in read(PAIR)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["init"] is True, name
        assert "privileged" not in service, name
        assert "ports" not in service, name
        assert service.get("read_only", name in WALLETS), name
        for key in service.get("environment", {}):
            assert not re.search(r"PASSWORD$|TOKEN$|SECRET|KEY", key), (name, key)


def test_wallets_and_guard_are_those_of_one_gateway() -> None:
    """What was thought about there holds here: no default that takes money, no restart into the gateway's hands."""
    ours, single = read(PAIR)["services"], read(REAL)["services"]
    for wallet in WALLETS:
        assert ours[wallet] == {key: value for key, value in single[wallet].items() if key != "profiles"}
        assert ours[wallet]["image"].startswith("${ELECTRON_CASH_IMAGE:?")
    assert ours["guard"] == {**single["guard"], "logging": ours["guard"]["logging"]}


def test_the_gateways_differ_in_their_names_alone() -> None:
    """So that either may hold every wallet."""
    first, second = (read(PAIR)["services"][name] for name in GATEWAYS)
    assert {key for key in first if first[key] != second[key]} == {"environment", "healthcheck", "networks"}
    assert [one["environment"].pop("ECGW_NODE") for one in (first, second)] == ["gw-1", "gw-2"]
    assert first["environment"] == second["environment"]
    assert int(first["stop_grace_period"].rstrip("s")) > Settings.model_fields["drain_timeout"].default


def test_the_database_keeps_what_it_said_it_had() -> None:
    """Nothing here takes the wait for the disk away, and its data is on a volume."""
    database = read(PAIR)["services"]["database"]
    assert not re.search("synchronous_commit|fsync|full_page_writes", str(database["command"]))
    assert "database:/var/lib/postgresql/data" in database["volumes"]
    assert database["environment"]["PGDATA"].startswith("/var/lib/postgresql/data/")
    assert database["user"] == "postgres"
    assert "postgres_password" not in read(PAIR)["services"]["gateway-1"]["secrets"]
    assert os.access(SETTINGS / "database.sh", os.X_OK)


def test_every_secret_is_made_by_the_script(secrets: Path) -> None:
    """And is nobody's but whose it is: the folder is closed, the key is as long as a key is."""
    named = set(read(PAIR)["secrets"]) | set(read(REAL)["secrets"]) | set(read(MONITORING)["secrets"])
    assert named == {one.name for one in secrets.iterdir()}
    for path in (PAIR, REAL, MONITORING):
        assert all(one == {"file": f"./secrets/{name}"} for name, one in read(path)["secrets"].items())
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert len((secrets / "ledger_key").read_bytes()) == LENGTH
    assert len({one.read_text() for one in secrets.iterdir()}) == len(named)


def test_secrets_that_are_there_stay(secrets: Path) -> None:
    """A second run makes none anew."""
    before = {one.name: one.read_text() for one in secrets.iterdir()}
    subprocess.run([ROOT / "scripts/compose_secrets.sh", secrets], check=True, capture_output=True)
    assert {one.name: one.read_text() for one in secrets.iterdir()} == before


# -- the settings


@pytest.mark.parametrize("node", ["gw-1", "gw-2"])
def test_the_settings_fit_the_file(tmp_path: Path, secrets: Path, node: str) -> None:
    """Names that are in the networks, doors that are looked at, and the database as it is made."""
    settings = loaded(tmp_path, secrets, node)
    assert settings.cluster is not None
    assert settings.ledger is not None
    assert (settings.cluster.name, settings.cluster.address) == (node, f"http://{node}:7777")
    assert (settings.admin.host, settings.admin.port) == (node, 7780)
    assert settings.cluster.lease == LEASE
    made = (SETTINGS / "database.sh").read_text(encoding="utf-8")
    assert settings.ledger.url == "postgresql://ec_gateway@database:5432/ec_gateway"
    assert re.search(r"CREATE DATABASE ec_gateway OWNER ec_gateway", made)
    assert not settings.ledger.may_be_asynchronous
    assert f" {settings.ledger.key_file} " in read(PAIR)["services"]["gateway-1"]["entrypoint"][2]
    assert [one.name for one in settings.wallets["main"].backends] == list(WALLETS)
    for backend in settings.wallets["main"].backends:
        assert backend.launcher is not None
        assert backend.launcher.own == {
            "container": f"mine-{backend.name}-1",
            "host": "unix:///run/ecgw/docker.sock",
        }


def test_clients_may_the_same_with_one_gateway_and_with_two() -> None:
    """Whoever moves from one to the other is not surprised."""
    assert read(SETTINGS / "gateway.ha.yaml")["clients"] == read(SETTINGS / "gateway.yaml")["clients"]


# -- the front


def test_the_front_looks_often_enough_and_cuts_what_is_frozen() -> None:
    """Out before a lease ends, and no new connection to a gateway that drains before that one closes its door."""
    (line,) = options("default-server")
    words = line.split()
    at = {word: words[index + 1] for index, word in enumerate(words[:-1])}
    inter, fast, fall = float(at["inter"][:-2]), float(at["fastinter"][:-2]), int(at["fall"])
    look = float(next(one for one in options("timeout") if "check" in one).split()[2][:-2])
    assert (inter + fall * look + (fall - 1) * fast) / 1000 < LEASE
    assert inter / 1000 < READY_FIRST
    assert at["on-marked-down"] == "shutdown-sessions"
    assert at["port"] == "7780"


def test_the_front_repeats_nothing_that_was_sent() -> None:
    """It is TCP alone, and tries again only to connect; a gateway that drains keeps the connections that it has."""
    text = HAPROXY.read_text(encoding="utf-8")
    assert "retry-on" not in text
    assert options("mode") == ["mode tcp", "mode http"]
    # the one that speaks HTTP is the container's own health check
    assert "frontend health\n    mode http\n    bind 127.0.0.1:" in text
    assert "http-check expect status 200 error-status L7OKC" in text
    assert options("server") == ["server gw-1 gw-1:7777", "server gw-2 gw-2:7777"] * 2
    volumes = read(PAIR)["services"]["front"]["volumes"]
    assert volumes == ["./config/haproxy:/usr/local/etc/haproxy:ro"]


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed; apt-get install haproxy")
def test_haproxy_takes_its_configuration() -> None:
    """With no more to say than that the gateways are not there."""
    done = subprocess.run(["haproxy", "-c", "-f", HAPROXY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert all("could not resolve address 'gw-" in line for line in warnings), warnings


# -- the other way


def test_an_address_stays_where_it_is_while_both_are_ready() -> None:
    """Both begin as equals; one that is not ready is worth less, one that does not live is worth nothing."""
    text = (KEEPALIVED / "keepalived.conf").read_text(encoding="utf-8")
    assert re.search(r"^    state BACKUP\b", text, re.MULTILINE)
    assert re.search(r"^    priority 100 ", text, re.MULTILINE)
    assert not re.search(r"^\s*nopreempt", text, re.MULTILINE)
    lives, ready = re.findall(r"vrrp_script \w+ \{(.*?)\n\}", text, re.DOTALL)
    assert "livez" in lives
    assert "weight" not in lives
    assert "readyz" in ready
    assert "weight 20" in ready
    assert os.access(KEEPALIVED / "check_gateway.sh", os.X_OK)
