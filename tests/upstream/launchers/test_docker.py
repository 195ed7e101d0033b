"""The docker launcher against an engine that does what the test says."""

import asyncio
import math
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.base import care
from gateway.upstream.launchers import Death, Launcher, LauncherError, Memory, State, http, limit
from gateway.upstream.launchers import docker as room
from gateway.upstream.launchers.registry import make
from tests.upstream.launchers.fake_engine import AGAIN, RUNNING, FakeEngine, event


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    """An engine that does not make an order wait."""
    one = FakeEngine()
    one.go_on.set()
    runner = await one.serve(tmp_path / "s")
    yield one
    await runner.cleanup()


def new(folder: Path, timeout: float) -> Launcher:
    """Make a launcher of its container."""
    keys = {"kind": "docker", "container": "wallet", "host": f"unix://{folder}/s", "timeout": timeout}
    return make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())


@pytest.fixture
async def launcher(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Launcher]:
    """Made after the engine, and closed before it."""
    assert engine.asked == []
    one = new(tmp_path, 5.0)
    yield one
    await one.close()


async def test_it_speaks_the_version_that_the_engine_tells(engine: FakeEngine, launcher: Launcher) -> None:
    """One that takes nothing below 1.44 is spoken to in its own."""
    engine.version, engine.least = "1.52", 44
    await launcher.status()
    assert engine.asked == ["GET /_ping", "GET /v1.52/containers/wallet/json"]


async def test_an_engine_that_was_replaced_is_asked_for_its_version_again(
    engine: FakeEngine, launcher: Launcher
) -> None:
    """What the new one refused it did not do, so it is said again."""
    await launcher.status()
    engine.version, engine.least = "1.44", 44
    await launcher.kill()
    assert "POST /v1.44/containers/wallet/kill" in engine.asked
    assert engine.orders == ["kill"]


async def test_a_proxy_that_tells_no_version_is_spoken_to_without(engine: FakeEngine, launcher: Launcher) -> None:
    """An engine answers such paths by its own version."""
    engine.version = None
    assert (await launcher.status()).state is State.RUNNING
    assert engine.asked[-1] == "GET /containers/wallet/json"


async def test_a_question_that_broke_off_is_asked_again(engine: FakeEngine, launcher: Launcher) -> None:
    """Nothing happens by asking."""
    engine.breaks = 2
    assert (await launcher.status()).state is State.RUNNING


@pytest.mark.parametrize(
    ("word", "state", "instance", "code"),
    [
        ("running", State.RUNNING, RUNNING["StartedAt"], None),
        ("paused", State.PAUSED, RUNNING["StartedAt"], None),
        ("restarting", State.STARTING, "", 7),
        ("exited", State.EXITED, "", 7),
        ("dead", State.EXITED, "", 7),
        ("tired", State.UNKNOWN, "", None),
    ],
)
async def test_the_engines_words_for_what_it_does(
    engine: FakeEngine, launcher: Launcher, word: str, state: State, instance: str, code: int | None
) -> None:
    """An instance is one that lives; an exit code is that of a life that has ended."""
    assert engine.state is not None
    engine.state |= {"Status": word, "ExitCode": 7}
    status = await launcher.status()
    assert (status.state, status.instance, status.exit_code) == (state, instance, code)
    assert (status.started_at is not None) == bool(instance)


async def test_a_container_that_was_created_and_never_started(engine: FakeEngine, launcher: Launcher) -> None:
    """It has no last end."""
    assert engine.state is not None
    engine.state |= {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}
    assert (await launcher.status()).exit_code is None


@pytest.mark.parametrize(
    ("word", "orders"),
    [("running", []), ("restarting", []), ("paused", ["unpause"]), ("exited", ["start"]), ("created", ["start"])],
)
async def test_start_does_what_is_missing(engine: FakeEngine, launcher: Launcher, word: str, orders: list[str]) -> None:
    """Docker's own restart is left alone, and a paused one is let go on."""
    assert engine.state is not None
    engine.state["Status"] = word
    await launcher.start()
    assert engine.orders == orders


@pytest.mark.parametrize(
    ("word", "orders"), [("running", ["kill"]), ("paused", ["kill"]), ("restarting", []), ("exited", [])]
)
async def test_kill_ends_what_lives(engine: FakeEngine, launcher: Launcher, word: str, orders: list[str]) -> None:
    """There is nothing to kill between two lives."""
    assert engine.state is not None
    engine.state["Status"] = word
    await launcher.kill()
    assert engine.orders == orders


