"""The history of one market in PostgreSQL: written in batches, opened at start, thinned out by age.

Rules of this file
- A batch is one transaction; writing it again changes nothing.
- Sums over a window are exact: whole hours from ``trade_hour``, the rest trade by trade.
- Every row belongs to a market *in a world* (the chain's genesis hash, or one run of a simulated one), so
  several share a database without mixing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from asyncpg import Connection, Record

from bmv.belief import Belief
from bmv.errors import UnsafeState
from bmv.model import MarketSpec, Side, Trade
from bmv.ports import Clock
from bmv.secret import Secret
from bmv.state import statements
from bmv.state.database import TIMEOUT_S, Database
from bmv.state.migrating import NEWEST, migrate, version_of
from bmv.state.rows import Batch, BundleSent, HourSum, Opening, OrderRow
from bmv.state.statements import HOUR_MS
from bmv.units import Millis

_SIDES = tuple(Side)
DAY_MS = 24 * HOUR_MS
MARKET = "SELECT id FROM market WHERE address = $1 AND world = $2"
STEP = 20_000
"""How many rows are deleted at a time."""
KEPT_BEYOND_MS = 2 * 24 * HOUR_MS
"""Raw trades are kept this much longer than the window, as the window's edge is summed from them."""


class History:
    """Write and read one market's history; every call raises Unreachable while the database is away."""

    def __init__(self, database: Database, spec: MarketSpec, world: str, first_start: Millis | None) -> None:
        self._database = database
        self._spec, self._world, self._first_start = spec, world, first_start
        self._market: int | None = None

    @classmethod
    def at(
        cls,
        url: Secret,
        spec: MarketSpec,
        world: str,
        clock: Clock,
        *,
        haste: float = 1.0,
        starts: bool = True,
    ) -> "History":
        """Return the history of a market; nothing is connected before the first call.

        ``haste`` is how much faster than real time the loop's clock runs. ``starts``: an engine begins with
        it, which is the first start where there was none.
        """
        database = Database(url, clock, timeout_s=TIMEOUT_S * haste)
        return cls(database, spec, world, clock.now() if starts else None)

    async def prepare(self) -> None:
        """Bring the schema up to date and know the market; UnsafeState where the database is not ours."""
        async with self._database.connection() as connection:
            await self._known_market(connection)

    async def _known_market(self, connection: Connection) -> int:
        if self._market is None:
            await migrate(connection)
            spec = self._spec
            await connection.execute(
                "INSERT INTO market "
                "(address, world, base_lot_size, quote_lot_size, first_start, base_decimals) "
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (address, world) DO UPDATE "
                "SET first_start = coalesce(market.first_start, excluded.first_start), "
                "base_decimals = excluded.base_decimals",
                *(spec.address, self._world, spec.base_lot_size, spec.quote_lot_size),
                *(self._first_start, spec.base_decimals),
            )
            self._market = await connection.fetchval(MARKET, spec.address, self._world)
        assert self._market is not None
        return self._market

    async def write(self, batch: Batch) -> None:
        """Write a batch, whole or not at all; BadRows where the database will never take it."""
        async with self._database.connection() as connection:
            market = await self._known_market(connection)
            async with connection.transaction():
                await _write(connection, market, batch)

    async def opening(self, now: Millis, window: Millis, recent: Millis) -> Opening:
        """Return what an engine starts from: the window up to ``now``, its ``recent`` part trade by trade.

        A trade counts in the window while it is younger than it, so one exactly that old does not.
        """
        async with self._database.connection() as connection:
            market = await self._known_market(connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _opening(connection, market, int(now), int(window), int(recent))

    async def glimpse(self, now: Millis, window: Millis, recent: Millis) -> Opening | None:
        """Return what ``opening`` would, and change nothing; None where nothing of the market was kept yet.

        Raises UnsafeState where the schema is an older one, or not ours.
        """
        async with self._database.connection() as connection:
            version = await version_of(connection)
            if version not in (None, NEWEST):
                raise UnsafeState(f"the history has schema {version}, which a run brings up to {NEWEST}")
            market = version and await connection.fetchval(MARKET, self._spec.address, self._world)
            if not market:
                return None
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _opening(connection, market, int(now), int(window), int(recent))

    async def belief(self) -> Belief | None:
        """Return what an engine believed last."""
        async with self._database.connection() as connection:
            market = await self._known_market(connection)
            found = await connection.fetchval("SELECT belief::text FROM market WHERE id = $1", market)
        return msgspec.json.decode(found, type=Belief) if found else None

    async def trades(self, start: Millis, end: Millis) -> list[Trade]:
        """Return the trades from ``start`` until before ``end``, oldest first."""
        async with self._database.connection() as connection:
            market = await self._known_market(connection)
            return await _trades(connection, market, int(start), int(end))

    async def thin_out(self, now: Millis, window: Millis) -> int:
        """Delete raw trades that no window needs any more, and return how many; their hours stay.

        Bundles and events of that age go too; fills, orders and balances are kept.
        """
        horizon = int(now) - int(window) - KEPT_BEYOND_MS
        horizon -= horizon % HOUR_MS
        async with self._database.connection() as connection:
            market = await self._known_market(connection)
            # From here on no older trade is taken, so that none comes back to be summed up twice.
            await connection.execute(
                "UPDATE market SET kept_from = greatest(kept_from, $2) WHERE id = $1", market, horizon
            )
            for table, time in (("event", "at"), ("bundle", "ended_at"), ("trade", "at")):
                gone = await _deleted(connection, table, time, market, horizon)
        return gone

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Connection, int]]:
        """Give the connection and the market's number for what else is kept beside this."""
        async with self._database.connection() as connection:
            yield connection, await self._known_market(connection)

    async def close(self) -> None:
        """Let the connection go."""
        await self._database.close()


