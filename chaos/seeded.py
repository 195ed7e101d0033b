"""A wallet daemon that looks into a file for its seed at each start, so that it can come back as another wallet.

    python -m chaos.seeded FILE ARGUMENTS...

Rule: FILE holds the seed; where there is none, the seed is that of the arguments, which are those of
`tests.checker.daemon`.
"""

import sys
from pathlib import Path

from tests.checker import daemon

SEED = "--seed="


def with_seed(arguments: list[str], file: Path) -> list[str]:
    """Return the arguments with the seed of a file, if it is there."""
    if not file.exists():
        return arguments
    seed = file.read_text(encoding="utf-8")
    return [f"{SEED}{seed}" if one.startswith(SEED) else one for one in arguments]


if __name__ == "__main__":
    sys.argv[1:] = with_seed(sys.argv[2:], Path(sys.argv[1]))
    daemon.main()
