"""Writes the dashboards, or compares them."""

import sys

from scripts.dashboards import DASHBOARDS, FOLDER, text_of


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 where a file is not as it would be drawn."""
    is_same = True
    for name in DASHBOARDS:
        file, text = FOLDER / f"{name}.json", text_of(name)
        if arguments == ["--write"]:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            print(f"{file.name} is not as it would be drawn: run python -m scripts.dashboards --write")
            is_same = False
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
