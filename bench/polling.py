"""Sixty-four clients that poll three serial wallets: getbalance, getinfo and history by turns.

What pages and monitors do all day.  The wallets take one call at a time, each over a new connection, at the pace that
was measured of real ones.  By turns through the gateway, through the same gateway where no two calls share a flight
(`apart.py`), and through HAProxy with maxconn 1, all on one core; wallets and load have the other.  Medians count.
"""

import contextlib
import statistics
import sys
from dataclasses import dataclass, field

import common
import load
import peers
from common import BenchError, Gateway, Process, Report

CLIENTS = 64
WALLETS = 3
TAKES = 3 / 3900
"""Seconds of a call: three real Electron Cash daemons answer 3,900 such calls a second together."""

LEAST_APART, LEAST_SHARED = 0.7, 5.0
"""Of HAProxy's calls a second: where none share a flight, and where those that are alike do."""

LIMIT = 100.0
"""Milliseconds that no call may exceed."""


class ApartGateway(Gateway):
    """A gateway where no two calls share a flight."""

    launcher = (sys.executable, str(common.BENCH / "apart.py"))


@dataclass
class Door:
    """One door and its rounds."""

    name: str
    process: Process
    port: int
    rounds: list[load.Result] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        """Milliseconds of the slowest call of all rounds."""
        return max(one.slowest for one in self.rounds) * 1000

    def against(self, other: "Door") -> float:
        """Return its rate as a share of another's, round against the round beside it."""
        return statistics.median(a.rate / b.rate for a, b in zip(self.rounds, other.rounds, strict=True))

    def row(self, peer: "Door | None") -> list[object]:
        """Return its row."""
        middle = [statistics.median(getattr(one, name) for one in self.rounds) * 1000 for name in ("p50", "p99")]
        rate = statistics.median(one.rate for one in self.rounds)
        errors = sum(one.errors for one in self.rounds)
        return [self.name, rate, self.against(peer) if peer is not None else None, *middle, self.slowest, errors]


def measure(report: Report, rounds: int, seconds: float) -> None:
    """Measure all doors by turns."""
    ours, others = common.cores()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        wallets, ports = common.fast_backend(WALLETS, style="close", cpu=others, takes=TAKES)
        stack.enter_context(wallets)
        backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports)]
        chosen = common.settings(backends)
        chosen["clients"][0] |= {"rate_limit": {"per_second": 1e6, "burst": 1_000_000}, "errors": "http"}
        chosen["clients"][0]["effects"] = ["read", "wallet_read", "local_read"]
        doors: list[Door] = []
        for name, kind in (("gateway", Gateway), ("gateway, none share", ApartGateway)):
            own = folder / kind.__name__
            own.mkdir()
            gateway = stack.enter_context(kind(own, chosen, cpu=ours))
            gateway.wait_ready()
            doors.append(Door(name, gateway, gateway.port))
        haproxy = peers.haproxy(folder, ports, "close", ours)
        if haproxy is None:
            report.note("HAPROXY IS MISSING: its row and the ratios are left out")
        else:
            doors.append(Door("HAProxy", stack.enter_context(haproxy.process), haproxy.port))
        for number in range(1, rounds + 1):
            for door in doors:
                found = load.press(
                    door.port, seconds, connections=CLIENTS, cpu=others, measured=door.process, polls=True,
                    may_fail=door.name == "HAProxy",
                )  # fmt: skip
                door.rounds.append(found)
            report.progress(f"round {number} of {rounds}")
    _tell(report, doors, rounds, seconds)


def _tell(report: Report, doors: list[Door], rounds: int, seconds: float) -> None:
    peer = next((door for door in doors if door.name == "HAProxy"), None)
    columns = ["door", "calls/s", "of HAProxy", "p50 ms", "p99 ms", "slowest ms", "errors"]
    title = f"{CLIENTS} clients polling {WALLETS} serial wallets, medians of {rounds} rounds of {seconds:g} s"
    report.table(title, columns, [door.row(peer) for door in doors])
    for door, least in zip(doors[:2], (LEAST_SHARED, LEAST_APART), strict=True):
        if peer is not None:
            report.require(f"{door.name}: calls/s against HAProxy", door.against(peer), ">=", least)
        report.require(f"{door.name}: slowest call", door.slowest, "<=", LIMIT, "ms")
    if peer is not None and not any(one.calls for one in peer.rounds):
        raise BenchError("HAProxy answered nothing")


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("polling")
    rounds, seconds = (1, 1.0) if options.quick else (3, 2.0)
    return common.run(lambda: measure(report, rounds, seconds), report, options, limit=180)


if __name__ == "__main__":
    sys.exit(main())
