"""CPU cost of a call with 2, 10 and 100 backends behind one wallet, and of doing nothing.

Serial backends, one slot each, all in one fast process.  Two connections load the gateway (no call waits for a
slot, however few there are), then sixteen (with few backends calls wait, with many they do not).  Rounds take
turns, the sum of all rounds counts.  What probes and upkeep cost while nobody calls is told apart.
"""

import contextlib
import sys
import time
from dataclasses import dataclass, field

import common
import load
from common import Gateway, Report

SIZES = (2, 10, 100)
CONNECTIONS = (2, 16)
MOST = 1.5
"""Times the cost with two backends."""


@dataclass
class Size:
    """A gateway with so many backends."""

    count: int
    gateway: Gateway
    rounds: dict[int, list[load.Result]] = field(default_factory=lambda: {many: [] for many in CONNECTIONS})
    idle: float = 0.0
    """Share of a core that probes and upkeep take while nobody calls."""

    def cost(self, many: int) -> float:
        """Return microseconds of CPU a call with so many connections, without what it costs to do nothing."""
        used = sum(one.cpu - one.seconds * self.idle for one in self.rounds[many])
        return used / sum(one.calls for one in self.rounds[many]) * 1e6


def measure(report: Report, rounds: int, seconds: float) -> None:
    """Measure all sizes by turns."""
    ours, others = common.cores()
    common.raise_file_limit(2000)
    with contextlib.ExitStack() as stack:
        backend, ports = common.fast_backend(max(SIZES), style="close", cpu=others)
        stack.enter_context(backend)
        sizes = []
        for count in SIZES:
            folder = stack.enter_context(common.scratch())
            backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports[:count])]
            chosen = common.settings(backends)
            chosen["clients"][0] |= {"errors": "http"}
            sizes.append(Size(count, stack.enter_context(Gateway(folder, chosen, cpu=ours))))
        for size in sizes:
            size.gateway.wait_ready(warm=False)
        # past slow start, in which the prices of backends cost a little more
        time.sleep(seconds)
        report.progress("idle")
        before = {size.count: size.gateway.cpu_seconds() for size in sizes}
        time.sleep(seconds * 2)
        for size in sizes:
            size.idle = (size.gateway.cpu_seconds() - before[size.count]) / (seconds * 2)
        for number in range(0 if rounds > 1 else 1, rounds + 1):
            for size in sizes:
                for many in CONNECTIONS:
                    found = load.press(
                        size.gateway.port, seconds if number else 1, connections=many, cpu=others,
                        measured=size.gateway,
                    )  # fmt: skip
                    if number:  # round 0 warms up
                        size.rounds[many].append(found)
            report.progress(f"round {number} of {rounds}")
    _tell(report, sizes)


def _tell(report: Report, sizes: list[Size]) -> None:
    rows = []
    for size in sizes:
        row: list[object] = [str(size.count), size.idle * 100]
        for many in CONNECTIONS:
            results = size.rounds[many]
            row += [size.cost(many), sum(one.calls for one in results) / sum(one.seconds for one in results)]
        rows.append(row)
    columns = ["backends", "idle core %"]
    for many in CONNECTIONS:
        columns += [f"us/call, {many} conn", f"calls/s, {many} conn"]
    report.table("CPU cost of a call", columns, rows)
    for many in CONNECTIONS:
        ratio = sizes[-1].cost(many) / sizes[0].cost(many)
        report.require(f"cost with {SIZES[-1]} against {SIZES[0]} backends, {many} connections", ratio, "<", MOST)


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("scale")
    rounds, seconds = (1, 1.0) if options.quick else (4, 2.0)
    return common.run(lambda: measure(report, rounds, seconds), report, options, limit=240)


if __name__ == "__main__":
    sys.exit(main())
