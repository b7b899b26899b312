"""What the command line refuses: exit 2, one line with field, value and what is allowed, files untouched."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bmv.cli import main

Bmv = Callable[..., tuple[int, str, str]]
QUICK = ("--headless", "--speed", "max", "--for", "1m")


@pytest.fixture
def bmv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bmv:
    """Run a command in this process; return exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bmv", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        told = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, told.out, told.err

    return run


def refused(told: tuple[int, str, str], *words: str) -> None:
    """Check that a command was refused in one line that holds ``words``."""
    code, out, err = told
    assert (code, out) == (2, "")
    assert err.startswith("bmv: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--speed", "fast", "1000, or max"),
        ("--speed", "0", "1000, or max"),
        ("--speed", "-1", "1000, or max"),
        ("--speed", "1001", "1000, or max"),
        ("--speed", "nan", "1000, or max"),
        ("--speed", "inf", "1000, or max"),
        ("--for", "forever", "a duration such as"),
        ("--for", "0s", "more than nothing"),
        ("--for", "-5m", "a duration such as"),
        ("--for", "10", "a duration such as"),
        ("--seed", "x", "a whole number from 0"),
        ("--seed", "-1", "a whole number from 0"),
        ("--seed", "1.5", "a whole number from 0"),
        ("--wallets", "0", "from 1 to 100"),
        ("--wallets", "101", "from 1 to 100"),
        ("--levels", "129", "4 to 128 (4 wallets x ORDERS_PER_WALLET 32)"),
        ("--levels", "3", "from 4"),
        ("--levels", "many", "from 4"),
        ("--port", "65536", "from 0 to 65535"),
        ("--port", "http", "from 0 to 65535"),
        ("--time-scale", "0", "a number above 0"),
        ("--time-scale", "2", "only together with --prices"),
        ("--sol-usd-from", "2022-11-01", "only together with --sol-usd"),
        ("--time-scale", "quick", "a number above 0"),
        ("--faults", "nowhere.toml", "none, standard, or a readable"),
        ("--prices", "nowhere.csv", "a readable CSV file"),
        ("--prices", "prices.txt", ".parquet or .csv"),
        ("--prices", "nowhere.parquet", "Parquet"),
        ("--config", "nowhere.toml", "a readable file"),
        ("--report", "nowhere/report.json", "a file that can be written"),
    ],
)
def test_a_bad_value_is_refused_by_name(bmv: Bmv, option: str, value: str, allowed: str) -> None:
    chosen = [one for one in QUICK if one not in ("--speed", "max")] if option == "--speed" else list(QUICK)
    refused(bmv("demo", *chosen, option, value), option.removeprefix("--"), value, allowed)


