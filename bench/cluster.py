"""Two gateways on one PostgreSQL in front of the same wallets: what sharing costs, and how long a takeover is felt.

Reads are made by turns at the gateway that holds the wallet and at the one that sends them there.  Allocations are made
at their usual pace, then by many clients at once, each durable in PostgreSQL before it is answered.  Then the holder is
killed or frozen (SIGSTOP) again and again while clients ask the other one all the time: no read may fail, and no call
that began three seconds after the fault.  At last clients know one address alone: HAProxy with the project's own
configuration stands before both, and loses the holder or the other one; again no call that began three seconds later
may fail.
"""

import contextlib
import http.client
import os
import secrets
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common
from common import BenchError, Gateway, Process, Report
from database import PASSWORD, database
from front import on_loopback

from gateway.sandbox.fleet import Fleet

NAMES = ("gw-1", "gw-2")

MOST_FORWARDING = 1.0
"""Milliseconds that the median forwarded read may take longer."""

MOST_MEDIAN = 10.0
"""Milliseconds that the median allocation may take; two ways to the database and its fsync."""

GRACE = 3.0
"""Seconds after a fault from which on every call that begins must succeed."""

CLIENTS = 8
"""Clients that allocate at once."""

RATE = 20.0
"""Allocations a second at the usual pace."""

CONFIGURATION = Path(__file__).parents[1] / "config" / "haproxy" / "haproxy.cfg"

WALLET_PASSWORD = "bench"  # noqa: S105 - of sandbox wallets


