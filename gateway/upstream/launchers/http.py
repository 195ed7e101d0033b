"""HTTP to whoever manages daemons, over a unix socket or TCP; what aiohttp raises becomes a LauncherError here.

Rule: a question is repeated when its connection fails, an order only when it surely was not sent.
Each one has a connection of its own: an engine that was restarted leaves dead ones behind in a pool, and a local
connection costs nothing.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

from gateway.upstream.launchers import LauncherError

MAX_BODY = 64 << 20
"""Bytes of an answer; the largest is a wallet file."""

_ATTEMPTS = 3

_PAUSE = 0.05
"""Seconds before the second attempt; it is doubled before the first already."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of what proves who we are and who they are."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files; raises OSError (ssl.SSLError included)."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class Door:
    """One address that orders go to.

    Args:
        url: unix:///path, http://host:port or https://host:port.
        key: where it stands in the settings, for messages.
        timeout: seconds for one answer.
        tls: for https.
        authorization: the header of that name.
    """

    def __init__(self, url: str, *, key: str, timeout: float, tls: Tls | None = None, authorization: str = "") -> None:
        """Keep all of it; nothing is connected yet."""
        self._url: Final = url
        self._key: Final = key
        self._timeout: Final = timeout
        self._tls = tls or Tls()
        self._heads = {"Authorization": authorization} if authorization else {}
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(url)
        self._unix = parts.path if parts.scheme == "unix" else ""
        # any name does over a socket; it must not be empty
        self._base = "http://localhost" if self._unix else url.rstrip("/")

    async def ask(self, method: str, path: str, *, repeat: bool, limit: float | None = None, **words: Any) -> Answer:
        """Send one request and read its answer.

        Args:
            method: of HTTP.
            path: with its query, both encoded.
            repeat: it is a question; an order is sent once.
            limit: seconds instead of the usual ones.
            words: more for aiohttp, such as `data`.

        Raises:
            LauncherError: no answer; answers of any status are returned.
        """
        limit = limit or self._timeout
        try:
            # the bound is around the attempts, so that three of them take no longer than one may
            async with asyncio.timeout(limit):
                async with self._client(repeat=repeat).request(method, self._base + path, **words) as answer:
                    return Answer(answer.status, answer.headers, await _read(answer))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._translated(error, limit) from error

    async def stream(self, path: str, *, silence: float) -> aiohttp.ClientResponse:
        """Open an answer that goes on; its reader closes it.

        Args:
            path: with its query, both encoded.
            silence: seconds without a byte after which reading raises TimeoutError.

        Raises:
            LauncherError: no answer.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout, sock_read=silence)
        try:
            return await self._opened().get(self._base + path, timeout=timeout, allow_redirects=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._translated(error, self._timeout) from error

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self, *, repeat: bool) -> RetryClient:
        # ClientConnectorError is "no connection": not a byte was sent
        exceptions: set[type[Exception]] = {aiohttp.ClientConnectionError if repeat else aiohttp.ClientConnectorError}
        options = ExponentialRetry(
            attempts=_ATTEMPTS,
            start_timeout=_PAUSE,
            exceptions=exceptions,
            statuses=set(),
            retry_all_server_errors=False,
        )
        return RetryClient(client_session=self._opened(), retry_options=options)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self._unix:
                connector = aiohttp.UnixConnector(self._unix, force_close=True, limit=0)
            else:
                check: ssl.SSLContext | bool = self._tls.context() if self._url.startswith("https:") else True
                connector = aiohttp.TCPConnector(ssl=check, force_close=True, limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._heads,
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
        return self._session

    def _translated(self, error: Exception, limit: float) -> LauncherError:
        where = f"{self._url} ({self._key})"
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        match cause:
            case PermissionError():
                return LauncherError(
                    f"no right to open {where}; let the gateway's user into its group, or put a proxy before it",
                    may_pass=False,
                )
            case FileNotFoundError() if self._unix and cause.filename in (None, self._unix):
                return LauncherError(f"nothing is at {where}; start what listens there, or correct the path")
            case FileNotFoundError() | ssl.SSLError() | aiohttp.ClientConnectorCertificateError():
                return LauncherError(
                    f"no TLS with {where}: {cause}; look at ca_file, cert_file, key_file", may_pass=False
                )
            case TimeoutError():
                return LauncherError(f"{where} did not answer within {limit:g} s; look whether it hangs")
            case _:
                return LauncherError(f"{where} is not to be spoken to: {str(cause) or type(cause).__name__}; start it")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts, length = [], 0
    async for part in answer.content.iter_chunked(1 << 16):
        length += len(part)
        if length > MAX_BODY:
            answer.close()
            raise LauncherError(f"the answer is over {MAX_BODY >> 20} MiB; no wallet is so large", may_pass=False)
        parts.append(part)
    return b"".join(parts)
