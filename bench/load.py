"""One short load on one door: by wrk where it is installed, else by our own client.

Rule: what answers with an error was not measured; the gateway is asked for HTTP statuses so that wrk sees them.
"""

import json
from dataclasses import dataclass

import common
from common import BENCH, BenchError, Process


@dataclass(frozen=True)
class Result:
    """What a load found; `p50` and `p99` are seconds."""

    calls: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    """CPU seconds that the measured process used meanwhile."""
    slowest: float = 0.0
    """Seconds."""
    errors: int = 0

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def press(
    port: int,
    seconds: float,
    *,
    connections: int,
    cpu: int | None,
    measured: Process,
    identical: bool = False,
    polls: bool = False,
    may_fail: bool = False,
) -> Result:
    """Press one door with N kept connections and measure the CPU time of the process behind it.

    Args:
        identical: all calls are alike, else no two are.
        polls: getbalance, getinfo and history by turns instead.
        may_fail: errors are counted and no reason to give up.
    """
    wrk = common.found("wrk")
    if wrk is None:
        command = common.python("client.py", "closed", "--to", f"127.0.0.1:{port}", "--connections", connections)
        command += ["--seconds", str(seconds), *["--identical"] * identical, *["--polls"] * polls]
    else:
        # wrk counts in whole seconds
        command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        command += ["-s", str(BENCH / ("load-polls.lua" if polls else "load.lua")), f"http://127.0.0.1:{port}/"]
    environ = {"BENCH_AUTHORIZATION": common.credentials(), "BENCH_IDENTICAL": str(int(identical))}
    before = measured.cpu_seconds()
    with Process("the load", command, cpu=cpu, environ=environ) as load:
        told = None
        while told is None:
            line = load.line(seconds + 30)
            if line.startswith("{"):
                told = json.loads(line)
        used = measured.cpu_seconds() - before
    if told["errors"] and not may_fail:
        raise BenchError(f"{told['errors']} of {told['calls']} calls to {measured.name} failed")
    if not told["calls"]:
        raise BenchError(f"{measured.name} answered nothing")
    return Result(
        told["calls"], told["seconds"], told["p50"], told["p99"], used, told.get("slowest", 0.0), told["errors"]
    )
