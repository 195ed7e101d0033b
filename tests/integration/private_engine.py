"""A private Docker engine, started by hand: own socket, own data, own images, and no trace afterwards.

Rule: one such engine at a time on a machine, because its network rules are the machine's; what it changes there is
written down before it starts and put back after it, by the next one where this one could not.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

IMAGE = "python:3.12-slim"
"""What a Dockerfile begins with; the Python in it is the one that runs the tests."""

WAY_OUT = "apt-get install -y --no-install-recommends docker.io iptables iproute2 mmdebstrap, and run the tests as root"

PATIENCE = 30.0

FREEZES = 5
"""How often a container is frozen again: on cgroup v1 runc gives up, and thaws it, while it keeps making processes."""

FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")


class OccupiedError(Exception):
    """Somebody else's engine has the machine's network."""


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Args:
        socket: path of its socket; no `unix://` before it.
        folder: its private folder; `config` in it is DOCKER_CONFIG, where the CLI looks for `cli-plugins`.
        image: the base image, a stand-in for python:3.12-slim with pip, reaching the registries that this machine does.
    """

    socket: str
    folder: Path
    image: str = IMAGE

    @property
    def environment(self) -> dict[str, str]:
        """What the CLI, and Compose, need to find this engine and nothing of the user's."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        own = {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.folder / "config")}
        # the old builder: the new one is a plugin that Debian has not
        return {**clean, **own, "DOCKER_BUILDKIT": "0"}

    def run(self, *words: str, check: bool = True, given: bytes | None = None, timeout: float = 300.0) -> str:
        """Run the CLI: `run("ps", "-q")`.

        Args:
            check: fail with what it said when its exit code is not 0.
            given: its standard input.
        """
        done = self._ask(words, given, timeout)
        for _ in range(FREEZES):
            if b"unable to freeze" not in done.stderr:
                break
            done = self._ask(words, given, timeout)
        said = done.stdout.decode(errors="replace").strip()
        assert done.returncode == 0 or not check, f"docker {words}: {said} {done.stderr.decode(errors='replace')}"
        return said

    def _ask(self, words: tuple[str, ...], given: bytes | None, timeout: float) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *words],
            env=self.environment,
            input=given or b"",
            capture_output=True,
            check=False,
            timeout=timeout,
        )


@contextlib.contextmanager
def bare_engine() -> Iterator[Engine]:
    """Give an engine without an image, and leave no trace of it.  Raises OccupiedError."""
    with _alone() as notes, _put_back_after(notes) as folder, _running(folder) as one:
        yield one


def lacking(*more: str) -> str:
    """Say what an engine of one's own needs and the machine has not, "" when it has all; `more` are commands too."""
    names = [name for name in ("dockerd", "docker", "iptables", "ip", *more) if shutil.which(name) is None]
    return f"{', '.join(names)} not installed" if names else "" if os.geteuid() == 0 else "not root"


# The engine itself


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Engine]:
    (folder / "config").mkdir()
    (folder / "data").mkdir()
    # in memory: ten thousand files are written and removed, which takes a disk half a minute; without, it is a disk
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g", "ecgw", str(folder / "data")], check=False)
    one = Engine(str(folder / "docker.sock"), folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(one),
            stdout=log,
            stderr=log,
            preexec_fn=_end_with_us,  # noqa: PLW1509 - no thread of ours holds a lock then
            process_group=0,
        )
    try:
        _wait_served(one, process)
        yield one
    finally:
        _end(one, process)


def _command(one: Engine) -> list[str]:
    options = {
        "host": f"unix://{one.socket}",
        "data-root": one.folder / "data",
        "exec-root": one.folder / "exec",
        "pidfile": one.folder / "pid",
        "bip": "172.30.255.1/24",
        "default-address-pool": "base=172.31.0.0/16,size=24",
        # a container that will not end is killed soon: nothing in it is worth saving
        "shutdown-timeout": 2,
        # a machine may forbid to be spared by the OOM killer
        "oom-score-adjust": 0,
        "log-level": "warn",
    }
    return ["dockerd", *(f"--{name}={value}" for name, value in options.items())]


