"""What happened: incidents, restarts, orders, the seconds of each day, and when which gateway ran.

And two indexes, so that a person may look at open payments while others are made.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the history, and the indexes."""
    op.create_index("ix_keys_state", "keys", ["state", "updated_at"])
    op.create_index("ix_holds_key", "holds", ["wallet", "client", "key_hash"])
    op.create_table(
        "lives",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=False),
        sa.Column("began_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("ending", sa.String(16), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lives")),
    )
    op.create_index("ix_lives_began_at", "lives", ["began_at"])
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("life", sa.String(32), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("backend", sa.String(63), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("alerts", sa.Text(), nullable=False),
        sa.Column("done", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_table(
        "restarts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("life", sa.String(32), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("backend", sa.String(63), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(63), nullable=False),
        sa.Column("began_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restarts")),
    )
    op.create_index("ix_restarts_began_at", "restarts", ["began_at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("life", sa.String(32), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.String(63), nullable=False),
        sa.Column("by", sa.String(32), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("backend", sa.String(63), nullable=False),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("done_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "availability",
        sa.Column("day", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("wallet", sa.String(63), nullable=False),
        sa.Column("backend", sa.String(63), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=False),
        sa.Column("watched", sa.Float(), nullable=False),
        sa.Column("available", sa.Float(), nullable=False),
        sa.Column("stood_still", sa.Float(), nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "wallet", "backend", "gateway", name=op.f("pk_availability")),
    )
