"""Tapes from files: which columns are understood, and what is said where they are not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bmv.errors import BadInput
from bmv.integrity.reading import read_tape, tape_of
from bmv.integrity.scan import scan
from bmv.integrity.tape import NOBODY
from tests.integrity.planting import pool

FILLS = {
    "event_seq": [3, 1, 2],
    "taker_side": ["buy", "sell", "buy"],
    "price": [1.0, 2.0, 3.0],
    "size": [10.0, 20.0, 30.0],
    "maker_open_orders": ["m", "m", "n"],
    "taker_open_orders": ["t", "t", "m"],
}


def test_fills_of_a_book_tell_seller_and_buyer_in_the_order_of_time() -> None:
    tape = tape_of(pl.DataFrame(FILLS), "test")
    names = [(tape.accounts[s], tape.accounts[b]) for s, b in zip(tape.seller, tape.buyer, strict=True)]
    assert names == [("t", "m"), ("n", "m"), ("m", "t")]
    assert list(tape.row) == [1, 2, 0]
    assert list(tape.size) == [20.0, 30.0, 10.0]


def test_swaps_of_a_pool_tell_one_side() -> None:
    table = pl.DataFrame(
        {"mint": ["x", "y"], "seq": [1, 2], "side": ["buy", "sell"], "tokens": [1, 2], "price": [1, 1]}
    ).with_columns(trader=pl.lit("w"))
    tape = tape_of(table, "test")
    assert (list(tape.seller), list(tape.buyer)) == ([NOBODY, 0], [0, NOBODY])
    assert [tape.markets[number] for number in tape.market] == ["x", "y"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"maker_open_orders": None}, "columns that name who trades"),
        ({"event_seq": None}, "a clock"),
        ({"price": None}, "a column price"),
        ({"price": ["a", "b", "c"]}, "a column of numbers"),
        ({"taker_side": ["buy", "bid", "buy"]}, "'bid' is not allowed; buy or sell"),
        ({"taker_side": ["buy", None, "buy"]}, "buy or sell"),
        ({"event_seq": ["noon", "one", "two"]}, "a column of times or numbers"),
        ({"maker_open_orders": [b"\xff", b"m", b"n"]}, "a column of names"),
        ({"taker_open_orders": [["t"], ["t"], ["m"]]}, "a column of names"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, list[object] | None], said: str) -> None:
    columns = {name: values for name, values in {**FILLS, **change}.items() if values is not None}
    with pytest.raises(BadInput) as refused:
        tape_of(pl.DataFrame(columns), "fills.parquet")
    assert said in str(refused.value)
    assert "fills.parquet" in str(refused.value)


@pytest.mark.parametrize("name", ["absent.parquet", "broken.parquet", "tape.txt"])
def test_files_that_are_no_tapes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BadInput):
        read_tape(tmp_path / name)


def test_rows_without_a_sound_price_or_size_are_kept_and_not_suspected() -> None:
    table = pl.DataFrame({**FILLS, "price": [None, float("nan"), -1.0], "maker_open_orders": ["t", "t", "m"]})
    tape = tape_of(table, "test")
    assert (len(tape.row), list(scan(tape).score)) == (3, [0.0, 0.0, 0.0])


def test_a_tape_is_the_same_from_both_kinds_of_file(tmp_path: Path) -> None:
    table, _ = pool(3, rows=40)
    table.write_parquet(tmp_path / "tape.parquet")
    table.write_csv(tmp_path / "tape.csv")
    one, other = read_tape(tmp_path / "tape.parquet"), read_tape(tmp_path / "tape.csv")
    assert one.accounts == other.accounts
    for column in ("row", "market", "at", "seller", "buyer", "size", "price"):
        assert np.allclose(getattr(one, column), getattr(other, column)), column


def test_an_empty_tape_is_a_tape() -> None:
    findings = scan(tape_of(pl.DataFrame(FILLS).clear(), "test"))
    assert (findings.groups, len(findings.score)) == ((), 0)


def test_an_empty_csv_file_with_a_head_is_a_tape(tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text("ts,price,size,seller,buyer\n")
    assert len(read_tape(tmp_path / "tape.csv").row) == 0


def test_a_column_may_turn_to_fractions_late_in_a_csv_file(tmp_path: Path) -> None:
    lines = ["ts,price,size,seller,buyer", *["1,2,3,a,b"] * 3_000, "2,2.5,3.5,a,b"]
    (tmp_path / "tape.csv").write_text("\n".join(lines))
    assert read_tape(tmp_path / "tape.csv").price[-1] == 2.5


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_times_since_1970_are_told_in_any_unit(per_second: int) -> None:
    seconds = [1_782_000_000, 1_782_000_060, 1_782_000_090]
    table = pl.DataFrame({**FILLS, "ts": [at * per_second for at in seconds]})
    assert list(np.diff(tape_of(table, "test").at)) == pytest.approx([60, 30])


def test_one_trade_without_a_time_hides_nothing() -> None:
    to_and_fro = {
        "seller": ["a", "b"] * 10,
        "buyer": ["b", "a"] * 10,
        "price": [1.0] * 20,
        "size": [1.0] * 20,
    }
    at = [float(number) for number in range(20)]
    whole = scan(tape_of(pl.DataFrame({"ts": at, **to_and_fro}), "test"))
    without = scan(tape_of(pl.DataFrame({"ts": [*at[:-1], None], **to_and_fro}), "test"))
    assert list(whole.score > 0.5) == [True] * 20
    assert list(without.score > 0.5) == [True] * 19 + [False]


def test_a_shuffled_file_says_the_same() -> None:
    table, _ = pool(5)
    table = table.with_columns(ts=pl.col("ts").dt.truncate("1m"))
    found = [
        {(group.accounts, len(group.rows)) for group in scan(tape_of(rows, "test")).flagged}
        for rows in (
            table.sort("ts", pl.col("side") == "sell", maintain_order=True),
            table.sample(fraction=1, shuffle=True, seed=1),
        )
    ]
    assert len(found[0]) == 5
    assert {accounts for accounts, _ in found[0]} == {accounts for accounts, _ in found[1]}
