"""A ledger is opened whole, up to date and in a place that lasts; everything else is refused with the way out."""

import errno
import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import moving, opening, place, seen
from gateway.ledger.key_file import LENGTH, make_key
from gateway.ledger.key_of import fact
from gateway.ledger.migrations import versions
from gateway.ledger.opening import Opened, open_beside, open_ledger, open_reader
from gateway.ledger.place import key_path
from gateway.ledger.schema import invoices, keys, meta, wallets
from gateway.ledger.store import LedgerError, MisplacedError, SqliteLedger

from .conftest import AT, fill, key_of

DISK = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
LAYER = "700 600 0:90 / / rw,relatime - overlay overlay rw\n"


def opened(path: Path, mounts: str = DISK, **more: object) -> Opened:
    """Open a ledger as a gateway does, on a machine with one disk."""
    settings = Settings.model_validate({"path": str(path)} | more)
    return open_ledger(settings, AT, lambda: mounts, lambda: False)


def misplaced(path: Path, mounts: str = DISK, **more: object) -> str:
    """Why a start is refused altogether."""
    with pytest.raises(MisplacedError) as caught:
        opened(path, mounts, **more)
    return str(caught.value)


def refusal(path: Path, mounts: str = DISK, **more: object) -> str:
    """Why a ledger is not opened."""
    with pytest.raises(LedgerError) as caught:
        opened(path, mounts, **more)
    return str(caught.value)


