"""What a judge says.

Rule: a violation carries what it was seen by, so that it can be argued about.
"""

from dataclasses import asdict, dataclass
from typing import Any

from tests.checker.evidence import Row
from tests.checker.history import Deed, Holding, Life, Op

MOST_SHOWN = 6
"""Pieces of evidence that a violation shows."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be.

    invariant: its number in the design; `limit` for the amounts of a client.
    """

    invariant: str
    text: str
    seen: tuple[Op | Row | Deed | Life | Holding, ...] = ()

    def evidence(self) -> list[dict[str, Any]]:
        """Return what it was seen by, for a page."""
        return [{"is": type(one).__name__, **_short(asdict(one))} for one in self.seen[:MOST_SHOWN]]


def _short(fields: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
    return {name: f"{value!r:.200}" if isinstance(value, dict | list) else value for name, value in found.items()}
