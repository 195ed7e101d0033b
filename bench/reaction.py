"""How soon a fault is stepped around: one of three wallet daemons frozen, wedged or killed while clients read.

A gateway with its default numbers, three daemons, and a client of its own process that makes 40 reads a second
(validateaddress, getbalance, history, listaddresses by turns), each over a new connection; then six a minute.
Each case has a window without a fault before it, of the same length: what is slow there is the machine's noise.

    felt for   from the fault's begin (or from the first slow read, where none met it within 100 ms, and for the
               reads six a minute, which are aimed at the fault and begin 50 ms after it) to the end
               of the last read slower than 20 ms before half a second without any; if more slow ones follow
               than the calm window explains, to the very last one
    noise      a case that missed while its calm window had slow reads too, or while the client, the gateway
               or a daemon was kept waiting for a core (10 ms in a tenth of a second), is run again

With --backends the same is measured in front of daemons that run already, such as real ones: freezing needs
their pids, killing needs --allow-kill, and what was killed is not started again.  Note that the gateway's mirror
derives addresses on standbys that have fewer than the primary.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import common
from common import PASSWORD_VARIABLE, BenchError, Gateway, Process, Report, Settings

from gateway.sandbox.fleet import Fleet

RATE = 40.0
SLOW = 0.020
"""Seconds; a read slower than this is not normal."""

QUIET = 0.5
"""Seconds without a slow read after which the fault counts as stepped around."""

LIMIT = 0.050
"""Seconds below which every read has to stay while one of three is away, and below which a fault may be felt."""

MEETS = 0.100
"""Seconds from the fault's begin in which a read that is slow has met it; a later one found it by itself."""

AIMED = 0.050
"""Seconds from a fault to the read that is aimed at it, at six a minute: before any probe has seen the fault."""

REFUSED = 0.100
"""Seconds in which a call is told that there is no backend at all."""

TRIES = 3
"""Runs of one case while its calm window is noisy."""

NO_BACKEND = -32001

WAIT_READY = 60.0


# -- the daemons ----------------------------------------------------------------------------------------------


class Herd(Protocol):
    """Three daemons and what can be done to them."""

    can_kill: bool
    can_restart: bool

    def __len__(self) -> int:
        """How many there are."""

    def processes(self) -> Sequence[int]:
        """Return their pids as far as they are known."""

    def settings(self) -> list[Settings]:
        """Return them as the configuration names them."""

    def address(self) -> str:
        """Return an address of their wallet."""

    def freeze(self, index: int) -> None:
        """Stop one."""

    def thaw(self, index: int) -> None:
        """Let it go on."""

    def wedge(self, index: int) -> AbstractContextManager[socket.socket]:
        """Hold an idle connection to one."""

    def kill(self, index: int) -> None:
        """End one."""

    def start(self, index: int) -> None:
        """Start it again on the same port."""


class Sandbox:
    """Three sandbox daemons of ours."""

    can_kill = can_restart = True

    def __init__(self, fleet: Fleet) -> None:
        """Give their wallet some history."""
        self.fleet = fleet
        self.freeze, self.thaw, self.wedge = fleet.freeze, fleet.thaw, fleet.wedge
        self.kill = fleet.kill
        for index in range(len(fleet)):
            common.lift(fleet.pid(index))
        for sats in (5_000_000, 7_000_000, 9_000_000):
            fleet.chain("fund", address=self.address(), sats=sats)
        fleet.chain("mine", blocks=1)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.fleet)

    def processes(self) -> Sequence[int]:
        """Return their pids."""
        return [self.fleet.pid(index) for index in range(len(self))]

    def start(self, index: int) -> None:
        """Start it again on the same port."""
        self.fleet.start(index)
        common.lift(self.fleet.pid(index))

    def settings(self) -> list[Settings]:
        """Return them as the configuration names them."""
        return _sandbox_settings([self.fleet.port(n) for n in range(len(self))])

    def address(self) -> str:
        """Return an address of their wallet."""
        return str(self.fleet.rpc(0, "listaddresses")[0])


