"""Results as runs write them, made by hand, for what is drawn and told of them."""

from typing import Any

from chaos.result import SKIPPED, VIOLATED, Result, repeat

BEGAN = 1_000_000.0

WICKED = '<script>alert("x")</script> | & `code`'
"""What a daemon may say."""


def gateway_run(**more: Any) -> Result:
    """Return a run before our gateway in which a freeze of two seconds was stepped around."""
    fields: dict[str, Any] = {
        "workload": "40 reads a second",
        "began": BEGAN,
        "seconds": 10.0,
        "faults": [_fault("freeze", 0, 3.0, 5.0)],
        "phases": [
            _phase("ec-1", -5.0, "WARMING"), _phase("ec-2", -5.0, "READY"), _phase("ec-1", -2.0, "READY"),
            _phase("ec-1", 3.5, "EJECTED"), _phase("ec-1", 5.5, "WARMING"), _phase("ec-1", 6.5, "READY"),
        ],
        "calls": [_call(0.5, 0.002), _call(1.0, 0.003, "allocate"), _call(3.1, 0.04), _call(9.0, 0.002, "pay")],
        "figures": {
            "reads": 400, "read_errors": 0, "slowest_read_ms": 40.0, "felt_for_s": 0.0, "allocations": 30,
            "addresses": 30, "duplicates": 0, "double_executions": 0, "full_strength_after_s": 0.5,
        },
        "promises": [
            {"figure": "slowest_read_ms", "most": 50, "value": 40.0, "is_kept": True, "is_strict": False},
        ],
        "repeat": repeat("freeze", 1, "gateway"),
    }  # fmt: skip
    seed = more.pop("seed", 1)
    return Result("freeze", "gateway", seed, "The primary stands still.", **{**fields, **more})


def peer_run(**more: Any) -> Result:
    """Return the same before HAProxy: two reads failed, and addresses were given twice."""
    fields: dict[str, Any] = {
        "began": BEGAN + 60,
        "seconds": 10.0,
        "faults": [_fault("freeze", 0, 63.0, 65.0)],
        "calls": [_call(60.5, 0.002), _call(63.1, 1.0), _call(63.2, 3.0, "read", "error")],
        "figures": {
            "reads": 400, "read_errors": 2, "slowest_read_ms": 3000.0, "felt_for_s": 3.2, "allocations": 30,
            "addresses": 28, "duplicates": 12, "double_executions": 1, "full_strength_after_s": 0.0,
        },
        "verdict": VIOLATED,
        "violations": [{"invariant": "1", "text": WICKED}],
        "is_judged": False,
        "repeat": repeat("freeze", 1, "haproxy"),
    }  # fmt: skip
    return Result("freeze", "haproxy", 1, "The primary stands still.", **{**fields, **more})


def red_run() -> Result:
    """Return a run before our gateway that failed."""
    return gateway_run(
        seed=7, verdict=VIOLATED, violations=[{"invariant": "1", "text": WICKED}], repeat=repeat("freeze", 7, "gateway")
    )


def skipped_run() -> Result:
    """Return a run that was not made."""
    return Result("clock_jump", "gateway", 1, "A clock.", verdict=SKIPPED, why=f"no faketime {WICKED}")


def failed_start() -> Result:
    """Return a run that failed before a client could begin."""
    return Result("kill", "gateway", 1, "Dead.", verdict=VIOLATED, why="the gateway does not start",
                  violations=[{"invariant": "run", "text": "the run itself failed"}], repeat="make chaos")  # fmt: skip


def _fault(name: str, target: int, begin: float, end: float, value: float = 0.0) -> dict[str, Any]:
    return {"name": name, "target": target, "begin": BEGAN + begin, "end": BEGAN + end, "value": value,
            "back": BEGAN + end, "felt_for_s": 0.0, "note": ""}  # fmt: skip


def _phase(backend: str, at: float, phase: str) -> dict[str, Any]:
    return {"at": BEGAN + at, "backend": backend, "phase": phase}


def _call(at: float, took: float, kind: str = "read", outcome: str = "ok") -> tuple[float, float, str, str]:
    return (BEGAN + at, BEGAN + at + took, kind, outcome)
