"""Launchers against what they are for: a real Docker engine, a real supervisord, real processes and shells."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.base import care
from gateway.upstream.launchers import Death, Launcher, LauncherError, State, Status
from gateway.upstream.launchers.registry import check, make
from tests.integration.gateway_process import wait_until

if TYPE_CHECKING:
    from tests.integration.docker_engine import Engine

pytest_plugins = ("tests.integration.docker_engine",)

ROOT = Path(__file__).parents[2]

PATIENCE = 20.0

SLEEPER = "import time; time.sleep(1e6)"

Made = list[Launcher]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    """Launchers that are closed at the end."""
    launchers: Made = []
    yield launchers
    for launcher in launchers:
        await launcher.close()


def new(made: Made, kind: str, *, timeout: float = 20.0, **own: Any) -> Launcher:
    """Make a launcher of checked settings."""
    settings = care.Launcher(kind=kind, timeout=timeout, **own)
    assert check(settings) == []
    made.append(make(settings, "ec-1", asyncio.get_running_loop()))
    return made[-1]


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.02)


async def reaches(launcher: Launcher, *states: State) -> Status:
    """Wait until a launcher tells of one of these states."""
    async with asyncio.timeout(PATIENCE):
        while (status := await launcher.status()).state not in states:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    return status


async def heard(deaths: list[Death], count: int = 1) -> Death:
    """Wait for a death, and return the last one."""
    await eventually(lambda: len(deaths) >= count)
    return deaths[-1]


# Docker


class Containers:
    """Containers of one test."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self.names: list[str] = []

    def run(self, *words: str, options: tuple[str, ...] = (), verb: str = "run") -> str:
        """Make a container of the base image and return its name."""
        name = f"real-{os.getpid()}-{time.monotonic_ns()}"
        self.names.append(name)
        detach = ("--detach",) if verb == "run" else ()
        self.engine.run(verb, *detach, "--name", name, "--network", "none", *options, self.engine.image, *words)
        return name

    def launcher(self, made: Made, name: str, **more: Any) -> Launcher:
        """Make a launcher of a container."""
        return new(made, "docker", container=name, host=f"unix://{self.engine.socket}", **more)

    def inspect(self, name: str, what: str) -> str:
        """Ask the engine beside the launcher."""
        return self.engine.run("inspect", "--format", what, name)


@pytest.fixture
def containers(engine: "Engine") -> Iterator[Containers]:
    """The containers of one test, removed after it."""
    some = Containers(engine)
    yield some
    if some.names:
        engine.run("rm", "--force", *some.names, check=False)


async def test_a_container_lives_ends_and_lives_anew(containers: Containers, made: Made) -> None:
    """Created, started, measured, stopped by force, started: each life has a name of its own."""
    name = containers.run("sleep", "infinity", verb="create")
    launcher = containers.launcher(made, name)
    created = await launcher.status()
    assert (created.state, created.instance, created.exit_code) == (State.EXITED, "", None)
    assert await launcher.memory() is None
    await launcher.start()
    first = await launcher.status()
    assert first.state is State.RUNNING
    assert first.instance == containers.inspect(name, "{{.State.StartedAt}}")
    assert first.started_at is not None
    assert abs(first.started_at - time.time()) < 60
    memory = await launcher.memory()
    assert memory is not None
    assert 0 < memory.used < 64 << 20
    assert memory.limit > 1 << 30, "the machine's, where the container has none"
    await launcher.start()
    assert (await launcher.status()).instance == first.instance, "one that runs is left alone"
    # PID 1 of a container hears no SIGTERM that it does not ask for
    await launcher.stop(0.2)
    ended = await launcher.status()
    assert (ended.state, ended.exit_code, ended.instance) == (State.EXITED, 137, "")
    await launcher.stop(0.2)
    await launcher.kill()
    await launcher.start()
    assert (await launcher.status()).instance not in ("", first.instance)