class Foreign:
    """Daemons that somebody else runs."""

    can_restart = False

    def __init__(self, urls: Sequence[str], user: str, variable: str, pids: Sequence[int], *, may_kill: bool) -> None:
        """Know them."""
        self.urls = urls
        self.user = user
        self.variable = variable
        self.pids = pids
        self.can_kill = may_kill and bool(pids)
        for url, pid in zip(urls, pids, strict=False):
            if not common.listens(pid, urlsplit(url).port or 80):
                raise BenchError(f"process {pid} does not listen at {url}; name the daemons' pids in the same order")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.urls)

    def processes(self) -> Sequence[int]:
        """Return their pids as far as they were told."""
        return self.pids

    def settings(self) -> list[Settings]:
        """Return them as the configuration names them; the password stays in the environment."""
        access = {"username": self.user, "password": f"${{{self.variable}}}"}
        return [common.backend(n, url, **access) for n, url in enumerate(self.urls)]

    def address(self) -> str:
        """Return no address of theirs: any text can be validated."""
        return "bench"

    def freeze(self, index: int) -> None:
        """Stop one."""
        os.kill(self.pids[index], signal.SIGSTOP)

    def thaw(self, index: int) -> None:
        """Let it go on."""
        os.kill(self.pids[index], signal.SIGCONT)

    @contextlib.contextmanager
    def wedge(self, index: int) -> Iterator[socket.socket]:
        """Hold an idle connection to one."""
        parts = urlsplit(self.urls[index])
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as idle:
            yield idle

    def kill(self, index: int) -> None:
        """End one, and wait until its connections are gone with it."""
        pid = self.pids[index]
        os.kill(pid, signal.SIGKILL)
        common.wait_until(lambda: common.has_ended(pid), f"process {pid} ends", 5)

    def start(self, index: int) -> None:
        """Refuse: whoever started it knows how."""
        raise BenchError(f"daemon {index} is not ours to start")


def _sandbox_settings(ports: Sequence[int]) -> list[Settings]:
    access = {"username": common.USER, "password": f"${{{PASSWORD_VARIABLE}}}"}
    return [common.backend(n, f"http://127.0.0.1:{port}", **access) for n, port in enumerate(ports)]


# -- faults ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(herd: Herd, index: int) -> Iterator[None]:
    """Stop the process, then let it go on."""
    herd.freeze(index)
    try:
        yield
    finally:
        herd.thaw(index)


@contextlib.contextmanager
def wedged(herd: Herd, index: int) -> Iterator[None]:
    """Hold a foreign connection that says nothing, then close it."""
    with herd.wedge(index):
        yield


@contextlib.contextmanager
def killed(herd: Herd, index: int) -> Iterator[None]:
    """Kill the process, then start it again where that is ours to do."""
    herd.kill(index)
    yield
    if herd.can_restart:
        herd.start(index)


class Case(NamedTuple):
    """One fault on one daemon."""

    name: str
    fault: Callable[[Herd, int], AbstractContextManager[None]]
    which: int


CASES = (
    Case("primary frozen", frozen, 0),
    Case("standby frozen", frozen, 1),
    Case("primary wedged", wedged, 0),
    Case("standby wedged", wedged, 1),
    Case("standby killed", killed, 2),
    Case("primary killed", killed, 0),
)
QUICK = (CASES[0], CASES[3], CASES[4])


