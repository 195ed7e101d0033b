"""Two gateways in containers: docker-compose.ha.yml on a real engine, called by its stable name while parts of it fail.

A payment service in a container of its own calls all the time, over kept connections and new ones; a gateway is killed,
frozen and replaced by another version, and the database is restarted.  Demanded each time: no read lost, and no address
given out twice.  A read counts as lost if it is not answered with its result, where the payment service sends it once
more if its connection broke before an answer, as HTTP libraries do.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import docker_compose, docker_servers
from tests.integration.docker_compose import ROOT, Project
from tests.integration.docker_shop import PASSWORD, Shop, Told

if TYPE_CHECKING:
    from tests.integration.docker_engine import Engine

pytest_plugins = ("tests.integration.docker_engine",)

PATIENCE = 60.0
"""Seconds after which something that should happen counts as never happening."""

GATEWAYS = {"gateway-1": "gw-1", "gateway-2": "gw-2"}
"""Services, and what they are called in a lease."""

WALLETS = ("ec-1", "ec-2", "ec-3")

OVERRIDE = """
services:
  front: {healthcheck: {interval: 2s}}
  gateway-1: {healthcheck: {interval: 3s}}
  gateway-2: {healthcheck: {interval: 3s}}
  database: {healthcheck: {interval: 1s}}
  guard: {healthcheck: {interval: 4s}}
  chain:
    image: ec-gateway:test
    entrypoint: [python, -m, gateway.sandbox.chain, --host=0.0.0.0, --port=7776]
    healthcheck: {test: [CMD, "true"], interval: 1s}
    networks: [chain]
"""
"""Looks soon, because `up --wait` ends no sooner than the first look; and a chain for the wallets."""

WALLET = "  {name}: {{command: [--load, '--chain=chain:7776'], networks: [chain], depends_on: [chain]}}\n"


@dataclass
class Pair:
    """Both gateways and what belongs to them, and every address that they have given out."""

    project: Project
    shop: Shop
    given: list[str] = field(default_factory=list)

    def status(self, service: str) -> Any:
        """How the wallet stands, as one gateway sees it; {} where that one does not answer."""
        url = f"http://{GATEWAYS[service]}:7780"
        said = self.project.run(service, "ec-gateway", "status", "--json", "--url", url, check=False)
        try:
            return json.loads(said)["wallets"]["main"]
        except ValueError:
            return {}

    def serves(self, service: str) -> bool:
        """Whether a gateway holds the wallet, with its primary in service."""
        found = self.status(service)
        primary = [one for one in found.get("backends", []) if one["primary"] and one["phase"] == "READY"]
        return bool(primary and found["lease"]["held"] and found["ledger"]["state"] == "adopted")

    def is_well(self, service: str) -> bool:
        """Whether a gateway holds the wallet, with all daemons in service."""
        backends = self.status(service).get("backends", [])
        well = [one for one in backends if one["phase"] == "READY" and one["aligned"]]
        return len(well) == len(WALLETS) and self.serves(service)

    def holder(self) -> str:
        """Wait until one of them holds the wallet, with all daemons in service, and return which."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [service for service in GATEWAYS if self.is_well(service)]
            return len(found) == 1

        wait_until(is_there, lambda: f"a gateway holds the wallet: {[self.status(one) for one in GATEWAYS]}")
        return found[0]

    def follows(self, service: str, holder: str) -> bool:
        """Whether a gateway sees another one as the holder."""
        return bool(self.status(service).get("lease", {}).get("holder") == GATEWAYS[holder])

    def is_ready(self, service: str) -> bool:
        """Whether a gateway says that it can take calls."""
        url = f"http://{GATEWAYS[service]}:7780"
        return self.project.run(service, "ec-gateway", "status", "--ready", "--url", url, check=False)[:5] == "ready"

    def wait_ready(self, *services: str) -> None:
        """Wait until gateways can take calls, and for as long as the front may need to see it: two looks."""
        wait_until(lambda: all(map(self.is_ready, services)), lambda: f"{services} are ready")
        time.sleep(1.0)

    def judge(self, told: Told, *may_be_told: str) -> None:
        """See that no read was lost and no address was given out twice, now or ever.

        Args:
            may_be_told: errors that a request for an address may be answered with.
        """
        assert len(told.reads) > 50
        assert told.lost == []
        assert told.given, "it asked for addresses all the time"
        self.given += told.given
        assert len(set(self.given)) == len(self.given), "an address was given out twice"
        assert told.refused(*may_be_told) == []


