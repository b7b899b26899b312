"""What was before the first start: trades read back from the chain, files of prices, SOL/USD by the hour."""

from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE market ALTER COLUMN first_start DROP NOT NULL;
ALTER TABLE market ADD COLUMN live_from jsonb;
CREATE TABLE backfill (
    market integer PRIMARY KEY REFERENCES market,
    newest text NOT NULL,
    oldest text NOT NULL,
    oldest_at bigint NOT NULL,
    trades bigint NOT NULL,
    cut bigint NOT NULL,
    joined boolean NOT NULL,
    complete boolean NOT NULL
);
CREATE TABLE imported (
    market integer NOT NULL REFERENCES market,
    kind text NOT NULL,
    at bigint NOT NULL,
    number integer NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    PRIMARY KEY (market, kind, at, number)
);
CREATE TABLE sol_usd (
    market integer NOT NULL REFERENCES market,
    hour bigint NOT NULL,
    micros bigint NOT NULL,
    PRIMARY KEY (market, hour)
);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)


def downgrade() -> None:
    """Drop what came with this version, and the markets in which no engine has started."""
    op.execute("DROP TABLE backfill, imported, sol_usd")
    op.execute("DELETE FROM trade_hour WHERE market IN (SELECT id FROM market WHERE first_start IS NULL)")
    op.execute("DELETE FROM trade WHERE market IN (SELECT id FROM market WHERE first_start IS NULL)")
    op.execute("DELETE FROM market WHERE first_start IS NULL")
    op.execute("ALTER TABLE market ALTER COLUMN first_start SET NOT NULL, DROP COLUMN live_from")
