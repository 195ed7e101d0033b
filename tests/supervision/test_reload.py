"""Watching configuration files: renames, swapped links, secrets; real files and the kernel's own notices."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.supervision import reload
from gateway.supervision.reload import watch

PATIENCE = 20.0
"""Seconds that no test is meant to reach."""


class Watched:
    """Counts the changes that were told."""

    def __init__(self, *paths: Path) -> None:
        """Watch these."""
        self.paths: list[Path] = list(paths)
        self.asked = 0
        self.changes: asyncio.Queue[int] = asyncio.Queue()
        self.count = 0
        self.react: Callable[[], None] = lambda: None

    def wanted(self) -> Sequence[Path]:
        """What is to be watched now."""
        self.asked += 1
        return self.paths

    def on_change(self) -> None:
        """Count."""
        self.count += 1
        self.react()
        self.changes.put_nowait(self.count)

    async def change(self) -> None:
        """Wait for the next change that is told."""
        async with asyncio.timeout(PATIENCE):
            await self.changes.get()

    async def is_ready(self, asked: int) -> None:
        """Wait until the paths were asked for so often, and the watching behind it has begun."""
        async with asyncio.timeout(PATIENCE):
            while self.asked < asked:  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.005)
        # the notices of the kernel are asked for in the same turn
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Watched]:
    """Watch for the time of a test."""
    watched = Watched(*paths)
    task = asyncio.create_task(watch(watched.wanted, watched.on_change))
    await watched.is_ready(1)
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_file_that_is_written_is_a_change(tmp_path: Path) -> None:
    """In place, as `echo >` does; and the next one is seen as well."""
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1")
    async with watching(path) as watched:
        for number in (2, 3):
            path.write_text(f"a: {number} " + "x" * number)
            await watched.change()
            await watched.is_ready(number)
    assert watched.count == 2


async def test_an_editors_rename_is_a_change(tmp_path: Path) -> None:
    """A new file is written beside it and takes its name."""
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1")
    async with watching(path) as watched:
        new = tmp_path / ".gateway.yaml.swp"
        new.write_text("a: 2")
        new.replace(path)
        await watched.change()
    assert path.read_text() == "a: 2"


async def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """As an orchestrator brings a new version: `..data` points elsewhere, the file itself is a link through it."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "gateway.yaml").write_text(f"a: {version}")
    (tmp_path / "..data").symlink_to("v1")
    path = tmp_path / "gateway.yaml"
    path.symlink_to("..data/gateway.yaml")
    async with watching(path) as watched:
        (tmp_path / "..new").symlink_to("v2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await watched.change()
    assert path.read_text() == "a: v2"


async def test_a_new_secret_is_a_change(tmp_path: Path) -> None:
    """It lies in another folder than the configuration."""
    (tmp_path / "secrets").mkdir()
    path, secret = tmp_path / "gateway.yaml", tmp_path / "secrets" / "password"
    path.write_text("a: 1")
    secret.write_text("old")
    async with watching(path, secret) as watched:
        secret.write_text("new and longer")
        await watched.change()


async def test_files_beside_it_are_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log in the same folder must not reload the gateway all the time."""
    looked = asyncio.Event()
    looks = 0
    loop = asyncio.get_running_loop()
    real = reload._stamps

    def stamps(paths: set[Path]) -> dict[Path, object]:
        nonlocal looks
        looks += 1
        if looks > 1:
            loop.call_soon_threadsafe(looked.set)
        return real(paths)

    monkeypatch.setattr(reload, "_stamps", stamps)
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1")
    async with watching(path) as watched:
        (tmp_path / "gateway.log").write_text("x")
        async with asyncio.timeout(PATIENCE):
            await looked.wait()
        assert watched.count == 0
        path.write_text("a: 22")
        await watched.change()
    assert watched.count == 1


async def test_many_changes_at_once_are_one(tmp_path: Path) -> None:
    """Two files of one set, written one after the other."""
    paths = [tmp_path / name for name in ("base.yaml", "production.yaml", "secret")]
    for path in paths:
        path.write_text("a: 1")
    async with watching(*paths) as watched:
        for path in paths:
            path.write_text("a: 22")
        await watched.change()
        await watched.is_ready(2)
        assert watched.changes.empty()
        paths[0].write_text("a: 333")
        await watched.change()
    assert watched.count == 2


async def test_a_file_that_vanishes_and_comes_back_is_a_change_each_time(tmp_path: Path) -> None:
    """The reload says what it thinks of a missing file; watching goes on."""
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1")
    async with watching(path) as watched:
        path.unlink()
        await watched.change()
        await watched.is_ready(2)
        path.write_text("a: 2")
        await watched.change()
    assert watched.count == 2


async def test_paths_are_asked_for_anew_after_each_change(tmp_path: Path) -> None:
    """A file of configuration may name another secret than before."""
    path, secret = tmp_path / "gateway.yaml", tmp_path / "secret"
    path.write_text("a: 1")
    secret.write_text("old")
    async with watching(path) as watched:
        watched.paths.append(secret)
        path.write_text("a: 22")
        await watched.change()
        await watched.is_ready(2)
        secret.write_text("new and longer")
        await watched.change()


async def test_a_file_saved_again_while_it_is_read_is_one_more_change(tmp_path: Path) -> None:
    """The second text must not wait for a third."""
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1", encoding="utf-8")
    read: list[str] = []

    def react() -> None:
        read.append(path.read_text(encoding="utf-8"))
        if len(read) == 1:
            path.write_text("a: 333", encoding="utf-8")

    async with watching(path) as watched:
        watched.react = react
        path.write_text("a: 22", encoding="utf-8")
        await watched.change()
        await watched.change()
    assert read == ["a: 22", "a: 333"]


async def test_relative_paths_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway may be started with `-c gateway.yaml`."""
    (tmp_path / "gateway.yaml").write_text("a: 1")
    monkeypatch.chdir(tmp_path)
    async with watching(Path("gateway.yaml")) as watched:
        (tmp_path / "gateway.yaml").write_text("a: 22")
        await watched.change()


async def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount may come late."""
    monkeypatch.setattr(reload, "PAUSE", 0.01)
    path = tmp_path / "late" / "gateway.yaml"
    async with watching(path) as watched:
        await watched.is_ready(3)
        path.parent.mkdir()
        await watched.is_ready(watched.asked + 1)
        path.write_text("a: 1")
        await watched.change()
