"""A tape holds what traded, in order, and finds the next print that matters."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.backtest.scene import market_of
from bmv.backtest.tape import Tape, cut, read_table, tape_of
from bmv.core.decay import FINE
from bmv.errors import BadInput
from bmv.units import BaseLots, Ticks

HOUR = 3_600_000


def csv(folder: Path, text: str) -> Path:
    file = folder / "prices.csv"
    file.write_text(text)
    return file


def test_a_bar_that_rises_goes_low_before_high_and_one_that_falls_high_before_low(tmp_path: Path) -> None:
    file = csv(tmp_path, "ts,open,high,low,close\n0,10,14,9,12\n3600,12,13,8,9\n")
    table = read_table(file)
    assert table.points.tolist() == [[10, 9, 14, 12], [12, 13, 8, 9]]
    tape = tape_of(table, market_of(table))
    bar = [0, 1_200_000, 2_400_000, HOUR - 1]
    assert tape.times.tolist() == [*bar, *(HOUR + at for at in bar)]
    assert tape.end_ms == 2 * HOUR


def test_bounds_of_a_cross_are_never_taken_for_prices(tmp_path: Path) -> None:
    file = csv(
        tmp_path,
        "ts,cross_open,cross_high_bound,cross_close,high,low\n0,1,9,2,9,0.1\n3600,2,9,3,9,0.1\n",
    )
    assert read_table(file).points.tolist() == [[1, 2], [2, 3]]


def test_prices_come_out_in_ticks_of_the_market(tmp_path: Path) -> None:
    file = csv(tmp_path, "ts,price,size\n0,0.010,5\n1,0.011,7\n")
    table = read_table(file)
    spec = market_of(table)
    tape = tape_of(table, spec)
    prices = [spec.price(Ticks(round(price / FINE))) for price in tape.prices.tolist()]
    assert prices == [Decimal("0.01"), Decimal("0.011")]
    assert [spec.size(BaseLots(lots)) for lots in tape.sizes.tolist()] == [5, 7]


def test_rows_without_a_price_are_skipped_and_counted(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path, "ts,close\n0,1\n60,\n120,-3\n180,nan\n240,2\n"))
    assert (table.skipped, table.points[:, 0].tolist()) == (3, [1, 2])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("ts,close\n60,1\n0,2\n", "ts"),
        ("ts,close\n0,1\n0,2\n", "ts"),
        ("close\n1\n2\n", "ts"),
        ("ts,volume\n0,1\n1,2\n", "close"),
        ("ts,close\n0,\n1,2\n", "close"),
        ("ts,close\n0,one\n1,two\n", "close"),
        ("ts,close\nyesterday,1\ntoday,2\n", "ts"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_field(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_table(csv(tmp_path, text))
    assert refused.value.field == field


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    file = csv(tmp_path, "when,px,qty\n0,1,5\n1,2,6\n")
    table = read_table(file, {"ts": "when", "price": "px", "size": "qty"})
    assert (table.kind, table.points[:, 0].tolist()) == ("trades", [1, 2])
    with pytest.raises(BadInput, match="a column of the file"):
        read_table(file, {"ts": "never"})
    with pytest.raises(BadInput, match="one of ts"):
        read_table(file, {"nonsense": "px"})


def test_a_run_longer_than_the_tape_names_its_last_row(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path, "ts,close\n0,1\n3600,2\n7200,3\n"))
    assert len(cut(table, Decimal(1) / 12).times) == 2
    with pytest.raises(BadInput, match="1970-01-01T02:00:00Z"):
        cut(table, Decimal(2))


@given(st.lists(st.integers(1, 60), max_size=300), st.integers(0, 30), st.integers(25, 61), st.data())
def test_the_next_print_beyond_is_the_one_a_plain_search_finds(
    prices: list[int], low: int, high: int, data: st.DataObject
) -> None:
    count = len(prices)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    whole = np.array(prices, dtype=np.int64)
    tape = Tape("bars", np.arange(count, dtype=np.int64), whole, np.zeros(count, dtype=np.int64), count)
    expected = next((i for i in range(start, stop) if prices[i] <= low or prices[i] >= high), stop)
    assert tape.next_beyond(start, stop, low, high) == expected
