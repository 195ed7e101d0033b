"""One file in a tar archive, as a Docker engine gives it and takes it.

Rule: a file that is replaced keeps its owner and rights; anything but a plain file is refused.
"""

import io
import posixpath
import tarfile

from gateway.upstream.launchers import LauncherError


def taken_out(archive: bytes, path: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return the one file of an archive with its owner and rights.

    Raises:
        LauncherError: there is something else in it.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            entry = files.next()
            content = files.extractfile(entry) if entry is not None and entry.isreg() else None
            if entry is None or content is None:
                raise LauncherError(f"{path} is no plain file; name the file itself", may_pass=False)
            return entry, content.read()
    except tarfile.TarError as error:
        raise LauncherError(f"{path} did not come whole: {error}; try again") from error


def put_in(path: str, content: bytes, like: tarfile.TarInfo) -> tuple[str, bytes]:
    """Return the folder to unpack in, and an archive with that one file.

    Args:
        path: of the file, absolute.
        content: all of it.
        like: whose owner and rights it gets.
    """
    folder, name = posixpath.split(path)
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), like.mode, like.mtime
    entry.uid, entry.gid = like.uid, like.gid
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as files:
        files.addfile(entry, io.BytesIO(content))
    return folder or "/", out.getvalue()
