"""The file that a daemon writes its output to, and the older ones beside it: log, log.1, log.2 ...

Rule: nothing is taken from a daemon that runs: it writes to the file by itself and survives the gateway, so a full file
is copied and emptied under it.  What it writes in between is lost, a line or two in ten megabytes.  No link is
followed: whoever may make one there could have any file of ours emptied.
"""

import contextlib
import os
import shutil
import stat
from pathlib import Path


def rotate(path: Path, *, limit: int, kept: int) -> None:
    """Put a file that has reached `limit` bytes aside; raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_size < limit:
        return
    with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as full:  # noqa: PTH123 - of a descriptor
        for number in range(kept - 1, 0, -1):
            older = Path(f"{path}.{number}")
            if older.exists():
                older.replace(f"{path}.{number + 1}")
        aside = Path(f"{path}.1")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as copy:
            shutil.copyfileobj(full, copy)
            os.fchmod(copy.fileno(), stat.S_IMODE(found.st_mode))
        os.ftruncate(full.fileno(), 0)
