"""Wash trades in a million trades, of a book and of a pool; round trips against trying all open buys.

Both ways of matching give the same trips.
"""

import numpy as np

from bmv.integrity.roundtrips import SAME_PRICE, SAME_SIZE, WITHIN, matched
from bmv.integrity.scan import scan
from bmv.integrity.tape import NOBODY, Tape
from tests.bench._timing import best_times

TRADES = 1_000_000
BASELINE_TRADES = 10_000
ACCOUNTS = 20_000
RINGS, RING_LENGTH, ROUNDS_EACH = 200, 4, 5
APART_S = 2.0
ROUNDS = 2


def run() -> dict[str, object]:
    """Time a scan of each shape of tape, and the matching of trips both ways; return microseconds a trade."""
    rng = np.random.default_rng(7)
    book, pool, few = honest(rng, TRADES, 2), honest(rng, TRADES, 1), honest(rng, BASELINE_TRADES, 1)
    plant(book)
    found = [group for group in scan(book).flagged if group.kind == "ring"]
    if len(found) != RINGS:
        raise AssertionError(f"{len(found)} rings found of {RINGS}")
    if matched(few) != plainly_matched(few):
        raise AssertionError("the two ways disagree")
    both = best_times([lambda: scan(book), lambda: scan(pool)], ROUNDS)
    ours, baseline = best_times([lambda: matched(few), lambda: plainly_matched(few)], ROUNDS)
    return {
        "bench": "integrity_scan",
        "trades": TRADES,
        "book_s": round(both[0], 2),
        "pool_s": round(both[1], 2),
        "baseline_us": round(baseline / BASELINE_TRADES * 1e6, 2),
        "ours_us": round(ours / BASELINE_TRADES * 1e6, 2),
        "ratio": round(baseline / ours, 1),
    }


def honest(rng: np.random.Generator, trades: int, sides: int) -> Tape:
    """Return a tape of accounts that trade by a power law, price walking."""
    first = np.minimum(ACCOUNTS - 1, rng.pareto(1.1, trades) * 40).astype(np.int64)
    second = rng.integers(ACCOUNTS, size=trades)
    second = np.where(second == first, (second + 1) % ACCOUNTS, second)
    buys = rng.random(trades) < 0.5
    other = second if sides == 2 else np.full(trades, NOBODY)
    return Tape(
        row=np.arange(trades),
        market=np.zeros(trades, dtype=np.int64),
        at=np.arange(trades, dtype=np.float64) * APART_S,
        seller=np.where(buys, other, first),
        buyer=np.where(buys, first, other),
        size=rng.lognormal(5, 2, trades),
        price=np.exp(np.cumsum(rng.normal(0, 0.001, trades))),
        markets=("",),
        accounts=tuple(f"account{number}" for number in range(ACCOUNTS + RINGS * RING_LENGTH)),
    )


def plant(tape: Tape) -> None:
    """Turn some trades into rings of accounts that nobody else trades with, spread over the tape."""
    step = len(tape.row) // (RINGS * RING_LENGTH * ROUNDS_EACH)
    rows = np.arange(RINGS * RING_LENGTH * ROUNDS_EACH) * step
    ring, turn = np.divmod(np.arange(len(rows)), RING_LENGTH * ROUNDS_EACH)
    base = ACCOUNTS + ring * RING_LENGTH
    tape.seller[rows], tape.buyer[rows] = base + turn % RING_LENGTH, base + (turn + 1) % RING_LENGTH
    tape.size[rows] = 100.0


def plainly_matched(market: Tape) -> list[tuple[int, int]]:
    """Return the round trips, looking at every open buy for each sale."""
    size, price, at = np.log(market.size).tolist(), np.log(market.price).tolist(), market.at.tolist()
    waiting: list[int] = []
    found = []
    for index, is_buy in enumerate((market.buyer != NOBODY).tolist()):
        if is_buy:
            waiting.append(index)
            continue
        fits = [
            (off + dear, buy)
            for buy in waiting
            if (off := abs(size[index] - size[buy]) / SAME_SIZE) <= 1
            and (dear := abs(price[index] - price[buy]) / SAME_PRICE) <= 1
            and at[index] - at[buy] <= WITHIN
        ]
        if fits:
            best = min(fits)[1]
            waiting.remove(best)
            found.append((best, index))
    return found
