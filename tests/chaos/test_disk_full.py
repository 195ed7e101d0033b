"""The disk under the ledger has no room while it shall have none, and what was on it is there afterwards."""

import errno
import os
from pathlib import Path

import pytest

from chaos import needs
from chaos.faults.disk_full import DiskFull
from tests.chaos.bare_stage import Bare

pytestmark = pytest.mark.integration


async def test_a_full_disk_takes_nothing_until_its_end(tmp_path: Path) -> None:
    """Not a byte, by the kernel's own word; the ledger's folder is an ordinary one in the end."""
    why = needs.missing(DiskFull.needs)
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    stage, fault, folder = Bare(tmp_path, []), DiskFull(), tmp_path / "ledger"
    folder.mkdir()
    try:
        await fault.prepare(stage.stage)
        assert folder.is_mount()
        (folder / "ledger.db").write_bytes(b"before")
        await fault.inject(stage.stage, 0, 0.0)
        with pytest.raises(OSError, match="No space left") as told:
            (folder / "more").write_bytes(b"x")
        assert told.value.errno == errno.ENOSPC
        await fault.heal(stage.stage, 0)
        await fault.heal(stage.stage, 0)
        (folder / "more").write_bytes(b"after")
    finally:
        await fault.tidy(stage.stage)
        await fault.tidy(stage.stage)
        stage.hand.shutdown()
    assert not folder.is_mount()
    assert (folder / "ledger.db").read_bytes() == b"before"
    assert (folder / "more").read_bytes() == b"after"
