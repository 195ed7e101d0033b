"""The containers: both compose files against a real engine, with calls through the gateway and with what must fail.

The image is built from the Dockerfile, `docker compose up --wait` starts each file as a user would, and a payment
service in a container of its own tries what it may do and what it may not.
"""

import base64
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import docker_compose
from tests.integration.docker_compose import ROOT

if TYPE_CHECKING:
    from tests.integration.docker_engine import Engine

pytest_plugins = ("tests.integration.docker_engine",)

PATIENCE = 60.0
"""Seconds after which something that should happen counts as never happening."""

STATUS = ("ec-gateway", "status", "--url", "http://ecgw-admin:7780")

QUICK = "services:\n" + "".join(f"  {name}: {{healthcheck: {{interval: 4s}}}}\n" for name in ("gateway", "guard"))
"""Looks soon, because `up --wait` ends no sooner than the first look; and not more often, because a look costs time."""

QUICK_SANDBOX = QUICK + "".join(
    f"  {name}: {{healthcheck: {{interval: 4s}}}}\n" for name in ("chain", "ec-1", "ec-2", "ec-3")
)

OLD_PASSWORD = "the old password"
"""What the payment service has always sent."""

LOADED = QUICK + "  ec-1: {command: [--load]}\n"
"""The stand-in for a user's image loads its wallet by itself."""

LOADED_THREE = (
    QUICK
    + f"""  chain:
    image: {docker_compose.IMAGE}
    entrypoint: [python, -m, gateway.sandbox.chain, --host=0.0.0.0, --port=7776]
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
    networks: [chain]
"""
    + "".join(
        f"  ec-{n}: {{command: [--load, '--chain=chain:7776'], networks: [chain], depends_on: [chain]}}\n"
        for n in (1, 2, 3)
    )
    + "networks: {chain: {internal: true}}\n"
)
"""The same on one chain, which the real ones have in the network outside."""


class Project(docker_compose.Project):
    """One compose file as a project of its own, with one gateway and its guard."""

    def status(self) -> dict[str, dict[str, Any]]:
        """Each backend of the wallet as the gateway tells it."""
        found = json.loads(self.compose("exec", "-T", "gateway", *STATUS, "--json"))
        return {one["name"]: one for one in found["wallets"]["main"]["backends"]}

    def wait_ready(self, backend: str) -> None:
        """Wait until a backend is in service."""
        end = time.monotonic() + PATIENCE
        while (found := self.status()[backend])["phase"] != "READY":
            assert time.monotonic() < end, found
            time.sleep(0.2)

    def heals_from_a_pause(self, service: str) -> None:
        """Pause a wallet's container, as a wedge looks, and wait until the gateway has ended that and trusts it again.

        Whether the container goes on or begins a new life is the supervisor's business.
        """
        self.wait_ready(service)
        self.engine.run("pause", self.container(service))
        end = time.monotonic() + PATIENCE
        while self.inspect(service)["State"]["Paused"]:
            assert time.monotonic() < end, self.compose("logs", "--tail", "40", "gateway", "guard")
            time.sleep(0.2)
        self.wait_ready(service)
        assert "guard.ordered" in self.compose("logs", "--no-color", "guard")


def ledger_on(folder: Path) -> str:
    """The ledger's volume in a folder: the tests' engine may keep its own on a RAM disk, which the gateway refuses."""
    place = folder / "ledger"
    place.mkdir()
    # as a fresh volume takes its owner from the image
    os.chown(place, 10001, 10001)
    return f"volumes: {{ledger: {{driver_opts: {{type: none, o: bind, device: '{place}'}}}}}}\n"


@pytest.fixture(scope="module")
def image(engine: "Engine") -> str:
    """The image that the Dockerfile makes."""
    return docker_compose.build(engine)


