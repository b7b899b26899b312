"""What is wrong with a file is refused by field, value, file and row, before anything is made of it."""

import datetime as dt
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.backtest.scene import market_of
from bmv.backtest.tape import read_table, tape_of
from bmv.cli.tape_options import columns_of
from bmv.errors import BadInput

T = 1_700_000_000
MS = T * 1_000


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "prices.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "field", "value", "place"),
    [
        ("", "PATH", "prices.csv", ""),
        ("ts,close\n", "close", "0", "prices.csv"),
        (f"ts,close\n{T},1\n", "close", "1", "prices.csv"),
        (f"ts;close\n{T};1\n{T + 60};2\n", "PATH", "ts;close", "prices.csv"),
        (f"ts\tclose\n{T}\t1\n", "PATH", "ts\tclose", "prices.csv"),
        (f"ts,close\n{T},1\n{T},2\n", "ts", "2023-11-14T22:13:20Z", "row 2"),
        (f"ts,close\n{T},1\n{T + 60},1\n{T - 60},2\n", "ts", "2023-11-14T22:12:20Z", "row 3"),
        (f"ts,price,size\n{T},1,1\n{T - 1},2,1\n", "ts", "2023-11-14T22:13:19Z", "row 2"),
        (f"ts,close\n{T},1\n{T + 60},2\n{MS + 120_000},2\n", "ts", f"{MS + 120_000}", "row 3"),
        (f"ts,close\n{MS},1\n{T + 60},2\n{MS + 120_000},2\n", "ts", f"{T + 60}", "row 2"),
        (f"ts,close\n{T},1\n,2\n{T + 120},2\n", "ts", "nothing", "row 2"),
        (f"ts,close\n{T},1\nyesterday,2\n{T + 120},2\n", "ts", "yesterday", "row 2"),
        ("ts,close\n-5,1\n60,2\n", "ts", "-5", "row 1"),
        ("ts,close\n2023-01-01T00:00:00Z,1\n2023-13-02T00:00:00Z,2\n", "ts", "2023-13-02T00:00:00Z", "row 2"),
        (f"ts,close\n{T},1\n{T + 60},one\n{T + 120},2\n", "close", "one", "row 2"),
        (f'ts,close\n{T},"1,5"\n{T + 60},"2,5"\n', "close", "1,5", "row 1"),
        (f"ts,close\n{T},1\n{T + 60},inf\n", "close", "inf", "row 2"),
        (f"ts,price,size\n{T},1,1\n{T + 1},1,many\n", "size", "many", "row 2"),
        (f"ts,close\n{T},1,9\n{T + 60},2\n", "PATH", "prices.csv", ""),
        ("ts,close\n1,2\n3,4\n".encode("utf-16"), "ts", "close", "prices.csv"),
    ],
)
def test_a_hostile_file_is_refused_with_what_is_wrong_and_where(
    tmp_path: Path, text: str | bytes, field: str, value: str, place: str
) -> None:
    path = file(tmp_path, text)
    with pytest.raises(BadInput) as refused:
        read_table(path)
    error = refused.value
    assert error.field == field
    assert value.replace("\0", "") in str(error.value).replace("\0", "")
    assert error.allowed
    assert place in error.source


@pytest.mark.parametrize(("column", "text"), [("price", "1e300,5"), ("size", "1,1e300")])
def test_a_number_too_large_for_any_market_is_refused_with_its_time(
    tmp_path: Path, column: str, text: str
) -> None:
    table = read_table(file(tmp_path, f"ts,price,size\n{T},1,5\n{T + 60},{text}\n{T + 120},1,5\n"))
    with pytest.raises(BadInput) as refused:
        tape_of(table, market_of(table))
    assert (refused.value.field, refused.value.value) == (column, "1e+300")
    assert "prices.csv, 2023-11-14T22:14:20Z" in refused.value.source


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"ts": [dt.time(1), dt.time(2)], "close": [1.0, 2.0]}, "ts"),
        ({"ts": [True, False], "close": [1.0, 2.0]}, "ts"),
        ({"ts": [None, T, T + 60], "close": [1.0, 2.0, 3.0]}, "ts"),
        ({"ts": [T, T + 60], "close": [True, True]}, "close"),
        ({"ts": [T, T + 60], "close": [[1.0], [2.0]]}, "close"),
        ({"ts": [T, MS], "close": [1.0, 2.0]}, "ts"),
        ({"ts": [T, T + 60], "close": [1.0, float("inf")]}, "close"),
    ],
)
def test_a_parquet_file_is_held_to_the_same(
    tmp_path: Path, columns: dict[str, list[object]], field: str
) -> None:
    path = tmp_path / "prices.parquet"
    polars.DataFrame(columns).write_parquet(path)
    with pytest.raises(BadInput) as refused:
        read_table(path)
    assert refused.value.field == field


def test_what_is_only_unusual_is_read(tmp_path: Path) -> None:
    plain = f"ts,close\n{T},1\n{T + 60},2\n"
    for text in ("\ufeff" + plain, plain + "\n\n", plain.replace(",", " , "), plain.replace("\n", "\r\n")):
        table = read_table(file(tmp_path, text))
        assert (table.times.tolist(), table.points[:, 0].tolist()) == ([MS, MS + 60_000], [1.0, 2.0])
    broken = read_table(file(tmp_path, f"ts,close\n{T}.5,1\n{T + 60}.25,2\n"))
    assert broken.times.tolist() == [MS + 500, MS + 60_250]


@given(st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000]), st.lists(st.integers(1, 10**6), min_size=2))
def test_every_unit_since_1970_and_moments_with_a_zone_are_the_same_times(
    tmp_path_factory: pytest.TempPathFactory, per_second: int, steps: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("units")
    seconds = [T + sum(steps[: n + 1]) for n in range(len(steps))]
    berlin = dt.timezone(dt.timedelta(hours=2))
    for texts in (
        [str(each * per_second) for each in seconds],
        [dt.datetime.fromtimestamp(each, berlin).isoformat() for each in seconds],
    ):
        rows = "\n".join(f"{text},1" for text in texts)
        assert read_table(file(folder, f"ts,close\n{rows}\n")).times.tolist() == [s * 1_000 for s in seconds]


def test_a_name_is_mapped_once() -> None:
    assert columns_of(["price=px", "size=px"]) == {"price": "px", "size": "px"}
    with pytest.raises(BadInput, match="each NAME once"):
        columns_of(["price=a", "price=b"])
