"""Command: any other manager of services, by the shell commands that it has: systemctl, kubectl, ssh.

Rule: each command has `timeout` seconds; one that has not returned by then is ended with all that it started.  Exit
code 0 is success.  A command that is left out is made up for by another where one will do.  An error names the order,
never its line, which may hold a password; what a command said is quoted in «», which no alert shows (`rules/kinds.py`).
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from typing import Annotated, Final

from pydantic import Field, model_validator

from gateway.base.section import Section
from gateway.upstream.launchers import LauncherError, Memory, OnDeath, State, Status
from gateway.upstream.launchers.children import Watched, environment, spawn
from gateway.upstream.launchers.common import Common, Finding, Flight, until

_KEPT = 4096
"""Bytes of output; the last lines go into the error, the rest is read and thrown away."""

_LINES = {"status": 2, "start": 4, "kill": 9, "stop": 12}
"""Times `timeout` that an order takes at most, the grace of a stop left out.  A look is two lines.  A start looks and
runs its line.  A kill looks, runs its line, waits as long as a line, and looks twice more; a stop looks, runs its line
and is followed by a kill.  One time more is for what is between them."""

_NO_SUCH_COMMAND = (126, 127)
"""Exit codes of a shell that could not run it."""

_CANNOT_TELL = 125
"""Exit codes of `status` from here on say nothing of the daemon: a shell that could not run it (126, 127), a command
that was ended by a signal (128 and more), ssh that found no way (255).  A line that cannot tell may exit with 125."""

_PLAIN = re.compile(r"[\w./+-]+")
"""A first word that is a program's name, and nothing that only a shell could tell."""

_ASKED = 2.0
"""Seconds that a shell has for a line that it only reads."""

Line = Annotated[str, Field(min_length=1)]


class Own(Section):
    """Keys of a command launcher; each is a line for /bin/sh."""

    start: Line | None = None
    stop: Line | None = None
    """Returns when it is gone."""
    kill: Line | None = None
    restart: Line | None = None
    status: Line | None = None
    """Exit code 0 means that it runs, 1 to 124 that it does not, any other that nobody can tell."""
    instance: Line | None = None
    """Prints what tells one life of the process from the next, such as its pid and the time of its start."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the lines, beside the few that they have from the gateway."""

    @model_validator(mode="after")
    def _enough_to_restart(self) -> "Own":
        if self.restart is None and (self.start is None or (self.stop is None and self.kill is None)):
            raise ValueError("needs restart, or start with stop or kill; add one of them")
        if self.instance is not None and self.status is None:
            raise ValueError("instance goes with status; add status")
        return self


class CommandLauncher:
    """Starts and stops what its commands start and stop."""

    kind = "command"
    takes_along = False

    def __init__(self, own: Own, common: Common) -> None:
        """Run nothing yet."""
        self._own: Final = own
        self._common: Final = common
        self._flight: Final = Flight(common)
        self._pipes: Final[set[_Pipe]] = set()
        self._is_restarted = False
        self.start_ends: Final = own.start is None and own.status is None
        """Whether the order to start ends what runs: it is a restart then, of what nobody can ask about."""

    def __repr__(self) -> str:
        return f"<CommandLauncher of {self._common.name}>"

    # What it is doing

    async def status(self) -> Status:
        """Run `status`; UNKNOWN without one."""
        return await self._status()

    async def memory(self) -> Memory | None:
        """Nobody knows."""
        return None

    def limit(self, order: str) -> float:
        """Return the seconds for all lines of an order."""
        return _LINES[order] * self._common.timeout

    async def _status(self) -> Status:
        if self._own.status is None:
            return Status(State.UNKNOWN)
        code, said = await self._run("status", self._own.status)
        if code < 0 or code >= _CANNOT_TELL:
            raise _failed("status", code, said)
        if code != 0:
            return Status(State.EXITED, detail=_last(said))
        # what the restart brought is there, and the next start is for its successor
        self._is_restarted = False
        if self._own.instance is None:
            return Status(State.RUNNING)
        code, said = await self._run("instance", self._own.instance)
        if code != 0:
            raise _failed("instance", code, said)
        return Status(State.RUNNING, instance=" ".join(said.split())[:200])

    # Orders

    async def start(self) -> None:
        """Run `start`, else `restart`, unless `status` says that it runs or a kill had to restart it already."""
        await self._flight.once("start", self._start, limit=self.limit("start"))

    async def stop(self, grace: float) -> None:
        """Run `stop` with `grace` seconds more than usual, then `kill` if it failed or is all that there is."""
        await self._flight.once("stop", lambda: self._stop(grace), limit=grace + self.limit("stop"))

    async def kill(self) -> None:
        """Run `kill`, else `stop`, else `restart`: then the next order to start finds it done."""
        await self._flight.once("kill", self._kill, limit=self.limit("kill"))

    async def _start(self) -> None:
        done, self._is_restarted = self._is_restarted, False
        if not done and (await self._status()).state is not State.RUNNING:
            await self._done("start", self._own.start or self._own.restart or "")

    async def _stop(self, grace: float) -> None:
        if self._own.stop is None:
            await self._kill()
            return
        before = await self._status()
        try:
            await self._done("stop", self._own.stop, limit=grace + self._common.timeout)
        except LauncherError:
            if self._own.kill is None:
                raise
            await self._kill()
        else:
            await self._wait_gone("stop", before)

    async def _kill(self) -> None:
        before = await self._status()
        line = self._own.kill or self._own.stop
        if line is not None:
            await self._done("kill", line)
            await self._wait_gone("kill", before)
        else:
            await self._done("restart", self._own.restart or "")
            self._is_restarted = True

    async def _wait_gone(self, order: str, before: Status) -> None:
        """Wait until `status` agrees; without one the command is believed."""
        if before.state is not State.RUNNING:
            return

        end = self._common.loop.time() + self._common.timeout

        async def is_gone() -> bool:
            # what a look says that was begun in time may be over when it is said
            is_late = self._common.loop.time() >= end
            now = await self._status()
            is_there = now.state is State.RUNNING and now.instance == before.instance
            if is_there and is_late:
                raise LauncherError(
                    f"{order} of {self._common.name} returned, and status says that it runs; look at both commands"
                )
            return not is_there

        await until(is_gone)

    # Files

    async def read_wallet(self, path: str) -> bytes:
        """Not by commands."""
        raise _no_files(path)

    async def write_wallet(self, path: str, content: bytes) -> None:  # noqa: ARG002 - the verb is the same for all
        """Not by commands."""
        raise _no_files(path)

    # Deaths

    def watch(self, on_death: OnDeath) -> None:
        """Do nothing: a command hears of nothing."""

    async def close(self) -> None:
        """Listen to nothing any more; the daemon goes on."""
        await self._flight.close()
        for pipe in list(self._pipes):
            pipe.close()

    # Inside

    async def _done(self, order: str, line: str, *, limit: float | None = None) -> None:
        code, said = await self._run(order, line, limit=limit)
        if code != 0:
            raise _failed(order, code, said)

    async def _run(self, order: str, line: str, *, limit: float | None = None) -> tuple[int, str]:
        """Run a line; returns its exit code and the end of what it said."""
        limit = limit or self._common.timeout
        reading, writing = os.pipe()
        pipe = _Pipe(reading, self._common.loop, self._pipes)
        ended: asyncio.Future[int | None] = self._common.loop.create_future()
        try:
            pid = spawn(["/bin/sh", "-c", line], environment(self._own.env), writing)
        except OSError as error:
            pipe.close()
            raise LauncherError(f"cannot run {order}: /bin/sh: {error.strerror}", may_pass=False) from error
        finally:
            os.close(writing)
        shell = Watched(
            pid, is_child=True, spares_group=True, loop=self._common.loop, on_end=lambda code: _set(ended, code)
        )
        try:
            async with asyncio.timeout(limit):
                code = await asyncio.shield(ended)
                # what it printed last may be on the way still
                pipe.read()
                return code if code is not None else 1, pipe.said
        except TimeoutError as error:
            message = f"{order} did not return within {limit:g} s and was ended: {_last(pipe.said)}"
            raise LauncherError(f"{message}; run launcher.{order} by hand") from error
        finally:
            if not ended.done():
                shell.signal_group(signal.SIGKILL)
                pipe.close()
                # it is reaped when it has ended, which a process that waits for a disk does late


