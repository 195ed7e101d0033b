"""Where a ledger may lie, and whether it is there.

Rule: a wrong place is a mistake of the configuration and is refused at once; a disk that is broken or full is not, for
it may be well again while the gateway runs.
"""

import os
from pathlib import Path

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import lasting
from gateway.ledger.store import LedgerError, MisplacedError

WRITABLE = "make the folder, writable for this user, or name another in ledger.path"


def key_path(settings: Settings) -> Path:
    """Return where the key of a ledger is."""
    return Path(settings.key_file or f"{settings.path}.key").absolute()


def check_place(path: Path) -> None:
    """Refuse a file that could not be written.  Raises MisplacedError."""
    folder = path.parent
    if path.is_dir():
        raise MisplacedError(f"{path} is a folder; name a file in it in ledger.path, like {path / 'ledger.db'}")
    if not folder.is_dir():
        raise MisplacedError(f"there is no folder {folder}; {WRITABLE}")
    if is_read_only(folder):
        return  # as the system mounts a disk with errors anew; whoever writes is told
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise MisplacedError(f"{folder} cannot be written; {WRITABLE}")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise MisplacedError(f"{path} cannot be written; give it to this user, or name another in ledger.path")


def is_read_only(folder: Path) -> bool:
    """Return whether nobody at all may write on a disk now."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def check_lasting(path: Path, key: str, settings: Settings, mounts: str, *, in_container: bool) -> None:
    """Refuse a file that a restart takes away.  Raises MisplacedError."""
    if settings.may_be_lost:
        return
    why = lasting.why_it_vanishes(path.resolve().parent, mounts, in_container=in_container)
    if why:
        remedy = "name a place on a volume or on a disk; ledger.may_be_lost: true takes it all the same, for a trial"
        raise MisplacedError(f"{key}: {why}; {remedy}")


def check_there(path: Path) -> None:
    """Refuse to make a ledger where a command expects one.  Raises LedgerError."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger {path}; the gateway makes it when it starts, see ledger.path")
    if not os.access(path, os.R_OK | os.W_OK):
        raise LedgerError(f"{path} cannot be opened; run the command as the user that the gateway runs as")


def make_file(path: Path) -> bool:
    """Make an empty file that its owner alone may read; False when there is one.  Raises OSError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True
