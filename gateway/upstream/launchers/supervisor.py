"""Supervisor: the daemon is a program of supervisord, spoken to by XML-RPC.

Rule: supervisord's own `autorestart` may bring the daemon back; that is a new life like any other, and while it is
about to, it is left to it.  XML that declares anything is not read: entities are how a small answer fills the memory.
"""

import base64
import xmlrpc.client
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from gateway.base.section import Section
from gateway.upstream.launchers import LauncherError, Memory, OnDeath, State, Status
from gateway.upstream.launchers.children import started_at
from gateway.upstream.launchers.common import Common, Finding, Flight, until
from gateway.upstream.launchers.files import look_at_socket, read_file, write_file
from gateway.upstream.launchers.http import Answer, Door
from gateway.upstream.launchers.process import memory_of
from gateway.upstream.launchers.tether import identity

_BAD_NAME, _NOT_RUNNING, _ALREADY_STARTED = 10, 70, 60
"""Faults of supervisord that are answers."""

_STATES = {
    "STOPPED": State.EXITED,
    "STARTING": State.STARTING,
    "RUNNING": State.RUNNING,
    "BACKOFF": State.STARTING,
    "STOPPING": State.RUNNING,
    "EXITED": State.EXITED,
    "FATAL": State.EXITED,
}


class Own(Section):
    """Keys of a supervisor launcher; its password is the shared key."""

    url: Annotated[str, Field(pattern=r"^(unix:///.+|https?://[^/@]+/?)$")]
    """unix:///run/supervisor.sock, or http://127.0.0.1:9001."""
    program: Annotated[str, Field(min_length=1)]
    """NAME or GROUP:NAME, as `supervisorctl status` shows it."""
    username: str = ""

    @model_validator(mode="after")
    def _name_is_plain(self) -> "Own":
        if self.program.endswith("*"):
            raise ValueError("program must be one program, not a group; write GROUP:NAME")
        return self


