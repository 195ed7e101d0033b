"""Watches the configuration files and says when one of them changed.

Rule: an editor's rename, a swapped symbolic link and a new secret all count; many changes at once are one.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import Change, awatch

PAUSE = 1.0
"""Seconds before watching is begun again when a directory has gone."""


async def watch(paths: Callable[[], Sequence[Path]], on_change: Callable[[], None]) -> None:
    """Call `on_change` after each change of one of `paths`, which are asked for anew each time; for ever."""
    while True:
        wanted = {path.absolute() for path in paths()}
        folders = {path.parent for path in wanted if path.parent.is_dir()}
        if not folders:
            await asyncio.sleep(PAUSE)
            continue
        seen = _stamps(wanted)

        def is_ours(_change: Change, _path: str, wanted: set[Path] = wanted, seen: dict[Path, object] = seen) -> bool:
            # a link that is swapped changes another path than ours, so the files themselves are compared
            return _stamps(wanted) != seen

        try:
            async for _ in awatch(*folders, watch_filter=is_ours, debounce=200, step=50, recursive=False):
                on_change()
                break
        except (FileNotFoundError, RuntimeError):
            await asyncio.sleep(PAUSE)


def _stamps(paths: set[Path]) -> dict[Path, object]:
    """Return what tells one version of each file from the next."""
    stamps: dict[Path, object] = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            stamps[path] = None
        else:
            stamps[path] = (found.st_mtime_ns, found.st_ino, found.st_size)
    return stamps
