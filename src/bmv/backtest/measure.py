"""What a backtest came to: one JSON value, each number from the columns and rows of the run.

Floats here are statistics; amounts are decimal strings in SOL. Time shares weigh each step by its length.
"""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmv.backtest.course import DEPTHS, Course
from bmv.backtest.run import Backtest
from bmv.backtest.soundness import bad_ticks
from bmv.backtest.tape import Table, Tape
from bmv.core.decay import BPS, FINE
from bmv.core.ledger import Part
from bmv.model import MarketSpec, Side
from bmv.observe.figures import drawdown, rounded
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Ticks

DAY_MS = 86_400_000
NEAR_BPS = (200, 500)
MARKOUTS_S = (60, 600, 3_600)
Floats = NDArray[np.float64]


class Columns:
    """A course as arrays: milliseconds between steps as weights, prices in ticks, amounts in SOL.

    ``hold`` and ``mix`` are what the same beginning comes to when nothing is done, and when its shares of
    tokens, SOL and USDC are restored at each step at no cost. ``usdc_share`` is of SOL and USDC together.
    """

    def __init__(self, course: Course, quote_lot_size: int) -> None:
        self.times = np.asarray(course.times, dtype=np.int64)
        self.weights = np.diff(self.times, append=self.times[-1:]).astype(np.float64)
        self.prices = np.asarray(course.prices, dtype=np.float64) / FINE
        self.bids = np.asarray(course.bids, dtype=np.float64)
        self.asks = np.asarray(course.asks, dtype=np.float64)
        self.sol = np.asarray(course.sol, dtype=np.float64) / LAMPORTS_PER_SOL
        self.sol_usd = np.asarray(course.sol_usd, dtype=np.float64) / MICROS_PER_USD
        usdc = np.asarray(course.usdc, dtype=np.float64) / MICROS_PER_USD
        self.usdc_worth = np.divide(usdc, self.sol_usd, out=np.zeros_like(usdc), where=self.sol_usd > 0)
        tokens = np.asarray(course.base, dtype=np.float64) * quote_lot_size / LAMPORTS_PER_SOL
        self.base_worth = tokens * self.prices
        self.equity = self.sol + self.base_worth + self.usdc_worth
        dollar = np.divide(self.sol_usd[0], self.sol_usd, out=np.ones_like(usdc), where=self.sol_usd > 0)
        self.hold = self.sol[0] + tokens[0] * self.prices + self.usdc_worth[0] * dollar
        shares = self.base_worth[0] / self.equity[0], self.usdc_worth[0] / self.equity[0]
        gains = sum(
            share * (course[1:] / course[:-1] - 1)
            for share, course in zip(shares, (self.prices, dollar), strict=True)
        )
        self.mix = self.equity[0] * np.cumprod(np.concatenate(([1.0], 1 + gains)))
        reserve = self.sol + self.usdc_worth
        self.usdc_share = self.usdc_worth / reserve

    def time_share(self, wanted: NDArray[np.bool_]) -> float:
        """Return the share of time in which ``wanted`` holds."""
        total = self.weights.sum()
        return float((self.weights * wanted).sum() / total) if total else float(wanted.mean())


def report(name: str, table: Table, tape: Tape, spec: MarketSpec, run: Backtest) -> dict[str, Any]:
    """Return everything that is told of one run."""
    columns = Columns(run.course, spec.quote_lot_size)
    days = max(1e-9, float(columns.times[-1] - columns.times[0]) / DAY_MS)
    parts = run.ledger.totals()
    return {
        "name": name,
        "tape": {
            "source": table.source,
            "kind": table.kind,
            "prints": len(tape),
            "from_ms": int(columns.times[0]),
            "to_ms": int(columns.times[-1]),
            "days": round(days, 3),
            "rows_skipped": table.skipped,
            "gaps": table.gaps,
            "bad_ticks": int(bad_ticks(table.points[:, -1]).sum()),
            "first_price": _price(spec, columns.prices[0]),
            "last_price": _price(spec, columns.prices[-1]),
        },
        "equity_sol": _equity(columns),
        "pnl_parts_lamports": {part.value: int(parts[part]) for part in Part},
        "identity_residual_lamports": run.equity() - run.equity_start - sum(map(int, parts.values())),
        "base_share": {
            "median": rounded(np.median(columns.base_worth / columns.equity)),
            "max": rounded((columns.base_worth / columns.equity).max()),
        },
        "two_sided": {
            f"within_{bps // 100}pct": rounded(columns.time_share(_near(columns, bps))) for bps in NEAR_BPS
        },
        "depth_sol": _depth(run.course),
        "fills": _fills(run, days),
        "markouts_bps": _markouts(run, tape),
        "writes": _writes(run, days),
        "treasury": _treasury(run, columns, days),
        "incidents": dict(sorted(run.tally.incidents.items())),
        "halted": run.finish.reason if run.finish else None,
        "digest": run.journal.digest,
    }


