"""The ladder against fractions and brute force, in random worlds from 5 ticks to millions."""

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, log2

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bmv.config import Settings, load
from bmv.core.decay import BPS, FINE
from bmv.core.ladder import (
    SideLadder,
    Zone,
    build_side,
    buy_budget,
    exposure_cap,
    pace_step,
    sell_budget,
    shares,
    stepped_density,
)
from bmv.core.lattice import Lattice
from bmv.model import TOUCH, Clip, Level, Side, Why
from bmv.units import BaseLots, Bps, Lamports, Ticks

SETTINGS = Settings()
LOT = 10


def zone(
    side: Side,
    price: int,
    *,
    low: int,
    high: int,
    levels: int = 16,
    budget: int = 10**12,
    anchor: int | None = None,
    opposite: int | None = None,
    spread: int = 100,
    ratio: int | None = None,
) -> Zone:
    """Describe a side with prices in fine ticks."""
    width = Bps(1_500) if side is Side.BID else Bps(3_000)
    return Zone(
        lattice=Lattice.anchored(side, anchor or price, width, max(4, 2 * levels), Bps(500)),
        low_fine=low,
        high_fine=high,
        levels=levels,
        budget=budget,
        price_fine=price,
        opposite=None if opposite is None else Ticks(opposite),
        spread=Bps(spread),
        size_ratio=Bps(ratio or (80_000 if side is Side.BID else 10_000)),
        reanchor=Bps(3_000),
        quote_lot_size=LOT,
    )


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    """Draw worlds of all price scales, zones around P or away from it, and foreign orders on either side."""
    side = draw(st.sampled_from(list(Side)))
    ticks = draw(st.one_of(st.integers(5, 200), st.integers(200, 10**7)))
    price = ticks * FINE + draw(st.integers(0, FINE - 1))
    borders = ((600, 925), (900, 1_100)) if side is Side.BID else ((1_000, 1_030), (1_150, 2_000))
    low, high = (price * draw(st.integers(*border)) // 1_000 for border in borders)
    mille = draw(st.none() | st.integers(950, 1_050))
    return zone(
        side,
        price,
        low=low,
        high=high,
        levels=draw(st.integers(1, 60)),
        budget=draw(st.one_of(st.integers(0, 10**4), st.integers(10**9, 10**14))),
        anchor=price * draw(st.integers(500, 2_000)) // 1_000,
        opposite=None if mille is None else max(1, ticks * mille // 1_000),
        spread=draw(st.integers(50, 100)),
        ratio=draw(st.sampled_from([10_000, 20_000, 80_000])),
    )


# A lot at the touch costs more than one of all that is joined there.
DEAR_TOUCH = Zone(
    lattice=Lattice(side=Side.BID, anchor_fine=310_378_496, step=244_503_236_745_765_358),
    low_fine=372_454_195,
    high_fine=558_681_292,
    levels=12,
    budget=544,
    price_fine=37 * FINE,
    opposite=Ticks(35),
    spread=Bps(50),
    size_ratio=Bps(20_000),
    reanchor=Bps(3_000),
    quote_lot_size=LOT,
)


def touch_price(world: Zone) -> int:
    """Return P x (1 -+ spread / 2), rounded outwards and kept off the foreign best of the other side."""
    half = Fraction(int(world.spread), 20_000)
    exact = Fraction(world.price_fine, FINE)
    if world.lattice.side is Side.BID:
        below = floor(exact * (1 - half))
        return below if world.opposite is None else min(below, int(world.opposite) - 1)
    above = ceil(exact * (1 + half))
    return above if world.opposite is None else max(above, int(world.opposite) + 1)


def cost(level: Level) -> int:
    return int(level.price) * LOT if level.side is Side.BID else 1


def spent(built: SideLadder) -> int:
    return sum(cost(level) * int(level.size) for level in built.levels)


@given(zones())
def test_standing_waiting_and_rest_are_the_budget_to_the_last_unit(world: Zone) -> None:
    built = build_side(world)
    assert built.standing == spent(built)
    assert built.standing + built.waiting + built.rest == world.budget
    assert min(built.standing, built.waiting, built.rest) >= 0
    if built.levels:
        assert built.rest < min(cost(level) for level in built.levels)


@given(zones())
def test_bids_lie_below_p_and_the_foreign_ask_and_asks_above_p_and_the_foreign_bid(world: Zone) -> None:
    for level in build_side(world).levels:
        if level.side is Side.BID:
            assert int(level.price) >= 1
            assert int(level.price) * FINE < world.price_fine
            assert world.opposite is None or level.price < world.opposite
        else:
            assert int(level.price) * FINE > world.price_fine
            assert world.opposite is None or level.price > world.opposite


@given(zones())
def test_levels_run_outwards_one_per_tick_and_no_more_than_the_share(
    world: Zone,
) -> None:
    levels = build_side(world).levels
    prices = [int(level.price) for level in levels]
    assert prices == sorted(set(prices), reverse=world.lattice.side is Side.BID)
    assert all(level.size >= BaseLots(1) for level in levels)
    assert len(levels) <= world.levels


@given(zones())
@example(DEAR_TOUCH)
def test_the_first_order_is_the_touch_and_all_others_are_lattice_points_of_the_zone(world: Zone) -> None:
    levels = build_side(world).levels
    for level in levels[1:]:
        assert level.price == world.lattice.price(level.point)
        assert world.low_fine <= world.lattice.price_fine(level.point) < world.high_fine
    if levels:
        assert (levels[0].point, int(levels[0].price)) == (TOUCH, touch_price(world))


@given(zones())
def test_the_same_zone_gives_the_same_ladder_and_keeps_its_weights(world: Zone) -> None:
    built = build_side(world)
    assert build_side(world, built.weights) == built == build_side(world)


def exact_sizes(world: Zone) -> dict[int, Fraction]:
    """Return what the definition gives each price of the zone before rounding: a weight per level."""
    lattice, touch = world.lattice, touch_price(world)
    points = lattice.points_in(world.low_fine, world.high_fine)
    inside = list(lattice.fitted(points, world.levels))
    inner = max(inside) if lattice.side is Side.BID else min(inside)
    ratio = int(world.size_ratio) / 10_000
    weight = {point: Fraction(ratio ** (abs(point - inner) / len(points))) for point in inside}
    near = min(inside, key=lambda point: (abs(int(lattice.price(point)) - touch), abs(point - inner)))
    price = {point: touch if point == near else int(lattice.price(point)) for point in inside}
    unit = {point: price[point] * LOT if lattice.side is Side.BID else 1 for point in inside}
    total = sum(weight[point] * unit[point] for point in inside)
    return {price[point]: world.budget * weight[point] / total for point in inside}


@given(
    st.sampled_from(list(Side)),
    st.integers(10**5, 10**7),
    st.integers(4, 60),
    st.integers(970, 1_050),
    st.integers(10**12, 10**15),
)
def test_sizes_are_their_share_of_the_whole_zone(
    side: Side, price: int, levels: int, shift: int, budget: int
) -> None:
    low, high = (850, 1_000) if side is Side.BID else (1_000, 1_300)
    middle = price * FINE * shift // 1_000 if side is Side.BID else price * FINE
    world = zone(
        side,
        price * FINE,
        low=middle * low // 1_000,
        high=middle * high // 1_000,
        levels=levels,
        budget=budget,
    )
    exact = exact_sizes(world)
    for level in build_side(world).levels:
        assert abs(int(level.size) - exact[int(level.price)]) <= 2 + exact[int(level.price)] / 10**6


@given(st.integers(1_000, 10**6), st.integers(4, 100), st.integers(10**12, 10**15))
def test_bids_grow_towards_the_lower_border(price: int, levels: int, budget: int) -> None:
    fine = price * FINE
    built = build_side(zone(Side.BID, fine, low=fine * 85 // 100, high=fine, levels=levels, budget=budget))
    sizes = [int(level.size) for level in built.levels]
    assert all(inner <= outer + 1 for inner, outer in pairwise(sizes))
    if len(sizes) > 20 and sizes[0] > 1_000:
        assert 4 < sizes[-1] / sizes[0] < 8.1


def test_what_lies_above_p_waits() -> None:
    world = zone(Side.BID, 95_000 * FINE, low=85_000 * FINE, high=100_000 * FINE, anchor=100_000 * FINE)
    at_the_top = zone(Side.BID, 100_000 * FINE, low=85_000 * FINE, high=100_000 * FINE)
    built, whole = build_side(world), build_side(at_the_top)
    assert whole.waiting == 0
    assert 0.05 < built.waiting / world.budget < 0.35
    assert built.standing + built.waiting + built.rest == world.budget


@given(st.integers(1_000, 10**6), st.integers(8, 80), st.integers(1, 60), st.booleans())
def test_orders_that_stay_inside_keep_their_price(price: int, levels: int, slide: int, up: bool) -> None:
    fine = price * FINE
    move = fine * slide // 1_000 * (1 if up else -1)
    before_zone = zone(Side.BID, fine, low=fine * 85 // 100, high=fine, levels=levels, budget=10**16)
    after_zone = zone(
        Side.BID,
        fine + move,
        low=(fine + move) * 85 // 100,
        high=fine + move,
        levels=levels,
        budget=10**16,
        anchor=fine,
    )
    before, after = build_side(before_zone), build_side(after_zone)
    stride = max(
        item.lattice.fitted(item.lattice.points_in(item.low_fine, item.high_fine), levels).step
        for item in (before_zone, after_zone)
    )
    # The touch takes the place of its neighbour, so the two strides below it are not compared.
    low = max(before_zone.low_fine, after_zone.low_fine)
    touch = min(touch_price(before_zone), touch_price(after_zone)) * FINE
    both = before_zone.lattice.points_in(low, touch)[: -2 * stride]
    kept, seen = (
        {level.price for level in built.levels if level.point in both and level.point % stride == 0}
        for built in (before, after)
    )
    assert kept == seen
    assert kept or len(both) < stride


def test_a_little_wider_zone_does_not_bend_the_weights_and_a_much_wider_one_does() -> None:
    fine = 10**6 * FINE
    first = build_side(zone(Side.BID, fine, low=fine * 85 // 100, high=fine)).weights
    wider = zone(Side.BID, fine, low=fine * 84 // 100, high=fine)
    twice = zone(Side.BID, fine, low=fine * 70 // 100, high=fine)
    assert build_side(wider, first).weights == first
    bent = build_side(twice, first).weights
    assert bent != first
    assert bent == build_side(twice).weights


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_small_stock_is_spread_over_the_zone_in_whole_lots(lots: int, levels: int) -> None:
    fine = 10**5 * FINE
    world = zone(Side.ASK, fine, low=fine, high=fine * 13 // 10, levels=levels, budget=lots)
    built = build_side(world)
    sizes = [int(level.size) for level in built.levels]
    assert sum(sizes) + built.waiting == lots
    assert built.rest == 0
    if lots:
        assert sizes[0] >= 1
        assert max(sizes) - min(sizes) <= max(1, lots // len(sizes))
    if 2 * len(sizes) < levels and len(sizes) > 3:
        gaps = [int(far.price - near.price) for near, far in pairwise(built.levels)]
        assert max(gaps[1:]) <= 4 * min(gaps[1:])


@pytest.mark.parametrize("ticks", [5, 8, 20, 60, 200])
@pytest.mark.parametrize("side", list(Side))
def test_a_cheap_token_has_one_level_per_tick_and_its_whole_budget(ticks: int, side: Side) -> None:
    fine = ticks * FINE
    low, high = (fine * 85 // 100, fine) if side is Side.BID else (fine, fine * 13 // 10)
    built = build_side(zone(side, fine, low=low, high=high, levels=100, budget=10**10))
    borders = (floor(ticks * 0.85), ticks) if side is Side.BID else (ticks + 1, ceil(ticks * 1.3) + 1)
    inside = range(*borders)
    prices = {int(level.price) for level in built.levels}
    assert prices <= set(inside)
    assert len(prices) >= min(len(inside) - 2, 100)
    assert built.standing + built.waiting + built.rest == 10**10


def test_a_price_of_one_tick_has_no_bid_and_its_budget_waits() -> None:
    built = build_side(zone(Side.BID, FINE, low=FINE * 85 // 100, high=FINE, budget=500))
    assert (built.levels, built.waiting) == ((), 500)


def test_an_empty_zone_still_has_its_touch() -> None:
    built = build_side(zone(Side.ASK, 100 * FINE, low=101 * FINE, high=101 * FINE, budget=7))
    why = Why(rank=0, point=TOUCH, share_ppm=1_000_000, budget=7)
    assert built.levels == (Level(Side.ASK, TOUCH, Ticks(101), BaseLots(7), why),)


@given(zones())
def test_every_level_says_its_rank_its_place_its_share_and_the_budget(world: Zone) -> None:
    built = build_side(world)
    for rank, level in enumerate(built.levels):
        assert level.why is not None
        assert (level.why.rank, level.why.budget) == (rank, world.budget)
        # A lot more or less by rounding; weights under one lot are merged, so shares are of whole groups.
        exact = Fraction(world.budget * level.why.share_ppm, 10**6 * cost(level))
        assert abs(exact - int(level.size)) <= 2 + exact / 10**3 + Fraction(world.budget, 10**6 * cost(level))
        if level.point != TOUCH:
            assert level.why.point == level.point


@given(zones())
@example(DEAR_TOUCH)
def test_a_touch_says_when_somebody_elses_order_keeps_it_off_its_price(world: Zone) -> None:
    free = touch_price(world)
    for level in build_side(world).levels[:1]:
        assert level.why is not None
        unhindered = touch_price(msgspec.structs.replace(world, opposite=None))
        assert (level.why.clip is Clip.FOREIGN_BOOK) == (free != unhindered)


@given(st.integers(2, 6_400), st.integers(1, 60_000))
def test_levels_are_shared_by_width_and_density(levels: int, density: int) -> None:
    n_buy, n_sell = shares(levels, Bps(density), SETTINGS)
    assert n_buy + n_sell == levels
    assert min(n_buy, n_sell) >= 1
    exact = Fraction(levels * 1_500 * density, 1_500 * density + 3_000 * 10_000)
    assert abs(n_buy - exact) <= Fraction(1, 2) or min(n_buy, n_sell) == 1


def test_the_default_density_shares_evenly() -> None:
    assert shares(32, SETTINGS.buy_density, SETTINGS) == (16, 16)
    assert shares(30, Bps(40_000), SETTINGS) == (20, 10)


@given(st.integers(1, 40_000), st.integers(2_500, 40_000))
def test_the_density_is_the_nearest_doubling_on_a_log_scale(wanted: int, base: int) -> None:
    found = int(stepped_density(Bps(wanted), Bps(base)))
    allowed = [base << n for n in range(6) if base << n <= 40_000]
    assert found in allowed
    nearest = min(abs(log2(one / wanted)) for one in allowed)
    assert abs(log2(found / wanted)) == pytest.approx(nearest)


@given(st.integers(2_500, 40_000), st.lists(st.integers(1, 60_000), min_size=2, max_size=12))
def test_a_density_step_is_left_only_more_than_a_tenth_beyond_the_middle_to_the_next(
    base: int, wants: list[int]
) -> None:
    held = stepped_density(Bps(wants[0]), Bps(base))
    for wanted in wants[1:]:
        found = stepped_density(Bps(wanted), Bps(base), held)
        middle = 2**0.5
        outside = wanted > int(held) * middle * 1.1 or wanted < int(held) / middle / 1.1
        nearest = stepped_density(Bps(wanted), Bps(base))
        if (
            abs(wanted / (int(held) * middle * 1.1) - 1) > 1e-6
            and abs(wanted * middle * 1.1 / int(held) - 1) > 1e-6
        ):
            assert found == (nearest if outside else held)
        held = found


def test_density_steps_with_the_default_two() -> None:
    two, four = Bps(20_000), Bps(40_000)
    # Up beyond 2 x 1.414 x 1.1 = 3.111, down below 4 / 1.414 / 1.1 = 2.571.
    assert [stepped_density(Bps(each), two, two) for each in (31_100, 31_120)] == [two, four]
    assert [stepped_density(Bps(each), two, four) for each in (25_720, 25_700)] == [four, two]


PAID = (0, 20_000, 30_000, 60_000, 90_000, 200_000)


def exact_pace(sol: int, paid: int) -> Fraction:
    spent_so_far = max(0, paid)
    pace = 1 - Fraction(spent_so_far) / (Fraction(1, 10) * (sol + spent_so_far))
    return min(Fraction(1), max(Fraction(0), pace))


@given(st.integers(-10, 10**12), st.integers(-10, 10**12), st.integers(-(10**12), 10**13))
def test_the_buy_budget_is_the_one_defined(sol: int, paid: int, cap: int) -> None:
    step = pace_step(Lamports(sol), Lamports(paid), SETTINGS)
    budget = buy_budget(Lamports(sol), Lamports(cap), step)
    if sol <= 0:
        assert budget == Lamports(0)
        return
    quarters = Fraction(ceil(4 * exact_pace(sol, paid)), 4)
    exact = max(Fraction(0), min(sol * max(Fraction(1, 20), quarters), Fraction(cap)))
    assert int(budget) == floor(exact)


@given(st.integers(1, 10**12), st.integers(0, 2 * 10**11), st.integers(0, 4), st.integers(0, 2_400))
def test_the_pace_falls_at_once_and_rises_only_where_it_is_further_by_the_margin(
    sol: int, paid: int, held: int, margin: int
) -> None:
    chosen = SETTINGS.model_copy(update={"buy_pace_margin": Bps(margin)})
    step = pace_step(Lamports(sol), Lamports(paid), chosen, held)
    pace = exact_pace(sol, paid)
    assert step <= ceil(4 * pace)
    assert step == min(ceil(4 * pace), max(held, 0, ceil(4 * (pace - Fraction(margin, BPS)))))
    assert pace_step(Lamports(sol), Lamports(paid), chosen, step) == step
    if not margin:
        assert step == pace_step(Lamports(sol), Lamports(paid), chosen)


def test_buying_slows_down_in_quarters_and_never_below_a_twentieth() -> None:
    steps = [pace_step(Lamports(10**6), Lamports(paid), SETTINGS) for paid in PAID]
    budgets = [int(buy_budget(Lamports(10**6), Lamports(10**9), step)) for step in steps]
    assert budgets == [1_000_000, 1_000_000, 750_000, 500_000, 250_000, 50_000]


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10_000))
def test_with_all_bids_filled_base_is_within_its_share(base: int, sol: int, usdc: int, share: int) -> None:
    cap = int(exposure_cap(Lamports(base), Lamports(sol), Lamports(usdc), Bps(share)))
    total = base + sol + usdc
    assert (base + cap) * 10_000 <= total * share < (base + cap + 1) * 10_000


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=20),
    st.integers(0, 10**9),
    st.integers(1, 10_000),
)
def test_a_sweep_of_all_bids_ends_within_the_share_at_the_price_it_ends_at(
    bids: list[tuple[int, int]], lots_before: int, share: int
) -> None:
    before, lowest = max(bids)[0], min(bids)[0]
    cost, bought = sum(price * lots for price, lots in bids), lots_before * before
    # The least SOL with which the cap lets these bids stand.
    sol = -(-(cost + bought) * BPS // share) - bought
    assert exposure_cap(Lamports(bought), Lamports(sol), Lamports(0), Bps(share)) >= Lamports(cost)
    assert exposure_cap(Lamports(bought), Lamports(sol - 1), Lamports(0), Bps(share)) < Lamports(cost)
    base = (lots_before + sum(lots for _, lots in bids)) * lowest
    assert base * BPS <= (base + sol - cost) * share


@given(st.integers(0, 10**12), st.integers(-5, 10**15), st.integers(1, 10**12))
def test_the_kept_stock_is_never_for_sale(tokens: int, equity: int, price: int) -> None:
    lots = int(sell_budget(BaseLots(tokens), Lamports(equity), price, LOT, Bps(2_000)))
    kept = Fraction(max(0, equity), 5) / (Fraction(price, FINE) * LOT)
    assert lots == max(0, floor(tokens - kept))


def test_prices_and_budgets_come_from_settings_that_a_file_may_change() -> None:
    careful = load(environ={"BMV_BUY_PACE_PCT": "100"})
    assert pace_step(Lamports(100), Lamports(50), careful) == 3
