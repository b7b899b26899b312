"""The own ledger, samples by the minute, what fills were worth later, and the level of each order."""

from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE book (
    market integer NOT NULL REFERENCES market,
    run bigint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    part text NOT NULL,
    lamports bigint NOT NULL,
    cause text NOT NULL,
    PRIMARY KEY (market, run, number)
);
CREATE TABLE markout (
    market integer NOT NULL REFERENCES market,
    seq bigint NOT NULL,
    horizon bigint NOT NULL,
    at bigint NOT NULL,
    price_fine numeric NOT NULL,
    PRIMARY KEY (market, seq, horizon)
);
CREATE TABLE sample (
    market integer NOT NULL REFERENCES market,
    run bigint NOT NULL,
    at bigint NOT NULL,
    booked bigint NOT NULL,
    settled boolean NOT NULL,
    sol bigint NOT NULL,
    base bigint NOT NULL,
    usdc bigint NOT NULL,
    sol_usd bigint,
    mark bigint NOT NULL,
    rent bigint NOT NULL,
    price_fine numeric,
    pivot_fine numeric,
    orders bigint NOT NULL,
    quoting bigint NOT NULL,
    present_bid bigint NOT NULL,
    present_ask bigint NOT NULL,
    spread_weighted bigint NOT NULL,
    spread_millis bigint NOT NULL,
    depth_millis bigint NOT NULL,
    depth jsonb NOT NULL,
    PRIMARY KEY (market, run, at)
);
CREATE INDEX sample_at ON sample (market, at);
ALTER TABLE own_order ADD COLUMN level bigint;
"""
BANDS = (50, 100, 200, 500)


def depth_view() -> str:
    """Return the SQL of the view that tells depth x time by side and band; ``depth`` lists them in order."""
    places = [(side, band) for side in ("bid", "ask") for band in BANDS]
    each = ", ".join(
        f"('{side}', {band}, (depth ->> {number})::numeric, (depth ->> {number + len(places)})::numeric)"
        for number, (side, band) in enumerate(places)
    )
    return (
        "CREATE VIEW depth AS SELECT market, run, at, side, band, own, everybody, depth_millis AS millis "
        f"FROM sample CROSS JOIN LATERAL (VALUES {each}) AS told (side, band, own, everybody)"
    )


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    op.execute(depth_view())


def downgrade() -> None:
    """Drop what came with this version."""
    op.execute("DROP VIEW depth")
    op.execute("DROP TABLE book, markout, sample")
    op.execute("ALTER TABLE own_order DROP COLUMN level")
