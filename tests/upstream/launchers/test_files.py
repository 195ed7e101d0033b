"""Files of a daemon on this machine, and the file that it writes its output to."""

import os
import stat
from pathlib import Path

import pytest

from gateway.upstream.launchers import LauncherError, files
from gateway.upstream.launchers.output import rotate


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_a_file_is_replaced_in_one_step_with_its_rights(tmp_path: Path) -> None:
    """A reader that has it open goes on with the old one; nothing is left beside it."""
    wallet = tmp_path / "wallet"
    wallet.write_bytes(b"old")
    wallet.chmod(0o640)
    with wallet.open("rb") as before:
        await files.write_file(str(wallet), b"new")
        assert before.read() == b"old"
    assert await files.read_file(str(wallet)) == b"new"
    assert stat.S_IMODE(wallet.stat().st_mode) == 0o640
    assert names(tmp_path) == ["wallet"]


async def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and alone."""
    wallet = tmp_path / "wallet"
    wallet.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LauncherError, match="No space left on device"):
        await files.write_file(str(wallet), b"new")
    assert wallet.read_bytes() == b"old"
    assert names(tmp_path) == ["wallet"]


async def test_what_cannot_be_read_or_replaced_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made where none was: it would have nobody's owner and rights."""
    for order in (files.read_file(f"{tmp_path}/none"), files.write_file(f"{tmp_path}/none", b"")):
        with pytest.raises(LauncherError, match=r"none: No such file.*look at the path") as caught:
            await order
        assert not caught.value.may_pass
    monkeypatch.setattr(files, "MAX_BODY", 3)
    (tmp_path / "large").write_bytes(b"1234")
    with pytest.raises(LauncherError, match="no wallet is so large"):
        await files.read_file(f"{tmp_path}/large")


def test_output_is_put_aside_when_it_is_full(tmp_path: Path) -> None:
    """Under a daemon that goes on writing; so many older ones stay as are kept."""
    log = tmp_path / "log"
    rotate(log, limit=4, kept=2)
    with log.open("ab", buffering=0) as daemon:
        for line in (b"one\n", b"two\n", b"three\n"):
            daemon.write(line)
            rotate(log, limit=4, kept=2)
        daemon.write(b"4")
        rotate(log, limit=4, kept=2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "log": b"4",
        "log.1": b"three\n",
        "log.2": b"two\n",
    }


def test_rotating_follows_no_link(tmp_path: Path) -> None:
    """Neither where the file is nor where what is put aside goes: its target would be emptied, or written over."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    full = tmp_path / "full"
    full.symlink_to(precious)
    rotate(full, limit=1, kept=2)
    assert precious.read_bytes() == b"mine"
    full.unlink()
    full.write_bytes(b"old")
    (tmp_path / "full.1").symlink_to(precious)
    rotate(full, limit=1, kept=1)
    assert precious.read_bytes() == b"mine"
    assert (full.read_bytes(), (tmp_path / "full.1").read_bytes()) == (b"", b"old")
