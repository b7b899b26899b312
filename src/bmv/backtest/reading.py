"""Files of prices as columns: everything that cannot be is refused by field, value, file and row.

Rules of this file
- Rows are counted from 1, the header of a CSV file left out. Times are ISO 8601, or whole or broken numbers
  since 1970 in seconds, milliseconds, microseconds or nanoseconds: told apart by their size, one unit a file.
- A number that is missing, or NaN, is NaN; text that is no number, and an infinite one, is refused.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmv.errors import BadInput

SOURCE = "command line"
UNITS = (10**11, 10**14, 10**17)
"""Below these a number of seconds, milliseconds, microseconds since 1970; above them nanoseconds."""
NOTHING = ["", "null", "None", "nan", "NaN"]
MOMENT = "ISO 8601 text, or s, ms, us or ns since 1970"
Whole = NDArray[np.int64]
Floats = NDArray[np.float64]


def read_frame(path: Path) -> Any:
    """Return a file as a polars frame; a CSV file's columns are text."""
    try:
        import polars  # noqa: PLC0415  (an optional extra: the engine reads no files)
    except ImportError as error:
        raise BadInput(
            "PATH", path.name, "the extra that reads tables: pip install 'bmv[research]'", SOURCE
        ) from error
    if path.suffix not in (".parquet", ".csv"):
        raise BadInput("PATH", path.name, "a file named .parquet or .csv", SOURCE)
    if not path.is_file():
        raise BadInput("PATH", str(path), "a file that is there", SOURCE)
    try:
        if path.suffix == ".parquet":
            return polars.read_parquet(path)
        frame = polars.read_csv(path, infer_schema_length=0, null_values=NOTHING).rename(str.strip)
    except (OSError, polars.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0]
        raise BadInput("PATH", str(path), f"a readable {path.suffix} file ({why})", SOURCE) from error
    header = frame.columns[0]
    if frame.width == 1 and any(mark in header for mark in ";\t|"):
        raise BadInput("PATH", header, "columns with commas between them", str(path))
    filled = frame.select(~polars.all_horizontal(polars.all().is_null())).to_series().arg_true()
    # Blank lines at the end are no rows.
    frame = frame.head(int(filled[-1]) + 1 if len(filled) else 0)
    return frame.select(polars.all().str.strip_chars())


def read_times(column: Any, source: str) -> Whole:
    """Return milliseconds since 1970."""
    import polars  # noqa: PLC0415

    gone = column.is_null().arg_true()
    if len(gone):
        raise BadInput("ts", "nothing", MOMENT, _row(source, int(gone[0])))
    if column.dtype == polars.String and len(column):
        column = _parsed(column, source)
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    if column.dtype in (polars.Date, polars.Datetime):
        found: Whole = column.dt.epoch("ms").to_numpy().astype(np.int64)
    elif column.dtype.is_numeric():
        found = _counted(column.cast(polars.Float64 if column.dtype.is_float() else polars.Int64), source)
    else:
        raise BadInput("ts", f"a column of {column.dtype}", MOMENT, source)
    return found


def refuse_disorder(times: Whole, least: int, source: str) -> None:
    """Refuse rows less than ``least`` ms after the row before."""
    back = np.flatnonzero(np.diff(times) < least)
    if len(back):
        row = int(back[0]) + 1
        raise BadInput("ts", iso(int(times[row])), "later than the row before it", _row(source, row))


def read_numbers(column: Any, source: str) -> Floats:
    """Return numbers, NaN where there is none."""
    import polars  # noqa: PLC0415

    if not (column.dtype.is_numeric() or column.dtype in (polars.String, polars.Null)):
        raise BadInput(column.name, f"a column of {column.dtype}", "numbers", source)
    numbers = column.cast(polars.Float64, strict=False)
    wrong = (~column.is_null() & (numbers.is_null() | numbers.is_infinite())).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise BadInput(column.name, str(column[row]), "a number, or nothing", _row(source, row))
    found: Floats = numbers.fill_null(float("nan")).to_numpy().astype(np.float64)
    return found


def whole_numbers(values: Floats, scale: float, name: str, times: Whole, source: str) -> Whole:
    """Return values x ``scale`` rounded to whole numbers; refuse what does not fit into 62 bits.

    ``times`` are those of the rows, to name one.
    """
    with np.errstate(over="ignore"):
        scaled = np.rint(values * scale)
    large = np.argwhere(np.abs(scaled) >= float(1 << 62))
    if len(large):
        allowed = "a number that fits the market's ticks and lots: prices in SOL per token, sizes in tokens"
        place = f"{source}, {iso(int(times[large[0][0]]))}"
        raise BadInput(name, f"{values[tuple(large[0])]:g}", allowed, place)
    found: Whole = scaled.astype(np.int64)
    return found


def iso(ms: int) -> str:
    """Return a moment as ISO 8601 text."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def _parsed(column: Any, source: str) -> Any:
    """Return text as numbers where the first row is one, else as moments."""
    import polars  # noqa: PLC0415

    for kind in (polars.Int64, polars.Float64):
        numbers = column.cast(kind, strict=False)
        if numbers[0] is not None and (kind == polars.Float64 or not numbers.null_count()):
            return _all(numbers, column, source)
    try:
        moments = column.str.to_datetime(time_zone="UTC", strict=False)
    except polars.exceptions.PolarsError:
        moments = column.head(0).cast(polars.Datetime)
    if not len(moments):
        raise BadInput("ts", column[0], MOMENT, _row(source, 0))
    return _all(moments, column, source)


def _all(found: Any, column: Any, source: str) -> Any:
    wrong = found.is_null().arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise BadInput("ts", column[row], f"{MOMENT}, as in the first row", _row(source, row))
    return found


def _counted(column: Any, source: str) -> Whole:
    """Return numbers since 1970 in milliseconds."""
    raw = column.to_numpy()
    wrong = np.flatnonzero(~((raw >= 0) & (raw < float(1 << 62))))
    if len(wrong):
        row = int(wrong[0])
        raise BadInput("ts", str(column[row]), MOMENT, _row(source, row))
    units = np.digitize(raw, UNITS)
    other = np.flatnonzero(units != units[:1])
    if len(other):
        row = int(other[0])
        allowed = "the unit of the rows before it: s, ms, us or ns since 1970"
        raise BadInput("ts", str(column[row]), allowed, _row(source, row))
    unit = int(units[0])
    found = raw * 1_000 if unit == 0 else raw // 1_000 ** (unit - 1)
    times: Whole = np.rint(found).astype(np.int64)
    return times


def _row(source: str, index: int) -> str:
    return f"{source}, row {index + 1}"