class Noise:
    """Watches how long gateway and daemons wait for a core that somebody else has; none of that is the gateway's."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        """Watch these processes, asked for anew each time."""
        self._pids = pids
        self._over = threading.Event()
        self._waited: list[float] = []
        self._thread = threading.Thread(target=self._run, name="noise", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def worst(self) -> float:
        """Seconds of waiting in the worst tenth of a second."""
        return max((sum(self._waited[n : n + 5]) for n in range(len(self._waited))), default=0.0)

    def _run(self) -> None:
        before: dict[int, float] = {}
        while not self._over.wait(0.02):
            now = {pid: common.waited_for_core(pid) for pid in self._pids()}
            self._waited.append(max((now[pid] - before.get(pid, now[pid]) for pid in now), default=0.0))
            before = now


# -- what the client saw --------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """One read."""

    began: float
    seconds: float
    method: str
    wrong: str

    @property
    def ended(self) -> float:
        """When its answer was there."""
        return self.began + self.seconds


@dataclass
class Window:
    """The reads that ended in one stretch of time."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def errors(self) -> list[Sample]:
        """Those without a result."""
        return [one for one in self.samples if one.wrong]

    @property
    def slow(self) -> list[Sample]:
        """Those that are not normal, in order of their ends."""
        return sorted((one for one in self.samples if one.seconds > SLOW), key=_ended)

    @property
    def slowest(self) -> float:
        """Seconds; 0.0 of none."""
        return max((one.seconds for one in self.samples), default=0.0)


def _ended(sample: Sample) -> float:
    return sample.ended


def felt_for(fault: Window, fault_at: float, calm_slow: int) -> float:
    """Return the seconds from a fault's begin (or from the first read that met it) until reads were normal again."""
    slow = fault.slow
    begin = slow[0].began if slow and slow[0].began - fault_at > MEETS else fault_at
    normal_at = begin
    late = []
    for one in slow:
        if one.began - normal_at > QUIET:
            late.append(one)
        elif not late:
            normal_at = max(normal_at, one.ended)
    if len(late) > 2 * calm_slow + 3:
        normal_at = late[-1].ended
    return max(0.0, normal_at - begin)


@dataclass(frozen=True)
class Times:
    """Seconds of a case's windows."""

    calm: float
    fault: float
    after: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.calm + self.fault + self.after


@dataclass
class Finding:
    """What one case showed."""

    calm: Window
    fault: Window
    after: Window
    fault_at: float
    felt: float
    lateness: float
    waited: float
    """For a core, by gateway or daemons."""

    @property
    def is_met(self) -> bool:
        """Whether all that is required holds."""
        errors = self.fault.errors or self.after.errors
        return not errors and max(self.fault.slowest, self.after.slowest, self.felt) < LIMIT

    @property
    def is_noisy(self) -> bool:
        """Whether the machine alone was slow: in the calm window, for the client's clockwork, or for us."""
        return bool(self.calm.slow) or max(self.lateness, self.waited) > SLOW / 2


class Bench:
    """One gateway in front of one herd.

    Args:
        calls: what the clients ask by turns.
    """

    def __init__(self, report: Report, herd: Herd, gateway: Gateway, *, warm: bool) -> None:
        """Know all three; `warm` waits before each case until slow start is over as well."""
        self.warm = warm
        self.report = report
        self.herd = herd
        self.gateway = gateway
        address = herd.address()
        self.calls = [["validateaddress", [address]], ["getbalance", []], ["history", []], ["listaddresses", []]]

    @contextlib.contextmanager
    def reading(self, rate: float, seconds: float) -> Iterator[tuple[Process, float]]:
        """Let a client read; yield it and the moment of its first call."""
        arguments = ["paced", "--to", f"127.0.0.1:{self.gateway.port}", "--rate", rate, "--seconds", seconds]
        command = common.python("client.py", *arguments, "--calls", json.dumps(self.calls))
        with Process("client.py paced", command) as client:
            yield client, float(client.line().split()[1])

    def samples(self, client: Process, patience: float) -> tuple[list[Sample], float]:
        """Return what a client saw, and how late it was itself at the worst."""
        told = json.loads(client.line(patience))
        return [Sample(*row) for row in told["samples"]], told["lateness"]

    def run(self, case: Case, times: Times) -> Finding:
        """Run one case."""
        self.wait_well()
        with (
            Noise(lambda: [self.gateway.pid, *self.herd.processes()]) as noise,
            self.reading(RATE, times.whole) as (client, first),
        ):
            _sleep_until(first + times.calm)
            fault_at = time.monotonic()
            with case.fault(self.herd, case.which):
                _sleep_until(fault_at + times.fault)
                healed_at = time.monotonic()
            samples, lateness = self.samples(client, times.after + 20)
        calm, fault, after = Window(), Window(), Window()
        for one in samples:
            window = calm if one.ended < fault_at else fault if one.ended < healed_at else after
            window.samples.append(one)
        return Finding(calm, fault, after, fault_at, felt_for(fault, fault_at, len(calm.slow)), lateness, noise.worst)

    def run_until_clear(self, case: Case, times: Times) -> Finding:
        """Run one case, again where noise hides what was measured."""
        for number in range(1, TRIES + 1):
            found = self.run(case, times)
            self.report.progress(f"{case.name}: slowest {found.fault.slowest * 1000:.0f} ms")
            may_repeat = case.fault is not killed or self.herd.can_restart
            if found.is_met or not found.is_noisy or not may_repeat or number == TRIES:
                break
            self.report.note(f"{case.name}: run again, the machine was noisy without a fault as well")
        tell_wrong(self.report, case.name, found.fault.errors + found.after.errors, found.fault_at)
        if found.felt >= LIMIT:
            slow = [f"{(one.began - found.fault_at) * 1000:+.0f}: {one.seconds * 1000:.0f}" for one in found.fault.slow]
            self.report.note(f"{case.name}: slow reads, begun at ms: took ms; {', '.join(slow[:12])}")
        return found

    def wait_well(self) -> None:
        """Wait until all daemons are well, as far as that is in our hands."""
        if self.herd.can_restart:
            self.gateway.wait_ready(patience=WAIT_READY, warm=self.warm)


