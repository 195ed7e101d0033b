"""The disk under the gateway's ledger is full, and has room again at the end.

Rule: it is a small disk in memory of the ledger's own, so that the kernel itself says that there is no room; what is on
it lies in the ledger's folder afterwards, as if it had always been there.
"""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage

SIZE = 8
"""MiB; the ledger of a run takes one or two."""

FILLER = "filler"

PATIENCE = 10.0


class DiskFull:
    """It has no measure."""

    name = "disk_full"
    lane = "disk"
    needs = frozenset({"mounts"})
    counts_as = "disk_full"
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Put the disk where the ledger will be."""
        folder = stage.folder / "ledger"
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "ecgw-chaos", str(folder))
        stage.keep[self.name] = folder

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has neither
        """Fill it to the last byte."""
        folder: Path = stage.keep[self.name]
        with (folder / FILLER).open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                _fill(file.fileno(), b"\0" * size)

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - there is one
        """Make room."""
        if self.name in stage.keep:
            (stage.keep[self.name] / FILLER).unlink(missing_ok=True)

    async def tidy(self, stage: "Stage") -> None:
        """Take the disk away and leave what was on it."""
        folder: Path | None = stage.keep.pop(self.name, None)
        if folder is not None:
            await stage.by_hand(_take_away, folder)


def _take_away(folder: Path) -> None:
    aside = folder.with_name("ledger.aside")
    shutil.copytree(folder, aside, ignore=shutil.ignore_patterns(FILLER))
    # lazily: somebody may have a file open there still
    _run("umount", "--lazy", str(folder))
    folder.rmdir()
    aside.rename(folder)


def _fill(file: int, block: bytes) -> None:
    while True:
        try:
            if os.write(file, block) < len(block):
                return
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