async def test_a_paused_container_goes_on_or_is_killed(containers: Containers, made: Made) -> None:
    """Paused is what a hung daemon looks like; all three orders work on it."""
    name = containers.run("sleep", "infinity", options=("--init",))
    launcher = containers.launcher(made, name)
    before = await launcher.status()
    containers.engine.run("pause", name)
    paused = await launcher.status()
    assert (paused.state, paused.instance) == (State.PAUSED, before.instance)
    await launcher.start()
    running = await launcher.status()
    assert (running.state, running.instance) == (State.RUNNING, before.instance)
    containers.engine.run("pause", name)
    await launcher.kill()
    killed = await launcher.status()
    assert (killed.state, killed.exit_code) == (State.EXITED, 137)
    await launcher.start()
    containers.engine.run("pause", name)
    await launcher.stop(5.0)
    assert (await launcher.status()).state is State.EXITED


async def test_dockers_own_restart_policy_is_no_rival(containers: Containers, made: Made) -> None:
    """What Docker has brought back is a new life; what it is about to bring back is left to it; a stop is final."""
    name = containers.run("sleep", "infinity", options=("--restart", "always"))
    launcher = containers.launcher(made, name)
    before = await launcher.status()
    deaths: list[Death] = []
    launcher.watch(deaths.append)
    await asyncio.sleep(0)
    os.kill(int(containers.inspect(name, "{{.State.Pid}}")), signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while (after := await launcher.status()).instance in ("", before.instance):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    await launcher.start()
    assert (await launcher.status()).instance == after.instance
    await launcher.kill()
    assert (await launcher.status()).instance != after.instance
    await launcher.start()
    assert (await reaches(launcher, State.RUNNING)).instance not in (before.instance, after.instance)
    await launcher.stop(0.0)
    assert (await launcher.status()).state is State.EXITED


async def test_a_container_that_docker_keeps_starting(containers: Containers, made: Made) -> None:
    """A loop of crashes is STARTING between two of them; our start adds none, and our stop ends it."""
    name = containers.run("sh", "-c", "exit 3", options=("--restart", "always"))
    launcher = containers.launcher(made, name)
    status = await reaches(launcher, State.STARTING)
    assert (status.instance, status.exit_code) == ("", 3)
    await launcher.start()
    await launcher.kill()
    await launcher.stop(0.0)
    count = containers.inspect(name, "{{.RestartCount}}")
    assert (await launcher.status()).state is State.EXITED
    await asyncio.sleep(0.5)
    assert containers.inspect(name, "{{.RestartCount}}") == count, "Docker has given it up"


async def test_an_oom_kill_is_heard_and_told(containers: Containers, made: Made) -> None:
    """The kernel ends a container at its limit; the death says so, and so does the status."""
    eater = "import time; time.sleep(1); hoard = [bytearray(1 << 20) for _ in range(200)]; time.sleep(1e6)"
    limits = ("--memory", "32m", "--memory-swap", "32m")
    name = containers.run("python3", "-c", eater, options=limits, verb="create")
    launcher = containers.launcher(made, name)
    deaths: list[Death] = []
    launcher.watch(deaths.append)
    await launcher.start()
    instance = (await launcher.status()).instance
    memory = await launcher.memory()
    assert memory is None or memory.limit == 32 << 20
    death = await heard(deaths)
    assert (death.exit_code, death.was_oom_killed) == (137, True)
    assert death.instance in (instance, containers.inspect(name, "{{.State.StartedAt}}"))
    status = await launcher.status()
    assert (status.state, status.exit_code, status.was_oom_killed) == (State.EXITED, 137, True)
    assert "OOM" in status.detail


async def test_four_orders_to_kill_are_one(containers: Containers, made: Made) -> None:
    """The engine carries out each order that it gets, one after the other; it gets one."""
    name = containers.run("sleep", "infinity")
    launcher = containers.launcher(made, name)
    since = containers.inspect(name, "{{.State.StartedAt}}")
    await asyncio.gather(*(launcher.kill() for _ in range(4)))
    await asyncio.gather(*(launcher.start() for _ in range(4)))
    events = ("--since", since, "--until", f"{time.time() + 1:.3f}", "--format", "{{.Action}}")
    told = containers.engine.run("events", "--filter", f"container={name}", *events).split()
    assert told.count("kill") == 1
    assert told.count("start") <= 2, "of the first run, if it is told, and ours"
    assert (await launcher.status()).state is State.RUNNING


async def test_a_wallet_file_is_copied_out_and_in(containers: Containers, made: Made) -> None:
    """Owner and rights stay; a running container's file is not replaced."""
    script = "test -e /w/f || { mkdir /w; echo one > /w/f; chown 1234:42 /w/f; chmod 640 /w/f; }; sleep infinity"
    name = containers.run("sh", "-c", script)
    launcher = containers.launcher(made, name)
    stat = ("exec", name, "stat", "-c", "%u:%g:%a", "/w/f")
    await eventually(lambda: containers.engine.run(*stat, check=False) == "1234:42:640")
    assert await launcher.read_wallet("/w/f") == b"one\n"
    with pytest.raises(LauncherError, match="is running; stop it"):
        await launcher.write_wallet("/w/f", b"two\n")
    await launcher.kill()
    await launcher.write_wallet("/w/f", b"two\n")
    assert await launcher.read_wallet("/w/f") == b"two\n"
    await launcher.start()
    assert containers.engine.run("exec", name, "stat", "-c", "%u:%g:%a %s", "/w/f") == "1234:42:640 4"
    with pytest.raises(LauncherError, match="look at the path /w/none"):
        await launcher.read_wallet("/w/none")
    with pytest.raises(LauncherError, match="no plain file"):
        await launcher.read_wallet("/w")


async def test_a_container_that_does_not_exist(containers: Containers, made: Made) -> None:
    """ABSENT to look at; an order says what to correct, and that trying again is of no use."""
    launcher = containers.launcher(made, "real-nobody")
    assert (await launcher.status()).state is State.ABSENT
    for order in (launcher.start(), launcher.kill(), launcher.stop(1), launcher.memory()):
        with pytest.raises(LauncherError, match=r"no container real-nobody.*create it, or correct") as caught:
            await order
        assert not caught.value.may_pass


def freeze(pid: int) -> None:
    """Stop a process, and wait until each of its threads stands still: until then one of them may go on answering."""

    def stands_still() -> bool:
        states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}

    os.kill(pid, signal.SIGSTOP)
    wait_until(stands_still, f"{pid} stands still")


