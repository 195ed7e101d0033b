"""What the status page costs while many look, and how soon it shows that a daemon has frozen.

A gateway with its default numbers and a ledger stands in front of three sandbox daemons.  An open page does what
gateway/edge/web/static/page.js does: it loads `/`, reads the event stream, and fetches `/words` at each change of more
than figures, after an incident and each minute, at the moment that the page's own spread gives it.

    CPU         of the gateway with a hundred pages against none, while nobody calls and while ten calls a second come
    freeze      from SIGSTOP of a daemon until the words on the slowest page say that it is out of service, and what
                calls and the gateway's CPU go through until it is healed on all; with one page, then with a hundred
"""

import contextlib
import gzip
import json
import random
import re
import selectors
import socket
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import common
from common import PASSWORD, PASSWORD_VARIABLE, USER, BenchError, Gateway, Report

from gateway.sandbox.fleet import Fleet

PAGES = 100
MOST_CPU = 5.0
"""Percent of one core that they may take."""

MOST_SECONDS = 2.0
"""Until a freeze is on the page."""

EVERY = 0.1
"""Seconds between two calls."""

EACH, AGAIN = 60.0, 0.05
"""Seconds after which a page fetches its words anew by itself, and after which it does where they are too old."""

FIGURES = frozenset({
    "time", "for_seconds", "answered_ago", "next_try", "seconds_ago", "process_age", "took_ms", "latency_ms", "rates",
    "sparkline", "memory", "score", "in_flight", "slots_taken", "waiting", "height", "horizon", "addresses", "pool",
    "epoch", "since", "transactions", "forwarded", "peer_calls",
})  # fmt: skip
"""What changes without a word changing, as page.js has it."""

COMMON = b"Host: localhost\r\nAccept-Encoding: gzip\r\nAccept-Language: en\r\n\r\n"
STATE = re.compile(rb'id="b-main-([^"]+)".*?<p class="state">.*?<span>([^<]*)</span>', re.DOTALL)
BODY = re.compile(rb'data-time="([^"]+)" data-spread="([^"]+)"')


@lru_cache(maxsize=64)
def read_page(packed: bytes) -> tuple[float, float, dict[str, str]]:
    """Return of which moment a page is, its spread in seconds, and the state of each daemon in words."""
    page = gzip.decompress(packed)
    found = BODY.search(page)
    if found is None:
        raise BenchError(f"that is not the page: {page[:200]!r}")
    return float(found[1]), float(found[2]), {name.decode(): state.decode() for name, state in STATE.findall(page)}


@lru_cache(maxsize=64)
def read_snapshot(data: bytes) -> tuple[float, str]:
    """Return the moment of a snapshot, and what of it is in words; a hundred pages are sent the same bytes."""

    def words(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: words(one) for name, one in value.items() if name not in FIGURES}
        return [words(one) for one in value] if isinstance(value, list) else value

    snapshot = json.loads(data)
    return snapshot["time"], json.dumps(words(snapshot))


@dataclass
class Page:
    """One open page; its stream and the connection that its words come over.

    Args:
        wanted: the moment that its words must not be older than; due: when it fetches them, None for not at all.
        shown: the state of each daemon as its words have it.
    """

    stream: socket.socket
    line: socket.socket
    shown: dict[str, str]
    at: float = 0.0
    spread: float = 0.0
    wanted: float = 0.0
    shape: str = ""
    due: float | None = None
    asked: float = 0.0
    is_asking: bool = False
    heard: bytes = b""
    answer: bytes = b""

    def hear(self, data: bytes) -> None:
        """Take in what the stream says."""
        self.heard += data
        *events, self.heard = self.heard.split(b"\n\n")
        for event in events:
            lines = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line)
            if lines.get(b"event") == b"status":
                moment, shape = read_snapshot(lines[b"data"])
                if shape != self.shape:
                    self.shape, self.wanted = shape, moment
                    self.renew()
            elif lines.get(b"event") == b"incident":
                self.wanted = max(self.wanted, time.time())
                self.renew()

    def renew(self) -> None:
        """Fetch the words, unless that is under way."""
        if self.due is None and not self.is_asking:
            self.due = time.monotonic() + random.random() * self.spread

    def ask(self) -> None:
        """Send for the words."""
        self.due, self.is_asking, self.asked = None, True, time.monotonic()
        self.line.sendall(b"GET /words?since=%.3f HTTP/1.1\r\nX-By-Itself: 1\r\n" % self.wanted + COMMON)

    def take(self, data: bytes) -> None:
        """Take in what came of the words."""
        self.answer += data
        head, _, body = self.answer.partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
        if found is None or len(body) < int(found[1]):
            return
        self.answer, self.is_asking = b"", False
        self.at, self.spread, self.shown = read_page(body)
        if self.at < self.wanted:
            self.due = time.monotonic() + AGAIN


