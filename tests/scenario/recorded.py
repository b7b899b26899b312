"""What an engine's own database holds once the engine is gone, asked in plain SQL."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from bmv.state.folder import StateFolder
from bmv.state.migrating import SCHEMA
from bmv.state.postgres import PostgresServer

OVERTOLD = (
    "SELECT order_id FROM own_order LEFT JOIN fill USING (market, order_id) "
    "GROUP BY order_id, filled HAVING filled > coalesce(sum(fill.size), 0)"
)

ORDERLESS = (
    "SELECT order_id FROM fill LEFT JOIN own_order USING (market, order_id) "
    "GROUP BY order_id, own_order.size HAVING own_order.size IS NULL OR own_order.size < sum(fill.size)"
)


@dataclass(frozen=True)
class Recorded:
    """Rows by their keys; ``landed`` is what each landed bundle cost.

    ``overtold`` counts orders that say more was filled of them than fills tell. Less may be: what became of
    an order in the second before a kill may be lost, its fills are not. ``orderless`` counts fills that
    belong to no order, or to one too small for them.

    ``trades``: price, size, whether ours. ``fills``: side, price, size, rebate, fee. ``hours``: sums of price
    times size, of size, of our own size.
    """

    markets: int
    trades: dict[int, tuple[int, int, bool]]
    fills: dict[int, tuple[int, ...]]
    hours: list[tuple[int, int, int]]
    landed: dict[str, int]
    in_flight: int
    standing: int
    overtold: int
    orderless: int


def recorded(state: StateFolder) -> Recorded:
    """Start the server of a state folder that nobody uses, and read it."""
    server = PostgresServer(state)
    try:
        server.start()
        return asyncio.run(_recorded(server.url.reveal()))
    finally:
        server.stop()


async def _recorded(url: str) -> Recorded:
    connection = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})

    async def count(what: str) -> int:
        return int(await connection.fetchval(f"SELECT {what}") or 0)

    async def rows(what: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(f"SELECT {what}")]

    try:
        return Recorded(
            markets=await count("count(*) FROM market"),
            trades={seq: (p, s, own) for seq, p, s, own in await rows("seq, price, size, own FROM trade")},
            fills={
                seq: tuple(what) for seq, *what in await rows("seq, side, price, size, rebate, fee FROM fill")
            },
            hours=[
                (int(n), int(v), int(o)) for n, v, o in await rows("notional, volume, own FROM trade_hour")
            ],
            landed=dict(await rows("bundle_id, tip + fees FROM bundle WHERE outcome = 'landed'")),
            in_flight=await count("count(*) FROM bundle WHERE outcome IS NULL"),
            standing=await count("count(*) FROM own_order WHERE ended_at IS NULL"),
            overtold=await count(f"count(*) FROM ({OVERTOLD}) AS found"),
            orderless=await count(f"count(*) FROM ({ORDERLESS}) AS found"),
        )
    finally:
        await connection.close()
