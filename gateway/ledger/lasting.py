"""Whether a folder outlasts the container and the machine's restart, told from the table of mounts.

Rule: a place is refused only where the table proves that it is emptied: a RAM disk, or the layer that a container
loses when it is made anew.  Where there is no such table, nothing is claimed.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOUNTS = Path("/proc/self/mountinfo")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that container engines put into their containers; an image that became a machine's disk has them as well."""

RAM = frozenset({"tmpfs", "ramfs", "devtmpfs"})
LAYERS = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
"""What a container's own layer is made of; on the root of a machine it is a live system, which forgets as well."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system hangs, which part of it, what kind it is and what it is made of."""

    point: str
    root: str
    kind: str
    source: str

    @property
    def is_whole_disk(self) -> bool:
        """Whether it is all of a block device, as no engine gives it to a container for its root."""
        return (
            self.root == "/" and self.source.startswith("/dev/") and not self.source.startswith("/dev/mapper/docker-")
        )


def read_mounts() -> str:
    """Return the table of mounts of this process, nothing where the system has none."""
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def is_container() -> bool:
    """Return whether a container engine says that we are in a container of its own."""
    return any(mark.exists() for mark in CONTAINER_MARKS)


def why_it_vanishes(folder: Path, mounts: str, *, in_container: bool) -> str:
    """Return why what is written in a folder does not last, nothing where that is not known.

    Args:
        folder: absolute, without symbolic links.
        mounts: as /proc/self/mountinfo lists them.
        in_container: a layer there may be of any file system; then what hangs on / itself is lost with it, unless
            that is a whole disk.
    """
    found = _mount_of(folder, mounts)
    if found is None:
        return ""
    where = f"{found.kind} on {found.point}"
    if found.kind in RAM:
        return f"{folder} is a RAM disk ({where}), which a restart empties"
    if found.kind in LAYERS or (in_container and found.point == "/" and not found.is_whole_disk):
        return f"{folder} is in the container's own layer ({where}), which goes with the container"
    return ""


def _mount_of(folder: Path, mounts: str) -> Mount | None:
    """Return the mount that a folder is on, None where that is not told; a later mount hides an earlier one."""
    best = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kinds) < 2:
            continue
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if PurePosixPath(folder).is_relative_to(point) and (best is None or len(point) >= len(best.point)):
            best = Mount(point, fields[3], kinds[0], kinds[1])
    return best
