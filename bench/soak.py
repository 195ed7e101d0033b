"""A mixed load with faults in turn for a long time, and whether anything of the gateway grows meanwhile.

A gateway with a ledger in front of three sandbox wallets; a client process of its own makes about 45 calls a second
(`mixed.py`).  One wallet after the other is frozen, killed and started again, or wedged by a foreign idle connection;
so that there is always another one.  Every few seconds the gateway is looked at from outside (memory, threads,
descriptors, sockets, the ledger's files) and from inside (tasks, objects: `inside.py`).

    flat    the robust line through the samples after the warm-up grows by less than is allowed, or three of four
            pairs of samples do not say that it grows (`trend.py`)

A run that is too short to tell, or in which nothing was done to a wallet, is refused: nothing said "flat" then.

A wallet grows while addresses and invoices are made all the time, and with it what a gateway has to hold: its
addresses, and the answers that list them, several times over while one is read and passed on.  So at the end the
gateway is ended, and a fresh one takes over the same ledger and the same wallets under the same load: what the old one
would have more than that one, once that is as warm, is what it has not let go of.  That is required to be nothing; the
line through the whole run is told beside it.

What the ledger keeps for ever (addresses, keys) makes its files grow; they are told by call and not required.
"""

import argparse
import contextlib
import json
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import common
import trend
from common import PASSWORD, PASSWORD_VARIABLE, USER, BenchError, Gateway, Process, Report, Settings

from gateway.sandbox import addresses
from gateway.sandbox.fleet import Fleet

EVERY = 3.0
"""Seconds between two samples."""

CALM, LASTS = 9.0, 3.0
"""Seconds between two faults, and of one."""

WARM_UP = 0.25
"""The share of the run that is left out; at least a minute, or half of a short run."""

SAMPLES = 4
"""Of each series after the warm-up; fewer tell nothing, and objects are counted each 18 s alone."""

SHORTEST = 2.5
"""Minutes of a run that has so many, a minute of warm-up included."""

FRESH, WARM = 150.0, 300.0
"""Seconds under load of the gateway that takes over at the end, at least, and for which it warms up at most; it is
looked at in the second half of its time."""

LEAVES = 3.0
"""MiB that a gateway may have more than a fresh one that knows the same wallets."""

FAULTS = ("freeze", "kill", "wedge")

TOLD = {"anonymous": ("MiB", 3.0), "resident": ("MiB", 3.0), "proportional": ("MiB", 3.0)}
"""Unit, and the growth that counts as flat, of what a growing wallet makes grow too.

Only the first is the gateway's own; the others count pages of libraries and of the ledger's files as well, as they come
to be touched, all of them or by how many share each.
"""

ALLOWED: dict[str, tuple[str, float]] = {
    "threads": ("", 1.0),
    "descriptors": ("", 4.0),
    "sockets": ("", 4.0),
    "tasks": ("", 4.0),
    "objects": ("", 6000.0),
}
"""Unit, and the growth over the whole run that still counts as flat."""

LIMITS = ALLOWED | TOLD


@dataclass
class Watch:
    """Looks at one gateway again and again."""

    gateway: Gateway
    ledger: Path
    inside: Path
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def look(self) -> None:
        """Take one sample of everything that is seen from outside."""
        pid, now = self.gateway.pid, time.monotonic()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        for name, key in (("anonymous", "Anonymous"), ("resident", "Rss"), ("proportional", "Pss")):
            found = re.search(rf"^{key}:\s+(\d+) kB", rollup, re.MULTILINE)
            self._add(name, now, int(found[1]) / 1024 if found else 0.0)
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        self._add("threads", now, int(status.partition("Threads:")[2].split()[0]))
        links = []
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(one.readlink()))
        self._add("descriptors", now, len(links))
        self._add("sockets", now, sum(link.startswith("socket:") for link in links))
        sizes = [one.stat().st_size for one in self.ledger.parent.glob(f"{self.ledger.name}*")]
        self._add("ledger", now, sum(sizes) / 2**20)

    def told(self, warm_from: float) -> dict[str, Any]:
        """Take what was told from inside; return the first look after the warm-up that counted kinds, and the last."""
        last: dict[str, Any] = {}
        lines = self.inside.read_text(encoding="utf-8").splitlines() if self.inside.exists() else []
        self.series["tasks"], self.series["objects"] = [], []
        for line in lines:
            found = json.loads(line)
            self._add("tasks", found["at"], found["tasks"])
            if "objects" in found:
                self._add("objects", found["at"], found["objects"])
                if found["at"] >= warm_from:
                    last = {"first": last.get("first", found), "last": found}
        return last

    def _add(self, name: str, at: float, value: float) -> None:
        self.series.setdefault(name, []).append((at, float(value)))


