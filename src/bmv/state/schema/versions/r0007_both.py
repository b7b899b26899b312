"""How long both sides were quoted at once; rows from before do not know it."""

from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column."""
    op.execute("ALTER TABLE sample ADD COLUMN present_both bigint")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE sample DROP COLUMN present_both")
