"""The SQL that writes rows: each statement takes the market and one array per column.

Rules of this file
- Every statement may run again with the same rows and changes nothing then.
- The hourly sums change in the statement that inserts the trades, by exactly those it did insert. Trades of
  a time that retention has emptied are not taken: their hours hold them already.
- Every fill has its order, whoever saw it; an order is as large as the largest it was ever told to be.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bmv.state.rows import (
    BalanceRow,
    BookRow,
    BundleEnd,
    BundleSent,
    EventRow,
    FillRow,
    ImportedRow,
    MarkoutRow,
    OrderEnd,
    OrderRow,
    SampleRow,
    SolUsdRow,
)

HOUR_MS = 3_600_000


class Statement(NamedTuple):
    """A statement and the columns whose arrays it takes, with their types."""

    sql: str
    columns: Mapping[str, str]

    def arguments(self, rows: Sequence[msgspec.Struct]) -> list[list[Any]]:
        """Return the rows column by column."""
        encode = msgspec.json.encode
        return [
            [encode(getattr(row, name)).decode() for row in rows]
            if kind == "jsonb"
            else [getattr(row, name) for row in rows]
            for name, kind in self.columns.items()
        ]


def _columns(row: type[msgspec.Struct], **special: str) -> dict[str, str]:
    """Return the PostgreSQL type of every field of a row."""
    plain = {int: "bigint", str: "text", bool: "boolean"}
    hints = msgspec.structs.fields(row)
    return {field.name: special.get(field.name) or plain[field.type] for field in hints}


def _rows(columns: Mapping[str, str]) -> str:
    """Return a SELECT of the rows that the arrays $2, $3, ... hold."""
    arrays = ", ".join(
        f"${place}::{'text' if kind == 'jsonb' else kind}[]"
        for place, kind in enumerate(columns.values(), start=2)
    )
    names = ", ".join(f"{name}::jsonb" if kind == "jsonb" else name for name, kind in columns.items())
    return f"SELECT $1::integer, {names} FROM unnest({arrays}) AS given ({', '.join(columns)})"


def _insert(table: str, columns: Mapping[str, str], conflict: str = "DO NOTHING") -> Statement:
    sql = f"INSERT INTO {table} (market, {', '.join(columns)}) {_rows(columns)} ON CONFLICT {conflict}"
    return Statement(sql, columns)


_TRADE = {
    "seq": "bigint",
    "at": "bigint",
    "price": "bigint",
    "size": "bigint",
    "taker_side": "smallint",
    "own": "boolean",
}
_ID = {"order_id": "numeric", "client_id": "numeric", "side": "smallint"}
_END = _columns(OrderEnd, order_id="numeric")

TRADES = Statement(
    f"""
    WITH fresh AS (
        INSERT INTO trade (market, {", ".join(_TRADE)})
        {_rows(_TRADE)} WHERE at >= (SELECT kept_from FROM market WHERE id = $1)
        ON CONFLICT DO NOTHING
        RETURNING at, price, size, own
    )
    INSERT INTO trade_hour (market, hour, notional, volume, own, trades, last_at)
    SELECT $1, at / {HOUR_MS}, sum(price::numeric * size), sum(size::numeric),
           coalesce(sum(size::numeric) FILTER (WHERE own), 0), count(*), max(at)
    FROM fresh GROUP BY at / {HOUR_MS} ORDER BY at / {HOUR_MS}
    ON CONFLICT (market, hour) DO UPDATE SET
        notional = trade_hour.notional + excluded.notional,
        volume = trade_hour.volume + excluded.volume,
        own = trade_hour.own + excluded.own,
        trades = trade_hour.trades + excluded.trades,
        last_at = greatest(trade_hour.last_at, excluded.last_at)
    """,
    _TRADE,
)
FILLS = _insert("fill", _columns(FillRow, **_ID))
_ORDER = _columns(OrderRow, level="bigint", **_ID)
_GROWN = "(market, order_id) DO UPDATE SET size = excluded.size WHERE own_order.size < excluded.size"
ORDERS = Statement(
    f"INSERT INTO own_order (market, {', '.join(_ORDER)}) "
    f"SELECT DISTINCT ON (order_id) * FROM ({_rows(_ORDER)}) AS told (market, {', '.join(_ORDER)}) "
    f"ORDER BY order_id, size DESC ON CONFLICT {_GROWN}",
    _ORDER,
)
ORDERS_OF_FILLS = Statement(
    """
    INSERT INTO own_order (market, order_id, wallet, side, price, size, client_id, seen_at)
    SELECT $1, order_id, min(wallet), min(side), min(price), sum(size), min(client_id), min(at)
    FROM fill WHERE market = $1 AND order_id = ANY($2::numeric[]) GROUP BY order_id
    ON CONFLICT """
    + _GROWN,
    {"order_id": "numeric"},
)
"""Orders that fills tell of and nobody has seen stand; they are known to be as large as what was filled."""
ENDS = Statement(
    "UPDATE own_order SET ended_at = gone.ended_at, ending = gone.ending, filled = gone.filled "
    f"FROM ({_rows(_END)}) AS gone (market, {', '.join(_END)}) "
    "WHERE own_order.market = gone.market AND own_order.order_id = gone.order_id "
    "AND own_order.ended_at IS NULL",
    _END,
)
SENT = _insert(
    "bundle",
    _columns(BundleSent, tickets="jsonb", signatures="jsonb"),
    "(market, bundle_id) DO UPDATE SET sent_at = excluded.sent_at, tickets = excluded.tickets, "
    "signatures = excluded.signatures, last_valid = excluded.last_valid WHERE bundle.sent_at IS NULL",
)
RESOLVED = _insert(
    "bundle",
    _columns(BundleEnd),
    "(market, bundle_id) DO UPDATE SET ended_at = excluded.ended_at, outcome = excluded.outcome, "
    "slot = excluded.slot, reason = excluded.reason, tip = excluded.tip, fees = excluded.fees "
    "WHERE bundle.outcome IS NULL",
)
EVENTS = _insert("event", _columns(EventRow, fields="jsonb"))
_LARGE = dict.fromkeys(("base_held", "base_free", "base_locked"), "numeric")
BALANCES = _insert("balance", _columns(BalanceRow, **_LARGE))
BOOKS = _insert("book", _columns(BookRow))
MARKOUTS = _insert("markout", _columns(MarkoutRow, price_fine="numeric"))
SAMPLES = _insert(
    "sample",
    _columns(
        SampleRow,
        sol_usd="bigint",
        price_fine="numeric",
        pivot_fine="numeric",
        depth="jsonb",
        present_both="bigint",
    ),
)
IMPORTED = _insert("imported", _columns(ImportedRow))
SOL_USD = _insert("sol_usd", _columns(SolUsdRow))
LIVE_FROM = (
    "UPDATE market SET live_from = $2::jsonb WHERE id = $1 AND live_from IS NULL "
    "AND NOT EXISTS (SELECT FROM trade WHERE market = $1 AND seq >= 0)"
)
"""Trades read back from the time before have numbers below 0."""
BELIEF = (
    "UPDATE market SET belief = $2::jsonb "
    "WHERE id = $1 AND (belief IS NULL OR (belief ->> 'at')::bigint <= ($2::jsonb ->> 'at')::bigint)"
)
