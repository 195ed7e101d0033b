"""Overload: ten times the calls that three slow wallets can carry out, at a fixed pace that waits for nobody.

Each wallet carries out one call after the other, 20 ms each.  What they can do is measured first, directly, with one
caller for each.  Then calls come at ten times that pace, no two alike, through the gateway and through HAProxy
(maxconn 1): from clients who say that they wait a second, and from clients who say nothing (9 s by default).

    goodput   results a second that came while the load was on, after its first second
    refused   answered with an error, or not at all; for a client a quick one is worth most, for he can ask elsewhere
"""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import common
import peers
from common import Gateway, Process, Report

WALLETS = 3
TAKES = 0.020
TIMES = 10.0
PATIENCE = 1.0
WARM_UP = 1.0
"""Seconds until the wallets are busy and the gateway knows how long a call takes."""

LEAST = 0.9
"""Of what the wallets can do."""

TRIES = 3
KEPT_WAITING = 0.03
"""Share of the time that the gateway was ready and others had its core, from which on a miss may be the machine's."""

SOONEST = 50.0
"""Milliseconds until whoever is refused knows."""


def measure(report: Report, seconds: float) -> None:
    """Measure what the wallets can do, then load them beyond it."""
    ours, others = common.cores()
    common.raise_file_limit(10_000)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        backend, ports = common.fast_backend(WALLETS, style="close", cpu=others, takes=TAKES)
        stack.enter_context(backend)
        able = sum(_capacity(port, others) for port in ports)
        report.progress(f"the wallets can do {able:.0f} calls a second")
        backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports)]
        chosen = common.settings(backends)
        chosen["clients"][0]["rate_limit"] = {"per_second": 1e6, "burst": 1_000_000}
        gateway = stack.enter_context(Gateway(folder, chosen, cpu=ours))
        doors = {"gateway, clients wait 1 s": (gateway.port, PATIENCE), "gateway, 9 s": (gateway.port, 0.0)}
        haproxy = peers.haproxy(folder, ports, "close", ours)
        if haproxy is None:
            report.note("HAPROXY IS MISSING: nothing to compare with")
        else:
            stack.enter_context(haproxy.process)
            doors["HAProxy, 9 s"] = (haproxy.port, 0.0)
        gateway.wait_ready()
        rows: list[list[object]] = []
        for name, (port, patience) in doors.items():
            flood = partial(_flood, port, able * TIMES, seconds, patience, others)
            rows.append(_case(report, name, flood, able, gateway if name.startswith("gateway") else None))
    columns = [
        "door", "offered/s", "goodput/s", "of what they can", "refused", "refused: p50 ms", "p99 ms", "slowest ms",
        "result: p50 ms", "p99 ms", "client late ms",
    ]  # fmt: skip
    report.table(f"{WALLETS} wallets that take {TAKES * 1000:g} ms a call, {able:.0f} calls a second", columns, rows)


def _capacity(port: int, cpu: int | None) -> float:
    """Return how many calls a second one caller gets out of one wallet."""
    command = common.python("client.py", "closed", "--to", f"127.0.0.1:{port}", "--connections", 1, "--seconds", 1)
    with Process("client.py closed", command, cpu=cpu) as client:
        client.line()
        told = json.loads(client.line())
    return float(told["calls"] / told["seconds"])


def _flood(port: int, rate: float, seconds: float, patience: float, cpu: int | None) -> dict[str, Any]:
    """Load one door."""
    command = common.python("client.py", "flood", "--to", f"127.0.0.1:{port}", "--rate", rate, "--seconds", seconds)
    with Process("client.py flood", [*command, "--patience", str(patience)], cpu=cpu) as client:
        client.line()
        found: dict[str, Any] = json.loads(client.line(seconds + 40))
    return found


def _case(
    report: Report, name: str, flood: Callable[[], dict[str, Any]], able: float, gateway: Gateway | None
) -> list[object]:
    """Load one door and tell it; once more, twice at most, where it missed and had been kept waiting for its core."""
    before = list(report.requirements)
    for attempt in range(1, TRIES + 1):
        report.requirements[:] = before
        waited, began = (common.waited_for_core(gateway.pid) if gateway else 0.0), time.monotonic()
        row = _tell(report, name, flood(), able)
        share = ((common.waited_for_core(gateway.pid) if gateway else 0.0) - waited) / (time.monotonic() - began)
        if all(one.ok for one in report.requirements[len(before) :]) or share < KEPT_WAITING or attempt == TRIES:
            break
        report.note(f"{name}: others had its core for {share:.0%} of the time; once more")
    return row


def _tell(report: Report, name: str, told: dict[str, Any], able: float) -> list[object]:
    begin, end = told["first"] + WARM_UP, told["last"]
    good = [took * 1000 for began, took, wrong in told["samples"] if not wrong and begin <= began + took <= end]
    refused = sorted(took * 1000 for began, took, wrong in told["samples"] if wrong and begin <= began)
    goodput = len(good) / (end - begin)
    offered = sum(begin <= began for began, _, _ in told["samples"]) / (end - begin)
    if name.startswith("gateway"):
        report.require(f"{name}: goodput against what the wallets can do", goodput / able, ">=", LEAST)
        report.require(f"{name}: slowest refusal", refused[-1] if refused else 0.0, "<=", SOONEST, "ms")
        report.require(f"{name}: pace that was kept", offered / (able * TIMES), ">=", 0.9)
    if told["open"] or told["left_out"]:
        report.note(f"{name}: {told['open']} calls never ended, {told['left_out']} were not made: too many waited")
    spread = [_at(refused, 0.5), _at(refused, 0.99), refused[-1] if refused else None]
    good.sort()
    return [
        name, offered, goodput, goodput / able, len(refused), *spread, statistics.median(good) if good else None,
        _at(good, 0.99), told["lateness"] * 1000,
    ]  # fmt: skip


def _at(ordered: list[float], share: float) -> float | None:
    return ordered[int(len(ordered) * share)] if ordered else None


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("overload")
    return common.run(lambda: measure(report, 3.0 if options.quick else 6.0), report, options, limit=180)


if __name__ == "__main__":
    sys.exit(main())
