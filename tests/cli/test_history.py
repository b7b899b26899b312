"""``bmv history`` beside a sandbox: what was taken is there once, and what cannot be is refused."""

import json
import time
from pathlib import Path

import polars
import pytest

from bmv.cli.main import main
from bmv.secret import Secret
from tests.processes import sandbox

HOUR = 3_600_000
START = 1_760_000_000_000 // HOUR * HOUR
PATIENCE_S = 60


class Caller:
    """Call the command with the settings of a sandbox."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[int, str]:
        """Return the exit code of a call and what it said."""
        where = ["--config", str(self.folder / "sandbox.toml"), "--state", str(self.folder), "--json"]
        self._monkeypatch.setattr("sys.argv", ["bmv", "history", *words, *where])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        return int(ended.value.code or 0), said.out or said.err


@pytest.fixture
def call(
    tmp_path: Path,
    database_url: Secret,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Caller:
    monkeypatch.setenv("BMV_DATABASE_URL", database_url.reveal())
    return Caller(tmp_path, monkeypatch, capsys)


def bars(path: Path, hours: int, step: int = HOUR) -> str:
    columns = {"close": [0.001] * hours, "volume": [5_000.0] * hours}
    polars.DataFrame({"ts": [START + step * n for n in range(hours)], **columns}).write_csv(path)
    return str(path)


def test_files_and_the_chain_fill_a_history_once(call: Caller, tmp_path: Path) -> None:
    with sandbox(tmp_path, "--speed", "20", "--takers", "20000"):
        hourly = bars(tmp_path / "hours.csv", 100)
        code, said = call("import", hourly)
        told = json.loads(said)
        assert (code, told["taken"], told["known"], told["kind"]) == (0, 100, 0, f"bars {HOUR}")
        told = json.loads(call("import", hourly)[1])
        assert (told["taken"], told["known"]) == (0, 100)
        code, said = call("import", bars(tmp_path / "minutes.csv", 100, 60_000))
        assert (code, "none counts twice" in said) == (2, True)
        told = json.loads(call("import", hourly, "--sol-usd")[1])
        assert told["taken"] == 100

        until = time.monotonic() + PATIENCE_S
        trades = 0
        while trades < 2 and time.monotonic() < until:
            code, said = call("backfill", "--from", "2026-01-01")
            told = json.loads(said)
            assert (code, told["cut"], told["complete"]) == (0, 0, True)
            assert told["trades"] >= trades
            trades = told["trades"]
        assert trades >= 2


def test_what_cannot_be_is_refused_before_anything_is_reached(call: Caller, tmp_path: Path) -> None:
    (tmp_path / "sandbox.toml").write_text('RPC_URL = "http://127.0.0.1:1"\n')
    code, said = call("backfill", "--from", "yesterday")
    assert (code, "a date such as 2026-01-31" in said) == (2, True)
    path = tmp_path / "prices.csv"
    polars.DataFrame({"ts": [START + HOUR, START], "close": [1.0, 1.0]}).write_csv(path)
    code, said = call("import", str(path))
    assert (code, "later than the row before it" in said) == (2, True)
    code, said = call("import", bars(tmp_path / "sound.csv", 10))
    assert code == 4
