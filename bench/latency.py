"""Added latency: what the gateway adds to a call, at a pace of 500 calls a second.

Direct means a new connection for each call, which is all that a serial daemon allows; through the gateway means
one kept connection to it, and its own new connection to the backend for each call.  Both take turns in one run,
and so does HAProxy where it is installed.
"""

import contextlib
import json
import statistics
import sys
from typing import Any

import common
import peers
from common import BenchError, Gateway, Process, Report

RATE = 500.0
BLOCK = 0.5
"""Seconds at one door before the next."""

MOST = 0.4
"""Milliseconds that the median may grow by."""


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
        haproxy = peers.haproxy(folder, ports, "close", ours)
        if haproxy is None:
            report.note("HAPROXY IS MISSING: nothing to compare with")
        else:
            stack.enter_context(haproxy.process)
            doors["haproxy"] = f"127.0.0.1:{haproxy.port}/keep"
        gateway.wait_ready(warm=False)
        arguments = [part for name, place in doors.items() for part in ("--door", f"{name}={place}")]
        pace = ["--rate", str(RATE), "--block", str(BLOCK), "--blocks", str(blocks)]
        report.progress(f"{blocks} blocks of half a second at each of {len(doors)} doors")
        command = common.python("client.py", "alternate", *arguments, *pace)
        with Process("client.py alternate", command, cpu=others) as client:
            client.line()
            told = json.loads(client.line(blocks * len(doors) + 30))
    _tell(report, told)


def _tell(report: Report, told: dict[str, Any]) -> None:
    rows: list[list[object]] = []
    rate = float(told["rate"])
    for name, found in told["doors"].items():
        seconds = sorted(found["seconds"])
        if found["errors"]:
            raise BenchError(f"{found['errors']} calls through {name} were answered with an error")
        spread = [seconds[int(len(seconds) * q)] * 1000 for q in (0.95, 0.99)]
        added = None if name == "direct" else _added(found["seconds"], told["doors"]["direct"]["seconds"])
        rows.append([name, len(seconds), statistics.median(seconds) * 1000, *spread, seconds[-1] * 1000, added])
    columns = ["door", "calls", "median ms", "p95 ms", "p99 ms", "slowest ms", "added median ms"]
    report.table(f"Latency at {rate:.0f} calls/s, one at a time", columns, rows)
    gateway, direct = (told["doors"][name]["seconds"] for name in ("gateway", "direct"))
    report.require("median added by the gateway", _added(gateway, direct), "<", MOST, "ms")
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
    return common.run(lambda: measure(report, 4 if options.quick else 20), report, options, limit=180)


if __name__ == "__main__":
    sys.exit(main())
