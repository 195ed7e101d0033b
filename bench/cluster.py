"""Two gateways on one PostgreSQL in front of the same wallets: what sharing costs, and how long a takeover is felt.

Reads are made by turns at the gateway that holds the wallet and at the one that sends them there.  Allocations are made
at their usual pace, then by many clients at once, each durable in PostgreSQL before it is answered.  Then the holder is
killed or frozen (SIGSTOP) again and again while clients ask the other one all the time: no read may fail, and no call
that began three seconds after the fault.
"""

import contextlib
import os
import secrets
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import common
from common import BenchError, Gateway, Report
from database import PASSWORD, database

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

WALLET_PASSWORD = "bench"  # noqa: S105 - of sandbox wallets


class Pair:
    """Two gateways, of which one holds the wallet."""

    def __init__(self, folder: Path, fleet: Fleet, url: str) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.fleet = fleet
        self.url = url
        self.ports = dict(zip(NAMES, common.free_ports(len(NAMES)), strict=True))
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
        port = self.ports[name]
        chosen = common.settings(
            backends,
            ledger={"url": self.url, "password": PASSWORD, "key_file": str(self.key)},
            cluster={"name": name, "address": f"http://127.0.0.1:{port}", "secret": "the gateways of the bench"},
        )
        chosen["listen"] = {"port": port}
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
    """A client that asks one gateway all the time."""

    def __init__(self, gateway: Gateway, method: str) -> None:
        """Begin."""
        self.gateway = gateway
        self.method = method
        self.answers: list[tuple[float, float, str]] = []
        """When it began, when it was answered, and the error, "" for none."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            began = time.monotonic()
            answer = self.gateway.call(self.method)
            error = answer.get("error")
            self.answers.append((began, time.monotonic(), "" if error is None else str(error["message"])))

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
        askers = [Asker(both.running[other], method) for method in ("getbalance", "createnewaddress")]
        time.sleep(1.0)
        lost, at = both.running[name], time.monotonic()
        os.kill(lost.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        time.sleep(GRACE + 5.0)
        reads, writes = (one.end() for one in askers)
        felt.append(max(answered - began for began, answered, _ in reads))
        failed_reads += sum(bool(error) for _, _, error in reads)
        late += sum(bool(error) for began, _, error in reads + writes if began >= at + GRACE)
        doubtful += sum("outcome_unknown" in error for _, _, error in writes)
        if how == "killed":
            lost.end()
            both.start(name)
        else:
            os.kill(lost.pid, signal.SIGCONT)
        both.wait_well()
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
        askers = [Asker(both.running[other], method) for method in ("getbalance", "createnewaddress")]
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

    return common.run(measure, report, options, 600.0)


if __name__ == "__main__":
    sys.exit(main())
