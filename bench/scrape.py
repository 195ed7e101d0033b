"""What a scrape of /metrics costs: of a gateway with 50 backends behind one wallet, and behind ten.

Each wallet has been called, so that it shows what a busy one shows.  A scrape holds the loop, and calls wait for it: so
the CPU that it takes is told beside its time and its size.
"""

import contextlib
import http.client
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import common
from common import BenchError, Gateway, Report

BACKENDS = 50
WALLETS = 10
MOST_MS = 50.0
MOST_KB = 500.0
METHODS = ("getbalance", "version", "listunspent", "validateaddress", "gettransaction", "history", "getaddresshistory")
"""Each has labels of its own once it was called."""


@dataclass
class Case:
    """A gateway and what its scrapes took."""

    name: str
    gateway: Gateway
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    size: int = 0
    lines: int = 0

    def scrape(self, count: int) -> None:
        """Scrape so many times, as Prometheus does: over one kept connection."""
        before = self.gateway.cpu_seconds()
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin_port, timeout=10)
        with contextlib.closing(connection):
            for _ in range(count):
                began = time.perf_counter()
                connection.request("GET", "/metrics")
                body = connection.getresponse().read()
                self.seconds.append(time.perf_counter() - began)
                self.size, self.lines = len(body), body.count(b"\n")
        self.cpu = (self.gateway.cpu_seconds() - before) / count


def measure(report: Report, scrapes: int) -> None:
    """Measure both."""
    with contextlib.ExitStack() as stack:
        backend, ports = common.fast_backend(BACKENDS, style="close")
        stack.enter_context(backend)
        backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports)]
        cases = []
        for name, chosen in (("one wallet of 50", one_wallet(backends)), ("ten wallets of 5", many_wallets(backends))):
            folder = stack.enter_context(common.scratch())
            gateway = stack.enter_context(Gateway(folder, chosen))
            gateway.wait_ready(warm=False)
            cases.append(Case(name, gateway))
        for case in cases:
            call_everything(case.gateway, many=case.name.startswith("ten"))
        time.sleep(2)
        for case in cases:
            case.scrape(5)
            case.seconds.clear()
        for _ in range(5):
            for case in cases:
                case.scrape(scrapes // 5)
        tell(report, cases)


def one_wallet(backends: list[dict[str, Any]]) -> dict[str, Any]:
    """All backends behind one wallet."""
    return common.settings(backends)


def many_wallets(backends: list[dict[str, Any]]) -> dict[str, Any]:
    """The same, five behind each of ten wallets."""
    chosen = common.settings(backends[:1])
    each = BACKENDS // WALLETS
    (template,) = chosen["wallets"].values()
    names = ["main", *(f"wallet-{number}" for number in range(1, WALLETS))]
    chosen["wallets"] = {
        name: {**template, "backends": backends[place * each : (place + 1) * each]} for place, name in enumerate(names)
    }
    chosen["clients"][0]["wallets"] = names
    return chosen


def call_everything(gateway: Gateway, *, many: bool) -> None:
    """Call so that each wallet has all that a busy one has to show."""
    paths = [f"/wallets/wallet-{number}" for number in range(1, WALLETS)] if many else []
    for path in ["/", *paths]:
        for method in METHODS:
            answer = gateway.call(method, path=path)
            if "error" in answer:
                raise BenchError(f"{method} at {path}: {answer['error']}")


def tell(report: Report, cases: list[Case]) -> None:
    """Say what was found."""
    rows: list[list[object]] = []
    for case in cases:
        took = sorted(case.seconds)
        p95 = took[int(len(took) * 0.95)] * 1000
        rows.append([case.name, case.lines, case.size / 1000, statistics.median(took) * 1000, p95, case.cpu * 1000])
        report.require(f"a scrape, {case.name}: median", statistics.median(took) * 1000, "<", MOST_MS, "ms")
        report.require(f"a scrape, {case.name}: size", case.size / 1000, "<", MOST_KB, "kB")
    report.table("A scrape", ["gateway", "lines", "kB", "median ms", "p95 ms", "CPU ms"], rows)


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("scrape")
    return common.run(lambda: measure(report, 20 if options.quick else 100), report, options, limit=120)


if __name__ == "__main__":
    sys.exit(main())
