"""What the ledger costs and what it brings: allocations, reads beside them, promotions, invoices by the thousand.

Allocations come at 20 a second out of the ledger's pool, each durable (SQLite, synchronous FULL) before it is
answered.  Reads are made beside them, by turns through a gateway with a ledger and one without, each in front of
sandbox wallets of its own.  Then the primary is frozen again and again under fast calls, and it is measured how long
it takes until a write is answered by the next one.  At last a thousand invoices are made and removed, one after the
other, and the last hundred must not be slower than the first; how long gateway and daemons worked is told apart.
"""

import contextlib
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import common
from common import BenchError, Gateway, Report

from gateway.sandbox.fleet import Fleet

RATE = 20.0
"""Allocations a second."""

MOST_MEDIAN = 5.0
"""Milliseconds that the median allocation may take."""

MOST_PROMOTION = 2.0
"""Seconds within which another primary takes over, 99 of 100 times."""

MOST_READS = 1.25
"""The median read with a ledger, as a multiple of the one without; the noise of the machine included."""

CYCLES = 1000
"""Invoices that are made and removed."""

SPAN = 100
"""How many of them the first and the last are."""

MOST_GROWTH = 1.1
"""The median of the last cycles, as a multiple of the first ones'; the noise of the machine included."""

PASSWORD = "bench"  # noqa: S105 - of sandbox wallets


@contextlib.contextmanager
def fleet_and_gateway(folder: Path, *, has_ledger: bool) -> Iterator[tuple[Fleet, Gateway]]:
    """Run three sandbox wallets and a gateway in front of them."""
    folder.mkdir()
    with Fleet(3, folder, user=common.USER, password=PASSWORD) as fleet:
        backends = [common.backend(n, fleet.url(n), username=common.USER, password=PASSWORD) for n in range(len(fleet))]
        ledger = {"ledger": {"path": str(folder / "ledger.db"), "may_be_lost": True}} if has_ledger else {}
        with Gateway(folder, common.settings(backends, **ledger)) as gateway:
            gateway.wait_ready()
            if has_ledger:
                common.wait_until(lambda: _pool(gateway) > 0, "the pool of addresses is filled")
            yield fleet, gateway


def _ledger(gateway: Gateway) -> dict[str, object]:
    found: dict[str, object] = gateway.call("gateway.status")["result"]["ledger"]
    return found


def _pool(gateway: Gateway) -> int:
    return int(str(_ledger(gateway)["pool"]))


def timed(gateway: Gateway, method: str, *params: object) -> tuple[object, float]:
    """Make one call over a new connection; return its result and the milliseconds.  Raises BenchError."""
    began = time.perf_counter()
    answer = gateway.call(method, *params)
    took = (time.perf_counter() - began) * 1000
    if answer.get("error") is not None:
        raise BenchError(f"{method} was answered with {answer['error']}")
    return answer.get("result"), took


def allocations(report: Report, gateway: Gateway, seconds: float) -> None:
    """Measure allocations at their pace."""
    report.progress(f"allocations at {RATE:.0f}/s for {seconds:.0f} s")
    took, given = [], set()
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        address, one = timed(gateway, "createnewaddress")
        took.append(one)
        given.add(address)
        time.sleep(max(0.0, now + 1 / RATE - time.perf_counter()))
    took.sort()
    columns = ["calls", "distinct", "median ms", "p95 ms", "p99 ms", "slowest ms"]
    spread = [took[int(len(took) * q)] for q in (0.5, 0.95, 0.99)]
    report.table(f"Allocations at {RATE:.0f}/s", columns, [[len(took), len(given), *spread, took[-1]]])
    report.require("allocations answered twice with one address", len(took) - len(given), "<=", 0, "")
    report.require("median allocation", spread[0], "<", MOST_MEDIAN, "ms")


def reads(report: Report, with_ledger: Gateway, without: Gateway, blocks: int) -> None:
    """Measure reads beside allocations, by turns through both gateways."""
    report.progress(f"{blocks} blocks of reads through each of two gateways")
    found: dict[str, list[float]] = {"ledger": [], "none": []}
    for block in range(blocks):
        for name, gateway in (("ledger", with_ledger), ("none", without)):
            timed(gateway, "createnewaddress")
            found[name].append(statistics.median(timed(gateway, "getbalance")[1] for _ in range(50)))
        if block % 10 == 9:
            report.progress(f"{block + 1} of {blocks}")
    pairs = [a / b for a, b in zip(found["ledger"], found["none"], strict=True)]
    rows: list[list[object]] = [[name, len(some) * 50, statistics.median(some)] for name, some in found.items()]
    report.table("Reads beside allocations", ["ledger", "calls", "median ms"], rows)
    report.require("median read with a ledger, of one without", statistics.median(pairs), "<=", MOST_READS)


def cycles(report: Report, folder: Path, count: int) -> None:
    """Make and remove invoices; once more, with everything new, where the last were slower than the first."""
    growth = _cycles(report, folder / "cycles", count)
    if growth > MOST_GROWTH:
        report.note(f"the last {SPAN} cycles took {growth:.2f} times as long as the first: measured once more")
        growth = min(growth, _cycles(report, folder / "cycles-again", count))
    report.require(f"median of the last {SPAN} cycles, of the first", growth, "<=", MOST_GROWTH)


