"""A backup is one whole moment of the ledger, and a restored one knows that it is old."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import backup, seen
from gateway.ledger.backup import back_up, restore
from gateway.ledger.key_file import make_key
from gateway.ledger.opening import open_ledger
from gateway.ledger.schema import keys
from gateway.ledger.store import LedgerError, SqliteLedger

from .conftest import AT, fill, key_of

MOMENT = "2027-01-15 08:00:00 UTC"
STAMP = "20270115-080000"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Where a ledger is."""
    (tmp_path / "ledger").mkdir()
    return Settings(path=str(tmp_path / "ledger/ledger.db"), may_be_lost=True)


@pytest.fixture
def running(settings: Settings) -> Iterator[SqliteLedger]:
    """A ledger in use, with a small shop in it."""
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        yield ledger


def epoch_in(path: Path) -> int:
    """Read something from a file alone, as it lies there."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return int(connection.execute("SELECT epoch FROM wallets").fetchone()[0])


def test_a_backup_holds_what_was_written_last_and_its_key(
    settings: Settings, running: SqliteLedger, tmp_path: Path
) -> None:
    """All of it in two files that their owner alone may read, while the gateway goes on writing."""
    running.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = 41")))
    made = back_up(settings, tmp_path / "copy.db", AT)
    running.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = 42")))
    assert epoch_in(tmp_path / "copy.db") == 41
    assert (made.path, made.key, made.moment) == (tmp_path / "copy.db", tmp_path / "copy.db.key", MOMENT)
    assert made.size == (tmp_path / "copy.db").stat().st_size
    assert made.key.read_bytes() == Path(f"{settings.path}.key").read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"ledger", "copy.db", "copy.db.key"}
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("copy.db", "copy.db.key")} == {0o600}


def test_nothing_is_overwritten_unasked(settings: Settings, running: SqliteLedger, tmp_path: Path) -> None:
    """Neither another backup nor, however it is asked for, the ledger itself."""
    back_up(settings, tmp_path / "copy.db", AT)
    before = (tmp_path / "copy.db").read_bytes()
    running.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = 42")))
    with pytest.raises(LedgerError, match="is there already; name another file, or overwrite it by --force"):
        back_up(settings, tmp_path / "copy.db", AT)
    assert (tmp_path / "copy.db").read_bytes() == before
    back_up(settings, tmp_path / "copy.db", AT, force=True)
    assert epoch_in(tmp_path / "copy.db") == 42
    for name in ("ledger/ledger.db", "ledger/ledger.db.key"):
        with pytest.raises(LedgerError, match="belongs to the ledger itself"):
            back_up(settings, tmp_path / name, AT, force=True)
    with pytest.raises(LedgerError, match="is a folder; name a file in it"):
        back_up(settings, tmp_path, AT)
    with pytest.raises(LedgerError, match="there is no folder"):
        back_up(settings, tmp_path / "none/copy.db", AT)


def test_a_backup_that_breaks_off_leaves_nothing_behind(
    settings: Settings, running: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a copy that turns out damaged: the older backup is what it was."""
    back_up(settings, tmp_path / "copy.db", AT)
    before = (tmp_path / "copy.db").read_bytes()

    def full(_copy: Path, _key: bytes, _named: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_check", full)
    with pytest.raises(LedgerError, match="No space left on device; look at that disk"):
        back_up(settings, tmp_path / "copy.db", AT, force=True)
    assert running.last_error == ""
    assert (tmp_path / "copy.db").read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} == {"ledger", "copy.db", "copy.db.key"}


def test_a_damaged_ledger_is_not_copied(settings: Settings, tmp_path: Path) -> None:
    """A copy that cannot be relied on would keep somebody from looking for an older one."""
    open_ledger(settings, AT).ledger.close()
    path = Path(settings.path)
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"could not be copied .*(damaged|malformed)"):
        back_up(settings, tmp_path / "copy.db", AT)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerError, match=r"could not be copied .*not a database"):
        back_up(settings, tmp_path / "copy.db", AT)
    assert {one.name for one in tmp_path.iterdir()} == {"ledger"}


