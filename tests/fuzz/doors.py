"""Both doors in memory and in virtual time, before a real core with fake daemons, and what must hold after each case.

Rule: whatever came, each connection is answered or closed within its bounds, and then all is as it was before: no
connection, no task and no byte is left, and nothing was said to the log or to the loop about a fault of ours.
"""

import asyncio
import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import SecretStr

from gateway.base.config import Client, Listen, RateLimit
from gateway.base.effects import GRANTABLE
from gateway.edge.auth import Authenticator
from gateway.edge.rpc import DoorCounters, RpcDoor
from tests.edge.admin_world import World as AdminWorld
from tests.edge.web.world import snapshot
from tests.fuzz.jsontexts import Members, strict
from tests.fuzz.lines import HIGH, Factory, Line, Listening
from tests.fuzz.reading import Message
from tests.fuzz.requests import WORDS
from tests.simulation.world import World

BOUNDS = Listen(
    port=0, max_body=4096, max_depth=16, max_batch=4, max_connections=64, head_timeout=0.3, body_timeout=0.3,
    keepalive_timeout=1.0,
)  # fmt: skip

LONGEST = 4.0
"""Virtual seconds within which a connection that says no more is closed: head, body, a call, keep-alive, two looks."""

SOON = 0.03
"""Virtual seconds within which whatever can be answered is."""

MOST = 4 * HIGH
"""Bytes that may wait for a client who does not read."""

FAULTS = frozenset({"door.failed", "admin.failed", "api.failed", "loop.failed"})


@dataclass
class Script:
    """What one client does: pieces that it sends and what it does between them and at the end."""

    word: str
    pieces: list[bytes]
    pauses: list[float] = field(default_factory=list)
    """Seconds before each piece; 0.0 where it is not said."""
    end: str = "wait"
    """wait, finish, reset: after the last piece."""
    is_slow: bool = False
    """It reads nothing until all is over."""
    is_patient: bool = False
    """It waits until the door ends the connection, however long that takes; else it hangs up once it is answered."""
    line: Line | None = None

    @property
    def stream(self) -> bytes:
        """All that it sends."""
        return b"".join(self.pieces)

    @property
    def got(self) -> bytes:
        """All that it was answered."""
        assert self.line is not None
        return bytes(self.line.got)


class Stage:
    """A loop, whatever listens on it, and what was there before the first case."""

    def __init__(self) -> None:
        """Begin with nobody listening."""
        self.loop = Listening()
        self.logged: list[str] = []
        self.reasons: list[str] = []
        """Exceptions that were logged."""

    def run(self, what: Any) -> Any:
        """Run a coroutine."""
        return self.loop.run_until_complete(what)

    async def play(self, scripts: Sequence[Script], factory: Factory) -> None:
        """Let clients do what they do, side by side, and see that everything ends."""
        self.logged.clear()
        self.reasons.clear()
        self.loop.crashes.clear()
        before = len(asyncio.all_tasks())
        await asyncio.gather(*(self._one(script, factory) for script in scripts))
        lines = [script.line for script in scripts if script.line is not None]
        await asyncio.sleep(LONGEST if any(script.is_patient for script in scripts) else SOON)
        for script in scripts:
            assert script.line is not None
            assert script.line.unread <= MOST, "what a client does not read must not be made for ever"
            script.line.look()
        await asyncio.sleep(SOON)
        for script in scripts:
            if not script.is_patient and script.line is not None:
                script.line.finish()
        await asyncio.sleep(0.0)
        for _ in range(100):
            if len(asyncio.all_tasks()) <= before and all(line.is_lost for line in lines):
                break
            await asyncio.sleep(0.05)
        assert all(line.is_lost for line in lines), f"neither answered nor closed within {LONGEST} s"
        assert len(asyncio.all_tasks()) <= before, [task.get_coro() for task in asyncio.all_tasks()]
        assert not self.loop.crashes, self.loop.crashes
        assert not FAULTS.intersection(self.logged), "\n".join(self.reasons[-2:])

    async def _one(self, script: Script, factory: Factory) -> None:
        line = script.line = Line(self.loop)
        line.connect(factory)
        if script.is_slow:
            line.look_away()
        for number, piece in enumerate(script.pieces):
            pause = script.pauses[number] if number < len(script.pauses) else 0.0
            await asyncio.sleep(pause)
            line.send(piece)
        if script.end == "finish":
            await asyncio.sleep(0)
            line.finish()
        if script.end == "reset":
            line.reset()


