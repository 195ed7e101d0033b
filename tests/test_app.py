"""The composition root: doors, signals, and reloads that are all or nothing."""

import asyncio
import logging
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert

import gateway.app
from gateway.app import App, StartError, run_settings
from gateway.base.events import Event
from gateway.base.loader import load
from gateway.edge.admin_access import Refused
from gateway.edge.descriptors import Descriptors
from gateway.ledger.schema import keys
from gateway.observe import logs
from gateway.profiles import path_of
from tests.ledger.conftest import key_of
from tests.virtual_time import run_virtual

NOWHERE = "http://127.0.0.1:1"


def plain(**changes: Any) -> dict[str, Any]:
    """Settings as a file holds them; nobody listens at the backends."""
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "clients": [{"name": "shop", "username": "shop", "password": "secret-of-the-shop"}],
        "wallets": {
            "main": {"backends": [{"name": "ec-1", "url": NOWHERE}, {"name": "ec-2", "url": "http://127.0.0.1:2"}]}
        },
        "drain_timeout": 0.1,
        **changes,
    }


class Rig:
    """An app on a file, and the events that it told."""

    def __init__(self, path: Path) -> None:
        """Build it; nothing is started."""
        self.path = path
        self.write(plain())
        self.app = App(load([path], {}), [path])
        self.told: list[Event] = []
        self.app.emit = self._hear
        self._heard: dict[str, asyncio.Event] = {}

    def write(self, settings: dict[str, Any]) -> None:
        """Write the file anew."""
        self.path.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def _hear(self, event: Event) -> None:
        self.told.append(event)
        self._heard.setdefault(event.name, asyncio.Event()).set()

    async def hears(self, name: str) -> None:
        """Wait for the first event of a name."""
        await self._heard.setdefault(name, asyncio.Event()).wait()

    def names(self) -> list[str]:
        """Names of the events."""
        return [event.name for event in self.told]


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """An app that does not watch its files."""

    async def never(*_args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(gateway.app, "watch", never)
    one = Rig(tmp_path / "gateway.yaml")
    yield one
    await one.app.stop()


@pytest.mark.parametrize(
    "broken",
    [
        {"listen": {"port": 0, "max_batch": 7, "nonsense": 1}},
        {"listen": {"port": 0, "tls": {"certificate": "/no/cert.pem", "key": "/no/key.pem"}}},
        {"wallets": {"new": {"backends": [{"name": "ec-1", "url": "https://x", "tls": {"ca_file": "/no/ca.pem"}}]}},
         "clients": [{"name": "shop", "username": "shop", "password": "x", "wallets": ["new"]}]},
        {"wallets": {"main": {"profile": "unheard-of", "backends": [{"name": "ec-9", "url": NOWHERE}]}}},
        {"clients": []},
    ],
    ids=["a key", "a certificate", "an authority", "a profile", "nobody"],
)  # fmt: skip
async def test_a_reload_that_cannot_be_used_changes_nothing(broken: dict[str, Any], rig: Rig) -> None:
    """Not even what is good in it."""
    before, plants, caps = rig.app.settings, dict(rig.app.plants), rig.app.rpc.listen
    rig.write(plain(**broken))
    rig.app.reload()
    assert set(rig.names()) == {"config.refused"}
    assert rig.app.settings is before
    assert rig.app.plants == plants
    assert rig.app.rpc.listen is caps
    assert all(event.level == "error" for event in rig.told)


async def test_a_reload_without_a_change_says_nothing(rig: Rig) -> None:
    """A touched file is no news."""
    rig.app.reload()
    assert rig.told == []


async def test_wallets_come_and_go(rig: Rig) -> None:
    """The door knows the new one at once and the old one no more; what is kept is kept."""
    main = rig.app.plants["main"]
    cold = {"backends": [{"name": "ec-1", "url": "http://127.0.0.1:3"}]}
    rig.write(plain(wallets={**plain()["wallets"], "cold": cold}))
    rig.app.reload()
    assert set(rig.app.rpc.wallets()) == {"main", "cold"}
    assert rig.app.plants["main"] is main
    rig.write(plain())
    rig.app.reload()
    assert set(rig.app.rpc.wallets()) == {"main"}
    assert set(rig.app.why_not_ready()) == set(rig.app.what_ails()) == {"main"}
    assert rig.names().count("config.reloaded") == 2


async def test_what_a_wallet_has_sent_outlives_its_rooms(rig: Rig) -> None:
    """Bytes that may be out while it is taken away and put back may be out, whichever rooms are asked then."""
    cold = {"backends": [{"name": "ec-1", "url": "http://127.0.0.1:3"}]}
    both = plain(wallets={**plain()["wallets"], "cold": cold})
    rig.write(both)
    rig.app.reload()
    first = rig.app.plants["cold"]
    rig.write(plain())
    rig.app.reload()
    rig.write(both)
    rig.app.reload()
    second = rig.app.plants["cold"]
    assert second is not first
    assert second.sent is first.sent
    assert second.sent is not rig.app.plants["main"].sent


async def test_what_is_counted_follows_a_reload(rig: Rig) -> None:
    """A wallet that comes begins at zero, one that goes is shown no more; each call is logged where that is wanted."""

    def shown() -> set[str]:
        return set(re.findall(r'ecgw_hedges_total\{wallet="(\w+)"\}', rig.app.metrics.text().decode()))

    assert shown() == {"main"}
    cold = {"backends": [{"name": "ec-1", "url": "http://127.0.0.1:3"}]}
    rig.write(plain(wallets={**plain()["wallets"], "cold": cold}, log={"level": "debug"}))
    rig.app.reload()
    assert shown() == {"main", "cold"}
    assert rig.app.metrics.on_call is not None
    assert rig.app.metrics.on_attempt is not None
    rig.write(plain())
    rig.app.reload()
    assert shown() == {"main"}
    assert rig.app.metrics.on_call is None
    assert rig.app.metrics.on_attempt is None


async def test_keys_whose_client_is_gone_are_told_at_start_and_on_reload(rig: Rig) -> None:
    """Under its new name the client would pay again with each of them."""
    ledger = {"path": str(rig.path.with_name("ledger.db")), "may_be_lost": True}
    rig.write(plain(ledger=ledger))
    await rig.app.stop()
    rig.app = App(load([rig.path], {}), [rig.path])
    rig.app.emit = rig._hear
    assert rig.app.book is not None
    row = key_of("signed", "order-1") | {"client": "till"}
    await rig.app.book.ledger.run(lambda c: c.execute(insert(keys).values(row)))
    await rig.app.start()
    await rig.hears("config.risky")
    clients = [*plain()["clients"], {"name": "till", "username": "till", "password": "x"}]
    rig.write(plain(ledger=ledger, clients=clients))
    rig.app.reload()
    await asyncio.gather(*(one for one in rig.app._background if "_tell_strays" in repr(one)))
    told = [str(one.fields["warning"]) for one in rig.told if one.name == "config.risky"]
    assert len(told) == 1, "with its name back there is nothing to tell"
    assert "1 keys of client till in wallet main" in told[0]
    rig.told.clear()
    rig._heard.clear()
    rig.write(plain(ledger=ledger))
    rig.app.reload()
    await rig.hears("config.risky")


async def test_an_edited_profile_is_taken_over_though_no_setting_changed(rig: Rig) -> None:
    """What it refuses from now on is refused; the backends go on as they were."""
    profile = rig.path.with_name("own.yaml")
    text = path_of("electron-cash").read_text(encoding="utf-8")
    profile.write_text(text, encoding="utf-8")
    wallets = {"main": {**plain()["wallets"]["main"], "profile": str(profile)}}
    rig.write(plain(wallets=wallets))
    rig.app.reload()
    plant = rig.app.plants["main"]
    backends = list(plant.pool.backends)
    assert "setlabel" in plant.runner.profile.methods
    edited = [line for line in text.splitlines() if not line.startswith("  setlabel:")]
    profile.write_text("\n".join(edited), encoding="utf-8")
    rig.app.reload()
    assert "setlabel" not in plant.runner.profile.methods
    assert plant.pool.backends == backends
    assert rig.told[-1].fields["new_profile_of"] == ["main"]


async def test_what_needs_a_restart_is_named(rig: Rig) -> None:
    """And only that; secrets are named, never shown."""
    clients = [{"name": "shop", "username": "shop", "password": "another-secret"}]
    rig.write(plain(listen={"port": 9, "max_batch": 3}, clients=clients))
    rig.app.reload()
    fields = rig.told[-1].fields
    assert fields["need_a_restart"] == ["listen.port"]
    assert rig.app.rpc.listen.max_batch == 3
    assert "clients.shop.password" in str(fields["changes"])
    assert "secret-of" not in str(fields)
    assert "another-secret" not in str(fields)


@pytest.mark.parametrize("door", ["listen", "admin"])
async def test_a_taken_port_is_told_by_its_door(door: str, rig: Rig) -> None:
    """Which key, which address, why, and what to do; the other door is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rig.write(plain(**{door: {"port": port}}))
        app = App(load([rig.path], {}), [rig.path])
        with pytest.raises(StartError, match=f"{door}: 127.0.0.1:{port} cannot be listened on .*{door}.port"):
            await app.serve()
    _put_signals_back()
    assert app.admin._runner is None


async def test_signals_reload_drain_and_hurry(rig: Rig) -> None:
    """SIGHUP takes new settings, the first SIGTERM drains, the second does not wait."""
    serving = asyncio.ensure_future(rig.app.serve())
    async with asyncio.timeout(5):
        await rig.hears("gateway.started")
        rig.write(plain(drain_timeout=300))
        os.kill(os.getpid(), signal.SIGHUP)
        await rig.hears("config.reloaded")
        os.kill(os.getpid(), signal.SIGTERM)
        await rig.hears("gateway.draining")
        assert rig.app.is_draining
        os.kill(os.getpid(), signal.SIGINT)
        await serving
    _put_signals_back()
    assert rig.names()[-1] == "gateway.stopped"


def _put_signals_back() -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)


async def test_the_doors_tell_one_story(rig: Rig) -> None:
    """The status of a wallet, readiness and figures agree on a wallet that is not there yet."""
    await rig.app.start()
    status = rig.app.status("main")
    assert status["wallet"] == "main"
    assert status["draining"] is False
    async with asyncio.timeout(5):
        for backend in rig.app.plants["main"].pool.backends:
            while backend.refused_since is None:  # noqa: ASYNC110 - a probe to a closed port, a moment away
                await asyncio.sleep(0.01)
    assert rig.app.why_not_ready()["main"] == [f"ec-{n}: starting, refuses connections, expected back" for n in (1, 2)]
    assert rig.app.what_ails() == rig.app.why_not_ready()
    figures = {(name, labels.get("backend")): value for name, labels, value in rig.app._gauges()}
    assert figures["backend_up", "ec-1"] == 0.0
    assert figures["backends_serving", None] == 0.0
    assert figures["ready", None] == 0.0


async def test_what_anybody_emits_and_what_the_alerts_say_is_history(rig: Rig) -> None:
    """It is heard by whoever listens to the stream, and answered at the operators' door."""
    app, heard = rig.app, list[dict[str, object]]()
    app.history.listeners.append(heard.append)
    app._emit(Event("order.given", "main", "ec-1", {"verb": "drain", "who": "kim"}))
    fields: dict[str, object] = {"alert": "pool_low", "incident": "a-1", "text": "few are left", "seconds": 30.0}
    app.alerts.tell(Event("alert.opened", "main", "", fields))
    assert app.admin.api is not None
    assert app.admin.api.stream.incident in app.history.listeners
    assert [row["id"] for row in heard] == ["a-1"]
    assert [row["id"] for row in (await app.admin.api.incidents(5)).rows] == ["a-1"]
    assert [(row["who"], row["verb"]) for row in (await app.admin.api.audit(5)).rows] == [("kim", "drain")]


async def test_a_new_log_that_can_never_be_written_is_refused_and_an_old_one_borne(rig: Rig) -> None:
    """The first changes nothing; the second stands in the way of no other change."""
    folder = str(rig.path.parent)
    rig.write(plain(log={"file": {"path": folder}}))
    rig.app.reload()
    assert rig.names() == ["config.refused"]
    assert "log.file.path" in str(rig.told[0].fields)
    rig.app.settings = load([rig.path], {}, [])
    rig.write(plain(log={"file": {"path": folder}}, drain_timeout=7))
    rig.app.reload()
    assert rig.names() == ["config.refused", "config.risky", "config.reloaded"]
    assert "log.file.path" in str(rig.told[1].fields)
    assert rig.app.settings.drain_timeout == 7


def test_draining_has_one_deadline(tmp_path: Path) -> None:
    """The door takes all of it; who hung up before its answer is then waited for no more."""
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(plain(drain_timeout=30)), encoding="utf-8")

    async def drained_after() -> float:
        app = App(load([path], {}), [path])
        app.rpc.finish = asyncio.sleep  # type: ignore[assignment,method-assign]  # a door that is never quiet
        app._in_flight = lambda: 1  # type: ignore[method-assign]  # and a call that never ends
        begun = app.loop.time()
        await app.drain()
        return app.loop.time() - begun

    assert run_virtual(drained_after()) == pytest.approx(gateway.app.READY_FIRST + 30)


