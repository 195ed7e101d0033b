"""A program that a run starts beside the wallets: a balancer, a Toxiproxy, a resolver.

Rule: it is ended by its own process id, and does not outlive the run even where the run is killed.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.leash import leashed

ROOT = Path(__file__).parents[1]

PATIENCE = 15.0
"""Seconds in which a program listens, or has ended that was told to."""

LOOK = 0.02


class ProgramError(Exception):
    """A program did not start; the text has what it wrote last."""


class Program:
    """One program, started and ended as often as it takes.

    Args:
        name: of its log in the folder.
        command: with its arguments.
        environment: added to our own.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.environment = dict(environment or {})
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        state = f"pid={self.pid}" if self.is_alive else "ended"
        return f"<Program {self.name} {state}>"

    @property
    def pid(self) -> int:
        """Its process, the last one where it has ended."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Start it and, with a port, wait until it listens there; raises ProgramError."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(*self.command),
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if port:
            self._wait(host, port)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self, patience: float = PATIENCE) -> bool:
        """Tell it to stop, and end it the hard way where it does not; return whether it stopped by itself."""
        if self._process is None or not self.is_alive:
            return True
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it the hard way, if it has not ended; may be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _wait(self, host: str, port: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.is_alive and time.monotonic() < end:
            try:
                socket.create_connection((host, port), timeout=1.0).close()
            except OSError:
                time.sleep(LOOK)
            else:
                return
        self.kill()
        raise ProgramError(f"{self.name} does not listen on {host}:{port}; it said: {self.said}")
