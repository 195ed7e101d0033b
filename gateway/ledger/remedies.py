"""What helps against a ledger that cannot be used, in words for whoever is on call.

Rule: each refusal ends in what to do; none of them tells anybody to repeat a payment that the ledger may have
forgotten, before the chain was asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from gateway.ledger.migrations import StrangeTablesError, UnknownVersionError
from gateway.ledger.store import LedgerError, MisplacedError, reason

LOOK_FIRST = (
    "Keys and invoices since that backup are unknown then: compare the payouts of that time with the chain before you "
    "repeat any, then run `ec-gateway ledger adopt`"
)
"""What follows on a backup, always: the same key would sign the same payment once more."""

PUT_BACK = (
    "nothing was changed; `ec-gateway ledger restore BACKUP -c FILE` will put a backup in its place and keep this file "
    f"beside it (without one take it away, and a new one begins). {LOOK_FIRST}"
)

REMEDIES = {
    "not a database": PUT_BACK,
    "malformed": PUT_BACK,
    "damaged": PUT_BACK,
    "full": "make room on that disk",
    "readonly": "give the file and its folder to this user",
    "unable to open": "give the file and its folder to this user",
    "locked": "find out which other program has it open",
    "disk I/O error": "look at the disk and at the system's log",
}
"""What helps, by what SQLite says."""


def empty_copy(path: Path, secret: Path) -> str:
    """Say what is wrong with a file without tables where there was a ledger before."""
    return (
        f"{path} has no tables, and yet there was a ledger here before ({secret} is its key): it is an empty copy, as "
        f"`cp` makes one of a ledger in use, without what lay in {path.name}-wal; {PUT_BACK}"
    )


def lone_log(path: Path) -> str:
    """Say what is wrong with a log whose database is gone."""
    return (
        f"{path} is gone, and its log {path.name}-wal is still there: put it back, for a new one would end that log; "
        f"{PUT_BACK}"
    )


def stale_wal(path: Path) -> str:
    """Say what is wrong with a database that another one's log lies beside."""
    return (
        f"{path} is another file than the one that was last open here, and {path.name}-wal belongs to that one: read "
        f"together they would be a mixture (an older copy of the same file is another one too); {PUT_BACK}"
    )


def lost_key(path: Path, secret: Path, what: str, bound: int) -> str:
    """Say what is wrong with a ledger whose key is not there."""
    return (
        f"the key file {secret} {what}, and {bound} keys of clients were written with it; put it back from your backup "
        f"(`ec-gateway ledger restore BACKUP -c FILE` puts back both). If it is lost for good, take {path} away and "
        "start the gateway: it knows no key and no invoice then, so compare the payouts so far with the chain before "
        "you repeat any, then run `ec-gateway ledger adopt`"
    )


@contextmanager
def explained(path: Path | None) -> Iterator[None]:
    """Say what would help against what SQLite and the migrations complain of.

    Raises:
        MisplacedError: it is another program's database.
        LedgerError: any other complaint.
    """
    try:
        yield
    except UnknownVersionError as error:
        remedy = "run the newer ec-gateway again, or put back a backup from before its start"
        raise LedgerError(f"{path} was written by a newer ec-gateway ({error}); {remedy}") from error
    except StrangeTablesError as error:
        remedy = "name a file of its own in ledger.path"
        raise MisplacedError(f"{path} is another program's database (tables {error}); {remedy}") from error
    except SQLAlchemyError as error:
        raise LedgerError(with_remedy(path, reason(error))) from error
    except LedgerError as error:
        if not isinstance(error.__cause__, SQLAlchemyError):
            raise
        raise LedgerError(with_remedy(path, str(error))) from error


def with_remedy(path: Path | None, why: str) -> str:
    """Return a sentence on why a ledger cannot be used, and what would help."""
    remedy = next((text for words, text in REMEDIES.items() if words in why), "`ec-gateway ledger check` may tell more")
    return f"{path} cannot be used ({why}); {remedy}"
