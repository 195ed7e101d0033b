"""Fills in the configurations of peers that lie in `bench/peers/`.

Rule: what is in a file is what the peer gets; only names after an @ are replaced, and one that nobody knows is an
error, for a peer that is configured by half would make a fine comparison for us.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

PEERS = Path(__file__).parents[1] / "bench" / "peers"

EACH = " # @each"
"""At the end of a line that stands once for each backend."""

NAME = re.compile(r"@(?:\{(\w+)\}|(\w+))")


def fill(name: str, values: Mapping[str, object], each: Sequence[Mapping[str, object]] = ()) -> str:
    """Return the text of a configuration.

    Args:
        name: of the file in `bench/peers/`.
        values: what stands for `@name` or `@{name}`.
        each: the same for lines that stand once for each backend.

    Raises:
        KeyError: the file has a name that is not given.
    """
    lines: list[str] = []
    for line in (PEERS / name).read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            lines.append(line)
        elif line.endswith(EACH):
            lines += [_filled(line.removesuffix(EACH), {**values, **one}) for one in each]
        else:
            lines.append(_filled(line, values))
    return "\n".join(lines) + "\n"


def _filled(line: str, values: Mapping[str, object]) -> str:
    return NAME.sub(lambda found: str(values[found[1] or found[2]]), line)