def tell_wrong(report: Report, name: str, wrong: Sequence[Sample], fault_at: float) -> None:
    """Note the first few reads that erred."""
    for one in wrong[:5]:
        at = one.began - fault_at
        report.note(f"{name}: {one.method} at {at:+.3f} s ended in {one.wrong} after {one.seconds * 1000:.0f} ms")


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


# -- the parts ------------------------------------------------------------------------------------------------


def steady(bench: Bench, cases: Sequence[Case], times: Times) -> None:
    """Measure faults under forty reads a second."""
    report, rows = bench.report, []
    for case in cases:
        found = bench.run_until_clear(case, times)
        errors = len(found.fault.errors) + len(found.after.errors)
        slowest = max(found.fault.slowest, found.after.slowest)
        rows.append([
            case.name, len(found.fault.samples), errors, found.calm.slowest * 1000, found.fault.slowest * 1000,
            found.felt * 1000, found.after.slowest * 1000,
            f"{len(found.calm.slow)}/{len(found.fault.slow)}/{len(found.after.slow)}", found.lateness * 1000,
            found.waited * 1000,
        ])  # fmt: skip
        report.require(f"{case.name}: reads that erred", errors, "==", 0)
        report.require(f"{case.name}: slowest read", slowest * 1000, "<", LIMIT * 1000, "ms")
        report.require(f"{case.name}: felt for", found.felt * 1000, "<", LIMIT * 1000, "ms")
    title = f"{RATE:.0f} reads/s over new connections; {times.fault:g} s of fault after {times.calm:g} s without"
    columns = [
        "fault", "reads", "errors", "calm slowest ms", "fault slowest ms", "felt for ms", "healed slowest ms",
        "slow reads calm/fault/healed", "client late ms",
        "waited for a core ms",
    ]  # fmt: skip
    report.table(title, columns, rows)