def call(method: str, *params: object) -> str:
    """The body of a call."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


# -- the image


def test_the_image_runs_without_rights_and_holds_no_tools(engine: "Engine", image: str) -> None:
    """Another user than root, a root nobody can write to, no capability; and neither pip nor a compiler."""
    look = (
        "import importlib.util as u, os, shutil; "
        "print(os.getuid(), [n for n in ('pip', 'setuptools', 'wheel', 'ensurepip') if u.find_spec(n)], "
        "[n for n in ('pip', 'pip3', 'gcc', 'cc', 'make') if shutil.which(n)], "
        "os.access('/opt/ec-gateway', os.W_OK))"
    )
    bare = ("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    assert engine.run(*bare, "--entrypoint=python", image, "-c", look) == "10001 [] [] False"
    assert engine.run(*bare, image, "--version").startswith("ec-gateway, version ")


def test_the_image_says_when_it_is_not_ready(engine: "Engine", image: str) -> None:
    """Its own health check, with no gateway behind it."""
    (found,) = json.loads(engine.run("inspect", image))
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD", "ec-gateway", "status", "--ready"]
    assert found["Config"]["Volumes"] is None, "an anonymous volume would take the ledger and go with the container"
    said = engine.run("run", "--rm", "--network=none", image, "status", "--ready", check=False)
    assert "ready" not in said.split()


def test_a_ledger_in_the_containers_own_layer_is_refused(engine: "Engine", image: str) -> None:
    """Whoever runs the image without a volume is told before an address is given out."""
    settings = (
        "clients: [{name: a, username: a, password: b}]\n"
        "ledger: {path: /var/lib/ec-gateway/ledger.db}\n"
        "wallets: {main: {backends: [{name: a, url: 'http://127.0.0.1:1'}]}}\n"
    )
    script = f"cat > /tmp/x.yaml <<'X'\n{settings}X\nec-gateway run -c /tmp/x.yaml 2>&1; echo code=$?"
    said = engine.run("run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", script)
    assert said.endswith("code=1"), said
    assert "container's own layer" in said


# -- compose.sandbox.yml


@pytest.fixture(scope="class")
def sandbox(engine: "Engine", image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The gateway with three sandbox wallets."""
    del image
    folder = tmp_path_factory.mktemp("sandbox")
    quick = folder / "quick.yml"
    quick.write_text(QUICK_SANDBOX + ledger_on(folder))
    project = Project(engine, "ecgw-try", (ROOT / "compose.sandbox.yml", quick), {"ECGW_PORT": "0"})
    with project.up():
        yield project


class TestSandbox:
    """One project for these, taken away before the next one begins."""

    def test_the_sandbox_answers_on_this_machine(self, sandbox: Project) -> None:
        """On loopback alone, by the line that the file shows, and it says what it is."""
        where = sandbox.compose("port", "gateway", "7777").strip()
        assert where.startswith("127.0.0.1:")
        line = http.client.HTTPConnection(where, timeout=15)
        word = base64.b64encode(b"user:sandbox").decode()
        line.request("POST", "/", call("getbalance"), {"Authorization": f"Basic {word}"})
        answer = line.getresponse()
        said = json.load(answer)
        line.close()
        assert answer.headers["X-Sandbox"]
        assert "confirmed" in said.get("result", ""), said

    def test_a_paused_sandbox_wallet_is_healed(self, sandbox: Project) -> None:
        """As the file invites to try: killed and started again through the guard, with the other two serving on."""
        for name in ("ec-1", "ec-2", "ec-3"):
            sandbox.wait_ready(name)
        sandbox.heals_from_a_pause("ec-2")
        # the launcher asks for nothing that the guard does not give
        assert "guard.refused" not in sandbox.compose("logs", "--no-color", "guard")


# -- docker-compose.yml


def users_own(engine: "Engine", folder: Path, name: str, services: str, environment: dict[str, str]) -> Project:
    """The real file, with the ledger and the secrets in a folder; the secrets as the script makes them.

    Args:
        services: how the containers differ from the file's.
    """
    secrets = folder / "secrets"
    subprocess.run([ROOT / "scripts/compose_secrets.sh", secrets], check=True, capture_output=True)
    for word, value in (("shop_password", OLD_PASSWORD), ("wallet_rpc_password", "sandbox")):
        (secrets / word).chmod(0o644)
        (secrets / word).write_text(value + "\n")
    override = folder / "override.yml"
    override.write_text(
        services
        + ledger_on(folder)
        + "secrets:\n"
        + "".join(f"  {one.name}: {{file: '{one}'}}\n" for one in sorted(secrets.iterdir()))
    )
    return Project(engine, name, (ROOT / "docker-compose.yml", override), environment)


