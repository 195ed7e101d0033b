"""Draws docs/lifecycle.md from the table of phases and the words beside it.

    python scripts/draw_lifecycle.py          print it
    python scripts/draw_lifecycle.py --write  write it

Rule: the page holds nothing that is not in `gateway/rules/lifecycle.py`; a test compares the two.
"""

import ast
import sys
from pathlib import Path

from gateway.rules import lifecycle
from gateway.rules.lifecycle import MOVES, Phase, Signal

PAGE = Path(__file__).parents[1] / "docs" / "lifecycle.md"


def words(name: str) -> dict[str, str]:
    """Return what the source says below each member of an enumeration."""
    tree = ast.parse(Path(str(lifecycle.__file__)).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    found = {}
    for place, node in enumerate(body[:-1]):
        text = body[place + 1]
        if isinstance(node, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[str(ast.literal_eval(node.value))] = " ".join(str(text.value.value).split())
    return found


def draw() -> str:
    """Return the page."""
    phases, signals = words("Phase"), words("Signal")
    lines = [
        "# The life of a backend",
        "",
        "Drawn from the table in `gateway/rules/lifecycle.py` by `scripts/draw_lifecycle.py --write`;",
        "a test compares the two.",
        "",
        *(str(lifecycle.__doc__).strip().split("\n\n", 1)[1].splitlines()),
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> STARTING",
        *(f"    {before} --> {after}: {signal}" for (before, signal), after in MOVES.items()),
        "```",
        "",
        "| phase | gets calls | what it is |",
        "|---|---|---|",
        *(f"| {phase} | {_share(phase)} | {phases[phase]} |" for phase in Phase),
        "",
        "| signal | what has happened |",
        "|---|---|",
        *(f"| {signal} | {signals[signal]} |" for signal in Signal),
        "",
        "What each signal makes of each phase; an empty field leaves it as it is.",
        "",
        f"| | {' | '.join(Phase)} |",
        "|---" * (len(Phase) + 1) + "|",
        *(f"| {signal} | {' | '.join(MOVES.get((phase, signal), '') for phase in Phase)} |" for signal in Signal),
        "",
    ]
    return "\n".join(lines)


def _share(phase: Phase) -> str:
    if phase is Phase.WARMING:
        return "few"
    return "yes" if phase.is_serving else "no"


def main(arguments: list[str]) -> None:
    """Print the page, or write it."""
    if arguments == ["--write"]:
        PAGE.write_text(draw(), encoding="utf-8")
    else:
        print(draw())


if __name__ == "__main__":
    main(sys.argv[1:])
