"""Added latency: what the gateway adds to a call, at a pace of 1,000 calls a second.

Direct means a new connection for each call, which is all that a serial daemon allows; through the gateway means
one kept connection to it, and its own new connection to the backend for each call.  Both take turns in one run,
and so does HAProxy where it is installed.  A round is some blocks at each door; of each figure the median of the
rounds counts, so that one bad moment of the machine is one round.
"""

import contextlib
import json
import statistics
import sys
from typing import Any

import common
import peers
from common import BenchError, Gateway, Process, Report

RATE = 1000.0
BLOCK = 0.5
"""Seconds at one door before the next."""

ROUNDS = 5

MOST = 0.2
"""Milliseconds that the median may grow by."""

MOST_LATE = 1.3
"""Times HAProxy's, of the 99th percentile: the median of the rounds."""


def measure(report: Report, blocks: int) -> None:
    """Measure all doors by turns."""
    ours, others = common.cores()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        backend, ports = common.fast_backend(3, style="close", cpu=others)
        stack.enter_context(backend)
        backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports)]
        gateway = stack.enter_context(Gateway(folder, common.settings(backends), cpu=ours))
        doors = {"direct": f"127.0.0.1:{ports[0]}", "gateway": f"127.0.0.1:{gateway.port}/keep"}
        fast = common.compiled(report)
        if fast is not None:
            other = stack.enter_context(fast(folder, common.settings(backends), cpu=ours))
            other.wait_ready(warm=False)
            doors["compiled"] = f"127.0.0.1:{other.port}/keep"
        haproxy = peers.haproxy(folder, ports, "close", ours)
        if haproxy is None:
            report.note("HAPROXY IS MISSING: nothing to compare with")
        else:
            stack.enter_context(haproxy.process)
            doors["haproxy"] = f"127.0.0.1:{haproxy.port}/keep"
        gateway.wait_ready(warm=False)
        arguments = [part for name, place in doors.items() for part in ("--door", f"{name}={place}")]
        pace = ["--rate", str(RATE), "--block", str(BLOCK), "--blocks", str(blocks)]
        report.progress(f"{ROUNDS} rounds of {blocks} blocks of half a second at each of {len(doors)} doors")
        command = common.python("client.py", "alternate", *arguments, *pace)
        rounds: list[dict[str, Any]] = []
        for _ in range(ROUNDS):
            with Process("client.py alternate", command, cpu=others) as client:
                client.line()
                rounds.append(json.loads(client.line(blocks * len(doors) + 30)))
    _tell(report, rounds)


def _tell(report: Report, rounds: list[dict[str, Any]]) -> None:
    rows: list[list[object]] = []
    middle = statistics.median

    def late(name: str, share: float) -> list[float]:
        ordered = [sorted(told["doors"][name]["seconds"]) for told in rounds]
        return [seconds[int(len(seconds) * share)] * 1000 for seconds in ordered]

    def added(name: str) -> float:
        return middle(_added(told["doors"][name]["seconds"], told["doors"]["direct"]["seconds"]) for told in rounds)

    for name in rounds[0]["doors"]:
        if errors := sum(told["doors"][name]["errors"] for told in rounds):
            raise BenchError(f"{errors} calls through {name} were answered with an error")
        slowest = max(max(told["doors"][name]["seconds"]) for told in rounds) * 1000
        spread = [middle(late(name, share)) for share in (0.5, 0.95, 0.99)]
        calls = sum(len(told["doors"][name]["seconds"]) for told in rounds)
        rows.append([name, calls, *spread, slowest, None if name == "direct" else added(name)])
    rate = middle(float(told["rate"]) for told in rounds)
    columns = ["door", "calls", "median ms", "p95 ms", "p99 ms", "slowest ms", "added median ms"]
    report.table(f"Latency at {rate:.0f} calls/s, one at a time, medians of {len(rounds)} rounds", columns, rows)
    ours = "compiled" if "compiled" in rounds[0]["doors"] else "gateway"
    report.require(f"median added by the gateway ({ours})", added(ours), "<", MOST, "ms")
    if "haproxy" in rounds[0]["doors"]:
        ratio = middle(a / b for a, b in zip(late(ours, 0.99), late("haproxy", 0.99), strict=True))
        report.require(f"p99 of the gateway ({ours}) against HAProxy's", ratio, "<=", MOST_LATE)
    report.require("pace that was kept", rate, ">=", RATE * 0.9, "calls/s")


def _added(seconds: list[float], direct: list[float]) -> float:
    """Return the milliseconds added: block against the block beside it, so that slow drifts do not count."""
    size = round(RATE * BLOCK)
    starts = range(0, len(direct), size)
    found = [statistics.median(seconds[n : n + size]) - statistics.median(direct[n : n + size]) for n in starts]
    return statistics.median(found) * 1000


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("latency")
    return common.run(lambda: measure(report, 1 if options.quick else 4), report, options, limit=180)


if __name__ == "__main__":
    sys.exit(main())
