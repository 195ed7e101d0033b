"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "meta",
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "wallets",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("primary_backend", sa.String(63), nullable=False),
        sa.Column("fingerprint", sa.String(120), nullable=False, server_default=""),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_wallets")),
    )
    op.create_table(
        "addresses",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.String(120), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("client", sa.String(63), nullable=False, server_default=""),
        sa.Column("method", sa.String(100), nullable=False, server_default=""),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("wallet", "place", name=op.f("pk_addresses")),
        sa.UniqueConstraint("wallet", "address", name=op.f("uq_addresses_wallet")),
    )
    op.create_index("ix_addresses_state", "addresses", ["wallet", "state", "place"])
    op.create_table(
        "invoices",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("address", sa.String(120), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("time", sa.Integer(), nullable=False),
        sa.Column("exp", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.Float(), nullable=True),
        sa.Column("status", sa.String(16), nullable=False, server_default="Pending"),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "address", name=op.f("pk_invoices")),
    )
    is_kept = sa.text("removed_at IS NULL")
    for name in ("status", "place"):
        op.create_index(
            f"ix_invoices_{name}", "invoices", ["wallet", name], sqlite_where=is_kept, postgresql_where=is_kept
        )
    op.create_table(
        "receipts",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("address", sa.String(120), nullable=False),
        sa.Column("txid", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "address", "txid", name=op.f("pk_receipts")),
    )
    op.create_table(
        "intents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("method", sa.String(100), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.Column("backend", sa.String(63), nullable=False, server_default=""),
        sa.Column("request", sa.String(40), nullable=False, server_default=""),
        sa.Column("key_hash", sa.String(64), nullable=True),
        sa.Column("txid", sa.String(64), nullable=True),
        sa.Column("note", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intents")),
    )
    op.create_index("ix_intents_state", "intents", ["wallet", "state"])
    op.create_table(
        "keys",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=True),
        sa.Column("params_mac", sa.String(64), nullable=False),
        sa.Column("method", sa.String(100), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("txid", sa.String(64), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "client", "key_hash", name=op.f("pk_keys")),
    )
    op.create_index("ix_keys_txid", "keys", ["wallet", "txid"])
    op.create_table(
        "holds",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("outpoint", sa.String(80), nullable=False),
        sa.Column("txid", sa.String(64), nullable=False),
        sa.Column("client", sa.String(63), nullable=False, server_default=""),
        sa.Column("key_hash", sa.String(64), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "outpoint", name=op.f("pk_holds")),
    )
    op.create_table(
        "publications",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("txid", sa.String(64), nullable=False),
        sa.Column("hex", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("spends_own", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("answer", sa.Text(), nullable=False, server_default=""),
        sa.Column("height", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("wallet", "txid", name=op.f("pk_publications")),
    )
    op.create_index("ix_publications_state", "publications", ["wallet", "state"])
    op.create_table(
        "spending",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("client", sa.String(63), nullable=False),
        sa.Column("txid", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("satoshi", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "client", "txid", name=op.f("pk_spending")),
    )
    op.create_index("ix_spending_day", "spending", ["wallet", "client", "day"])
    op.create_table(
        "marks",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "kind", "key", name=op.f("pk_marks")),
    )
    op.create_index("ix_marks_at", "marks", ["wallet", "kind", "at"])
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("argument", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False, server_default=""),
        sa.Column("done_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index("ix_orders_state", "orders", ["state"])
    op.create_table(
        "standing",
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("backend", sa.String(63), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "backend", "verb", name=op.f("pk_standing")),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False, server_default=""),
        sa.Column("backend", sa.String(63), nullable=False, server_default=""),
        sa.Column("fields", sa.Text(), nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
