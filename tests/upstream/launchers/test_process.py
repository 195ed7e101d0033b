"""The process launcher: what it hands on, whom it takes for its child, and on which loop it hears of an end."""

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.base import care
from gateway.loop import new_loop
from gateway.upstream.launchers import Death, Heir, Launcher, LauncherError, State, tether
from gateway.upstream.launchers.children import identity_in
from gateway.upstream.launchers.fenced import fence
from gateway.upstream.launchers.registry import make
from gateway.upstream.launchers.tether import identity


def new(folder: Path, *command: str, **own: Any) -> Launcher:
    """Make a launcher on the loop that runs."""
    keys = {"kind": "process", "command": command, "output": f"{folder}/out", **own}
    return make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())


async def dies(launcher: Launcher) -> Death:
    """Start it, and wait for its end."""
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    launcher.watch(deaths.put_nowait)
    await launcher.start()
    death = await deaths.get()
    await launcher.close()
    return death


async def test_secrets_of_the_gateway_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment may hold the passwords of all clients; `env` is what a daemon gets."""
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    await dies(new(tmp_path, "sh", "-c", "env; pwd", env={"EC_PASSWORD": "own"}, cwd=str(tmp_path)))
    out = (tmp_path / "out").read_text()
    assert "hunter2" not in out
    assert "EC_PASSWORD=own" in out
    assert "PATH=" in out
    assert out.splitlines()[-1] == str(tmp_path)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


async def test_a_pid_that_somebody_else_has_now_is_not_adopted(tmp_path: Path) -> None:
    """Nor is a file that says nothing, or names a process of before the last boot."""
    boot, pid, ticks = identity(os.getpid()).split()
    launcher = new(tmp_path, "true")
    for who in ("", "rubbish", "a b c", f"{boot} {pid} {int(ticks) - 1}", f"{boot[::-1]} {pid} {ticks}"):
        (tmp_path / "out.pid").write_text(who)
        assert (await launcher.status()).state is State.EXITED, who
    await launcher.close()


async def test_a_pid_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    """Nor a link to one, nor somebody else's, nor one that names a process of another user: it would be signalled."""
    written = tmp_path / "out.pid"
    written.write_text(identity(os.getpid()))
    launcher = new(tmp_path, "true")
    for mode in (0o660, 0o606):
        written.chmod(mode)
        assert (await launcher.status()).state is State.EXITED, oct(mode)
    written.chmod(0o600)
    elsewhere = written.rename(tmp_path / "elsewhere")
    written.symlink_to(elsewhere)
    assert (await launcher.status()).state is State.EXITED
    elsewhere.rename(written)
    assert identity_in(written, os.getuid() + 1) == ""
    assert (await launcher.status()).state is State.RUNNING
    await launcher.close()
    if os.getuid() == 0:
        os.chown(written, 4711, -1)
        assert identity_in(written) == ""
        assert identity_in(written, 4711) == ""
    else:
        written.write_text(identity(1))
        assert identity_in(written) == ""


async def test_a_link_where_its_files_are_to_be_is_not_followed(tmp_path: Path) -> None:
    """Whoever may make one there could have any file of ours emptied or written over."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"x" * 2000)
    (tmp_path / "out").symlink_to(precious)
    launcher = new(tmp_path, "true", output_max_bytes=1024)
    with pytest.raises(LauncherError, match=r"symbolic links; look at launcher.output"):
        await launcher.start()
    await launcher.close()
    assert precious.read_bytes() == b"x" * 2000


async def test_who_it_is_is_written_over_nothing(tmp_path: Path) -> None:
    """The name of the file that is put in place is known beforehand: the pid is."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    script = 'ln -s "$1/precious" "$1/out.pid.$$"; exec "$2" -I -S "$3" "$1/out.pid" 0 "" true'
    command = ("-c", script, "sh", str(tmp_path), sys.executable, tether.__file__)
    process = await asyncio.create_subprocess_exec("/bin/sh", *command)
    assert await process.wait() == 0
    assert precious.read_text() == "mine"
    assert stat.S_IMODE((tmp_path / "out.pid").lstat().st_mode) == 0o600


