"""What the programs of the bench share: processes that end with us, a gateway, tables, requirements.

Rule: whatever is started here is ended here, by its own pid; and should the bench itself be killed, the kernel
ends it (`leash.py`).  Every run has a limit in time.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import platform
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[1]
BENCH = Path(__file__).parent

USER = "bench"
PASSWORD = "bench-password"  # noqa: S105 - between processes of one bench, on loopback
PASSWORD_VARIABLE = "BENCH_PASSWORD"  # noqa: S105 - the name of a variable

PATIENCE = 30.0
"""Seconds after which something that should happen counts as never happening."""

COMPILED = ROOT / "build" / "compiled"
"""Where `make compiled` puts the package with its busiest rooms compiled."""

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it gets a random name and is ours alone

BUSY = 0.3
"""Cores; more than that, taken by others, spoils what is measured."""

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

Settings = dict[str, Any]


class BenchError(Exception):
    """The bench itself could not do its work; says why."""


# -- the run as a whole ---------------------------------------------------------------------------------------


def options_parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser with what all programs take."""
    parser = argparse.ArgumentParser(description=doc.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short smoke run; its numbers are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument(
        "--nice", type=int, default=0, metavar="N", help="run at this priority, such as -15 where others are at work"
    )
    return parser


def run(measure: Callable[[], None], report: "Report", options: argparse.Namespace, limit: float) -> int:
    """Measure within a limit of seconds, print the tables, and return the exit code.

    Exit codes: 0 all requirements met, 1 one was missed, 2 the bench itself failed, 130 and 143 interrupted.
    """

    def too_long(_signal: int, _frame: FrameType | None) -> None:
        raise BenchError(f"it took longer than {limit:g} s and was given up")

    def told_to_end(number: int, _frame: FrameType | None) -> None:
        # once is enough: what follows is tidying up, and shall not be torn apart
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(one, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(143)

    if not sys.platform.startswith("linux"):
        sys.stderr.write("the bench reads /proc and sets CPU affinities: it runs on Linux only\n")
        return 2
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, told_to_end)
    signal.signal(signal.SIGINT, told_to_end)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        _take_priority(options.nice)
        report.look_around()
        measure()
    except BenchError as error:
        report.note(f"FAILED: {error}")
        report.failed = True
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; everything that was started has been ended\n")
        return 130
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return report.finish(options.json)


def _take_priority(nice: int) -> None:
    try:
        os.nice(nice)  # whatever is started from here on inherits it
    except PermissionError:
        raise BenchError(f"--nice {nice} is not allowed to this user; leave it out or be root") from None


def lift(pid: int | str) -> None:
    """Give a session our priority: Linux weighs sessions against each other, and each new one begins at 0."""
    nice = os.nice(0)
    if nice:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


def waited_for_core(pid: int) -> float:
    """Return the seconds that a process has been ready to run while others had the core; 0.0 where it is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def has_ended(pid: int) -> bool:
    """Whether a process has ended, though its parent may not have asked for its exit code."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return True
    return after_name.split()[0] in "ZX"


def busy_cores(seconds: float) -> float:
    """Return how many cores are busy, over so many seconds in which nothing of ours runs."""

    def idle() -> float:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        return (int(fields[4]) + int(fields[5])) * TICK

    began, before = time.monotonic(), idle()
    time.sleep(seconds)
    cpus = os.cpu_count() or 1
    return max(0.0, cpus - (idle() - before) / (time.monotonic() - began))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards, in memory where that can be.

    The sandbox daemons write each call to a journal and wait for the disk; a disk that others keep busy stops all
    of them at once, for a tenth of a second and more, and no gateway can step around that.
    """
    where = str(MEMORY) if MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="ec-gateway-bench-", dir=where) as folder:
        yield Path(folder)


def cores() -> tuple[int | None, int | None]:
    """Return the core for what is measured and the core for everything else; None twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[-1], allowed[0]) if len(allowed) > 1 else (None, None)


