"""HTTP from gateway to gateway, over kept connections; what aiohttp raises becomes a Broken here.

Rule: nothing is repeated here, and a call counts as sent as soon as it may have been.

What aiohttp can tell about that: its hook `on_request_headers_sent` comes just before the first byte of the head is
handed to the transport, and `on_request_chunk_sent` just before the first of the body; neither comes after them.  The
classes of its errors prove nothing (a connection that broke before the write and one that broke after it raise the
same), so they only name what happened.

A careful call asks first (`Expect: 100-continue`): its body follows when the other gateway has let it in.  Without its
body no call is run.  So a gateway that is frozen, or that closes a kept connection as a call comes, has not got it, and
that is known: only a call that was let in can have an unknown outcome.  It costs a second way there and back, which
money is worth.
"""

import io
import ssl
from collections.abc import Mapping
from types import SimpleNamespace

import aiohttp
from aiohttp.tracing import TraceConfig
from yarl import URL

from gateway.rules.forward import ANSWER, BROKEN, OVERSIZED, REFUSED
from gateway.rules.retry import Sent

LARGE = 1 << 20
"""Bytes from which aiohttp wants a body as a file, to write it in pieces."""

REFUSALS = frozenset({400, 401, 403, 404, 405, 411, 413, 417, 421, 431})
"""What is said instead of running a call, be it by a gateway, a proxy or something else that listens there."""

MOST_ADDRESSES = 64
"""URLs that are kept parsed."""


class Sending:
    """A call under way.

    Args:
        careful: the body waits until the other gateway asks for it.
    """

    __slots__ = ("careful", "sent")

    def __init__(self, *, careful: bool) -> None:
        """Nothing is sent yet."""
        self.careful = careful
        self.sent = False
        """Whether the other gateway may have what it needs to run the call."""


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
        self._max_body = max_body
        self._keep = keep
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect, ceil_threshold=1e9)
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, sending: Sending) -> Arrived | Broken:
        """Send one call and read its answer; whoever is tired of waiting cancels it and looks at `sending`."""
        large = len(body) >= LARGE
        try:
            async with self._opened().post(
                self._parsed(url), data=io.BytesIO(body) if large else body, headers=headers,
                expect100=sending.careful, allow_redirects=False, trace_request_ctx=sending,
            ) as answer:  # fmt: skip
                return await self._read(answer, sending)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            detail = f"{type(error).__name__}: {error}"[:200]
            return Broken(Sent.UNKNOWN if sending.sent else Sent.NO, BROKEN, detail)

    async def close(self) -> None:
        """Close all connections; calls under way end."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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
        is_refused = answer.status in REFUSALS
        is_certain = not sending.sent or (is_refused and not sending.careful)
        return Broken(Sent.NO if is_certain else Sent.UNKNOWN, REFUSED if is_refused else BROKEN, detail)

    def _parsed(self, url: str) -> URL:
        parsed = self._urls.get(url)
        if parsed is None:
            if len(self._urls) >= MOST_ADDRESSES:
                self._urls.clear()
            parsed = self._urls[url] = URL(url)
        return parsed

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made when it is first needed: that has to happen within the loop."""
        if self._session is None:
            hooks = TraceConfig()
            hooks.on_request_headers_sent.append(_head_goes)
            hooks.on_request_chunk_sent.append(_body_goes)
            self._session = aiohttp.ClientSession(
                # no cap on connections: a wait for one would look like a gateway that cannot be reached
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keep, ssl=self._context or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
                auto_decompress=False,
                trace_configs=[hooks],
                headers={"Content-Type": "application/json"},
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
        return self._session


async def _head_goes(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    sending: Sending = context.trace_request_ctx
    if not sending.careful:
        sending.sent = True


async def _body_goes(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.sent = True


def trusting(ca_file: str | None) -> ssl.SSLContext | None:
    """Return what https addresses are checked by.  Raises OSError (ssl.SSLError included) for a bad file."""
    return None if ca_file is None else ssl.create_default_context(cafile=ca_file)