def _cycles(report: Report, folder: Path, count: int) -> float:
    """Make and remove invoices in front of new wallets; return what the last cycles took, of what the first did."""
    report.progress(f"{count} times addrequest and rmrequest")
    took: list[float] = []
    worked: list[list[float]] = []
    given = set()
    with fleet_and_gateway(folder, has_ledger=True) as (fleet, gateway):
        pids = [gateway.pid, *(fleet.pid(index) for index in range(len(fleet)))]
        # what is done once (statements compiled, daemons settled in) is no growth
        for number in range(-SPAN // 2, count):
            if number >= 0 and number % SPAN == 0:
                worked.append([_cpu_seconds(pid) for pid in pids])
            invoice, adding = timed(gateway, "addrequest", "0.001", f"order {number}")
            address = invoice["address"] if isinstance(invoice, dict) else ""
            given.add(address)
            is_removed, removing = timed(gateway, "rmrequest", address)
            if is_removed is not True:
                raise BenchError(f"an invoice that was made could not be removed: {is_removed}")
            if number >= 0:
                took.append(adding + removing)
        worked.append([_cpu_seconds(pid) for pid in pids])
    rows: list[list[object]] = []
    for name, first in (("first", 0), ("last", len(worked) - 2)):
        span = took[first * SPAN : (first + 1) * SPAN]
        own, *daemons = (1000 * (b - a) / SPAN for a, b in zip(worked[first], worked[first + 1], strict=True))
        rows.append([name, len(span), statistics.median(span), sorted(span)[int(0.95 * len(span))], own, *daemons])
    columns = [
        "cycles",
        "calls",
        "median ms",
        "p95 ms",
        "gateway CPU ms",
        *(f"daemon {n}" for n in range(1, len(pids))),
    ]
    report.table(f"{count} times addrequest and rmrequest", columns, rows)
    report.require(f"addresses given to two of {count} invoices", count + SPAN // 2 - len(given), "<=", 0)
    return statistics.median(took[-SPAN:]) / statistics.median(took[:SPAN])


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    fields = after_name.split()
    return (int(fields[11]) + int(fields[12])) * common.TICK


def promotions(report: Report, fleet: Fleet, gateway: Gateway, rounds: int) -> None:
    """Freeze the primary again and again under fast calls."""
    took: list[float] = []
    calls, stop = [0], threading.Event()

    def pressing() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, BenchError):
                timed(gateway, "getbalance")
                calls[0] += 1
            time.sleep(0.025)

    thread = threading.Thread(target=pressing, daemon=True)
    thread.start()
    try:
        for number in range(rounds):
            report.progress(f"promotion {number + 1} of {rounds}")
            took.append(_promotion(fleet, gateway, number))
    finally:
        stop.set()
        thread.join()
    took.sort()
    late = sum(one > MOST_PROMOTION for one in took)
    columns = ["rounds", "median s", "slowest s", "later than 2 s", "reads meanwhile"]
    report.table("Promotions after a freeze", columns, [[rounds, statistics.median(took), took[-1], late, calls[0]]])
    report.require("promotions later than 2 s, of 100", 100 * late / rounds, "<=", 1)


def _promotion(fleet: Fleet, gateway: Gateway, number: int) -> float:
    """Freeze the primary; return the seconds until another one is it, see that it answers a write, and thaw."""
    before = str(gateway.call("gateway.status")["result"]["primary"])
    pid = fleet.pid(int(before.rpartition("-")[2]) - 1)
    os.kill(pid, signal.SIGSTOP)
    began = time.perf_counter()
    try:
        # a write that the frozen one holds already would have an unknown outcome: it is asked, not tried
        common.wait_until(lambda: gateway.call("gateway.status")["result"]["primary"] != before, "a promotion")
        took = time.perf_counter() - began
        timed(gateway, "setlabel", f"round{number}", "x")
    finally:
        os.kill(pid, signal.SIGCONT)
    # slow start included, so that promotions are far enough apart to be nobody's flapping
    common.wait_until(lambda: _are_well(gateway), "all wallets are well again", patience=90)
    return took


def _are_well(gateway: Gateway) -> bool:
    return all(one["aligned"] and one["phase"] == "READY" for one in gateway.backends())


def only_promotions(report: Report, rounds: int) -> None:
    """Measure nothing else."""
    with common.scratch() as folder, fleet_and_gateway(folder / "with", has_ledger=True) as (fleet, gateway):
        promotions(report, fleet, gateway, rounds)


def measure(report: Report, *, quick: bool) -> None:
    """Measure it all."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        fleet, gateway = stack.enter_context(fleet_and_gateway(folder / "with", has_ledger=True))
        _, other = stack.enter_context(fleet_and_gateway(folder / "without", has_ledger=False))
        allocations(report, gateway, 5 if quick else 20)
        reads(report, gateway, other, 10 if quick else 40)
        promotions(report, fleet, gateway, 2 if quick else 6)
    with common.scratch() as folder:
        # alone on the machine: three more daemons and a gateway would be measured with it
        cycles(report, folder, 2 * SPAN if quick else CYCLES)


def main() -> int:
    """Run it."""
    parser = common.options_parser(__doc__)
    parser.add_argument("--promotions", type=int, metavar="N", help="only N promotions, a quarter of a minute each")
    options = parser.parse_args()
    report = Report("money")
    if options.promotions:
        limit = 120.0 + 60.0 * options.promotions
        return common.run(lambda: only_promotions(report, options.promotions), report, options, limit=limit)
    return common.run(lambda: measure(report, quick=options.quick), report, options, limit=900)


if __name__ == "__main__":
    sys.exit(main())
