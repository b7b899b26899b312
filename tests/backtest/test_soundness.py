"""What is wrong with a file of prices is left out and told; what is right becomes rows of history."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars
import pytest

from bmv.backtest.scene import market_of
from bmv.backtest.soundness import bad_ticks, dollar_rows, examined, imported_rows
from bmv.backtest.tape import Table, read_table
from bmv.core.decay import FINE
from bmv.errors import BadInput
from bmv.units import Ticks

HOUR = 3_600_000
START = 1_700_000_000_000 // HOUR * HOUR


def bars(path: Path, **columns: list[float]) -> Table:
    count = len(next(iter(columns.values())))
    times = [START + HOUR * number for number in range(count)]
    polars.DataFrame({"ts": times, **columns}).write_csv(path)
    return read_table(path)


def test_a_bar_counts_with_its_close_and_its_volume_in_the_market_s_units(tmp_path: Path) -> None:
    table = bars(
        tmp_path / "a.csv", open=[1.0] * 40, close=[0.5 + n / 1000 for n in range(40)], volume=[3.0] * 40
    )
    spec = market_of(table)
    rows = imported_rows(table, examined(table, with_sizes=True), spec)
    assert [(row.at, row.number, row.kind) for row in rows] == [
        (START + HOUR * n, 0, f"bars {HOUR}") for n in range(40)
    ]
    per_tick, per_lot = spec.price(Ticks(1)), Decimal(spec.base_lot_size) / 10**spec.base_decimals
    for number, row in enumerate(rows):
        assert abs(row.price * per_tick / FINE - (Decimal("0.5") + Decimal(number) / 1000)) <= per_tick / FINE
        assert abs(row.size * per_lot - 3) <= per_lot


def test_bad_ticks_gaps_and_empty_bars_are_left_out_and_named(tmp_path: Path) -> None:
    closes, volumes = [1.0] * 60, [1.0] * 60
    closes[30], closes[40], volumes[5] = 30.0, 0.1, 0.0
    table = bars(tmp_path / "a.csv", close=closes, volume=volumes)
    holed = table.rows(np.r_[0:10, 20:60])
    found = examined(holed, with_sizes=True)
    assert (found.told["bad_ticks"], found.told["gaps"], found.told["without_volume"]) == (2, 1, 1)
    assert [each.split(": ")[1] for each in found.told["bad_ticks_first"]] == ["30", "0.1"]
    assert len(found.prices) == 50 - 3
    assert set(found.prices.tolist()) == {1.0}


def test_a_price_that_really_moved_is_no_bad_tick() -> None:
    halved_daily = np.array([100 * 0.5 ** (n / 24) for n in range(400)])
    assert not bad_ticks(halved_daily).any()


def test_trades_of_one_moment_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    polars.DataFrame(
        {"ts": [START, START, START, START + 1], "price": [1.0] * 4, "size": [5.0] * 4}
    ).write_csv(path)
    table = read_table(path)
    rows = imported_rows(table, examined(table, with_sizes=True), market_of(table))
    assert [(row.at - START, row.number) for row in rows] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_bars_without_volume_say_nothing_about_a_market(tmp_path: Path) -> None:
    table = bars(tmp_path / "a.csv", close=[1.0] * 5)
    with pytest.raises(BadInput, match="--column volume=NAME"):
        examined(table, with_sizes=True)


def test_the_price_of_sol_is_one_number_an_hour_the_mean_of_several(tmp_path: Path) -> None:
    path = tmp_path / "sol.csv"
    times = [START + minute * 60_000 for minute in range(0, 180, 30)]
    polars.DataFrame({"ts": times, "close": [20.0, 22.0, 30.0, 30.0, 31.0, 32.0]}).write_csv(path)
    rows = dollar_rows(examined(read_table(path), with_sizes=False))
    assert [(row.hour - START // HOUR, row.micros) for row in rows] == [
        (0, 21_000_000),
        (1, 30_000_000),
        (2, 31_500_000),
    ]
