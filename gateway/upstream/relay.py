"""HTTP from gateway to gateway, over kept connections; what goes wrong on the way becomes a Broken here.

Rule: nothing is repeated here, and a call counts as sent as soon as it may have been.

A call that may be repeated goes over the same wire as calls to daemons do, whole and in one write: it costs a fraction
of what a client for everything costs, and the wire knows whether a byte was handed to the socket.

A careful call asks first (`Expect: 100-continue`), with aiohttp: its body follows when the other gateway has let it in.
Without its body no call is run.  So a gateway that is frozen, or that closes a kept connection as a call comes, has not
got it, and that is known: only a call that was let in can have an unknown outcome.  It costs a second way there and
back, which money is worth.

What aiohttp can tell about that: its hook `on_request_chunk_sent` comes just before the first byte of the body is
handed to the transport, and not after it.  The classes of its errors prove nothing (a connection that broke before the
write and one that broke after it raise the same), so they only name what happened.
"""

import asyncio
import io
import ssl
from collections.abc import Mapping
from types import SimpleNamespace

import aiohttp
from aiohttp.tracing import TraceConfig

from gateway.rules.forward import ANSWER, BROKEN, OVERSIZED, REFUSED
from gateway.rules.retry import Sent
from gateway.upstream.target import Target
from gateway.upstream.wire import NEVER, Exchange, Fate, Outcome, Wire

LARGE = 1 << 20
"""Bytes from which aiohttp wants a body as a file, to write it in pieces."""

REFUSALS = frozenset({400, 401, 403, 404, 405, 411, 413, 417, 421, 431})
"""What is said instead of running a call, be it by a gateway, a proxy or something else that listens there."""

MOST_ADDRESSES = 64
"""URLs that are kept parsed."""

MAX_HEAD = 8192
"""Bytes that the head of an answer may have; ours has a tenth of that."""

NAME_COUNTS = 10.0
"""Seconds that a looked-up name of a gateway counts."""


class Sending:
    """A call under way.

    Args:
        careful: the body waits until the other gateway asks for it.
    """

    __slots__ = ("careful", "exchange", "gone")

    def __init__(self, *, careful: bool) -> None:
        """Nothing is sent yet."""
        self.careful = careful
        self.gone = False
        """Whether the body of a careful call may be on its way."""
        self.exchange: Exchange | None = None
        """Of a call that is not careful, on the wire."""

    @property
    def sent(self) -> bool:
        """Whether the other gateway may have what it needs to run the call."""
        return self.gone or (self.exchange is not None and self.exchange.sent)


class Arrived:
    """An answer, whole; `told` is its header ANSWER, which the asker has to check."""

    __slots__ = ("body", "told")

    def __init__(self, body: bytes, told: str | None) -> None:
        """Keep both."""
        self.body = body
        self.told = told


class Broken:
    """No answer; `sent` is what is known, `reason` a few words, `detail` for the log."""

    __slots__ = ("detail", "reason", "sent")

    def __init__(self, sent: Sent, reason: str, detail: str) -> None:
        """Keep all three."""
        self.sent = sent
        self.reason = reason
        self.detail = detail


