"""The last statement of each transaction in a database: it counts those that wrote something.

Rule: by its number a commit whose answer was lost is found out about, over any restart and failover; and a database
that shows less than this process saw committed has lost something, and nothing more is done with it before an operator
has looked.  That it has is written into it (`lost`), so that those know who have not seen more.

What others committed may be lost and their numbers be taken again before this process looks; its own it knows, and so
does each of the others.
"""

from dataclasses import dataclass

import asyncpg

from gateway.ledger.store import LedgerError, OlderError

SEQUENCE, LOST, ERA, OWN = "sequence", "lost", "era", "commit "
"""Rows of `meta`: how many transactions wrote something; what number a database should have had; how often an operator
has taken what was lost for granted; before the name of a process: the number of what it committed last."""

OLD = 100_000
"""Transactions after which the row of a process that has written nothing since may be taken out."""

SEAL = f"""
WITH bumped AS (
    UPDATE meta SET value = (value::bigint + 1)::text
    WHERE key = '{SEQUENCE}' AND pg_current_xact_id_if_assigned() IS NOT NULL RETURNING value
), mine AS (
    INSERT INTO meta (key, value) SELECT $1, value FROM bumped
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
)
SELECT (SELECT value FROM bumped) AS number, (SELECT value FROM meta WHERE key = '{SEQUENCE}') AS before,
    (SELECT value FROM meta WHERE key = $1) AS own, (SELECT value FROM meta WHERE key = '{LOST}') AS lost,
    (SELECT value FROM meta WHERE key = '{ERA}') AS era, (SELECT value FROM meta WHERE key = 'id') AS id
"""  # noqa: S608 - ours
"""A standby and a read-only server refuse it, also where a transaction only read: what it read may be old."""

MARK = f"""
INSERT INTO meta (key, value)
SELECT '{LOST}', greatest(value::bigint, $1::text::bigint)::text FROM meta WHERE key = '{SEQUENCE}'
ON CONFLICT (key) DO UPDATE SET value = greatest(meta.value::bigint, excluded.value::bigint)::text
"""  # noqa: S608 - ours

FIND = "SELECT current_setting('transaction_read_only') AS is_read_only, (SELECT value FROM meta WHERE key = $1) AS own"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a transaction ends in, and what the database showed before it."""

    number: int | None
    """Its own number; None where it wrote nothing."""
    before: int
    """The number of the last one before it."""
    own: int | None
    """The number of the last one of this process; None where there was none."""
    lost: int | None
    """The number that the database should have had, where it is known to lack something."""
    era: int
    id: str
    """Of the ledger."""


class BehindError(OlderError):
    """The database shows less than this process saw committed, and does not say so yet."""


@dataclass(slots=True)
class Memory:
    """What a process saw committed."""

    id: str = ""
    """Of the ledger; "" while nothing is known."""
    highest: int = 0
    era: int = 0
    own: frozenset[int | None] = frozenset({None})
    """The number of its own last transaction; several where nobody knows whether the last was done."""

    def judge(self, found: Seal, where: str) -> None:
        """Refuse to commit where the database is not what it was.

        Args:
            where: the database, in words.

        Raises:
            BehindError: it has lost something, and does not say so yet.
            OlderError: it says so.
            LedgerError: it is another ledger.
        """
        if self.id and found.id != self.id:
            raise LedgerError(f"the database {where} has another ledger than the one that was opened; see ledger.url")
        if found.lost is not None:
            raise OlderError(behind(where, found.before, found.lost))
        if found.era > self.era:
            return
        if found.era < self.era or found.before < self.highest:
            raise BehindError(behind(where, found.before, self.highest))
        was_taken_out = found.own is None and found.before - max(one or 0 for one in self.own) >= OLD
        if found.own not in self.own and not was_taken_out:
            raise BehindError(behind(where, found.own or 0, max(one or 0 for one in self.own)))

    def keep(self, found: Seal) -> None:
        """Remember a transaction that is committed."""
        self.highest = found.before if found.number is None else found.number
        self.era = found.era
        self.own = frozenset({found.own if found.number is None else found.number})

    def keep_doubtful(self, found: Seal) -> None:
        """Remember a transaction of which nobody knows whether it is committed."""
        self.own = frozenset({found.own, found.number})


async def seal(raw: asyncpg.Connection, own: str) -> Seal:
    """Seal the transaction of a connection.

    Args:
        own: the row of this process.
    """
    row = await raw.fetchrow(SEAL, own)
    number, before, last, lost, era = (
        None if row[at] is None else int(row[at]) for at in ("number", "before", "own", "lost", "era")
    )
    return Seal(number, before or 0, last, lost, era or 0, row["id"] or "")


def behind(where: str, shown: int, known: int) -> str:
    """Say that a database has lost something, and what to do.

    Args:
        shown, known: the number that it shows, and the one that was committed.
    """
    # leases go on in it, and their numbers come to be higher
    numbers = f" (it shows {shown}, and {known} was committed)" if shown < known else ""
    return (
        f"the database {where} is older than what was committed{numbers}: it has lost what was written last, as a "
        "replica has that lagged; compare the payouts since then with the chain before you repeat any, then run "
        "`ec-gateway ledger adopt`"
    )
