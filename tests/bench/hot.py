"""The hot snapshot of 3,200 orders: packed and written in one call, against one HSET per order.

Both against the same real Valkey over the same client. Ours counts building the whole packed value from the
engine's belief (a running engine builds only what changed); the plain way is given ready fields. Its
pipelined form is timed too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import redis.asyncio as aioredis

from bmv.model import Side
from bmv.services.hot import Picture
from bmv.state.hot import HotState
from bmv.state.snapshot import Author, packed
from bmv.units import BaseLots, Millis, Ticks
from tests.core.belongings import order, quoting_state, wallet
from tests.services.living_world import StillClock
from tests.state.valkey import Valkey, running

WALLETS, ORDERS_EACH, ROUNDS = 100, 32, 5


def run() -> dict[str, object]:
    """Time both ways; return milliseconds per snapshot."""
    with running() as server:
        return asyncio.run(_compared(server))


async def _compared(server: Valkey) -> dict[str, object]:
    views = [
        wallet(
            number,
            orders=[
                order(number, Side.BID, 90_000 - 40 * number - at, 1_000 + at) for at in range(ORDERS_EACH)
            ],
        )
        for number in range(WALLETS)
    ]
    state = quoting_state(views)
    orders = [one for view in views for one in view.orders]
    addresses = [f"wallet {number}" for number in range(WALLETS)]
    author = Author("bench", "here", 1, Millis(0), 1)
    hot = HotState(server.url, "BENCH", StillClock())
    plain = aioredis.Redis.from_url(server.url.reveal())
    rows = [
        (f"order:{one.order_id}", {"price": int(one.price), "size": int(one.size), "side": int(one.side)})
        for one in orders
    ]

    async def ours() -> None:
        assert await hot.write(packed(Picture(addresses.__getitem__).of(state, author)), 1)

    async def each() -> None:
        for key, fields in rows:
            await plain.hset(key, mapping=fields)  # type: ignore[arg-type]

    async def pipelined() -> None:
        pipe = plain.pipeline(transaction=False)
        for key, fields in rows:
            pipe.hset(key, mapping=fields)  # type: ignore[arg-type]
        await pipe.execute()

    best = [await _best(way) for way in (ours, each, pipelined)]
    seen = await hot.read()
    assert seen is not None
    assert seen.snapshot.orders == len(orders)
    assert BaseLots(0) < seen.snapshot.purses[0].orders[0].size
    assert Ticks(0) < seen.snapshot.purses[0].orders[0].price
    await hot.close()
    await plain.aclose()
    return {
        "bench": "hot_snapshot",
        "orders": len(orders),
        "baseline_ms": round(best[1] * 1e3, 1),
        "pipelined_ms": round(best[2] * 1e3, 1),
        "ours_ms": round(best[0] * 1e3, 1),
        "ratio": round(best[1] / best[0], 1),
    }


async def _best(way: Callable[[], Awaitable[None]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await way()
        times.append(time.perf_counter() - began)
    return min(times)
