"""Trades a second through a backtest: the whole engine on a tape, and a grid of resting orders alone.

The baseline is the plain event loop such a grid is usually played with: for every trade, look at the best
order of each side.
"""

import random
import time

import numpy as np

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.paper import Paper, Purse
from bmv.backtest.run import play_grid
from bmv.backtest.scene import Scene, market_of, scene
from bmv.backtest.tape import Table, Tape, tape_of
from bmv.config import read
from bmv.core.decay import FINE
from bmv.events import Execute
from bmv.model import MarketSpec, Placement, Side
from bmv.units import BaseLots, Ticks

TRADES = 1_000_000
ORDERS = 100
START_MS = 1_700_000_000_000


def _table(count: int) -> Table:
    rng = np.random.default_rng(1)
    prices = 0.01 * np.exp(np.cumsum(rng.normal(0, 0.0001, count)))
    sizes = rng.uniform(10, 500, count)
    times = START_MS + np.arange(count, dtype=np.int64) * 1_000
    return Table("bench", "trades", times, prices[:, None], sizes, 0, 0, 0)


def _orders(spec: MarketSpec, tape: Tape) -> Execute:
    """Return fifty bids and asks, two per mille apart, around the first price."""
    first, rng = int(tape.prices[0]) // FINE, random.Random(1)
    places = []
    for number in range(1, ORDERS + 1):
        side, away = (Side.BID, -1) if number % 2 else (Side.ASK, 1)
        price = first + away * first * (2 + 2 * (number // 2)) // 1_000
        places.append(Placement(0, side, 0, Ticks(price), BaseLots(rng.randint(100, 999)), number))
    return Execute(1, 0, (), tuple(places))


def _paper(spec: MarketSpec, tape: Tape) -> Paper:
    paper = Paper(spec, [Purse(0, 10**18, 10**12)], "through")
    paper.execute(_orders(spec, tape), None, None)
    return paper


def _plain(paper: Paper, tape: Tape) -> int:
    """Fill the same grid trade by trade; return how many fills there were."""
    lot = FINE
    bids = [[order.price * lot, order.size] for order in paper.bids]
    asks = [[order.price * lot, order.size] for order in paper.asks]
    fills = 0
    for price, size in zip(tape.prices.tolist(), tape.sizes.tolist(), strict=True):
        left = size
        while bids and left and price < bids[0][0]:
            gone = min(left, bids[0][1])
            bids[0][1] -= gone
            left -= gone
            fills += 1
            if not bids[0][1]:
                bids.pop(0)
        while asks and left and price > asks[0][0]:
            gone = min(left, asks[0][1])
            asks[0][1] -= gone
            left -= gone
            fills += 1
            if not asks[0][1]:
                asks.pop(0)
    return fills


def _engine(table: Table) -> tuple[Scene, float]:
    made = scene("bench", table, read(None, {"BMV_GRID_LEVELS": str(ORDERS)}).settings, Assumptions())
    began = time.perf_counter()
    made.run.run()
    return made, time.perf_counter() - began


def run(count: int = TRADES) -> dict[str, object]:
    """Return trades a second of each."""
    table = _table(count)
    spec = market_of(table)
    tape = tape_of(table, spec)
    began = time.perf_counter()
    grid = len(play_grid(tape, _paper(spec, tape)))
    grid_s = time.perf_counter() - began
    began = time.perf_counter()
    plain = _plain(_paper(spec, tape), tape)
    plain_s = time.perf_counter() - began
    assert grid == plain, (grid, plain)
    made, engine_s = _engine(table)
    return {
        "bench": "backtest",
        "trades": count,
        "orders": ORDERS,
        "grid_fills": grid,
        "grid_events_per_s": round(count / grid_s),
        "plain_events_per_s": round(count / plain_s),
        "ratio": round(plain_s / grid_s, 1),
        "engine_events_per_s": round(count / engine_s),
        "engine_rebuilds": made.run.tally.rebuilds,
        "engine_fills": len(made.run.fills),
    }
