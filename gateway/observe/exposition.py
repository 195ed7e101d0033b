"""The text in which Prometheus reads metrics, written line by line.

Rule: one page is one pass over plain values.  A scrape holds the loop, and calls wait for it: what a library makes of
each sample on the way (an object, a dictionary, a sorted list) takes four times as long as the line itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isnan

from gateway.observe.catalogue import CATALOGUE, PREFIX, Row

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MOST_LABELS = 16_384
"""Sets of labels that are kept written; a gateway with fifty daemons has a tenth of them."""

Gauges = Iterable[tuple[str, Mapping[str, str], float]]
"""Name without the prefix, labels, value."""


class Page:
    """What one scrape shows; families in the order of the catalogue, whatever came first."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._families: dict[str, list[str]] = {}

    def add(self, rows: Gauges) -> None:
        """Take values of any names; one that is not in the catalogue is left out."""
        families = self._families
        for name, labels, value in rows:
            lines = families.get(name)
            if lines is None:
                lines = families[name] = []
            lines.append(f"{PREFIX}{name}{labelled(tuple(labels), tuple(labels.values()))} {number(value)}\n")

    def add_counts(self, name: str, rows: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Take all values of one name by the values of its labels."""
        names = CATALOGUE[name].labels
        lines = [f"{PREFIX}{name}{labelled(names, key)} {number(value)}\n" for key, value in rows]
        self._families.setdefault(name, []).extend(lines)

    def add_histogram(
        self, name: str, key: tuple[str, ...], bounds: Sequence[str], counts: Sequence[int], total: float
    ) -> None:
        """Take one histogram: how many were seen between each bound and the one before, and the sum of all."""
        lines = self._families.setdefault(name, [])
        shown = labelled(CATALOGUE[name].labels, key)
        start, running = f'{PREFIX}{name}_bucket{shown[:-1]},le="', 0
        for bound, count in zip(bounds, counts, strict=True):
            running += count
            lines.append(f'{start}{bound}"}} {running}\n')
        lines.append(f"{PREFIX}{name}_sum{shown} {number(total)}\n{PREFIX}{name}_count{shown} {running}\n")

    def add_foreign(self, name: str, kind: str, text: str, lines: Iterable[str]) -> None:
        """Take a family of somebody else's, written already; `name` is whole."""
        self._families[name] = [f"# HELP {name} {text}\n# TYPE {name} {kind}\n", *lines]

    def text(self) -> bytes:
        """Return the page."""
        parts: list[str] = []
        for name, row in CATALOGUE.items():
            lines = self._families.get(name)
            if lines:
                parts.append(_head(row))
                parts += lines
        for name, lines in self._families.items():
            if name not in CATALOGUE and lines[0].startswith("# HELP"):
                parts += lines
        return "".join(parts).encode()


def number(value: float) -> str:
    """Return a number as Prometheus reads it."""
    if value - value == 0.0:
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


@lru_cache(MOST_LABELS)
def labelled(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return labels in braces, "" for none."""
    if not names:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{inside}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _head(row: Row) -> str:
    text = row.text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {PREFIX}{row.name} {text}\n# TYPE {PREFIX}{row.name} {row.kind}\n"