class Pair:
    """Two gateways, of which one holds the wallet."""

    def __init__(self, folder: Path, fleet: Fleet, url: str) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.fleet = fleet
        self.url = url
        ports = common.free_ports(2 * len(NAMES))
        self.ports = dict(zip(NAMES, zip(ports[::2], ports[1::2], strict=True), strict=True))
        """By name: the door for calls, and the operators'."""
        self.key = folder / "ledger.key"
        self.key.write_bytes(secrets.token_bytes(32))
        self.key.chmod(0o600)
        self.running: dict[str, Gateway] = {}

    def start(self, name: str) -> None:
        """Start one of them."""
        backends = [
            common.backend(n, self.fleet.url(n), username=common.USER, password=WALLET_PASSWORD)
            for n in range(len(self.fleet))
        ]
        port, admin = self.ports[name]
        chosen = common.settings(
            backends,
            ledger={"url": self.url, "password": PASSWORD, "key_file": str(self.key)},
            cluster={"name": name, "address": f"http://127.0.0.1:{port}", "secret": "the gateways of the bench"},
        )
        chosen["listen"], chosen["admin"] = {"port": port}, {"port": admin}
        folder = self.folder / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir()
        self.running[name] = Gateway(folder, chosen)

    def end(self) -> None:
        """End both."""
        for one in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGCONT)
            one.end()

    def holder(self) -> str:
        """Return which one holds the wallet, "" where none does."""
        held = [name for name, one in self.running.items() if 'ecgw_lease_held{wallet="main"} 1.0' in one.metrics()]
        return held[0] if held else ""

    def wait_well(self) -> tuple[Gateway, Gateway]:
        """Wait until one holds the wallet, with all daemons well; return it, and the other one."""
        common.wait_until(self.holder, "a gateway holds the wallet")
        holder = self.holder()
        (other,) = (name for name in NAMES if name != holder)
        self.running[holder].wait_ready()
        common.wait_until(lambda: _pool(self.running[holder]) > 0, "the pool of addresses is filled")
        return self.running[holder], self.running[other]

    def harm(self, name: str, how: str) -> float:
        """Kill a gateway (`how` is killed) or freeze it; return when, by the monotonic clock."""
        at = time.monotonic()
        os.kill(self.running[name].pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        return at

    def bring_back(self, name: str, how: str) -> None:
        """Start one that was killed anew, let a frozen one go on, and wait until all is well."""
        if how == "killed":
            self.running[name].end()
            self.start(name)
        else:
            os.kill(self.running[name].pid, signal.SIGCONT)
        self.wait_well()


def _pool(gateway: Gateway) -> int:
    found = gateway.call("gateway.status").get("result")
    return int(str(found["ledger"]["pool"])) if isinstance(found, dict) else 0


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Run three sandbox wallets, a database and two gateways."""
    with database() as url, Fleet(3, folder / "fleet", user=common.USER, password=WALLET_PASSWORD) as fleet:
        both = Pair(folder, fleet, url)
        try:
            for name in NAMES:
                both.start(name)
            both.wait_well()
            yield both
        finally:
            both.end()


def timed(gateway: Gateway, method: str) -> tuple[object, float]:
    """Make one call over a new connection; return its result and the milliseconds.  Raises BenchError."""
    began = time.perf_counter()
    answer = gateway.call(method)
    took = (time.perf_counter() - began) * 1000
    if answer.get("error") is not None:
        raise BenchError(f"{method} was answered with {answer['error']}")
    return answer.get("result"), took


def forwarding(report: Report, both: Pair, blocks: int) -> None:
    """Measure reads at the holder and at the other one, by turns."""
    report.progress(f"{blocks} blocks of reads at each of two gateways")
    holder, other = both.wait_well()
    found: dict[str, list[float]] = {"held there": [], "sent on": []}
    for _ in range(blocks):
        for name, gateway in (("held there", holder), ("sent on", other)):
            found[name].append(statistics.median(timed(gateway, "getbalance")[1] for _ in range(50)))
    more = statistics.median(b - a for a, b in zip(found["held there"], found["sent on"], strict=True))
    rows: list[list[object]] = [[name, len(some) * 50, statistics.median(some)] for name, some in found.items()]
    report.table("Reads at two gateways", ["gateway", "calls", "median ms"], rows)
    report.require("median read that is sent on takes longer by", more, "<", MOST_FORWARDING, "ms")


def allocations(report: Report, both: Pair, seconds: float) -> None:
    """Measure allocations at their usual pace, at both gateways, and by many at once."""
    report.progress(f"allocations at {RATE:.0f}/s for {seconds:.0f} s, then by {CLIENTS} clients at once")
    holder, other = both.wait_well()
    took: dict[str, list[float]] = {"held there": [], "sent on": []}
    given: list[object] = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        for name, gateway in (("held there", holder), ("sent on", other)):
            address, one = timed(gateway, "createnewaddress")
            took[name].append(one)
            given.append(address)
        time.sleep(max(0.0, now + 2 / RATE - time.perf_counter()))
    rows: list[list[object]] = [
        [name, len(some), statistics.median(some), sorted(some)[int(len(some) * 0.99)]] for name, some in took.items()
    ]
    report.table(f"Allocations at {RATE:.0f}/s, PostgreSQL", ["gateway", "calls", "median ms", "p99 ms"], rows)
    report.require("median allocation at the holder", statistics.median(took["held there"]), "<", MOST_MEDIAN, "ms")
    began = time.perf_counter()
    lists: list[list[object]] = [[] for _ in range(CLIENTS)]

    def client(told: list[object]) -> None:
        while time.perf_counter() < began + seconds:
            told.append(timed(holder, "createnewaddress")[0])

    threads = [threading.Thread(target=client, args=(told,)) for told in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = sum(map(len, lists))
    rate = count / (time.perf_counter() - began)
    given += [address for told in lists for address in told]
    report.table(f"Allocations by {CLIENTS} clients at once", ["calls", "calls/s"], [[count, rate]])
    report.require("allocations answered twice with one address", len(given) - len(set(given)), "<=", 0)


class Asker:
    """A client that asks one address all the time."""

    def __init__(self, call: Callable[[str], dict[str, Any]], method: str) -> None:
        """Begin."""
        self.call = call
        self.method = method
        self.answers: list[tuple[float, float, str]] = []
        """When it began, when it was answered, and the error, "" for none."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            began = time.monotonic()
            try:
                error = self.call(self.method).get("error")
                told = "" if error is None else str(error["message"])
            except (OSError, http.client.HTTPException, ValueError) as trouble:
                told = f"{type(trouble).__name__}: {trouble}"
            self.answers.append((began, time.monotonic(), told))

    def end(self) -> list[tuple[float, float, str]]:
        """Stop asking and return what was answered."""
        self._over.set()
        self._thread.join()
        return self.answers


def takeovers(report: Report, both: Pair, how: str, rounds: int) -> None:
    """Lose the holder again and again."""
    felt, failed_reads, late, doubtful = [], 0, 0, 0
    for number in range(rounds):
        report.progress(f"holder {how}: round {number + 1} of {rounds}")
        both.wait_well()
        name = both.holder()
        (other,) = (one for one in NAMES if one != name)
        askers = [Asker(both.running[other].call, method) for method in ("getbalance", "createnewaddress")]
        time.sleep(1.0)
        at = both.harm(name, how)
        time.sleep(GRACE + 5.0)
        reads, writes = (one.end() for one in askers)
        felt.append(max(answered - began for began, answered, _ in reads))
        failed_reads += sum(bool(error) for _, _, error in reads)
        late += sum(bool(error) for began, _, error in reads + writes if began >= at + GRACE)
        doubtful += sum("outcome_unknown" in error for _, _, error in writes)
        both.bring_back(name, how)
    columns = ["rounds", "slowest read, median s", "slowest read, worst s", "reads failed", "allocations in doubt"]
    report.table(
        f"The holder is {how}", columns, [[rounds, statistics.median(felt), max(felt), failed_reads, doubtful]]
    )
    report.require(f"{how}: reads that failed at the other gateway", failed_reads, "<=", 0)
    report.require(f"{how}: calls that began {GRACE:g} s later and failed", late, "<=", 0)


def handovers(report: Report, both: Pair, rounds: int) -> None:
    """Stop the holder in order, as for an upgrade."""
    felt, failed = [], 0
    for number in range(rounds):
        report.progress(f"handover: round {number + 1} of {rounds}")
        both.wait_well()
        name = both.holder()
        (other,) = (one for one in NAMES if one != name)
        askers = [Asker(both.running[other].call, method) for method in ("getbalance", "createnewaddress")]
        time.sleep(0.5)
        os.kill(both.running[name].pid, signal.SIGTERM)
        common.wait_until(lambda: both.running[name].popen.poll() is not None, "it has ended")  # noqa: B023 - waited for here
        time.sleep(1.0)
        answers = [one for asker in askers for one in asker.end()]
        felt.append(max(answered - began for began, answered, _ in answers))
        failed += sum(bool(error) for _, _, error in answers)
        both.running[name].end()
        both.start(name)
    columns = ["rounds", "slowest call, median s", "slowest call, worst s", "calls failed"]
    report.table("The holder is told to stop", columns, [[rounds, statistics.median(felt), max(felt), failed]])
    report.require("told to stop: calls that failed", failed, "<=", 0)


@contextlib.contextmanager
def front(both: Pair) -> Iterator[int | None]:
    """Run HAProxy as the project configures it before both gateways; the port of its door, None where it is missing."""
    program = common.found("haproxy")
    if program is None:
        yield None
        return
    port, health = common.free_ports(2)
    file = both.folder / "haproxy.cfg"
    text = CONFIGURATION.read_text(encoding="utf-8")
    file.write_text(on_loopback(text, port, health, both.ports), encoding="utf-8")
    log = both.folder / "haproxy.log"
    with Process("haproxy", [program, "-q", "-db", "-f", str(file)], output=log, errors=log) as process:
        common.wait_for_port(port, process)
        common.wait_until(lambda: _is_well(health), "HAProxy has seen that a gateway is ready")
        yield port


def _is_well(health: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", health, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def behind_front(report: Report, both: Pair, faults: list[tuple[str, str]]) -> None:
    """Lose gateways one after the other under clients that know one address, which HAProxy has.

    Args:
        faults: `holder` or `follower`, and `killed` or `frozen`.
    """
    with front(both) as port:
        if port is None:
            report.note("HAPROXY IS MISSING: no gateway was lost behind it; apt-get install haproxy")
            return
        rows: list[list[object]] = []
        late = 0
        for which, how in faults:
            report.progress(f"{which} {how} behind HAProxy")
            row, failed = _lose_behind(both, port, which, how)
            rows.append([which, how, *row])
            late += failed
    columns = ["lost", "how", "calls", "failed before 3 s", "calls after 3 s", "of them failed", "slowest after 3 s, s"]
    report.table("A gateway is lost behind HAProxy", columns, rows)
    report.require(f"behind HAProxy: calls that began {GRACE:g} s later and failed", late, "<=", 0)


def _lose_behind(both: Pair, port: int, which: str, how: str) -> tuple[list[object], int]:
    """Lose one gateway; return what is told of it, and how many calls failed that had to be answered."""
    both.wait_well()
    holder = both.holder()
    (name,) = (one for one in NAMES if (one == holder) is (which == "holder"))
    common.wait_until(lambda: all("ecgw_ready 1.0" in one.metrics() for one in both.running.values()), "both are ready")
    methods = ("getbalance", "createnewaddress") * 2
    askers = [Asker(lambda method: common.call(port, method), method) for method in methods]
    # HAProxy has seen that both are ready by then, and sends calls to both
    time.sleep(3.0)
    at = both.harm(name, how)
    time.sleep(GRACE + 5.0)
    answers = [one for asker in askers for one in asker.end()]
    both.bring_back(name, how)
    if early := [error for began, answered, error in answers if answered < at and error]:
        raise BenchError(f"a call failed before any fault: {early[0]}")
    after = [(answered - began, error) for began, answered, error in answers if began >= at + GRACE]
    if not after:
        raise BenchError(f"{which} {how}: no call began {GRACE:g} s after the fault")
    before = sum(bool(error) for began, _, error in answers if began < at + GRACE)
    failed = sum(bool(error) for _, error in after)
    return [len(answers), before, len(after), failed, max(took for took, _ in after)], failed


def main() -> int:
    """Run the bench; return the exit code."""
    assert __doc__ is not None  # noqa: S101 - written above
    options = common.options_parser(__doc__).parse_args()
    report = Report("cluster")

    def measure() -> None:
        quick = options.quick
        with common.scratch() as folder, pair(folder) as both:
            forwarding(report, both, 4 if quick else 20)
            allocations(report, both, 3.0 if quick else 10.0)
            handovers(report, both, 1 if quick else 3)
            takeovers(report, both, "killed", 1 if quick else 3)
            takeovers(report, both, "frozen", 1 if quick else 3)
            faults = [("holder", "killed"), ("holder", "frozen"), ("follower", "killed"), ("follower", "frozen")]
            behind_front(report, both, faults[::3] if quick else faults)

    return common.run(measure, report, options, 720.0)


if __name__ == "__main__":
    sys.exit(main())
