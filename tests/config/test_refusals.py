"""Keys of older configurations that would fake activity: one message, whatever the spelling."""

import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings, load, read
from bmv.errors import BadInput, BadSettings

OLD_TABLE = """
"BUY_CHANNEL_WIDTH_%" = 15
"REBALANCE_THRESHOLD_%" = 1
REBALANCE_EVERY = "1h"
JITO_TIP = 0.005
FLASH_VOLUME_ENABLED = True
"FLASH_VOLUME_AMOUNT_%" = 3
flash_volume_interval = "15m"
"NOISE_LEVEL_%" = 5
NOISE_MIN = 1
noise-max = 9

[noise]
wallets = 3

[flash_volume]
jitter = "2m"
""".replace("True", "true")


def refused(path: Path, text: str, **environ: str) -> str:
    """Return the one complaint about fake activity."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"docs/integrity\.md") as caught:
        read(path, {f"BMV_{key}": value for key, value in environ.items()})
    assert not isinstance(caught.value, BadSettings)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bmv.toml"


def test_the_older_table_pasted_whole_gives_one_message_that_names_every_refused_key(file: Path) -> None:
    told = refused(file, OLD_TABLE, NOISE_SEED="7", FLASH_VOLUME_WALLETS="3")
    names, _, rest = told.partition(": ")
    assert names.split(", ") == [
        *("FLASH_VOLUME_AMOUNT_%", "FLASH_VOLUME_ENABLED", "FLASH_VOLUME_WALLETS", "NOISE_LEVEL_%"),
        *("NOISE_MIN", "NOISE_SEED", "flash_volume.jitter", "flash_volume_interval", "noise-max"),
        "noise.wallets",
    ]
    assert "never trades with itself" in rest
    assert str(file) in rest
    assert "environment variable BMV_NOISE_SEED" in rest
    assert "environment variable BMV_FLASH_VOLUME_WALLETS" in rest
    assert "\n" not in told


PASTED = """
| parameter | default | | parameter | default |
|---|---|---|---|---|
| BUY_CHANNEL_WIDTH_% | 15 | | FLASH_VOLUME_ENABLED | true |
| FORCED_SYNC | 1h | | `NOISE_LEVEL_%` | 5 |
| JITO_TIP_AMOUNT_SOL | 0.005 | | FLASH_VOLUME_INTERVAL | 15m |
"""


@pytest.mark.parametrize(
    "text",
    [
        PASTED,
        "FLASH_VOLUME_ENABLED = True\nFLASH_VOLUME_INTERVAL = 15m\nNOISE_LEVEL_% = 5\nBUY_DENSITY_% = 15\n",
        "flash_volume_enabled: yes\nflash_volume_interval: 15m\nnoise_level_%: 5\n# NOISE_REMARK = 1\n",
        "'FLASH_VOLUME_ENABLED' = on\nFLASH_VOLUME_INTERVAL=15m\n  NOISE_LEVEL_%=5\n",
        "| FLASH_VOLUME_ENABLED / NOISE_LEVEL_% | true / 5 |\n| AB / FLASH_VOLUME_INTERVAL | 1 / 15m |",
        "FLASH_VOLUME_ENABLED   true\nFLASH_VOLUME_INTERVAL  15m\nNOISE_LEVEL_%          5",
        "name,default\nFLASH_VOLUME_ENABLED,true\nFLASH_VOLUME_INTERVAL;15m\nNOISE_LEVEL_%,5\n",
        "<tr><td>FLASH_VOLUME_ENABLED</td><td>true</td><td>noise_level_%</td><td>FLASH_VOLUME_INTERVAL</td></tr>",
        "* FLASH_VOLUME_ENABLED true\n1. FLASH_VOLUME_INTERVAL 15m\nNOISE_LEVEL_% -> 5  # NOISE_REMARK\n",
    ],
)
def test_a_table_pasted_as_it_stood_in_a_paper_is_refused_for_what_it_fakes_before_its_form(
    file: Path, text: str
) -> None:
    names = refused(file, text, NOISE_X="1").upper().partition(": ")[0]
    assert set(names.split(", ")) == {
        *("FLASH_VOLUME_ENABLED", "FLASH_VOLUME_INTERVAL", "NOISE_LEVEL_%", "NOISE_X")
    }


def test_a_word_found_loosely_does_not_undo_that_flash_volume_is_switched_off(file: Path) -> None:
    file.write_text(
        "| FLASH_VOLUME_ENABLED | false |\n| FLASH_VOLUME_INTERVAL / FLASH_VOLUME_SIZE | 1 / 2 |\n"
    )
    with pytest.raises(BadInput, match="valid TOML"):
        read(file, {})


def test_a_table_that_fakes_nothing_is_told_about_its_form(file: Path) -> None:
    file.write_text("FLASH_VOLUME_ENABLED = false\nBUY_CHANNEL_WIDTH_% = 15\n")
    with pytest.raises(BadInput, match=r"valid TOML .*a key with % stands in quotes"):
        read(file, {})
    file.write_text("GRID_LEVELS = 1h\n")
    with pytest.raises(BadInput, match="valid TOML") as caught:
        read(file, {})
    assert "quotes" not in str(caught.value)


def test_other_complaints_wait_until_nothing_is_faked_any_more(file: Path) -> None:
    text = 'NOISE_RATE = 3\n"FLASH_VOLUME_RATIO_%" = 5\nGRID_LEVELS = 1\n'
    told = refused(file, text, FLASH_VOLUME_ENABLED="true")
    assert told.startswith("FLASH_VOLUME_ENABLED, FLASH_VOLUME_RATIO_%, NOISE_RATE: ")
    assert "GRID_LEVELS" not in told


@pytest.mark.parametrize(
    "value",
    [
        "true",
        "True",
        '"true"',
        '" TRUE "',
        "1",
        '"1"',
        '"on"',
        '"yes"',
        '"maybe"',
        '"no"',
        "0",
        '""',
        "[false]",
    ],
)
def test_flash_volume_is_refused_unless_it_says_false(file: Path, value: str) -> None:
    value = value.replace("True", "true")
    assert refused(file, f"FLASH_VOLUME_ENABLED = {value}\n").startswith("FLASH_VOLUME_ENABLED: ")
    assert refused(file, "", FLASH_VOLUME_ENABLED=value).startswith("FLASH_VOLUME_ENABLED: ")


@pytest.mark.parametrize(
    "line",
    [
        "NOISE_X = 1",
        "NOISE_X = false",
        '"NOISE_%" = 0',
        "noise_x = 1",
        "Noise_X = 1",
        '" NOISE_X " = 1',
        "NOISE-X = 1",
        "NOISE.x = 1",
        "[noise]",
        "[noise]\nx = 1",
        "[strategy.noise]\nx = 1",
        "[bmv]\nNOISE_X = 1",
        "[[noise]]\nx = 1",
        "noise = {}",
        "FLASH_VOLUME_INTERVAL = 3",
        "[flash]\nvolume_enabled = true",
        "[noise]\nlevel = 5m",
    ],
)
def test_no_spelling_slips_through(file: Path, line: str) -> None:
    assert "docs/integrity.md" in refused(file, line + "\n")


@given(st.text("NOISEnoise_-%. X", min_size=1, max_size=9))
def test_a_name_in_the_environment_is_refused_as_fake_or_as_unknown(tail: str) -> None:
    for prefix in ("NOISE_", "noise_", "Flash_Volume_"):
        with pytest.raises(BadInput, match="integrity"):
            read(None, {f"BMV_{prefix}{tail}": "false"})


def test_flash_volume_switched_off_drops_its_other_keys_with_one_warning(file: Path) -> None:
    file.write_text('FLASH_VOLUME_ENABLED = false\nFLASH_VOLUME_MAX = 5\n"FLASH_VOLUME_%" = 5\n')
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert load(file, {"BMV_FLASH_VOLUME_MIN": "2"}) == Settings()
    names = "FLASH_VOLUME_%, FLASH_VOLUME_ENABLED, FLASH_VOLUME_MAX, FLASH_VOLUME_MIN"
    assert [str(each.message) for each in told] == [f"ignored, as there is no such module any more: {names}"]


def test_flash_volume_switched_off_excuses_neither_noise_nor_a_contradiction(file: Path) -> None:
    text = "FLASH_VOLUME_ENABLED = false\n"
    assert refused(file, text + "NOISE_RATE = 1\n").startswith("NOISE_RATE: ")
    assert refused(file, text, FLASH_VOLUME_ENABLED="True").startswith("FLASH_VOLUME_ENABLED: ")
    assert refused(file, text + "flash_volume_enabled = true\n").startswith("FLASH_VOLUME_ENABLED, flash_")


def test_words_that_only_look_alike_are_plain_unknown_keys(file: Path) -> None:
    file.write_text("NOISELESS = 1\nFLASH_VOLUMES = 1\n")
    with pytest.raises(BadSettings) as caught:
        read(file, {})
    assert [problem.field for problem in caught.value.problems] == ["NOISELESS", "FLASH_VOLUMES"]
