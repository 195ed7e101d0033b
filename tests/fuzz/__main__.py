"""`python -m tests.fuzz`: a million cases (FUZZ_CASES), in parts beside each other, each with a seed of its own.

Before them comes once what draws nothing: the corpus, and what is left in memory.
Each part is a process of pytest with ten thousand cases: Hypothesis remembers what it has tried, and what leaks within
a part is seen by the properties themselves.  Whatever fails is printed with the command that does it again.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
PART = 10_000
LONGEST = 3600.0
"""Seconds for one part."""

SHOWN = 6000
"""Characters of what a part that failed has said."""


SAME_EACH_TIME = ("tests/fuzz/test_corpus.py", "tests/fuzz/test_growth.py")
"""What draws nothing: run once."""


def command(*what: str) -> list[str]:
    """Return what runs one part."""
    return [sys.executable, "-m", "pytest", *what, "-q", "-p", "no:cacheprovider", "-o", "timeout=0"]


DRAWN = command("tests/fuzz", *(f"--ignore={one}" for one in SAME_EACH_TIME))


def run(seed: int | None, cases: int) -> tuple[int | None, bool, float, str]:
    """Run one part; return its seed, whether all held, its seconds, and what it said.

    Args:
        seed: None is what draws nothing.
    """
    began = time.monotonic()
    chosen = ({} if seed is None else {"FUZZ_SEED": str(seed)}) | {"FUZZ_CASES": str(cases)}
    environ = {**os.environ, **chosen}
    words = DRAWN if seed is not None else command(*SAME_EACH_TIME)
    again = " ".join(["\nonce more:", *(f"{name}={value}" for name, value in chosen.items()), *words[1:]])
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = f"it did not end within {LONGEST:g} s: {error.stdout!r}"[:SHOWN]
        return seed, False, time.monotonic() - began, said + again
    said = f"{done.stdout[-SHOWN:]}{done.stderr[-SHOWN:]}{again}"
    return seed, done.returncode == 0, time.monotonic() - began, said


def main(arguments: list[str] | None = None) -> int:
    """Run all parts; the exit code is 1 when one of them failed, 2 when the command line is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--cases", type=int, default=os.environ.get("FUZZ_CASES", "1000000"))
    parser.add_argument("--seed", type=int, default=1, help="of the first part, from 1; each has the next one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    for name in ("cases", "seed", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more, got {getattr(options, name)}")
    parts = max(1, -(-options.cases // PART))
    size = -(-options.cases // parts)
    began = time.monotonic()
    failed: list[str] = []
    with ThreadPoolExecutor(options.jobs) as hands:
        seeds = [None, *range(options.seed, options.seed + parts)]
        for done, (seed, has_held, seconds, said) in enumerate(hands.map(lambda one: run(one, size), seeds)):
            name = f"seed {seed}" if seed is not None else "corpus and growth"
            verdict = "held" if has_held else "FAILED"
            sys.stdout.write(f"{done * size:,} of {parts * size:,} cases: {name}, {seconds:.0f} s, {verdict}\n")
            if not has_held:
                failed.append(name)
                sys.stdout.write(f"{said}\n")
            sys.stdout.flush()
    minutes = (time.monotonic() - began) / 60
    verdict = f"{len(failed)} parts FAILED: {', '.join(failed)}" if failed else "all held"
    sys.stdout.write(f"{parts * size:,} cases in {minutes:.1f} minutes: {verdict}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