@pytest.fixture(scope="class")
def one(engine: "Engine", image: str, wallet_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One wallet container."""
    del image
    folder = tmp_path_factory.mktemp("one")
    project = users_own(engine, folder, "ecgw-one", LOADED, {"ELECTRON_CASH_IMAGE": wallet_image})
    with project.up():
        yield project


@pytest.fixture(scope="class")
def three(
    engine: "Engine", image: str, wallet_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Three of them on one seed, by nothing but the profile, and a chain for them."""
    del image
    environment = {"ELECTRON_CASH_IMAGE": wallet_image, "COMPOSE_PROFILES": "three"}
    project = users_own(engine, tmp_path_factory.mktemp("three"), "ecgw-three", LOADED_THREE, environment)
    with project.up():
        yield project


@dataclass
class Shop:
    """The payment service: a container in the one network that is meant for it."""

    engine: "Engine"
    container: str

    def run(self, script: str) -> Any:
        """Run Python there and return what it printed as JSON."""
        said = self.engine.run("exec", "-i", self.container, "python3", "-", given=(CLIENT + script).encode())
        return json.loads(said)

    def call(self, method: str) -> object:
        """Call through the gateway and return the result; fails with the error where there is one."""
        said = self.run(f'print(json.dumps(call("{method}")))')
        assert "result" in said, said
        return said["result"]


CLIENT = '''
import base64, concurrent.futures, http.client, json, socket, sys, time
HEAD = {"Authorization": "Basic " + base64.b64encode(b"user:the old password").decode()}

def call(method, *params):
    line = http.client.HTTPConnection("electron-cash", 7777, timeout=15)
    try:
        line.request("POST", "/", json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}), HEAD)
        return json.loads(line.getresponse().read())
    finally:
        line.close()

def reach(host, port):
    """How far one gets to a port."""
    try:
        socket.create_connection((host, port), timeout=1.5).close()
        return "open"
    except socket.gaierror:
        return "no such name"
    except OSError as error:
        return "shut: " + type(error).__name__
'''


CALLS_ON = """
end, is_back = time.monotonic() + 45, False
given, gaps = [], 0
while time.monotonic() < end:
    try:
        answer = call("createnewaddress")
    except (OSError, http.client.HTTPException):
        gaps += 1
        time.sleep(0.1)
        continue
    if "result" in answer:
        given.append(answer["result"])
        if gaps and not is_back:
            is_back, end = True, time.monotonic() + 2
    time.sleep(0.05)
print(json.dumps({"given": given, "gaps": gaps, "is_back": is_back}))
"""
"""Asks for addresses over a gap, and a little longer."""

READS_ON = """
end, answered, lost = time.monotonic() + 4, 0, []
while time.monotonic() < end:
    answer = call("getbalance")
    if "result" in answer:
        answered += 1
    else:
        lost.append(answer)
    time.sleep(0.05)
print(json.dumps({"answered": answered, "lost": lost}))
"""
"""Reads for a while."""

GUARD_TRIES = """
import json, pathlib
from gateway.guard.__main__ import UnixConnection

def ask(method, target, body=None):
    line = UnixConnection(pathlib.Path("/run/ecgw/docker.sock"))
    try:
        line.request(method, target, body)
    except BrokenPipeError:
        pass  # refused by its head, and closed before the body came
    answer = line.getresponse()
    return [answer.status, answer.read().decode()]

print(json.dumps([
    ask("GET", "/containers/WALLET/json"),
    ask("POST", "/containers/create", json.dumps({"Image": "x", "HostConfig": {"Privileged": True}})),
    ask("GET", "/containers/json"),
    ask("POST", "/containers/GATEWAY/kill"),
    ask("POST", "/containers/WALLET/exec", json.dumps({"Cmd": ["sh"]})),
    ask("GET", "/containers/WALLET/archive?path=/data"),
]))
"""
"""What somebody in the gateway's container would try."""


HEARD = """
import json, pathlib, time
from gateway.guard.__main__ import UnixConnection

line = UnixConnection(pathlib.Path("/run/ecgw/docker.sock"))
line.request("GET", f"/events?since=1&until={int(time.time()) + 1}")
events = [json.loads(one) for one in line.getresponse().read().splitlines()]
print(json.dumps([[one["Action"], one["Actor"]["Attributes"]] for one in events]))
"""
"""All events that the guard tells, from the beginning until now."""


@contextmanager
def shop_of(project: Project) -> Iterator[Shop]:
    """The payment service of a project."""
    engine, network = project.engine, f"{project.name}_shop"
    name = engine.run("run", "--detach", "--rm", "--network", network, "--stop-timeout=0", engine.image, "sleep", "600")
    yield Shop(engine, name)
    engine.run("rm", "--force", name, check=False)


@pytest.fixture
def shop(one: Project) -> Iterator[Shop]:
    """The payment service before one wallet."""
    with shop_of(one) as found:
        yield found


def test_without_an_image_of_your_own_nothing_starts(engine: "Engine", image: str) -> None:
    """There is no default that could take money."""
    del image
    project = Project(engine, "ecgw-none", (ROOT / "docker-compose.yml",))
    with pytest.raises(pytest.fail.Exception, match="ELECTRON_CASH_IMAGE"):
        project.compose("config")


class TestOneWallet:
    """One project for these."""

    def test_the_payment_service_changes_nothing(self, shop: Shop) -> None:
        """The daemon's old name and port, the old user and password."""
        assert "confirmed" in str(shop.call("getbalance"))
        assert str(shop.call("createnewaddress")).startswith("bchreg:")

    def test_only_the_gateway_reaches_the_operators_door_and_the_daemon(self, one: Project, shop: Shop) -> None:
        """Neither by name nor by address, in whatever network that is; from the gateway the same tries succeed."""
        addresses = {
            service: [network["IPAddress"] for network in one.inspect(service)["NetworkSettings"]["Networks"].values()]
            for service in ("gateway", "ec-1")
        }
        tries = [
            *[("ecgw-admin", 7780), ("electron-cash", 7780), ("gateway", 7780), ("ec-1", 7777)],
            *[(address, 7780) for address in addresses["gateway"]],
            *[(address, port) for address in addresses["ec-1"] for port in (7777, 7778)],
        ]
        script = (
            f"with concurrent.futures.ThreadPoolExecutor(20) as pool:\n"
            f"    print(json.dumps(list(pool.map(lambda pair: reach(*pair), {tries!r}))))"
        )
        assert "open" not in shop.run(script)
        assert shop.run('print(json.dumps(reach("electron-cash", 7777)))') == "open"
        from_inside = [("ecgw-admin", 7780), ("ec-1", 7777)]
        inside = CLIENT + f"print([reach(*pair) for pair in {from_inside!r}])"
        assert one.compose("exec", "-T", "gateway", "python", "-", given=inside).strip() == "['open', 'open']"

    def test_the_gateway_gets_no_docker_socket_and_no_way_around_the_guard(self, one: Project) -> None:
        """What an attacker in the gateway's container could do with it: restart wallets."""
        mounts = {mount["Destination"] for mount in one.inspect("gateway")["Mounts"]}
        assert mounts == {
            *{"/etc/ec-gateway", "/var/lib/ec-gateway", "/run/ecgw"},
            *{f"/run/secrets/{name}" for name in ("shop_password", "wallet_rpc_password", "admin_token")},
        }
        script = GUARD_TRIES.replace("WALLET", one.container("ec-1")).replace("GATEWAY", one.container("gateway"))
        answers = json.loads(one.compose("exec", "-T", "gateway", "python", "-", given=script))
        assert [status for status, _ in answers] == [200, 413, 403, 404, 413, 403]
        assert "RPC_" not in answers[0][1]
        assert json.loads(answers[0][1])["State"]["Running"] is True

    def test_no_container_has_rights_and_no_environment_has_a_secret(self, one: Project) -> None:
        """Read-only where it is ours, no capability anywhere, and passwords in files alone."""
        for service in ("gateway", "guard", "ec-1"):
            found = one.inspect(service)
            host = found["HostConfig"]
            assert host["CapDrop"] == ["ALL"], service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            assert host["Memory"] > 0, service
            assert host["ReadonlyRootfs"] is (service != "ec-1"), service
            assert not host["PortBindings"], service
            words = " ".join([*found["Config"]["Env"], *(found["Config"]["Cmd"] or [])])
            assert "the old password" not in words, service
        assert one.inspect("guard")["HostConfig"]["NetworkMode"] == "none"

    def test_the_gateway_is_replaced_while_clients_call(self, one: Project, shop: Shop) -> None:
        """`up --force-recreate`, as for a new version: it comes back, and no address is given out twice.

        A client repeats what was not answered; an address that nobody was told is harmless.
        """
        one.wait_ready("ec-1")
        before = one.inspect("gateway")["Id"]
        environment = {**os.environ, **one.engine.environment}
        with subprocess.Popen(
            ["docker", "exec", "-i", shop.container, "python3", "-"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client:
            assert client.stdin is not None
            client.stdin.write((CLIENT + CALLS_ON).encode())
            client.stdin.close()
            one.compose("up", "--wait", "--no-build", "--no-deps", "--force-recreate", "gateway")
            assert client.stdout is not None
            told = json.loads(client.stdout.read())
        assert one.inspect("gateway")["Id"] != before
        assert told["gaps"] > 0, "it was never away: the test has shown nothing"
        assert told["is_back"]
        assert len(set(told["given"])) == len(told["given"])

    def test_a_single_paused_wallet_is_healed(self, one: Project, shop: Shop) -> None:
        """The incident: one daemon, and it hangs.  The gateway ends that, and calls are answered as before."""
        one.heals_from_a_pause("ec-1")
        assert "confirmed" in str(shop.call("getbalance"))

    def test_the_gateway_hears_of_the_deaths_of_its_wallets_alone(self, one: Project, shop: Shop) -> None:
        """Of a thousand things that happen in an engine: health checks, other containers that end, networks."""
        other = one.engine.run("run", "--detach", one.engine.image, "false")
        one.engine.run("wait", other)
        one.engine.run("kill", one.container("ec-1"))
        heard = json.loads(one.compose("exec", "-T", "gateway", "python", "-", given=HEARD))
        assert ["die", {"name": one.container("ec-1"), "exitCode": "137", "ecgw.wallet": one.name}] in heard
        assert {attributes["name"] for _, attributes in heard} == {one.container("ec-1")}
        one.engine.run("rm", other)
        assert shop.container not in str(heard)


class TestThreeWallets:
    """One project for this."""

    def test_the_profile_alone_makes_three_wallets_of_which_any_may_hang(self, three: Project) -> None:
        """The gateway is given the file for three, all come into service, and a paused one is felt by nobody."""
        for name in ("ec-1", "ec-2", "ec-3"):
            three.wait_ready(name)
        with shop_of(three) as shop:
            assert str(shop.call("createnewaddress")).startswith("bchreg:")
            three.engine.run("pause", three.container("ec-2"))
            told = shop.run(READS_ON)
            assert told["answered"] > 20
            assert told["lost"] == []
            end = time.monotonic() + PATIENCE
            while three.inspect("ec-2")["State"]["Paused"]:
                assert time.monotonic() < end, three.compose("logs", "--tail", "40", "gateway", "guard")
                time.sleep(0.2)
            three.wait_ready("ec-2")
            assert "confirmed" in str(shop.call("getbalance"))