def _end_with_us() -> None:
    """Ask the kernel to end the engine in order should the tests be killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_served(one: Engine, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not _answers(one.socket):
        told = (one.folder / "log").read_text()[-3000:]
        assert process.poll() is None, f"dockerd ended: {told}"
        assert time.monotonic() < end, f"dockerd does not serve: {told}"
        time.sleep(0.05)


def _answers(path: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(path)
            line.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in line.recv(64)
    except OSError:
        return False


def _end(one: Engine, process: subprocess.Popen[bytes]) -> None:
    is_empty = False
    with contextlib.suppress(subprocess.TimeoutExpired):
        made = one.run("ps", "--quiet", "--all", check=False, timeout=10).split()
        if made:
            one.run("rm", "--force", *made, check=False, timeout=PATIENCE)
        is_empty = process.poll() is None and not one.run("ps", "--quiet", "--all", check=False, timeout=10)
    if is_empty:
        # in order it takes 20 s, waiting for its containerd; with no container left there is nothing to keep in order
        process.kill()
    else:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(OSError, ValueError):
        containerd = int((one.folder / "exec/containerd/containerd.pid").read_text())
        os.kill(containerd, signal.SIGKILL)
        _wait_end(containerd)
    (one.folder / "pid").unlink(missing_ok=True)


def _wait_end(pid: int) -> None:
    """Wait for the end of a process that need not be our child; raises OSError when there is none."""
    handle = os.pidfd_open(pid)
    try:
        select.select([handle], [], [], PATIENCE)
    finally:
        os.close(handle)


def _unmount(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([place for place in mounted if place.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", place], check=False)


# The network of the machine


@contextlib.contextmanager
def _alone() -> Iterator[IO[str]]:
    """Wait until no other test session has an engine; yields a file for notes that outlive this process."""
    with (Path(tempfile.gettempdir()) / "ecgw-docker-engine.lock").open("a+") as notes:
        fcntl.flock(notes, fcntl.LOCK_EX)
        yield notes


@contextlib.contextmanager
def _put_back_after(notes: IO[str]) -> Iterator[Path]:
    """Yield a folder for the engine, and leave the machine as it was; first as the last one found it, if it could not.

    The folder is none of pytest's: a socket's path is short, and the layers of an image are nothing to keep.
    """
    notes.seek(0)
    left = notes.read()
    if left:
        _put_back(json.loads(left))
    if "docker0" in _links():
        raise OccupiedError("another Docker engine has the bridge docker0, whose rules would be ours to break; end it")
    folder = Path(tempfile.mkdtemp(prefix="ecgw-docker-"))
    before = {
        "folder": str(folder),
        "forward": FORWARDS.read_text(),
        "links": _links(),
        "tables": [_output("iptables-save", "-t", table) for table in ("filter", "nat")],
    }
    _write(notes, json.dumps(before))
    try:
        yield folder
    finally:
        _put_back(before)
        _write(notes, "")


def _write(notes: IO[str], text: str) -> None:
    notes.truncate(0)
    notes.write(text)
    notes.flush()


def _put_back(before: Mapping[str, Any]) -> None:
    folder = Path(before["folder"])
    with contextlib.suppress(OSError, ValueError):
        # of a session that was killed: its engine was told to end, and takes its time
        _wait_end(int((folder / "pid").read_text()))
    for link in _links():
        if link not in before["links"] and link.startswith(("docker", "br-", "veth")):
            subprocess.run(["ip", "link", "delete", link], check=False)
    for table in before["tables"]:
        subprocess.run(["iptables-restore"], input=table, text=True, check=True)
    FORWARDS.write_text(before["forward"])
    _unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _links() -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