@contextmanager
def _stage() -> Iterator[Stage]:
    stage = Stage()
    asyncio.set_event_loop(stage.loop)
    configured = structlog.get_config()

    def note(_logger: Any, _method: str, event: Any) -> Any:
        stage.logged.append(str(event.get("event")))
        if event.get("exc_info"):
            stage.reasons.append(traceback.format_exc()[-1500:])
        raise structlog.DropEvent

    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    try:
        yield stage
    finally:
        structlog.configure(**configured)
        tasks = asyncio.all_tasks(stage.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            stage.run(asyncio.gather(*tasks, return_exceptions=True))
        stage.run(asyncio.sleep(0))
        stage.loop.close()
        asyncio.set_event_loop(None)


@dataclass
class RpcStage:
    """The door for clients."""

    stage: Stage
    world: "FuzzWorld"
    door: RpcDoor
    factory: Factory
    sent: list[Members] = field(default_factory=list)
    """What went to daemons for clients in this case, as a strict reader reads it."""

    def play(self, *scripts: Script) -> None:
        """Play a case; `sent` is what reached daemons."""
        self.sent.clear()
        self.stage.run(self.stage.play(scripts, self.factory))
        self.stage.run(self._settle())
        assert self.door.counters.connections_open == 0, "connections are left"
        assert self.world.wire_is_quiet, "calls are left on the wire"
        assert not self.world.crashes, self.world.crashes
        for daemon in self.world.daemons:
            daemon.journal.clear()
        self.world.recorder.events.clear()
        self.world.recorder.outcomes.clear()

    async def _settle(self) -> None:
        """Let a probe that is answered settle the calls whose clients have gone, as nobody probes here."""
        pool, now = self.world.plant.pool, self.stage.loop.time()
        for backend in pool.backends:
            if backend.occupants or backend.is_suspect:
                pool.probe_answered(backend, now, now)
            assert not backend.occupants, "a call that is over holds a slot"


class FuzzWorld(World):
    """The simulation's world, with an eye on the wire."""

    @property
    def wire_is_quiet(self) -> bool:
        """Whether no call of a client is under way; what was sent is let go of."""
        is_quiet = all(one.ended for one in self.wire.sent if not _is_upkeep(one.body))
        self.wire.sent.clear()
        return is_quiet


def _is_upkeep(body: bytes) -> bool:
    return not any(b'"%b"' % word.encode() in body for word in WORDS)


@contextmanager
def rpc_door() -> Iterator[RpcStage]:
    """The door for clients before a real core: two fake daemons, and three clients of which one is hurried."""
    with _stage() as stage:
        opened = stage.run(_open_rpc(stage))
        try:
            yield opened
        finally:
            stage.run(opened.door.stop(0.1))


async def _open_rpc(stage: Stage) -> RpcStage:
    handler = stage.loop.get_exception_handler()
    world = FuzzWorld(2, 1)
    stage.loop.set_exception_handler(handler)
    world.plant.start()
    await asyncio.sleep(3.0)
    # all daemons serve and are aligned by now, and stay so: nobody needs to look after them, a hundred times a second
    await world.plant.stop()
    clients = [
        Client(name="shop", username="shop", password=SecretStr("shop"), effects=GRANTABLE),
        Client(name="web", username="web", password=SecretStr("web"), errors="http"),
        Client(
            name="slow", username="slow", password=SecretStr("slow"), rate_limit=RateLimit(per_second=2.0, burst=1)
        ),
    ]  # fmt: skip
    door = RpcDoor(
        BOUNDS, Authenticator(clients, anonymous=False), world.dispatcher, lambda: {"main"}, sandbox=False,
        counters=DoorCounters(),
    )  # fmt: skip
    await door.start()
    found = RpcStage(stage, world, door, stage.loop.factories[-1])
    send = world.wire.send

    def watched(target: Any, body: bytes, **how: Any) -> Any:
        """See each body that goes out, as the daemon would."""
        read = strict(body)
        assert isinstance(read, Members), "no call, but something else"
        assert [name for name, _ in read] == ["jsonrpc", "id", "method", "params"], "one call, and nothing beside it"
        if not _is_upkeep(body):
            found.sent.append(read)
        return send(target, body, **how)

    world.wire.send = watched  # type: ignore[method-assign]  # an eye on it
    return found


@dataclass
class AdminStage:
    """The door for operators."""

    stage: Stage
    world: AdminWorld
    factory: Factory

    def play(self, *scripts: Script) -> None:
        """Play a case."""
        self.world.orders.heard.clear()
        self.stage.run(self.stage.play(scripts, self.factory))
        self.world.events.clear()
        self.world.slept.clear()


class FullWorld(AdminWorld):
    """A gateway of which there is enough to tell that pages can be made of it."""

    def _status(self) -> dict[str, object]:
        return snapshot()


@contextmanager
def admin_door() -> Iterator[AdminStage]:
    """The door for operators, who show a token."""
    with _stage() as stage:
        world = FullWorld()
        stage.run(_open_admin(world))
        try:
            yield AdminStage(stage, world, stage.loop.factories[-1])
        finally:
            stage.run(world.door.stop())


async def _open_admin(world: AdminWorld) -> None:
    await world.open()
    pages = world.door.pages
    assert pages is not None
    # what it does in a thread has no place in virtual time
    pages.drawing.warm()
    pages._is_warm = True


def result_words(answer: Message) -> list[str]:
    """Return whose words are in the results of an answer: what a fake daemon echoes."""
    try:
        found = json.loads(answer.body) if answer.body else []
    except ValueError:
        return []
    words = []
    for reply in found if isinstance(found, list) else [found]:
        result = reply.get("result") if isinstance(reply, dict) else None
        echo = result.get("echo") if isinstance(result, dict) else None
        if isinstance(echo, list) and echo:
            words.append(str(echo[0]))
    return words
