"""Recorded prices: what is read, skipped and refused."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.errors import BadInput
from bmv.sandbox.prices import PricePath, load_prices

HOUR = 3_600_000
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "prices"


def written(folder: Path, text: str) -> Path:
    file = folder / "prices.csv"
    file.write_text(text)
    return file


def test_a_csv_file_is_read_with_exact_prices(tmp_path: Path) -> None:
    file = written(tmp_path, "ts,open,close\n2023-01-01T00:00:00Z,9,0.0123\n2023-01-01 01:00:00,9,0.0124\n")
    path = load_prices(file)
    assert path.times == (1672531200000, 1672534800000)
    assert path.prices == (Decimal("0.0123"), Decimal("0.0124"))
    assert (path.bar_ms, path.skipped, path.end_ms) == (HOUR, 0, 1672538400000)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_times_may_be_seconds_milliseconds_or_microseconds(tmp_path: Path, unit: int) -> None:
    file = written(tmp_path, f"ts,close\n{1672531200 * unit},1\n{1672534800 * unit},2\n")
    assert load_prices(file).times == (1672531200000, 1672534800000)


def test_the_cross_rate_wins_over_a_plain_close(tmp_path: Path) -> None:
    file = written(tmp_path, "ts,close,cross_close\n1672531200,7,0.1\n1672534800,8,0.2\n")
    assert load_prices(file).prices == (Decimal("0.1"), Decimal("0.2"))


def test_rows_without_a_positive_price_are_skipped_and_counted(tmp_path: Path) -> None:
    closes = ["1", "", "0", "-3", "null", "NaN", "2"]
    rows = "".join(f"{1672531200 + 3600 * hour},{close}\n" for hour, close in enumerate(closes))
    path = load_prices(written(tmp_path, "ts,close\n" + rows))
    assert (path.prices, path.skipped) == ((Decimal(1), Decimal(2)), 5)
    assert path.price_at(1672531200000 + 5 * HOUR) == 1


@pytest.mark.parametrize(
    ("text", "field", "named"),
    [
        ("", "ts", "column named ts"),
        ("time,close\n1,2\n", "ts", "column named ts"),
        ("ts,price\n1,2\n", "close", "close or cross_close"),
        ("ts,close\n1672531200,1\n1672534800,abc\n", "close", "row 2"),
        ("ts,close\n1672531200,1\n1672534800,inf\n", "close", "row 2"),
        ("ts,close\n1672531200,1\nyesterday,2\n", "ts", "row 2"),
        ("ts,close\n1672531200,1\n,2\n", "ts", "row 2"),
        ("ts,close\n1672534800,1\n1672531200,2\n", "ts", "later than the row before"),
        ("ts,close\n1672531200,1\n1672531200,2\n", "ts", "later than the row before"),
        ("ts,close\n1672531200,1,5\n", "row", "line 2"),
        ("ts,close\n1672531200,1\n1672534800,0\n", "close", "at least two rows"),
    ],
)
def test_a_bad_file_is_refused_by_field(tmp_path: Path, text: str, field: str, named: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_prices(written(tmp_path, text))
    assert refused.value.field == field
    assert named in str(refused.value)
    assert "prices.csv" in refused.value.source


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "prices.txt"])
def test_a_missing_or_foreign_file_is_bad_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"prices"):
        load_prices(tmp_path / name)


def test_bytes_that_are_no_table_are_bad_input(tmp_path: Path) -> None:
    for name in ("torn.csv", "torn.parquet"):
        file = tmp_path / name
        file.write_bytes(b"\xff\xfe\x00garbage" * 50)
        with pytest.raises(BadInput, match="prices"):
            load_prices(file)


def test_a_path_shorter_than_the_run_names_its_last_row(tmp_path: Path) -> None:
    path = load_prices(written(tmp_path, "ts,close\n2023-01-01T00:00,1\n2023-01-01T01:00,2\n"))
    path.require(2 * HOUR)
    with pytest.raises(BadInput, match=r"the last row is 2023-01-01T01:00:00Z"):
        path.require(2 * HOUR + 1)


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=30, unique=True).map(sorted),
    st.integers(0, 11_000),
)
def test_the_price_is_that_of_the_last_row_at_or_before(times: list[int], at: int) -> None:
    path = PricePath("test", tuple(times), tuple(Decimal(time) for time in times), 1)
    before = [time for time in times if time <= at]
    assert path.price_at(at) == (before[-1] if before else times[0])
    assert path.lowest(at) == min(times[: max(1, bisect_right(times, times[0] + at))])


def test_parquet_and_csv_of_the_same_rows_agree(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="the research extra is not installed")
    start = datetime(2023, 1, 1, tzinfo=UTC)
    rows = {
        "ts": [start + timedelta(hours=hour) for hour in range(4)],
        "close": [0.1, None, 1e-7, 0.30000000000000004],
    }
    table = polars.DataFrame(rows)
    table.write_parquet(tmp_path / "p.parquet")
    table.write_csv(tmp_path / "p.csv")
    parquet, text = load_prices(tmp_path / "p.parquet"), load_prices(tmp_path / "p.csv")
    assert (parquet.times, parquet.prices, parquet.skipped) == (text.times, text.prices, text.skipped)
    assert parquet.skipped == 1


def test_the_recorded_cross_rate_of_a_real_token_loads() -> None:
    pytest.importorskip("polars", reason="the research extra is not installed")
    file = DATA / "ray_sol_cross_1h.parquet"
    if not file.exists():
        pytest.skip("the recorded data are not beside the repository")
    path = load_prices(file)
    assert (len(path.times) + path.skipped, path.bar_ms) == (20_935, HOUR)
    path.require(30 * 24 * HOUR)


def test_a_path_may_begin_later_with_the_row_that_holds_there(tmp_path: Path) -> None:
    path = load_prices(written(tmp_path, "ts,close\n0,1\n3600,2\n7200,3\n"))
    later = path.since(HOUR + 1)
    assert (later.times, later.prices) == ((HOUR, 2 * HOUR), (Decimal(2), Decimal(3)))
    assert later.price_at(2 * HOUR) == 3
    for outside in (-1, 3 * HOUR):
        with pytest.raises(BadInput, match="a moment from 1970-01-01"):
            path.since(outside)