class Plague:
    """Does harm to one wallet after the other, in a thread of its own.

    It lasts as long as the wallets are needed: those that it has started again end with its thread.
    """

    def __init__(self, fleet: Fleet) -> None:
        """Begin with nothing done."""
        self.fleet = fleet
        self.done: list[tuple[float, float, str]] = []
        self.error = ""
        self.rests = True
        """Nothing is done for a while."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plague", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while not self._over.wait(CALM):
            if self.rests:
                continue
            name, index = FAULTS[number % len(FAULTS)], number // len(FAULTS) % len(self.fleet)
            began = time.monotonic()
            try:
                self._fault(name, index)
            except Exception as error:  # noqa: BLE001 - the report tells it; a thread has nobody to tell
                self.error = f"{name} of wallet {index}: {error!r}"
                return
            self.done.append((began, time.monotonic(), f"{name} ec-{index + 1}"))
            number += 1

    def _fault(self, name: str, index: int) -> None:
        fleet = self.fleet
        if name == "freeze":
            fleet.freeze(index)
            self._over.wait(LASTS)
            fleet.thaw(index)
        elif name == "kill":
            fleet.kill(index)
            self._over.wait(LASTS / 3)
            fleet.start(index)
            common.lift(fleet.pid(index))
        else:
            with fleet.wedge(index):
                self._over.wait(LASTS)


class WatchedGateway(Gateway):
    """A gateway that is told from inside as well."""

    patience = 4 * common.PATIENCE
    """One whose memory is traced takes long to start."""

    def __init__(self, folder: Path, chosen: Settings, inside: Path) -> None:
        """Start it through `inside.py`."""
        self.launcher = common.python("inside.py", inside, EVERY)
        super().__init__(folder, chosen)


Start = Callable[[str], contextlib.AbstractContextManager[Watch]]
"""Starts a gateway, by the name of its folder, on the one ledger; it ends with the context."""


@contextlib.contextmanager
def setting(folder: Path) -> Iterator[tuple[Fleet, Start]]:
    """Start wallets with coins; yield them, and what starts a gateway with a ledger."""
    with Fleet(3, folder / "fleet", user=USER, password=PASSWORD) as fleet:
        for index in range(len(fleet)):
            common.lift(fleet.pid(index))
        backends = [
            common.backend(n, fleet.url(n), username=USER, password=f"${{{PASSWORD_VARIABLE}}}")
            for n in range(len(fleet))
        ]
        ledger = folder / "ledger.db"
        chosen = common.settings(backends, ledger={"path": str(ledger), "may_be_lost": True})
        effects = ["read", "wallet_read", "local_read", "write", "allocate", "sign", "publish"]
        chosen["clients"][0] |= {"effects": effects, "max_per_call": 1, "max_per_day": 1000}
        chosen["clients"][0]["rate_limit"] = {"per_second": 1000, "burst": 1000}

        @contextlib.contextmanager
        def start(name: str) -> Iterator[Watch]:
            place = folder / name
            place.mkdir()
            with WatchedGateway(place, chosen, place / "inside.jsonl") as gateway:
                gateway.wait_ready()
                yield Watch(gateway, ledger, place / "inside.jsonl")

        yield fleet, start


def _fund(fleet: Fleet, gateway: Gateway) -> None:
    """Give the wallets coins of many sizes, so that one payment need not wait for the change of the one before."""
    own = gateway.call("createnewaddress")["result"]
    for _ in range(60):
        fleet.chain("fund", address=own, sats=2_000_000)
    fleet.chain("mine", blocks=1)


def _press(
    report: Report, fleet: Fleet, watch: Watch, plague: Plague, seconds: float, options: argparse.Namespace
) -> dict[str, Any]:  # fmt: skip
    """Load a gateway whose wallets are hurt; return what the load was told.  Raises BenchError."""
    gateway = watch.gateway
    to = ",".join(addresses.derive("soak customers", change=False, index=n).text for n in range(8))
    command = common.python(
        "mixed.py", "--to", f"127.0.0.1:{gateway.port}", "--pace", options.pace, "--destinations", to
    )
    with Process("mixed.py", command) as load:
        load.line()
        plague.rests = False
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(EVERY)
            watch.look()
            if gateway.popen.poll() is not None:
                raise BenchError(f"the gateway ended with code {gateway.popen.returncode}")
            if int(time.monotonic() - began) % 60 < EVERY:
                fleet.chain("mine", blocks=1)
                report.progress(f"{_now(watch)}; {len(plague.done)} faults")
        plague.rests = True
        if plague.error:
            raise BenchError(plague.error)
        load.close_input()
        told: dict[str, Any] = json.loads(load.line(60))
        return told


def measure(report: Report, options: argparse.Namespace) -> None:
    """Load it, hurt it, watch it, and look at one that takes over.  Raises BenchError."""
    if options.minutes < SHORTEST:
        raise BenchError(f"{options.minutes:g} minutes are too short to tell; --minutes {SHORTEST:g} at least")
    seconds = options.minutes * 60
    with common.scratch() as folder, setting(folder) as (fleet, start), Plague(fleet) as plague:
        with start("old") as watch:
            _fund(fleet, watch.gateway)
            told = _press(report, fleet, watch, plague, seconds, options)
        warm_from = _warm_from(watch, seconds)
        last = watch.told(warm_from)
        require_enough(watch.series, warm_from, len(plague.done))
        _tell(report, watch, told, plague, seconds)
        _tell_kinds(report, last)
        report.progress("a fresh gateway takes over")
        with start("fresh") as fresh:
            _press(report, fleet, fresh, plague, _fresh(seconds), options)
        _compare(report, watch, fresh, warm_from)
        if options.svg is not None:
            shown = [
                (name, samples, LIMITS.get(name, ("MiB", 0.0))[0]) for name, samples in watch.series.items() if samples
            ]
            options.svg.write_text(trend.svg(shown, plague.done), encoding="utf-8")
        if options.keep is not None:
            options.keep.write_text(
                json.dumps({"series": watch.series, "faults": plague.done, "load": told, **last}), encoding="utf-8"
            )


def require_enough(series: Mapping[str, Sequence[tuple[float, float]]], warm_from: float, faults: int) -> None:
    """Refuse what says nothing.  Raises BenchError, with the way out."""
    counted = {name: sum(at >= warm_from for at, _ in series.get(name, ())) for name in ALLOWED}
    few = [f"{name} {count}" for name, count in counted.items() if count < SAMPLES]
    if few:
        raise BenchError(
            f"too few samples after the warm-up to tell whether anything grows: {', '.join(few)}, and each needs "
            f"{SAMPLES}; --minutes {SHORTEST:g} at least, more where the machine is busy"
        )
    if not faults:
        raise BenchError(f"nothing was done to a wallet; a fault takes {CALM + LASTS:g} s and --minutes more of them")


def _now(watch: Watch) -> str:
    now = {name: samples[-1][1] for name, samples in watch.series.items()}
    return ", ".join(f"{name} {common.number(value)}" for name, value in now.items())


def _warm_up(seconds: float) -> float:
    return max(min(60.0, seconds / 2), seconds * WARM_UP)


def _warm_from(watch: Watch, seconds: float) -> float:
    return watch.series["resident"][0][0] + _warm_up(seconds)


def _fresh(seconds: float) -> float:
    # half of it is looked at, the other one warms it up
    return max(FRESH, 2 * min(_warm_up(seconds), WARM))


def _tell(report: Report, watch: Watch, told: dict[str, Any], plague: Plague, seconds: float) -> None:
    warm_from = _warm_from(watch, seconds)
    rows: list[list[object]] = []
    for name, samples in watch.series.items():
        after = [one for one in samples if one[0] >= warm_from]
        unit, allowed = LIMITS.get(name, ("MiB", float("inf")))
        found = trend.trend(after, allowed)
        verdict = "flat" if found.is_flat else "GROWS"
        rows.append(
            [name, unit, len(after), found.first, found.last, found.growth, found.per_hour, found.highest,
             "-" if name == "ledger" else verdict, trend.sparkline(after, 40)]
        )  # fmt: skip
        if name in ALLOWED:
            report.require(f"{name} grows over the run by", 0.0 if found.is_flat else found.growth, "<=", allowed, unit)
    columns = [
        "what",
        "unit",
        "samples",
        "first",
        "last",
        "growth",
        "an hour",
        "highest",
        "verdict",
        "after the warm-up",
    ]
    report.table(f"{seconds / 60:g} minutes, {told['calls']:,} calls, {len(plague.done)} faults", columns, rows)
    report.table(
        "How calls ended", ["kind: end", "calls"], sorted([[end, count] for end, count in told["ends"].items()])
    )
    if told["broken"]:
        raise BenchError(f"the load itself broke: {told['broken']}")
    good = sum(count for end, count in told["ends"].items() if end == "read: ok")
    bad = sum(
        count
        for end, count in told["ends"].items()
        if end.startswith(("read: ", "same: ")) and not end.endswith(": ok")
    )
    report.require("reads that failed, of a thousand", 1000 * bad / max(1, good + bad), "<=", 1)


def _compare(report: Report, old: Watch, fresh: Watch, warm_from: float) -> None:
    """Require of a gateway that it has no more memory than one that has taken over from it, once that one is warm.

    The wallets grow on meanwhile, and the old one would have grown with them: its line is drawn on until then, the
    one through the later half, for what fills up and stays so (the engine's pages) makes the earlier one steeper.
    """
    rows: list[list[object]] = []
    for name, (unit, _) in TOLD.items():
        samples = old.series[name]
        later = (warm_from + samples[-1][0]) / 2
        line = trend.trend([one for one in samples if one[0] >= later], float("inf"))
        late = fresh.series[name][len(fresh.series[name]) // 2 :]
        theirs = statistics.median(value for _, value in late)
        on = statistics.median(at for at, _ in late) - samples[-1][0]
        mine = line.last + line.per_hour / 3600 * on
        rows.append([name, unit, mine, theirs, mine - theirs])
        if name == "anonymous":
            report.require("memory of its own: more than a fresh gateway has", mine - theirs, "<=", LEAVES, unit)
    report.table("The same wallets, the same load", ["what", "unit", "old", "fresh", "more"], rows)


def _tell_kinds(report: Report, last: dict[str, Any]) -> None:
    """Tell which kinds of objects there are more of than after the warm-up; which lines grew, where that is traced."""
    if not last:
        return
    before, after = last["first"]["types"], last["last"]["types"]
    grown = sorted(((after[name] - before.get(name, 0), name) for name in after), reverse=True)[:8]
    report.table(
        "Objects of most kinds",
        ["kind", "more than after the warm-up", "now"],
        [[name, more, after[name]] for more, name in grown],
    )
    for line in last["last"].get("grown", []):
        report.note(f"traced: {line}")


def main() -> int:
    """Run it."""
    parser = common.options_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pace", type=float, default=1.0, help="1 is about 45 calls a second")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a picture there")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write all samples there, as JSON")
    options = parser.parse_args()
    options.minutes = min(options.minutes, SHORTEST) if options.quick else options.minutes
    report = Report("soak")
    seconds = options.minutes * 60
    limit = seconds + _fresh(seconds) + 240
    return common.run(lambda: measure(report, options), report, options, limit=limit)


if __name__ == "__main__":
    sys.exit(main())