def test_virtual_time_needs_no_page(bmv: Bmv) -> None:
    refused(bmv("demo", "--speed", "max", "--for", "1m"), "--speed", "'max'", "--headless")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("GRID_LEVLES = 50", ("GRID_LEVLES", "50", "did you mean GRID_LEVELS")),
        ("GRID_LEVELS = 2", ("GRID_LEVELS", "2", "at least 4")),
        ('"BUY_CHANNEL_WIDTH_%" = "wide"', ("BUY_CHANNEL_WIDTH_%", "'wide'", "a number")),
        ("FORCED_SYNC = 'soon'", ("FORCED_SYNC", "'soon'", "a duration")),
        ("NOISE_LEVEL = 3", ("NOISE_LEVEL", "docs/integrity.md")),
        ("FLASH_VOLUME_ENABLED = true", ("FLASH_VOLUME_ENABLED", "docs/integrity.md")),
        ("GRID_LEVELS = = 3", ("GRID_LEVELS", "line 1", "valid TOML")),
        ("\ufeff\x00", ("settings file", "line 1", "valid TOML")),
    ],
)
def test_a_bad_settings_file_is_refused_by_key(
    bmv: Bmv, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    refused(bmv("demo", *QUICK, "--config", file), *words, str(file))
    assert file.read_text() == text


def test_an_environment_variable_is_named_as_the_source(bmv: Bmv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMV_GRID_LEVELS", "lots")
    refused(bmv("demo", *QUICK), "GRID_LEVELS", "lots", "BMV_GRID_LEVELS")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("ts",)),
        ("ts,price\n1,2\n", ("close",)),
        ("ts,close\n", ("at least two rows",)),
        ("ts,close\n1672531200,1\n1672534800,x\n", ("close", "'x'", "row 2")),
        ("ts,close\n1672534800,1\n1672531200,1\n", ("ts", "later than the row before", "row 2")),
        ("ts,close\n1672531200,1\n1672534800\n", ("2 fields", "line 3")),
        ("ts,close\n1672531200,1\nyesterday,1\n", ("ts", "yesterday", "row 2")),
    ],
)
def test_a_garbled_price_file_is_refused_with_its_row(
    bmv: Bmv, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(text)
    refused(bmv("demo", *QUICK, "--prices", file), *words, str(file))
    assert file.read_text() == text


def test_a_price_file_that_is_too_short_names_its_last_row(bmv: Bmv, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("ts,close\n2023-01-01T00:00:00Z,0.01\n2023-01-01T01:00:00Z,0.011\n")
    told = bmv("demo", "--headless", "--speed", "max", "--for", "3h", "--prices", file)
    refused(told, "2023-01-01T01:00:00Z", "ends 2023-01-01T02:00:00Z", str(file))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bundle_droped = 0.5", ("bundle_droped", "bundle_dropped")),
        ("rpc_stale = 2", ("rpc_stale", "2", "from 0 to 1")),
        ("lag_slots = 99", ("lag_slots", "99", "from 1 to 16")),
    ],
)
def test_a_bad_fault_plan_is_refused_by_field(
    bmv: Bmv, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    refused(bmv("demo", *QUICK, "--faults", file), *words, str(file))


def test_a_report_that_cannot_be_written_is_refused_before_the_run(bmv: Bmv, tmp_path: Path) -> None:
    refused(bmv("demo", *QUICK, "--report", tmp_path), "--report", str(tmp_path))
    (tmp_path / "journal").touch()
    refused(bmv("demo", *QUICK, "--state", tmp_path), "--state", "journal", "can be written to")
    (tmp_path / "file").touch()
    refused(bmv("demo", *QUICK, "--state", tmp_path / "file"), "--state", "a folder that can be made")


def test_files_stay_as_they_were_when_something_else_is_refused(bmv: Bmv, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("a report of yesterday")
    for report in (old, new):
        for bad in (("--levels", "999"), ("--config", "nowhere.toml"), ("--faults", "nowhere")):
            refused(bmv("demo", *QUICK, "--report", report, *bad), bad[0].removeprefix("--"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            refused(bmv("demo", "--report", report, "--port", port), "--port", str(port), "taken")
    assert old.read_text() == "a report of yesterday"
    assert not new.exists()


def test_the_sandbox_refuses_what_it_cannot_do(bmv: Bmv, tmp_path: Path) -> None:
    refused(bmv("sandbox", "--speed", "max"), "--speed", "'max'", "real time")
    refused(bmv("sandbox", "--port", "70000"), "--port", "70000", "0 to 65535")
    refused(bmv("sandbox", "--seed", "-3"), "--seed", "-3")
    refused(bmv("sandbox", "--faults", "nowhere"), "faults", "nowhere")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(bmv("sandbox", "--port", port), "--port", str(port), "free port")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dmeo",), ("No such command", "dmeo")),
        (("demo", "--sped", "2"), ("No such option", "--sped")),
        (("demo", "--seed"), ("--seed", "requires an argument")),
        (("demo", "now"), ("now",)),
        (("inspect", "account"), ("Missing argument",)),
        (("inspect", "account", "nowhere.bin"), ("nowhere.bin", "a readable file")),
        (("inspect", "instruction", "nowhere.json"), ("nowhere.json", "a readable file")),
    ],
)
def test_a_misspelt_command_line_is_refused_in_one_line(
    bmv: Bmv, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(bmv(*arguments), *words)


def test_the_version_and_the_help_are_no_errors(bmv: Bmv) -> None:
    assert bmv("--version")[:2] == (0, "bmv 0.1.0\n")
    code, out, err = bmv("demo", "--help")
    assert (code, err) == (0, "")
    assert "--time-scale" in out


def test_a_process_of_its_own_says_the_same() -> None:
    command = [str(Path(sys.executable).with_name("bmv")), "demo", "--wallets", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    refused((done.returncode, done.stdout, done.stderr), "--wallets", "0", "from 1 to 100")
