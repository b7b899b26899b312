"""``bmv backtest`` plays a file, writes one page that needs nothing else, and names what it refuses."""

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bmv.backtest.run import Backtest
from bmv.cli.main import app
from bmv.errors import BadInput
from tests.backtest.scenes import bars, walk

RUNNER = CliRunner()


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return Path(bars(tmp_path, walk(1, 96)).source)


def test_runs_stand_side_by_side_in_one_page_that_asks_nobody_for_anything(
    tape: Path, tmp_path: Path
) -> None:
    html, report = tmp_path / "page.html", tmp_path / "report.json"
    options = ["--preset", "growth", "--preset", "sla", "--levels", "40", "--html", str(html)]
    done = RUNNER.invoke(app, ["backtest", str(tape), *options, "--report", str(report)])
    assert done.exit_code == 0, done.output
    told = json.loads(report.read_text())
    assert told["finished"]
    assert [run["name"] for run in told["runs"]] == ["growth", "sla"]
    assert {run["identity_residual_lamports"] for run in told["runs"]} == {0}
    text = html.read_text()
    for sentence in told["assumptions"]:
        assert sentence in text
    for run in told["runs"]:
        assert f"<td>{float(run['equity_sol']['end_ours']):,.4f}</td>" in text
        assert f"<td>{run['markouts_bps']['bids']['600s']:,.2f}</td>" in text
    assert str(tape.parent) not in text
    outside = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?https?:""")
    assert not outside.search(text)


def test_people_are_told_a_line_for_each_value(tape: Path) -> None:
    common = ["backtest", str(tape), "--levels", "40"]
    told = json.loads(RUNNER.invoke(app, common).stdout)["runs"][0]
    lines = dict(
        line.split(None, 1) for line in RUNNER.invoke(app, [*common, "--no-json"]).stdout.splitlines()
    )
    assert lines["runs.1.digest"] == told["digest"]
    assert lines["runs.1.equity_sol.end_ours"] == told["equity_sol"]["end_ours"]


def test_settings_files_and_assumptions_reach_the_run(tape: Path, tmp_path: Path) -> None:
    file = tmp_path / "narrow.toml"
    file.write_text("BUY_CHANNEL_WIDTH_PCT = 5\n")
    common = ["--levels", "40", "--loss", "0"]
    plain, narrow = (
        json.loads(RUNNER.invoke(app, ["backtest", str(tape), *common, *more]).stdout)["runs"][0]
        for more in ([], ["--config", str(file)])
    )
    assert narrow["name"] == "narrow"
    assert narrow["digest"] != plain["digest"]
    alone = json.loads(RUNNER.invoke(app, ["backtest", str(tape), *common, "--sole-maker"]).stdout)
    assert alone["runs"][0]["digest"] != plain["digest"]
    assert any("Nobody else quotes" in sentence for sentence in alone["assumptions"])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--fills", "luck"], "--fills"),
        (["--fills", "queue"], "--fills"),
        (["--loss", "2"], "--loss"),
        (["--preset", "moon"], "--preset"),
        (["--for", "90d"], "--for"),
        (["--column", "close"], "--column"),
        (["--column", "close=nothing"], "--column"),
        (["--others-spread", "0"], "--others-spread"),
        (["--html", "no/such/folder/page.html"], "--html"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tape: Path, options: list[str], field: str) -> None:
    done = RUNNER.invoke(app, ["backtest", str(tape), *options])
    assert isinstance(done.exception, BadInput)
    assert done.exception.field == field


def test_what_is_before_a_date_is_left_out(tape: Path) -> None:
    common = ["backtest", str(tape), "--levels", "40"]
    begin = "2023-11-15T06:00"
    told = json.loads(RUNNER.invoke(app, [*common, "--from", begin, "--for", "12h"]).stdout)["runs"][0][
        "tape"
    ]
    first = datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp() * 1000
    assert first <= told["from_ms"] < first + 900_000
    assert told["prints"] == 48
    refused = RUNNER.invoke(app, [*common, "--from", "2030-01-01"])
    assert isinstance(refused.exception, BadInput)
    assert refused.exception.field == "--from"


def outputs(folder: Path) -> list[Path]:
    folder.mkdir()
    return [folder / "report.json", folder / "page.html"]


def test_a_command_that_was_interrupted_goes_on_and_comes_to_the_same_to_the_byte(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[float] = []
    run = Backtest.run

    def counted(self: Backtest, go_on: Callable[[float], bool]) -> None:
        played.append(0.0)

        def interrupted(done: float) -> bool:
            if done > 0.5 and len(played) == stop_in:
                os.kill(os.getpid(), signal.SIGINT)
            played[-1] = done
            return go_on(done)

        run(self, interrupted)

    monkeypatch.setattr(Backtest, "run", counted)

    def call(where: list[Path], *more: str) -> int:
        files = ["--report", str(where[0]), "--html", str(where[1])]
        words = [
            "backtest",
            str(tape),
            "--preset",
            "growth",
            "--preset",
            "sla",
            "--levels",
            "24",
            *files,
            *more,
        ]
        return RUNNER.invoke(app, words).exit_code

    stop_in = 0
    whole, part, again = (outputs(tmp_path / name) for name in ("whole", "part", "again"))
    assert call(whole) == 0
    played.clear()
    stop_in, keep = 2, ["--keep", str(tmp_path / "kept")]
    assert call(part, *keep) == 130
    told = json.loads(part[0].read_text())
    assert [run["name"] for run in told["runs"]] == ["growth", "sla"]
    assert not told["finished"]
    assert told["runs"][1]["identity_residual_lamports"] == 0
    assert 0.5 < played[1] < 0.6
    assert len(list((tmp_path / "kept").iterdir())) == 1
    stop_in = 0
    played.clear()
    assert call(again, *keep) == 0
    assert len(played) == 1
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in whole]
    played.clear()
    assert call(again, *keep, "--loss", "0.1") == 0
    assert len(played) == 2


def test_a_kept_run_that_is_damaged_is_named(tape: Path, tmp_path: Path) -> None:
    words = ["backtest", str(tape), "--levels", "24", "--for", "6h", "--keep", str(tmp_path / "kept")]
    assert RUNNER.invoke(app, words).exit_code == 0
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    refused = RUNNER.invoke(app, words).exception
    assert isinstance(refused, BadInput)
    assert (refused.field, refused.value) == ("--keep", str(file))
