"""The token's decimals, so that amounts in lots can be told in tokens."""

from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column; the next start fills it."""
    op.execute("ALTER TABLE market ADD COLUMN base_decimals bigint")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE market DROP COLUMN base_decimals")