def _equity(columns: Columns) -> dict[str, Any]:
    names = {"ours": columns.equity, "hold": columns.hold, "constant_mix": columns.mix}
    return {
        "start": _sol(columns.equity[0]),
        **{f"end_{name}": _sol(course[-1]) for name, course in names.items()},
        **{f"drawdown_{name}": rounded(drawdown(course.tolist())) for name, course in names.items()},
    }


def _near(columns: Columns, bps: int) -> NDArray[np.bool_]:
    share = bps / BPS
    near: NDArray[np.bool_] = (
        (columns.bids >= columns.prices * (1 - share))
        & (columns.asks <= columns.prices * (1 + share))
        & (columns.asks > 0)
    )
    return near


def _depth(course: Course) -> dict[str, dict[str, float]]:
    """Return the mean depth on each side within each distance."""
    rows = np.asarray(course.depths, dtype=np.float64) / LAMPORTS_PER_SOL
    means = rows.mean(axis=0)
    return {
        f"{bps / 100:g}pct": {"bid": rounded(means[2 * index]), "ask": rounded(means[2 * index + 1])}
        for index, bps in enumerate(DEPTHS)
    }


def _fills(run: Backtest, days: float) -> dict[str, Any]:
    sides = {side: [fill for fill in run.fills if fill.side is side] for side in Side}
    lot = run.paper.spec.quote_lot_size
    worth = {
        side: sum(int(f.price) * int(f.size) * lot for f in fills) / LAMPORTS_PER_SOL
        for side, fills in sides.items()
    }
    return {
        "count": len(run.fills),
        "bids": len(sides[Side.BID]),
        "asks": len(sides[Side.ASK]),
        "volume_sol": _sol(run.tally.volume / LAMPORTS_PER_SOL),
        "bought_sol": _sol(worth[Side.BID]),
        "sold_sol": _sol(worth[Side.ASK]),
        "per_day": rounded(len(run.fills) / days),
    }


def _markouts(run: Backtest, tape: Tape) -> dict[str, dict[str, float | None]]:
    """Return the mean gain, per side and time after a fill, against its price (positive: in our favour)."""
    found: dict[str, dict[str, float | None]] = {}
    for side in Side:
        fills = [fill for fill in run.fills if fill.side is side]
        at = np.array([int(fill.at) for fill in fills], dtype=np.int64)
        paid = np.array([int(fill.price) for fill in fills], dtype=np.float64)
        row: dict[str, float | None] = {}
        for seconds in MARKOUTS_S:
            later = at + seconds * 1_000
            known = later <= int(tape.times[-1])
            index = np.searchsorted(tape.times, later[known], side="right") - 1
            gain = (tape.prices[index] / FINE / paid[known] - 1) * BPS * (1 if side is Side.BID else -1)
            row[f"{seconds}s"] = rounded(gain.mean()) if len(gain) else None
        found["bids" if side is Side.BID else "asks"] = row
    return found


def _writes(run: Backtest, days: float) -> dict[str, Any]:
    tally = run.tally
    return {
        "rebuilds": tally.rebuilds,
        "placed": tally.placed,
        "cancelled": tally.cancelled,
        "dropped": run.paper.dropped,
        "bundles": tally.bundles,
        "changes_lost": tally.lost,
        "writes_per_day": rounded((tally.placed + tally.cancelled) / days),
        "bundles_per_day": rounded(tally.bundles / days),
        "tips_sol": _sol(tally.tips / LAMPORTS_PER_SOL),
        "fees_sol": _sol(tally.fees / LAMPORTS_PER_SOL),
    }


def _treasury(run: Backtest, columns: Columns, days: float) -> dict[str, Any] | None:
    """Return what was converted and what stood in USDC; None where there was no treasury."""
    held = run.treasury
    if held is None:
        return None
    count = sum(held.rules.values())
    worth = columns.equity * columns.sol_usd, columns.hold * columns.sol_usd
    return {
        "conversions": count,
        "conversions_per_day": rounded(count / days),
        "by_rule": dict(sorted(held.rules.items())),
        "bought_sol": _sol(int(held.bought) / LAMPORTS_PER_SOL),
        "sold_sol": _sol(int(held.sold) / LAMPORTS_PER_SOL),
        "turnover_usdc": f"{int(held.turnover) / MICROS_PER_USD:.6f}",
        "usdc_share": {
            "median": rounded(np.median(columns.usdc_share)),
            "max": rounded(columns.usdc_share.max()),
            "end": rounded(columns.usdc_share[-1]),
        },
        "sol_usd": {"first": rounded(columns.sol_usd[0]), "last": rounded(columns.sol_usd[-1])},
        "equity_usd": {
            "start": f"{worth[0][0]:.2f}",
            "end_ours": f"{worth[0][-1]:.2f}",
            "end_hold": f"{worth[1][-1]:.2f}",
            "drawdown_ours": rounded(drawdown(worth[0].tolist())),
            "drawdown_hold": rounded(drawdown(worth[1].tolist())),
        },
    }


def _price(spec: MarketSpec, ticks: float) -> str:
    return f"{Decimal(repr(float(ticks))) * spec.price(Ticks(1)):.12g}"


def _sol(value: float) -> str:
    return f"{float(value):.9f}"
