"""The secret of comparisons: made once and whole, readable by its owner alone, and told to nobody."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import key_file
from gateway.ledger.key_file import LENGTH, make_key, mark_of, read_key
from gateway.ledger.store import LedgerError


def test_a_key_is_made_and_read_again(tmp_path: Path) -> None:
    """32 bytes, for the owner's eyes, and no draft left beside it."""
    path = tmp_path / "ledger.db.key"
    assert read_key(path) is None
    key = make_key(path)
    assert len(key) == LENGTH
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert make_key(tmp_path / "other") != key


def test_a_key_that_appears_meanwhile_is_taken_and_never_replaced(tmp_path: Path) -> None:
    """Gateways that share a key may start at the same moment."""
    path = tmp_path / "key"
    key = make_key(path)
    assert make_key(path) == key
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_a_file_system_without_links_is_good_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the draft is renamed, unless there is a key."""

    def no_links(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "key"
    key = make_key(path)
    assert read_key(path) == make_key(path) == key
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that closes it; a group may read it, as secrets of containers are often mounted."""
    path = tmp_path / "key"
    make_key(path)
    path.chmod(mode)
    with pytest.raises(LedgerError, match=f"open to every user of this machine; `chmod 600 {path}`"):
        read_key(path)
    path.chmod(0o640)
    assert read_key(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"hunter2\n"])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """A password that was put there by mistake is somebody's secret too."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(LedgerError, match="does not hold 32 bytes; put back the right one") as caught:
        read_key(path)
    assert "hunter2" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes, a path through a file."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path, "is not a file"),
        (tmp_path / "pipe", "is not a file"),
        (tmp_path / "file/key", "cannot be read \\(Not a directory\\)"),
    ):
        with pytest.raises(LedgerError, match=f"{words}.*ledger.key_file"):
            read_key(path)


def test_a_key_that_cannot_be_made_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is missing, and a disk that fills up."""
    with pytest.raises(LedgerError, match="cannot be made \\(No such file or directory\\); make the folder"):
        make_key(tmp_path / "none/key")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerError, match="No space left on device"):
        make_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_comes_and_goes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else works on the same name."""
    make_key(tmp_path / "key")
    monkeypatch.setattr(key_file, "read_key", lambda _path: None)
    with pytest.raises(LedgerError, match="appears and vanishes"):
        make_key(tmp_path / "key")


def test_the_mark_knows_a_key_again_and_does_not_hold_it() -> None:
    """It is what stands in the ledger."""
    one, other = b"a" * 32, b"b" * 32
    assert mark_of(one) == mark_of(one) != mark_of(other)
    assert one.hex() not in mark_of(one)