@pytest.mark.parametrize("limit", [64, 2**16])
def test_as_many_connections_as_fit_are_taken(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is raised before the doors open, both have their part of it, and one line names both numbers."""
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(plain()), encoding="utf-8")
    settings = load([path], {})
    told: list[Event] = []
    apps: list[App] = []

    async def serve(self: App, _started: object) -> None:
        apps.append(self)

    monkeypatch.setattr(gateway.app, "raise_limit", lambda: Descriptors(limit))
    monkeypatch.setattr(logs, "configure", lambda *_args, **_more: None)
    monkeypatch.setattr(logs, "event_sink", told.append)
    monkeypatch.setattr(App, "serve", serve)
    assert run_settings(settings) == 0
    assert apps[0].rpc.descriptors == apps[0].admin.descriptors == Descriptors(limit)
    said = [
        str(event.fields) for event in told if event.name == "config.risky" and "max_connections" in str(event.fields)
    ]
    if limit == 64:
        assert len(said) == 1
        assert "4096" in said[0]
        assert "64" in said[0]
    else:
        assert said == []


def test_what_a_library_says_again_and_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a second for each saying of each library, with the number of those that were not written."""
    told: list[dict[str, Any]] = []
    now = [100.0]
    monkeypatch.setattr(logs, "tell", lambda _level, _name, fields: told.append(fields))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    forward = logs._Forward()

    def say(template: str, *args: object, logger: str = "asyncio") -> None:
        forward.emit(logging.LogRecord(logger, logging.ERROR, "", 0, template, args, None))

    for number in range(1000):
        say("socket.accept() out of system resource\nsocket: %d", number)
    say("socket.accept() out of system resource", logger="another")
    say("something else")
    assert len(told) == 3
    now[0] += 1.0
    say("socket.accept() out of system resource\nsocket: 5")
    say("something else")
    assert [fields.get("suppressed") for fields in told] == [None, None, None, 999, None]
    for number in range(10 * logs.LIBRARY_SAYINGS):
        say(f"made up anew {number}")
    assert len(forward._said) == logs.LIBRARY_SAYINGS


async def test_a_ledger_that_is_damaged_at_the_start_is_said_to_be_unread(rig: Rig) -> None:
    """Nobody is told that there is no outcome without an answer, nor that nothing has happened."""
    file = rig.path.with_name("damaged.db")
    file.write_bytes(b"SQLite format 3\0" + b"tea" * 4_000)
    rig.write(plain(ledger={"path": str(file), "may_be_lost": True}))
    app = App(load([rig.path], {}), [rig.path])
    assert app.book is None
    assert app.admin.api is not None
    with pytest.raises(Refused, match="cannot be read"):
        await app.admin.api.outcomes()
    incidents = await app.admin.api.incidents(5)
    assert (incidents.complete, incidents.why) == (False, "unread")
    await app.stop()
    assert rig.app.admin.api is not None
    assert await rig.app.admin.api.outcomes() == []


async def test_rows_of_the_history_and_who_listens_are_counted(rig: Rig) -> None:
    """What is not written yet, what never will be, and the pages that are open."""
    rig.app._emit(Event("order.given", "main", "ec-1", {"verb": "drain", "who": "kim"}))
    figures = {name: value for name, _, value in rig.app._gauges()}
    assert figures["history_rows_unwritten"] == 1.0
    assert figures["history_rows_dropped_total"] == figures["admin_stream_listeners"] == 0.0
