"""Runs the gateway as `python -m gateway` does, and tells from inside what cannot be seen from outside.

Use: inside.py FILE EVERY run -c gateway.yaml.  Every so many seconds one line of JSON is added to FILE: tasks that are
under way, objects that the collector knows, and every sixth time the kinds of objects of which there are most.  With
PYTHONTRACEMALLOC set, the lines that grew since the first look are told as well.

Rule: a thread beside the loop looks and touches nothing; what it costs is some milliseconds at each look.
"""

import asyncio
import gc
import json
import sys
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

TYPES_EVERY = 6
MOST = 25


def tasks() -> int:
    """Return how many tasks are under way in this process."""
    known: Any = asyncio.tasks._all_tasks  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio tells only its own thread
    for _ in range(5):
        try:
            return sum(not task.done() for task in list(known))
        except RuntimeError:
            continue  # one was made or ended meanwhile
    return -1


def watch(file: Path, every: float) -> None:
    """Look again and again."""
    number = 0
    first: tracemalloc.Snapshot | None = None
    while True:
        time.sleep(every)
        found: dict[str, Any] = {"at": time.monotonic(), "tasks": tasks()}
        if number % TYPES_EVERY == 0:
            objects = gc.get_objects()
            found["objects"] = len(objects)
            found["types"] = dict(Counter(type(one).__name__ for one in objects).most_common(MOST))
            del objects
            if tracemalloc.is_tracing():
                now = tracemalloc.take_snapshot()
                first = first or now
                found["grown"] = [str(one) for one in now.compare_to(first, "lineno")[:MOST]]
        number += 1
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(found) + "\n")


def main() -> None:
    """Watch, and be the gateway."""
    file, every = Path(sys.argv[1]), float(sys.argv[2])
    sys.argv = ["ec-gateway", *sys.argv[3:]]
    threading.Thread(target=watch, args=(file, every), name="inside", daemon=True).start()
    from gateway.cli import main as gateway  # noqa: PLC0415 - the watch is there before anything of it

    gateway()


if __name__ == "__main__":
    main()
