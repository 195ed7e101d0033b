"""Who is calling, and whether it may call right now.

Rule: credentials are compared in constant time against every client, plain ones are kept nowhere, and a
caller that is refused learns only that it is.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from gateway.base.config import Client, RateLimit

CHALLENGE = 'Basic realm="ec-gateway", charset="UTF-8"'
"""What a 401 answers; a real daemon forgets it, and clients then do not know what to do."""

CACHED = 256
"""Headers whose owner is remembered; more clients than that do not call at once."""

LONGEST = 1024
"""Bytes of an Authorization header that are looked at at all."""


class TokenBucket:
    """Calls per second of one client, with a burst; `now` in seconds is handed in."""

    __slots__ = ("_burst", "_per_second", "_stamp", "_tokens")

    def __init__(self, limit: RateLimit, now: float) -> None:
        """Begin full."""
        self._per_second = limit.per_second
        self._burst = float(limit.burst)
        self._tokens = self._burst
        self._stamp = now

    def take(self, now: float, calls: int = 1) -> float:
        """Take `calls` tokens and return 0.0, or take none and return the seconds until that may succeed.

        A batch larger than the burst passes when the bucket is full and leaves it in debt: what follows waits
        until the whole batch is paid.
        """
        burst = self._burst
        tokens = min(burst, self._tokens + max(0.0, now - self._stamp) * self._per_second)
        needed = min(float(calls), burst)
        self._stamp = now
        if tokens >= needed:
            self._tokens = tokens - calls
            return 0.0
        self._tokens = tokens
        return (needed - tokens) / self._per_second


@dataclass(slots=True)
class Caller:
    """A client that was let in, and what is left of its rate."""

    client: Client
    bucket: TokenBucket | None = None


class Authenticator:
    """Finds the client that a header belongs to.

    Args:
        clients: who may call.
        anonymous: whether a caller without any credentials is let in with default rights.
    """

    def __init__(self, clients: Sequence[Client], *, anonymous: bool, wallets: Sequence[str] = ("main",)) -> None:
        """Hash what has to be compared, with a key of this process."""
        self._key = os.urandom(32)
        self._callers = [(self._digest(_pair(client).encode()), Caller(client)) for client in clients]
        self._anonymous = Caller(_nobody(wallets)) if anonymous else None
        self._known: OrderedDict[bytes, Caller] = OrderedDict()

    def __repr__(self) -> str:
        """Status line; no credentials."""
        return f"<Authenticator clients={len(self._callers)} anonymous={self._anonymous is not None}>"

    def who(self, header: str | None) -> Caller | None:
        """Return the caller that an Authorization header names, None when it is nobody's."""
        if header is None:
            return self._anonymous
        if len(header) > LONGEST:
            return None
        digest = self._digest(header.encode("utf-8", "surrogateescape"))
        caller = self._known.get(digest)
        if caller is None:
            caller = self._find(header)
            if caller is not None:
                self._known[digest] = caller
                if len(self._known) > CACHED:
                    self._known.popitem(last=False)
        return caller

    def _find(self, header: str) -> Caller | None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            given = base64.b64decode(token.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        mine = self._digest(given)
        found: Caller | None = None
        for digest, caller in self._callers:
            # all of them are compared, so that the time tells nothing about which one it is
            if hmac.compare_digest(mine, digest):
                found = caller
        return found

    def _digest(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


def _pair(client: Client) -> str:
    return f"{client.username}:{client.password.get_secret_value()}"


def _nobody(wallets: Sequence[str]) -> Client:
    return Client(name="anonymous", username="anonymous", password=SecretStr(""), wallets=tuple(wallets))