def seldom(bench: Bench, rounds: int, hold: float) -> None:
    """Measure faults at six calls a minute: each second call comes 50 ms after a fault began, before any probe."""
    report, gap = bench.report, 10.0
    cases = [CASES[0], CASES[2], *([CASES[5]] if bench.herd.can_restart else [])][:rounds]
    bench.wait_well()
    with bench.reading(1 / gap, 2 * len(cases) * gap) as (client, first):
        for number, case in enumerate(cases):
            call_at = first + (2 * number + 1) * gap
            _sleep_until(call_at - AIMED)
            with case.fault(bench.herd, case.which):
                _sleep_until(call_at + hold)
        samples, _ = bench.samples(client, gap + 20)
    rows = []
    for number, one in enumerate(samples):
        what = f"{cases[number // 2].name} 50 ms before" if number % 2 else "no fault"
        rows.append([f"{what}: {one.method}", one.wrong or "result", one.seconds * 1000])
    report.table("Six calls a minute", ["call", "answer", "ms"], rows)
    report.require("six a minute: reads that erred", sum(bool(one.wrong) for one in samples), "==", 0)
    slowest = max(one.seconds for one in samples)
    report.require("six a minute: slowest read", slowest * 1000, "<", LIMIT * 1000, "ms")
    felt = max((one.seconds for one in samples[1::2] if one.seconds > SLOW), default=0.0)
    report.require("six a minute: felt for", felt * 1000, "<", LIMIT * 1000, "ms")


def nearly_and_all_dead(bench: Bench, seconds: float) -> None:
    """Kill all but one while clients read, a second apart and (for information) at once, then the last one.

    What dies at once is not required to be error-free: a read whose answer broke off twice may be what kills
    daemons, and is not tried on a third.
    """
    report, herd, gateway = bench.report, bench.herd, bench.gateway
    rows = []
    for gap in (0.0, 1.0) if herd.can_restart else (1.0,):
        bench.wait_well()
        with bench.reading(RATE, seconds + 2) as (client, first):
            _sleep_until(first + 1)
            fault_at = time.monotonic()
            for number in range(len(herd) - 1):
                _sleep_until(fault_at + number * gap)
                herd.kill(number)
            samples, _ = bench.samples(client, seconds + 20)
        wrong = [one for one in samples if one.wrong]
        name = "a second apart" if gap else "at once (not required)"
        tell_wrong(report, f"all but one dead, {name}", wrong, fault_at)
        rows.append([name, len(samples), len(wrong), max(one.seconds for one in samples) * 1000])
        if gap:
            report.require("all but one dead: reads that erred", len(wrong), "==", 0)
        else:
            for number in range(len(herd) - 1):
                herd.start(number)
    report.table("All but one killed", ["how", "reads", "errors", "slowest ms"], rows)
    herd.kill(len(herd) - 1)
    times, codes = [], []
    for number in range(20):
        method, params = bench.calls[number % len(bench.calls)]
        began = time.monotonic()
        answer = gateway.call(str(method), *params)
        times.append((time.monotonic() - began) * 1000)
        codes.append(answer.get("error", {}).get("code"))
        time.sleep(0.05)
    others = sorted({str(code) for code in codes if code != NO_BACKEND})
    row = [len(codes), codes.count(NO_BACKEND), ", ".join(others) or "-", times[0], max(times)]
    report.table("All killed", ["calls", "no_backend", "others", "first ms", "slowest ms"], [row])
    report.require("all dead: calls not answered with no_backend", len(codes) - codes.count(NO_BACKEND), "==", 0)
    report.require("all dead: slowest answer", max(times), "<=", REFUSED * 1000, "ms")


class LateFleet:
    """Three sandbox daemons that come up late, in a thread that stays alive as long as they do."""

    def __init__(self, folder: Path, delay: float) -> None:
        """Begin to start them."""
        self.ports = common.free_ports(3)
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(folder, delay), name="late fleet")
        self._thread.start()

    def _run(self, folder: Path, delay: float) -> None:
        try:
            with Fleet(
                3, folder, user=common.USER, password=common.PASSWORD, load=True, delays=[delay] * 3, ports=self.ports
            ):
                self._over.wait()
        except (OSError, RuntimeError) as error:
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise BenchError(f"the late wallets did not start: {self._error}")


