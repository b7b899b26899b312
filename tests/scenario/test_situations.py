"""The table of behaviour to expect, one situation after the other, each on its own axis."""

import pytest

from bmv.model import TOUCH, Side
from bmv.sandbox.people.crowd import CrowdOptions
from tests.scenario.courses import COMPANY, START, short
from tests.scenario.judging import net_paid
from tests.scenario.playing import HOUR_MS, MINUTE_MS, Sample, Scenario, Seen, along
from tests.scenario.purse import Purse

NOBODY = CrowdOptions(takers=0, arbitrageurs=0).without_makers()


@pytest.fixture(scope="module")
def still() -> Seen:
    """Two hours and a half in which nobody does anything."""
    purse = Purse()
    scenario = Scenario(along(((0, START), (2.5, START))), 2.5, NOBODY, levels=60, wallets=2)
    return purse.play(scenario)


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
    seen, purse = short("rise", company)
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
    # The disturbance may take the price below the anchor before the rise has begun.
    sold = [due for at, due in purse.done if at > first.at + HOUR_MS]
    assert {due["direction"] for due in sold} == {"sol to usdc"}
    received = -sum(paid for _, paid in net_paid(seen) if paid < 0)
    assert 0 < sum(int(due["sol"]) for due in sold) <= received


@pytest.mark.parametrize("company", COMPANY)
def test_when_the_price_falls_the_buy_zone_follows_with_inertia_and_pace_and_both_sides_stand(
    company: str,
) -> None:
    seen, purse = short("fall", company)
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
    assert {due["direction"] for _, due in purse.done} == {"usdc to sol"}
    assert {due["rule"] for _, due in purse.done} == {"lower half"}
    assert purse.held[-1][1] < purse.held[0][1]
    # The pace: what was bought lately leaves ever less of the treasury standing in bids.
    assert first.bid_worth / first.sol > 0.6
    assert last.bid_worth / last.sol < 0.3


@pytest.fixture(scope="module")
def sol_up() -> tuple[Seen, Purse]:
    """The still market again, while SOL rises by a third within an hour."""
    purse = Purse(((0, 150), (0.5, 150), (1.5, 200), (3, 200)))
    scenario = Scenario(along(((0, START), (2.5, START))), 2.5, NOBODY, levels=60, wallets=2)
    return purse.play(scenario), purse


def test_when_sol_rises_no_quote_moves_nothing_is_sold_and_its_share_rises_by_value(
    still: Seen, sol_up: tuple[Seen, Purse]
) -> None:
    seen, purse = sol_up
    assert orders(seen) == orders(still)
    assert purse.done == []
    assert purse.held[0][1] == purse.held[-1][1]
    shares = [sol_share(sample, purse) for sample in (seen.samples[0], seen.samples[-1])]
    assert shares[1] > shares[0]


def test_when_sol_falls_usdc_becomes_sol_the_bids_grow_and_their_zone_gets_denser() -> None:
    purse = Purse(((0, 150), (1, 150), (1.25, 112), (3, 112)), usdc=14_000)
    # Without this the default (what is in third hands) has made the zone as dense as it gets.
    settings = {"target_control": 0, "forced_sync": 15 * MINUTE_MS}
    path = along(((0, START), (2.6, START)))
    scenario = Scenario(path, 2.6, NOBODY, levels=60, wallets=2, settings=settings)
    seen = purse.play(scenario)
    onset = min(at for at, _ in purse.done)
    assert onset >= seen.samples[0].at + 59 * MINUTE_MS
    assert {(due["rule"], due["direction"]) for _, due in purse.done} == {("damper", "usdc to sol")}
    assert [fields["drop_bps"] for fields in seen.events("DAMPER_ON")] >= [500]
    assert purse.held[-1][1] < purse.held[0][1] / 2
    before = [sample for sample in seen.samples if sample.at < onset][-1]
    last = seen.samples[-1]
    assert {place.point for at, place, _ in seen.placed if seen.samples[0].at < at < onset} == {TOUCH}
    bought = sum(int(fields["sol"]) for fields in seen.events("FIAT_INJECTION"))
    expected = sum(int(due["sol"]) for _, due in purse.done)
    assert 0.995 * expected < bought <= expected * 1.005
    # All of it goes to the wallets; what was bought last may still be on its way.
    assert 0.8 * bought < last.sol - before.sol <= bought
    assert last.bid_worth > before.bid_worth * 1.03
    assert (before.density, max(s.density for s in seen.samples)) == (20_000, 40_000)
    assert last.price == before.price


def orders(seen: Seen) -> list[tuple[int, Side, int, int]]:
    """Return what was placed, in order: wallet, side, price, size."""
    return [(place.wallet, place.side, int(place.price), int(place.size)) for _, place, _ in seen.placed]


def sol_share(sample: Sample, purse: Purse) -> float:
    """Return the share of the reserve that stands in SOL."""
    sol = (sample.sol + purse.sol) / 10**9 * purse.price(sample.at)
    return sol / (sol + purse.usdc)