class Relay:
    """The way to all other gateways.

    Args:
        connect: seconds to connect.
        max_body: bytes of an answer.
        keep: seconds that an idle connection is kept; less than the doors of the others keep theirs.
        context: what https addresses are checked by, None for the system's certificates.
    """

    def __init__(self, *, connect: float, max_body: int, keep: float, context: ssl.SSLContext | None = None) -> None:
        """Nothing is connected yet."""
        self.connect = connect
        self._max_body = max_body
        self._keep = keep
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._wire: Wire | None = None
        self._targets: dict[str, Target] = {}

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, sending: Sending) -> Arrived | Broken:
        """Send one call and read its answer; whoever is tired of waiting cancels it and looks at `sending`.

        Raises:
            ValueError: a header holds a line end.
        """
        return await (self._ask if sending.careful else self._tell)(url, headers, body, sending)

    async def close(self) -> None:
        """Close all connections; calls under way end."""
        session, self._session = self._session, None
        wire, self._wire = self._wire, None
        if session is not None:
            await session.close()
        if wire is not None:
            await wire.close()

    # -- what may be repeated ---------------------------------------------------------------------------------

    async def _tell(self, url: str, headers: Mapping[str, str], body: bytes, sending: Sending) -> Arrived | Broken:
        """Send a call at once, whole."""
        wire = self._wire = self._wire or Wire(
            connect=self.connect, write=NEVER, max_head=MAX_HEAD, max_body=self._max_body, resolve_ttl=NAME_COUNTS,
            idle_for=self._keep, wanted=ANSWER.lower().encode(),
        )  # fmt: skip
        ended: asyncio.Future[Outcome] = wire.loop.create_future()
        exchange = sending.exchange = wire.send(
            self._target(url), body, whole=NEVER, reuse=True, more=_lines(headers),
            on_end=lambda outcome: None if ended.done() else ended.set_result(outcome),
        )  # fmt: skip
        try:
            outcome = await ended
        except asyncio.CancelledError:
            exchange.abort()
            raise
        if outcome.fate is not Fate.ANSWERED:
            sent = Sent.NO if outcome.fate is Fate.NOT_SENT else Sent.UNKNOWN
            return Broken(sent, OVERSIZED if outcome.reason == "oversized" else BROKEN, outcome.reason)
        if exchange.told is not None:
            return Arrived(outcome.body, exchange.told.decode("utf-8", "surrogateescape"))
        detail = f"HTTP {outcome.status}, {len(outcome.body)} bytes"
        if outcome.status in REFUSALS:
            return Broken(Sent.NO, REFUSED, detail)
        return Broken(Sent.UNKNOWN, BROKEN, detail)

    def _target(self, url: str) -> Target:
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= MOST_ADDRESSES:
                self._targets.clear()
            if self._context is None and url.startswith("https:"):
                # one for all: to read the certificates of a system takes a fortieth of a second
                self._context = ssl.create_default_context()
            target = self._targets[url] = Target.make(url, "", "", keep_alive=True, context=self._context)
        return target

    # -- what may not -----------------------------------------------------------------------------------------

    async def _ask(self, url: str, headers: Mapping[str, str], body: bytes, sending: Sending) -> Arrived | Broken:
        """Send the head of a call, and its body when it is let in."""
        try:
            async with self._opened().post(
                url, data=io.BytesIO(body) if len(body) >= LARGE else body, headers=headers,
                expect100=True, allow_redirects=False, trace_request_ctx=sending,
            ) as answer:  # fmt: skip
                return await self._read(answer, sending)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            detail = f"{type(error).__name__}: {error}"[:200]
            return Broken(Sent.UNKNOWN if sending.sent else Sent.NO, BROKEN, detail)

    async def _read(self, answer: aiohttp.ClientResponse, sending: Sending) -> Arrived | Broken:
        told, length = answer.headers.get(ANSWER), answer.content_length
        if told is not None and length is not None and length <= self._max_body:
            return Arrived(await answer.read(), told)
        # what is not wholly read is not kept
        answer.close()
        detail = f"HTTP {answer.status}, {length} bytes"
        if told is not None:
            return Broken(Sent.UNKNOWN, OVERSIZED, detail)
        # after the body of a careful call such an answer comes from nobody we know
        reason = REFUSED if answer.status in REFUSALS else BROKEN
        return Broken(Sent.UNKNOWN if sending.sent else Sent.NO, reason, detail)

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made when it is first needed: that has to happen within the loop."""
        if self._session is None:
            hooks = TraceConfig()
            hooks.on_request_chunk_sent.append(_body_goes)
            self._session = aiohttp.ClientSession(
                # no cap on connections: a wait for one would look like a gateway that cannot be reached
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keep, ssl=self._context or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.connect, ceil_threshold=1e9),
                trust_env=False,
                auto_decompress=False,
                trace_configs=[hooks],
                headers={"Content-Type": "application/json"},
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
        return self._session


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return header lines, each behind a line end.  Raises ValueError where one would be more than a line."""
    lines = "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header for another gateway holds a line end")
    return lines.encode("utf-8", "surrogateescape")


async def _body_goes(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.gone = True


def trusting(ca_file: str | None) -> ssl.SSLContext | None:
    """Return what https addresses are checked by.  Raises OSError (ssl.SSLError included) for a bad file."""
    return None if ca_file is None else ssl.create_default_context(cafile=ca_file)
