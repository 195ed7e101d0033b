"""Files of a daemon on this machine: read whole, and replaced in one step.

Rule: a reader sees the old file or the new one, never half of either; owner and rights stay.
"""

import asyncio
import contextlib
import os
from pathlib import Path

from gateway.upstream.launchers import LauncherError
from gateway.upstream.launchers.common import Finding
from gateway.upstream.launchers.http import MAX_BODY


async def read_file(path: str) -> bytes:
    """Return a file; raises LauncherError."""
    try:
        return await asyncio.to_thread(_read, Path(path))
    except OSError as error:
        raise _cannot("read", path, error) from error


async def write_file(path: str, content: bytes) -> None:
    """Replace a file that exists; raises LauncherError."""
    try:
        await asyncio.to_thread(_write, Path(path), content)
    except OSError as error:
        raise _cannot("replace", path, error) from error


def look_at_socket(key: str, url: str) -> list[Finding]:
    """Return what is wrong with a socket of this machine; of other addresses nothing is known without asking."""
    if not url.startswith("unix://"):
        return []
    path = Path(url.removeprefix("unix://"))
    if not path.is_socket():
        return [(key, f"names {path}, and no socket is there", "start what makes it, or mount it, or correct the path")]
    if not os.access(path, os.R_OK | os.W_OK):
        return [(key, f"names {path}, which this user may not open", "join the group that may")]
    return []


def look_at_folder_of(key: str, path: str) -> list[Finding]:
    """Return what keeps a file from being made."""
    folder = Path(path).parent
    if not folder.is_dir():
        return [(key, f"is to be in {folder}, which is no folder", "make it, or correct the path")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [(key, f"is to be in {folder}, where this user may not write", "give it the right, or take another one")]
    return []


def _cannot(verb: str, path: str, error: OSError) -> LauncherError:
    return LauncherError(
        f"cannot {verb} {path}: {error.strerror}; look at the path and at the gateway's rights", may_pass=False
    )


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BODY:
        raise LauncherError(f"{path} is over {MAX_BODY >> 20} MiB; no wallet is so large", may_pass=False)
    return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    old = path.stat()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    # readable by nobody else from its first byte on
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
