"""Trades, fills, orders, bundles, and events with their views."""

from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE market (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address text NOT NULL,
    world text NOT NULL,
    base_lot_size bigint NOT NULL,
    quote_lot_size bigint NOT NULL,
    first_start bigint NOT NULL,
    UNIQUE (address, world)
);
CREATE TABLE trade (
    market integer NOT NULL REFERENCES market,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    taker_side smallint NOT NULL,
    own boolean NOT NULL,
    PRIMARY KEY (market, seq)
);
CREATE INDEX trade_at ON trade (market, at);
CREATE TABLE fill (
    market integer NOT NULL REFERENCES market,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    seen_at bigint NOT NULL,
    wallet text NOT NULL,
    side smallint NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    maker boolean NOT NULL,
    rebate bigint NOT NULL,
    fee bigint NOT NULL,
    order_id numeric(39, 0) NOT NULL,
    client_id numeric(20, 0) NOT NULL,
    counterparty text NOT NULL,
    self_trade boolean NOT NULL,
    PRIMARY KEY (market, seq)
);
CREATE INDEX fill_at ON fill (market, at);
CREATE TABLE own_order (
    market integer NOT NULL REFERENCES market,
    order_id numeric(39, 0) NOT NULL,
    wallet text NOT NULL,
    side smallint NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    client_id numeric(20, 0) NOT NULL,
    seen_at bigint NOT NULL,
    ended_at bigint,
    ending text,
    filled bigint,
    PRIMARY KEY (market, order_id)
);
CREATE INDEX own_order_standing ON own_order (market) WHERE ended_at IS NULL;
CREATE TABLE bundle (
    market integer NOT NULL REFERENCES market,
    bundle_id text NOT NULL,
    sent_at bigint,
    tickets jsonb,
    signatures jsonb,
    last_valid bigint,
    ended_at bigint,
    outcome text,
    slot bigint,
    reason text,
    tip bigint NOT NULL,
    fees bigint NOT NULL,
    PRIMARY KEY (market, bundle_id)
);
CREATE INDEX bundle_in_flight ON bundle (market) WHERE outcome IS NULL;
CREATE TABLE event (
    market integer NOT NULL REFERENCES market,
    run bigint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    name text NOT NULL,
    fields jsonb NOT NULL,
    PRIMARY KEY (market, run, number)
);
CREATE INDEX event_name ON event (market, name, at);
"""
DOWN = "DROP TABLE event, bundle, own_order, fill, trade, market"


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)


def downgrade() -> None:
    """Drop the tables and what is in them."""
    op.execute(DOWN)
