"""The wire: one call, one connection, opened with the whole request in hand.

Rule: a connection is never idle, spare or shared while a daemon is serial; whether any byte was handed to the
socket is known exactly, and said of every end.

`outcome.py` has the table of all ends, `connection.py` what comes over a connection.

Deadlines are looked after by one coarse sweep over the living exchanges: a timer per call would cost more
than everything else here.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from gateway.base.heads import KnownHeads
from gateway.upstream.connection import Connection
from gateway.upstream.outcome import Fate, OnEnd, Outcome
from gateway.upstream.plain import PlainTransport
from gateway.upstream.resolver import Lookup, Resolver, system_lookup
from gateway.upstream.target import Target

__all__ = ["NEVER", "Exchange", "Fate", "Outcome", "Target", "Wire"]

SWEEP: Final = 0.005
"""Seconds between two looks at the deadlines."""

IDLE_FOR: Final = 10.0
"""Seconds that a kept connection may be idle; below every server's own limit."""

IDLE_MOST: Final = 256
"""Kept connections for each way: as many as a daemon may have slots, so that no busy one is closed and made anew."""

JUST: Final = 0.05
"""Seconds after an answer for which nobody asks the kernel whether a connection that was kept more than once is still
there: it costs a fiftieth of a call, and a daemon that keeps connections closes none so soon without a word."""

WARY_FOR: Final = 60.0
"""Seconds for which it is asked about every one of them, since one was closed, or spoke unasked, so soon all the same:
each read that goes out on such a one has to be repeated, and repeats are counted."""

LOOK: Final = 1.0
"""Seconds between two looks when nothing but kept connections is there."""

NEVER: Final = float("inf")

ANSWERED: Final[Fate] = Fate.ANSWERED
NOT_SENT: Final[Fate] = Fate.NOT_SENT
UNKNOWN: Final[Fate] = Fate.UNKNOWN
"""At hand without a look into the class."""

LOCAL: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EADDRNOTAVAIL, errno.EADDRINUSE}
)
"""Errors of connecting that are this machine's; EADDRNOTAVAIL is what Linux says when no port is left."""


CONNECTED: Final = frozenset({0, errno.EISCONN})
"""What asking again for a connection says once it is there."""