class Pages:
    """So many open pages, all of them read by one thread of this process."""

    def __init__(self, port: int, count: int) -> None:
        """Open them and wait for the first snapshot of each."""
        self.received = 0
        self.fetched = 0
        self._selector = selectors.DefaultSelector()
        self.pages = [self._open(port) for _ in range(count)]
        for page in self.pages:
            page.stream.sendall(b"GET /api/v1/stream HTTP/1.1\r\n" + COMMON)
        for page in self.pages:
            begun = b""
            while b"event: status" not in begun:
                begun += self._more(page.stream)
            page.hear(begun.partition(b"\r\n\r\n")[2])
            for one, take in ((page.stream, page.hear), (page.line, page.take)):
                one.settimeout(0.0)
                self._selector.register(one, selectors.EVENT_READ, take)
        self._is_over = False
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join(5)
        for page in self.pages:
            page.stream.close()
            page.line.close()
        self._selector.close()

    def _open(self, port: int) -> Page:
        line, stream = (socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2))
        line.sendall(b"GET / HTTP/1.1\r\n" + COMMON)
        page = Page(stream, line, {}, is_asking=True, asked=time.monotonic())
        while page.is_asking:
            page.take(self._more(line))
        return page

    @staticmethod
    def _more(line: socket.socket) -> bytes:
        data = line.recv(65536)
        if not data:
            raise BenchError("a page was not served")
        return data

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._turn()
        except Exception as error:  # noqa: BLE001 - told by whoever waits for us
            self.error = error

    def _turn(self) -> None:
        for key, _ in self._selector.select(0.002):
            with contextlib.suppress(BlockingIOError):
                data = self._more(key.fileobj)  # type: ignore[arg-type]  # a socket
                self.received += len(data)
                key.data(data)
        now = time.monotonic()
        for page in self.pages:
            if now - page.asked > EACH:
                page.renew()
            if page.due is not None and page.due <= now:
                self.fetched += 1
                page.ask()

    def wait(self, name: str, *, until_in_service: bool) -> None:
        """Wait until the words on every page say that a daemon is in service, or that it is not."""
        limit = time.monotonic() + common.PATIENCE
        while any((page.shown.get(name) == "in service") != until_in_service for page in self.pages):
            if self.error is not None:
                raise BenchError(f"a page was lost: {self.error}") from self.error
            if time.monotonic() > limit:
                raise BenchError(f"{name} changed, and not every page shows it")
            time.sleep(0.002)


class Caller:
    """Somebody who asks ten times a second."""

    def __init__(self, gateway: Gateway) -> None:
        """Begin."""
        self.gateway = gateway
        self.took: list[float] = []
        """Seconds of each call that was answered."""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(EVERY):
            began = time.monotonic()
            with contextlib.suppress(OSError):
                self.gateway.call("getbalance")
                self.took.append(time.monotonic() - began)

    def stop(self) -> None:
        """End."""
        self._is_over.set()
        self._thread.join(15)