async def test_an_engine_that_hangs_or_is_not_there(containers: Containers, made: Made, tmp_path: Path) -> None:
    """An order ends within its limit, and says where to look."""
    name = containers.run("sleep", "infinity", verb="create")
    launcher = containers.launcher(made, name, timeout=0.5)
    pid = int((containers.engine.folder / "pid").read_text())
    freeze(pid)
    try:
        for order in (launcher.status, launcher.start):
            with pytest.raises(LauncherError, match="look") as caught:
                await order()
            assert caught.value.may_pass
    finally:
        os.kill(pid, signal.SIGCONT)
    nowhere = new(made, "docker", container=name, host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(LauncherError, match="nothing is at unix://"):
        await nowhere.status()


def test_a_socket_without_rights(containers: Containers) -> None:
    """Whoever may not open it reads who must let them in."""
    program = f"""
import asyncio, os
from gateway.base import care
from gateway.upstream.launchers import LauncherError
from gateway.upstream.launchers.registry import make
async def look():
    settings = care.Launcher(kind="docker", container="x", host="unix://{containers.engine.socket}")
    launcher = make(settings, "ec-1", asyncio.get_running_loop())
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try:
        await launcher.status()
    except LauncherError as error:
        print(error.may_pass, error)
    await launcher.close()
asyncio.run(look())
"""
    containers.engine.folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False no right to open unix://"), done.stdout


async def test_a_wallet_in_a_container_is_killed_while_paused_and_serves_again(
    containers: Containers, wallet_image: str, made: Made
) -> None:
    """The sandbox wallet of the image answers, is paused, killed, started, and answers."""
    name = f"real-wallet-{os.getpid()}"
    containers.names.append(name)
    containers.engine.run("run", "--detach", "--name", name, "--init", wallet_image, "--load")
    launcher = containers.launcher(made, name)
    await asyncio.to_thread(balance, containers, name)
    containers.engine.run("pause", name)
    await launcher.kill()
    await launcher.start()
    assert "confirmed" in await asyncio.to_thread(balance, containers, name)


def balance(containers: Containers, name: str) -> dict[str, Any]:
    """Ask the wallet in a container, once it serves."""
    end = time.monotonic() + PATIENCE
    body = json.dumps({"id": 1, "method": "getbalance", "params": []}).encode()
    head = {"Authorization": "Basic dXNlcjpzYW5kYm94", "Content-Type": "application/json"}
    while True:
        address = containers.inspect(name, "{{.NetworkSettings.IPAddress}}")
        asked = urllib.request.Request(f"http://{address}:7777/", data=body, headers=head)
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - ours
                result: dict[str, Any] = json.load(answer)["result"]
                return result
        except OSError:
            assert time.monotonic() < end, "the wallet never serves"
            time.sleep(0.1)


# Supervisor


SUPERVISED = """
[supervisord]
nodaemon=true
logfile={folder}/log
pidfile={folder}/pid
childlogdir={folder}
[unix_http_server]
file={folder}/s.sock
username=op
password=secret
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:wallet]
command=sleep 1000000
autorestart=false
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
[program:loyal]
command=sleep 1000000
autostart=false
autorestart=true
startsecs=0
[program:broken]
command=/nowhere/at/all
autostart=false
"""


@pytest.fixture(scope="module")
def supervisord(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real one with two programs."""
    folder = tmp_path_factory.mktemp("sup")
    conf = folder / "conf"
    conf.write_text(SUPERVISED.format(folder=folder))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            end = time.monotonic() + PATIENCE
            while not (folder / "s.sock").exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
            yield f"unix://{folder}/s.sock"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def supervised(made: Made, url: str, program: str, password: str = "secret") -> Launcher:
    """Make a launcher of a program."""
    return new(made, "supervisor", url=url, program=program, username="op", password=password)


async def test_a_program_of_supervisord_lives_and_ends(supervisord: str, made: Made) -> None:
    """Each order does what it says, once or again; a stopped process is one that can be killed."""
    launcher = supervised(made, supervisord, "wallet")
    first = await reaches(launcher, State.RUNNING)
    assert first.instance
    await launcher.start()
    assert (await launcher.status()).instance == first.instance
    memory = await launcher.memory()
    assert memory is not None
    assert 0 < memory.used < memory.limit
    pid = int(first.instance.partition(":")[0])
    os.kill(pid, signal.SIGSTOP)
    await launcher.kill()
    assert (await reaches(launcher, State.EXITED)).instance == ""
    await launcher.kill()
    await launcher.start()
    second = await reaches(launcher, State.RUNNING)
    assert second.instance not in ("", first.instance)
    await asyncio.gather(*(launcher.stop(5.0) for _ in range(4)))
    assert (await launcher.status()).state is State.EXITED
    await launcher.stop(5.0)


async def test_supervisords_own_restarts_are_no_rival(supervisord: str, made: Made) -> None:
    """A program that supervisord brings back is a new life; a stop is final."""
    launcher = supervised(made, supervisord, "loyal")
    await launcher.start()
    first = await reaches(launcher, State.RUNNING)
    await launcher.kill()
    await launcher.start()
    second = await reaches(launcher, State.RUNNING)
    assert second.instance != first.instance
    await launcher.stop(5.0)
    assert (await launcher.status()).state is State.EXITED


async def test_what_supervisord_refuses(supervisord: str, made: Made) -> None:
    """An unknown program, a wrong password, a program that cannot be started: each with the way out."""
    nobody = supervised(made, supervisord, "nobody")
    assert (await nobody.status()).state is State.ABSENT
    with pytest.raises(LauncherError, match=r"correct launcher.program"):
        await nobody.start()
    with pytest.raises(LauncherError, match=r"correct launcher.username and .password") as caught:
        await supervised(made, supervisord, "wallet", password="wrong").status()
    assert not caught.value.may_pass
    broken = supervised(made, supervisord, "broken")
    with pytest.raises(LauncherError, match="supervisord refused startProcess of broken"):
        await broken.start()


# Processes


@pytest.fixture
def child(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The settings of a child, and its end after the test, whoever started it."""
    settings = {"command": [sys.executable, "-c", f"print('here', flush=True); {SLEEPER}"], "output": f"{tmp_path}/out"}
    yield settings
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(Path(f"{tmp_path}/out.pid").read_text().split()[1]), signal.SIGKILL)


async def test_a_child_lives_and_ends(made: Made, child: dict[str, Any]) -> None:
    """Output kept, memory seen, a stopped one let go on, each life told from the next, deaths heard."""
    launcher = new(made, "process", **child)
    deaths: list[Death] = []
    launcher.watch(deaths.append)
    assert (await launcher.status()).state is State.EXITED
    await launcher.start()
    first = await reaches(launcher, State.RUNNING)
    assert first.started_at is not None
    assert abs(first.started_at - time.time()) < 60
    await eventually(lambda: Path(child["output"]).read_text() == "here\n")
    memory = await launcher.memory()
    assert memory is not None
    assert 1 << 20 < memory.used < memory.limit
    pid = int(first.instance.split()[1])
    os.kill(pid, signal.SIGSTOP)
    await reaches(launcher, State.PAUSED)
    await launcher.start()
    assert (await reaches(launcher, State.RUNNING)).instance == first.instance
    os.kill(pid, signal.SIGSTOP)
    await asyncio.gather(*(launcher.kill() for _ in range(4)))
    assert (await heard(deaths)) == Death(first.instance, 137)
    assert (await launcher.status()).detail == "ended by signal 9"
    await launcher.start()
    second = await reaches(launcher, State.RUNNING)
    assert second.instance != first.instance
    await launcher.stop(5.0)
    assert (await heard(deaths, 2)) == Death(second.instance, 143)


async def test_exit_code_0_is_a_death(made: Made, tmp_path: Path) -> None:
    """A wallet that ended by itself does not serve, however well it ended; a program that is not there is told."""
    launcher = new(made, "process", command=["true"], output=f"{tmp_path}/out")
    deaths: list[Death] = []
    launcher.watch(deaths.append)
    await launcher.start()
    assert (await heard(deaths)).exit_code == 0
    assert (await launcher.status()).exit_code == 0
    absent = new(made, "process", command=["/nowhere/at/all"], output=f"{tmp_path}/out2")
    with pytest.raises(LauncherError, match=r"launcher\.command names /nowhere/at/all, and there is no such") as caught:
        await absent.start()
    assert not caught.value.may_pass


async def test_what_a_child_has_started_ends_with_it(made: Made, tmp_path: Path) -> None:
    """A shell round the daemon is no hiding place: two daemons on one wallet would tear it."""
    script = f"sleep 1000 & echo $! > {tmp_path}/inner; sleep 1000"
    launcher = new(made, "process", command=["sh", "-c", script], output=f"{tmp_path}/out")
    await launcher.start()
    await eventually(lambda: (tmp_path / "inner").exists() and (tmp_path / "inner").read_text().strip())
    inner = int((tmp_path / "inner").read_text())
    shell = int((await launcher.status()).instance.split()[1])
    os.kill(shell, signal.SIGKILL)
    await eventually(lambda: not runs(inner))


PARENT = """
import asyncio, json, sys, time
from gateway.base import care
from gateway.upstream.launchers.registry import make
async def begin():
    launcher = make(care.Launcher(**json.loads(sys.argv[1])), "ec-1", asyncio.get_running_loop())
    await launcher.start()
    print((await launcher.status()).instance, flush=True)
    await asyncio.sleep(1000)
asyncio.run(begin())
"""


def killed_gateway(settings: dict[str, Any]) -> str:
    """Let another process start a child, kill that process, and return the child's instance."""
    words = [sys.executable, "-c", PARENT, json.dumps({"kind": "process", **settings})]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        instance = parent.stdout.readline().strip()
        parent.kill()
    return instance


async def test_a_child_outlives_the_gateway_and_is_adopted(made: Made, child: dict[str, Any]) -> None:
    """The next gateway knows it by its pid file, hears of its death, and starts no second one."""
    instance = await asyncio.to_thread(killed_gateway, child)
    launcher = new(made, "process", **child)
    deaths: list[Death] = []
    launcher.watch(deaths.append)
    status = await launcher.status()
    assert (status.state, status.instance) == (State.RUNNING, instance)
    await launcher.start()
    assert (await launcher.status()).instance == instance
    await launcher.close()
    assert runs(int(instance.split()[1])), "a gateway that ends in order leaves it as well"
    again = new(made, "process", **child)
    again.watch(deaths.append)
    await again.kill()
    assert await heard(deaths) == Death(instance, None)
    assert (await again.status()).state is State.EXITED


async def test_a_child_that_is_tied_to_the_gateway(made: Made, child: dict[str, Any]) -> None:
    """With die_with_gateway it ends, whether the gateway is killed or ends in order."""
    instance = await asyncio.to_thread(killed_gateway, {**child, "die_with_gateway": True})
    await eventually(lambda: not runs(int(instance.split()[1])))
    launcher = new(made, "process", die_with_gateway=True, **child)
    await launcher.start()
    pid = int((await launcher.status()).instance.split()[1])
    await launcher.close()
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Commands as a small manager of services would have them, with a pid file."""
    pid = tmp_path / "pid"
    yield {
        # the daemon holds the pipe of the command that has started it
        "start": f"{{ sleep 1000 & echo $! > {pid}; }}; echo started",
        "stop": f"kill $(cat {pid})",
        "kill": f"kill -9 $(cat {pid})",
        "status": f"grep -q '^State:.[RSDT]' /proc/$(cat {pid})/status",
        "instance": f"cat {pid}",
    }
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_commands_start_and_end_a_daemon(made: Made, commands: dict[str, Any]) -> None:
    """Each line is run where it is due, and status is what counts."""
    launcher = new(made, "command", **commands)
    assert (await launcher.status()).state is State.EXITED
    await launcher.start()
    first = await launcher.status()
    assert (first.state, first.instance.isdigit()) == (State.RUNNING, True)
    await launcher.start()
    assert (await launcher.status()).instance == first.instance
    await launcher.stop(1.0)
    assert (await launcher.status()).state is State.EXITED
    await launcher.start()
    assert (await launcher.status()).instance != first.instance
    await launcher.kill()
    assert (await launcher.status()).state is State.EXITED


async def test_a_command_that_never_returns_is_ended_with_all_that_it_started(made: Made, tmp_path: Path) -> None:
    """Its last words are in the error; nothing of it is left."""
    line = f"echo waiting for godot; sleep 1000 & echo $! > {tmp_path}/inner; wait"
    launcher = new(made, "command", timeout=0.5, restart=line)
    with pytest.raises(LauncherError, match=r"restart did not return within 0.5 s.*waiting for godot") as caught:
        await launcher.kill()
    assert caught.value.may_pass
    await eventually(lambda: not runs(int((tmp_path / "inner").read_text())))