def found(program: str) -> str | None:
    """Return where a peer program is installed, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(program, path=path)


# -- processes ------------------------------------------------------------------------------------------------


class Process:
    """A program of ours.

    Args:
        name: for messages.
        command: program and arguments.
        cpu: the one core it may use.
        output: where its standard output goes; a pipe to us when absent.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cpu: int | None = None,
        environ: Mapping[str, str] | None = None,
        output: Path | None = None,
        errors: Path | None = None,
    ) -> None:
        """Start it."""
        self.name = name
        self._errors = errors
        leash = [sys.executable, str(BENCH / "leash.py"), str(os.getpid()), "-" if cpu is None else str(cpu)]
        with contextlib.ExitStack() as files:
            # A session of its own: Ctrl-C is for the bench, which then ends everything in order.
            self.popen = subprocess.Popen(
                [*leash, *command],
                cwd=ROOT,
                env={**os.environ, PASSWORD_VARIABLE: PASSWORD, **(environ or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if output is None else files.enter_context(output.open("wb")),
                stderr=None if errors is None else files.enter_context(errors.open("wb")),
                start_new_session=True,
            )
        self.pid = self.popen.pid
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it: politely, and after three seconds the hard way; may be called twice."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def line(self, patience: float = PATIENCE) -> str:
        """Return the next line that it prints.  Raises BenchError when none comes."""
        pipe = self.popen.stdout
        if pipe is None:
            raise BenchError(f"{self.name} prints into a file")
        end = time.monotonic() + patience
        while b"\n" not in self._unread:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            data = os.read(pipe.fileno(), 1 << 20) if ready else b""
            if not data:
                why = "said nothing" if not ready else f"ended with code {self.popen.wait()}"
                raise BenchError(f"{self.name} {why}{self._complaint()}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def close_input(self) -> None:
        """Tell it by the end of its input that it may end."""
        if self.popen.stdin is not None:
            self.popen.stdin.close()

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used, user and system, as the kernel counts it in ticks."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        fields = after_name.split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def resident(self) -> float:
        """Return its resident memory in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * PAGE / 2**20

    def _complaint(self) -> str:
        if self._errors is None:
            return ""
        return ": " + self._errors.read_text(encoding="utf-8", errors="replace")[-500:].strip()


def python(script: str, *arguments: object) -> list[str]:
    """Return the command for a program in this folder."""
    return [sys.executable, str(BENCH / script), *map(str, arguments)]


def fast_backend(ports: int, *, style: str, cpu: int | None = None, takes: float = 0.0) -> tuple[Process, list[int]]:
    """Start `backend.py`; return it and where it listens.  `takes`: seconds of each call, one after the other."""
    command = python("backend.py", "--ports", ports, "--style", style, "--takes", takes)
    process = Process("backend.py", command, cpu=cpu)
    try:
        return process, [int(port) for port in process.line().split()[1:]]
    except BaseException:
        process.end()
        raise


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


def wait_for_port(port: int, process: Process) -> None:
    """Wait until something listens."""

    def listens() -> bool:
        if process.popen.poll() is not None:
            raise BenchError(f"{process.name} ended with code {process.popen.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(listens, f"{process.name} listens on {port}")


def wait_until(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds.  Raises BenchError when it never does."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise BenchError(f"never happened within {patience:g} s: {what}")
        time.sleep(0.02)


def raise_file_limit(wanted: int) -> int:
    """Allow this process and its children that many open files, as far as the machine lets us; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


# -- a gateway ------------------------------------------------------------------------------------------------


def backend(number: int, url: str, **more: object) -> Settings:
    """Return the settings of one backend; the first is number 0."""
    return {"name": f"ec-{number + 1}", "url": url, **more}


def settings(backends: Sequence[Settings], *, wallet: Settings | None = None, **sections: object) -> Settings:
    """Return settings with every number at its default, free ports and one client; `sections` replace whole ones."""
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "clients": [{"name": USER, "username": USER, "password": f"${{{PASSWORD_VARIABLE}}}"}],
        "wallets": {"main": {**(wallet or {}), "backends": list(backends)}},
        **sections,
    }


def call(port: int, method: str, *params: object, timeout: float = 15.0, path: str = "/") -> dict[str, Any]:
    """Make one call to whatever listens there, over a connection of its own, and return the whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", path, body, {"Authorization": credentials()})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer


class Gateway(Process):
    """`ec-gateway run -c FILE` as a process of its own, ready to take calls once this returns."""

    launcher: Sequence[str] = (sys.executable, "-m", "gateway")
    """What is run in front of its arguments."""
    environment: Mapping[str, str] = MappingProxyType({})
    """What it is told besides."""
    patience = PATIENCE
    """Seconds that its start may take."""

    def __init__(
        self, folder: Path, chosen: Settings, *, cpu: int | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Write the file, start it, and read from its log where it listens."""
        file = folder / "gateway.yaml"
        file.write_text(yaml.safe_dump(chosen, sort_keys=False), encoding="utf-8")
        self._log = folder / "gateway.log"
        command = [*self.launcher, "run", "-c", str(file)]
        super().__init__(
            "ec-gateway", command, cpu=cpu, environ={**self.environment, **(environ or {})}, output=self._log,
            errors=folder / "gateway.err",
        )  # fmt: skip
        try:
            wait_until(self._started, "the gateway starts", self.patience)
            started = self._started()[0]
        except BaseException:
            self.end()
            raise
        self.port, self.admin_port = (int(started[door].rpartition(":")[2]) for door in ("rpc", "admin"))

    def _started(self) -> list[dict[str, Any]]:
        if self.popen.poll() is not None:
            raise BenchError(f"the gateway ended at once{self._complaint()} {self._log.read_text()[-1000:]}")
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event["event"] == "gateway.started"]

    def call(self, method: str, *params: object, timeout: float = 15.0, path: str = "/") -> dict[str, Any]:
        """Make one call over a connection of its own and return the whole answer."""
        return call(self.port, method, *params, timeout=timeout, path=path)

    def metrics(self) -> str:
        """Return what the operators' door shows to Prometheus."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=15)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def backends(self) -> list[dict[str, Any]]:
        """Return how it sees its backends."""
        seen: list[dict[str, Any]] = self.call("gateway.status")["result"]["backends"]
        return seen

    def wait_ready(self, count: int | None = None, patience: float = PATIENCE, *, warm: bool = True) -> None:
        """Wait until so many backends (all of them when absent) serve and are aligned; `warm` past slow start."""
        phases = {"READY"} if warm else {"READY", "WARMING"}

        def ready() -> bool:
            seen = self.backends()
            well = [one for one in seen if one["phase"] in phases and one["aligned"] and one["circuit"] == "closed"]
            return len(well) >= (len(seen) if count is None else count)

        try:
            wait_until(ready, "all backends are ready", patience)
        except BenchError as error:
            raise BenchError(f"{error}: {json.dumps(self.backends())}") from None


class CompiledGateway(Gateway):
    """The same with its busiest rooms compiled."""

    launcher = (sys.executable, "-P", "-m", "gateway")
    environment = MappingProxyType({"PYTHONPATH": str(COMPILED)})

    def __init__(self, folder: Path, chosen: Settings, *, cpu: int | None = None) -> None:
        """Write beside the other one, and start it."""
        place = folder / "compiled"
        place.mkdir()
        super().__init__(place, chosen, cpu=cpu)


def compiled(report: "Report") -> type[CompiledGateway] | None:
    """Return the compiled one where it was made of these very sources; None, and a note that says why not."""
    state = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "compile.py"), "--is-current", str(COMPILED)], check=False
    )
    if state.returncode == 0:
        return CompiledGateway
    report.note("NOT COMPILED: `make compiled` makes it, its rows and requirements are left out")
    return None


def credentials(user: str = USER, password: str = PASSWORD) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# -- results --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Requirement:
    """One line of what must hold."""

    name: str
    value: float
    limit: float
    relation: str
    unit: str
    ok: bool

    @property
    def row(self) -> list[object]:
        """What was required, what was measured, and whether it holds."""
        unit = f" {self.unit}" if self.unit else ""
        reach = f"{self.relation} {number(self.limit)}{unit}"
        return [self.name, f"{number(self.value)}{unit}", reach, "holds" if self.ok else "FALLS SHORT"]


REQUIRED = ["what", "measured", "required", "verdict"]


@dataclass
class Table:
    """Rows of numbers under a title."""

    title: str
    columns: list[str]
    rows: list[list[object]]

    def __str__(self) -> str:
        """The table, columns aligned."""
        shown = [self.columns, *[[_cell(value) for value in row] for row in self.rows]]
        widths = [max(len(row[n]) for row in shown) for n in range(len(self.columns))]
        lines = ["  ".join(_pad(row[n], widths[n], left=n == 0) for n in range(len(row))).rstrip() for row in shown]
        return "\n".join([self.title, *(f"  {line}" for line in lines)])


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [table.columns, ["---"] * len(table.columns), *[[_cell(value) for value in row] for row in table.rows]]
    return f"### {table.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass
class Report:
    """What one program found."""

    program: str
    tables: list[Table] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    began: float = field(default_factory=time.monotonic)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table."""
        self.tables.append(Table(title, list(columns), [list(row) for row in rows]))

    def note(self, text: str) -> None:
        """Add a remark, and say it at once."""
        self.notes.append(text)
        self.progress(text)

    def progress(self, text: str) -> None:
        """Say what is going on."""
        sys.stderr.write(f"[{self.program} {time.monotonic() - self.began:5.1f} s] {text}\n")
        sys.stderr.flush()

    def look_around(self) -> None:
        """Note when others are at work on this machine."""
        busy = busy_cores(0.5)
        if busy > BUSY:
            text = f"OTHERS ARE AT WORK: {busy:.1f} of {os.cpu_count()} cores were busy before this began"
            self.note(f"{text}; times and rates mean little, --nice may help")

    def require(self, name: str, value: float, relation: str, limit: float, unit: str = "") -> None:
        """Add a requirement; `relation` is one of <=, <, >=, ==."""
        ok = {"<=": value <= limit, "<": value < limit, ">=": value >= limit, "==": value == limit}[relation]
        self.requirements.append(Requirement(name, value, limit, relation, unit, ok))

    @property
    def ok(self) -> bool:
        """Whether everything was measured and met."""
        return not self.failed and all(one.ok for one in self.requirements)

    def finish(self, path: Path | None) -> int:
        """Print everything, write the file if one is wanted, and return the exit code."""
        for table in self.tables:
            print(f"\n{table}")
        if self.notes:
            print("\nNotes\n" + "\n".join(f"  {note}" for note in self.notes))
        if self.requirements:
            print(f"\n{Table('Required', REQUIRED, [one.row for one in self.requirements])}")
        print(f"\n{self.program}: {'ok' if self.ok else 'FAILED' if self.failed else 'MISSED'}", flush=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
            path.with_suffix(".md").write_text(self.as_markdown(), encoding="utf-8")
        return 0 if self.ok else 2 if self.failed else 1

    def as_markdown(self) -> str:
        """Return the results for a page, what was required first."""
        required = Table("Required", REQUIRED, [one.row for one in self.requirements])
        cpus, python = os.cpu_count(), platform.python_version()
        parts = [f"## {self.program}: {cpus} cores, Python {python}, Linux {platform.release()}\n"]
        parts += [markdown(table) for table in [required, *self.tables] if table.rows]
        if self.notes:
            parts.append("### Notes\n\n" + "".join(f"- {note}\n" for note in self.notes))
        return "\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return the results for a file."""
        return {
            "program": self.program,
            "ok": self.ok,
            "failed": self.failed,
            "seconds": round(time.monotonic() - self.began, 1),
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
            "tables": [asdict(table) for table in self.tables],
            "requirements": [asdict(one) for one in self.requirements],
            "notes": self.notes,
        }


def number(value: float) -> str:
    """Return a number with about three figures."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _pad(text: str, width: int, *, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)


def listens(pid: int, port: int) -> bool:
    """Return whether a process holds the listening socket of a TCP port; a wrong pid would measure no fault at all."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
            inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    held = set()
    for one in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            held.add(str(one.readlink()))
    return any(f"socket:[{inode}]" in held for inode in inodes)
