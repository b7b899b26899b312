"""Recorded prices from a file: what ``--prices`` and ``--sol-usd`` read.

Rules of this file
- Columns ``ts`` (the bar's OPEN time) and ``cross_close`` or ``close`` (SOL per token, or dollars per SOL;
  ``cross_close`` is taken where both exist); other columns are ignored.
- ``ts``: a date-time (no zone means UTC), ISO 8601 text, or seconds, milliseconds or microseconds since
  1970; strictly ascending.
- A row whose price is null (empty, ``null``, NaN) or <= 0 is skipped and counted; anything else that is not a
  number is an error that names the row.
- Step interpolation: the price at a moment is the close of the last row that opened at or before it, so a
  bar's close holds from the bar's opening to the next row's. Nothing is invented between rows.
"""

import csv
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

from bmv.errors import BadInput

PRICE_COLUMNS = ("cross_close", "close")
_NULLS = frozenset({"", "null", "none", "nan"})
_WHOLE = re.compile(r"[+-]?\d+")
_SECONDS_BELOW, _MILLIS_BELOW = 10**11, 10**14


@dataclass(frozen=True, slots=True)
class PricePath:
    """Prices in SOL per token, each from its time (ms since 1970) on; ``bar_ms`` is the usual distance."""

    source: str
    times: tuple[int, ...]
    prices: tuple[Decimal, ...]
    bar_ms: int
    skipped: int = 0

    @property
    def end_ms(self) -> int:
        """Return when the last row stops being valid: one bar after it opened."""
        return self.times[-1] + self.bar_ms

    def price_at(self, ms: int) -> Decimal:
        """Return the price of the last row at or before ``ms`` (the first row's before it)."""
        return self.prices[max(0, bisect_right(self.times, ms) - 1)]

    def since(self, ms: int) -> "PricePath":
        """Return the path from the row that holds at ``ms`` on; raise BadInput where it is over by then."""
        if not self.times[0] <= ms < self.end_ms:
            held = f"a moment from {_iso(self.times[0])} to {_iso(self.end_ms)}"
            raise BadInput("start", _iso(ms), held, self.source)
        at = bisect_right(self.times, ms) - 1
        return replace(self, times=self.times[at:], prices=self.prices[at:])

    def require(self, run_ms: int) -> None:
        """Raise BadInput, naming the last row, where the path is shorter than ``run_ms`` of recorded time."""
        if self.times[0] + run_ms > self.end_ms:
            days = Decimal(run_ms) / 86_400_000
            raise BadInput(
                "prices",
                _iso(self.times[-1]),
                f"the run needs {days.normalize():f} days from {_iso(self.times[0])} on, the last row is "
                f"{_iso(self.times[-1])} and ends {_iso(self.end_ms)}",
                self.source,
            )

    def lowest(self, run_ms: int) -> Decimal:
        """Return the lowest price within the first ``run_ms`` of recorded time."""
        return min(self.prices[: max(1, bisect_right(self.times, self.times[0] + run_ms))])


def load_prices(file: Path) -> PricePath:
    """Read a ``.parquet`` or ``.csv`` file; raises BadInput for anything this file's rules forbid."""
    source = str(file)
    if file.suffix == ".parquet":
        stamps, closes, column = _read_parquet(file)
    elif file.suffix == ".csv":
        stamps, closes, column = _read_csv(file)
    else:
        raise BadInput("prices", file.name, "a file named .parquet or .csv", source)
    return _path(source, stamps, closes, column)


def _path(source: str, stamps: Iterable[object], closes: Iterable[object], column: str) -> PricePath:
    times: list[int] = []
    prices: list[Decimal] = []
    previous, skipped = None, 0
    for row, (stamp, close) in enumerate(zip(stamps, closes, strict=True), start=1):
        at = _millis(stamp, f"{source}, row {row}")
        if previous is not None and at <= previous:
            raise BadInput("ts", str(stamp), "later than the row before", f"{source}, row {row}")
        previous = at
        price = _price(close, column, f"{source}, row {row}")
        if price is None:
            skipped += 1
            continue
        times.append(at)
        prices.append(price)
    if len(times) < 2:
        raise BadInput(column, len(times), "at least two rows with a price above 0", source)
    bar = min(later - earlier for earlier, later in pairwise(times))
    return PricePath(source, tuple(times), tuple(prices), bar, skipped)


def _millis(stamp: object, source: str) -> int:
    text = str(stamp).strip()
    if isinstance(stamp, datetime):
        moment = stamp
    elif _WHOLE.fullmatch(text):
        number = int(text)
        if number < _SECONDS_BELOW:
            return number * 1000
        return number if number < _MILLIS_BELOW else number // 1000
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            allowed = "a date-time, ISO 8601 text, or seconds, ms or us since 1970"
            raise BadInput("ts", text, allowed, source) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _price(close: object, column: str, source: str) -> Decimal | None:
    text = "" if close is None else str(close).strip()
    if text.lower() in _NULLS:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation as error:
        raise BadInput(column, text, "a number (SOL per token) or null", source) from error
    if not price.is_finite():
        raise BadInput(column, text, "a finite number (SOL per token)", source)
    return price if price > 0 else None


def _price_column(columns: Sequence[str], source: str) -> str:
    if "ts" not in columns:
        raise BadInput("ts", ", ".join(columns), "a column named ts (bar open time)", source)
    for name in PRICE_COLUMNS:
        if name in columns:
            return name
    raise BadInput("close", ", ".join(columns), "a column named close or cross_close (SOL per token)", source)


def _read_csv(file: Path) -> tuple[list[object], list[object], str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            header = [name.strip() for name in next(rows, [])]
            column = _price_column(header, str(file))
            ts, close = header.index("ts"), header.index(column)
            stamps: list[object] = []
            closes: list[object] = []
            for row in rows:
                if len(row) != len(header):
                    place = f"{file}, line {rows.line_num}"
                    raise BadInput("row", ",".join(row), f"{len(header)} fields", place)
                stamps.append(row[ts])
                closes.append(row[close])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput("prices", file.name, f"a readable CSV file ({error})", str(file)) from error
    return stamps, closes, column


def _read_parquet(file: Path) -> tuple[list[object], list[object], str]:
    try:
        import polars  # noqa: PLC0415  (an optional extra: most runs need no recorded prices)
    except ImportError as error:
        allowed = "a .csv file, or the extra that reads Parquet: pip install 'bmv[research]'"
        raise BadInput("prices", file.name, allowed, str(file)) from error
    try:
        columns = polars.read_parquet_schema(file)
        column = _price_column(list(columns), str(file))
        table = polars.read_parquet(file, columns=["ts", column])
    except (OSError, polars.exceptions.PolarsError) as error:
        raise BadInput("prices", file.name, f"a readable Parquet file ({error})", str(file)) from error
    return table["ts"].to_list(), table[column].to_list(), column


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")
