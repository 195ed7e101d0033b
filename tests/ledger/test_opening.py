"""A ledger is opened whole, up to date and in a place that lasts; everything else is refused with the way out."""

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.base.config import Ledger as Settings
from gateway.ledger import opening
from gateway.ledger.key_file import LENGTH, make_key
from gateway.ledger.opening import Opened, key_path, open_beside, open_ledger, open_reader
from gateway.ledger.schema import keys, meta, wallets
from gateway.ledger.store import LedgerError

from .conftest import AT, fill, key_of

DISK = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
LAYER = "700 600 0:90 / / rw,relatime - overlay overlay rw\n"


def opened(path: Path, mounts: str = DISK, **more: object) -> Opened:
    """Open a ledger as a gateway does, on a machine with one disk."""
    settings = Settings.model_validate({"path": str(path)} | more)
    return open_ledger(settings, AT, lambda: mounts, lambda: False)


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
        assert (second.id, second.key, second.before) == (first.id, first.key, "0001")
        assert second.ledger.transact(lambda connection: connection.execute(select(wallets)).one().epoch) == 3
    assert facts(path) == before


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
        assert "in use by another gateway" in refusal(path)
    opened(path).ledger.close()


# -- places ---------------------------------------------------------------------------------------------------


def test_a_place_that_forgets_is_refused_unless_that_is_said_to_be_right(tmp_path: Path) -> None:
    """Neither file nor lock nor key is made there."""
    said = refusal(tmp_path / "ledger.db", LAYER)
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
        assert refusal(path) == f"there is no folder {path.parent}; {opening.WRITABLE}"
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder; name a file in it")


def test_what_cannot_be_written_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, or the file alone; whatever user runs this."""

    def closed(what: Path) -> Callable[[Path, int], bool]:
        return lambda asked, _mode: asked != what

    monkeypatch.setattr(os, "access", closed(path.parent))
    assert refusal(path) == f"{path.parent} cannot be written; {opening.WRITABLE}"
    monkeypatch.setattr(os, "access", closed(path))
    assert refusal(path).startswith(f"{path} cannot be written; give it to this user")


def test_a_folder_that_turns_out_not_to_be_writable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a disk that is mounted read-only; the lock is let go."""

    def read_only(_path: Path) -> bool:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "_make_file", read_only)
        assert "cannot be written (Read-only file system)" in refusal(tmp_path / "ledger.db")
    opened(tmp_path / "ledger.db").ledger.close()


# -- content --------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    """Whatever it is, it is somebody's."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all, " * 100)
    said = refusal(path)
    assert "file is not a database" in said
    assert "put a backup in its place" in said
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
    assert "put a backup in its place" in said
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
    words = "was written by a newer ec-gateway (schema 9999, and this gateway knows up to 0001); run the newer"
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
    assert (
        refusal(path) == f"{path} is another program's database (tables cookies); name a file of its own in ledger.path"
    )


def test_a_start_that_is_broken_off_is_gone_through_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an empty file, and after tables without what comes next."""
    path = tmp_path / "ledger.db"

    def full(_connection: Connection, _key: str, _value: str) -> None:
        raise sqlite_error("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "_note", full)
        assert refusal(path).endswith("(database or disk is full); make room on that disk")
    opened(path).ledger.close()


def sqlite_error(words: str) -> Exception:
    """What the engine raises."""
    return SQLAlchemyError(words)


# -- keys -----------------------------------------------------------------------------------------------------


def test_a_key_that_is_gone_is_not_replaced_while_keys_depend_on_it(path: Path) -> None:
    """A new one would not know any of them again: the payment could be signed a second time."""
    key_of_file(path).rename(path.with_name("backup"))
    said = refusal(path)
    assert f"the key file {key_of_file(path)} is gone, and 1 keys of clients were written with it" in said
    assert "put it back from your backup" in said
    assert not key_of_file(path).exists()
    path.with_name("backup").rename(key_of_file(path))
    opened(path).ledger.close()


def test_another_key_is_not_taken_while_keys_depend_on_the_first(path: Path) -> None:
    """As after a restore of the one and not of the other."""
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
