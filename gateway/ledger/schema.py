"""The tables of the ledger.

Rule: what must not happen twice is a constraint here, and not a look before a write.  Times are seconds since
1970 (wall clock), amounts are satoshi, addresses are as the daemon lists them without the prefix of the network.
Migrations under migrations/versions lead to exactly this; a test compares the two.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

NAME = String(63)
ADDRESS = String(120)
TXID = String(64)
OUTPOINT = String(80)
HASH = String(64)

IS_KEPT = text("removed_at IS NULL")
"""Of an invoice that its client has not removed."""

meta = Table(
    "meta",
    metadata,
    Column("key", String(63), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts of the ledger itself: its random id, when it was made."""

wallets = Table(
    "wallets",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("primary_backend", NAME, nullable=False),
    Column("fingerprint", ADDRESS, nullable=False, server_default=""),
    Column("since", Float, nullable=False),
    Column("planned", Integer, nullable=False, server_default="0"),
)
"""One row a wallet.  state: `new` (never met), `unadopted` (met, used before, waits for an operator), `adopted`
(the ledger knows every address it listed then), `doubted` (adopted, and older than what was done with it).
fingerprint: its first receiving address.  since: when the epoch began.  planned: how many receiving addresses the
gateway has set out to let daemons list; written before the first of them is derived, never lowered."""

