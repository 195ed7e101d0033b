"""Where a ledger in PostgreSQL is, and how it is connected to.

Rule: what a transaction may take is set on the server, connection by connection, so that it also holds against a
process that is not there any more to keep it.
"""

import re
import ssl
from dataclasses import dataclass, field

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.base.cluster import DatabaseTls
from gateway.ledger.store import MisplacedError

GATEWAY, COMMAND, FOLLOWER = "ec-gateway", "ec-gateway command", "ec-gateway follower"
"""What connections are called in pg_stat_activity; those of a gateway that cannot open the ledger only look."""

LOCK = 0x6563_2D67_6174_6577
"""The advisory lock that transactions follow each other by: the letters `ec-gatew`."""

UNHEARD = 2.0
"""Seconds for which a server waits for somebody who takes nothing of what it sends: a process that is frozen while it
receives an answer would keep the lock for as long as it is frozen, for then the server does not count as idle."""

IDLE = 0.8
"""Seconds that a transaction may stand still: so much does a process that is frozen in the middle cost all others."""

SCHEME = re.compile(r"postgres(?:ql)?")


@dataclass(frozen=True, slots=True)
class Database:
    """A database of PostgreSQL.

    Args:
        url: postgresql://USER@HOST:5432/NAME, without a password.
        pool: connections at the most; one of them writes, the others are for commands and looks.
        statement_timeout: seconds that one statement may take.
        connect_timeout: seconds until a connection is there.
        tls: how the server proves itself; None speaks TLS where it is offered, and checks nothing.
    """

    url: str
    password: str = field(default="", repr=False)
    pool: int = 4
    statement_timeout: float = 2.0
    connect_timeout: float = 2.0
    tls: DatabaseTls | None = None

    @property
    def where(self) -> str:
        """The place in words; no password."""
        parts = parse(self.url)
        return f"{parts.database} on {parts.host}:{parts.port or 5432}"

    @property
    def patience(self) -> float:
        """Seconds that a transaction waits for its turn, and that it may take."""
        return 2 * self.statement_timeout


def parse(text: str) -> URL:
    """Return the parts of a url.  Raises MisplacedError where it is none, or has a password in it."""
    remedy = "ledger.url is like postgresql://USER@HOST:5432/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # what is wrong with it may be the password in it
        raise MisplacedError(f"ledger.url cannot be read; {remedy}") from error
    if not SCHEME.fullmatch(url.drivername):
        raise MisplacedError(f"ledger.url is of no database that this gateway knows ({url.drivername}); {remedy}")
    if url.password is not None:
        raise MisplacedError("ledger.url has a password in it; put that into ledger.password_file")
    if not url.host or not url.database or not url.username:
        raise MisplacedError(f"ledger.url lacks its host, its database or its user; {remedy}")
    return url


def engine_of(database: Database, name: str) -> AsyncEngine:
    """Return an engine on which nothing is connected yet; transactions are begun and ended by its user alone.

    Args:
        name: of the connections, as the server lists them.
    """
    url = parse(database.url)
    limits = {
        "statement_timeout": database.statement_timeout,
        # the server would never come to one that is as long as that of the statement
        "lock_timeout": 0.9 * database.statement_timeout,
        "idle_in_transaction_session_timeout": IDLE,
        "tcp_user_timeout": UNHEARD,
    }
    settings = {key: str(int(1000 * seconds)) for key, seconds in limits.items()}
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg", password=database.password or None),
        isolation_level="AUTOCOMMIT",
        pool_size=database.pool,
        max_overflow=0,
        pool_timeout=database.connect_timeout,
        pool_reset_on_return=None,
        hide_parameters=True,  # signed bytes and keys do not belong into a traceback
        connect_args={
            "timeout": database.connect_timeout,
            "ssl": "prefer" if database.tls is None else _context(database.tls),
            "server_settings": settings | {"application_name": name, "synchronous_commit": "on"},
        },
    )


def _context(tls: DatabaseTls) -> ssl.SSLContext:
    """Raises MisplacedError where the certificates cannot be read."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:  # the errors of ssl are among them
        raise MisplacedError(
            f"ledger.tls.ca_file cannot be read ({error.strerror or error}); name a file of PEM certificates"
        ) from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
