"""When a database is asked again whether it keeps what it commits, and what is told of the answer.

Rule: it is asked after each new connection, for that may lead to another server, and once a minute, for a standby may
come and settings may change while all connections stay.  What it says is told once, and once more when it is over.
"""

from collections.abc import Collection
from dataclasses import dataclass

EVERY = 60.0
"""Seconds between two questions while all is well."""

SOON = 10.0
"""The same while it is not, so that what was mended is told; a standby may be waited for a moment later."""

REST = 5.0
"""Seconds between two questions at the least, however often connections are lost."""

REFUSED = "a gateway that is started now refuses it, and this one serves on"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a database said last.

    Args:
        at: when it was asked, on the own clock.
        made: connections that had been made by then.
        unsafe: what may lose payments, in sentences; what an unanswered question leaves is what was known before.
    """

    at: float
    made: int
    unsafe: tuple[str, ...]


def is_due(last: Finding, made: int, now: float) -> bool:
    """Whether to ask.

    Args:
        made: connections made so far.
    """
    age = now - last.at
    if age < REST:
        return False
    return made != last.made or age >= (SOON if last.unsafe else EVERY)


def alarm(unsafe: Collection[str], *, is_borne: bool) -> str:
    """Return what somebody must be woken for; "" where there is nothing, or the operator has said that he bears it."""
    return "" if is_borne or not unsafe else f"{'; '.join(unsafe)}; {REFUSED}"
