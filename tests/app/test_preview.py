"""The ladder shown for an example treasury is the one the engine builds, and presets do what they say."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bmv.app.preview import BOOK_SIDE, DECIMALS, Example, Preview, _quoting, preview
from bmv.config import Settings
from bmv.config.presets import TEXTS, preset_values
from bmv.core.allocation import cost
from bmv.model import Clip, MarketSpec, Side
from bmv.sandbox.market_genesis import lots_for

HALF_AND_HALF = Example(Decimal(100), Decimal(10_000), Decimal("0.01"), 4)


def of(name: str, example: Example = HALF_AND_HALF) -> Preview:
    """Return what a preset gives."""
    return preview(Settings.model_validate({**preset_values(name), "PRESET": name}), example)


def within(shown: Preview, percent: str) -> tuple[Decimal, Decimal]:
    """Return the depth in SOL of bids and asks."""
    found = next(depth for depth in shown.depth if depth.within_pct == Decimal(percent))
    return found.bid_sol, found.ask_sol


@pytest.mark.parametrize("name", TEXTS)
def test_every_preset_quotes_both_sides_with_its_inside_spread_and_within_its_means(name: str) -> None:
    shown = of(name)
    settings = Settings.model_validate(preset_values(name))
    assert shown.bids > 10 < shown.asks
    assert shown.spread_pct is not None
    assert abs(shown.spread_pct - Decimal(int(settings.inside_spread)) / 100) <= Decimal("0.02")
    assert shown.lowest_bid is not None
    assert shown.best_bid is not None
    assert shown.best_ask is not None
    assert shown.lowest_bid < shown.best_bid < Decimal("0.01") < shown.best_ask
    for side in (0, 1):
        depths = [within(shown, percent)[side] for percent in ("0.5", "1", "2", "5")]
        assert depths == sorted(depths)
        assert 0 < depths[-1] <= 101


def test_depth_is_what_stands_within_the_distance_the_distance_included() -> None:
    # A zone so narrow that all of it lies within 2 %: then depth is the whole budget, to a lot or so.
    settings = Settings.model_validate(
        {
            "BUY_CHANNEL_WIDTH_PCT": 1,
            "SELL_CHANNEL_WIDTH_PCT": 1,
            "ANCHOR_BAND_PCT": "0.1",
            "INSIDE_SPREAD_PCT": "0.1",
            "MIN_SPREAD_PCT": "0.1",
            "MIN_BASE_SHARE_PCT": 0,
            "MAX_BASE_SHARE_PCT": 100,
        }
    )
    bids, asks = within(preview(settings, HALF_AND_HALF), "2")
    assert Decimal(85) < bids <= Decimal(100)
    assert Decimal(85) < asks <= Decimal(102)


def test_sla_is_tighter_and_deeper_near_the_price_than_growth() -> None:
    sla, growth = of("sla"), of("growth")
    assert sla.spread_pct is not None
    assert growth.spread_pct is not None
    assert sla.spread_pct < growth.spread_pct
    for percent in ("0.5", "1", "2"):
        for tight, wide in zip(within(sla, percent), within(growth, percent), strict=True):
            assert tight > 3 * wide


def test_accumulate_buys_further_down_and_sells_less_than_growth() -> None:
    more, growth = of("accumulate"), of("growth")
    assert more.lowest_bid is not None
    assert growth.lowest_bid is not None
    assert more.lowest_bid < growth.lowest_bid
    assert within(more, "5")[1] < within(growth, "5")[1] / 4


def test_without_tokens_there_is_a_side_missing_and_no_spread() -> None:
    shown = of("growth", Example(Decimal(100), Decimal(0), Decimal("0.000123"), 2))
    assert (shown.asks, shown.best_ask, shown.spread_pct) == (0, None, None)
    assert shown.bids > 10


def test_a_seed_far_from_the_price_does_not_move_the_example() -> None:
    seeded = Settings.model_validate({"SEED_PRICE": 1, "SEED_DAILY_VOLUME": 10**9})
    assert preview(seeded, HALF_AND_HALF) == preview(Settings(), HALF_AND_HALF)


def test_the_paper_on_the_strategy_shows_about_what_the_presets_give() -> None:
    paper = (Path(__file__).resolve().parents[2] / "docs" / "strategy.md").read_text(encoding="utf-8")
    for name in TEXTS:
        shown = of(name)
        assert shown.spread_pct is not None
        row = re.search(rf"^\| `{name}` \|(.*)$", paper, re.MULTILINE)
        assert row is not None
        told = [float(number) for number in re.findall(r"\d+\.?\d*", row[1])]
        given = [float(shown.spread_pct), float(shown.bids), float(shown.asks)]
        given += [float(depth) for percent in ("1", "2", "5") for depth in within(shown, percent)]
        assert told == pytest.approx(given, rel=0.1, abs=0.1), name


@pytest.mark.parametrize("wallets", [2, 4, 8, 12])
@pytest.mark.parametrize("name", ["literal", "accumulate"])
def test_equal_wallets_can_pay_for_the_bids_of_the_presets_that_bid_most(name: str, wallets: int) -> None:
    settings = Settings.model_validate({**preset_values(name), "PRESET": name, "PIVOT_MODE": "pure"})
    example = Example(Decimal(100), Decimal(10_000), Decimal("0.01"), wallets)
    lots = lots_for(example.price, DECIMALS)
    spec = MarketSpec("", "", DECIMALS, DECIMALS, lots.base, lots.quote, BOOK_SIDE, BOOK_SIDE, BOOK_SIDE)
    target = _quoting(spec, settings, example).target
    lacks = [each for each in target.waiting if each.clip is Clip.FUNDS]
    assert not any(each.levels for each in lacks)
    bids = sum(cost(q.side, q.price, q.size, spec) for q in target.quotes if q.side is Side.BID)
    # docs/strategy.md says 0.4 %.
    assert sum(each.amount for each in lacks) * 1_000 < 5 * bids
