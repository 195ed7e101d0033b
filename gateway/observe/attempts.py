"""One debug line for each call of a client, and one for each try on a backend, with the time of every step.

Rule: names and times only; never parameters, results or credentials.  A line that cannot be written is
counted and never the call's fault.
"""

from typing import Any

from gateway.base.trace import CURRENT
from gateway.observe import logs


def attempt_line(attempt: Any, outcome: Any, result: object, now: float) -> None:
    """Write how one attempt went; the steps are milliseconds since it was begun, the wait before it not included."""
    began, errand, trace = attempt.started_at, attempt.errand, attempt.errand.trace

    def since(moment: float) -> float | None:
        return round((moment - began) * 1000, 2) if moment else None

    logs.tell(
        "debug",
        "attempt",
        {
            "wallet": errand.wallet,
            "backend": attempt.backend.name,
            "method": errand.method.name,
            "client": errand.client,
            "request": attempt.our_id,
            "hedge": attempt.is_hedge,
            "fate": outcome.fate.value,
            "reason": getattr(result, "reason", ""),
            "status": outcome.status,
            "reused": outcome.reused,
            "waited_ms": round((began - errand.arrived_at) * 1000, 2),
            "connected_ms": since(outcome.connected_at),
            "sent_ms": since(outcome.sent_at),
            "first_byte_ms": since(outcome.first_byte_at),
            "ended_ms": since(now),
            "bytes": len(outcome.body),
            **({} if trace is None else {"trace": trace.id, "parent": trace.span, "span": attempt.hop}),
        },
    )


def call_line(wallet: str, method: str, effect: str, outcome: str, seconds: float) -> None:
    """Write how a call ended; it is the one that is being served now."""
    fields: dict[str, object] = {
        "wallet": wallet, "method": method, "effect": effect, "outcome": outcome, "ms": round(seconds * 1000, 2),
    }  # fmt: skip
    trace = CURRENT.get()
    if trace is not None:
        fields |= {"trace": trace.id, "parent": trace.parent, "span": trace.span}
    logs.tell("debug", "call", fields)
