"""Which file it was that was last open here: tells an older copy that was put in its place, and a log of another file.

SQLite applies a log (`-wal`) to whatever database lies beside it, and opens yesterday's copy as readily as today's
file.  So each opening writes a mark of its own into the file and then, once it is there for good, into the second line
of the lock file, which no copy brings along.

Copies of one and the same opening have one mark.  So each transaction that writes raises a number in the file and then
writes it behind the mark, into the lock file; it never stands there before it is on the disk.  Where the lock file
knows a higher number than the ledger, something was committed that this ledger does not have.  The lock file is not
synced: what a power cut leaves there may be a little lower, and tells of no copy that is younger than that.

Rule: what cannot be read proves nothing; a file is called another one only where both marks were read and differ, or
where a number went back.
"""

import os
import re
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

MARK, COMMITS = "opened", "commits"
"""The rows of `meta` that hold the mark, and how many transactions have written."""

BEGUN = "begun"
"""Stands in the lock file while the first opening is under way."""

COPY = "copy of "
"""Begins the mark of a backup; the time follows."""

PUT_BACK = "put back "
"""Stands before the mark of a copy while its first opening is under way."""

WAL_HEAD, FRAME_HEAD = 32, 24
"""Bytes of a log that holds nothing, and of what stands before each page in one."""

FIRST_FRAMES = 2000
"""Pages of a log that are looked through for its first transaction."""

DIGITS = 20
"""Of a number of commits, always: so it is found in a page by its look, and takes the place of the one before."""

COUNT_AT = 256
"""Where the lock file has it; before it stand the two lines and blanks."""

_COUNT = re.compile(rb"%b([0-9]{%d})" % (COMMITS.encode(), DIGITS))


@dataclass(frozen=True, slots=True)
class Inside:
    """What a file says by itself, without the log beside it."""

    has_tables: bool
    mark: str
    """"" where it has none."""
    commits: int | None = None
    """None where it has never counted."""
    page: int = 0
    """The first of `meta`; 0 where it has none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a file before it is opened."""

    kept: str
    """What the lock file said."""
    inside: Inside | None
    """None where there is no file, or where it could not be read."""
    has_log: bool
    counted: int = 0
    """The number of the last commit, as the lock file has it; 0 where that is not known."""
    logged: int | None = None
    """The number of the first commit in the log; None where that is not known."""

    @property
    def is_begun(self) -> bool:
        """Whether its very first opening was broken off."""
        return self.kept == BEGUN

    @property
    def is_other(self) -> bool:
        """Whether it is another file than the one that was last open here."""
        known = self.kept not in ("", BEGUN) and not self.kept.startswith(PUT_BACK)
        return known and self.inside is not None and self.inside.mark != self.kept

    @property
    def is_mixture(self) -> bool:
        """Whether the log beside it is not its own, or goes on from a later moment of it."""
        return self.has_log and (self.is_other or self._is_before_log)

    @property
    def _is_before_log(self) -> bool:
        commits = None if self.inside is None else self.inside.commits
        return commits is not None and self.logged is not None and self.logged > commits + 1

    @property
    def is_copy(self) -> bool:
        """Whether it is older than what was done here: a backup that was put back."""
        return self.is_other or self.kept.startswith(PUT_BACK) or self._mark.startswith(COPY)

    @property
    def made(self) -> str:
        """When the copy was made, in words; "" where that is not known."""
        return self._mark.removeprefix(COPY) if self._mark.startswith(COPY) else ""

    @property
    def _mark(self) -> str:
        return "" if self.inside is None else self.inside.mark

    def meanwhile(self) -> str:
        """Return what the lock file says while it is being opened, so that a broken opening is gone through again."""
        if self.inside is None or self.is_begun:
            return BEGUN
        return PUT_BACK + self._mark if self.is_copy else ""


def look(path: Path) -> Found:
    """Return what is known of a ledger's file; nothing is changed."""
    path = Path(os.path.realpath(path))  # where its log and its lock are, too
    log = Path(f"{path}-wal")
    has_log = False
    with suppress(OSError):
        has_log = log.stat().st_size > WAL_HEAD
    kept, counted = _kept(path)
    inside = _inside(path)
    logged = _logged(log, inside.page) if has_log and inside is not None else None
    if logged is not None:
        # a gateway that runs may have brought its log into the file meanwhile, and begun the next one
        inside = _inside(path)
    return Found(kept, inside, has_log, counted, logged)


def count(descriptor: int, commits: int) -> None:
    """Write the number of the last commit into the lock file; where that fails the one before stays there."""
    with suppress(OSError):
        os.pwrite(descriptor, _number(commits), COUNT_AT)


def write_head(descriptor: int, holder: bytes, words: bytes) -> None:
    """Write who holds the lock and what is known of its file; the number of commits stays.  Raises OSError."""
    head = (b"%b\n%b\n" % (holder, words)).ljust(COUNT_AT - 1) + b"\n"
    text = head + _number(_counted(os.pread(descriptor, COUNT_AT + DIGITS, 0)))
    # never shorter in between: whoever is killed here must not leave a number out
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _number(commits: int) -> bytes:
    return b"%0*d\n" % (DIGITS, commits)


def keep(path: Path, words: str) -> None:
    """Write into the lock file what is to be known at the next opening; where that fails nothing is known."""
    with suppress(OSError):
        descriptor = os.open(f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_head(descriptor, os.pread(descriptor, 4096, 0).partition(b"\n")[0], words.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _kept(path: Path) -> tuple[str, int]:
    """Return what the lock file says: the words of its second line, and the number of the last commit."""
    try:
        content = Path(f"{path}.lock").read_bytes()
    except OSError:
        return "", 0
    lines = content.decode(errors="replace").split("\n")
    return lines[1] if len(lines) > 1 else "", _counted(content)


def _counted(content: bytes) -> int:
    digits = content[COUNT_AT : COUNT_AT + DIGITS]
    return int(digits) if len(digits) == DIGITS and digits.isdigit() else 0


def _logged(log: Path, page: int) -> int | None:
    """Return the number of the first commit in a log; each one has the page on which it stands.

    Other pages hold what customers write, which may look like a number of ours.  Where `meta` has outgrown one page
    nothing is found.

    Args:
        page: the first of `meta`.
    """
    found: int | None = None
    with suppress(OSError), log.open("rb") as stream:
        head = stream.read(WAL_HEAD)
        size = int.from_bytes(head[8:12], "big")
        for _ in range(FIRST_FRAMES):
            frame = stream.read(FRAME_HEAD + size)
            # frames of an older round of the log have other salts
            if len(frame) < FRAME_HEAD + size or frame[8:16] != head[16:24]:
                break
            if int.from_bytes(frame[:4], "big") == page:
                # it may hold the remains of earlier numbers too
                found = max([found or 0, *map(int, _COUNT.findall(frame))]) or None
            if any(frame[4:8]):
                return found
    return None


def _inside(path: Path) -> Inside | None:
    """Read a file without its log, and without a lock."""
    try:
        if not path.stat().st_size:
            return None
        address = f"file:{quote(str(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            tables = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))
            facts: dict[str, str] = {}
            if "meta" in tables:
                facts = dict(connection.execute("SELECT key, value FROM meta WHERE key IN (?, ?)", (MARK, COMMITS)))
            commits = int(facts[COMMITS]) if COMMITS in facts else None
            return Inside(bool(tables), facts.get(MARK, ""), commits, tables.get("meta", 0))
    except (OSError, sqlite3.Error, ValueError):
        return None