def wait_until(holds: Callable[[], object], what: Callable[[], str], patience: float = PATIENCE) -> None:
    """Wait until something holds; fail with `what` when it never does."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"never happened: {what()}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def pair(engine: "Engine", wallet_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """All of docker-compose.ha.yml, with the secrets as the script makes them; both gateways of the version before."""
    docker_compose.build(engine)
    docker_compose.build_before(engine)
    postgres, haproxy = docker_servers.build(engine)
    folder = tmp_path_factory.mktemp("ha")
    secrets = folder / "secrets"
    subprocess.run([ROOT / "scripts/compose_secrets.sh", secrets], check=True, capture_output=True)
    for name, value in (("shop_password", PASSWORD), ("wallet_rpc_password", "sandbox")):
        (secrets / name).chmod(0o644)
        (secrets / name).write_text(value + "\n")
    override = folder / "override.yml"
    override.write_text(
        OVERRIDE
        + "".join(WALLET.format(name=name) for name in WALLETS)
        + "networks: {chain: {internal: true}}\n"
        + "secrets:\n"
        + "".join(f"  {one.name}: {{file: '{one}'}}\n" for one in sorted(secrets.iterdir()))
    )
    project = Project(
        engine,
        "ecgw-pair",
        (ROOT / "docker-compose.ha.yml", override),
        {
            "ELECTRON_CASH_IMAGE": wallet_image,
            "POSTGRES_IMAGE": postgres,
            "HAPROXY_IMAGE": haproxy,
            "ECGW_IMAGE": docker_compose.BEFORE,
        },
    )
    with project.up():
        shop = Shop(engine, f"{project.name}_shop")
        try:
            both = Pair(project, shop)
            both.holder()
            yield both
        finally:
            shop.end()


def test_the_payment_service_reaches_the_stable_name_and_nothing_else(pair: Pair) -> None:
    """Neither an operators' door, nor a gateway, nor the database, nor a wallet, in whatever network that is."""
    project = pair.project
    ports = {"front": (7780, 8404), "gateway-1": (7777, 7780), "gateway-2": (7777, 7780), "database": (5432,)}
    ports |= dict.fromkeys(WALLETS, (7777, 7778))
    tries = [
        (network["IPAddress"], port)
        for service, those in ports.items()
        for network in project.inspect(service)["NetworkSettings"]["Networks"].values()
        for port in those
    ]
    tries += [(name, port) for name in ("gw-1", "gateway-2", "electron-cash", "front") for port in (7780, 8404)]
    tries += [("database", 5432), ("ec-1", 7777)]
    script = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"with ThreadPoolExecutor(60) as pool: print(json.dumps(list(pool.map(lambda pair: reach(*pair), {tries!r}))))"
    )
    assert "open" not in pair.shop.run(script)
    assert pair.shop.run('print(json.dumps(reach("electron-cash", 7777)))') == "open"
    # the same tries from inside succeed; a wallet is none of the front's business, nor is the database
    inside = "import socket; [socket.create_connection(one, 2) for one in (('gw-1', 7780), ('database', 5432))]"
    project.run("gateway-2", "python", "-c", inside)
    shut = project.run(
        "front",
        "bash",
        "-c",
        "for one in database/5432 ec-1/7777; do (: </dev/tcp/$one) && echo $one; done",
        check=False,
    )
    assert shut == ""


def test_no_container_has_rights_and_the_gateways_user_is_no_superuser(pair: Pair) -> None:
    """No capability anywhere, read-only where it is ours, nothing published, no secret in an environment."""
    for service in (*GATEWAYS, *WALLETS, "front", "database", "guard"):
        found = pair.project.inspect(service)
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["ReadonlyRootfs"] is (service not in WALLETS), service
        assert not host["PortBindings"], service
        assert PASSWORD not in " ".join([*found["Config"]["Env"], *(found["Config"]["Cmd"] or [])]), service
    question = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'ec_gateway'"
    assert pair.project.run("database", "psql", "-XAtc", question) == "f|f|f"
    assert pair.project.run("database", "psql", "-XAtc", "SHOW synchronous_commit") == "on"
    key = pair.project.run("gateway-1", "sh", "-c", "stat --format='%a %u' /tmp/ledger.key")
    assert key == "400 10001"


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_gateway_is_lost_while_clients_call(pair: Pair, how: str) -> None:
    """The one that holds the wallet, so that its clients, and those of the other one, need the other one."""
    lost = pair.holder()
    (other,) = GATEWAYS.keys() - {lost}
    engine, container = pair.project.engine, pair.project.container(lost)
    with pair.shop.calling() as told:
        time.sleep(1.0)
        engine.run("kill" if how == "killed" else "pause", container)
        try:
            # a frozen one keeps its connections: a daemon that it was speaking to serves nobody else meanwhile, and
            # where it was speaking to all of them they have to be restarted once no call can be running there
            wait_until(lambda: pair.serves(other), lambda: f"{other} takes over: {pair.status(other)}", 90.0)
            time.sleep(1.0)
        finally:
            engine.run("start" if how == "killed" else "unpause", container)
        wait_until(lambda: pair.follows(lost, other), lambda: f"{lost} follows: {pair.status(lost)}")
        wait_until(lambda: pair.is_well(other), lambda: f"all daemons are well: {pair.status(other)}")
        pair.wait_ready(lost)
    pair.judge(told, "outcome_unknown")
    # a killed one refuses at once, so that HAProxy may find the other one before any client notices
    assert told.was_felt or how == "killed", "it was never away: the test has shown nothing"


def test_the_database_is_restarted_while_clients_call(pair: Pair) -> None:
    """A second or two: within a lease, so that reads go on; addresses wait or are refused, and none is lost."""
    with pair.shop.calling() as told:
        time.sleep(1.0)
        pair.project.engine.run("restart", pair.project.container("database"))
        time.sleep(1.0)
        pair.holder()
    pair.judge(told, "read_only", "no_backend", "outcome_unknown")
    pair.wait_ready(*GATEWAYS)


def test_the_gateways_are_upgraded_one_by_one_while_clients_call(pair: Pair) -> None:
    """From the version before to this one, as docs/operating.md says: not a single call fails, addresses included."""
    project = pair.project
    with pair.shop.calling() as told:
        for service, node in GATEWAYS.items():
            before = project.inspect(service)
            if pair.holder() == service:
                order = ("handover", "--url", f"http://{node}:7780", "--token-file", "/run/secrets/admin_token")
                assert "given up" in project.run(service, "ec-gateway", *order)
            # as docs/operating.md says, but for the image's name
            project.compose("up", "--wait", "--no-build", "--no-deps", service, ECGW_IMAGE=docker_compose.IMAGE)
            assert project.inspect(service)["Image"] != before["Image"]
            pair.wait_ready(service)
        pair.holder()
    pair.judge(told)
    assert told.broken == []
