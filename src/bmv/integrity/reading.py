"""Tapes from files, by their columns.

Accounts are taken from the first of these that is complete:

    seller, buyer                                        who sold to whom
    maker_open_orders, taker_open_orders, taker_side     an order book's fills (or maker, taker, taker_side)
    seller_account, winner_account                       sales of single pieces
    trader, side                                         a pool's swaps: the other side is the pool

``price`` is needed; size is ``size`` or ``tokens`` (none: single pieces). The clock is ``ts`` (times, or
seconds, milli-, micro- or nanoseconds since 1970), else the first of ``event_seq``, ``seq``, ``trade_id``.
A trade without a time, a price or a size is kept and not judged. ``mint``, ``contract_address`` or ``market``
keeps markets apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bmv.errors import BadInput
from bmv.integrity.tape import NOBODY, Floats, Ints, Tape

if TYPE_CHECKING:
    import polars

SHAPES = (
    ("seller", "buyer"),
    ("maker_open_orders", "taker_open_orders", "taker_side"),
    ("maker", "taker", "taker_side"),
    ("seller_account", "winner_account"),
    ("trader", "side"),
)
CLOCKS = ("ts", "event_seq", "seq", "trade_id")
SIZES = ("size", "tokens")
MARKETS = ("mint", "contract_address", "market")
SIDES = ("buy", "sell")
UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which number on a time since 1970 counts nano-, micro- or milliseconds, and how many make a second."""


def read_tape(file: Path) -> Tape:
    """Read a ``.parquet`` or ``.csv`` file; raises BadInput for what is missing in it."""
    import polars  # noqa: PLC0415  (an optional extra)

    if file.suffix not in {".parquet", ".csv"}:
        raise BadInput("TAPE", str(file), "a file named .parquet or .csv", str(file))
    try:
        if file.suffix == ".parquet":
            table = polars.read_parquet(file)
        else:
            table = polars.read_csv(file, try_parse_dates=True, infer_schema_length=None)
    except (OSError, polars.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput("TAPE", str(file), f"a {file.suffix[1:]} file ({reason})", str(file)) from error
    return tape_of(table, str(file))


def tape_of(table: "polars.DataFrame", source: str) -> Tape:
    """Return a table of trades as a tape in the order of time."""
    sellers, buyers, accounts = _accounts(table, source)
    market, markets = _codes(table, [name for name in MARKETS if name in table.columns][:1], source)
    at = _clock(table, source)
    in_time = _order(at, sellers)
    tape = Tape(
        row=np.arange(table.height),
        market=market,
        at=at,
        seller=sellers,
        buyer=buyers,
        size=_size(table, source),
        price=_numbers(table, "price", source),
        markets=markets,
        accounts=accounts,
    )
    return tape.chosen(in_time)


def _order(at: Floats, sellers: Ints) -> Ints:
    """Return the rows in the order of time; where a file has lost it, a pool sells before it buys back.

    Clocks of a second put many trades into one moment; a file in the order of time tells which was first.
    """
    if bool(np.all(at[1:] >= at[:-1])):
        return np.arange(len(at))
    return np.lexsort((sellers != NOBODY, at))


def _accounts(table: "polars.DataFrame", source: str) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Return numbers of sellers and buyers, and the names they stand for."""
    shape = next((shape for shape in SHAPES if set(shape) <= set(table.columns)), None)
    if shape is None:
        allowed = "columns that name who trades: " + "; or ".join(", ".join(shape) for shape in SHAPES)
        raise BadInput("TAPE", ", ".join(table.columns), allowed, source)
    if shape[-1] not in {"side", "taker_side"}:
        codes, names = _codes(table, shape, source)
        return codes[: table.height], codes[table.height :], names
    wrong = table.filter(~table[shape[-1]].is_in(SIDES).fill_null(value=False))
    if wrong.height:
        raise BadInput(shape[-1], wrong[shape[-1]][0], "buy or sell", source)
    is_buy = (table[shape[-1]] == "buy").to_numpy()
    codes, names = _codes(table, shape[:-1], source)
    taker = codes[-table.height :]
    other = codes[: table.height] if len(shape) == 3 else np.full(table.height, NOBODY)
    return np.where(is_buy, other, taker), np.where(is_buy, taker, other), names


def _codes(table: "polars.DataFrame", columns: Sequence[str], source: str) -> tuple[Ints, tuple[str, ...]]:
    """Return the texts of columns, one column after the other, as numbers into the distinct ones."""
    import polars  # noqa: PLC0415

    if not columns:
        return np.zeros(table.height, dtype=np.int64), ("",)
    for name in columns:
        if table[name].dtype == polars.Binary or table[name].dtype.is_nested():
            raise BadInput(name, str(table[name].dtype), "a column of names", source)
    texts = polars.concat([table[name].cast(polars.String).alias("text") for name in columns])
    names = texts.drop_nulls().unique().sort()
    codes = texts.to_frame().join(
        names.to_frame().with_row_index("code"), on="text", how="left", maintain_order="left"
    )["code"]
    return codes.cast(polars.Int64).fill_null(NOBODY).to_numpy(), tuple(names.to_list())


def _clock(table: "polars.DataFrame", source: str) -> Floats:
    """Return seconds, or the numbers of events; where there is none, NaN."""
    import polars  # noqa: PLC0415

    name = next((name for name in CLOCKS if name in table.columns), None)
    if name is None:
        raise BadInput("TAPE", ", ".join(table.columns), "a clock: " + ", ".join(CLOCKS), source)
    if isinstance(table[name].dtype, polars.Datetime):
        return table[name].dt.epoch("us").cast(polars.Float64).fill_null(float("nan")).to_numpy() / 1e6
    at = _numbers(table, name, source, "a column of times or numbers")
    if name != "ts" or not np.isfinite(at).any():
        return at
    return at / next((unit for least, unit in UNITS if np.nanmax(at) >= least), 1.0)


def _size(table: "polars.DataFrame", source: str) -> Floats:
    name = next((name for name in SIZES if name in table.columns), None)
    return np.ones(table.height) if name is None else _numbers(table, name, source)


def _numbers(
    table: "polars.DataFrame", name: str, source: str, allowed: str = "a column of numbers"
) -> Floats:
    """Return a column as floats; nothing is NaN."""
    import polars  # noqa: PLC0415

    if name not in table.columns:
        raise BadInput("TAPE", ", ".join(table.columns), f"a column {name}", source)
    if table.height and not table[name].dtype.is_numeric() and table[name].dtype != polars.Null:
        raise BadInput(name, str(table[name].dtype), allowed, source)
    return table[name].cast(polars.Float64).fill_null(float("nan")).to_numpy()
