"""Moments as people write them: how long ago, a date, or seconds since 1970.

Rule: what cannot be read is refused with what would be right; nothing is guessed, and a date without a zone is UTC.
"""

import re
from datetime import UTC, datetime

EXAMPLE = "write how long ago, like 30d, 12h or 90m; a date, like 2026-11-29 or 2026-11-29T14:00:00; or unix seconds"

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,6})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]{5,15})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")


class MomentError(ValueError):
    """A moment that cannot be read; the text says what would be right."""


def read_moment(text: str, now: float) -> float:
    """Return a moment in seconds since 1970; never after the year 9999, never before 1970.

    Args:
        now: what "ago" is counted from.

    Raises:
        MomentError: it is none.
    """
    if (ago := _AGO.fullmatch(text)) is not None:
        return max(0.0, now - float(ago[1]) * UNITS[ago[2]])
    if _SECONDS.fullmatch(text):
        return float(text)
    if _DATE.fullmatch(text):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise MomentError(EXAMPLE) from None
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return max(0.0, (found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    raise MomentError(EXAMPLE)
