"""Calls a second through one gateway process on one core, beside HAProxy and nginx on the same core.

All policies on: credentials, method rules, rate limit, breaker, hedging, metrics.  Backends, load and whatever measures
share the other core.  Two kinds of backends:

    close        eight serial ones (profile electron-cash): a new connection a call, one call at a time each;
                 HAProxy with http-server-close and maxconn 1; sixteen kept connections of clients
    keep-alive   two that keep connections (profile electrum), 256 slots each, so that nothing waits;
                 HAProxy with http-reuse and no limit; sixteen, 64 and 256 kept connections of clients

The gateway stands there twice where `make compiled` was run: as it is, and with its busiest rooms compiled.

No two calls are alike, so that nothing is shared; a row of identical reads shows what sharing flights brings.
Rounds are short and take turns, the medians count.  The ratio of CPU per call is printed too: where the backends
or the load are the bottleneck, it says more than the ratio of rates.
"""

import contextlib
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

import common
import load
import peers
from common import Gateway, Process, Report, Settings

LEAST = {"close": 0.75, "keep-alive": 0.65}
"""Of HAProxy's calls a second, no two calls alike."""

LEAST_IDENTICAL = 1.3
"""The same for identical reads, which share a flight; backends that keep connections."""


@dataclass
class Door:
    """One proxy, or none, and its rounds."""

    name: str
    process: Process
    port: int
    identical: bool = False
    rounds: list[load.Result] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls a second, the median of the rounds."""
        return statistics.median(one.rate for one in self.rounds)

    @property
    def cpu_per_call(self) -> float:
        """Microseconds of CPU, all rounds together."""
        return sum(one.cpu for one in self.rounds) / sum(one.calls for one in self.rounds) * 1e6

    @property
    def share_of_core(self) -> float:
        """How busy its core was, in percent."""
        return sum(one.cpu for one in self.rounds) / sum(one.seconds for one in self.rounds) * 100

    def against(self, other: "Door") -> float:
        """Return its rate as a share of another's: round against the round beside it, so that drifts do not count."""
        return statistics.median(a.rate / b.rate for a, b in zip(self.rounds, other.rounds, strict=True))

    def row(self, best: "Door | None") -> list[object]:
        """Return its row; `best` is what it is compared with."""
        middle = [statistics.median(getattr(one, name) for one in self.rounds) * 1000 for name in ("p50", "p99")]
        ratio = self.against(best) if best is not None else None
        by_cpu = best.cpu_per_call / self.cpu_per_call if best is not None and self.cpu_per_call else None
        return [self.name, self.rate, ratio, self.cpu_per_call, by_cpu, self.share_of_core, *middle]


COLUMNS = ["door", "calls/s", "of HAProxy", "CPU us/call", "of HAProxy by CPU", "core %", "p50 ms", "p99 ms"]


@dataclass(frozen=True)
class Kind:
    """One kind of backends: how many, the wallet's settings, slots of each, and how many clients press."""

    count: int
    wallet: Settings
    slots: int
    clients: tuple[int, ...]


KINDS = {
    "close": Kind(8, {"profile": "electron-cash"}, 1, (16,)),
    "keep-alive": Kind(2, {"profile": "electrum"}, 256, (16, 64, 256)),
}


def measure(report: Report, rounds: int, seconds: float) -> None:
    """Measure both kinds of backends."""
    missing = [name for name in ("haproxy", "nginx", "wrk") if common.found(name) is None]
    for name in missing:
        left_out = (
            "our own client loads instead, which is slower" if name == "wrk" else "its row and ratio are left out"
        )
        report.note(f"{name.upper()} IS MISSING: {left_out}")
    if common.cores()[0] is None:
        report.note("ONLY ONE CORE: proxy, load and backends share it, the ratios say little")
    fast = common.compiled(report)
    for style, kind in KINDS.items():
        for connections in kind.clients:
            with common.scratch() as folder:
                _measure_one(report, folder, style, connections, rounds, seconds, fast)


def _measure_one(
    report: Report, folder: Path, style: str, connections: int, rounds: int, seconds: float,
    fast: type[common.CompiledGateway] | None,
) -> None:  # fmt: skip
    ours, others = common.cores()
    kind = KINDS[style]
    with contextlib.ExitStack() as stack:
        backend, ports = common.fast_backend(kind.count, style=style, cpu=others)
        stack.enter_context(backend)
        backends = [common.backend(n, f"http://127.0.0.1:{port}", slots=kind.slots) for n, port in enumerate(ports)]
        chosen = common.settings(backends, wallet=kind.wallet)
        chosen["clients"][0] |= {"rate_limit": {"per_second": 1e6, "burst": 1_000_000}, "errors": "http"}
        gateways = {"gateway": stack.enter_context(Gateway(folder, chosen, cpu=ours))}
        if fast is not None:
            gateways["gateway, compiled"] = stack.enter_context(fast(folder, chosen, cpu=ours))
        doors = [Door(name, gateway, gateway.port) for name, gateway in gateways.items()]
        for name, start in (("HAProxy", peers.haproxy), ("nginx", peers.nginx)):
            peer = start(folder, ports, style, ours)
            if peer is not None:
                doors.append(Door(name, stack.enter_context(peer.process), peer.port))
        doors += [Door(f"{name}, identical", one, one.port, identical=True) for name, one in gateways.items()]
        doors.append(Door("none (backend itself)", backend, ports[0]))
        for gateway in gateways.values():
            gateway.wait_ready(warm=False)
        for number in range(rounds + 1):
            for door in doors:
                found = load.press(
                    door.port, seconds if number else 1, connections=connections, cpu=others, measured=door.process,
                    identical=door.identical,
                )  # fmt: skip
                if number:  # round 0 warms up
                    door.rounds.append(found)
            report.progress(f"{style}, {connections} connections: round {number} of {rounds}")
    _tell(report, doors, f"{style}, {connections} connections", style, rounds, seconds)


def _tell(report: Report, doors: list[Door], name: str, style: str, rounds: int, seconds: float) -> None:
    haproxy = next((door for door in doors if door.name == "HAProxy"), None)
    title = f"Backends: {KINDS[style].count} x {name}, medians of {rounds} rounds of {seconds:g} s"
    report.table(title, COLUMNS, [door.row(haproxy) for door in doors])
    if haproxy is None:
        return
    # what is required is required of the fastest that there is, which is the compiled one; the other's rows are there
    ours = [door for door in doors if door.name.startswith("gateway")]
    distinct = [door for door in ours if not door.identical][-1]
    report.require(
        f"{name}: {distinct.name}, distinct calls a second of HAProxy's", distinct.against(haproxy), ">=", LEAST[style]
    )
    if style == "keep-alive":
        shared = [door for door in ours if door.identical][-1]
        what = f"{name}: {shared.name} reads, of HAProxy's calls a second"
        report.require(what, shared.against(haproxy), ">=", LEAST_IDENTICAL)


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("throughput")
    rounds, seconds = (1, 1.0) if options.quick else (9, 1.0)
    return common.run(lambda: measure(report, rounds, seconds), report, options, limit=900)


if __name__ == "__main__":
    sys.exit(main())
