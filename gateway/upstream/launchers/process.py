"""Process: the daemon is a child of the gateway, for one machine without anything that manages services.

Rule: the daemon outlives the gateway unless `die_with_gateway` says otherwise, because a wallet that is killed loses
what it had not saved; the pid file tells the next gateway who it is, and it is adopted.  Its output goes to a file that
it holds by itself.  Exit code 0 is a death like any other.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator

from gateway.base.section import Bytes, Count, Section
from gateway.upstream.launchers import Death, Launcher, LauncherError, Memory, OnDeath, State, Status, tether
from gateway.upstream.launchers.children import Watched, environment, family, identity_in, is_alive, spawn, started_at
from gateway.upstream.launchers.common import AbsolutePath, Common, Finding, Flight, until
from gateway.upstream.launchers.files import look_at_folder_of, read_file, write_file
from gateway.upstream.launchers.memory import of_processes
from gateway.upstream.launchers.output import rotate

_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of cgroup v2 and v1, as a process in a container sees its own; on a bare machine they are absent or no limit."""

_CLOSING_GRACE = 5.0


class Own(Section):
    """Keys of a process launcher."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments; it has to stay in the foreground."""
    output: AbsolutePath
    """File for its output and errors; OUTPUT.pid beside it says who it is, OUTPUT.1 and so on hold what is older."""
    cwd: AbsolutePath | None = None
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for it, beside the few that it has from the gateway."""
    output_max_bytes: Bytes = 10_000_000
    output_kept: Count = 3
    """Older files that are kept."""
    stop_signal: str = "TERM"
    die_with_gateway: bool = False
    """The kernel kills it when the gateway ends, and the gateway ends it when it ends in order."""

    @field_validator("stop_signal")
    @classmethod
    def _is_a_signal(cls, name: str) -> str:
        if f"SIG{name.removeprefix('SIG')}" not in signal.Signals.__members__:
            raise ValueError(f"is no signal: {name}; write TERM, INT, HUP, QUIT or another name of this system")
        return name


class ProcessLauncher:
    """Starts and stops one child."""

    kind = "process"

    def __init__(self, own: Own, common: Common) -> None:
        """Start nothing, and look for nothing yet."""
        self._own: Final = own
        self.takes_along = own.die_with_gateway
        self._common: Final = common
        self._output: Final = Path(own.output)
        self._pid_file: Final = Path(f"{own.output}.pid")
        self._flight: Final = Flight(common)
        self._process: Watched | None = None
        self._exit_code: int | None = None
        self._on_death: OnDeath | None = None
        self._is_followed = False
        """Another launcher has its child."""

    def __repr__(self) -> str:
        return f"<ProcessLauncher {self._own.command[0]} pid={self._process.pid if self._process else '-'}>"

    # What it is doing

    async def status(self) -> Status:
        """Look at the child, or at the one that a gateway before this one has left."""
        process = self._found()
        await asyncio.to_thread(self._rotate)
        if process is None:
            return Status(State.EXITED, exit_code=self._exit_code, detail=_words(self._exit_code))
        state = State.PAUSED if process.is_stopped else State.RUNNING
        return Status(state, instance=process.instance, started_at=started_at(process.instance))

    async def memory(self) -> Memory | None:
        """Add up what it and its own children take; the limit is that of the container which we are in, if any."""
        process = self._found()
        return await memory_of(process.pid) if process else None

    # Orders

    async def start(self) -> None:
        """Start it; one that runs is left alone, and a stopped one is let go on."""
        await self._flight.once("start", self._start, limit=self._common.timeout)

    async def stop(self, grace: float) -> None:
        """Send `stop_signal`, and SIGKILL after `grace` seconds."""
        await self._flight.once("stop", lambda: self._stop(grace), limit=grace + self._common.timeout)

    async def kill(self) -> None:
        """SIGKILL to it and to all that it has started in its group."""
        await self._flight.once("kill", self._kill, limit=self._common.timeout)

    async def _start(self) -> None:
        process = self._found()
        if process is not None:
            process.signal_group(signal.SIGCONT)
            return
        program = self._program()
        parent = os.getpid() if self._own.die_with_gateway else 0
        command = [sys.executable, "-I", "-S", tether.__file__, str(self._pid_file), str(parent), self._own.cwd or ""]
        try:
            await asyncio.to_thread(self._rotate)
            # its own reader and ours write nothing else there; a secret may be among what it says
            output = os.open(self._output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                # by the thread of the loop: the kernel counts the end of a thread as that of the parent
                pid = spawn([*command, program, *self._own.command[1:]], environment(self._own.env), output)
            finally:
                os.close(output)
        except OSError as error:
            where = error.filename or self._output
            message = f"cannot start {self._common.name}: {where}: {error.strerror}; look at launcher.output"
            raise LauncherError(message, may_pass=False) from error
        self._exit_code = None
        self.takes_along = self._own.die_with_gateway
        process = self._process = self._watched(pid, is_child=True)
        if process is not None:
            await until(lambda: self._is_written(process))

    def _program(self) -> str:
        for key, message, remedy in _look_at_program(self._own):
            raise LauncherError(f"launcher.{key} {message}; {remedy}", may_pass=False)
        name, found = self._own.command[0], _found_program(self._own) or ""
        return found if "/" not in name or not self._own.cwd else str(Path(found).absolute())

    async def _stop(self, grace: float) -> None:
        process = self._found()
        if process is not None:
            process.signal_group(signal.SIGCONT)
            process.signal(signal.Signals[f"SIG{self._own.stop_signal.removeprefix('SIG')}"])
            try:
                async with asyncio.timeout(grace):
                    await process.ended.wait()
            except TimeoutError:
                await self._kill()

    async def _kill(self) -> None:
        process = self._found()
        if process is not None:
            process.signal_group(signal.SIGKILL)
            await process.ended.wait()

    # Files

    async def read_wallet(self, path: str) -> bytes:
        """Return a file of this machine."""
        return await read_file(path)

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Replace a file of this machine, while the daemon does not run."""
        await self._flight.once("write", lambda: self._write(path, content), limit=self._common.timeout)

    async def _write(self, path: str, content: bytes) -> None:
        if self._found() is not None:
            raise LauncherError(f"{self._common.name} is running; stop it before a file of it is replaced")
        await write_file(path, content)

    # Deaths

    def watch(self, on_death: OnDeath) -> None:
        """Hear of deaths from the kernel."""
        self._on_death = on_death
        self._found()

    async def close(self) -> None:
        """End the watching; with `die_with_gateway` the daemon ends as well, else it goes on for the next gateway."""
        self._on_death = None
        if self.takes_along and not self._is_followed:
            await self.stop(_CLOSING_GRACE)
        await self._flight.close()
        if self._process is not None:
            self._process.let_go()
            self._process = None

    def take_over(self, before: Launcher) -> None:
        """Go on with the child of a launcher whose settings were these before they changed; `command` counts later."""
        if not isinstance(before, ProcessLauncher):
            return
        process, place = before.hand_over()
        if process is None:
            return
        process.let_go()
        self._process = self._watched(process.pid, is_child=process.is_child)
        # one that the kernel ends with the gateway saves before it, until its next start
        self.takes_along |= before.takes_along
        if self._process is not None and self._pid_file != place:
            self._move(place, self._process.instance)

    def hand_over(self) -> tuple[Watched | None, Path]:
        """Know of no child any more; return the one that was here, and its pid file."""
        process, self._process, self._is_followed = self._found(), None, True
        return process, self._pid_file

    # Inside

    def _move(self, before: Path, who: str) -> None:
        """Let the next gateway find it where the settings say now, and not where they said it."""
        fresh = Path(f"{self._pid_file}.{os.getpid()}")
        try:
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{who}\n")
            fresh.replace(self._pid_file)
            before.unlink(missing_ok=True)
        except OSError:
            # this gateway knows it; the next one finds that something listens, and says so
            return

    def _found(self) -> Watched | None:
        """Return the process, adopting one that was left by a gateway before."""
        if self._process is None and not self._is_followed:
            who = self._written()
            if is_alive(who):
                self._process = self._watched(int(who.split()[1]), is_child=False)
        return self._process

    async def _is_written(self, process: Watched) -> bool:
        """Whether it has said who it is: a gateway that is killed from now on leaves it to be found."""
        return process.ended.is_set() or self._written() == process.instance

    def _written(self) -> str:
        return identity_in(self._pid_file)

    def _watched(self, pid: int, *, is_child: bool) -> Watched | None:
        try:
            return Watched(pid, is_child=is_child, loop=self._common.loop, on_end=self._ended)
        except OSError:
            # it ended in this moment
            return None

    def _ended(self, exit_code: int | None) -> None:
        process, self._process = self._process, None
        self._exit_code = exit_code
        if self._on_death is not None and process is not None:
            self._on_death(Death(process.instance, exit_code))

    def _rotate(self) -> None:
        try:
            rotate(self._output, limit=self._own.output_max_bytes, kept=self._own.output_kept)
        except OSError:
            # a full disk must not keep anybody from starting a wallet; the file is told of when it cannot be opened
            return


