"""``bmv tune`` is told the same about the outside as ``bmv backtest``, and refuses at once what cannot be."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bmv.cli.main import app
from bmv.errors import BadInput
from tests.backtest.scenes import bars, walk

OWN = {
    "backtest": {"config", "preset", "html", "out", "keep", "as_json"},
    "tune": {
        *("study", "space", "trials", "pieces", "objective", "config", "state", "choices_seed"),
        *("html", "as_json"),
    },
}


def test_everything_that_changes_a_result_is_an_option_of_both() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    backtest, tune = (
        {each.name: (each.opts, each.default) for each in commands[name].params if each.name not in own}
        for name, own in OWN.items()
    )
    assert backtest == tune
    assert {"path", "sol_usd", "usdc", "swap_cost", "latency", "seed", "begin"} <= backtest.keys()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--fills", "queue"], "--fills"),
        (["--usdc", "5"], "--usdc"),
        (["--sol-usd", "SHORT"], "--sol-usd"),
        (["--from", "2030-01-01"], "--from"),
    ],
)
def test_what_no_trial_could_be_played_on_is_refused_at_once(
    tmp_path: Path, options: list[str], field: str
) -> None:
    tape, space, short = bars(tmp_path, walk(1, 96)), tmp_path / "space.toml", tmp_path / "short.csv"
    space.write_text("BUY_CHANNEL_WIDTH_PCT = {low = 5, high = 25}\n")
    short.write_text("ts,close\n1700000000,60\n1700000900,61\n")
    words = ["tune", tape.source, "--study", "none", "--space", str(space)]
    words += [str(short) if word == "SHORT" else word for word in options]
    refused = CliRunner().invoke(app, words).exception
    assert isinstance(refused, BadInput)
    assert refused.field == field
