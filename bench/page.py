"""What the status page costs while many look, and how soon it shows that a daemon has frozen.

A gateway with its default numbers and a ledger stands in front of three sandbox daemons.  An open page is a listener of
the event stream that reads all it is sent.

    CPU         of the gateway with a hundred pages against none, while nobody calls and while ten calls a second come
    freeze      from SIGSTOP of a daemon until a page is sent the snapshot in which it is out of service
"""

import contextlib
import json
import selectors
import socket
import statistics
import sys
import threading
import time
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

REQUEST = b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Pages:
    """So many open pages, read by a thread of this process."""

    def __init__(self, port: int, count: int) -> None:
        """Open them and wait for the first snapshot of each."""
        self.received = 0
        self._selector = selectors.DefaultSelector()
        self._lines = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
        for line in self._lines:
            line.sendall(REQUEST)
        for line in self._lines:
            begun = b""
            while b"event: status" not in begun:
                data = line.recv(65536)
                if not data:
                    raise BenchError(f"a page was not served: {begun[:200]!r}")
                begun += data
            line.settimeout(0.0)
            self._selector.register(line, selectors.EVENT_READ)
        self._is_over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join(5)
        for line in self._lines:
            line.close()
        self._selector.close()

    def _read(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(0.2):
                with contextlib.suppress(BlockingIOError):
                    data = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]  # a socket
                    self.received += len(data)
                    if not data:
                        self._selector.unregister(key.fileobj)


class Page:
    """One page whose snapshots are looked at."""

    def __init__(self, port: int) -> None:
        """Open it."""
        self.line = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.line.sendall(REQUEST)
        self._file = self.line.makefile("rb")

    def phases(self) -> dict[str, str]:
        """Wait for the next snapshot and return the phase of each daemon in it."""
        while True:
            head = self._file.readline()
            if not head:
                raise BenchError("the page was closed")
            if head == b"event: status\n":
                found: dict[str, Any] = json.loads(self._file.readline().removeprefix(b"data: "))
                return {one["name"]: one["phase"] for one in found["wallets"]["main"]["backends"]}

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self.line.close()


class Caller:
    """Somebody who asks ten times a second."""

    def __init__(self, gateway: Gateway) -> None:
        """Begin."""
        self.gateway = gateway
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(EVERY):
            with contextlib.suppress(OSError):
                self.gateway.call("getbalance")

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
    """Freeze one daemon after the other and wait until a page shows it."""
    took: list[float] = []
    for number in range(rounds):
        index = number % len(fleet)
        name = f"ec-{index + 1}"
        gateway.wait_ready()
        page = Page(gateway.admin_port)
        try:
            while page.phases()[name] != "READY":
                pass
            # at another moment between two probes each time
            time.sleep(1.0 + number * 0.37 % 1.0)
            began = time.monotonic()
            fleet.freeze(index)
            try:
                while page.phases()[name] == "READY":
                    if time.monotonic() - began > common.PATIENCE:
                        raise BenchError(f"{name} was frozen, and no page showed it")
                took.append(time.monotonic() - began)
            finally:
                fleet.thaw(index)
        finally:
            page.close()
        report.progress(f"freeze of {name}: {took[-1]:.2f} s")
    report.table(
        "From a freeze to the page, seconds", ["freezes", "fastest", "median", "slowest"],
        [[len(took), min(took), statistics.median(took), max(took)]],
    )  # fmt: skip
    report.require("slowest freeze until it is on the page", max(took), "<", MOST_SECONDS, "s")


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("page")
    seconds, rounds = (3.0, 3) if options.quick else (10.0, 9)
    return common.run(lambda: measure(report, seconds, rounds), report, options, limit=300)


if __name__ == "__main__":
    sys.exit(main())
