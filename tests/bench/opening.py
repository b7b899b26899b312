"""Opening the Pivot's 365 days over a table of trades, against PostgreSQL's own sum over the raw rows.

Both give the same sums, and that is checked. ``python -m tests.bench.opening 10000000`` takes ten million
trades (about three minutes, 2 GB of disk).
"""

import json
import sys
import time

import asyncpg

from bmv.secret import Secret
from bmv.state.history import History
from bmv.units import Millis
from tests.bench._database import own_server, with_history

TRADES = 1_000_000
DAY_MS = 86_400_000
WINDOW = Millis(365 * DAY_MS)
RECENT = Millis(6 * 3_600_000)
NOW = 1_767_225_600_000 + 1_234_567
RAW_ROUNDS, ROUNDS = 3, 20


def run(count: int = TRADES) -> dict[str, object]:
    """Time both ways; return milliseconds, the best of some rounds over an open connection."""
    with own_server() as url:
        with_history(url, lambda history: _fill(url, count))
        raw_ms, raw = with_history(url, lambda history: _raw(url))
        ours_ms, ours = with_history(url, _opened)
    if raw != ours:
        raise AssertionError(f"the two ways disagree: {raw} and {ours}")
    return {
        "bench": "open_pivot",
        "trades": count,
        "baseline_ms": round(raw_ms, 1),
        "ours_ms": round(ours_ms, 1),
        "ratio": round(raw_ms / ours_ms, 1),
    }


async def _fill(url: Secret, count: int) -> None:
    """Spread trades evenly over 366 days, and sum them up by the hour as a migration does."""
    connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
    await connection.execute(
        f"INSERT INTO trade SELECT 1, n, {NOW} - n * {366 * DAY_MS} / {count}, 90000 + n * 7919 % 20000,"
        f" 1 + n * 104729 % 1000000, 0, n % 10 = 0 FROM generate_series(0::bigint, {count - 1}) n;"
        "INSERT INTO trade_hour SELECT market, at / 3600000, sum(price * size), sum(size),"
        " coalesce(sum(size) FILTER (WHERE own), 0), count(*), max(at) FROM trade GROUP BY 1, 2"
    )
    await connection.execute("VACUUM ANALYZE trade, trade_hour")
    await connection.close()


async def _raw(url: Secret) -> tuple[float, tuple[int, int, int]]:
    connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
    query = (
        "SELECT sum(price * size), sum(size), sum(size) FILTER (WHERE own) FROM trade "
        "WHERE market = 1 AND at > $1 AND at <= $2"
    )
    best = float("inf")
    for _ in range(RAW_ROUNDS):
        began = time.perf_counter()
        notional, volume, own = await connection.fetchrow(query, NOW - int(WINDOW), NOW)
        best = min(best, time.perf_counter() - began)
    await connection.close()
    return best * 1e3, (int(notional), int(volume), int(own))


async def _opened(history: History) -> tuple[float, tuple[int, int, int]]:
    best, sums = float("inf"), (0, 0, 0)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        sums = (await history.opening(Millis(NOW), WINDOW, RECENT)).sums()
        best = min(best, time.perf_counter() - began)
    return best * 1e3, sums


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else TRADES)))