def measure(report: Report, seconds: float, rounds: int) -> None:
    """Measure what pages cost, then how soon they show a freeze."""
    ours, others = common.cores()
    common.raise_file_limit(2000)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        fleet = stack.enter_context(Fleet(3, folder / "fleet", user=USER, password=PASSWORD))
        more = {"username": USER, "password": f"${{{PASSWORD_VARIABLE}}}"}
        chosen = common.settings(
            [common.backend(n, fleet.url(n), **more) for n in range(len(fleet))],
            ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
        )
        gateway = stack.enter_context(Gateway(folder, chosen, cpu=ours))
        for n in range(len(fleet)):
            common.lift(fleet.pid(n))
        del others
        gateway.wait_ready()
        _cpu(report, gateway, seconds)
        _freeze(report, gateway, fleet, rounds)


def _cpu(report: Report, gateway: Gateway, seconds: float) -> None:
    """Compare the CPU with a hundred pages and without, by turns."""
    rows: list[list[object]] = []
    for name, is_busy in (("nobody calls", False), ("ten calls a second", True)):
        caller = Caller(gateway) if is_busy else None
        alone, watched, received = 0.0, 0.0, 0
        for _ in range(2):
            alone += _share(gateway, seconds)
            with Pages(gateway.admin_port, PAGES) as pages:
                before = pages.received
                watched += _share(gateway, seconds)
                received += pages.received - before
        if caller is not None:
            caller.stop()
        cost = max(0.0, watched - alone) / 2
        rows.append([name, alone / 2, watched / 2, cost, received / PAGES / seconds / 2 / 1000])
        report.progress(f"{name}: {cost:.2f} % of a core for {PAGES} pages")
        report.require(f"{PAGES} open pages, {name}", cost, "<", MOST_CPU, "% of a core")
    report.table(
        "CPU of the gateway, percent of one core",
        ["", "no page", f"{PAGES} pages", "the pages", "kB/s a page"], rows,
    )  # fmt: skip


def _share(gateway: Gateway, seconds: float) -> float:
    before, began = gateway.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (gateway.cpu_seconds() - before) / (time.monotonic() - began) * 100


def _freeze(report: Report, gateway: Gateway, fleet: Fleet, rounds: int) -> None:
    """Freeze one daemon after the other and wait until every page shows it, then until every page shows it healed."""
    rows: list[list[object]] = []
    for count in (1, PAGES):
        took, cpu, seconds, fetched = [], 0.0, 0.0, 0
        caller = Caller(gateway)
        for number in range(rounds):
            index = number % len(fleet)
            name = f"ec-{index + 1}"
            gateway.wait_ready()
            with Pages(gateway.admin_port, count) as pages:
                pages.wait(name, until_in_service=True)
                # at another moment between two probes each time
                time.sleep(1.0 + number * 0.37 % 1.0)
                before, began, asked = gateway.cpu_seconds(), time.monotonic(), pages.fetched
                fleet.freeze(index)
                try:
                    pages.wait(name, until_in_service=False)
                    took.append(time.monotonic() - began)
                finally:
                    fleet.thaw(index)
                pages.wait(name, until_in_service=True)
                cpu += gateway.cpu_seconds() - before
                seconds += time.monotonic() - began
                fetched += pages.fetched - asked
            report.progress(f"{count} page(s), freeze of {name}: {took[-1]:.2f} s")
        caller.stop()
        calls = sorted(caller.took)
        rows.append([
            count, min(took), statistics.median(took), max(took), fetched / count / rounds, cpu / seconds * 100,
            *(calls[len(calls) * part // 100] * 1000 for part in (50, 95, 99)),
        ])  # fmt: skip
        report.require(f"slowest freeze until it is on all of {count} page(s)", max(took), "<", MOST_SECONDS, "s")
    report.table(
        f"{rounds} freezes, until each is on every page and healed again",
        ["pages", "fastest, s", "median, s", "slowest, s", "fetches a page", "gateway's CPU, %", "getbalance 50 %, ms",
         "95 %", "99 %"],
        rows,
    )  # fmt: skip


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("page")
    seconds, rounds = (3.0, 3) if options.quick else (10.0, 6)
    return common.run(lambda: measure(report, seconds, rounds), report, options, limit=420)


if __name__ == "__main__":
    sys.exit(main())
