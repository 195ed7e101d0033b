"""A PostgreSQL of the tests' own: own folder, own port, loopback alone, and always ended.

A test module asks for it by importing the fixture `server`.  It refuses to run as root, so as root it runs as the user
that its package has made.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.ledger.database import Database
from gateway.sandbox.ports import free_port

WAY_OUT = "apt-get install -y --no-install-recommends postgresql"

PATIENCE = 30.0

OWNER, PASSWORD = "ecgw", "secret-of-the-database"

SETTINGS = {
    # a server that is killed leaves no segment in the memory of the machine
    "dynamic_shared_memory_type": "mmap",
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "20",
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
}


class Server:
    """One server with one user, who may make databases.

    Args:
        folder: private, of the user that it runs as.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """Take a free port."""
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self.binaries = binaries()
        self._count = 0

    def make(self) -> None:
        """Make its files."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        give(secret)
        self._run("initdb", "-D", self.data, "-U", OWNER, "-A", "scram-sha-256", f"--pwfile={secret}",
                  "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        self.configure(**SETTINGS)

    def follow(self, primary: "Server") -> None:
        """Make it a standby."""
        secret = self.folder / "pgpass"
        secret.write_text(f"*:*:*:*:{PASSWORD}", encoding="utf-8")
        secret.chmod(0o600)
        give(secret)
        place = f"host=127.0.0.1 port={primary.port} user={OWNER} passfile={secret} application_name=standby"
        self._run("pg_basebackup", "-D", self.data, "-R", "-c", "fast", "--no-sync", "-d", place)

    def configure(self, **settings: str) -> None:
        """Set something; counts from the next start."""
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as config:
            config.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Start it and wait until it answers."""
        # after a death it makes every file of every database durable first, and a busy disk takes its time for that
        self._run("pg_ctl", "-D", self.data, "-w", "-t", str(4 * PATIENCE), "-o", f"-p {self.port}",
                  "-l", self.folder / "log", "start")  # fmt: skip

    def stop(self) -> None:
        """End it as an administrator does: those who are connected are told."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop")

    def kill(self) -> None:
        """Let it die without a word, all of it."""
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait(lambda: not any(Path(f"/proc/{pid}").exists() and not _is_dead(pid) for pid in left))

    def end(self) -> None:
        """End it in any case; nothing of it is wanted any more."""
        if self.processes():
            self.kill()

    def processes(self) -> list[int]:
        """Return the server's own process and those that it has made."""
        try:
            first = int((self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
            made = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split()
        except (OSError, IndexError, ValueError):
            return []
        return [first, *map(int, made)]

    def signal(self, number: int) -> None:
        """Send it to all of them; one that cleans up now and then may be gone by now."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # -- what is in it ----------------------------------------------------------------------------------------

    def database(self, name: str = "", user: str = OWNER, limit: float = 2.0) -> Database:
        """Make a database that is empty and return where it is; an existing one where a name is given.

        Args:
            limit: seconds of a statement, and until a connection is there.
        """
        if not name:
            self._count += 1
            name = f"ledger_{os.getpid()}_{self._count}"
            self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        url = f"postgresql://{user}@127.0.0.1:{self.port}/{name}"
        return Database(url, PASSWORD, statement_timeout=limit, connect_timeout=limit)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement and return what it answers, a row a line."""
        words = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(
            [str(self.binaries / words[0]), *words[1:], "-U", OWNER, "-d", database, "-c", statement],
            env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _run(self, name: str, *words: str | Path) -> None:
        command = [str(self.binaries / name), *map(str, words)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        with (self.folder / "output").open("ab") as output:
            done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False, timeout=5 * PATIENCE)
        if done.returncode:
            raise AssertionError((self.folder / "output").read_text(errors="replace")[-2000:])


def binaries() -> Path:
    """Return where its programs are: the package leaves them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    known = shutil.which("initdb")
    return Path(known).parent if known else Path("/usr/lib/postgresql")


@contextmanager
def running(primary: Server | None = None) -> Iterator[Server]:
    """Give a server that runs, a standby of another one where that is named; ended and removed at the end."""
    if not (binaries() / "initdb").exists():
        _give_up()
    folder = Path(tempfile.mkdtemp(prefix="ecgw-postgres-"))
    give(folder)
    server = Server(folder)
    try:
        if primary is None:
            server.make()
        else:
            server.follow(primary)
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_disk(server: Server, megabytes: int) -> Iterator[Callable[[int], None]]:
    """Give the server a tablespace `small` on a disk of its own, and the way to make that larger; needs root."""
    place = server.folder / "small"
    place.mkdir()

    def mount(megabytes: int, *options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={megabytes}m", *options]), "ecgw-small", str(place)]
        subprocess.run(command, check=True, timeout=PATIENCE)

    mount(megabytes)
    try:
        give(place)
        server.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        yield lambda megabytes: mount(megabytes, "remount")
    finally:
        # lazily: a server that still has files open there is ended later
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The server of a module's tests."""
    with running() as one:
        yield one


def wait(is_so: "object", seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    assert callable(is_so)
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def _give_up() -> NoReturn:
    told = f"PostgreSQL is not installed; the way out: {WAY_OUT}"
    if os.environ.get("ECGW_REQUIRE_REAL") == "1":
        pytest.fail(told)
    pytest.skip(told)


def give(path: Path) -> None:
    """Let the server's user have a file."""
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def _is_dead(pid: int) -> bool:
    """Whether a process has ended and nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
