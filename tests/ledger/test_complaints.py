"""What PostgreSQL says is told with what helps, and only what it said of a commit is certain."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.ledger.complaints import code_of, is_certain, is_of_connection, told


class ServerError(Exception):
    """What the driver raises."""

    def __init__(self, code: str | None, words: str = "no") -> None:
        """Keep the code."""
        super().__init__(words)
        self.sqlstate = code


def wrapped(code: str) -> DBAPIError:
    """The same as the engine raises it."""
    return DBAPIError("INSERT INTO keys VALUES (?)", {"key": "secret"}, ServerError(code, "words\nDETAIL: secret"))


@pytest.mark.parametrize(
    ("error", "code", "spoils", "is_none"),
    [
        (ServerError("23505"), "23505", False, True),
        (wrapped("23505"), "23505", False, True),
        (wrapped("53100"), "53100", False, True),
        (wrapped("25006"), "25006", True, True),
        (ServerError("25P03"), "25P03", True, True),
        (ServerError("57P01"), "57P01", True, False),
        (ServerError("08006"), "08006", True, False),
        (ServerError("XX000"), "XX000", True, False),
        (ServerError(None), "", True, False),
        (ConnectionResetError("gone"), "", True, False),
        (TimeoutError(), "", True, False),
    ],
)
def test_what_an_error_means(error: Exception, code: str, spoils: bool, is_none: bool) -> None:  # noqa: FBT001 - parameters
    """For the connection, and for a COMMIT that ended in it."""
    assert (code_of(error), is_of_connection(error), is_certain(error)) == (code, spoils, is_none)


def test_a_complaint_says_what_helps_and_no_value() -> None:
    """It goes into the log and to clients."""
    assert told(wrapped("53100"), "x on y:1") == "the database x on y:1: words; make room on the disk of the database"
    assert told(wrapped("23505"), "x") == "the database x: words"
    away = "see whether the database runs and can be reached from here"
    assert told(TimeoutError(), "x") == f"the database x: the database did not answer in time; {away}"
    assert told(ConnectionRefusedError(), "x") == f"the database x: ConnectionRefusedError; {away}"
    assert told(SQLAlchemyError("odd\nsecret"), "x") == f"the database x: odd; {away}"
    ended = asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
    words = "it ended the connection before this process was done with it"
    remedy = "see whether the database was restarted, or the machine of this process is overloaded"
    assert told(ended, "x") == f"the database x: {words}; {remedy}"
    assert told(DBAPIError("SELECT", {}, ended), "x") == f"the database x: {words}; {remedy}"
    cause = OSError("no")
    cause.__cause__ = ServerError("53300")
    assert "raise max_connections" in told(cause, "x")