def look(own: Own) -> list[Finding]:
    """Return what this machine lacks of what the keys name."""
    return [*_look_at_program(own), *look_at_folder_of("output", own.output)]


def _look_at_program(own: Own) -> list[Finding]:
    if own.cwd and not Path(own.cwd).is_dir():
        return [("cwd", f"is {own.cwd}, where no folder is", "make it, or correct the path")]
    if _found_program(own) is None:
        return [("command", f"names {own.command[0]}, and there is no such program", "install it, or correct the name")]
    return []


def _found_program(own: Own) -> str | None:
    name = own.command[0]
    here = str(Path(own.cwd or ".", name)) if "/" in name else name
    return shutil.which(here, path=own.env.get("PATH", os.environ.get("PATH")))


async def memory_of(pid: int) -> Memory | None:
    """Add up what a process of this machine and all that descends from it take."""
    return await asyncio.to_thread(_memory, pid)


def _memory(pid: int) -> Memory | None:
    texts = [_text(f"/proc/{one}/status") for one in family(pid)]
    limit = next((text for text in map(_text, _GROUP_LIMITS) if text), "")
    return of_processes(texts, _text("/proc/meminfo"), limit)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _words(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    if exit_code == tether.CANNOT_START:
        return "could not be started; its output says why"
    return f"ended by signal {exit_code - 128}" if exit_code > 128 else f"ended with code {exit_code}"
