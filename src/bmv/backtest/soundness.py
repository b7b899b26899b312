"""Files of prices as rows of history: what may be wrong with them is found, left out and told.

Rules of this file
- A bar counts with its close and its volume, at the moment it opened; one without volume tells nothing.
- A price more than three times away from the median of the 21 rows around it is a bad tick and left out.
- A price of SOL counts for its hour; several are averaged.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bmv.backtest.reading import whole_numbers
from bmv.backtest.tape import GAP_BARS, Table
from bmv.core.decay import FINE
from bmv.errors import BadInput
from bmv.model import MarketSpec
from bmv.state.rows import ImportedRow, SolUsdRow
from bmv.state.statements import HOUR_MS
from bmv.units import MICROS_PER_USD, Ticks

AROUND = 21
FAR = 3.0
PIECE = 20_000
NAMED = 5
"""So many gaps and bad ticks are named, the others counted."""
SILENCE_MS = 24 * HOUR_MS
"""A time without trades of this length is told as a gap."""


class Examined(msgspec.Struct, frozen=True):
    """The rows of a file that are sound, as times, prices and sizes (tokens); ``told`` says what was not."""

    times: NDArray[np.int64]
    prices: NDArray[np.float64]
    sizes: NDArray[np.float64]
    told: dict[str, Any]


def examined(table: Table, *, with_sizes: bool) -> Examined:
    """Return what may be taken of a table; raise BadInput where it says nothing about volume but must."""
    sizes = table.sizes if table.kind == "trades" else table.volumes
    if sizes is None:
        if with_sizes:
            raise BadInput(
                "volume", "absent", "a column of what traded, or --column volume=NAME", table.source
            )
        sizes = np.ones(len(table.times))
    prices = table.points[:, -1]
    bad = bad_ticks(prices)
    empty = ~(np.isfinite(sizes) & (sizes > 0))
    sound = ~bad & ~empty
    long = GAP_BARS * table.bar_ms if table.bar_ms else SILENCE_MS
    holes = np.flatnonzero(np.diff(table.times) > long)
    told = {
        "rows": len(table.times) + table.skipped,
        "without_price": table.skipped,
        "without_volume": int(empty.sum()),
        "bad_ticks": int(bad.sum()),
        "bad_ticks_first": [_tick(table, prices, int(row)) for row in np.flatnonzero(bad)[:NAMED]],
        "gaps": len(holes),
        "gaps_first": [_gap(table, int(row)) for row in holes[:NAMED]],
        "from": _iso(int(table.times[0])),
        "to": _iso(int(table.times[-1])),
    }
    return Examined(table.times[sound], prices[sound], sizes[sound], told)


def bad_ticks(prices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each price whether it is far from the median of those around it."""
    side = AROUND // 2
    if len(prices) < AROUND:
        middle = np.full(len(prices), np.median(prices))
    else:
        around = sliding_window_view(prices, AROUND)
        # A median copies what it looks at: piece by piece, so that a long file takes no more memory.
        pieces = (around[start : start + PIECE] for start in range(0, len(around), PIECE))
        inner = np.concatenate([np.median(piece, axis=1) for piece in pieces])
        middle = np.concatenate([np.repeat(inner[:1], side), inner, np.repeat(inner[-1:], side)])
    far: NDArray[np.bool_] = (prices > middle * FAR) | (prices * FAR < middle)
    return far


def imported_rows(table: Table, found: Examined, spec: MarketSpec) -> list[ImportedRow]:
    """Return sound rows in the market's fine ticks and lots; what is less than a lot is left out."""
    kind = "trades" if table.kind == "trades" else f"bars {table.bar_ms}"
    per_tick, per_token = float(spec.price(Ticks(1))), 10.0**spec.base_decimals / spec.base_lot_size
    fine = whole_numbers(found.prices, FINE / per_tick, "price", found.times, table.source)
    lots = whole_numbers(found.sizes, per_token, "size", found.times, table.source)
    rows: list[ImportedRow] = []
    for at, price, size in zip(found.times.tolist(), fine.tolist(), lots.tolist(), strict=True):
        number = rows[-1].number + 1 if rows and rows[-1].at == at else 0
        if price > 0 and size > 0:
            rows.append(ImportedRow(kind, at, number, price, size))
    return rows


def dollar_rows(found: Examined) -> list[SolUsdRow]:
    """Return the mean price of each hour there is one of."""
    hours, place = np.unique(found.times // HOUR_MS, return_inverse=True)
    means = np.bincount(place, weights=found.prices) / np.bincount(place)
    return [
        SolUsdRow(hour, round(price * MICROS_PER_USD))
        for hour, price in zip(hours.tolist(), means.tolist(), strict=True)
    ]


def _tick(table: Table, prices: NDArray[np.float64], row: int) -> str:
    return f"{_iso(int(table.times[row]))}: {prices[row]:g}"


def _gap(table: Table, row: int) -> str:
    return f"{_iso(int(table.times[row]))} to {_iso(int(table.times[row + 1]))}"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
