"""The settings of what gateways share: the ledger, and how several of them find and trust each other.

Times are seconds.
"""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator

from gateway.base.section import Name, Seconds, Section

DATABASE = "write it like postgresql://USER@HOST:5432/DATABASE"
ADDRESS = "write it like http://10.0.0.11:7777"

EVERYWHERE = frozenset({"0.0.0.0", "::", "*"})
"""Hosts that one listens on and nobody can call."""

SHORTEST = 16
"""Characters of a secret that nobody guesses."""


class DatabaseTls(Section):
    """TLS to the database and nothing else; without this section it is spoken where the server offers it."""

    verify: bool = True
    """Be sure that it is the host of the URL; without, only listeners are kept out."""
    ca_file: str | None = None
    """Certificates that the server's is checked by; those of the system when absent."""


class Ledger(Section):
    """Where is written down what must not happen twice: a file of this gateway, or a database that several share."""

    path: Annotated[str, Field(min_length=1)] = ""
    """The SQLite file; its folder must outlast the container and the machine's restart.  "" with a url."""
    url: str = ""
    """The PostgreSQL database that several gateways share, without a password; "" with a path."""
    password: SecretStr = SecretStr("")
    """Of the user in `url`."""
    tls: DatabaseTls | None = None
    """How the database proves itself; required once it is here."""
    key_file: str | None = None
    """32 random bytes that parameters are compared by; PATH.key, made at first start, when absent."""
    may_be_lost: bool = False
    """Take a folder that a restart empties (a container's own layer, a RAM disk); for tests and the sandbox."""
    may_be_asynchronous: bool = False
    """Take a database that a failover may put back by seconds, because its standbys are not waited for."""
    pool: Annotated[int, Field(ge=2, le=64)] = 4
    """Connections to the database at most."""
    connect_timeout: Seconds = 2.0
    statement_timeout: Seconds = 2.0
    """For one statement; a ledger that is slower counts as failing."""

    @field_validator("url")
    @classmethod
    def _url_is_a_database(cls, value: str) -> str:
        parts = _parts(value, DATABASE)
        if parts.scheme != "postgresql":
            raise ValueError(f"not the URL of a PostgreSQL database; {DATABASE}")
        if parts.password is not None:
            raise ValueError("a password does not belong into the URL; take it out and use password_file")
        if not parts.hostname or not parts.username or not parts.path.strip("/"):
            raise ValueError(f"must name a user, a host and a database; {DATABASE}")
        if parts.query or parts.fragment:
            raise ValueError(f"a query or fragment means nothing here, for TLS see ledger.tls; {DATABASE}")
        return value


class Cluster(Section):
    """This gateway among others that share its ledger; all of them have the same wallets and clients."""

    name: Name
    """Its own, in leases and logs."""
    address: str
    """Where the others reach its door `listen`."""
    secret: SecretStr
    """What calls between gateways are signed with; all of them have the same."""
    ca_file: str | None = None
    """Certificates that the https addresses of the others are checked by; those of the system when absent."""
    lease: Annotated[float, Field(ge=0.5, le=60)] = 3.0
    """How long a wallet stays with a gateway that was not heard of; as long its calls wait when that gateway dies."""

    @field_validator("address")
    @classmethod
    def _address_is_http(cls, value: str) -> str:
        parts = _parts(value, ADDRESS)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an http or https URL with a host; {ADDRESS}")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"gateways sign what they send each other and need no password there; {ADDRESS}")
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError(f"nothing may follow the port; {ADDRESS}")
        if parts.hostname in EVERYWHERE:
            raise ValueError(f"{parts.hostname} is no host that another gateway could call; {ADDRESS}")
        return value.rstrip("/")

    @field_validator("secret")
    @classmethod
    def _secret_is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < SHORTEST:
            raise ValueError(
                f"has fewer than {SHORTEST} characters and could be guessed; "
                "write 32 random letters, the same for all gateways"
            )
        return value


def _parts(value: str, example: str) -> SplitResult:
    """Take a URL apart; the message of the ValueError for one that cannot be holds nothing of it."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a URL; {example}") from None
    if port == 0 or re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError(f"not a usable URL; {example}")
    return parts
