"""Conditions on many values, in statements of few shapes.

Rule: a list is filled up to a power of two.  Each length is a statement of its own, which the engine prepares and
keeps: with every length that the number of a wallet's unsettled payments came to, they took two MiB.
"""

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import ColumnElement

AT_ONCE = 500
"""Values in one condition; engines have a limit."""

MOST = 16_384
"""Values up to which a list is filled up: SQLite takes 32,766 in one statement, PostgreSQL 32,767."""


def chunks(values: Collection[str]) -> Iterator[list[str]]:
    """Yield values, so many at a time that one condition can hold them."""
    listed = list(values)
    return (listed[start : start + AT_ONCE] for start in range(0, len(listed), AT_ONCE))


def is_among(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of some values; of none, it is never."""
    listed = list(values)
    if listed:
        # with the last one again: that one is among them anyway
        listed += listed[-1:] * (min(1 << (len(listed) - 1).bit_length(), MOST) - len(listed))
    return column.in_(listed)