async def _write(connection: Connection, market: int, batch: Batch) -> None:
    if batch.live_from is not None:
        mark = msgspec.json.encode(batch.live_from).decode()
        await connection.execute(statements.LIVE_FROM, market, mark)
    parts: Sequence[tuple[statements.Statement, Sequence[msgspec.Struct]]] = (
        (statements.TRADES, batch.trades),
        (statements.ORDERS, batch.orders),
        (statements.FILLS, batch.fills),
        (statements.ORDERS_OF_FILLS, batch.fills),
        (statements.ENDS, batch.ends),
        (statements.SENT, batch.sent),
        (statements.RESOLVED, batch.resolved),
        (statements.EVENTS, batch.events),
        (statements.BALANCES, batch.balances),
        (statements.BOOKS, batch.books),
        (statements.MARKOUTS, batch.markouts),
        (statements.SAMPLES, batch.samples),
        (statements.SOL_USD, batch.sol_usd),
    )
    for statement, rows in parts:
        if rows:
            await connection.execute(statement.sql, market, *statement.arguments(rows))
    if batch.belief is not None:
        await connection.execute(statements.BELIEF, market, msgspec.json.encode(batch.belief).decode())


async def _deleted(connection: Connection, table: str, time: str, market: int, before: int) -> int:
    """Delete a market's old rows in steps, none of which takes long; return how many."""
    old = f"SELECT ctid FROM {table} WHERE market = $1 AND {time} < $2 LIMIT {STEP}"
    query = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({old}))"
    gone, done = 0, STEP
    while done == STEP:
        done = int((await connection.execute(query, market, before)).split()[-1])
        gone += done
    return gone