def look(own: Own) -> list[Finding]:
    """Return what a shell says of the lines without running them, and which of their first programs are not here."""
    return [
        finding
        for key in ("start", "stop", "kill", "restart", "status", "instance")
        if (line := getattr(own, key)) is not None
        for finding in _look_at_line(key, line, environment(own.env))
    ]


def _look_at_line(key: str, line: str, variables: dict[str, str]) -> list[Finding]:
    if _asked(["-n", "-c", line], variables) != 0:
        return [(key, "is no line that a shell understands", "run it by hand, and look at its quotes and brackets")]
    first = line.split(maxsplit=1)[0] if line.split() else ""
    if _PLAIN.fullmatch(first) and _asked(["-c", 'command -v -- "$0"', first], variables) != 0:
        return [(key, f"begins with {first}, and there is no such program", "install it, or correct the name")]
    return []


def _asked(words: list[str], variables: dict[str, str]) -> int:
    """Ask a shell; returns its exit code."""
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own lines, and none of them is run
            ["/bin/sh", *words], env=variables, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_ASKED, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return done.returncode


class _Pipe:
    """What a command says, as much as is kept.

    A command may leave something running that holds the pipe, such as the daemon itself: it is read on, so that
    nobody there waits or ends for it, for as long as there is a gateway.
    """

    def __init__(self, handle: int, loop: asyncio.AbstractEventLoop, others: "set[_Pipe]") -> None:
        os.set_blocking(handle, False)
        self._handle = handle
        self._loop = loop
        self._others = others
        self._kept = b""
        others.add(self)
        loop.add_reader(handle, self.read)

    @property
    def said(self) -> str:
        return self._kept.decode(errors="replace").strip()

    def read(self) -> None:
        while self in self._others:
            try:
                part = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return
            if not part:
                self.close()
            self._kept = (self._kept + part)[-_KEPT:]

    def close(self) -> None:
        if self in self._others:
            self._others.discard(self)
            with contextlib.suppress(OSError, ValueError):
                self._loop.remove_reader(self._handle)
            os.close(self._handle)


def _set(ended: "asyncio.Future[int | None]", code: int | None) -> None:
    if not ended.done():
        ended.set_result(code)


def _failed(order: str, code: int, said: str) -> LauncherError:
    is_absent = code in _NO_SUCH_COMMAND
    remedy = f"correct launcher.{order}" if is_absent else f"run launcher.{order} by hand"
    return LauncherError(f"{order} ended with code {code}: {_last(said)}; {remedy}", may_pass=not is_absent)


def _last(said: str) -> str:
    last = " / ".join(said.splitlines()[-3:])[-300:]
    return f"it said «{last.replace('«', '<').replace('»', '>')}»" if last else "it said nothing"


def _no_files(path: str) -> LauncherError:
    return LauncherError(f"a launcher of commands cannot reach {path}; copy it by hand", may_pass=False)
