"""Market trades into PostgreSQL: batches with their hourly sums, against one INSERT and one commit for each.

Our way also keeps ``trade_hour``; the plain one does not, and is timed over fewer rows. Both end with the
trades on the disk.
"""

import random
import time

import asyncpg

from bmv.model import Side, Trade
from bmv.secret import Secret
from bmv.state.history import History
from bmv.state.rows import Batch
from bmv.units import BaseLots, Millis, Ticks
from tests.bench._database import own_server, with_history

BATCH, BATCHES = 10_000, 10
PLAIN_ROWS = 500


def run() -> dict[str, object]:
    """Time both ways; return rows per second."""
    with own_server() as url:
        ours = with_history(url, _batches)
        plain = with_history(url, lambda history: _one_by_one(url))
    return {
        "bench": "ingest_trades",
        "rows": BATCH * BATCHES,
        "baseline_rows_s": round(PLAIN_ROWS / plain),
        "ours_rows_s": round(BATCH * BATCHES / ours),
        "ratio": round(BATCH * BATCHES / ours / (PLAIN_ROWS / plain), 1),
    }


def trades(first: int, count: int) -> list[Trade]:
    """Return trades of about a day."""
    rng = random.Random(first)
    return [
        Trade(
            first + number,
            Millis(1_767_225_600_000 + (first + number) * 1_000),
            Ticks(rng.randrange(90_000, 110_000)),
            BaseLots(rng.randrange(1, 10**6)),
            Side.BID,
            False,
        )
        for number in range(count)
    ]


async def _batches(history: History) -> float:
    batches = [Batch(trades=trades(number * BATCH, BATCH)) for number in range(BATCHES)]
    began = time.perf_counter()
    for batch in batches:
        await history.write(batch)
    return time.perf_counter() - began


async def _one_by_one(url: Secret) -> float:
    rows = trades(BATCH * BATCHES, PLAIN_ROWS)
    connection = await asyncpg.connect(url.reveal())
    insert = await connection.prepare("INSERT INTO bmv.trade VALUES (1, $1, $2, $3, $4, $5, $6)")
    began = time.perf_counter()
    for row in rows:
        await insert.fetch(row.seq, row.at, row.price, row.size, row.taker_side, row.own)
    spent = time.perf_counter() - began
    await connection.close()
    return spent