async def _opening(connection: Connection, market: int, now: int, window: int, recent: int) -> Opening:
    horizon = now - window
    first_hour = horizon // HOUR_MS + 1
    recent_from = max(first_hour * HOUR_MS, (now - recent) // HOUR_MS * HOUR_MS)
    hours = await _columns(
        connection,
        "hour last_at notional::text volume::text own::text",
        "trade_hour WHERE market = $1 AND hour >= $2 AND hour < $3 ORDER BY hour",
        *(market, first_hour, recent_from // HOUR_MS),
    )
    edge = await _trades(connection, market, horizon + 1, first_hour * HOUR_MS)
    newest = await _trades(connection, market, recent_from, now + HOUR_MS)
    known = await connection.fetchrow("SELECT first_start, belief::text FROM market WHERE id = $1", market)
    bundles = await connection.fetch(
        "SELECT bundle_id, sent_at, tickets::text, signatures::text, last_valid, tip, fees FROM bundle "
        "WHERE market = $1 AND outcome IS NULL ORDER BY sent_at",
        market,
    )
    standing = await connection.fetch(
        "SELECT order_id, wallet, side, price, size, client_id, seen_at, level FROM own_order "
        "WHERE market = $1 AND ended_at IS NULL ORDER BY order_id",
        market,
    )
    filled = await connection.fetch(
        "SELECT order_id, sum(fill.size) FROM fill JOIN own_order USING (market, order_id) "
        "WHERE market = $1 AND ended_at IS NULL GROUP BY order_id",
        market,
    )
    belief, first_start = known["belief"], known["first_start"] or now
    return Opening(
        first_start=Millis(first_start),
        recent_from=Millis(recent_from),
        hours=list(map(HourSum, *hours[:2], *(map(int, sums) for sums in hours[2:]))),
        trades=edge + newest,
        belief=msgspec.json.decode(belief, type=Belief) if belief else None,
        in_flight=[_bundle(row) for row in bundles],
        standing=[_order(row) for row in standing],
        filled={int(order_id): int(size) for order_id, size in filled},
        seed=await _seed(connection, market, first_start, window),
        sol_usd=await _sol_usd(connection, market, horizon // HOUR_MS),
    )


async def _seed(connection: Connection, market: int, first_start: int, window: int) -> tuple[int, int]:
    """Return the price (fine ticks) and lots a day of what files say of the window before the first start.

    What was recorded trade by trade is not in it: from the first such hour on nothing is taken.
    """
    recorded = await connection.fetchval(
        f"SELECT min(hour) * {HOUR_MS} FROM trade_hour WHERE market = $1", market
    )
    until = first_start if recorded is None else min(first_start, recorded)
    notional, lots, first, last = await connection.fetchrow(
        "SELECT sum(price::numeric * size)::text, sum(size::numeric)::text, min(at), max(at) FROM imported "
        "WHERE market = $1 AND at >= $2 AND at < $3",
        *(market, first_start - window, until),
    )
    if not lots:
        return 0, 0
    return int(notional) // int(lots), int(lots) * DAY_MS // max(DAY_MS, last - first)


async def _sol_usd(connection: Connection, market: int, first_hour: int) -> list[tuple[int, int]]:
    query = "SELECT hour, micros FROM sol_usd WHERE market = $1 AND hour >= $2 ORDER BY hour"
    return [(hour, micros) for hour, micros in await connection.fetch(query, market, first_hour)]


async def _trades(connection: Connection, market: int, start: int, end: int) -> list[Trade]:
    found = await _columns(
        connection,
        "seq at price size taker_side own",
        "trade WHERE market = $1 AND at >= $2 AND at < $3 ORDER BY at, seq",
        *(market, start, end),
    )
    seqs, times, prices, sizes, sides, own = found
    return list(map(Trade, seqs, times, prices, sizes, map(_SIDES.__getitem__, sides), own))


async def _columns(connection: Connection, names: str, source: str, *arguments: int) -> list[list[Any]]:
    """Return rows column by column, an array each: half the work of as many rows."""
    arrays = ", ".join(f"array_agg({name})" for name in names.split())
    found = await connection.fetchrow(f"SELECT {arrays} FROM (SELECT * FROM {source}) AS sorted", *arguments)
    return [column or [] for column in found]


def _bundle(row: Record) -> BundleSent:
    fields: dict[str, Any] = dict(row)
    for name in ("tickets", "signatures"):
        fields[name] = msgspec.json.decode(fields[name])
    return BundleSent(**fields)


def _order(row: Record) -> OrderRow:
    fields: dict[str, Any] = dict(row)
    return OrderRow(**fields | {"order_id": int(row["order_id"]), "client_id": int(row["client_id"])})
