"""The newest rows of one kind, and which of them are not in the ledger yet.

Rule: both are bounded; a row that was never written and has no room any more is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST = 500
"""Rows of each kind that are remembered; some 500 kB of each at the most."""

AT_ONCE = 100
"""Rows of each kind that one transaction writes."""

T = TypeVar("T")


@dataclass(slots=True)
class Shelf(Generic[T]):
    """The newest rows of one kind by id, and which of them are not in the ledger."""

    rows: dict[str, T] = field(default_factory=dict)
    unwritten: dict[str, T] = field(default_factory=dict)
    dropped: int = 0
    """Rows that were never written."""

    def keep(self, key: str, row: T) -> None:
        """Take in a row that is new or has changed."""
        self.rows.pop(key, None)
        self.rows[key] = self.unwritten[key] = row
        if len(self.rows) > MOST:
            del self.rows[next(iter(self.rows))]
        if len(self.unwritten) > MOST:
            del self.unwritten[next(iter(self.unwritten))]
            self.dropped += 1

    def some(self) -> dict[str, T]:
        """Return a few of those that are not in the ledger, the oldest first."""
        return dict(list(self.unwritten.items())[:AT_ONCE])

    def written(self, rows: Mapping[str, T]) -> None:
        """Take in that rows are in the ledger; those that changed meanwhile are not."""
        for key, row in rows.items():
            if self.unwritten.get(key) is row:
                del self.unwritten[key]
