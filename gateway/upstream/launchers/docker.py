"""Docker: the daemon is a container of an engine, local or not.

Rule: what the container is doing is asked from the engine before each order and after it; its StartedAt tells one life
from the next.  Who starts it does not matter: a container that Docker's own restart policy has brought back is a new
life like any other, and one that it is about to bring back is left to it.
"""

import asyncio
import math
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from gateway.base.section import Section
from gateway.upstream.launchers import Death, LauncherError, Memory, OnDeath, State, Status
from gateway.upstream.launchers.common import AbsolutePath, Common, Finding, Flight, until
from gateway.upstream.launchers.docker_engine import DockerEngine, Event, hush
from gateway.upstream.launchers.docker_files import put_in, taken_out
from gateway.upstream.launchers.files import look_at_socket
from gateway.upstream.launchers.http import Tls
from gateway.upstream.launchers.memory import of_container

_OOM_BEFORE_DEATH = 10 * 10**9
"""Nanoseconds within which an `oom` event belongs to a death: it may have ended a child of the daemon days before."""

_RECONNECT = (0.5, 30.0)
"""Seconds until the events are asked for again: at first, and at most."""

_STATES = {
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "restarting": State.STARTING,
    "created": State.EXITED,
    "exited": State.EXITED,
    "dead": State.EXITED,
    "removing": State.EXITED,
}

_GONE = "no such container"

_ANSWERS = 4
"""Answers that a look takes at most: version and state, and both again of an engine that was replaced."""


class Own(Section):
    """Keys of a docker launcher."""

    container: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=255)]
    """Its name or id."""
    host: Annotated[str, Field(pattern=r"^(unix:///.+|https?://[^/@]+/?)$")] = "unix:///var/run/docker.sock"
    """The engine, or a proxy before it: unix:///path, http://host:port, https://host:port."""
    ca_file: AbsolutePath | None = None
    """For https: who has signed the engine's certificate."""
    cert_file: AbsolutePath | None = None
    """For https: who we are."""
    key_file: AbsolutePath | None = None

    @model_validator(mode="after")
    def _files_go_together(self) -> "Own":
        files = [name for name in ("ca_file", "cert_file", "key_file") if getattr(self, name)]
        if files and not self.host.startswith("https:"):
            raise ValueError(f"{files[0]} is for https, and host is {self.host}; write https:// there or take it out")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; name both or neither")
        return self