def test_a_ledger_without_its_key_is_not_copied(settings: Settings, running: SqliteLedger, tmp_path: Path) -> None:
    """It would be of no use on the day that it is needed."""
    assert running.path is not None
    Path(f"{settings.path}.key").unlink()
    with pytest.raises(LedgerError, match=r"the key file .* is not there"):
        back_up(settings, tmp_path / "copy.db", AT)


def test_a_restored_ledger_is_the_backup_and_knows_that_it_is_old(settings: Settings, tmp_path: Path) -> None:
    """The one before is kept with its log, and the log is not read into the other."""
    path = Path(settings.path)
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        back_up(settings, tmp_path / "copy.db", AT)
        ledger.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = 42")))
        files = {one: one.read_bytes() for one in path.parent.iterdir()}
        with pytest.raises(LedgerError, match="is in use by a gateway; stop it"):
            restore(settings, tmp_path / "copy.db", AT)
    for one, content in files.items():
        one.write_bytes(content)  # as a kill -9 leaves them
    done = restore(settings, tmp_path / "copy.db", AT)
    kept = path.with_name(f"ledger.db.before-{STAMP}")
    assert (done.path, done.moment, done.kept) == (path, MOMENT, str(kept))
    assert {one.name for one in path.parent.iterdir()} == {
        "ledger.db", "ledger.db.key", "ledger.db.lock", kept.name, f"{kept.name}-wal",
    }  # fmt: skip
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT epoch FROM wallets").fetchone() == (42,)
    found = open_ledger(settings, AT)
    found.ledger.close()
    assert found.copied == MOMENT
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT epoch, state FROM wallets").fetchone() == (3, "doubted")
        assert connection.execute("SELECT count(*) FROM addresses WHERE state = 'pool'").fetchone() == (0,)
    again = open_ledger(settings, AT)
    again.ledger.close()
    assert again.copied == ""


def test_a_key_is_restored_with_its_ledger_and_the_other_one_is_kept(settings: Settings, tmp_path: Path) -> None:
    """Also where nothing is left of the ledger but a new one that was begun meanwhile."""
    path, secret = Path(settings.path), Path(f"{settings.path}.key")
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(lambda connection: connection.execute(insert(keys).values(key_of("signed", "a"))))
        back_up(settings, tmp_path / "copy.db", AT)
        key = secret.read_bytes()
    for one in path.parent.iterdir():
        one.unlink()
    open_ledger(settings, AT).ledger.close()
    other = secret.read_bytes()
    restore(settings, tmp_path / "copy.db", AT)
    assert secret.read_bytes() == key
    assert secret.with_name(f"ledger.db.key.before-{STAMP}").read_bytes() == other
    assert open_and_close(settings) == MOMENT


def open_and_close(settings: Settings) -> str:
    """Open a ledger as a gateway does; say of which moment it is."""
    found = open_ledger(settings, AT)
    found.ledger.close()
    return found.copied


def test_a_ledger_is_restored_where_there_is_none(settings: Settings, running: SqliteLedger, tmp_path: Path) -> None:
    """On another machine, with nothing to keep."""
    assert running.path is not None
    back_up(settings, tmp_path / "copy.db", AT)
    (tmp_path / "new").mkdir()
    elsewhere = Settings(path=str(tmp_path / "new/ledger.db"), may_be_lost=True)
    assert restore(elsewhere, tmp_path / "copy.db", AT).kept == ""
    assert open_and_close(elsewhere) == MOMENT


