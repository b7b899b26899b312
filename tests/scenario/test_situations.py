"""The table of behaviour to expect, one situation after the other, each on its own axis."""

import pytest

from bmv.model import TOUCH, Side
from bmv.sandbox.people.crowd import CrowdOptions
from tests.scenario.courses import COMPANY, START, short
from tests.scenario.playing import HOUR_MS, MINUTE_MS, Scenario, Seen, along, play

NOBODY = CrowdOptions(takers=0, arbitrageurs=0).without_makers()


@pytest.fixture(scope="module")
def still() -> Seen:
    """Two hours and a half in which nobody does anything."""
    return play(Scenario(along(((0, START), (2.5, START))), 2.5, NOBODY, levels=60, wallets=2))


def test_in_a_flat_market_zones_stand_still(still: Seen) -> None:
    borders = {(s.price, s.buy_low, s.buy_high, s.sell_low, s.sell_high) for s in still.samples}
    assert len(borders) == 1
    assert still.share(lambda s: s.bid is not None and s.ask is not None) == 1


def test_in_a_flat_market_the_inside_spread_tightens_step_by_step_and_nothing_else_is_sent(
    still: Seen,
) -> None:
    spreads = [s.spread_bps for s in still.samples]
    assert sorted(set(spreads), reverse=True) == [100, 88, 75, 63, 50]
    assert spreads == sorted(spreads, reverse=True)
    first = {p.point for at, p, _ in still.placed if at < still.samples[0].at}
    later = [(p.point, p.side) for at, p, _ in still.placed if at >= still.samples[0].at]
    assert len(first) > 30
    assert sorted(later) == sorted([(TOUCH, side) for side in Side] * 4)
    assert len(still.placed) - len(still.withdrawn) == still.samples[-1].orders


def test_a_forced_sync_in_a_flat_market_sends_nothing(still: Seen) -> None:
    last_step = max(at for at, _, _ in still.placed)
    computed = sorted({sample.built_at for sample in still.samples})
    assert computed[-1] - computed[-2] >= HOUR_MS
    assert computed[-1] > last_step
    assert still.samples[-1].at > computed[-1] + 10 * MINUTE_MS
    assert not [r for r in still.events("GRID_REBUILD") if r["trigger"] == "forced"]


@pytest.mark.parametrize("company", COMPANY)
def test_when_the_price_rises_the_sell_zone_rises_at_once_and_the_buy_zone_with_inertia(company: str) -> None:
    seen = short("rise", company)
    first, last = seen.samples[10], seen.samples[-1]
    rise = last.price / first.price - 1
    assert rise > 0.08
    for sample in seen.samples:
        assert sample.price <= sample.sell_low <= sample.price * 1.03 * 1.000001
        assert sample.sell_high >= sample.sell_low * 1.15
    assert last.sell_low / first.sell_low - 1 > 0.7 * rise
    assert 0 < last.buy_high / first.buy_high - 1 < 0.2 * rise
    assert 0 < last.buy_low / first.buy_low - 1 < 0.2 * rise
    assert last.sol > first.sol
    assert last.base < first.base


@pytest.mark.parametrize("company", COMPANY)
def test_when_the_price_falls_the_buy_zone_follows_with_inertia_and_pace_and_both_sides_stand(
    company: str,
) -> None:
    seen = short("fall", company)
    first, last = seen.samples[10], seen.samples[-1]
    fall = 1 - last.price / first.price
    assert fall > 0.06
    assert 0 < 1 - last.buy_high / first.buy_high < 0.2 * fall
    assert last.buy_low < first.buy_low
    for sample in seen.samples:
        assert sample.buy_low <= sample.price * 0.925 * 1.000001
        assert sample.price <= sample.sell_low <= sample.price * 1.03 * 1.000001
    assert seen.share(lambda s: s.bid is not None and s.ask is not None) == 1
    assert last.sol < first.sol
    assert last.base > first.base
    # The pace: what was bought lately leaves ever less of the treasury standing in bids.
    assert first.bid_worth / first.sol > 0.6
    assert last.bid_worth / last.sol < 0.3
