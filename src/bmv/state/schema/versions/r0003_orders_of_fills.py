"""Every fill has its order: a row for those that came and went unseen, and the way from one to the other."""

from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

ROWS = """
CREATE INDEX fill_order ON fill (market, order_id);
INSERT INTO own_order (market, order_id, wallet, side, price, size, client_id, seen_at)
    SELECT market, order_id, wallet, side, min(price), sum(size), min(client_id), min(at)
    FROM fill GROUP BY market, order_id, wallet, side
    ON CONFLICT DO NOTHING;
"""


def upgrade() -> None:
    """Make the rows that are missing, and the index; the next start tells how those orders ended."""
    op.execute(ROWS)


def downgrade() -> None:
    """Drop the index; the rows are true and stay."""
    op.execute("DROP INDEX fill_order")
