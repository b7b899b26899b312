"""A space says what a study may choose, exactly as a settings file would write it."""

from pathlib import Path

import optuna
import pytest

from bmv.backtest.space import read_space
from bmv.config import read
from bmv.errors import BadInput


def file(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_every_value_a_trial_takes_is_one_that_settings_take(tmp_path: Path) -> None:
    space = read_space(
        file(
            tmp_path,
            '"BUY_CHANNEL_WIDTH_%" = {low = 8, high = 20}\n'
            'CHANNEL_INERTIA_HOURS = ["12h", "48h"]\n'
            "INSIDE_SPREAD_PCT = {low = 0.6, high = 2.0, step = 0.2}\n"
            "BUY_SIZE_RATIO = {low = 1, high = 16, log = true}\n",
        )
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = []
    for _ in range(40):
        trial = study.ask()
        chosen = {part.key: part.suggest(trial) for part in space}
        read(None, {f"BMV_{key}": value for key, value in chosen.items()})
        seen.append(chosen)
    assert {each["CHANNEL_INERTIA_HOURS"] for each in seen} == {"12h", "48h"}
    assert {each["INSIDE_SPREAD_PCT"] for each in seen} <= {
        f"{tenths / 10:.1f}" for tenths in range(6, 21, 2)
    }
    assert all(8 <= int(each["BUY_CHANNEL_WIDTH_PCT"]) <= 20 for each in seen)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BUY_CHANEL_WIDTH_PCT = [1, 2]",
        'RPC_URL = ["http://a", "http://b"]',
        "BUY_CHANNEL_WIDTH_PCT = 5",
        "BUY_CHANNEL_WIDTH_PCT = []",
        "BUY_CHANNEL_WIDTH_PCT = {low = 9, high = 5}",
        "BUY_CHANNEL_WIDTH_PCT = {low = 1, high = 5, step = 0}",
        "BUY_CHANNEL_WIDTH_PCT = {low = 1, high = 5, step = 1, log = true}",
        "BUY_CHANNEL_WIDTH_PCT = {low = 1, high = 5, wide = 1}",
        "not toml",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput):
        read_space(file(tmp_path, text))
