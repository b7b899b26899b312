"""Presets are settings files themselves, and stand under whatever else is said."""

from pathlib import Path
from typing import get_args

import pytest

from bmv.config import Settings, read
from bmv.config.presets import TEXTS, preset_values
from bmv.config.settings import PresetName
from bmv.config.sources import Source


def test_the_names_are_those_the_key_takes() -> None:
    assert set(TEXTS) == set(get_args(PresetName))


@pytest.mark.parametrize("name", TEXTS)
def test_naming_a_preset_and_pasting_its_text_come_to_the_same(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bmv.toml"
    file.write_text(TEXTS[name])
    named = read(None, {"BMV_PRESET": name})
    assert read(file, {}).settings == named.settings
    assert named.settings.preset == name
    assert (named.settings == Settings()) == (name == "growth")
    for key in preset_values(name):
        assert named.kind_of(key) is Source.PRESET


def test_growth_is_the_defaults() -> None:
    assert preset_values("growth") == {}


def test_a_value_of_ones_own_stands_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "bmv.toml"
    file.write_text('PRESET = "sla"\n"BUY_CHANNEL_WIDTH_%" = 8\n')
    found = read(file, {"BMV_BUY_DENSITY": "2"}).settings
    assert [int(found.buy_channel_width), int(found.buy_density)] == [800, 20_000]
    assert int(found.sell_channel_width) == 400
