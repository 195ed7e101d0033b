"""How soon a wallet with one daemon serves again after the daemon hangs or dies, and what a day of that costs.

One gateway with its default numbers starts one sandbox daemon by its process launcher, loads its wallet and restarts it
when it is sick.  A client asks ten times a second with ten seconds of patience.  Faults: a freeze (SIGSTOP), a
foreign idle connection that says nothing, a kill; the freeze again with a heavy call inside.

    own start   from the start of the process until its wallet is loaded, as the gateway's own events tell it
    served      from the fault until the first answer to a call that was asked after it

The incident: the same daemon, six calls a minute, an idle connection that nobody ever closes.  Without a gateway every
call after it fails, for as long as nobody looks; the program counts what fails here, and what those calls waited.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import common
from common import PASSWORD, PASSWORD_VARIABLE, USER, BenchError, Gateway, Process, Report, Settings

from gateway.sandbox.fleet import Fleet
from gateway.sandbox.processes import read_ready

PATIENCE = 10.0
"""Seconds that the client of the incident waits."""

EVERY = 0.1
"""Seconds between two calls, and ten of them between two in the incident."""

SECONDS = 5.0
"""From a wedge to the restart: half a second of silence, two more, and a probe's interval on either side."""

HEAVY = 5.0
"""What a heavy call inside adds: its own bound."""

LIMIT = 60.0
"""Seconds after which a case counts as never healed."""


@dataclass
class Call:
    """One call of the client."""

    asked: float
    ended: float
    ok: bool


@dataclass
class Daemon:
    """One sandbox daemon that the gateway starts, and the gateway."""

    gateway: Gateway
    port: int
    log: Path
    pid_file: Path
    calls: list[Call] = field(default_factory=list)

    def pid(self) -> int:
        """Return its process of now."""
        return int(self.pid_file.read_text(encoding="ascii").split()[1])

    def ask(self, method: str = "getbalance") -> Call:
        """Make one call and note how it went."""
        asked = time.monotonic()
        try:
            ok = "result" in self.gateway.call(method, timeout=PATIENCE)
        except OSError:
            ok = False
        call = Call(asked, time.monotonic(), ok)
        self.calls.append(call)
        return call

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the gateway's events of a name, the oldest first."""
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [one for one in found if one["event"] == name]

    def settle(self) -> None:
        """Wait until it is in full service."""
        self.gateway.wait_ready(patience=LIMIT)


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """Start a chain and a gateway that starts a daemon."""
    chain = Process("chain", [sys.executable, "-m", "gateway.sandbox.chain"])
    with chain:
        port, control = common.free_ports(2)
        output = folder / "daemon.log"
        command = [
            sys.executable, "-m", "gateway.sandbox.daemon", "--port", port, "--control", control,
            "--chain", f"127.0.0.1:{read_ready(chain.line())['port']}", "--data", folder / "wallet", "--seed", "bench",
            "--user", USER, "--password-env", PASSWORD_VARIABLE, "--journal", folder / "journal.jsonl",
        ]  # fmt: skip
        launcher: Settings = {
            "kind": "process", "command": [str(part) for part in command], "output": str(output),
            "cwd": str(common.ROOT), "env": {PASSWORD_VARIABLE: PASSWORD}, "die_with_gateway": True,
        }  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        one = common.backend(0, url, username=USER, password=PASSWORD, launcher=launcher)
        chosen = common.settings([one], wallet={"start_grace": 1})
        # the cap is for daemons that nobody breaks on purpose
        chosen["restart"] = {"max_per_hour": 100, "backoff": 0.001, "backoff_max": 0.001}
        with Gateway(folder, chosen) as gateway:
            made = Daemon(gateway, port, folder / "gateway.log", Path(f"{output}.pid"))
            made.settle()
            yield made