class FaultError(Exception):
    """Supervisord refused, with a number."""

    def __init__(self, code: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.code = code


class SupervisorLauncher:
    """Starts and stops one program."""

    kind = "supervisor"
    takes_along = False

    def __init__(self, own: Own, common: Common) -> None:
        """Connect to nothing yet."""
        proof = base64.b64encode(f"{own.username}:{common.password}".encode()).decode()
        has_proof = bool(own.username or common.password)
        self._door: Final = Door(
            own.url, key="launcher.url", timeout=common.timeout, authorization=f"Basic {proof}" if has_proof else ""
        )
        self._own: Final = own
        self._common: Final = common
        self._flight: Final = Flight(common)

    def __repr__(self) -> str:
        return f"<SupervisorLauncher {self._own.program} at {self._own.url}>"

    # What it is doing

    async def status(self) -> Status:
        """Ask supervisord; a program that it does not know is ABSENT."""
        try:
            info = await self._call("getProcessInfo", repeat=True)
        except FaultError as fault:
            if fault.code == _BAD_NAME:
                return Status(State.ABSENT, detail=f"supervisord knows no program {self._own.program}")
            raise self._refused("status", fault) from fault
        return _read(info)

    async def memory(self) -> Memory | None:
        """Look at the process, where it is on this machine."""
        instance = (await self.status()).instance
        pid, _, start = instance.partition(":")
        if not instance:
            return None
        try:
            began = started_at(identity(int(pid)))
        except OSError:
            return None
        # the same number on another machine, or in another container, began at another time
        is_it = began is not None and abs(began - float(start)) < 5.0
        return await memory_of(int(pid)) if is_it else None

    # Orders

    async def start(self) -> None:
        """Start it; one that runs is left alone, and a stopped (SIGSTOP) one is let go on."""
        await self._flight.once("start", self._start, limit=self._common.timeout)

    async def stop(self, grace: float) -> None:
        """Send its stop signal, and SIGKILL after `grace` seconds, or sooner where supervisord is set so."""
        await self._flight.once("stop", lambda: self._stop(grace), limit=grace + self._common.timeout)

    async def kill(self) -> None:
        """SIGKILL to the process."""
        await self._flight.once("kill", self._kill, limit=self._common.timeout)

    async def _start(self) -> None:
        match (await self._there()).state:
            case State.RUNNING:
                await self._order("signalProcess", "CONT", fine=(_NOT_RUNNING,))
            case State.EXITED | State.UNKNOWN:
                # without waiting for its `startsecs`: whether it serves is seen by its RPC
                await self._order("startProcess", False, fine=(_ALREADY_STARTED,))  # noqa: FBT003 - by position only

    async def _stop(self, grace: float) -> None:
        before = await self._there()
        if before.state is State.EXITED:
            return
        # SIGTERM waits with a stopped process for ever
        await self._order("signalProcess", "CONT", fine=(_NOT_RUNNING,))
        await self._order("stopProcess", False, fine=(_NOT_RUNNING,))  # noqa: FBT003 - by position only
        end = self._common.loop.time() + grace

        async def is_gone_or_late() -> bool:
            return await self._is_gone(before.instance) or self._common.loop.time() >= end

        await until(is_gone_or_late)
        if not await self._is_gone(before.instance):
            await self._order("signalProcess", "KILL", fine=(_NOT_RUNNING,))
            await until(lambda: self._is_gone(before.instance))

    async def _kill(self) -> None:
        before = await self._there()
        if before.instance:
            await self._order("signalProcess", "KILL", fine=(_NOT_RUNNING,))
            await until(lambda: self._is_gone(before.instance))

    # Files

    async def read_wallet(self, path: str) -> bytes:
        """Return a file, where supervisord is on this machine."""
        self._is_local()
        return await read_file(path)

    async def write_wallet(self, path: str, content: bytes) -> None:
        """Replace a file, where supervisord is on this machine and the program does not run."""
        self._is_local()
        await self._flight.once("write", lambda: self._write(path, content), limit=self._common.timeout)

    async def _write(self, path: str, content: bytes) -> None:
        state = (await self._there()).state
        if state is not State.EXITED:
            raise LauncherError(f"{self._own.program} is {state}; stop it before a file of it is replaced")
        await write_file(path, content)

    def _is_local(self) -> None:
        if not self._own.url.startswith("unix:"):
            raise LauncherError(
                "files of a daemon are reached only where launcher.url is a socket of this machine; copy them by hand",
                may_pass=False,
            )

    # Deaths

    def watch(self, on_death: OnDeath) -> None:
        """Do nothing: supervisord tells of deaths to its own children alone."""

    async def close(self) -> None:
        """Close the connections; the program goes on."""
        await self._flight.close()
        await self._door.close()

    # Inside

    async def _there(self) -> Status:
        status = await self.status()
        if status.state is State.ABSENT:
            message = f"supervisord knows no program {self._own.program}; correct launcher.program, or add it there"
            raise LauncherError(message, may_pass=False)
        return status

    async def _is_gone(self, instance: str) -> bool:
        return (await self.status()).instance != instance or not instance

    async def _order(self, method: str, *more: object, fine: tuple[int, ...]) -> None:
        try:
            await self._call(method, *more, repeat=False)
        except FaultError as fault:
            if fault.code not in fine:
                raise self._refused(method, fault) from fault

    async def _call(self, method: str, *more: object, repeat: bool) -> Any:
        # every method that is used here begins with the program's name
        words: Any = (self._own.program, *more)
        body = xmlrpc.client.dumps(words, f"supervisor.{method}").encode()
        head = {"Content-Type": "text/xml"}
        return _result(await self._door.ask("POST", "/RPC2", repeat=repeat, data=body, headers=head), self._own.url)

    def _refused(self, method: str, fault: FaultError) -> LauncherError:
        return LauncherError(
            f"supervisord refused {method} of {self._own.program}: {fault}; look at its log", may_pass=True
        )


def look(own: Own) -> list[Finding]:
    """Return what this machine lacks of what the keys name."""
    return look_at_socket("url", own.url)


def _result(answer: Answer, url: str) -> Any:
    """Return the value of an XML-RPC answer.

    Raises:
        FaultError: supervisord says no.
        LauncherError: this is no answer of supervisord.
    """
    if answer.status in (401, 403):
        raise LauncherError(
            f"{url} takes no such name and password; correct launcher.username and .password", may_pass=False
        )
    # supervisord writes UTF-8; with other encodings the words looked for could be hidden
    is_plain = not any(word in answer.body for word in (b"<!", b"\0")) and len(answer.body) < 1 << 20
    if answer.status != 200 or not is_plain:
        message = f"what answers at {url} is no supervisord (status {answer.status}); correct launcher.url"
        raise LauncherError(message, may_pass=False)
    try:
        values, _ = xmlrpc.client.loads(answer.body)
    except xmlrpc.client.Fault as fault:
        raise FaultError(fault.faultCode, str(fault.faultString)) from fault
    except Exception as error:  # the parser raises whatever the text makes it
        message = f"what answers at {url} is no supervisord: {type(error).__name__}; correct launcher.url"
        raise LauncherError(message, may_pass=False) from error
    return values[0] if values else None


def _read(info: Any) -> Status:
    """Read an answer of getProcessInfo.  Raises LauncherError where its numbers are none."""
    if not isinstance(info, dict):
        return Status(State.UNKNOWN, detail="supervisord said nothing of it")
    name = str(info.get("statename", ""))
    state = _STATES.get(name, State.UNKNOWN)
    pid, start = info.get("pid", 0), info.get("start", 0)
    if not isinstance(pid, int) or not isinstance(start, int | float):
        raise LauncherError("what answers is no supervisord: pid or start is no number; look at launcher.url")
    # one that is being started or stopped has a process too
    is_alive = bool(pid) and name in ("STARTING", "RUNNING", "STOPPING")
    detail = str(info.get("spawnerr") or "") or ("stopping" if name == "STOPPING" else "")
    return Status(
        state,
        instance=f"{pid}:{start}" if is_alive else "",
        started_at=float(start) if is_alive else None,
        exit_code=info.get("exitstatus") if name == "EXITED" else None,
        detail=detail,
    )
