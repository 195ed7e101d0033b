"""A daemon's line to the chain, and the ways in which it can fail.

The rule: a daemon knows of the chain only what came over the line; it looks before each call, never waits for it,
and answers from what it knows when the line is lost or silent, as the real one does.
"""

import contextlib
import json
import socket
import threading
import time
from typing import Any

from gateway.sandbox.ledger import START_HEIGHT, Event, View

SERVER_TIMEOUT = 30.0
"""How long the daemon waits for its server, in seconds; all its other callers wait with it."""

PING_TIMEOUT = 301.0
"""After so many seconds of silence a daemon that nobody made ask its server finds out by itself."""

NEVER_CONNECTED_HEIGHT = 100
"""What a daemon that never met its server tells as the height: that of its built-in checkpoint."""

_CONNECT_TIMEOUT = 5.0


class NoAnswerError(Exception):
    """The server cannot be reached, or said nothing for as long as the daemon waits."""


class ChainLink:
    """The subscription of one daemon, and its questions to the chain.

    Args:
        host: of the chain.
        port: of the chain.
        timeout: how long a question waits for its answer.
        lost: whether the switch of that name is thrown from the start.
    """

    def __init__(self, host: str, port: int, *, timeout: float = SERVER_TIMEOUT, lost: bool = False) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self.view = View(height=NEVER_CONNECTED_HEIGHT)
        self.lost = lost
        """Switch: the connection is gone and does not come back."""
        self.spoke = threading.Event()
        """Set by another thread to end the wait for a lost or silent server at once."""
        if not lost:
            self.spoke.set()
        self._silent_since: float | None = None
        self._noticed = False
        """Whether the daemon has found out that its server is silent."""
        self._unsent: list[dict[str, object]] = []
        """Payments that waited in vain; they go out with the next connection, whatever their callers were told."""
        self._events: list[Event] = []
        self._behind = 0
        self._socket: socket.socket | None = None
        self._partial = b""

    @property
    def connected(self) -> bool:
        """What getinfo calls connected: true also for a server that has gone silent."""
        return self._socket is not None

    @property
    def online(self) -> bool:
        """Whether news can come in, whatever `connected` says."""
        return self.connected and not self.lost and self._silent_since is None

    @property
    def server_height(self) -> int:
        """The height the server told; 0 without a connection, and once its silence was noticed."""
        if self._silent_since is not None:
            self._noticed |= time.monotonic() - self._silent_since > PING_TIMEOUT
        return self.view.height if self.connected and not self._noticed else 0

    def look(self) -> bool:
        """Take in what has arrived and say whether the view has changed; connects first where that is due."""
        if self.lost:
            self._hang_up()
            return False
        if self._silent_since is not None:
            return False
        while self._unsent:
            with contextlib.suppress(OSError, ValueError):
                self._put(self._unsent[0])
            del self._unsent[0]
        if self._socket is None:
            self._connect()
        elif not self._read_waiting():
            return False
        return self._catch_up()

    def fall_silent(self) -> None:
        """Switch: the server takes everything and says nothing."""
        self._silent_since = time.monotonic()

    def stay_behind(self, blocks: int) -> None:
        """Switch: show the chain as it was that many blocks ago; 0 shows all of it again."""
        self._behind = blocks
        self.view = View()
        self._catch_up()
        if blocks:
            # Blocks before the first one the chain told of have no event; only the height shows them missing.
            self.view.height = min(self.view.height, self._tip - blocks)

    def heal(self) -> None:
        """Undo all switches."""
        self.lost = self._noticed = False
        self._silent_since = None
        self.stay_behind(0)

    def ask(self, **question: object) -> dict[str, Any]:
        """One question on a connection of its own; raises NoAnswerError after the time-out.

        A lost server makes its callers wait as long as a silent one.  A broadcast that nobody answered is not
        withdrawn: it goes out when the server is back.
        """
        try:
            if not self.spoke.wait(self.timeout):
                raise TimeoutError
            return self._put(question)
        except ConnectionRefusedError:
            time.sleep(self.timeout)
        except (OSError, ValueError):
            self._noticed = self._silent_since is not None
        if question.get("cmd") == "broadcast":
            self._unsent.append(question)
        raise NoAnswerError

    def _put(self, question: dict[str, object]) -> dict[str, Any]:
        """Ask the chain without regard to switches; raises OSError or ValueError."""
        with socket.create_connection((self.host, self.port), timeout=self.timeout) as line:
            line.sendall(json.dumps(question).encode() + b"\n")
            with line.makefile("rb") as file:
                answer: dict[str, Any] = json.loads(file.readline())
        return answer

    def _connect(self) -> None:
        """Subscribe anew: all events come again, the view is rebuilt from them."""
        try:
            line = socket.create_connection((self.host, self.port), timeout=_CONNECT_TIMEOUT)
        except OSError:
            return
        events, self._events, self._partial = self._events, [], b""
        try:
            line.sendall(b'{"cmd": "subscribe"}\n')
            ready = False
            while not ready:
                received = line.recv(1 << 16)
                if not received:
                    raise ConnectionResetError
                ready = self._take(received)
        except OSError:
            self._events = events
            line.close()
            return
        line.settimeout(0.0)
        self._socket = line
        self.view = View()

    def _read_waiting(self) -> bool:
        """Read what lies in the socket's buffer, without waiting; says whether there was anything."""
        found = False
        while self._socket is not None:
            try:
                received = self._socket.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                received = b""
            if not received:
                self._hang_up()
                break
            self._take(received)
            found = True
        return found

    def _take(self, received: bytes) -> bool:
        """Keep the events in some bytes; says whether the end of the old ones was among them."""
        *lines, self._partial = (self._partial + received).split(b"\n")
        ready = False
        for line in lines:
            told = json.loads(line)
            if "ready" in told:
                ready = True
            else:
                self._events.append(Event.from_json(told))
        return ready

    def _catch_up(self) -> bool:
        """Apply the events that may be shown; says whether there were any."""
        shown = len(self._events)
        if self._behind:
            limit = self._tip - self._behind
            late = (place for place, event in enumerate(self._events) if event.height > limit)
            shown = next(late, shown)
        news = self._events[self.view.revision : shown]
        self.view.apply(news)
        return bool(news)

    @property
    def _tip(self) -> int:
        return max((event.height for event in self._events if event.tx is None), default=START_HEIGHT)

    def _hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