async def test_a_container_that_comes_back_by_itself_has_been_killed(engine: FakeEngine, launcher: Launcher) -> None:
    """The next life is not the one that was to end, so nobody waits for its end."""
    engine.refusals["kill"] = (409, "is not running")
    assert engine.state is not None
    await launcher.status()
    killing = asyncio.ensure_future(launcher.kill())
    await engine.heard("/kill")
    engine.state["StartedAt"] = AGAIN
    await killing


async def test_the_same_order_given_four_times_is_given_once(engine: FakeEngine, launcher: Launcher) -> None:
    """Those who come later wait for the one under way, and an order of another sort for its turn."""
    engine.go_on.clear()
    kills = [asyncio.ensure_future(launcher.kill()) for _ in range(4)]
    start = asyncio.ensure_future(launcher.start())
    await engine.heard("/kill")
    kills[0].cancel()
    engine.go_on.set()
    await asyncio.gather(*kills[1:], start)
    assert engine.orders == ["kill", "start"]


async def test_a_stop_gives_the_engine_its_grace(engine: FakeEngine, launcher: Launcher) -> None:
    """In whole seconds, rounded up."""
    await launcher.stop(2.5)
    assert engine.asked[-2].endswith("/stop?t=3")


async def test_what_the_engine_refuses_is_told_with_its_own_words(engine: FakeEngine, launcher: Launcher) -> None:
    """A port that is taken may be free later; what a proxy does not let through stays out."""
    assert engine.state is not None
    engine.state["Status"] = "exited"
    engine.refusals["start"] = (500, "port is already allocated")
    with pytest.raises(LauncherError, match="could not start wallet: port is already allocated") as caught:
        await launcher.start()
    assert caught.value.may_pass
    engine.refusals["start"] = (403, "forbidden")
    with pytest.raises(LauncherError, match="does not let the gateway start wallet: forbidden") as caught:
        await launcher.start()
    assert not caught.value.may_pass


async def test_a_container_that_is_not_there(engine: FakeEngine, launcher: Launcher) -> None:
    """ABSENT to look at; an order to it says what to correct."""
    engine.state = None
    assert (await launcher.status()).state is State.ABSENT
    with pytest.raises(LauncherError, match=r"create it, or correct launcher.container") as caught:
        await launcher.start()
    assert not caught.value.may_pass


