"""The operators' door of a running gateway, as the commands knock at it: which one, with which token, what it says.

Rule: a token is read from a file and is never shown.  Only the standard library, for a container's health check goes
through here; the rooms that read a configuration are loaded for `-c` alone.
"""

import http.client
import json
import os
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click

DEFAULT_URL = "http://127.0.0.1:7780"
LOOK_TIMEOUT = 5.0
"""Seconds for a look; shorter than any health check waits."""

ORDER_TIMEOUT = 30.0
"""Seconds for an order; the gateway itself answers after 25."""

LARGEST = 16 << 20
"""Bytes of an answer."""

LOOK = "see whether the gateway runs, and what its log says"
ELSEWHERE = "start it (`ec-gateway run`), or say by --url or -c FILE where it is"


class RefusedError(Exception):
    """The gateway said no, or something failed."""


class UnreachableError(Exception):
    """Nobody answers there, or not as a gateway would."""


@dataclass(frozen=True, slots=True)
class Door:
    """The operators' door of a gateway."""

    url: str
    token: str = field(default="", repr=False)

    def ask(self, verb: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Send one request and return the status and the JSON of its answer.

        Raises:
            UnreachableError: there is no answer, or none of a gateway.
        """
        parts = urlsplit(self.url)
        https = parts.scheme == "https"
        make = http.client.HTTPSConnection if https else http.client.HTTPConnection
        assert parts.hostname is not None  # noqa: S101 - seen to by `_url`
        headers = {"Accept": "application/json", "Connection": "close"}
        if verb == "POST":
            headers |= {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        timeout = LOOK_TIMEOUT if verb == "GET" else ORDER_TIMEOUT
        try:
            with closing(make(parts.hostname, parts.port, timeout=timeout)) as connection:
                connection.request(verb, parts.path.rstrip("/") + path, sent, headers)
                response = connection.getresponse()
                found = json.loads(response.read(LARGEST))
        except TimeoutError:
            lost = "the order may have been taken; " if verb == "POST" else ""
            raise UnreachableError(f"{self.url} does not answer within {timeout:g} s; {lost}{LOOK}") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(f"no gateway answers at {self.url} ({why}); {ELSEWHERE}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreachableError(f"{self.url} is no operators' door of a gateway; {ELSEWHERE}")
        return response.status, found

    def status(self) -> dict[str, Any]:
        """Return how everything stands.  Raises RefusedError, UnreachableError."""
        return self._agreed(*self.ask("GET", "/api/v1/status"))

    def order(self, wallet: str, backend: str, verb: str, reason: str) -> dict[str, Any]:
        """Give an order and return what came of it.  Raises RefusedError, UnreachableError."""
        path = f"/api/v1/wallets/{quote(wallet, safe='')}/backends/{quote(backend, safe='')}/{verb}"
        return self._agreed(*self.ask("POST", path, {"reason": reason} if reason else None))

    def handover(self, wallet: str, reason: str) -> dict[str, Any]:
        """Give a wallet to another gateway and return what came of it.  Raises RefusedError, UnreachableError."""
        path = f"/api/v1/wallets/{quote(wallet, safe='')}/handover"
        return self._agreed(*self.ask("POST", path, {"reason": reason} if reason else None))

    def _agreed(self, code: int, found: dict[str, Any]) -> dict[str, Any]:
        if code == 200:
            return found
        if "detail" not in found:
            raise UnreachableError(f"{self.url} is no operators' door of a gateway (HTTP {code}); {ELSEWHERE}")
        raise RefusedError(str(found["detail"]))


def door_of(files: tuple[Path, ...], url: str | None, token_file: Path | None, *, for_order: bool) -> Door:
    """Return the door that the command line means; ends the command where it is wrong."""
    configured = _configured(files) if files and not (url and token_file) else Door("")
    where = url or configured.url or os.environ.get("ECGW_ADMIN_URL") or DEFAULT_URL
    if not for_order:
        return Door(_url(where))
    named = token_file or (None if files else os.environ.get("ECGW_TOKEN_FILE"))
    token = _read_token(Path(named)) if named else configured.token.strip()
    if not token and named:
        raise click.UsageError(f"{named} is empty; it holds the token of the operators' door")
    if not token and files:
        raise click.UsageError("admin.token is not set in this configuration, so the gateway takes no orders")
    if not token:
        raise click.UsageError("an order needs the token: name its file by --token-file or $ECGW_TOKEN_FILE, or use -c")
    if not token.isascii() or not token.isprintable():
        raise click.UsageError(f"{named or 'admin.token'} holds no token; it is one line of plain letters")
    return Door(_url(where), token)


def _configured(files: tuple[Path, ...]) -> Door:
    """Return the door that a configuration opens; ends the command where it cannot be read."""
    from gateway.base.errors import ConfigError  # noqa: PLC0415 - only -c needs these, and they take half a second
    from gateway.base.loader import load  # noqa: PLC0415 - the same

    try:
        admin = load(list(files), os.environ, []).admin
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)
    # who listens everywhere is found on loopback
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(admin.host, admin.host)
    host = f"[{host}]" if ":" in host else host
    return Door(f"http://{host}:{admin.port}", admin.token.get_secret_value())


def _url(written: str) -> str:
    """Return a URL that can be used; ends the command where it cannot."""
    try:
        parts = urlsplit(written)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise click.UsageError(f"{written} is no address of an operators' door; write it like {DEFAULT_URL}")
    return written.rstrip("/")


def _read_token(path: Path) -> str:
    """Return the token in a file; ends the command where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise click.UsageError(f"{path} cannot be read ({why}); name the file that holds the token") from None