def test_what_is_no_whole_ledger_of_its_key_is_not_restored(settings: Settings, tmp_path: Path) -> None:
    """The ledger that is there stays as it is."""
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        back_up(settings, tmp_path / "copy.db", AT)
    before = {one: one.read_bytes() for one in Path(settings.path).parent.iterdir()}
    good = (tmp_path / "copy.db").read_bytes()
    copy = tmp_path / "copy.db"

    def refused(words: str) -> None:
        with pytest.raises(LedgerError, match=words):
            restore(settings, copy, AT)
        now = {one: one.read_bytes() for one in Path(settings.path).parent.iterdir()}
        lock = Path(f"{settings.path}.lock")
        assert {one: now[one] for one in now if one != lock} == {one: before[one] for one in before if one != lock}
        assert now[lock].split()[1:] == before[lock].split()[1:]

    copy.write_bytes(good[: 4096 * 5])
    refused("could not be put in the place of")
    with closing(sqlite3.connect(tmp_path / "head.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    copy.write_bytes((tmp_path / "head.db").read_bytes())
    refused("it has no tables, as a file that `cp` copied")
    copy.write_bytes(b"")
    refused("it has no tables")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE cookies (host TEXT)")
    copy.write_bytes((tmp_path / "other.db").read_bytes())
    refused("it is none")
    copy.write_bytes(good)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    refused("it is of a newer ec-gateway")
    copy.write_bytes(good)
    (tmp_path / "copy.db.key").unlink()
    make_key(tmp_path / "copy.db.key")
    refused("is not the key that this ledger was written with")
    (tmp_path / "copy.db.key").unlink()
    assert restore(settings, copy, AT).moment == MOMENT, "the key that is there is the right one"
    with pytest.raises(LedgerError, match="is the ledger itself"):
        restore(settings, Path(settings.path), AT)
    with pytest.raises(LedgerError, match="there is no ledger"):
        restore(settings, tmp_path / "none.db", AT)


def test_a_copy_by_another_tool_is_known_for_a_copy_as_well(settings: Settings, tmp_path: Path) -> None:
    """Of which moment it is cannot be told."""
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        with closing(sqlite3.connect(settings.path)) as one, closing(sqlite3.connect(tmp_path / "copy.db")) as other:
            one.backup(other)
    assert restore(settings, tmp_path / "copy.db", AT).moment == "an unknown time"
    assert open_and_close(settings) == "an unknown time"


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_restore_that_breaks_off_leaves_nothing_that_is_taken_for_the_ledger_in_use(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """At each step: what is opened afterwards knows that it may be old, or is refused, or begins anew."""
    path = Path(settings.path)
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        back_up(settings, tmp_path / "copy.db", AT)
        files = {one: one.read_bytes() for one in path.parent.iterdir()}
    for one, content in files.items():
        one.write_bytes(content)
    left = [steps]

    def step(real: object) -> object:
        def done(*args: object, **named: object) -> object:
            left[0] -= 1
            if not left[0]:
                raise OSError(5, "Input/output error")
            return real(*args, **named)  # type: ignore[operator]  # a method of Path

        return done

    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "unlink"):
            patched.setattr(Path, name, step(getattr(Path, name)))
        with pytest.raises((LedgerError, OSError)):
            restore(settings, tmp_path / "copy.db", AT)
    try:
        found = open_ledger(settings, AT)
    except LedgerError as error:
        assert "ledger restore" in str(error)  # noqa: PT017 - it may be opened as well
    else:
        found.ledger.close()
        assert found.copied or found.before is None
    restore(settings, tmp_path / "copy.db", AT + 1)
    assert open_and_close(settings) == MOMENT


def test_the_lock_remembers_no_more_than_a_line_and_a_number(settings: Settings) -> None:
    """The pid of who holds it, the mark of the file, and how often it was written."""
    open_and_close(settings)
    open_and_close(settings)
    pid, mark, blanks, commits, end = Path(f"{settings.path}.lock").read_text().split("\n")
    assert (pid.isdigit(), len(mark), blanks.strip(), int(commits), end) == (True, 16, "", 2, "")
    found = seen.look(Path(settings.path))
    assert (found.kept, found.inside and found.inside.mark, found.is_copy) == (mark, mark, False)
