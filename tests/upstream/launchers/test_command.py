"""The command launcher with shell lines that write down what was run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.base import care
from gateway.upstream.launchers import Launcher, LauncherError, State, limit
from gateway.upstream.launchers.command import CommandLauncher, Own
from gateway.upstream.launchers.common import Common
from gateway.upstream.launchers.registry import make
from tests.virtual_time import run_virtual

New = Callable[..., Launcher]


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[New]:
    """Make launchers; @ in a line writes the name of the order down."""
    launchers: list[Launcher] = []

    def one(*, timeout: float = 10.0, **lines: str) -> Launcher:
        own = {order: line.replace("@", f"echo {order} >> {tmp_path}/ran") for order, line in lines.items()}
        settings = care.Launcher.model_validate({"kind": "command", "timeout": timeout, **own})
        launchers.append(make(settings, "ec-1", asyncio.get_running_loop()))
        return launchers[-1]

    yield one
    for launcher in launchers:
        await launcher.close()


def ran(folder: Path) -> list[str]:
    """Return the orders whose lines were run."""
    path = folder / "ran"
    return path.read_text().split() if path.exists() else []


async def test_a_restart_alone_is_carried_out_once(new: New, tmp_path: Path) -> None:
    """Killing restarts; the start that follows finds it done, and the next one does not."""
    launcher = new(restart="@")
    assert (await launcher.status()).state is State.UNKNOWN
    await launcher.kill()
    await launcher.start()
    assert ran(tmp_path) == ["restart"]
    await launcher.start()
    assert ran(tmp_path) == ["restart", "restart"]


@pytest.mark.parametrize(
    ("lines", "ends"),
    [
        ({"restart": "@"}, True),
        ({"restart": "@", "status": "@"}, False),
        ({"restart": "@", "start": "@"}, False),
    ],
)
async def test_a_restart_alone_is_no_start_that_harms_nobody(new: New, lines: dict[str, str], *, ends: bool) -> None:
    """Whoever starts what may be running has to know."""
    assert new(**lines).start_ends is ends  # type: ignore[attr-defined]  # its own


async def test_a_restart_that_was_seen_to_work_is_no_start_of_the_next_life(new: New, tmp_path: Path) -> None:
    """Whoever saw it run gave no order to start it, and days later it dies."""
    up = tmp_path / "up"
    launcher = new(restart=f"@; touch {up}", status=f"test -e {up}")
    await launcher.kill()
    assert (await launcher.status()).state is State.RUNNING
    up.unlink()
    await launcher.start()
    assert (await launcher.status()).state is State.RUNNING
    assert ran(tmp_path) == ["restart", "restart"]


@pytest.mark.parametrize("order", ["status", "start", "stop", "kill"])
def test_an_order_has_time_for_all_its_lines(order: str) -> None:
    """Each line is slow and within its own limit; the order is done within the limit that it tells."""
    lines = {"start": "1", "stop": "2", "kill": "3", "status": "4", "instance": "5"}

    class Slow(CommandLauncher):
        is_there = order != "start"

        def end(self) -> None:
            self.is_there = False

        async def _run(self, order: str, line: str, *, limit: float | None = None) -> tuple[int, str]:
            assert line == lines[order]
            await asyncio.sleep(0.99 * (limit or 10.0))
            if order == "kill":
                asyncio.get_running_loop().call_later(9.95, self.end)
            return int(order == "stop" or (order == "status" and not self.is_there)), "1"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        launcher = Slow(Own.model_validate(lines), Common("ec-1", "", 10.0, loop))
        begun, grace = loop.time(), 5.0 if order == "stop" else 0.0
        await getattr(launcher, order)(*([grace] if grace else []))
        assert loop.time() - begun <= grace + limit(launcher, order, 10.0)

    run_virtual(main())


async def test_a_line_that_is_left_out_is_made_up_for(new: New, tmp_path: Path) -> None:
    """A kill by the stop, a stop by the kill."""
    await new(start="@", stop="@").kill()
    await new(start="@", kill="@").stop(1.0)
    assert ran(tmp_path) == ["stop", "kill"]


async def test_a_stop_that_fails_is_followed_by_a_kill(new: New, tmp_path: Path) -> None:
    """Or by nothing, and then it is told."""
    await new(start="@", stop="@; false", kill="@").stop(1.0)
    assert ran(tmp_path) == ["stop", "kill"]
    with pytest.raises(LauncherError, match=r"stop ended with code 1: it said nothing; run launcher\.stop by hand"):
        await new(start="@", stop="false").stop(1.0)


async def test_what_runs_is_not_started(new: New, tmp_path: Path) -> None:
    """As far as status tells."""
    await new(start="@", stop="@", status="true").start()
    assert ran(tmp_path) == []
    await new(start="@", stop="@", status="echo inactive; exit 3").start()
    assert ran(tmp_path) == ["start"]


async def test_a_status_that_tells_more(new: New) -> None:
    """What it says is the detail, and `instance` tells the lives apart."""
    status = await new(restart="@", status="echo inactive; exit 3").status()
    assert (status.state, status.detail) == (State.EXITED, "it said «inactive»")
    status = await new(restart="@", status="true", instance="printf '77\n  12:00\n'").status()
    assert (status.state, status.instance) == (State.RUNNING, "77 12:00")
    with pytest.raises(LauncherError, match="instance ended with code 2"):
        await new(restart="@", status="true", instance="exit 2").status()


async def test_a_command_that_is_not_there(new: New) -> None:
    """Trying again does not help, and a status that cannot be had is no EXITED."""
    for order in (new(restart="no-such-command-here").kill(), new(restart="@", status="no-such-command-here").status()):
        with pytest.raises(
            LauncherError, match=r"code 127: .*not found»; correct launcher\.(restart|status)"
        ) as caught:
            await order
        assert not caught.value.may_pass


async def test_the_last_lines_of_a_failure_are_told(new: New) -> None:
    """However much it says, and from both of its outputs."""
    launcher = new(restart="yes | head -n 100000; echo first; echo why >&2; exit 9")
    with pytest.raises(LauncherError, match="restart ended with code 9: it said «y / first / why»") as caught:
        await launcher.kill()
    assert caught.value.may_pass
    assert len(str(caught.value)) < 500


async def test_a_stop_that_was_a_lie(new: New) -> None:
    """It returned, and the daemon runs on: told, so that nobody starts a second one."""
    launcher = new(timeout=0.2, start="@", stop="true", status="true")
    with pytest.raises(LauncherError, match="stop of ec-1 returned, and status says that it runs"):
        await launcher.stop(0.1)


async def test_no_error_shows_the_line(new: New) -> None:
    """It may hold a password; and what was said is in quotation marks that it cannot close, for alerts leave it out."""
    late = new(timeout=0.1, restart="echo late; sleep 1000 # hunter2")
    for launcher, order in (
        (late, "run launcher.restart by hand"),
        (new(restart="echo a»b; false # hunter2"), "«a>b»"),
    ):
        with pytest.raises(LauncherError, match=order) as caught:
            await launcher.kill()
        assert "hunter2" not in str(caught.value)


async def test_secrets_of_the_gateway_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment may hold the passwords of all clients; `env` is what a line gets."""
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    settings = {
        "kind": "command",
        "restart": "true",
        "status": 'echo "$SHOP_PASSWORD,$KUBECONFIG,${PATH:+path}"; false',
    }
    launcher = make(
        care.Launcher.model_validate({**settings, "env": {"KUBECONFIG": "/k"}}), "ec-1", asyncio.get_running_loop()
    )
    assert (await launcher.status()).detail == "it said «,/k,path»"
    await launcher.close()


async def test_files_are_out_of_reach(new: New) -> None:
    """And so is the memory."""
    launcher = new(restart="@")
    assert await launcher.memory() is None
    with pytest.raises(LauncherError, match="copy it by hand"):
        await launcher.read_wallet("/w")
    with pytest.raises(LauncherError, match="copy it by hand"):
        await launcher.write_wallet("/w", b"")
    assert "ec-1" in repr(launcher)


@pytest.mark.parametrize(
    ("line", "says"),
    [("exit 125", "code 125"), ("echo no route; exit 255", "«no route»"), ("kill -9 $$", "code 137")],
)
async def test_a_status_that_cannot_tell_is_no_death(new: New, line: str, says: str) -> None:
    """Taken for gone, the daemon would be started a second time beside the one that runs."""
    launcher = new(restart="true", status=line)
    with pytest.raises(LauncherError, match=says) as caught:
        await launcher.status()
    assert caught.value.may_pass
    assert (await new(restart="true", status="exit 124").status()).state is State.EXITED