addresses = Table(
    "addresses",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("address", ADDRESS, nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", Float, nullable=False),
    Column("client", NAME, nullable=False, server_default=""),
    Column("method", String(100), nullable=False, server_default=""),
    Column("epoch", Integer, nullable=False, server_default="0"),
    UniqueConstraint("wallet", "address"),
    Index("ix_addresses_state", "wallet", "state", "place"),
)
"""Every receiving address in the order of derivation, without a gap.  state: `foreign` (listed at first contact: given
out by others), `pool` (derived, listed by every daemon, told to nobody), `handed` (told to a client), `burnt` (must
not be told to anybody: it shows history or a request that is not ours)."""

invoices = Table(
    "invoices",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("address", ADDRESS, primary_key=True),
    Column("id", String(32), nullable=False),
    Column("client", NAME, nullable=False),
    Column("amount", BigInteger, nullable=True),
    Column("memo", Text, nullable=False),
    Column("time", Integer, nullable=False),
    Column("exp", BigInteger, nullable=True),
    Column("removed_at", Float, nullable=True),
    Column("status", String(16), nullable=False, server_default="Pending"),
    Column("place", Integer, nullable=False),
    # of those that are not removed alone: a shop may remove thousands for each that it waits for
    Index("ix_invoices_status", "wallet", "status", sqlite_where=IS_KEPT, postgresql_where=IS_KEPT),
    Index("ix_invoices_place", "wallet", "place", sqlite_where=IS_KEPT, postgresql_where=IS_KEPT),
)
"""What addrequest answered.  status: the furthest that was ever seen (it never goes back); expiry is told from time
and exp.  A removed invoice stays, so that its address is never free again."""

receipts = Table(
    "receipts",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("address", ADDRESS, primary_key=True),
    Column("txid", TXID, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("height", Integer, nullable=False),
)
"""What came in on the address of an invoice; height 0 while unconfirmed."""

intents = Table(
    "intents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("wallet", NAME, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("client", NAME, nullable=False),
    Column("method", String(100), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float, nullable=True),
    Column("backend", NAME, nullable=False, server_default=""),
    Column("request", String(40), nullable=False, server_default=""),
    Column("key_hash", HASH, nullable=True),
    Column("txid", TXID, nullable=True),
    Column("note", Text, nullable=False, server_default=""),
    Index("ix_intents_state", "wallet", "state"),
)
"""A call that may change something, written down before its first byte.  state: `open`, `answered`, `not_executed`,
`unknown`, `withheld`, `resolved`."""

keys = Table(
    "keys",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("client", NAME, primary_key=True),
    Column("key_hash", HASH, primary_key=True),
    Column("key", String(255), nullable=True),
    Column("params_mac", HASH, nullable=False),
    Column("method", String(100), nullable=False),
    Column("state", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("result", Text, nullable=True),
    Column("txid", TXID, nullable=True),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("opened_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_keys_txid", "wallet", "txid"),
    # keys are kept for ever, and those that are not settled are few
    Index("ix_keys_state", "state", "updated_at"),
)
"""Idempotency keys.  state: `in_progress`, `signed` (result holds the daemon's raw answer), `published`, `confirmed`
(six blocks deep), `abandoned` and `tombstone` (key and result are gone, hash and txid stay for ever)."""

holds = Table(
    "holds",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("outpoint", OUTPOINT, primary_key=True),
    Column("txid", TXID, nullable=False),
    Column("client", NAME, nullable=False, server_default=""),
    Column("key_hash", HASH, nullable=True),
    Column("value", BigInteger, nullable=False, server_default="0"),
    Column("since", Float, nullable=False),
    Index("ix_holds_key", "wallet", "client", "key_hash"),
)
"""Coins that signed or published bytes spend; one transaction a coin.  A row goes when the hold is over."""

publications = Table(
    "publications",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("txid", TXID, primary_key=True),
    Column("hex", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("client", NAME, nullable=False),
    Column("spends_own", Integer, nullable=False, server_default="0"),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("answer", Text, nullable=False, server_default=""),
    Column("height", Integer, nullable=False, server_default="0"),
    Index("ix_publications_state", "wallet", "state"),
)
"""Broadcasts.  state: `unknown` (sent on until the chain has spoken), `accepted`, `confirmed` (six deep), `conflict`,
`rejected`."""

spending = Table(
    "spending",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("client", NAME, primary_key=True),
    Column("txid", TXID, primary_key=True),
    Column("day", Integer, nullable=False),
    Column("satoshi", BigInteger, nullable=False),
    Index("ix_spending_day", "wallet", "client", "day"),
)
"""What signed bytes take out of the wallet, fee included, counted once per transaction; day: days since 1970, UTC."""

marks = Table(
    "marks",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("value", Text, nullable=False),
    Column("owner", String(16), nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_marks_at", "wallet", "kind", "at"),
)
"""Labels and freezes as their last value.  kind: `label`, `freeze`, `freeze_utxo`; value: the label, or `1`, or "" for
none; owner: `client`, or `gateway` where a freeze is ours to lift."""

orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("wallet", NAME, nullable=False),
    Column("verb", String(32), nullable=False),
    Column("argument", Text, nullable=False, server_default=""),
    Column("at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("answer", Text, nullable=False, server_default=""),
    Column("done_at", Float, nullable=True),
    Index("ix_orders_state", "state"),
)
"""What an operator's command asked the running gateway to do: `adopt`, `promote`, `reinit`.  state: `open`, `done`,
`failed`."""

standing = Table(
    "standing",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("backend", NAME, primary_key=True),
    Column("verb", String(16), primary_key=True),
    Column("at", Float, nullable=False),
)
"""What an operator ordered for good.  verb: `hold` (no restarts), `drain` (no calls)."""

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("name", String(63), nullable=False),
    Column("wallet", NAME, nullable=False, server_default=""),
    Column("backend", NAME, nullable=False, server_default=""),
    Column("fields", Text, nullable=False, server_default="{}"),
)
"""What happened, newest last; bounded."""

leases = Table(
    "leases",
    metadata,
    Column("wallet", NAME, primary_key=True),
    Column("holder", NAME, nullable=False),
    Column("instance", String(32), nullable=False),
    Column("address", String(255), nullable=False),
    Column("config", HASH, nullable=False),
    Column("term", Integer, nullable=False),
    Column("until", Float, nullable=False),
    Column("since", Float, nullable=False),
)
"""Which gateway has a wallet, where several share a ledger.  instance: of its process; config: hash of the wallet's
configuration there; term: number of the holding, grows with each; until, since: seconds on the clock of the database,
until 0 once the lease was given up."""

lives = Table(
    "lives",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("gateway", NAME, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("ending", String(16), nullable=False, server_default=""),
    Index("ix_lives_began_at", "began_at"),
)
"""Each start of each gateway.  seen_at: when it last wrote; ending: "" while it runs, `stopped`, or `killed` where
whoever came after it found that it had said nothing."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("life", String(32), nullable=False),
    Column("gateway", NAME, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("wallet", NAME, nullable=False),
    Column("backend", NAME, nullable=False),
    Column("title", Text, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float, nullable=True),
    Column("times", Integer, nullable=False),
    Column("alerts", Text, nullable=False),
    Column("done", Text, nullable=False),
    Index("ix_incidents_opened_at", "opened_at"),
)
"""What went wrong (`rules/incidents.py`).  closed_at: none while it lasts.  alerts: ids, as JSON; done: moments and
sentences, as JSON."""

restarts = Table(
    "restarts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("life", String(32), nullable=False),
    Column("gateway", NAME, nullable=False),
    Column("wallet", NAME, nullable=False),
    Column("backend", NAME, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", NAME, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("ended_at", Float, nullable=True),
    Column("outcome", String(16), nullable=False),
    Column("step", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_restarts_began_at", "began_at"),
)
"""Every restart of a daemon.  outcome: `open`, `done`, `failed`, `broken off`."""

audit = Table(
    "audit",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("life", String(32), nullable=False),
    Column("gateway", NAME, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", NAME, nullable=False),
    Column("by", String(32), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("wallet", NAME, nullable=False),
    Column("backend", NAME, nullable=False),
    Column("verb", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("answer", Text, nullable=False),
    Column("done_at", Float, nullable=True),
    Index("ix_audit_at", "at"),
)
"""What people ordered.  outcome: `open`, `done`, `failed`, `refused`, `broken off`."""

availability = Table(
    "availability",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("wallet", NAME, primary_key=True),
    Column("backend", NAME, primary_key=True),
    Column("gateway", NAME, primary_key=True),
    Column("watched", Float, nullable=False),
    Column("available", Float, nullable=False),
    Column("stood_still", Float, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("reasons", Text, nullable=False),
)
"""The seconds of each day (days since 1970, UTC) as one gateway has seen them; backend "" is the wallet itself.
reasons: seconds by word, as JSON."""