async def test_what_keeps_it_from_starting_is_told(tmp_path: Path) -> None:
    """Each with what to correct; none of them passes by itself."""
    (tmp_path / "folder").mkdir()
    for own, word in (
        ({"cwd": f"{tmp_path}/none"}, r"launcher.cwd is .*no folder"),
        ({"output": f"{tmp_path}/none/out"}, r"No such file or directory; look at launcher.output"),
        ({"output": f"{tmp_path}/folder"}, r"Is a directory; look at launcher.output"),
        ({"env": {"PATH": str(tmp_path)}}, r"launcher.command names true, and there is no such"),
    ):
        launcher = new(tmp_path, "true", **own)
        with pytest.raises(LauncherError, match=word) as caught:
            await launcher.start()
        assert not caught.value.may_pass
        await launcher.close()


@pytest.mark.parametrize("die", [False, True])
@pytest.mark.parametrize("output", ["out", "other"])
@pytest.mark.parametrize("around", [lambda launcher: launcher, lambda launcher: fence(launcher, lambda: True)])
async def test_a_child_goes_on_with_the_launcher_that_comes_after(
    tmp_path: Path, output: str, around: Callable[[Launcher], Launcher], *, die: bool
) -> None:
    """Whatever of its settings changed, and also behind fences; the next gateway finds it where they say now."""
    first = around(new(tmp_path, "sleep", "1000", die_with_gateway=die))
    await first.start()
    who = (await first.status()).instance
    second = new(tmp_path, "sleep", "1000", die_with_gateway=False, output=f"{tmp_path}/{output}", output_kept=1)
    second = around(second)
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    assert isinstance(second, Heir)
    second.take_over(first)
    second.watch(deaths.put_nowait)
    await first.close()
    assert (await second.status()).instance == who
    assert (tmp_path / f"{output}.pid").read_text().strip() == who
    assert output == "out" or not (tmp_path / "out.pid").exists()
    assert second.takes_along is die
    await second.kill()
    assert (await deaths.get()).exit_code == 128 + 9
    await second.close()


async def test_nothing_is_taken_over_from_another_kind(tmp_path: Path) -> None:
    """Nor from one whose child has ended."""
    heir = new(tmp_path, "sleep", "1000")
    other = make(
        care.Launcher.model_validate({"kind": "command", "restart": "true"}), "ec-1", asyncio.get_running_loop()
    )
    assert isinstance(heir, Heir)
    for before in (other, new(tmp_path, "true")):
        heir.take_over(before)
        assert (await heir.status()).state is State.EXITED
        await before.close()
    await heir.close()


async def test_a_full_output_is_put_aside_while_it_runs(tmp_path: Path) -> None:
    """At each look at it."""
    (tmp_path / "out").write_bytes(b"x" * 2000)
    launcher = new(tmp_path, "sleep", "1000", output_max_bytes=1024)
    await launcher.start()
    (tmp_path / "out").write_bytes(b"y" * 2000)
    await launcher.status()
    assert (tmp_path / "out").read_bytes() == b""
    assert (tmp_path / "out.1").read_bytes() == b"y" * 2000
    assert (tmp_path / "out.2").read_bytes() == b"x" * 2000
    assert await launcher.read_wallet(f"{tmp_path}/out.1") == b"y" * 2000
    with pytest.raises(LauncherError, match="is running; stop it"):
        await launcher.write_wallet(f"{tmp_path}/out.1", b"")
    await launcher.kill()
    await launcher.write_wallet(f"{tmp_path}/out.1", b"z")
    assert "sleep" in repr(launcher)
    await launcher.close()


async def test_one_that_hears_no_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    """Whatever its signal is."""
    script = "trap '' INT; echo ready; while :; do sleep 0.01; done"
    launcher = new(tmp_path, "sh", "-c", script, stop_signal="SIGINT")
    await launcher.start()
    async with asyncio.timeout(20):
        while (tmp_path / "out").read_text() != "ready\n":  # noqa: ASYNC110 - a shell sets no event of ours
            await asyncio.sleep(0.01)
    await launcher.stop(0.05)
    assert (await launcher.status()).exit_code == 137
    await launcher.stop(0.05)
    assert await launcher.memory() is None
    await launcher.close()


def test_it_hears_of_an_end_on_the_gateways_own_loop(tmp_path: Path) -> None:
    """And so does the launcher of commands, which reads what is said as well."""

    async def main() -> None:
        assert (await dies(new(tmp_path, "sh", "-c", "exit 5"))).exit_code == 5
        keys = {"kind": "command", "restart": "true", "status": "echo off; exit 3"}
        command = make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())
        assert (await command.status()).detail == "it said «off»"
        await command.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
