"""The secret that parameters of keyed calls are compared by: 32 random bytes in a file of their own.

Rule: the bytes leave this room as a return value and no other way; no error and no log holds any of them.  A file
that is there is never written; a new one appears whole, on the disk, and readable by its owner alone.
"""

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from gateway.ledger.store import LedgerError

LENGTH = 32


def read_key(path: Path) -> bytes | None:
    """Return the key in a file, None where there is no file.

    Raises:
        LedgerError: it cannot be read, others may read it, or it is no key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        remedy = "name a file that this user may read in ledger.key_file"
        raise LedgerError(f"the key file {path} cannot be read ({error.strerror}); {remedy}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise LedgerError(f"the key file {path} is not a file; name one in ledger.key_file")
        if mode & stat.S_IRWXO:
            raise LedgerError(f"the key file {path} is open to every user of this machine; `chmod 600 {path}`")
        key = os.read(descriptor, LENGTH + 1)
    finally:
        os.close(descriptor)
    if len(key) != LENGTH:
        remedy = "put back the right one from your backup, or name another in ledger.key_file"
        raise LedgerError(f"the key file {path} does not hold {LENGTH} bytes; {remedy}")
    return key


def make_key(path: Path) -> bytes:
    """Make a key file that was not there and return its key, once both file and folder are on the disk.

    Raises:
        LedgerError: it cannot be made.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    key = secrets.token_bytes(LENGTH)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
        _put_in_place(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        draft.unlink()
        return _made_meanwhile(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        remedy = "make the folder, writable for this user, or name another in ledger.key_file"
        raise LedgerError(f"the key file {path} cannot be made ({error.strerror}); {remedy}") from error
    return key


def _put_in_place(draft: Path, path: Path) -> None:
    """Give a draft its name.  Raises OSError; FileExistsError when there is such a file: no key is ever replaced."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # a file system without links, as some that a container gets from its host
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)
    else:
        draft.unlink()


def _made_meanwhile(path: Path) -> bytes:
    """Return the key of another gateway that was quicker.  Raises LedgerError."""
    key = read_key(path)
    if key is None:
        raise LedgerError(f"the key file {path} appears and vanishes; find out who else writes there")
    return key


def mark_of(key: bytes) -> str:
    """Return what a ledger keeps to know its key again; nobody can tell the key from it."""
    return hmac.new(key, b"ec-gateway: this ledger's key", hashlib.sha256).hexdigest()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.  Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
