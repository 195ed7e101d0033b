"""A PostgreSQL of the bench's own: own folder, own port, loopback alone, always ended.

Rule: it keeps what it promises (fsync and synchronous_commit stay on), for that is what is measured.  It refuses to run
as root, so as root it runs as the user that its package has made.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import common
from common import BenchError

PASSWORD = "bench-of-the-ledger"  # noqa: S105 - of a database that lives for a minute
WAY_OUT = "apt-get install -y --no-install-recommends postgresql"


def programs() -> Path | None:
    """Return where initdb and pg_ctl are, None where PostgreSQL is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if installed:
        return installed[-1].parent
    known = shutil.which("initdb")
    return None if known is None else Path(known).parent


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Run a server with an empty database, and return its URL."""
    binaries = programs()
    if binaries is None:
        raise BenchError(f"PostgreSQL is not installed; the way out: {WAY_OUT}")
    folder = Path(tempfile.mkdtemp(prefix="ecgw-bench-database-"))
    (port,) = common.free_ports(1)
    secret = folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    for path in (folder, secret):
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")
    data = folder / "data"
    try:
        _run(binaries, folder, "initdb", "-D", data, "-U", "ecgw", "-A", "scram-sha-256", f"--pwfile={secret}")
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as config:
            config.write("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
        _run(binaries, folder, "pg_ctl", "-D", data, "-w", "-o", f"-p {port}", "-l", folder / "log", "start")
        yield f"postgresql://ecgw@127.0.0.1:{port}/postgres"
    finally:
        if (data / "postmaster.pid").exists():
            _run(binaries, folder, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _run(binaries: Path, folder: Path, program: str, *words: str | Path) -> None:
    command = [str(binaries / program), *map(str, words)]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    output = folder / "output"
    with output.open("ab") as told:
        done = subprocess.run(command, cwd="/", stdout=told, stderr=told, check=False, timeout=60)
    if done.returncode:
        raise BenchError(f"{program} failed: {output.read_text(errors='replace')[-500:]}")
