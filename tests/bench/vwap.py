"""The Pivot per trade: one trade added and the Pivot read, against summing the window anew for every trade.

The window is full and slides: with every trade that comes one leaves. Both ways give the same price.
"""

import random
from collections import deque

from bmv.core.decay import FINE
from bmv.core.pivot import PivotWindow, Seed
from bmv.model import Side, Trade
from bmv.units import BaseLots, Millis, Ticks
from tests.bench._timing import best_times

IN_WINDOW = 1_000
TRADES = 2_000
APART_MS = 1_000
ROUNDS = 15
BASELINE_TRADES = 100


def run() -> dict[str, object]:
    """Time both ways over the same trades; return microseconds per trade."""
    rng = random.Random(365)
    trades = [
        Trade(
            seq=number,
            at=Millis(number * APART_MS),
            price=Ticks(rng.randrange(90_000, 110_000)),
            size=BaseLots(rng.randrange(1, 10**6)),
            taker_side=Side.BID,
            own=False,
        )
        for number in range(1, TRADES + 1)
    ]
    few = trades[: IN_WINDOW + BASELINE_TRADES]
    if slid(few)[IN_WINDOW:] != summed(few, BASELINE_TRADES):
        raise AssertionError("the two ways disagree")
    ours, baseline = best_times([lambda: slid(trades), lambda: summed(few, BASELINE_TRADES)], ROUNDS)
    ours_us, baseline_us = ours / TRADES * 1e6, baseline / BASELINE_TRADES * 1e6
    return {
        "bench": "vwap_add_and_read",
        "in_window": IN_WINDOW,
        "baseline_us": round(baseline_us, 2),
        "ours_us": round(ours_us, 2),
        "ratio": round(baseline_us / ours_us, 1),
    }


def slid(trades: list[Trade]) -> list[int | None]:
    """Return the Pivot after each trade, our way."""
    window, length, nothing = PivotWindow(started=Millis(0)), Millis(IN_WINDOW * APART_MS), Seed()
    found = []
    for trade in trades:
        window.add(trade)
        found.append(window.value_fine(trade.at, length, nothing))
    return found


def summed(trades: list[Trade], newest: int) -> list[int | None]:
    """Return the Pivot after each of the ``newest`` trades, by summing what is in the window."""
    recent: deque[Trade] = deque(trades[:-newest], IN_WINDOW)
    found: list[int | None] = []
    for trade in trades[-newest:]:
        recent.append(trade)
        value = sum(int(one.price) * int(one.size) for one in recent)
        found.append(value * FINE // sum(int(one.size) for one in recent))
    return found
