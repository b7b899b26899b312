"""Recorded prices as a tape: what traded when, for how much, in ticks of the market it is played on.

Rules of this file
- Only prices that traded become prints. A bar is its open and close, and its high and low where the file has
  columns of these names: bounds (``cross_high_bound``) are not prices and are never read.
- Within a bar that closes above its open the low comes before the high, else the high before the low; the
  prints stand at 0, 1/3, 2/3 of the bar and at its last millisecond. This is an assumption, and reported.
- Prints are in order of time; what a print at ``t`` says is known to nobody before ``t``.
- A row without a usable price is skipped and counted; a row out of order is an error that names it.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bmv.backtest.reading import (
    SOURCE,
    Whole,
    iso,
    read_frame,
    read_numbers,
    read_times,
    refuse_disorder,
    whole_numbers,
)
from bmv.core.decay import FINE
from bmv.errors import BadInput
from bmv.model import MarketSpec
from bmv.units import Ticks

Kind = Literal["bars", "trades"]
OPENS = ("cross_open", "open")
CLOSES = ("cross_close", "close")
VOLUMES = ("volume_token", "volume")
NAMES = ("ts", "open", "high", "low", "close", "price", "size", "side", "volume")
"""What a mapping may name."""
GAP_BARS = 3
"""A hole of so many bars in a row is reported as a gap."""


class Table(msgspec.Struct, frozen=True):
    """A file's rows in SOL per token and tokens, columns of one length; ``sizes`` is None for bars.

    ``points`` are the prices of a bar in their order of time (one column for trades), ``bar_ms`` its length,
    ``volumes`` what traded in it where the file says so.
    """

    source: str
    kind: Kind
    times: Whole
    points: NDArray[np.float64]
    sizes: NDArray[np.float64] | None
    bar_ms: int
    skipped: int
    gaps: int
    volumes: NDArray[np.float64] | None = None

    def rows(self, part: slice) -> "Table":
        """Return some of its rows as a table."""
        sizes = None if self.sizes is None else self.sizes[part]
        volumes = None if self.volumes is None else self.volumes[part]
        return msgspec.structs.replace(
            self, times=self.times[part], points=self.points[part], sizes=sizes, volumes=volumes
        )

    @property
    def first_price(self) -> Decimal:
        """Return the first price there is."""
        return Decimal(repr(float(self.points[0, 0])))

    @property
    def lowest(self) -> Decimal:
        """Return the lowest price there is; the market's ticks are chosen by it."""
        return Decimal(repr(float(self.points.min())))


