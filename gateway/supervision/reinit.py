"""Gives a standby the wallet file of another daemon, by an operator's order.

Rule: the daemon that gives stays whole, and the one that takes is never left without a wallet.  What it had is kept
beside the new file until it was seen to list the same addresses as the giver; on any failure it gets that back.
Customers go on being given addresses meanwhile: those that came after the flush are not in the file, and the mirror
has them derived afterwards.

close_wallet is what flushes a wallet, and a daemon replaces its file whole.  So the giver is closed and loaded in one
go, and its file is read after that from one descriptor: that is one state of the wallet, the one just flushed or a
newer one, and the giver is away for one reload and not for the copying.
"""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision.upkeep import LOADING, CannotReloadError, NoAnswerError, NotLoadedError, Upkeep

T = TypeVar("T")

PIECE = 1 << 20
"""Bytes copied at once."""

KEPT = ".before-reinit"
"""What the name of the file that was replaced ends in."""

FRESH = ".reinit"

TROUBLE = (NoAnswerError, CannotReloadError, NotLoadedError)


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function that waits for a disk."""


class ReinitError(Exception):
    """The wallet file was not given; the text says why, and how the daemon stands."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a daemon lists."""

    receiving: list[str]
    change: list[str]


class Reinit:
    """The order `reinit` of one wallet.

    Args:
        wallet_file: returns the configured wallet file of a backend, None where there is none on this machine.
        held: keeps a backend from wallet reads and signing for a while; is_held: whether somebody does.
    """

    def __init__(
        self, pool: Pool, upkeep: Upkeep, wallet_file: Callable[[str], str | None],
        held: Callable[[Backend], AbstractContextManager[None]] = lambda _backend: nullcontext(),
        in_thread: InThread = asyncio.to_thread,
        is_held: Callable[[Backend], bool] = lambda _backend: False,
    ) -> None:  # fmt: skip
        """Have nothing under way."""
        self.is_held = is_held
        self.pool = pool
        self.upkeep = upkeep
        self.wallet_file = wallet_file
        self.held = held
        self.in_thread = in_thread
        self._one_at_a_time = asyncio.Lock()
        self._giving: asyncio.Task[int] | None = None

    async def stop(self) -> None:
        """Wait for what is under way, so that no wallet is left closed."""
        if self._giving is not None:
            await asyncio.wait({self._giving}, timeout=LOADING)

    async def run(self, order: str) -> str:
        """Give a backend the wallet file of another one; return a sentence about it.

        Args:
            order: the name of the backend, and of the one that gives where that is not left to us: an aligned standby
                then, or the primary where there is none.

        Raises:
            ReinitError: it was not done.
        """
        name, _, giver = order.partition(" ")
        async with self._one_at_a_time:
            began = self.upkeep.loop.time()
            target = self._target(name)
            source = self._source(target, giver)
            ours, theirs = self._file(source), self._file(target)
            try:
                self._giving = self.upkeep.loop.create_task(self._give(source, target, ours, theirs))
                size = await asyncio.shield(self._giving)
            except TROUBLE as error:
                raise ReinitError(f"{error}; {name} keeps the wallet file that it had") from error
            took = round(self.upkeep.loop.time() - began, 3)
            fields: dict[str, object] = {"source": source.name, "bytes": size, "took": took}
            self.pool.emit(Event("backend.reinitialized", self.pool.name, name, fields, "warning"))
            return (
                f"{name} has the wallet file of {source.name} now ({size} bytes, {took} s); what it had lies beside "
                f"it as {theirs.name}{KEPT}"
            )

    # -- who gives, who takes ---------------------------------------------------------------------------------

    def _target(self, name: str) -> Backend:
        target = self.pool.by_name.get(name)
        if target is None:
            raise ReinitError(f"there is no backend {name}; there are {', '.join(self.pool.by_name)}")
        if target is self.pool.primary:
            raise ReinitError(f"{name} is the primary, which the others are given; promote another one first")
        if self.is_held(target):
            raise ReinitError(f"the wallet of {name} is being loaded anew; give the order again in a moment")
        return target

    def _source(self, target: Backend, giver: str) -> Backend:
        pool = self.pool
        # the primary is away for a reload when it gives, so it is asked last
        others = [*(one for one in pool.backends if one not in (target, pool.primary)), pool.primary]
        whole = [one for one in others if one.may_serve and pool.is_aligned(one) and not self.is_held(one)]
        if giver:
            whole = [one for one in whole if one.name == giver]
            if not whole:
                raise ReinitError(
                    f"{giver} is not in service, or does not list every address, or is {target.name} itself; it can "
                    "give nothing now"
                )
        if not whole:
            raise ReinitError(f"no other backend is in service and lists every address; {target.name} was not touched")
        having = next((one for one in whole if self.wallet_file(one.name)), None)
        if having is None:
            names = " or ".join(one.name for one in whole)
            raise ReinitError(f"wallet_file is not set for {names}; name it where it lies on this machine")
        return having

    def _file(self, backend: Backend) -> Path:
        named = self.wallet_file(backend.name)
        if not named:
            raise ReinitError(f"wallet_file is not set for {backend.name}; name it where it lies on this machine")
        return Path(named)

    # -- giving -----------------------------------------------------------------------------------------------

    async def _give(self, source: Backend, target: Backend, ours: Path, theirs: Path) -> int:
        """Flush, copy, swap and verify; return the bytes of the file.  Raises ReinitError or one of TROUBLE."""
        path = await self.upkeep.check(target, anyway=True)
        await self._disk(lambda: look(ours, theirs))
        before = await self._lists(source)
        with self.held(source):
            await self.upkeep.reload(source)
        size = await self._disk(lambda: copy(ours, theirs))
        with self.held(target):
            try:
                await self.upkeep.close(target, anyway=True)
                await self._disk(lambda: swap(theirs))
                await self.upkeep.load(target, path, anyway=True)
                await self.upkeep.see_loaded(target, path)
                await self._verify(source, target, before)
            except (ReinitError, *TROUBLE) as error:
                await self._give_back(target, theirs, path, error)
        return size

    async def _lists(self, backend: Backend) -> Listed:
        receiving = await self.upkeep.listed(backend, change=False)
        return Listed(receiving, await self.upkeep.listed(backend, change=True))

    async def _verify(self, source: Backend, target: Backend, before: Listed) -> None:
        """See that the target has what the file must hold: all that the source listed before it was flushed.

        Either may list more by now, but nothing else.  Raises ReinitError.
        """
        found = await self._lists(target)
        now = await self._lists(source)
        for which, least, given, has in (
            ("receiving", before.receiving, now.receiving, found.receiving),
            ("change", before.change, now.change, found.change),
        ):
            shorter = min(len(given), len(has))
            if len(has) < len(least) or has[:shorter] != given[:shorter]:
                raise ReinitError(
                    f"{target.name} lists other {which} addresses than {source.name} after it was given the file; "
                    f"wallet_file may be another one than {target.name} reads"
                )

    async def _give_back(self, target: Backend, theirs: Path, path: str, error: Exception) -> None:
        """Let the target have what it had, and raise ReinitError."""
        with suppress(*TROUBLE):
            await self.upkeep.close(target, anyway=True)
        await self._disk(lambda: swap_back(theirs))
        try:
            await self.upkeep.see_loaded(target, path)
        except TROUBLE as worse:
            raise ReinitError(f"{error}; it has its own wallet file again, and {worse}") from error
        raise ReinitError(f"{error}; {target.name} has its own wallet file again") from error

    async def _disk(self, work: Callable[[], T]) -> T:
        """Do something with files.  Raises ReinitError."""
        try:
            done: T = await self.in_thread(work)
        except OSError as error:
            named = Path(error.filename).name if isinstance(error.filename, str) else "a file"
            raise ReinitError(f"{named}: {error.strerror or error}; nothing was given") from error
        return done


