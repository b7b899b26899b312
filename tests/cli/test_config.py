"""``bmv config``: the reference, and what a file comes to."""

import json
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bmv.cli import main
from bmv.config import KNOWN_KEYS

Bmv = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bmv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bmv:
    """Run a command in this process; return exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bmv", "config", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bmv.toml"


def test_check_shows_every_value_with_its_source(
    bmv: Bmv, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMV_GRID_LEVELS", "64")
    file.write_text(
        '"MIN_SPREAD_%" = 0.4\nGRID_LEVELS = 10\nFLASH_VOLUME_ENABLED = false\nFLASH_VOLUME_X = 1\n'
    )
    code, out, err = bmv("check", file)
    lines = {line.split()[0]: line for line in out.splitlines() if line and line[0].isupper()}
    assert (code, err) == (0, "")
    assert set(KNOWN_KEYS) <= set(lines)
    assert lines["MIN_SPREAD_PCT"].split(maxsplit=3)[1:] == ["0.4", "%", f"{file}: MIN_SPREAD_%"]
    assert lines["GRID_LEVELS"].split(maxsplit=2)[1:] == ["64", "environment variable BMV_GRID_LEVELS"]
    assert lines["FORCED_SYNC"].split() == ["FORCED_SYNC", "1h", "default"]
    assert f"GRID_LEVELS = 10 in {file} has no effect" in out
    assert "ignored, as there is no such module any more: FLASH_VOLUME_ENABLED, FLASH_VOLUME_X" in out


def test_check_tells_programs_the_same(bmv: Bmv, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMV_GRID_LEVELS", "64")
    file.write_text('PRESET = "sla"\n"INSIDE_SPREAD_%" = 0.7\nGRID_LEVELS = 10\n')
    code, out, _ = bmv("check", file, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["ok"], told["preset"], told["overridden"]) == (True, "sla", {"GRID_LEVELS": "10"})
    assert set(told["settings"]) == set(KNOWN_KEYS)
    assert told["settings"]["INSIDE_SPREAD_PCT"] == {
        "value": "0.7",
        "source": "file",
        "where": f"{file}: INSIDE_SPREAD_%",
    }
    assert told["settings"]["MIN_SPREAD_PCT"]["source"] == "preset"
    assert told["settings"]["GRID_LEVELS"]["source"] == "environment"


def test_check_needs_no_file(bmv: Bmv) -> None:
    code, out, _ = bmv("check", "--json")
    assert code == 0
    assert {each["source"] for each in json.loads(out)["settings"].values()} == {"default"}


def test_a_bad_file_ends_with_2_and_all_that_is_wrong(bmv: Bmv, file: Path) -> None:
    file.write_text("GRID_LEVELS = 2\nFORCED_SYNK = '1h'\n")
    code, out, err = bmv("check", file)
    assert (code, out) == (2, "")
    assert err.startswith("bmv: 2 settings are not allowed\n")
    assert "did you mean FORCED_SYNC?" in err
    assert "GRID_LEVELS: 2 is not allowed; at least 4 and at most 6400" in err
    code, out, _ = bmv("check", file, "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (2, False)
    assert {problem["field"] for problem in told["problems"]} == {"GRID_LEVELS", "FORCED_SYNK"}
    assert {problem["source"] for problem in told["problems"]} == {str(file)}


def test_one_complaint_is_one_line_and_one_problem(bmv: Bmv, file: Path) -> None:
    file.write_text("NOISE_LEVEL = 2\nFLASH_VOLUME_ENABLED = true\n")
    code, out, err = bmv("check", file, "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert [problem["field"] for problem in json.loads(out)["problems"]] == [
        "FLASH_VOLUME_ENABLED, NOISE_LEVEL"
    ]


def test_the_reference_is_told_three_ways(bmv: Bmv) -> None:
    code, out, _ = bmv("reference")
    assert code == 0
    assert all(f"  {key} = " in out for key in KNOWN_KEYS)
    assert {entry["key"] for entry in json.loads(bmv("reference", "--json")[1])} == set(KNOWN_KEYS)
    assert bmv("reference", "--markdown")[1].startswith("# Every key\n")


def test_a_preset_is_printed_as_a_file_that_checks(bmv: Bmv, file: Path) -> None:
    code, out, _ = bmv("preset", "sla")
    assert code == 0
    file.write_text(out)
    told = json.loads(bmv("check", file, "--json")[1])
    assert told["preset"] == "sla"
    assert told["settings"]["BUY_CHANNEL_WIDTH_PCT"] == {
        "value": "4",
        "source": "file",
        "where": f"{file}: BUY_CHANNEL_WIDTH_PCT",
    }
    told = json.loads(bmv("preset", "accumulate", "--json")[1])
    assert told["values"]["SELL_CHANNEL_WIDTH_PCT"] == "60"
    code, _, err = bmv("preset", "casino")
    assert code == 2
    assert "growth or literal or sla or accumulate" in err


def test_preset_and_check_show_the_ladder_an_example_treasury_gets(bmv: Bmv, file: Path) -> None:
    treasury = ("--sol", "50", "--tokens", "1000000", "--price", "0.00005", "--wallets", "2")
    shown = json.loads(bmv("preset", "sla", *treasury, "--json")[1])["preview"]
    assert shown["example"] == {"sol": "50", "tokens": "1000000", "price": "0.00005", "wallets": 2}
    assert [depth["within_pct"] for depth in shown["depth"]] == ["0.5", "1", "2", "5"]
    file.write_text('PRESET = "sla"\n')
    assert json.loads(bmv("check", file, *treasury, "--json")[1])["preview"] == shown
    code, out, _ = bmv("preset", "sla", *treasury)
    assert code == 0
    assert f"spread  {shown['spread_pct']} %" in out
    assert f"bids    {shown['bids']} levels, {shown['best_bid']} to {shown['lowest_bid']} SOL" in out
    assert f"{Decimal(shown['depth'][2]['bid_sol']):.3f}" in out
    assert "note" not in out
    file.write_text("GRID_LEVELS = 65\n")
    told = bmv("check", file, *treasury)[1]
    assert "GRID_LEVELS = 65 is refused at the start: at most 64: 2 wallets" in told
    assert "side is empty" in bmv("check", file, "--tokens", "0")[1]


def test_json_tells_small_prices_as_plain_decimals(bmv: Bmv, file: Path) -> None:
    treasury = ("--price", "0.0000001", "--tokens", "1000000")
    file.write_text('PRESET = "sla"\n')
    for told in (bmv("preset", "sla", *treasury, "--json")[1], bmv("check", file, *treasury, "--json")[1]):
        shown = json.loads(told)["preview"]
        assert shown["example"]["price"] == "0.0000001"
        assert shown["best_bid"] == "0.0000000997"
        numbers = [value for depth in shown["depth"] for value in depth.values()]
        assert all(re.fullmatch(r"[0-9.]+", number) for number in [*numbers, shown["lowest_bid"]])


def test_what_is_wrong_with_the_form_of_a_checked_file_names_key_line_and_file(bmv: Bmv, file: Path) -> None:
    file.write_text("BUY_DENSITY = 2\nBUY_DENSITY = 3\n")
    code, _, err = bmv("check", file)
    assert code == 2
    assert f"BUY_DENSITY: 'said again in line 2' is not allowed; each key once (from {file})" in err
    file.write_text("BUY_DENSITY = 2\nGRID_LEVELS = 1h\n")
    problem = json.loads(bmv("check", file, "--json")[1])["problems"]
    assert [(one["field"], one["value"], one["source"]) for one in problem] == [
        ("GRID_LEVELS", "line 2", str(file))
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--sol", "-1"), ("--sol", "all"), ("--tokens", "nan"), ("--price", "0"), ("--wallets", "0")],
)
def test_an_example_that_cannot_be_is_refused(bmv: Bmv, option: str, value: str) -> None:
    code, out, err = bmv("preset", "sla", option, value)
    assert (code, out) == (2, "")
    assert option.removeprefix("--") in err
    assert value in err
