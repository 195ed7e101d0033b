"""What PostgreSQL complains of: in which words that is told, and what it means for a connection and for a commit.

Rule: only what the server itself said of a transaction, by a code that is about the transaction, is certain.
"""

import asyncio
import ssl

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from gateway.ledger.store import reason

GRANT = "let the owner of the database run `GRANT ALL ON SCHEMA public TO` that user, or make the user its owner"
STANDBY = "let ledger.url name the primary, best by a name that follows a failover"

REMEDIES = {
    "28P01": "see ledger.password_file and the user in ledger.url",
    "28000": "see the user in ledger.url, and pg_hba.conf of the server",
    "3D000": "make that database, or name another in ledger.url",
    "3F000": GRANT,
    "42501": GRANT,
    "25006": STANDBY,
    "53300": "raise max_connections there, or lower ledger.pool of the gateways",
    "53100": "make room on the disk of the database",
    "53200": "give the database more memory",
    "57P03": "wait until the database has started",
    "55P03": "another gateway or a command is in the middle of a transaction; see pg_stat_activity if that lasts",
    "57014": "the database is slow; see ledger.statement_timeout",
    "25P03": "this process was held up in the middle of a transaction; see whether its machine is overloaded",
}
"""What helps, by the code (SQLSTATE) of the server."""

FULL = "53100"
"""The code of a disk that is full: nothing can be written, and what is there can be read."""

AWAY = "see whether the database runs and can be reached from here"

TLS = "see ledger.tls, and whether the certificate of the server names the host of ledger.url"

NO_TLS = "rejected SSL upgrade"
"""The words of asyncpg for a server without TLS, where ledger.tls wants it."""

LATE = "the database did not answer in time"

ENDED = "it ended the connection before this process was done with it"
ENDED_REMEDY = "see whether the database was restarted, or the machine of this process is overloaded"
"""What the driver has no words for: it speaks of its own states."""

LOST_CLASSES = ("08", "57", "58", "XX")
"""Codes about the server and the connection, not about one transaction; "" is what came without a code."""

SPOILT = ("25006", "25P03")
"""Codes of a connection to somebody who was the primary, or that was ended."""


def code_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error, "" where the server did not speak."""
    for one in (error, getattr(error, "orig", None), error.__cause__):
        code = getattr(one, "sqlstate", None)
        if isinstance(code, str):
            return code
    return ""


def is_of_connection(error: BaseException) -> bool:
    """Whether the connection is of no use after an error; one that a statement caused leaves it whole."""
    code = code_of(error)
    return code[:2] in ("", *LOST_CLASSES) or code in SPOILT


def is_certain(error: BaseException) -> bool:
    """Whether a COMMIT that ended in an error has certainly not been done."""
    return code_of(error)[:2] not in ("", *LOST_CLASSES)


def told(error: BaseException, where: str) -> str:
    """Return a sentence on what went wrong, with what would help; no statement and no value is in it.

    Args:
        where: the database, in words.
    """
    remedy = REMEDIES.get(code_of(error), "" if code_of(error) else _silent(error))
    return f"the database {where}: {_words(error)}" + (f"; {remedy}" if remedy else "")


def _silent(error: BaseException) -> str:
    """What helps where the server said nothing."""
    causes = (error, getattr(error, "orig", None), error.__cause__)
    if any(isinstance(one, asyncpg.InternalClientError) for one in causes):
        return ENDED_REMEDY
    is_tls = any(isinstance(one, ssl.SSLError) or NO_TLS in str(one) for one in causes)
    return TLS if is_tls else AWAY


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return LATE
    if any(isinstance(one, asyncpg.InternalClientError) for one in (error, getattr(error, "orig", None))):
        return ENDED
    if isinstance(error, SQLAlchemyError):
        return reason(error)
    return (str(error).splitlines() or [type(error).__name__])[0]