async def test_an_order_to_an_engine_that_hangs_ends(engine: FakeEngine, launcher: Launcher, tmp_path: Path) -> None:
    """Within its limit, and it may pass."""
    engine.go_on.clear()
    hasty = new(tmp_path, 0.05)
    with pytest.raises(LauncherError, match=r"within 0.05 s; look") as caught:
        await hasty.kill()
    assert caught.value.may_pass
    await hasty.close()
    assert "wallet" in repr(launcher)


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
async def test_what_is_no_engine_at_all(launcher: Launcher, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server that says 200 to everything is not believed."""

    async def ask(*_: object, **__: object) -> http.Answer:
        return http.Answer(200, {}, body)

    monkeypatch.setattr(http.Door, "ask", ask)
    with pytest.raises(LauncherError, match="no Docker engine"):
        await launcher.status()


@pytest.mark.parametrize("state", ["running", [1], 5])
async def test_a_state_that_is_none_is_told(engine: FakeEngine, launcher: Launcher, state: Any) -> None:
    """To look at, and at an order; it may pass, as with a proxy that is set up anew."""
    engine.state = state
    for ask in (launcher.status, launcher.start, launcher.kill):
        with pytest.raises(LauncherError, match="no Docker engine: its State is none") as caught:
            await ask()
        assert caught.value.may_pass


@pytest.mark.parametrize("state", [{}, False])
async def test_what_is_no_event_ends_no_listening(engine: FakeEngine, launcher: Launcher, state: Any) -> None:
    """The next line may be one; and a death is told also where the container is gone with its state."""
    rubbish: list[Any] = [None, [], 7, {"Actor": "x"}, {"timeNano": "x"}, {"time": None}, {"timeNano": math.inf}]
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    engine.events = [[*rubbish, event("die", 101, exitCode="1")]]
    engine.state = state
    launcher.watch(deaths.put_nowait)
    assert (await deaths.get()).exit_code == 1


async def test_a_listener_that_fails_is_no_end_of_listening(
    engine: FakeEngine, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is opened anew."""
    monkeypatch.setattr(room, "_RECONNECT", (0.001, 0.002))
    heard: asyncio.Queue[int | None] = asyncio.Queue()

    def listen(death: Death) -> None:
        heard.put_nowait(death.exit_code)
        raise KeyError(death.instance)

    engine.events = [[event("die", 101, exitCode="1")], [event("die", 102, exitCode="2")]]
    launcher.watch(listen)
    assert [await heard.get(), await heard.get()] == [1, 2]


async def test_a_look_may_take_as_many_answers_as_it_needs(launcher: Launcher) -> None:
    """Version and state, and both again of an engine that was replaced; an order is bounded as a whole."""
    assert [limit(launcher, order, 1.0) for order in ("status", "start", "stop", "kill")] == [20.0, 5.0, 5.0, 5.0]


async def test_memory_is_asked_in_one_shot(engine: FakeEngine, launcher: Launcher) -> None:
    """Without that word the engine takes a second reading, a second later."""
    engine.stats = {"memory_stats": {"usage": 100, "limit": 400, "stats": {"inactive_file": 30}}}
    assert await launcher.memory() == Memory(70, 400)
    assert engine.asked[-1].endswith("/stats?stream=false&one-shot=true")


async def test_a_file_that_did_not_arrive_is_told(engine: FakeEngine, launcher: Launcher) -> None:
    """What is not read back as it was written was not written."""
    assert engine.state is not None
    engine.state["Status"] = "exited"
    entry = tarfile.TarInfo("w")
    entry.uid, entry.gid, entry.mode, entry.size = 7, 8, 0o600, 3
    engine.files["/data/w"], engine.contents["/data/w"] = entry, b"old"
    await launcher.write_wallet("/data/w", b"new")
    assert (engine.files["/data/w"].uid, engine.files["/data/w"].gid, engine.files["/data/w"].mode) == (7, 8, 0o600)
    assert await launcher.read_wallet("/data/w") == b"new"
    engine.is_replaced = True
    with pytest.raises(LauncherError, match="is not what was written there"):
        await launcher.write_wallet("/data/w", b"newer")


async def test_deaths_are_heard_with_their_cause(engine: FakeEngine, launcher: Launcher) -> None:
    """An `oom` just before a `die` is its cause; one of long ago was a child's."""
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    engine.events = [
        [event("oom", 100), event("die", 101, exitCode="137"), event("oom", 200), event("die", 300, exitCode="0")]
    ]
    launcher.watch(deaths.put_nowait)
    assert await deaths.get() == Death(RUNNING["StartedAt"], 137, was_oom_killed=True)
    assert await deaths.get() == Death(RUNNING["StartedAt"], 0, was_oom_killed=False)
    filters = unquote(next(one for one in engine.asked if "/events?" in one))
    assert '"container":+["wallet"],+"event":+["die",+"oom"]' in filters


async def test_a_stream_that_breaks_is_opened_anew_where_it_ended(
    engine: FakeEngine, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told twice, though engines repeat the last second; a refusal is no end either."""
    monkeypatch.setattr(room, "_RECONNECT", (0.001, 0.002))
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    first, second = event("die", 101, exitCode="1"), event("die", 102, exitCode="2")
    engine.events = [[first], [first, second]]
    engine.refusals["events"] = (403, "forbidden")
    launcher.watch(deaths.put_nowait)
    launcher.watch(deaths.put_nowait)
    await engine.heard("/events?")
    del engine.refusals["events"]
    assert [(await deaths.get()).exit_code, (await deaths.get()).exit_code] == [1, 2]
    assert any("since=101.000000000" in one for one in engine.asked)
    assert deaths.empty()


async def test_a_death_is_told_of_the_life_that_ended(engine: FakeEngine, launcher: Launcher) -> None:
    """Docker may have started the next one before the last one's death is heard."""
    await launcher.status()
    assert engine.state is not None
    engine.state["StartedAt"] = AGAIN
    deaths: asyncio.Queue[Death] = asyncio.Queue()
    engine.events = [[event("die", 101, exitCode="1")]]
    launcher.watch(deaths.put_nowait)
    assert (await deaths.get()).instance == RUNNING["StartedAt"]
    assert AGAIN in repr(launcher)