def started_together(report: Report, delay: float, tries: int) -> None:
    """Start gateway and wallets at once and call at once, as the incident's client does: 10 s a try, 2 s between."""
    with common.scratch() as folder:
        began = time.monotonic()
        with (
            LateFleet(folder / "fleet", delay) as late,
            Gateway(folder, _config(_sandbox_settings(late.ports))) as door,
        ):
            rows: list[list[object]] = []
            answered = 0
            for number in range(1, tries + 1):
                at = time.monotonic()
                answer = _try(door)
                rows.append([f"try {number}", at - began, time.monotonic() - began, answer])
                if answer == "result":
                    answered = number
                    break
                time.sleep(2)
    title = f"Started together, wallets {delay:g} s late"
    report.table(title, ["getbalance", "asked at s", "answered at s", "answer"], rows)
    report.progress(f"{title}: answered at try {answered or 'none'}")
    report.require(f"{title}: tries without an answer", tries if not answered else answered - 1, "<=", tries - 1)


def _try(gateway: Gateway) -> str:
    try:
        answer = gateway.call("getbalance", timeout=10)
    except OSError as broken:
        return type(broken).__name__
    error = answer.get("error")
    return "result" if error is None else f"error {error['code']}"


def _config(backends: list[Settings]) -> Settings:
    return common.settings(backends)


# -- all of it ------------------------------------------------------------------------------------------------


def measure(report: Report, options: argparse.Namespace) -> None:
    """Run everything that fits these daemons."""
    quick = bool(options.quick)
    times = Times(2, 3, 1.5) if quick else Times(10, 10, 4)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        herd = _herd(stack, folder, options)
        gateway = stack.enter_context(Gateway(folder, _config(herd.settings())))
        gateway.wait_ready(patience=WAIT_READY, warm=False)
        report.progress("all backends are ready")
        bench = Bench(report, herd, gateway, warm=not quick)
        cases = [case for case in (QUICK if quick else CASES) if _can(herd, case)]
        if any(case.fault is frozen for case in cases):
            seldom(bench, *((1, 2.0) if quick else (3, 8.5)))
        steady(bench, cases, times)
        if herd.can_kill:
            nearly_and_all_dead(bench, 2 if quick else 5)
        else:
            report.note("killing was not allowed (--allow-kill with --pids): those cases are left out")
    if not options.backends:
        started_together(report, 2 if quick else 5, 1)
        if not quick:
            started_together(report, 15, 3)


def _can(herd: Herd, case: Case) -> bool:
    """Whether a case can be run: freezing needs a pid, and killing for good is left to the end."""
    if case.fault is killed:
        return herd.can_restart
    return case.fault is not frozen or not isinstance(herd, Foreign) or bool(herd.pids)


def _herd(stack: contextlib.ExitStack, folder: Path, options: argparse.Namespace) -> Herd:
    if options.backends:
        return Foreign(
            options.backends, options.user, options.password_env, options.pids, may_kill=options.allow_kill
        )  # fmt: skip
    fleet = stack.enter_context(Fleet(3, folder / "fleet", user=common.USER, password=common.PASSWORD, load=True))
    return Sandbox(fleet)


def main() -> int:
    """Run it."""
    parser = common.options_parser(__doc__)
    parser.add_argument("--backends", metavar="URL,URL,URL", type=_list, default=[], help="daemons that run already")
    parser.add_argument("--user", default="user", help="their user name")
    parser.add_argument("--password-env", metavar="NAME", default="EC_PASSWORD", help="variable with their password")
    parser.add_argument("--pids", metavar="P,P,P", type=_pids, default=[], help="their processes, to freeze them")
    parser.add_argument("--allow-kill", action="store_true", help="kill them as well, for good")
    options = parser.parse_args()
    if options.backends and not os.environ.get(options.password_env):
        parser.error(f"set the variable {options.password_env} to the daemons' password")
    if options.pids and len(options.pids) != len(options.backends):
        parser.error("--pids needs one process for each of --backends")
    if options.backends and len(options.backends) < 3:
        parser.error("--backends needs three daemons")
    report = Report("reaction")
    return common.run(lambda: measure(report, options), report, options, limit=180 if options.quick else 900)


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _pids(text: str) -> list[int]:
    return [int(part) for part in _list(text)]


if __name__ == "__main__":
    sys.exit(main())
