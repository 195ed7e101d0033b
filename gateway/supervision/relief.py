"""Whether a restart for memory has helped: by what the daemon takes in the hour after it.

Rule: a daemon that takes as much again within that time takes it for its work; it is told once, and `no_help_at` keeps
the rules from restarting it for that, until it takes less by itself or a day is over.
"""

from gateway.base.events import Event
from gateway.supervision.charts import Chart
from gateway.upstream.launchers import Memory

HELPS = 3600.0
"""Seconds for which a restart that has helped keeps the memory low."""


def see_relief(chart: Chart, memory: Memory | None, most: float | None, wallet: str, now: float) -> Event | None:
    """Take in what a daemon takes, and return what is to be told of it.

    Args:
        memory: None where that is not known.
        most: share of its limit from which on it is restarted, None for never.
        now: loop time.
    """
    if most is None:
        chart.share_before = None
        return _relieved(chart, wallet, {})
    if memory is None:
        return None
    share = memory.share
    if share < most:
        return _relieved(chart, wallet, {"share": round(share, 3)})
    before, chart.share_before = chart.share_before, None
    if before is None or now - chart.relieved_at >= HELPS:
        return None
    chart.no_help_at = now
    fields: dict[str, object] = {
        "before": round(before, 3), "after": round(share, 3),
        "reason": f"{before:.0%} of its limit before, {share:.0%} after",
    }  # fmt: skip
    return Event("restart.no_help", wallet, chart.name, fields, "warning")


def _relieved(chart: Chart, wallet: str, fields: dict[str, object]) -> Event | None:
    """Forget that it was of no help."""
    if chart.no_help_at is None:
        return None
    chart.no_help_at = None
    return Event("memory.relieved", wallet, chart.name, fields)