class Tape(msgspec.Struct, frozen=True):
    """Prints: times in ms, prices in fine ticks, sizes in base lots (0 where the file has none).

    The last price holds until ``end_ms``.
    """

    kind: Kind
    times: Whole
    prices: Whole
    sizes: Whole
    end_ms: int

    def __len__(self) -> int:
        return len(self.times)

    def next_beyond(self, start: int, stop: int, low: int, high: int) -> int:
        """Return the first print in ``[start, stop)`` not between ``low`` and ``high``, else ``stop``.

        Looks at doubling pieces, so that a near one costs little and a far one one pass.
        """
        width = 64
        while start < stop:
            piece = self.prices[start : min(stop, start + width)]
            found = np.flatnonzero((piece <= low) | (piece >= high))
            if len(found):
                return start + int(found[0])
            start, width = start + len(piece), width * 2
        return stop


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Read a ``.csv`` or ``.parquet`` file; ``columns`` maps the names here to those of the file.

    A file with ``price`` and ``size`` holds trades, any other bars. Raises BadInput for what cannot be read.
    """
    frame = read_frame(path)
    names = _named(frame.columns, columns or {}, str(path))
    times = read_times(frame[names["ts"]], str(path))
    kind: Kind = "trades" if "price" in names else "bars"
    refuse_disorder(times, 0 if kind == "trades" else 1, str(path))
    wanted = (
        ["price"]
        if kind == "trades"
        else [each for each in ("open", "high", "low", "close") if each in names]
    )
    prices = np.column_stack([read_numbers(frame[names[each]], str(path)) for each in wanted])
    sizes = read_numbers(frame[names["size"]], str(path)) if kind == "trades" else None
    has_volume = kind == "bars" and "volume" in names
    volumes = read_numbers(frame[names["volume"]], str(path)) if has_volume else None
    usable = np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1)
    if sizes is not None:
        usable &= np.isfinite(sizes) & (sizes > 0)
    if int(usable.sum()) < 2:
        raise BadInput(
            names.get("close", names.get("price", "close")),
            int(usable.sum()),
            "two rows with a price",
            str(path),
        )
    times, prices = times[usable], prices[usable]
    bar = int(np.diff(times).min()) if kind == "bars" else 0
    gaps = int((np.diff(times) > GAP_BARS * bar).sum()) if bar else 0
    points = prices if kind == "trades" else _path(prices, wanted)
    return Table(
        str(path),
        kind,
        times,
        points,
        None if sizes is None else sizes[usable],
        bar,
        int((~usable).sum()),
        gaps,
        None if volumes is None else volumes[usable],
    )


def cut(table: Table, days: Decimal | None) -> Table:
    """Return the first ``days`` of a table; raise BadInput where it is shorter."""
    if days is None:
        return table
    span = int(days * 86_400_000)
    held = int(table.times[-1] - table.times[0]) + table.bar_ms
    if span > held:
        allowed = (
            f"at most {Decimal(held) / 86_400_000:.2f} days; the last row is {iso(int(table.times[-1]))}"
        )
        raise BadInput("--for", f"{days}d", allowed, table.source)
    stop = int(np.searchsorted(table.times, table.times[0] + span))
    return table.rows(slice(stop))


def tape_of(table: Table, spec: MarketSpec) -> Tape:
    """Return a table's prints in the ticks and lots of a market."""
    per_tick = float(spec.price(Ticks(1)))
    fine = np.maximum(1, whole_numbers(table.points, FINE / per_tick, "price", table.times, table.source))
    count = table.points.shape[1]
    # The last print of a bar stands in its last millisecond: the next bar opens after it.
    offsets = np.array([table.bar_ms * index // max(1, count - 1) for index in range(count)], dtype=np.int64)
    offsets[-1] = max(0, offsets[-1] - 1)
    times = (table.times[:, None] + offsets[None, :]).reshape(-1)
    if table.sizes is None:
        sizes = np.zeros(len(times), dtype=np.int64)
    else:
        per_token = 10.0**spec.base_decimals / spec.base_lot_size
        sizes = np.maximum(1, whole_numbers(table.sizes, per_token, "size", table.times, table.source))
    end = int(table.times[-1]) + table.bar_ms
    return Tape(table.kind, times, fine.reshape(-1), sizes, end)


def _path(prices: NDArray[np.float64], wanted: Sequence[str]) -> NDArray[np.float64]:
    """Order a bar's prices in time."""
    if wanted != ["open", "high", "low", "close"]:
        return prices
    rising = prices[:, 3] >= prices[:, 0]
    first, second = np.where(rising, prices[:, 2], prices[:, 1]), np.where(rising, prices[:, 1], prices[:, 2])
    return np.column_stack([prices[:, 0], first, second, prices[:, 3]])


def _named(have: Sequence[str], columns: Mapping[str, str], source: str) -> dict[str, str]:
    """Return which column of the file holds what."""
    for name, column in columns.items():
        if name not in NAMES:
            raise BadInput("--column", name, f"one of {', '.join(NAMES)}", SOURCE)
        if column not in have:
            raise BadInput("--column", f"{name}={column}", f"a column of the file: {', '.join(have)}", source)
    found = {name: name for name in NAMES if name in have} | dict(columns)
    for name, others in (("open", OPENS), ("close", CLOSES), ("volume", VOLUMES)):
        if name not in columns:
            there = next((other for other in others if other in have), None)
            found |= {name: there} if there else {}
    if found.get("open", "open") != "open":
        # A cross of two markets has no high and low that traded.
        found.pop("high", None), found.pop("low", None)
    if "ts" not in found:
        raise BadInput("ts", ", ".join(have), "a column named ts, or --column ts=NAME", source)
    if "price" in found and "size" in found:
        return found
    found.pop("price", None)
    if "close" not in found:
        raise BadInput(
            "close", ", ".join(have), "close (and open), or price and size, or --column NAME=COLUMN", source
        )
    if not {"high", "low"} <= set(found):
        found.pop("high", None), found.pop("low", None)
    return found