class Exchange:
    """One call on the wire."""

    __slots__ = (
        "_protocol", "_request", "_task", "address", "connected_at", "expires_at", "is_over", "is_sound", "on_end",
        "reused", "sent", "sent_at", "started_at", "target", "told", "whole_at", "wire",
    )  # fmt: skip

    def __init__(self, wire: "Wire", target: Target, request: bytes, whole: float, on_end: OnEnd, now: float) -> None:
        """Begin; nothing is connected yet."""
        self.wire = wire
        self.target = target
        self.on_end = on_end
        self.sent = False
        """True from just before the first byte is handed to the socket."""
        self.started_at = now
        self.connected_at = self.sent_at = 0.0
        self.reused = False
        self.is_over = False
        self.is_sound = True
        """Whoever hears the end says False where the answer was not to this call: the next one would be off as well."""
        self.address = ""
        """What is dialled; "" while a name is being looked up."""
        self.told: bytes | None = None
        """The header that the wire wants to know, once an answer has brought it."""
        self.whole_at = now + whole
        self.expires_at = now + min(whole, wire.connect)
        self._request = request
        self._task: asyncio.Task[None] | None = None
        self._protocol: Connection | None = None

    def __repr__(self) -> str:
        """Status line."""
        state = "over" if self.is_over else "sent" if self.sent else "connecting"
        return f"<Exchange {self.target.host}:{self.target.port} {state}>"

    def abort(self) -> None:
        """Give up now; `on_end` hears of it from the loop, with NOT_SENT if no byte was written."""
        self.wire.loop.call_soon(self.end, UNKNOWN if self.sent else NOT_SENT, "aborted")
        if not self.sent:
            self._request = b""

    def write_to(self, connection: "Connection", now: float) -> None:
        """Hand the whole request to a connection in one write."""
        if self.is_over:
            connection.drop()
            return
        if not self._request:
            connection.drop()
            self.end(NOT_SENT, "aborted")
            return
        if self.wire.may_send is not None and not self.wire.may_send():
            connection.drop()
            self.wire.loop.call_soon(self.end, NOT_SENT, "not_held")
            return
        transport = connection.transport
        if transport is None or transport.is_closing():
            self.end(NOT_SENT, "closed")
            return
        self._protocol = connection
        connection.exchange = self
        # whoever connected has done his work; cancelled by an answer that overtakes him, he would close what is kept
        self._task = None
        self.connected_at = self.connected_at or now
        self.sent, self.sent_at = True, now
        self.expires_at = self.whole_at
        transport.write(self._request)
        if transport.get_write_buffer_size():
            connection.is_writing = True
            self.expires_at = min(self.whole_at, now + self.wire.write)

    def expire(self) -> None:
        """End it because its time is up."""
        if not self.sent:
            reason = "timeout" if self.expires_at >= self.whole_at else "connect_timeout"
            if self.target.is_name and self.address:
                self.wire.resolver.failed(self.target.host, self.address)
            self.end(NOT_SENT, reason)
        elif self._protocol is not None and self._protocol.is_writing:
            self.end(UNKNOWN, "write_timeout")
        else:
            self.end(UNKNOWN, "timeout")

    def end(
        self, fate: Fate, reason: str, status: int = 0, body: bytes = b"", first_byte_at: float = 0.0, now: float = 0.0
    ) -> None:  # fmt: skip
        """Report the end once and let go of everything; `now` is loop time where it was just asked for."""
        if self.is_over:
            return
        self.is_over = True
        wire = self.wire
        wire.live.discard(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        connection, self._protocol = self._protocol, None
        if connection is not None and fate is not ANSWERED:
            connection.release(keep=False)
        self._request = b""
        now = now or wire.now()
        outcome = Outcome(
            fate, reason, status, body, self.reused, self.connected_at, self.sent_at, first_byte_at, now
        )  # fmt: skip
        # whoever listens holds this exchange: let go of him, or each call leaves a cycle for the collector
        on_end, self.on_end = self.on_end, _nobody
        try:
            on_end(outcome)
        except Exception as error:  # noqa: BLE001 - one listener's fault must not reach the others
            wire.loop.call_exception_handler({"message": "on_end of an exchange failed", "exception": error})
        if connection is not None and fate is ANSWERED:
            # closing costs as much as answering: whoever waits for the answer goes first
            connection.release(keep=self.is_sound, now=now)


class Wire:
    """Opens connections to backends.

    Args:
        connect, write: seconds for these steps.
        max_head, max_body: bytes that an answer may have.
        resolve_ttl: seconds that a looked-up name counts.
        may_send: asked just before the first byte of each call; False keeps it from being sent.  None allows all.
        lookup: asks for names; the system's by default.
        idle_for: seconds that a kept connection may be idle.
        wanted: name of a header of answers that exchanges keep, in small letters; its peers never send two heads alike.
    """

    def __init__(
        self,
        *,
        connect: float,
        write: float,
        max_head: int,
        max_body: int,
        resolve_ttl: float,
        lookup: Lookup = system_lookup,
        loop: asyncio.AbstractEventLoop | None = None,
        may_send: Callable[[], bool] | None = None,
        idle_for: float = IDLE_FOR,
        wanted: bytes = b"",
    ) -> None:
        """Begin with no connection; must be made on a running loop unless one is given."""
        self.loop = loop or asyncio.get_running_loop()
        self.now: Callable[[], float] = self.loop.time
        self.connect = connect
        self.write = write
        self.max_head = max_head
        self.max_body = max_body
        self.may_send = may_send
        self.idle_for = idle_for
        self.wanted = wanted
        self.resolver = Resolver(resolve_ttl, lookup)
        self.heads: KnownHeads[tuple[int, bool]] = KnownHeads()
        """Status of each, and whether its connection may be kept."""
        self.live: set[Exchange] = set()
        self.opened = 0
        self.reused = 0
        self._idle: dict[str, list[Connection]] = {}
        """By the way of their targets, which they hold, so that no other can have its name."""
        self._wary_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sweeps_at = NEVER
        """When the timer will ring."""
        self._is_closed = False

    def send(
        self, target: Target, body: bytes, *, whole: float, reuse: bool, on_end: OnEnd, more: bytes = b""
    ) -> Exchange:
        """Send one call; `on_end` is called exactly once, from the loop and never from in here.

        Args:
            whole: seconds from now until the exchange ends in any case.
            reuse: the call is a read, so a kept connection may carry it where the target allows that.
            more: header lines of this call alone, as `Target.request` takes them.
        """
        keep = reuse and target.keep_alive
        now = self.now()
        exchange = Exchange(self, target, target.request(body, keep=keep, more=more), whole, on_end, now)
        if self._is_closed or (self.may_send is not None and not self.may_send()):
            # not at once: whoever tries again and again must not keep the loop from its last work
            reason = "aborted" if self._is_closed else "not_held"
            self.loop.call_later(SWEEP, exchange.end, NOT_SENT, reason)
            return exchange
        self.live.add(exchange)
        if self._sweeps_at > now + SWEEP:
            self._sweep_at(now + SWEEP)
        connection = self._take_idle(target, now) if keep else None
        if connection is not None:
            exchange.reused = True
            self.reused += 1
            exchange.write_to(connection, now)
        elif not self._connect_now(exchange, keep=keep):
            exchange._task = self.loop.create_task(self._connect(exchange, keep=keep))  # noqa: SLF001 - one unit, two classes
        return exchange

    async def close(self) -> None:
        """End everything that is on the wire and close what is idle; what is sent after this is given up unsent."""
        self._is_closed = True
        tasks = [exchange._task for exchange in self.live if exchange._task is not None]  # noqa: SLF001 - one unit, two classes
        for exchange in list(self.live):
            exchange.end(UNKNOWN if exchange.sent else NOT_SENT, "aborted")
        for connections in list(self._idle.values()):
            for connection in list(connections):
                connection.drop()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._sweeps_at = None, NEVER
        self.resolver.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):
            # a transport that is given up tells its protocol one turn later, one over TLS two
            await asyncio.sleep(0)

    @property
    def idle(self) -> int:
        """How many kept connections wait for a read."""
        return sum(len(connections) for connections in self._idle.values())

    def _connect_now(self, exchange: Exchange, *, keep: bool) -> bool:
        """Connect and write in this very turn, where the kernel can; return False where that has to be waited for.

        For a connection of one call.  One that carries many is the loop's own (`_connect`), which costs more to make
        and less for each answer.

        Never ends the exchange from in here: what goes wrong is told from the loop.
        """
        target = exchange.target
        if keep or target.is_name or target.tls is not None:
            return False
        exchange.address = target.host
        try:
            sock = _socket(target.host)
        except OSError as error:
            self.loop.call_soon(self._not_connected, exchange, error)
            return True
        code = sock.connect_ex((target.host, target.port))
        if code == errno.EINPROGRESS:
            # on loopback it is done by now, and asking again costs less than a turn of the loop
            code = sock.connect_ex((target.host, target.port))
        if code in CONNECTED:
            self._attach(exchange, sock)
        elif code in (errno.EINPROGRESS, errno.EALREADY):
            exchange._task = task = self.loop.create_task(self._connect(exchange, keep=False, sock=sock))  # noqa: SLF001 - one unit, two classes
            # one that is given up before its first step closes nothing itself
            task.add_done_callback(lambda done: sock.close() if done.cancelled() else None)
        else:
            sock.close()
            self.loop.call_soon(self._not_connected, exchange, OSError(code, os.strerror(code)))
        return True

    async def _connect(self, exchange: Exchange, *, keep: bool, sock: socket.socket | None = None) -> None:
        """Open one connection to one address and write the request; `sock` is one that connects already."""
        target = exchange.target
        is_loops_own = keep or target.tls is not None
        try:
            host = exchange.address = await self._address(target)
        except (OSError, UnicodeError):
            exchange._task = None  # noqa: SLF001 - one unit, two classes
            exchange.end(NOT_SENT, "resolve")
            return
        try:
            sock = sock or _socket(host)
            await _until_connected(self.loop, sock, (host, target.port))
            if is_loops_own:
                await self.loop.create_connection(
                    lambda: cast("asyncio.Protocol", Connection(self, target, keep=keep, first=exchange)),
                    sock=sock,
                    ssl=target.tls,
                    server_hostname=None if target.tls is None else target.host,
                )
        except (OSError, ssl.SSLError) as error:
            if sock is not None:
                sock.close()
            self._not_connected(exchange, error)
            return
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        exchange._task = None  # noqa: SLF001 - one unit, two classes
        if not is_loops_own:
            self._attach(exchange, sock)

    def _attach(self, exchange: Exchange, sock: socket.socket) -> None:
        """Make a connection for one call of a connected socket; its request goes out at once."""
        connection = Connection(self, exchange.target, keep=False, first=exchange)
        transport = PlainTransport(self.loop, sock, connection)
        connection.connection_made(cast("asyncio.Transport", transport))
        transport.start()

    def _not_connected(self, exchange: Exchange, error: OSError) -> None:
        exchange._task = None  # noqa: SLF001 - one unit, two classes
        reason = _reason(error)
        if exchange.target.is_name and reason != "local":
            self.resolver.failed(exchange.target.host, exchange.address)
        exchange.end(NOT_SENT, reason)

    async def _address(self, target: Target) -> str:
        if not target.is_name:
            return target.host
        return await self.resolver.address(target.host, target.port)

    # -- kept connections ---------------------------------------------------------------------------------

    def _take_idle(self, target: Target, now: float) -> Connection | None:
        connections = self._idle.get(target.way)
        while connections:
            connection = connections.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            idle = now - connection.idle_since
            is_just = idle < JUST and connection.kept > 1 and now >= self._wary_until
            if is_just or (idle < self.idle_for and connection.is_quiet()):
                return connection
            if idle < JUST:
                self.be_wary(now)
            connection.drop()
        return None

    def saw_end(self, connection: Connection, exchange: Exchange | None) -> None:
        """Hear that a daemon has closed a kept connection, while it was idle or before it answered the next call."""
        now = self.now()
        if (now if exchange is None else exchange.sent_at) - connection.idle_since < JUST:
            self.be_wary(now)

    def be_wary(self, now: float) -> None:
        """Hear that a kept connection ended without a word, or spoke unasked, so soon that nobody would have looked."""
        self._wary_until = now + WARY_FOR

    def keep(self, connection: Connection, now: float) -> bool:
        """Keep a connection for the next read; False when there are enough."""
        if self._is_closed:
            return False
        connections = self._idle.setdefault(connection.target.way, [])
        if len(connections) >= IDLE_MOST:
            return False
        connection.idle_since = now
        connection.kept += 1
        connections.append(connection)
        if self._sweeps_at > now + LOOK:
            self._sweep_at(now + LOOK)
        return True

    def forget(self, connection: Connection) -> None:
        """Hear that a connection ended."""
        connections = self._idle.get(connection.target.way)
        if connections and connection in connections:
            connections.remove(connection)
        if not connections:
            self._idle.pop(connection.target.way, None)

    def _sweep_at(self, moment: float) -> None:
        """Have the sweep run at a moment, instead of a later one; there is only one timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._sweeps_at = self.loop.call_at(moment, self._sweep), moment

    def _sweep(self) -> None:
        """End what is late, close what was idle too long."""
        self._timer, self._sweeps_at = None, NEVER
        now = self.now()
        for exchange in list(self.live):
            if exchange.expires_at <= now:
                exchange.expire()
            elif exchange.sent_at and now - exchange.sent_at >= LOOK and exchange._protocol is not None:  # noqa: SLF001 - one unit
                exchange._protocol.watch_over()  # noqa: SLF001 - the same
        for connections in self._idle.values():
            for connection in [one for one in connections if now - one.idle_since >= self.idle_for]:
                connection.drop()
        # a listener may have sent something meanwhile, which has set the timer already
        if self.live and self._sweeps_at > now + SWEEP:
            self._sweep_at(now + SWEEP)
        elif self.idle and self._sweeps_at > now + LOOK:
            self._sweep_at(now + LOOK)


def _nobody(_outcome: Outcome) -> None:
    """Listen to an exchange that has ended."""


def _socket(host: str) -> socket.socket:
    """Return a non-blocking socket for a numeric address.  Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


async def _until_connected(loop: asyncio.AbstractEventLoop, sock: socket.socket, address: tuple[str, int]) -> None:
    """Connect a socket to a numeric address, as the loop's `sock_connect` does.  Raises OSError.

    uvloop's own looks even numbers up in its few threads, and waits there behind names that nobody tells.
    """
    code = sock.connect_ex(address)
    if code in (errno.EINPROGRESS, errno.EALREADY):
        writable = asyncio.Event()
        loop.add_writer(sock.fileno(), writable.set)
        try:
            await writable.wait()
        finally:
            # before whoever was cancelled closes it, for its number may be another's then
            loop.remove_writer(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code not in CONNECTED:
        raise OSError(code, os.strerror(code))


def _reason(error: OSError | ssl.SSLError) -> str:
    """Translate how a connection could not be made."""
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "tls" if error.errno is None else "closed"
    if error.errno in LOCAL:
        return "local"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    return "unreachable"
