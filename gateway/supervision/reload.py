"""Watches the configuration files and says when one of them changed.

Rule: an editor's rename, a swapped symbolic link and a new secret all count; many changes at once are one.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from watchfiles import Change, awatch

PAUSE = 1.0
"""Seconds before watching is begun again when a directory has gone."""

LOOK_AGAIN = 5_000
"""Milliseconds after which the files are looked at in any case: what was written before watching began, and
file systems that tell nobody of their changes."""


async def watch(paths: Callable[[], Sequence[Path]], on_change: Callable[[], None]) -> None:
    """Call `on_change` after each change of one of `paths`, which are asked for anew each time; for ever.

    A file that is saved again while the change before is being read counts as one more change.
    """
    seen: dict[Path, object] = {}
    while True:
        found = _stamps({path.absolute() for path in paths()})
        did_change = any(found[path] != seen[path] for path in found.keys() & seen.keys())
        # noted before the files are read, so that whatever is written meanwhile is a change against this
        seen = found
        if did_change:
            on_change()
            continue
        await _until_changed(seen)


async def _until_changed(seen: Mapping[Path, object]) -> None:
    """Return when one of the files may be another than `seen`, or after a while to look at them again."""
    folders = {path.parent for path in seen if path.parent.is_dir()}
    if not folders:
        await asyncio.sleep(PAUSE)
        return

    def is_ours(_change: Change, _path: str) -> bool:
        # a link that is swapped changes another path than ours, so the files themselves are compared
        return _stamps(seen) != seen

    try:
        async for _ in awatch(
            *folders, watch_filter=is_ours, debounce=200, step=50, recursive=False,
            rust_timeout=LOOK_AGAIN, yield_on_timeout=True,
        ):  # fmt: skip
            return
    except (FileNotFoundError, RuntimeError):
        await asyncio.sleep(PAUSE)


def _stamps(paths: Iterable[Path]) -> dict[Path, object]:
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
