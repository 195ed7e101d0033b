"""The supervisor launcher against answers that a test makes up."""

import asyncio
import xmlrpc.client
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.base import care
from gateway.upstream.launchers import Launcher, LauncherError, State
from gateway.upstream.launchers.registry import make

BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodResponse><params><param><value><string>&b;</string></value></param></params></methodResponse>"""

Answers = dict[str, Any]


@pytest.fixture
async def answers(tmp_path: Path) -> AsyncIterator[Answers]:
    """What is answered by method: a value, a Fault, or bytes as they are; `asked` has what came."""
    made: Answers = {"asked": []}

    async def answer(request: web.Request) -> web.Response:
        words, method = xmlrpc.client.loads(await request.read())
        made["asked"].append((str(method).removeprefix("supervisor."), *words))
        value = made[made["asked"][-1][0]]
        if isinstance(value, bytes):
            return web.Response(body=value)
        if not isinstance(value, xmlrpc.client.Fault):
            value = (value,)
        return web.Response(text=xmlrpc.client.dumps(value, methodresponse=True), content_type="text/xml")

    app = web.Application()
    app.router.add_post("/RPC2", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Callable[[], Launcher]]:
    """Make launchers, and close them."""
    launchers: list[Launcher] = []

    def one() -> Launcher:
        keys = {"kind": "supervisor", "url": f"unix://{tmp_path}/s", "program": "g:ec-1", "timeout": 5}
        launchers.append(make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop()))
        return launchers[-1]

    yield one
    for launcher in launchers:
        await launcher.close()


def info(name: str, **more: Any) -> dict[str, Any]:
    """Return what getProcessInfo tells."""
    return {"statename": name, "pid": 7, "start": 100, "exitstatus": 0, "spawnerr": "", **more}


@pytest.mark.parametrize(
    ("name", "state", "instance"),
    [
        ("RUNNING", State.RUNNING, "7:100"),
        ("STARTING", State.STARTING, "7:100"),
        ("BACKOFF", State.STARTING, ""),
        ("STOPPING", State.RUNNING, "7:100"),
        ("EXITED", State.EXITED, ""),
        ("FATAL", State.EXITED, ""),
        ("STOPPED", State.EXITED, ""),
        ("UNKNOWN", State.UNKNOWN, ""),
    ],
)
async def test_supervisords_words(
    answers: Answers, new: Callable[[], Launcher], name: str, state: State, instance: str
) -> None:
    """One that waits for its next try is no instance."""
    answers["getProcessInfo"] = info(name)
    status = await new().status()
    assert (status.state, status.instance) == (state, instance)
    assert status.exit_code == (0 if name == "EXITED" else None)


@pytest.mark.parametrize("more", [{"start": "soon"}, {"pid": [1]}, {"start": []}, {"pid": "7"}])
async def test_numbers_that_are_none_are_told(
    answers: Answers, new: Callable[[], Launcher], more: dict[str, Any]
) -> None:
    """As an error of the launcher, at a look and at an order."""
    answers["getProcessInfo"] = info("RUNNING", **more)
    launcher = new()
    for ask in (launcher.status, launcher.memory, launcher.kill):
        with pytest.raises(LauncherError, match="no supervisord: pid or start is no number"):
            await ask()


async def test_why_it_could_not_be_started_is_told(answers: Answers, new: Callable[[], Launcher]) -> None:
    """In its own words."""
    answers["getProcessInfo"] = info("FATAL", spawnerr="can't find command")
    assert (await new().status()).detail == "can't find command"


@pytest.mark.parametrize(
    ("name", "orders"),
    [("RUNNING", ["signalProcess"]), ("BACKOFF", []), ("EXITED", ["startProcess"]), ("FATAL", ["startProcess"])],
)
async def test_start_does_what_is_missing(
    answers: Answers, new: Callable[[], Launcher], name: str, orders: list[str]
) -> None:
    """SIGCONT to one that runs does nothing, unless it was stopped; a start that came too late is fine."""
    answers["getProcessInfo"] = info(name)
    answers["signalProcess"] = True
    answers["startProcess"] = xmlrpc.client.Fault(60, "ALREADY_STARTED")
    await new().start()
    assert [one[0] for one in answers["asked"] if one[0] != "getProcessInfo"] == orders
    assert all(one[1] == "g:ec-1" for one in answers["asked"])


async def test_a_fault_is_an_answer_or_an_error(answers: Answers, new: Callable[[], Launcher]) -> None:
    """Killed a moment ago is killed; what cannot be done is told in supervisord's words."""
    answers["getProcessInfo"] = xmlrpc.client.Fault(10, "BAD_NAME: ec-1")
    assert (await new().status()).state is State.ABSENT
    answers["getProcessInfo"] = info("EXITED")
    answers["startProcess"] = xmlrpc.client.Fault(50, "SPAWN_ERROR: ec-1")
    with pytest.raises(LauncherError, match="refused startProcess of g:ec-1: SPAWN_ERROR"):
        await new().start()
    answers["getProcessInfo"] = xmlrpc.client.Fault(6, "SHUTDOWN_STATE")
    with pytest.raises(LauncherError, match="refused status") as caught:
        await new().status()
    assert caught.value.may_pass


@pytest.mark.parametrize("body", [BOMB, b"<html>hello", BOMB.decode().encode("utf-16"), b"<x>" + b" " * (1 << 20)])
async def test_what_is_no_answer_of_supervisord_is_not_read(
    answers: Answers, new: Callable[[], Launcher], body: bytes
) -> None:
    """Nor parsed, where it declares entities."""
    answers["getProcessInfo"] = body
    with pytest.raises(LauncherError, match="is no supervisord") as caught:
        await new().status()
    assert not caught.value.may_pass


async def test_files_are_reached_on_this_machine_alone(
    answers: Answers, new: Callable[[], Launcher], tmp_path: Path
) -> None:
    """And are not replaced under a program that runs."""
    wallet = tmp_path / "wallet"
    wallet.write_bytes(b"old")
    launcher = new()
    assert await launcher.read_wallet(str(wallet)) == b"old"
    answers["getProcessInfo"] = info("RUNNING")
    with pytest.raises(LauncherError, match="is running; stop it"):
        await launcher.write_wallet(str(wallet), b"new")
    answers["getProcessInfo"] = info("EXITED")
    await launcher.write_wallet(str(wallet), b"new")
    assert wallet.read_bytes() == b"new"
    keys = {"kind": "supervisor", "url": "http://127.0.0.1:1", "program": "ec-1"}
    far = make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())
    with pytest.raises(LauncherError, match="copy them by hand"):
        await far.read_wallet(str(wallet))
    with pytest.raises(LauncherError, match="start it"):
        await far.status()
    await far.close()


async def test_the_memory_of_another_machines_process_is_not_known(
    answers: Answers, new: Callable[[], Launcher]
) -> None:
    """The same number began at another time."""
    answers["getProcessInfo"] = info("RUNNING", pid=1)
    assert await new().memory() is None
    answers["getProcessInfo"] = info("RUNNING", pid=2**22 + 1)
    assert await new().memory() is None
    answers["getProcessInfo"] = info("EXITED")
    assert await new().memory() is None
