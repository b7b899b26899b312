"""``bmv integrity scan`` on a tape with planted rings."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from bmv.cli import main
from tests.integrity.planting import book


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bmv", "integrity", "scan", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_every_row_of_the_tape_is_scored_and_every_ring_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tape, out = tmp_path / "tape.parquet", tmp_path / "scored.parquet"
    table, planter = book(5)
    table = table.sample(fraction=1.0, shuffle=True, seed=1)
    table.write_parquet(tape)
    assert command(monkeypatch, tape, "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    scored = pl.read_parquet(out)
    assert scored.columns == ["input_row", "score", "flag", "kind", "ring_id"]
    assert scored["input_row"].to_list() == list(range(table.height))
    planted = table["ring_id"] != ""
    assert scored["flag"].to_list() == planted.to_list()
    assert scored.filter(~scored["flag"])["ring_id"].null_count() == (~planted).sum()
    # One ring found for each planted, and the other way round.
    pairs = set(zip(table.filter(planted)["ring_id"], scored.filter(planted)["ring_id"], strict=True))
    assert len(pairs) == len(planter.planted) == len(told["rings"])
    assert told["flagged_rows"] == planted.sum()
    for ring in told["rings"]:
        assert ring["rows"] == (scored["ring_id"] == ring["ring_id"]).sum()
        assert all(part["says"] for part in ring["parts"])


def test_people_read_who_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = tmp_path / "tape.csv"
    book(5)[0].write_csv(tape)
    assert command(monkeypatch, tape) == 0
    told = capsys.readouterr().out
    assert "look like wash trading" in told
    assert "came back" in told


def test_names_from_a_file_do_not_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text("ts,price,size,market,seller,buyer\n1,2,3,\x1b]0;m\x07,\x1b[2Ja\rb,\x1b[2Ja\rb\n")
    assert command(monkeypatch, tape) == 0
    told = capsys.readouterr().out
    assert "?[2Ja?b" in told
    assert told.replace("\n", "").isprintable()


def test_a_tape_without_accounts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text("ts,side,price,size\n1,buy,2,3\n")
    assert command(monkeypatch, tape) == 2
    assert "columns that name who trades" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["tape.parquet", "scored.csv"])
def test_neither_the_tape_nor_a_file_of_another_kind_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    tape = tmp_path / "tape.parquet"
    book(5)[0].write_parquet(tape)
    before = tape.read_bytes()
    assert command(monkeypatch, tape, "--out", tmp_path / out) == 2
    assert "a file named .parquet that is not the tape" in capsys.readouterr().err
    assert tape.read_bytes() == before
    assert not (tmp_path / "scored.csv").exists()