def key_of_file(path: Path) -> Path:
    """Where the key of a ledger is when nothing else is said."""
    return key_path(Settings(path=str(path)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that was opened once, with a small shop in it."""
    path = tmp_path / "ledger.db"
    with closing(opened(path).ledger) as ledger:
        ledger.transact(fill)
    return path


def facts(path: Path) -> dict[str, str]:
    """The rows of `meta`."""
    with closing(open_beside(path)) as ledger:
        return dict(
            ledger.transact(lambda connection: [(row.key, row.value) for row in connection.execute(select(meta))])
        )


# -- what is right --------------------------------------------------------------------------------------------


def test_a_new_ledger_gets_tables_an_id_and_a_key(tmp_path: Path) -> None:
    """All of it readable by its owner alone."""
    path = tmp_path / "ledger.db"
    found = opened(path)
    with closing(found.ledger):
        assert (found.before, len(found.key), found.ledger.path) == (None, LENGTH, path)
        assert found.ledger.transact(lambda connection: connection.execute(select(wallets)).all()) == []
        assert {one.name for one in tmp_path.iterdir()} >= {"ledger.db", "ledger.db.key", "ledger.db.lock"}
        assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
    assert facts(path)["id"] == found.id
    assert facts(path)["created_at"] == "2027-01-15T08:00:00+00:00"


def test_a_ledger_that_is_opened_again_is_the_same(path: Path) -> None:
    """Its id, its key and its rows."""
    before = facts(path)
    first = opened(path)
    first.ledger.close()
    second = opened(path)
    with closing(second.ledger):
        assert (second.id, second.key, second.before) == (first.id, first.key, versions()[-1])
        assert second.ledger.transact(lambda connection: connection.execute(select(wallets)).one().epoch) == 3
        assert (first.copied, second.copied) == ("", "")
    after = facts(path)
    changing = {seen.MARK: "", seen.COMMITS: ""}
    assert {**after, **changing} == {**before, **changing}
    assert after[seen.MARK] != before[seen.MARK]


def test_the_key_may_lie_elsewhere_and_shows_nowhere(tmp_path: Path) -> None:
    """Neither in what is printed of an opened ledger, nor in the file."""
    (tmp_path / "secrets").mkdir()
    found = opened(tmp_path / "ledger.db", key_file=str(tmp_path / "secrets/key"))
    found.ledger.close()
    assert (tmp_path / "secrets/key").read_bytes() == found.key
    assert not key_of_file(tmp_path / "ledger.db").exists()
    assert repr(found.key) not in repr(found)
    assert found.key.hex() not in repr(found)
    content = b"".join(one.read_bytes() for one in tmp_path.glob("ledger.db*"))
    assert found.key not in content
    assert found.key.hex().encode() not in content


def test_a_second_gateway_is_kept_out(path: Path) -> None:
    """Two of them would hand out the same addresses."""
    with closing(opened(path).ledger):
        assert "in use by another gateway" in misplaced(path)
    opened(path).ledger.close()


# -- places ---------------------------------------------------------------------------------------------------


def test_a_place_that_forgets_is_refused_unless_that_is_said_to_be_right(tmp_path: Path) -> None:
    """Neither file nor lock nor key is made there."""
    said = misplaced(tmp_path / "ledger.db", LAYER)
    assert re.search("ledger.path: .* container's own layer .*; name a place on a volume .*ledger.may_be_lost", said)
    assert list(tmp_path.iterdir()) == []
    opened(tmp_path / "ledger.db", LAYER, may_be_lost=True).ledger.close()


def test_a_link_is_followed_to_where_the_file_really_is(tmp_path: Path) -> None:
    """A path on a disk that leads to a RAM disk."""
    (tmp_path / "ram").mkdir()
    (tmp_path / "link").symlink_to("ram")
    mounts = DISK + f"28 27 0:1 / {tmp_path}/ram rw - tmpfs tmpfs rw\n"
    assert "is a RAM disk" in refusal(tmp_path / "link" / "ledger.db", mounts)
    (tmp_path / "ledger.db").symlink_to("ram/ledger.db")
    assert "is a RAM disk" in refusal(tmp_path / "ledger.db", mounts)


def test_a_key_is_not_made_where_it_would_be_lost_but_may_be_handed_in_there(tmp_path: Path) -> None:
    """Containers get their secrets on a RAM disk, from whoever keeps them."""
    (tmp_path / "run").mkdir()
    mounts = DISK + f"28 27 0:1 / {tmp_path}/run rw - tmpfs tmpfs rw\n"
    secret = str(tmp_path / "run/key")
    assert refusal(tmp_path / "ledger.db", mounts, key_file=secret).startswith("ledger.key_file: ")
    key = make_key(tmp_path / "run/key")
    found = opened(tmp_path / "ledger.db", mounts, key_file=secret)
    found.ledger.close()
    assert found.key == key


def test_a_folder_that_is_missing_or_is_none_is_refused(tmp_path: Path) -> None:
    """It is not made: a typing error would begin a new ledger elsewhere."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "none/ledger.db", tmp_path / "file/ledger.db"):
        assert misplaced(path) == f"there is no folder {path.parent}; {place.WRITABLE}"
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder; name a file in it")


def test_what_cannot_be_written_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, or the file alone; whatever user runs this."""

    def closed(what: Path) -> Callable[[Path, int], bool]:
        return lambda asked, _mode: asked != what

    monkeypatch.setattr(os, "access", closed(path.parent))
    assert refusal(path) == f"{path.parent} cannot be written; {place.WRITABLE}"
    monkeypatch.setattr(os, "access", closed(path))
    assert refusal(path).startswith(f"{path} cannot be written; give it to this user")


def test_a_folder_that_turns_out_not_to_be_writable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a disk that is mounted read-only; the lock is let go."""

    def read_only(_path: Path) -> bool:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "make_file", read_only)
        assert "cannot be written (Read-only file system)" in refusal(tmp_path / "ledger.db")
    opened(tmp_path / "ledger.db").ledger.close()


# -- content --------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    """Whatever it is, it is somebody's."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all, " * 100)
    said = refusal(path)
    assert "file is not a database" in said
    assert "`ec-gateway ledger restore BACKUP -c FILE` will put a backup in its place" in said
    assert "ec-gateway ledger adopt" in said
    assert path.read_bytes() == b"not a database at all, " * 100


def test_damaged_pages_are_refused(path: Path) -> None:
    """Found before anything is written, and told with what to do."""
    content = bytearray(path.read_bytes())
    size = 4096
    for page in range(2, len(content) // size):
        content[page * size : page * size + 200] = b"\xa5" * 200
    path.write_bytes(content)
    said = refusal(path)
    assert re.search("damaged|malformed", said)
    assert "`ec-gateway ledger restore BACKUP -c FILE` will put a backup in its place" in said
    assert path.read_bytes() == content


def test_a_cut_file_is_refused(path: Path) -> None:
    """As a copy that was broken off."""
    path.write_bytes(path.read_bytes()[: 4096 * 5])
    assert "put a backup in its place" in refusal(path)


def test_a_newer_ledger_is_refused_with_the_way_out(path: Path) -> None:
    """By the gateway and by the commands; nothing is changed in it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    known = versions()[-1]
    words = f"was written by a newer ec-gateway (schema 9999, and this gateway knows up to {known}); run the newer"
    assert words in refusal(path)
    for command in (open_beside, open_reader):
        with pytest.raises(LedgerError, match=re.escape(words)):
            command(path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its tables are left alone."""
    path = tmp_path / "cookies.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (host TEXT)")
        connection.commit()
    said = f"{path} is another program's database (tables cookies); name a file of its own in ledger.path"
    assert misplaced(path) == said


def test_a_start_that_is_broken_off_is_gone_through_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an empty file, and after tables without what comes next."""
    path = tmp_path / "ledger.db"

    def full(_connection: Connection, _key: str, _value: str) -> None:
        raise sqlite_error("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "note", full)
        assert refusal(path).endswith("(database or disk is full); make room on that disk")
    opened(path).ledger.close()


def sqlite_error(words: str) -> Exception:
    """What the engine raises."""
    return SQLAlchemyError(words)


# -- copies ---------------------------------------------------------------------------------------------------


def killed(path: Path) -> dict[Path, bytes]:
    """The files of a ledger in use, as a kill -9 leaves them, with something in the log."""
    with closing(opened(path).ledger) as ledger:
        ledger.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = epoch + 1")))
        return {one: one.read_bytes() for one in path.parent.glob("ledger.db*")}


def put(files: dict[Path, bytes]) -> None:
    """Let a folder hold these files and no others of a ledger."""
    for one in next(iter(files)).parent.glob("ledger.db*"):
        one.unlink()
    for one, content in files.items():
        one.write_bytes(content)
        one.chmod(0o600)


def states(path: Path) -> tuple[str, set[str]]:
    """The state of the wallet and those of its addresses."""
    with closing(sqlite3.connect(path)) as connection:
        (state,) = connection.execute("SELECT state FROM wallets").fetchone()
        return state, {row[0] for row in connection.execute("SELECT DISTINCT state FROM addresses")}


def test_a_log_that_was_left_by_a_kill_is_read(path: Path) -> None:
    """It is this file's own; as often as that happens."""
    for epoch in range(4, 8):
        put(killed(path))
        found = opened(path)
        with closing(found.ledger):
            assert found.copied == ""
            assert found.ledger.transact(lambda connection: connection.scalar(select(wallets.c.epoch))) == epoch
    assert states(path)[0] == "adopted"


@pytest.mark.parametrize("keeps_lock", [True, False])
def test_a_copy_without_what_was_in_the_log_is_refused_where_it_is_empty(path: Path, keeps_lock: bool) -> None:  # noqa: FBT001 - a parameter
    """`cp` of a young ledger in use copies a head without tables; its key and its lock show that there was more."""
    files = killed(path)
    with closing(sqlite3.connect(path.with_name("head"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for content in (path.with_name("head").read_bytes(), b""):
        copy = {path: content, key_of_file(path): files[key_of_file(path)]}
        if keeps_lock:
            copy[Path(f"{path}.lock")] = files[Path(f"{path}.lock")]
        put(copy)
        for _ in range(2):
            said = refusal(path)
            assert "has no tables, and yet there was a ledger here before" in said
            assert "`ec-gateway ledger restore BACKUP -c FILE`" in said
            assert "compare the payouts of that time with the chain before you repeat any" in said
    put(files)
    opened(path).ledger.close()


def test_a_key_that_was_handed_in_does_not_make_a_new_ledger_a_lost_one(tmp_path: Path) -> None:
    """Also where the first start was broken off at any point of it."""
    make_key(tmp_path / "handed")
    path = tmp_path / "ledger.db"

    def broken(_connection: Connection, _key: str, _value: str) -> None:
        raise sqlite_error("database or disk is full")

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(opening, "note", broken)
            assert "make room" in refusal(path, key_file=str(tmp_path / "handed"))
    opened(path, key_file=str(tmp_path / "handed")).ledger.close()
    (tmp_path / "other.db").touch()
    opened(tmp_path / "other.db", key_file=str(tmp_path / "handed")).ledger.close()


def test_an_older_copy_takes_for_granted_what_it_does_not_know(path: Path) -> None:
    """All of its pool counts as given out, and no key is bound before somebody has looked."""
    older = path.read_bytes()
    put(killed(path))
    opened(path).ledger.close()
    assert states(path) == ("adopted", {"burnt", "foreign", "handed", "pool"})
    path.write_bytes(older)
    found = opened(path)
    found.ledger.close()
    assert found.copied == "an unknown time"
    assert states(path) == ("doubted", {"foreign", "handed", "burnt"})
    again = opened(path)
    again.ledger.close()
    assert again.copied == ""


def files_of(path: Path) -> dict[Path, bytes]:
    """The files of a ledger as they lie there."""
    return {one: one.read_bytes() for one in path.parent.glob("ledger.db*")}


def raise_epoch(connection: Connection) -> None:
    """Write something."""
    connection.execute(text("UPDATE wallets SET epoch = epoch + 1"))


@pytest.mark.parametrize("how", ["copied with its log", "copied after a checkpoint", "copied and stopped"])
def test_an_older_copy_of_the_same_opening_is_known_for_one(path: Path, how: str) -> None:
    """Its mark is the one that was seen last; the lock file knows that more was committed since."""
    with closing(opened(path).ledger) as ledger:
        ledger.transact(raise_epoch)
        if how == "copied after a checkpoint":
            assert ledger.checkpoint()
        older = files_of(path)
        ledger.transact(raise_epoch)
        newer = files_of(path)
    if how == "copied and stopped":
        newer = files_of(path)
    lock = Path(f"{path}.lock")
    log = () if how == "copied with its log" else (Path(f"{path}-wal"), Path(f"{path}-shm"))
    put({one: content for one, content in {**older, lock: newer[lock]}.items() if one not in log})
    found = seen.look(path)
    assert found.inside is not None
    assert found.inside.mark == found.kept
    again = opened(path)
    with closing(again.ledger):
        assert again.copied == "an unknown time"
        again.ledger.transact(raise_epoch)
    assert states(path) == ("doubted", {"foreign", "handed", "burnt"})
    assert seen.look(path).counted > found.counted, "no number is given twice"
    for _ in range(2):
        more = opened(path)
        more.ledger.close()
        assert more.copied == ""


def test_a_start_with_an_older_copy_that_is_broken_off_knows_it_the_next_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number beside the file goes back to that of the copy only with the doubt about it."""
    older = files_of(path)
    with closing(opened(path).ledger) as ledger:
        older = files_of(path) if ledger.checkpoint() else older
        ledger.transact(raise_epoch)
    put({path: older[path], key_of_file(path): older[key_of_file(path)], Path(f"{path}.lock"): lock_of(path)})

    def full(_connection: Connection, _key: str, _value: str) -> None:
        raise sqlite_error("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "note", full)
        assert "make room on that disk" in refusal(path)
    found = opened(path)
    found.ledger.close()
    assert found.copied == "an unknown time"


def older_copy(path: Path) -> None:
    """Put a moment of this opening in the place of the ledger, whose lock knows of five more commits."""
    with closing(opened(path).ledger) as ledger:
        ledger.transact(raise_epoch)
        assert ledger.checkpoint()
        older = path.read_bytes()
        for _ in range(5):
            ledger.transact(raise_epoch)
    path.write_bytes(older)


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", [1, 2])
def test_a_start_with_an_older_copy_that_is_killed_at_a_checkpoint_is_no_mixture(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Its number jumps, as that of a log does which goes on from a later moment."""
    older_copy(path)
    left: dict[Path, bytes] = {}
    done: list[SqliteLedger] = []
    checkpoint = SqliteLedger.checkpoint

    def killed_then(ledger: SqliteLedger) -> bool:
        done.append(ledger)
        if len(done) < at:
            return checkpoint(ledger)
        left.update(files_of(path))
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(SqliteLedger, "checkpoint", killed_then)
        with pytest.raises(KilledError):
            opened(path)
    done[0].close()
    put(left)
    open_beside(path).close()
    again = opened(path)
    again.ledger.close()
    assert (again.copied != "") == (at == 1), "either the doubt was written, or the copy is known for one"
    assert states(path) == ("doubted", {"foreign", "handed", "burnt"})
    more = opened(path)
    more.ledger.close()
    assert more.copied == ""


def test_a_start_with_an_older_copy_under_a_reader_is_no_mixture(path: Path) -> None:
    """A backup that goes on keeps the log from the file; then the gateway is killed."""
    older_copy(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchall()
        found = opened(path)
        assert found.copied == "an unknown time"
        open_beside(path).close()
        with closing(found.ledger) as ledger:
            ledger.transact(raise_epoch)
            left = files_of(path)
    put(left)
    again = opened(path)
    again.ledger.close()
    assert again.copied == ""
    assert states(path) == ("doubted", {"foreign", "handed", "burnt"})


def test_what_customers_write_is_no_number_of_commits(path: Path) -> None:
    """A memo may look like one, and stands in the first transaction of a log."""
    with closing(opened(path).ledger) as ledger:
        assert ledger.checkpoint()
        memo = f"{seen.COMMITS}{9999:0{seen.DIGITS}d}"
        ledger.transact(lambda connection: connection.execute(update(invoices).values(memo=memo)))
        files = files_of(path)
        assert memo.encode() in files[Path(f"{path}-wal")]
        open_beside(path).close()
    put(files)
    found = opened(path)
    found.ledger.close()
    assert found.copied == ""


def test_a_command_that_looks_while_the_log_begins_anew_is_not_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was looked at before the gateway brought its log there, and the log after that."""
    with closing(opened(path).ledger) as ledger:
        ledger.transact(raise_epoch)
        ledger.transact(raise_epoch)
        logged, numbers = seen._logged, []

        def meanwhile(log: Path, page: int) -> int | None:
            assert ledger.checkpoint()
            ledger.transact(raise_epoch)
            numbers.append(logged(log, page))
            return numbers[-1]

        monkeypatch.setattr(seen, "_logged", meanwhile)
        open_beside(path).close()
        assert None not in numbers


def test_an_older_copy_of_the_same_opening_is_not_moved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not know would be missing in the database, and nobody would hear of it."""
    settings = Settings(url="postgresql://gateway@127.0.0.1/none", key_file=str(key_of_file(path)))
    monkeypatch.setattr(moving, "_move", lambda *_args: moving.Moved("there", 1))
    with closing(opened(path).ledger) as ledger:
        ledger.transact(raise_epoch)
        left = files_of(path)
    put(left)
    assert moving.move(settings, path, AT).rows == 1, "what is in the log alone counts"
    older_copy(path)
    with pytest.raises(LedgerError, match=r"is a copy and not the ledger that was in use; put it back by"):
        moving.move(settings, path, AT)


def lock_of(path: Path) -> bytes:
    """What stands in the lock file."""
    return Path(f"{path}.lock").read_bytes()


@pytest.mark.parametrize("left", ["the number before", "half of a number", "no number", "no lock"])
def test_a_number_that_did_not_come_beside_the_ledger_casts_no_doubt(path: Path, left: str) -> None:
    """A kill after the commit and before the number, a power cut, or a gateway of before."""
    with closing(opened(path).ledger) as ledger:
        before = lock_of(path)
        ledger.transact(raise_epoch)
        files = files_of(path)
    lock = Path(f"{path}.lock")
    cut = {"the number before": before, "half of a number": before[:-9], "no number": before[: seen.COUNT_AT]}
    put({one: content for one, content in {**files, lock: cut.get(left, b"")}.items() if left in cut or one != lock})
    found = opened(path)
    found.ledger.close()
    assert found.copied == ""
    assert states(path)[0] == "adopted"


def test_only_what_writes_is_counted_and_commands_count_too(path: Path) -> None:
    """A read costs no write to the disk; what a command writes beside the gateway is known by it."""

    def commits() -> tuple[int, int]:
        inside = ledger.transact(lambda c: int(fact(c, seen.COMMITS) or 0))
        return inside, seen.look(path).counted

    with closing(opened(path).ledger) as ledger:
        inside, beside = commits()
        assert inside == beside
        ledger.transact(lambda connection: connection.execute(select(wallets)).all())
        assert commits() == (inside, beside)
        ledger.transact(raise_epoch)
        assert commits() == (inside + 1, beside + 1)
        with closing(open_beside(path)) as command:
            command.transact(raise_epoch)
        assert commits() == (inside + 2, beside + 1)
        ledger.transact(raise_epoch)
        assert commits() == (inside + 3, beside + 3)


def test_an_older_moment_of_the_same_opening_beside_the_log_of_the_newer_is_refused(path: Path) -> None:
    """What lay between the two is in neither."""
    with closing(opened(path).ledger) as ledger:
        ledger.transact(raise_epoch)
        assert ledger.checkpoint()
        older = path.read_bytes()
        for _ in range(3):
            ledger.transact(raise_epoch)
        assert ledger.checkpoint()
        between = path.read_bytes()
        ledger.transact(raise_epoch)
        files = files_of(path)
    put({**files, path: older})
    words = "is another file than the one that was last open here, and ledger.db-wal belongs to that one"
    assert words in refusal(path)
    put({**files, path: between})
    found = opened(path)
    with closing(found.ledger):
        assert found.copied == "", "as a kill would have left it"
        assert found.ledger.transact(lambda connection: connection.scalar(select(wallets.c.epoch))) == 8


def test_an_older_copy_beside_the_log_of_the_newer_is_refused(path: Path) -> None:
    """By the gateway and by every command; the two together would be a mixture of both, and none of them is touched."""
    older = path.read_bytes()
    files = killed(path)
    put({**files, path: older})
    words = r"is another file than the one that was last open here, and ledger.db-wal belongs to that one"
    for _ in range(2):
        assert re.search(words, refusal(path))
    for command in (open_beside, open_reader):
        with pytest.raises(LedgerError, match=words):
            command(path)
    with pytest.raises(LedgerError, match=words):
        opening.look(Settings(path=str(path)))
    assert Path(f"{path}-wal").read_bytes() == files[Path(f"{path}-wal")]
    put(files)
    opened(path).ledger.close()


def test_a_log_without_its_database_is_not_ended_by_a_new_one(path: Path) -> None:
    """Somebody took the wrong file away; what was written last is still in the log."""
    files = killed(path)
    put({one: content for one, content in files.items() if one != path})
    assert "is gone, and its log ledger.db-wal is still there: put it back" in refusal(path)
    put(files)
    with closing(opened(path).ledger) as ledger:
        assert ledger.transact(lambda connection: connection.scalar(select(wallets.c.epoch))) == 4


def test_looking_finds_what_a_start_would_refuse_and_changes_nothing(path: Path) -> None:
    """For the commands that check; a ledger that is not there yet is no mistake."""
    settings = Settings(path=str(path))
    opening.look(Settings(path=str(path.with_name("none.db"))))
    opening.look(settings)
    with sqlite3.connect(path) as before:
        before.execute("UPDATE alembic_version SET version_num = '0002'")
    before.close()
    # a start would bring it up, so that the check before an upgrade finds nothing
    opening.look(settings)
    with pytest.raises(LedgerError, match="is older than this ec-gateway; start the gateway"):
        open_reader(path)
    with sqlite3.connect(path) as before:
        before.execute("UPDATE alembic_version SET version_num = '9999'")
    before.close()
    with pytest.raises(LedgerError, match="9999"):
        opening.look(settings)
    with sqlite3.connect(path) as before:
        before.execute("UPDATE alembic_version SET version_num = '0003'")
    before.close()
    key_of_file(path).rename(path.with_name("key"))
    with pytest.raises(LedgerError, match="is gone, and 1 keys"):
        opening.look(settings)
    assert not key_of_file(path).exists()
    path.with_name("key").rename(key_of_file(path))
    path.write_bytes(b"")
    with pytest.raises(LedgerError, match="has no tables"):
        opening.look(settings)


def test_a_disk_that_nobody_may_write_is_not_called_a_wrong_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system mounts it so after errors; that is no mistake of the configuration, and a start goes on."""
    monkeypatch.setattr(place, "is_read_only", lambda _folder: True)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    real = os.open

    def read_only(name: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        with pytest.raises(LedgerError, match="Read-only") as caught:
            opened(path)
    assert not isinstance(caught.value, MisplacedError)


# -- keys -----------------------------------------------------------------------------------------------------


def test_a_key_that_is_gone_is_not_replaced_while_keys_depend_on_it(path: Path) -> None:
    """A new one would not know any of them again: the payment could be signed a second time."""
    key_of_file(path).rename(path.with_name("backup"))
    said = refusal(path)
    assert f"the key file {key_of_file(path)} is gone, and 1 keys of clients were written with it" in said
    assert "put it back from your backup (`ec-gateway ledger restore" in said
    assert "compare the payouts so far with the chain before you repeat any" in said
    assert not key_of_file(path).exists()
    path.with_name("backup").rename(key_of_file(path))
    opened(path).ledger.close()


def test_another_key_is_not_taken_while_keys_depend_on_the_first(path: Path) -> None:
    """As after a restore of the one and not of the other."""
    key_of_file(path).unlink()
    make_key(key_of_file(path))
    assert "is not the one of this ledger" in refusal(path)


def test_another_key_is_not_taken_even_where_nothing_depends_on_the_first(tmp_path: Path) -> None:
    """The file may be a copy that lacks what depends on it."""
    path = tmp_path / "ledger.db"
    opened(path).ledger.close()
    key_of_file(path).unlink()
    make_key(key_of_file(path))
    assert "is not the one of this ledger" in refusal(path)


def test_a_new_key_is_taken_while_nothing_depends_on_the_old_one(tmp_path: Path) -> None:
    """A ledger without keyed payments never compared anything."""
    path = tmp_path / "ledger.db"
    first = opened(path)
    first.ledger.close()
    key_of_file(path).unlink()
    second = opened(path)
    second.ledger.transact(lambda connection: connection.execute(insert(keys).values(key_of("signed", "a"))))
    second.ledger.close()
    assert first.key != second.key
    third = opened(path)
    third.ledger.close()
    assert third.key == second.key


def test_a_key_that_every_user_may_read_is_refused(path: Path) -> None:
    """And the ledger is let go, so that the next start finds it free."""
    key_of_file(path).chmod(0o644)
    assert "chmod 600" in refusal(path)
    key_of_file(path).chmod(0o600)
    opened(path).ledger.close()


# -- beside the gateway ---------------------------------------------------------------------------------------


def test_commands_do_not_begin_a_ledger(tmp_path: Path) -> None:
    """A wrong path would be answered as an empty one."""
    for command in (open_beside, open_reader):
        with pytest.raises(LedgerError, match=r"there is no ledger .*; the gateway makes it when it starts"):
            command(tmp_path / "ledger.db")
    (tmp_path / "ledger.db").touch()
    for command in (open_beside, open_reader):
        with pytest.raises(LedgerError, match="older than this ec-gateway; start the gateway"):
            command(tmp_path / "ledger.db")


def test_commands_say_whose_file_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake: run as another user."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(LedgerError, match="run the command as the user that the gateway runs as"):
        open_reader(path)


def test_a_reader_sees_one_moment_and_keeps_nobody_from_writing(path: Path) -> None:
    """An export of minutes must not hold up a single payment."""
    with closing(opened(path).ledger) as ledger:
        engine = open_reader(path)
        with engine.begin() as reading:
            assert reading.scalar(select(wallets.c.epoch)) == 3
            ledger.transact(lambda connection: connection.execute(text("UPDATE wallets SET epoch = 4")))
            assert reading.scalar(select(wallets.c.epoch)) == 3
        with engine.begin() as reading:
            assert reading.scalar(select(wallets.c.epoch)) == 4
        with pytest.raises(SQLAlchemyError, match="readonly"), engine.begin() as reading:
            reading.execute(text("UPDATE wallets SET epoch = 5"))
        engine.dispose()
