"""The operators' door of a running gateway, as the commands knock at it: which one, with which token, what it says.

Rule: a token is read from a file and is never shown; for a look it is sent where it is asked for and not before.  Only
the standard library, for a container's health check goes through here; the rooms that read a configuration are loaded
for `-c` alone.
"""

import http.client
import json
import os
import re
import ssl
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

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
"""The certificate of the door itself; those that follow it are of whoever signed it."""

NAME_TOKEN = "name its file by --token-file or $ECGW_TOKEN_FILE, or use -c"  # noqa: S105 - says where one is
LOOK = "see whether the gateway runs, and what its log says"
TRUST = "name the file of whoever signed it by $SSL_CERT_FILE, or take -c FILE, which knows the certificate itself"
UNAUTHORIZED = 401

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
    certificate: str = ""
    """File of the certificate that this door shows; without one it is checked as any other."""

    def ask(self, verb: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Send one request and return the status and the JSON of its answer.

        Raises:
            UnreachableError: there is no answer, or none of a gateway.
        """
        code, found = self._ask(verb, path, body, self.token if verb == "POST" else "")
        if code == UNAUTHORIZED and verb == "GET" and self.token:
            code, found = self._ask(verb, path, body, self.token)
        return code, found

    def _ask(self, verb: str, path: str, body: dict[str, str] | None, token: str) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": "application/json", "Connection": "close"}
        if verb == "POST":
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        sent = None if body is None else json.dumps(body).encode()
        timeout = LOOK_TIMEOUT if verb == "GET" else ORDER_TIMEOUT
        parts = urlsplit(self.url)
        try:
            with closing(self._connection(timeout)) as connection:
                connection.request(verb, parts.path.rstrip("/") + path, sent, headers)
                response = connection.getresponse()
                found = json.loads(response.read(LARGEST))
        except TimeoutError:
            lost = "the order may have been taken; " if verb == "POST" else ""
            raise UnreachableError(f"{self.url} does not answer within {timeout:g} s; {lost}{LOOK}") from None
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(
                f"{self.url} shows a certificate that is not to be trusted ({error.verify_message}); {TRUST}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(f"no gateway answers at {self.url} ({why}); {ELSEWHERE}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreachableError(f"{self.url} is no operators' door of a gateway; {ELSEWHERE}")
        return response.status, found

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection that is not open yet.  Raises OSError for a certificate that cannot be read."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None  # noqa: S101 - seen to by `_url`
        if parts.scheme != "https":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        context = _only(self.certificate) if self.certificate else ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)

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
        if code == UNAUTHORIZED and not self.token and "detail" in found:
            # a door may be open, as that of the sandbox: it is asked, and says whether it is
            raise RefusedError(f"this gateway shows nothing and takes no order without a token: {NAME_TOKEN}")
        if "detail" not in found:
            raise UnreachableError(f"{self.url} is no operators' door of a gateway (HTTP {code}); {ELSEWHERE}")
        raise RefusedError(str(found["detail"]))


def door_of(files: tuple[Path, ...], url: str | None, token_file: Path | None, *, for_order: bool) -> Door:
    """Return the door that the command line means; ends the command where it is wrong.

    Args:
        for_order: whether a token is needed; for a look one is taken along where there is one.
    """
    configured = _configured(files, for_order=for_order) if files and not (url and token_file) else _Configured("")
    where = _url(url or configured.url or os.environ.get("ECGW_ADMIN_URL") or DEFAULT_URL)
    certificate = "" if url else configured.certificate
    named = token_file or (None if files else os.environ.get("ECGW_TOKEN_FILE"))
    if not for_order and not token_file and named and not os.access(named, os.R_OK):
        # it may not be needed
        named = None
    token = _read_token(Path(named)) if named else configured.token.strip()
    if not token and named:
        raise click.UsageError(f"{named} is empty; it holds the token of the operators' door")
    if not token and for_order and files and not configured.is_open:
        raise click.UsageError(
            "admin.token is not set in this configuration, nor is there an operator among admin.tokens, "
            "so no orders are taken from here"
        )
    if not token.isascii() or not (token.isprintable() or not token):
        raise click.UsageError(f"{named or 'admin.token'} holds no token; it is one line of plain letters")
    return Door(where, token, certificate)


@dataclass(frozen=True, slots=True)
class _Configured:
    """What a configuration says about the door."""

    url: str
    token: str = field(default="", repr=False)
    certificate: str = ""
    is_open: bool = False


def _configured(files: tuple[Path, ...], *, for_order: bool) -> _Configured:
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
    # for a look one that cannot order does as well
    wanted = ("operator",) if for_order else ("viewer", "operator")
    tokens = [one.token.get_secret_value() for role in wanted for one in admin.tokens if one.role == role]
    own = admin.token.get_secret_value()
    token = next(iter([own, *tokens] if own and for_order else [*tokens, own]))
    scheme, certificate = ("http", "") if admin.tls is None else ("https", admin.tls.certificate)
    return _Configured(f"{scheme}://{host}:{admin.port}", token, certificate, is_open=admin.open)


def _only(certificate: str) -> ssl.SSLContext:
    """Return what trusts one certificate and no other, whatever names it has.  Raises OSError where there is none."""
    found = _FIRST.search(Path(certificate).read_text(encoding="ascii", errors="replace"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if found is not None:
        context.load_verify_locations(cadata=found[0])
    return context


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
