"""Places that forget are told apart from places that last, by the table of mounts alone."""

from pathlib import Path

import pytest

from gateway.ledger import lasting
from gateway.ledger.lasting import is_container, read_mounts, why_it_vanishes

MACHINE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
25 24 0:23 / /memory rw - tmpfs tmpfs rw,size=24684096k
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
60 27 0:40 / /run rw,nosuid - tmpfs tmpfs rw,mode=755
61 27 8:1 / /srv/my\\040data rw master:1 - xfs /dev/sda1 rw
62 27 8:2 / /var/lib rw - ext4 /dev/sda2 rw
63 62 0:50 / /var/lib/hidden rw - tmpfs tmpfs rw
64 63 8:3 / /var/lib/hidden rw - ext4 /dev/sda3 rw
"""
CONTAINER = """\
700 600 0:90 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
701 700 0:91 / /proc rw - proc proc rw
702 700 8:1 /volumes/ledger/_data /var/lib/ec-gateway rw - ext4 /dev/sda1 rw
703 700 8:1 /containers/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw
704 700 8:1 /one-file /data/ledger.db rw - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/var/lib/ec-gateway", ""),
        ("/srv/my data/ledger", ""),
        ("/home/shop", ""),
        ("/var/lib/hidden", ""),
        ("/memory/ledger", "/memory/ledger is a RAM disk (tmpfs on /memory), which a restart empties"),
        ("/run", "RAM disk"),
        ("/running", ""),
    ],
)
def test_a_disk_of_the_machine_lasts_and_its_memory_does_not(folder: str, words: str) -> None:
    """The nearest mount counts, of two on one place the later one, and only whole names of folders."""
    why = why_it_vanishes(Path(folder), MACHINE, in_container=False)
    assert words in why if words else why == ""


@pytest.mark.parametrize(
    ("folder", "lasts"),
    [("/var/lib/ec-gateway", True), ("/var/lib/ec-gateway/sub", True), ("/var/lib", False), ("/data", False)],
)
def test_in_a_container_only_a_volume_lasts(folder: str, lasts: bool) -> None:  # noqa: FBT001 - pytest names it
    """Also where only the file itself is mounted: what SQLite keeps beside it would be lost."""
    why = why_it_vanishes(Path(folder), CONTAINER, in_container=True)
    assert (why == "") is lasts
    assert lasts or "container's own layer (overlay on /), which goes with the container" in why


def test_a_layer_of_any_file_system_is_known_by_the_marks_of_the_engine() -> None:
    """Engines keep layers in folders, on btrfs and on zfs as well; there only the root is theirs."""
    for root, kind, source in (
        ("/var/lib/docker/vfs/dir/7c", "ext4", "/dev/sda1"),
        ("/@/var/lib/docker/btrfs/subvolumes/7c", "btrfs", "/dev/sda"),
        ("/", "zfs", "pool/docker/7c"),
        ("/", "xfs", "/dev/mapper/docker-8:1-7c"),
        ("/", "virtiofs", "shared"),
    ):
        table = f"1 0 0:1 {root} / rw - {kind} {source} rw\n2 1 0:2 / /data rw - btrfs /dev/sda rw\n"
        assert why_it_vanishes(Path("/srv"), table, in_container=True)
        assert not why_it_vanishes(Path("/srv"), table, in_container=False)
        assert not why_it_vanishes(Path("/data"), table, in_container=True)


def test_a_machine_that_was_made_from_an_image_is_no_container() -> None:
    """It has the engine's marks and a whole disk for its root."""
    assert why_it_vanishes(Path("/var/lib/ec-gateway"), MACHINE, in_container=True) == ""


@pytest.mark.parametrize("table", ["", "nonsense\n", "1 2 3 - \n", "1 0 0:1 / /elsewhere rw - tmpfs x rw\n"])
def test_where_the_table_says_nothing_nothing_is_claimed(table: str) -> None:
    """Other systems have none."""
    assert why_it_vanishes(Path("/var"), table, in_container=True) == ""


def test_the_table_and_the_marks_are_those_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without a table has an empty one."""
    monkeypatch.setattr(lasting, "MOUNTS", tmp_path / "none")
    assert read_mounts() == ""
    (tmp_path / "mounts").write_bytes(b"1 0 0:1 / /\xff rw - tmpfs x rw\n")
    monkeypatch.setattr(lasting, "MOUNTS", tmp_path / "mounts")
    assert "tmpfs" in read_mounts()
    monkeypatch.setattr(lasting, "CONTAINER_MARKS", (tmp_path / "mark",))
    assert not is_container()
    (tmp_path / "mark").touch()
    assert is_container()