def healed(one: Daemon, fault: Callable[[], object]) -> float:
    """Return the seconds from a fault until a call that was asked after it is answered."""
    stop = threading.Event()

    def press() -> None:
        while not stop.is_set():
            call = one.ask()
            time.sleep(max(0.0, EVERY - (call.ended - call.asked)))

    threads = [threading.Thread(target=press, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        began = time.monotonic()
        fault()
        while time.monotonic() - began < LIMIT:
            good = [call for call in list(one.calls) if call.ok and call.asked > began + 0.05]
            if good:
                return min(call.ended for call in good) - began
            time.sleep(0.02)
        raise BenchError(f"not healed within {LIMIT:g} s: {json.dumps(one.gateway.backends())}")
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def own_start(one: Daemon) -> float:
    """Return how long the daemon itself takes from its start to a loaded wallet, the median of all restarts so far."""
    took: dict[str, list[float]] = {}
    for event in one.events("restart.step"):
        took.setdefault(str(event["step"]), []).append(float(str(event["took"])))
    steps = [statistics.median(took[step]) for step in ("start", "answer", "load", "sync", "align") if step in took]
    if not steps:
        raise BenchError("the gateway told of no restart")
    return sum(steps)


def measure(report: Report, rounds: int, minutes: float) -> None:
    """Break it in each way, then replay the incident."""
    rows: list[list[object]] = []
    with common.scratch() as folder, daemon(folder) as one:
        idle: list[socket.socket] = []

        def freeze() -> None:
            os.kill(one.pid(), signal.SIGSTOP)

        def connect() -> None:
            idle.append(socket.create_connection(("127.0.0.1", one.port)))

        def freeze_busy() -> None:
            threading.Thread(target=one.ask, args=("history",), daemon=True).start()
            freeze()

        cases: list[tuple[str, Callable[[], object], float]] = [
            ("frozen", freeze, SECONDS),
            ("foreign idle connection", connect, SECONDS),
            ("killed", lambda: os.kill(one.pid(), signal.SIGKILL), SECONDS),
            ("frozen with a heavy call inside", freeze_busy, SECONDS + HEAVY),
        ]
        for name, fault, within in cases:
            served = []
            for number in range(rounds):
                served.append(healed(one, fault))
                one.settle()
                report.progress(f"{name}: round {number + 1} of {rounds}, {served[-1]:.2f} s")
            start = own_start(one)
            rows.append([name, statistics.median(served), max(served), start, within])
            report.require(f"{name}: served again", max(served), "<=", within + start, "s")
        report.table(
            "One daemon, seconds",
            ["fault", "served, median", "slowest", "daemon's own start", "allowed before it"],
            rows,
        )
        _incident(report, one, connect, minutes)
        for sock in idle:
            sock.close()


def _incident(report: Report, one: Daemon, wedge: Callable[[], None], minutes: float) -> None:
    """Six calls a minute, and a foreign connection that stays."""
    one.settle()
    one.calls.clear()
    began = time.monotonic()
    # between two calls, so that the first one after it is what meets it
    for number in range(int(minutes * 6)):
        time.sleep(max(0.0, began + 10 * number - time.monotonic()))
        one.ask()
        if number == 0:
            wedge()
    failed = sum(not call.ok for call in one.calls)
    slowest = max(call.ended - call.asked for call in one.calls)
    alone = _alone(max(2, int(minutes * 2)))
    rows: list[list[object]] = [
        ["with the gateway", len(one.calls), failed, slowest],
        ["the daemon alone", len(alone), sum(not call.ok for call in alone), max(c.ended - c.asked for c in alone)],
    ]
    title = f"The incident: an idle connection that stays, {minutes:g} minutes at six calls a minute"
    report.table(title, ["", "calls", "failed", "slowest, s"], rows)
    report.require("incident: calls that failed", failed, "<=", 0)


def _alone(count: int) -> list[Call]:
    """Make calls at a daemon without a gateway: one, then an idle connection, then the others, one after the other."""
    calls: list[Call] = []
    with (
        common.scratch() as folder,
        Fleet(1, folder, user=USER, password=PASSWORD) as fleet,
        contextlib.ExitStack() as stack,
    ):
        for number in range(count + 1):
            asked = time.monotonic()
            try:
                fleet.rpc(0, "getbalance", timeout=PATIENCE)
            except OSError:
                calls.append(Call(asked, time.monotonic(), ok=False))
            else:
                calls.append(Call(asked, time.monotonic(), ok=True))
            if number == 0:
                stack.enter_context(fleet.wedge(0))
    return calls


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("healing")
    rounds, minutes = (1, 0.5) if options.quick else (5, 2.0)
    return common.run(lambda: measure(report, rounds, minutes), report, options, limit=900)


if __name__ == "__main__":
    sys.exit(main())