# -- files ------------------------------------------------------------------------------------------------------


def look(ours: Path, theirs: Path) -> None:
    """Make sure that both are wallet files of their own, and no links.  Raises OSError."""
    found = []
    for path in (ours, theirs):
        one = path.lstat()
        if not stat.S_ISREG(one.st_mode):
            raise OSError(0, "is no plain file; wallet_file names the file itself, not a link", str(path))
        found.append((one.st_dev, one.st_ino))
    if found[0] == found[1]:
        raise OSError(0, "is the wallet file of both backends; each daemon needs its own", str(theirs))


def copy(ours: Path, theirs: Path) -> int:
    """Copy a wallet file beside another one, durably, with mode and owner of that; return its bytes.

    Raises OSError.
    """
    fresh = theirs.with_name(theirs.name + FRESH)
    fresh.unlink(missing_ok=True)
    before = theirs.lstat()
    size = 0
    reading = os.open(ours, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writing = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while piece := os.read(reading, PIECE):
                size += len(piece)
                _write_all(writing, piece)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(writing, before.st_uid, before.st_gid)
            os.fchmod(writing, stat.S_IMODE(before.st_mode))
            os.fsync(writing)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return size


def swap(theirs: Path) -> None:
    """Put the copy in the place of the file, and keep that beside it.  Raises OSError."""
    kept = theirs.with_name(theirs.name + KEPT)
    kept.unlink(missing_ok=True)
    os.link(theirs, kept, follow_symlinks=False)
    theirs.with_name(theirs.name + FRESH).replace(theirs)
    _sync_folder(theirs)


def swap_back(theirs: Path) -> None:
    """Undo as much of a swap as was done.  Raises OSError."""
    fresh = theirs.with_name(theirs.name + FRESH)
    if fresh.exists():
        # the swap was not made
        fresh.unlink()
        return
    theirs.with_name(theirs.name + KEPT).replace(theirs)
    _sync_folder(theirs)


def _write_all(descriptor: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
