"""A signed webhook: one POST of JSON for each transition, to any receiver that speaks HTTP.

Rule: what was sent can be proved to be ours, cannot be played again later, and can be told from a repetition: headers
and signature are those of the Standard Webhooks specification, for which there are libraries in every language.

    webhook-id          the same for each try of one transition; a receiver does each id once
    webhook-timestamp   seconds since 1970, of this try; a receiver refuses what is older than five minutes
    webhook-signature   v1,base64(HMAC-SHA256(secret, id "." timestamp "." body))

docs/alerts.md has the body, and a receiver in a few lines.
"""

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp_retry import RetryClient, RetryOptionsBase

from gateway.base.care import Sink as SinkSettings
from gateway.observe.sinks import Finding, Message, SinkError, unknown_keys

PREFIX = "whsec_"
"""Before a secret that is written in base64, as libraries for receivers want it; any other is taken as it stands."""

ATTEMPTS = 3
"""Within one delivery, for a receiver that is restarted at this moment; longer waiting is the courier's."""

FIRST_PAUSE = 0.25
"""Seconds before the second attempt; doubled for the third."""

LONGEST_PAUSE = 2.0
"""Seconds; what a receiver asks for by Retry-After is taken up to here."""

SHORT_SECRET = 16
"""Bytes; whoever sees one message may try shorter ones out."""

REFUSALS = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})
"""Statuses that say of a message that it will never be taken.  Others (401, 404) are mended at the receiver."""


def check(sink: SinkSettings) -> list[Finding]:
    """Say what is wrong with the settings of a webhook."""
    findings = unknown_keys(sink, ("url",))
    findings += [("url", message, remedy) for message, remedy in _url_troubles(sink.own.get("url"))]
    secret = sink.secret.get_secret_value()
    make = "make one by `openssl rand -base64 32` and give it to the receiver"
    if not secret:
        findings.append(("secret", "is missing, and nobody could tell these messages from forged ones", make))
        return findings
    try:
        if len(key_of(secret)) < SHORT_SECRET:
            findings.append(("secret", f"is shorter than {SHORT_SECRET} bytes", make))
    except ValueError:
        findings.append(("secret", f"begins with {PREFIX} and is no base64", f"leave {PREFIX} out, or write base64"))
    return findings


def _url_troubles(url: object) -> list[tuple[str, str]]:
    example = "write it like https://alerts.example.net/ec-gateway"
    if not isinstance(url, str) or not url:
        return [("is missing", f"add it; {example}")]
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        return [("is not an http or https URL with a host", example)]
    if parts.username or parts.password:
        return [("holds a user or password", "take them out: the signature proves who sends")]
    return []


def build(sink: SinkSettings) -> "Webhook":
    """Build a webhook."""
    return Webhook(str(sink.own["url"]), sink.secret.get_secret_value(), sink.timeout)


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with.  Raises ValueError when they are no base64 after whsec_."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    text = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def body_of(message: Message) -> bytes:
    """Return what is posted; docs/alerts.md has each key."""
    data: dict[str, object] = {
        "incident": message.incident,
        "alert": message.alert,
        "kind": message.kind,
        "severity": message.severity,
        "gateway": message.gateway,
        "wallet": message.wallet,
        "backend": message.backend,
        "title": message.title,
        "text": message.text,
        "opened_at": _stamp(message.opened_at),
        "seconds": round(message.seconds, 3),
        "repeats": message.repeats,
        "count": message.count,
        "facts": dict(message.facts),
    }
    whole = {"id": message.id, "type": message.type, "timestamp": _stamp(message.at), "data": data}
    return msgspec.json.encode(whole)


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Patience(RetryOptionsBase):
    """When aiohttp-retry sends a message once more: nothing was answered, 429 or 5xx.

    A repeated POST does no harm here, for a receiver knows it by its id.  aiohttp-retry holds the connection of a
    rejected answer while it waits, and would wait for ever with one connection to wait for: `_is_final` closes it.
    """

    def __init__(self) -> None:
        """Ask the callback about every answer; statuses of aiohttp-retry's own would pass it by."""
        super().__init__(
            attempts=ATTEMPTS,
            statuses=set(),
            exceptions={aiohttp.ClientConnectionError, TimeoutError},
            retry_all_server_errors=False,
            evaluate_response_callback=self._is_final,
        )

    async def _is_final(self, response: aiohttp.ClientResponse) -> bool:
        if response.status < 500 and response.status != 429:
            return True
        response.close()
        return False

    def get_timeout(self, attempt: int, response: aiohttp.ClientResponse | None = None) -> float:
        """Return the pause after an attempt; the first is number 1."""
        asked = "" if response is None else response.headers.get("Retry-After", "")
        wanted = float(asked) if asked.isdecimal() else 0.0
        return min(LONGEST_PAUSE, max(wanted, FIRST_PAUSE * 2.0 ** (attempt - 1)))


class Webhook:
    """One receiver.

    Args:
        secret: what messages are signed with.
        timeout: seconds for one delivery with all of its attempts.
        clock: seconds since 1970.
    """

    def __init__(self, url: str, secret: str, timeout: float, clock: Callable[[], float] = time.time) -> None:
        """Begin without a connection; none is kept between two messages either."""
        self.url = url
        self.timeout = timeout
        self.clock = clock
        self._key = key_of(secret)
        self._client: RetryClient | None = None

    def __repr__(self) -> str:
        """Status line; a URL may hold a token in its path."""
        return f"<Webhook {urlsplit(self.url).hostname}>"

    async def send(self, message: Message) -> None:
        """Post a message.  Raises SinkError."""
        body, timestamp = body_of(message), int(self.clock())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, message.id, timestamp, body),
        }
        try:
            response = await self._ready().request("POST", self.url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            raise SinkError(f"it has not answered within {self.timeout:g} s; look whether it runs") from None
        except aiohttp.ClientError as error:
            raise SinkError(f"it cannot be reached ({_why(error)}); look whether it runs, and at the URL") from None
        # the answer's words are of no interest, and may have no end
        response.close()
        _judge(response.status)

    def _ready(self) -> RetryClient:
        if self._client is None:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=2, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                # one attempt that hangs must leave time for another; times over 5 s would be rounded up
                timeout=aiohttp.ClientTimeout(total=self.timeout / 2, ceil_threshold=1e9),
                headers={"User-Agent": "ec-gateway"},
            )
            self._client = RetryClient(client_session=session, retry_options=Patience())
        return self._client

    async def close(self) -> None:
        """Let go of the session."""
        if self._client is not None:
            client: Any = self._client
            self._client = None
            await client.close()


def _why(error: aiohttp.ClientError) -> str:
    """Return why nothing came back, without the URL."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not valid here"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio puts the address into strerror
        number = error.os_error.errno
        return os.strerror(number) if number else type(error.os_error).__name__
    return type(error).__name__


def _judge(status: int) -> None:
    """Raise SinkError unless the receiver has taken the message."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise SinkError(f"it answers HTTP {status} and points elsewhere; write the final URL")
    if status in (401, 403):
        raise SinkError(f"it answers HTTP {status}; look whether it has the same secret, and the right time")
    raise SinkError(f"it answers HTTP {status}; its log may say why", is_refused=status in REFUSALS)