class DockerLauncher:
    """Starts and stops one container."""

    kind = "docker"
    takes_along = False

    def __init__(self, own: Own, common: Common) -> None:
        """Connect to nothing yet."""
        tls = Tls(own.ca_file, own.cert_file, own.key_file)
        self._engine: Final = DockerEngine(own.host, own.container, timeout=common.timeout, tls=tls)
        self._container: Final = own.container
        self._common: Final = common
        self._flight: Final = Flight(common)
        self._watching: asyncio.Task[None] | None = None
        self._seen = ""

    def __repr__(self) -> str:
        return f"<DockerLauncher {self._container} seen={self._seen or '-'}>"

    # What it is doing

    async def status(self) -> Status:
        """Ask the engine; a container that does not exist is ABSENT."""
        return await self._status()

    def limit(self, order: str) -> float:
        """Return the seconds for an order; a look asks more than once."""
        return self._common.timeout * (_ANSWERS if order == "status" else 1)

    async def memory(self) -> Memory | None:
        """Ask the engine; None while it does not run."""
        return of_container(await self._engine.stats())

    # Orders

    async def start(self) -> None:
        """Start it, or let a paused one go on; one that runs, or that Docker is about to start, is left alone."""
        await self._flight.once("start", self._start, limit=self._common.timeout)

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds, by the engine's clock; a paused one is let go on for it."""
        await self._flight.once("stop", lambda: self._stop(grace), limit=grace + self._common.timeout)

    async def kill(self) -> None:
        """SIGKILL; also to a paused one, which ends the pause."""
        await self._flight.once("kill", self._kill, limit=self._common.timeout)

    async def _start(self) -> None:
        match (await self._there()).state:
            case State.PAUSED:
                # 409: somebody was faster
                await self._engine.order("unpause", limit=self._common.timeout, fine=(409,))
            case State.EXITED | State.UNKNOWN:
                await self._engine.order("start", limit=self._common.timeout, fine=(304,))

    async def _stop(self, grace: float) -> None:
        before = await self._there()
        if before.state is not State.EXITED:
            # for one that Docker is about to start it takes that back
            limit = grace + self._common.timeout
            await self._engine.order("stop", limit=limit, fine=(304,), t=math.ceil(grace))
            await until(lambda: self._is_gone(before.instance))

    async def _kill(self) -> None:
        before = await self._there()
        if before.state in (State.RUNNING, State.PAUSED):
            # 409: it has ended by itself meanwhile
            await self._engine.order("kill", limit=self._common.timeout, fine=(409,))
            await until(lambda: self._is_gone(before.instance))

    # Files

    async def read_wallet(self, path: str) -> bytes:
        """Return a file of the container, running or not."""
        return taken_out(await self._engine.download(path), path)[1]

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Replace a file of a container that does not run, and read it again to be sure.

        The engine unpacks it over the old one.  Should the engine die in that moment, the file is torn, and this
        raises: the caller has `content` and gives the order again.
        """
        await self._flight.once("write", lambda: self._write(path, content), limit=3 * self._common.timeout)

    async def _write(self, path: str, content: bytes) -> None:
        state = (await self._there()).state
        if state is not State.EXITED:
            raise LauncherError(f"{self._container} is {state}; stop it before a file of it is replaced")
        entry, _ = taken_out(await self._engine.download(path), path)
        await self._engine.upload(*put_in(path, content, entry))
        if await self.read_wallet(path) != content:
            raise LauncherError(f"{path} of {self._container} is not what was written there; give the order again")

    # Deaths

    def watch(self, on_death: OnDeath) -> None:
        """Hear of deaths from the engine's events."""
        if self._watching is None:
            self._watching = self._common.loop.create_task(self._listen(on_death))
            self._watching.add_done_callback(hush)

    async def close(self) -> None:
        """End the watching; the container goes on."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._flight.close()
        await self._engine.close()

    async def _listen(self, on_death: OnDeath) -> None:
        pause, oom_at = _RECONNECT[0], -_OOM_BEFORE_DEATH
        while True:
            try:
                if not self._seen:
                    await self._status()
                async for event in self._engine.events():
                    pause = _RECONNECT[0]
                    if event.action == "oom":
                        oom_at = event.at
                    elif event.action == "die":
                        on_death(await self._death(event, is_oom=event.at - oom_at < _OOM_BEFORE_DEATH))
            except Exception:  # noqa: BLE001 - what answers may say anything, and nobody would miss an ear that fell off
                # whoever asks for the status is told why; here it is a matter of trying again
                pause = min(2 * pause, _RECONNECT[1])
            await asyncio.sleep(pause)

    async def _death(self, event: Event, *, is_oom: bool) -> Death:
        """Find out whose death it was: the engine's event does not say."""
        instance, was_oom_killed = self._seen, is_oom
        try:
            raw = await self._engine.inspect()
            status = _read(raw) if raw else None
        except LauncherError:
            status = None
        if raw and status and not status.instance:
            # not started again yet, so its last start is that of the life that ended
            instance = str((raw.get("State") or {}).get("StartedAt", "")) or instance
            was_oom_killed = is_oom or status.was_oom_killed
        elif status and status.instance:
            self._seen = status.instance
        return Death(instance, event.exit_code, was_oom_killed)

    # Inside

    async def _status(self) -> Status:
        raw = await self._engine.inspect()
        status = _read(raw) if raw else Status(State.ABSENT, detail=f"{_GONE} as {self._container}")
        self._seen = status.instance or self._seen
        return status

    async def _there(self) -> Status:
        status = await self._status()
        if status.state is State.ABSENT:
            message = f"there is no container {self._container}; create it, or correct launcher.container"
            raise LauncherError(message, may_pass=False)
        return status

    async def _is_gone(self, instance: str) -> bool:
        return (await self._status()).instance != instance or not instance


def look(own: Own) -> list[Finding]:
    """Return what this machine lacks of what the keys name."""
    return look_at_socket("host", own.host)


def _read(raw: dict[str, Any]) -> Status:
    """Read the engine's `State`.  Raises LauncherError where it is none."""
    found = raw.get("State") or {}
    if not isinstance(found, dict):
        raise LauncherError("what answers is no Docker engine: its State is none; look at launcher.host")
    state = _STATES.get(str(found.get("Status", "")), State.UNKNOWN)
    started = str(found.get("StartedAt") or "")
    is_alive = state in (State.RUNNING, State.PAUSED)
    was_oom_killed = bool(found.get("OOMKilled"))
    said = str(found.get("Error") or "")
    has_ended = state in (State.EXITED, State.STARTING) and not started.startswith("0001")
    return Status(
        state,
        instance=started if is_alive else "",
        started_at=_seconds(started) if is_alive else None,
        exit_code=found.get("ExitCode") if has_ended else None,
        was_oom_killed=was_oom_killed,
        detail="OOM killed" if was_oom_killed else said,
    )


def _seconds(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
