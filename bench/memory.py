"""Resident memory of the gateway with a ledger: at rest, after many calls, with many idle clients.

An idle client is one that is connected, has made one call and says nothing more: what a payment service that
keeps its connections looks like at night.

The gateway is measured as it is and, where `make compiled` was run, with its busiest rooms compiled; the same is
required of both.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import common
from client import Place
from common import BenchError, Gateway, Process, Report, Settings

BACKENDS = 3
CALLS = 10_000
AT_REST = 100.0
"""MiB, with a ledger."""

EACH_CLIENT = 4.0
"""KiB, of one that is idle."""


def measure(report: Report, clients: int, calls: int) -> None:
    """Measure each gateway that there is, one after the other."""
    limit = common.raise_file_limit(clients + 500)
    if limit < clients + 200:
        report.note(f"only {limit} open files are allowed here: {limit - 200} idle clients instead of {clients}")
        clients = limit - 200
    kinds: dict[str, type[Gateway]] = {"gateway": Gateway}
    fast = common.compiled(report)
    if fast is not None:
        kinds["gateway, compiled"] = fast
    for name, kind in kinds.items():
        _measure_one(report, name, kind, clients, calls)


def _measure_one(report: Report, kind_name: str, kind: type[Gateway], clients: int, calls: int) -> None:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        backend, ports = common.fast_backend(BACKENDS, style="close")
        stack.enter_context(backend)
        backends = [common.backend(n, f"http://127.0.0.1:{port}") for n, port in enumerate(ports)]
        gateway = stack.enter_context(kind(folder, _settings(folder, backends)))
        gateway.wait_ready(warm=False)
        time.sleep(2)
        rows: list[list[object]] = []

        def stage(name: str) -> float:
            rows.append([name, gateway.resident()])
            report.progress(f"{kind_name}, {name}: {gateway.resident():.1f} MiB")
            return gateway.resident()

        rest = stage("at rest")
        _calls(gateway, calls)
        after_calls = stage(f"after {calls:,} calls")
        with Process("client.py hold", _client(gateway, "hold", "--connections", clients)) as holder:
            if holder.line(120) != "ready":
                raise BenchError("the clients could not connect")
            time.sleep(1)
            held = stage(f"with {clients:,} idle clients")
            each = (held - after_calls) * 1024 / clients
            rows.append(["  KiB for each of them", each])
            _calls(gateway, calls)
            stage(f"with them, after {calls:,} more calls")
            holder.close_input()
            told = json.loads(holder.line())
            if told["open"] < clients:
                raise BenchError(f"only {told['open']} of {clients} connections were still open at the end")
        time.sleep(1)
        stage("after they have left")
    report.table(f"Resident memory of the {kind_name}, MiB ({BACKENDS} backends)", ["stage", "MiB"], rows)
    report.require(f"{kind_name}: resident at rest", rest, "<", AT_REST, "MiB")
    report.require(f"{kind_name}: resident after {calls:,} calls", after_calls, "<", AT_REST, "MiB")
    report.require(f"{kind_name}: each of {clients:,} idle clients", each, "<", EACH_CLIENT, "KiB")


def _settings(folder: Path, backends: list[Settings]) -> Settings:
    return common.settings(backends, ledger={"path": str(folder / "ledger.db"), "may_be_lost": True})


def _client(gateway: Gateway, *arguments: object) -> list[str]:
    place = Place("127.0.0.1", gateway.port)
    return common.python("client.py", *arguments, "--to", f"{place.host}:{place.port}")


def _calls(gateway: Gateway, count: int) -> None:
    """Make so many calls over sixteen kept connections."""
    with Process("client.py", _client(gateway, "closed", "--seconds", 60, "--calls-in-all", count)) as client:
        client.line()
        told = json.loads(client.line(90))
        if told["errors"] or told["calls"] < count:
            raise BenchError(f"{told['calls']} of {count} calls were answered, {told['errors']} with an error")


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("memory")
    clients, calls = (2000, CALLS // 5) if options.quick else (2000, CALLS)
    return common.run(lambda: measure(report, clients, calls), report, options, limit=600)


if __name__ == "__main__":
    sys.exit(main())
