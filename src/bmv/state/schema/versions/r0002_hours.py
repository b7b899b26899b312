"""Hourly sums of trades, balances by the hour, what the engine believed, and views of events."""

from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE trade_hour (
    market integer NOT NULL REFERENCES market,
    hour bigint NOT NULL,
    notional numeric NOT NULL,
    volume numeric NOT NULL,
    own numeric NOT NULL,
    trades bigint NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (market, hour)
);
LOCK TABLE trade IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO trade_hour
    SELECT market, at / 3600000, sum(price::numeric * size), sum(size::numeric),
           sum(CASE WHEN own THEN size::numeric ELSE 0 END), count(*), max(at)
    FROM trade GROUP BY market, at / 3600000;
ALTER TABLE market ADD COLUMN kept_from bigint NOT NULL DEFAULT 0;
ALTER TABLE market ADD COLUMN belief jsonb;
CREATE TABLE balance (
    market integer NOT NULL REFERENCES market,
    hour bigint NOT NULL,
    wallet text NOT NULL,
    gas bigint NOT NULL,
    quote_held bigint NOT NULL,
    quote_free bigint NOT NULL,
    quote_locked bigint NOT NULL,
    base_held numeric(20, 0) NOT NULL,
    base_free numeric(20, 0) NOT NULL,
    base_locked numeric(20, 0) NOT NULL,
    rent bigint NOT NULL,
    usdc bigint NOT NULL,
    PRIMARY KEY (market, hour, wallet)
);
"""
VIEWS = {
    "rebuild": (
        ("GRID_REBUILD",),
        "trigger cause",
        "price_fine pivot_fine pivot_raw_fine levels kept cancelled placed transactions bundles cost",
    ),
    "conversion": (("FIAT_INJECTION", "FIAT_RESERVE"), "rule", "usdc sol proven"),
    "rent": (("RENT_RECLAIM",), "account", "wallet lamports"),
    "transfer": (("TRANSFER",), "source target", "ticket lamports"),
    "config_change": (("CONFIG_RELOADED", "CONFIG_REFUSED"), "changed keys reason", ""),
    "kill": (("KILL_SWITCH",), "reason", ""),
}


def view(name: str, names: tuple[str, ...], texts: str, amounts: str) -> str:
    """Return the SQL of a view of events: columns of text, then whole numbers."""
    columns = [f"""fields ->> '{field}' AS "{field}" """ for field in texts.split()]
    columns += [f"""(fields ->> '{field}')::numeric AS "{field}" """ for field in amounts.split()]
    kinds = ", ".join(f"'{kind}'" for kind in names)
    listed = ", ".join(["market", "run", "number", "at", "name", *columns])
    return f"CREATE VIEW {name} AS SELECT {listed} FROM event WHERE name IN ({kinds})"


def upgrade() -> None:
    """Sum up what is there, and make the rest; trades cannot be written meanwhile."""
    op.execute(TABLES)
    for name, parts in VIEWS.items():
        op.execute(view(name, *parts))


def downgrade() -> None:
    """Drop what came with this version."""
    op.execute("DROP VIEW " + ", ".join(VIEWS))
    op.execute("DROP TABLE balance, trade_hour")
    op.execute("ALTER TABLE market DROP COLUMN kept_from, DROP COLUMN belief")
