"""Daemons that the gateway starts and ends by its `process` launcher; the checker hurts them, and looks on.

Rule: a daemon is known by what it writes down itself and by the kernel, never by the gateway's files; a signal goes to
the process that was meant or to none.
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.sandbox.fleet import PASSWORD_VARIABLE, Fleet
from tests.checker.daemon import births, over
from tests.checker.history import Diary, Life

ROOT = Path(__file__).parents[2]

POLL = 0.02
"""Seconds between two looks at who is there."""

LAST = 10.0
"""Seconds in which a process is gone that was killed."""


@dataclass(eq=False)
class Living:
    """One life of one daemon, as it goes on."""

    daemon: int
    pid: int
    begin: float
    """Seconds since 1970."""
    handle: int
    by_checker: bool = False
    """Whether the checker has ended it."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended; one that stands still is alive."""
        return not self.ended.is_set() and not _has_ended(self.handle)

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still by SIGSTOP."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return self.is_alive and text.rpartition(")")[2].split()[0] in {"T", "t"}

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, number)

    def kill(self) -> None:
        """End it, and return when it is gone."""
        self.by_checker = self.by_checker or self.is_alive
        self.signal(signal.SIGKILL)
        self.ended.wait(LAST)


class Lives:
    """The lives of all daemons of a run: a thread that sees them begin and end, and writes them down."""

    def __init__(self, folder: Path, daemons: int, diary: Diary) -> None:
        """Begin to look."""
        self._folder = folder
        self._diary = diary
        self._read = [0] * daemons
        self._now: list[Living | None] = [None] * daemons
        self._going: list[Living] = []
        self._handles: list[int] = []
        """Closed at the very end, so that a late signal finds nobody else's."""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lives", daemon=True)
        self._thread.start()

    def now(self, daemon: int) -> Living | None:
        """Return the newest life of a daemon, alive or not."""
        return self._now[daemon]

    def close(self) -> None:
        """End all that lives, and whatever begins still; the gateway must be gone by then."""
        over(self._folder).touch()
        end = time.monotonic() + LAST
        quiet_since = time.monotonic()
        # one that wrote itself down before it could see that all is over is found here
        while time.monotonic() < end and time.monotonic() - quiet_since < 0.2:
            for one in list(self._going):
                one.by_checker = True
                one.signal(signal.SIGKILL)
                quiet_since = time.monotonic()
            time.sleep(POLL)
        self._is_over.set()
        self._thread.join()
        while self._handles:
            os.close(self._handles.pop())

    def _run(self) -> None:
        while not self._is_over.wait(POLL):
            for daemon in range(len(self._now)):
                self._see_births(daemon)
            for one in [one for one in self._going if _has_ended(one.handle)]:
                self._going.remove(one)
                self._diary.write(Life(one.daemon, one.pid, one.begin, time.time(), by_checker=one.by_checker))
                one.ended.set()

    def _see_births(self, daemon: int) -> None:
        lines, self._read[daemon] = fresh_lines(births(self._folder, daemon), self._read[daemon])
        for line in lines:
            born = json.loads(line)
            try:
                handle = os.pidfd_open(born["pid"])
            except ProcessLookupError:
                # it ended within these few milliseconds, and nobody could have hurt it
                self._diary.write(Life(daemon, born["pid"], born["at"], time.time()))
                continue
            self._handles.append(handle)
            living = Living(daemon, born["pid"], born["at"], handle)
            self._going.append(living)
            self._now[daemon] = living


class LaunchedFleet(Fleet):
    """A chain and daemons that are started here once, for their ports and their wallets, and by the gateway from then.

    The verbs of `Fleet` go on to work, but for `start`: that is the gateway's now.
    """

    def __init__(self, n: int, directory: Path, *, diary: Diary, **more: Any) -> None:
        self._diary = diary
        self._lives: Lives | None = None
        self._loads = [Loads(directory / f"journal-{index}.jsonl") for index in range(n)]
        super().__init__(n, directory, **more)

    @property
    def lives(self) -> Lives:
        """Who lives; only once the daemons were handed over."""
        if self._lives is None:
            raise RuntimeError("the daemons are not the gateway's yet")
        return self._lives

    def hand_over(self) -> None:
        """End all daemons in the way that saves their wallets; the gateway starts them next."""
        for index in range(len(self)):
            self.rpc(index, "stop")
            self.wait_end(index)
        self._lives = Lives(self.directory, len(self), self._diary)

    def launcher(self, index: int) -> dict[str, Any]:
        """Return the gateway's settings for starting a daemon."""
        options = {
            "port": self.port(index),
            "control": self.control_port(index),
            "chain": f"127.0.0.1:{self.chain_port}",
            "data": self.directory / f"wallet-{index}",
            "seed": self._seed,
            "user": self.user,
            "password-env": PASSWORD_VARIABLE,
            "journal": self.journal_path(index),
            "server-timeout": self._server_timeout,
            "sync-delay": self._sync_delay,
        }
        words = [str(os.getpid()), str(self.directory), str(index), *(f"--{name}={it}" for name, it in options.items())]
        return {
            "kind": "process",
            "command": [sys.executable, "-m", "tests.checker.daemon", *words],
            "output": str(self.directory / f"output-{index}"),
            "cwd": str(ROOT),
            "env": {PASSWORD_VARIABLE: self.password},
        }

    def is_back(self, index: int, since: float) -> bool:
        """Whether a daemon runs and, if its life began after a time (seconds since 1970), has its wallet."""
        one = self.lives.now(index)
        if one is None or not one.is_alive or one.is_stopped:
            return False
        return one.begin < since or self._loads[index].last() >= one.begin

    # What `Fleet` does with its children

    def pid(self, index: int) -> int:
        """The process of a daemon, the last one where it has ended."""
        one = self.lives.now(index)
        if one is None:
            raise RuntimeError(f"daemon {index} was never started by the gateway")
        return one.pid

    def is_alive(self, index: int) -> bool:
        """Whether the process of a daemon runs, frozen or not."""
        one = self.lives.now(index)
        return one is not None and one.is_alive

    def start(self, index: int) -> None:
        """Refuse."""
        raise RuntimeError(f"daemon {index} is started by the gateway")

    def stop(self) -> None:
        """End everything; may be called twice.  The gateway is gone by then."""
        if self._lives is not None:
            self._lives.close()
        super().stop()


class Loads:
    """When the wallet of a daemon was loaded last, by its journal, which is read on and on."""

    def __init__(self, path: Path) -> None:
        """Have read nothing."""
        self._path = path
        self._read = 0
        self._last = 0.0

    def last(self) -> float:
        """Return the time of the last load that went well, seconds since 1970; 0.0 before the first."""
        lines, self._read = fresh_lines(self._path, self._read)
        for line in lines:
            if b'"load_wallet"' in line:
                row = json.loads(line)
                if row["method"] == "load_wallet" and row.get("result") is True:
                    self._last = row["time"]
        return self._last


def fresh_lines(path: Path, read: int) -> tuple[list[bytes], int]:
    """Return the whole lines of a file from a place on, and the place after them; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(read)
            found = file.read()
    except FileNotFoundError:
        return [], read
    whole = found[: found.rfind(b"\n") + 1]
    return whole.splitlines(), read + len(whole)


def _has_ended(handle: int) -> bool:
    return bool(select.select([handle], [], [], 0)[0])
