"""Files that mean harm or were mangled on the way: refused in a line, at a bounded cost."""

import time
from pathlib import Path

import pytest

from bmv.config.loading import read
from bmv.errors import BadInput


def refusal(folder: Path, text: str, encoding: str = "utf-8") -> str:
    path = folder / "settings.toml"
    path.write_text(text, encoding=encoding)
    with pytest.raises(BadInput) as refused:
        read(path, {})
    return str(refused.value)


def test_a_whole_number_too_long_to_be_shown_is_refused_by_name(tmp_path: Path) -> None:
    for text in ("ORDERS_PER_WALLET", "SOMETHING"):
        assert text in refusal(tmp_path, f"{text} = 0x{'f' * 5_000}")
    assert "64 bits" in refusal(tmp_path, f"A = [{{B = {2**63}}}]")


def test_a_long_file_that_is_no_toml_costs_no_more_than_its_length(tmp_path: Path) -> None:
    began = time.process_time()
    refusal(tmp_path, "x y\n" + "\n" * 100_000 + "|" * 100_000 + " " * 100_000)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "text",
    [
        "NOISE_RATE_%\t5\nFLASH_VOLUME_ENABLED\ttrue",
        "export NOISE_RATE=5",
        "- NOISE_RATE: 5",
        "* **NOISE_RATE** = 5",
        "[[a]]\nNOISE_RATE=1",
        "a=[{NOISE_RATE=1}]",
        '"noise-level" = 1',
        '"NOISE RATE" = 1',
        "BMV_NOISE_Y = 1",
        "bmv_noise_x = 1",
    ],
)
def test_faked_activity_is_recognised_however_it_was_pasted(tmp_path: Path, text: str) -> None:
    assert "docs/integrity.md" in refusal(tmp_path, text)


def test_a_table_beside_a_switched_off_block_does_not_swallow_other_keys(tmp_path: Path) -> None:
    text = "FLASH_VOLUME_ENABLED = false\n[limits]\nFLASH_VOLUME_X = 2\nMAX_BID_EXPOSURE_SOL = 1\n"
    assert "top level" in refusal(tmp_path, text)


@pytest.mark.parametrize("value", ["0_4", "٣٢", "0x10", "1e", ".", "- 1"])
def test_a_number_is_digits_a_point_and_an_exponent(value: str) -> None:
    with pytest.raises(BadInput, match="a number"):
        read(None, {"BMV_REBALANCE_THRESHOLD_PCT": value})


def test_a_spread_wider_than_a_zone_is_refused(tmp_path: Path) -> None:
    text = "INSIDE_SPREAD_PCT = 20\nBUY_CHANNEL_WIDTH_PCT = 5\n"
    assert "less than BUY_CHANNEL_WIDTH_PCT" in refusal(tmp_path, text)


def test_wallets_are_no_key_and_it_is_told_where_they_are(tmp_path: Path) -> None:
    assert "bmv wallets" in refusal(tmp_path, 'WALLETS = "a"')


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("ORACLE_POL", "ORACLE_POLL"),
        ("SIGNER_MAX_TIPS_SOL", "SIGNER_MAX_TIP_SOL"),
        ("ALERT_TELEGRAM_CHATS", "ALERT_TELEGRAM_CHAT"),
    ],
)
def test_a_typo_in_a_key_that_needs_a_restart_names_the_nearest_key_too(
    tmp_path: Path, typo: str, meant: str
) -> None:
    assert f"did you mean {meant}?" in refusal(tmp_path, f'{typo} = "a"')


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("ORDERS_PER_WALLET = 8\n", encoding="utf-8-sig")
    assert read(path, {}).settings.orders_per_wallet == 8
