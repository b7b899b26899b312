"""The treasury's rules against an oracle written from the definition, in exact fractions and in dollars."""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.oracle import Oracle
from bmv.core.treasury import (
    Hold,
    Memory,
    Position,
    Reserve,
    Situation,
    asked,
    damper_share,
    lower_floor,
    next_conversion,
    sol_drop,
    step,
    upper_target,
)
from bmv.model import Conversion, Direction, Rule
from bmv.units import Lamports, MicroUsd, Millis, UsdPerSol
from tests.core.belongings import SOL, START, later, settings

USD = 1_000_000
HOUR = 3_600_000
PIVOT = 1_000
RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "prices"
DEFAULTS = settings()


@dataclass
class Paper:
    """The treasury of SPEC 3.7 by its words: amounts in dollars and SOL, nothing rounded."""

    h: Fraction = Fraction(0)
    s1: Fraction | None = None
    buying_back: bool = False
    held: Fraction = Fraction(0)
    last_at: int | None = None

    def see(self, usdc: Fraction, sol: Fraction, price: Fraction, place: Position, d: Fraction) -> None:
        """Note H, S1 and whether the reserve of SOL is being filled up."""
        put_in = max(Fraction(0), usdc - self.held)
        self.held = usdc
        self.h = usdc if place.price >= place.anchor else self.h + put_in
        if self.s1 is None and d > Fraction(5, 100):
            self.s1 = usdc
        elif self.s1 is not None:
            self.s1 = None if d < Fraction(5, 200) else self.s1 + put_in
        lacking = Fraction(70, 100) * (usdc + sol * price) - sol * price
        margin = Fraction(2, 100) * (usdc + sol * price)
        self.buying_back = lacking >= 20 if self.buying_back else lacking > margin

    def wants(
        self, usdc: Fraction, sol: Fraction, free: Fraction, price: Fraction, place: Position, d: Fraction
    ) -> list[tuple[Rule, Fraction]]:
        """Return what each rule would convert now, in dollars, cut to a step and to what is there."""
        r, p = usdc + sol * price, place.price
        if not r:
            return []
        wants = []
        if self.buying_back:
            wants.append((Rule.INJECTION, Fraction(70, 100) * r - sol * price))
        if self.s1 is not None:
            spent = self.s1 * min(Fraction(1), max(Fraction(0), (d - Fraction(5, 100)) / Fraction(20, 100)))
            wants.append((Rule.DAMPER, usdc - (self.s1 - spent)))
        if p < place.anchor:
            way = min(Fraction(1), Fraction(place.anchor - p, place.anchor - place.low))
            wants.append((Rule.LOWER, usdc - self.h * (1 - way * Fraction(30, 100))))
        if p >= place.anchor and p > place.pivot and self.s1 is None:
            way = min(Fraction(1), Fraction(p - place.pivot, place.high - place.pivot))
            gap = way * Fraction(30, 100) - usdc / r
            if gap > Fraction(2, 100):
                wants.append((Rule.UPPER, min(gap / 2 * r, free * price)))
        cut = [
            (rule, min(want, r * Fraction(5, 100), want if rule is Rule.UPPER else usdc))
            for rule, want in wants
        ]
        return [(rule, want) for rule, want in cut if want > 0]

    def due(
        self,
        now: int,
        usdc: Fraction,
        sol: Fraction,
        free: Fraction,
        price: Fraction,
        place: Position,
        d: Fraction,
    ) -> tuple[Rule, Fraction] | None:
        """Return the one conversion that is due."""
        if self.last_at is not None and now - self.last_at < 600_000:
            return None
        large = [want for want in self.wants(usdc, sol, free, price, place, d) if want[1] >= 20]
        return large[0] if large else None


def position(price: int, pivot: int = PIVOT, anchor: int = PIVOT, width: int = 300) -> Position:
    """Return a place in a channel that reaches 15 % down from the anchor and ``width`` up from the Pivot."""
    return Position(price, pivot, anchor, min(anchor * 85 // 100, price * 925 // 1_000), pivot + width)


def situation(
    *,
    sol: int = 1_000 * SOL,
    usdc: int = 0,
    sol_usd: int = 100 * USD,
    locked: int = 0,
    proceeds: int = 0,
    place: Position | None = None,
    drop: Fraction = Fraction(0),
    now: Millis = START,
) -> Situation:
    """Return what is seen: by default 1,000 SOL at 100 dollars, nothing sold, P at the Pivot."""
    oracle = Oracle(UsdPerSol(sol_usd), now)
    reserve = Reserve(Lamports(sol), Lamports(locked), Lamports(proceeds), MicroUsd(usdc), UsdPerSol(sol_usd))
    return Situation(now, oracle, reserve, place or position(PIVOT), drop)


def after(seen: Situation, memory: Memory | None = None, chosen: Settings = DEFAULTS) -> Conversion | Hold:
    """Return what is due once ``seen`` was noted."""
    return next_conversion(seen, step(memory or Memory(), seen, chosen), chosen)


def due(seen: Situation, memory: Memory | None = None, chosen: Settings = DEFAULTS) -> Conversion:
    """Return the conversion that is due; there must be one."""
    found = after(seen, memory, chosen)
    assert isinstance(found, Conversion), found
    return found


POSITIONS = st.builds(
    lambda price, pivot, away, width: position(price, pivot, pivot * (100 + away) // 100, width),
    st.integers(100, 3_000),
    st.integers(500, 2_000),
    st.integers(-30, 30),
    st.integers(2_600, 4_000),
)
MONEY = st.integers(0, 10**6 * USD)
DROPS = st.fractions(-1, 1, max_denominator=1_000)


# Targets


@given(POSITIONS, MONEY)
def test_targets_stay_between_nothing_and_their_maximum(place: Position, high: int) -> None:
    assert 0 <= upper_target(place, DEFAULTS) <= Fraction(30, 100)
    assert Fraction(70, 100) * high <= lower_floor(MicroUsd(high), place, DEFAULTS) <= high


@given(st.integers(400, 2_000), st.integers(900, 1_100), st.integers(1_100, 1_900), MONEY)
def test_targets_move_a_little_when_the_price_does(price: int, anchor: int, high: int, held: int) -> None:
    near, far = (Position(one, PIVOT, anchor, anchor * 85 // 100, high) for one in (price, price + 1))
    upwards = upper_target(far, DEFAULTS) - upper_target(near, DEFAULTS)
    assert 0 <= upwards <= Fraction(30, 100) / (high - PIVOT)
    floors = [lower_floor(MicroUsd(held), place, DEFAULTS) for place in (near, far)]
    assert 0 <= floors[1] - floors[0] <= Fraction(30, 100) * held / (anchor - anchor * 85 // 100)


def test_targets_begin_at_the_pivot_and_the_anchor_and_are_full_at_the_borders() -> None:
    place = Position(1_000, 1_000, 1_000, 850, 1_300)
    for price, target in ((900, 0), (1_000, 0), (1_150, Fraction(15, 100)), (1_300, Fraction(30, 100))):
        assert upper_target(replace(place, price=price), DEFAULTS) == target
    for price, left in ((1_100, 1), (1_000, 1), (925, Fraction(85, 100)), (850, Fraction(7, 10))):
        assert lower_floor(MicroUsd(1_000), replace(place, price=price), DEFAULTS) == 1_000 * left


@given(st.integers(1, 10**5), st.integers(1, 10**4))
def test_the_damper_moves_a_little_when_sol_does(average: int, price: int) -> None:
    running = Memory(onset=MicroUsd(1_000))
    shares = [damper_share(running, 1 - Fraction(one, average), DEFAULTS) for one in (price, price + 1)]
    assert 0 <= shares[0] - shares[1] <= Fraction(1, average) / Fraction(20, 100)
    assert 0 <= shares[1] <= shares[0] <= 1


def test_the_drop_is_measured_against_the_average_of_a_day() -> None:
    oracle = Oracle()
    oracle.on_price(START, UsdPerSol(100 * USD))
    assert sol_drop(oracle, START, DEFAULTS) == 0
    oracle.on_price(later(12 * HOUR), UsdPerSol(80 * USD))
    assert sol_drop(oracle, later(12 * HOUR), DEFAULTS) == Fraction(20, 100)
    assert sol_drop(oracle, later(24 * HOUR), DEFAULTS) == 1 - Fraction(80, 90)
    assert sol_drop(oracle, later(48 * HOUR), DEFAULTS) == 0
    assert sol_drop(Oracle(), START, DEFAULTS) == 0


# One rule at a time


def test_the_upper_half_sells_half_of_what_is_missing() -> None:
    seen = situation(place=position(1_100), proceeds=1_000 * SOL)
    found = due(seen)
    # u = 1/3: 10 % of 100,000 dollars should be USDC, half of that is 5,000: just what a step may convert.
    assert (found.rule, found.direction) == (Rule.UPPER, Direction.SELL_SOL)
    assert (int(found.usdc), int(found.sol)) == (5_000 * USD, 50 * SOL)


@given(st.integers(0, 1_000 * SOL), st.integers(0, 1_000 * SOL))
def test_the_upper_half_sells_only_what_asks_brought_in_and_no_bid_has_locked(
    proceeds: int, locked: int
) -> None:
    found = after(situation(place=position(1_300), proceeds=proceeds, locked=locked))
    most = min(proceeds, 1_000 * SOL - locked, 50 * SOL)
    if most < 20 * SOL // 100:
        assert isinstance(found, Hold)
    else:
        assert isinstance(found, Conversion)
        assert int(found.sol) == most


@pytest.mark.parametrize(
    ("share", "acts"), [(79, True), (80, False), (81, False), (100, False), (300, False)]
)
def test_the_upper_half_leaves_a_gap_of_two_points_alone_and_never_buys_back(share: int, acts: bool) -> None:
    usdc = 100_000 * USD * share // 1_000
    sol = (100_000 * USD - usdc) * 10
    found = after(situation(place=position(1_100), proceeds=sol, sol=sol, usdc=usdc))
    assert isinstance(found, Conversion) is acts


def test_below_the_anchor_or_at_the_pivot_nothing_is_sold() -> None:
    for place in (position(1_100, anchor=1_150), position(1_000), position(950)):
        assert isinstance(after(situation(place=place, proceeds=1_000 * SOL)), Hold)


def test_the_lower_half_gives_back_a_part_of_what_was_held_at_the_anchor() -> None:
    memory = step(Memory(), situation(usdc=10_000 * USD), DEFAULTS)
    assert memory.high == MicroUsd(10_000 * USD)
    below = situation(usdc=10_000 * USD, place=Position(925, 1_000, 1_000, 850, 1_300), now=later(1))
    found = due(below, memory)
    # Half of the way down: 15 % of it.
    assert (found.rule, int(found.usdc), int(found.sol)) == (Rule.LOWER, 1_500 * USD, 15 * SOL)
    memory = step(memory, below, DEFAULTS)
    spent = situation(usdc=8_500 * USD, place=below.position, now=later(2))
    assert isinstance(after(spent, memory), Hold)
    # A way back up and down again within the lower half moves nothing.
    for price in (990, 930, 999, 925):
        swung = replace(spent, position=Position(price, 1_000, 1_000, 850, 1_300))
        memory = step(memory, swung, DEFAULTS)
        assert isinstance(next_conversion(swung, memory, DEFAULTS), Hold)
    assert memory.high == MicroUsd(10_000 * USD)


def test_what_somebody_puts_in_below_the_anchor_is_not_spent_at_once() -> None:
    low = Position(850, 1_000, 1_000, 850, 1_300)
    memory = step(Memory(), situation(usdc=1_000 * USD, place=low), DEFAULTS)
    memory = step(memory, situation(usdc=700 * USD, place=low), DEFAULTS)
    memory = step(memory, situation(usdc=10_700 * USD, place=low), DEFAULTS)
    assert memory.high == MicroUsd(11_000 * USD)
    assert int(due(situation(usdc=10_700 * USD, place=low), memory).usdc) == 3_000 * USD


def test_the_damper_starts_at_the_drop_and_ends_at_half_of_it() -> None:
    memory, held = Memory(), 20_000 * USD
    running = []
    for drop in (4, 5, 6, 4, 3, Fraction(5, 2), 2, 3, 5, 6):
        seen = situation(usdc=held, drop=Fraction(drop) / 100)
        memory = step(memory, seen, DEFAULTS)
        running.append(memory.onset is not None)
    assert running == [False, False, True, True, True, True, False, False, False, True]


def test_the_damper_spends_its_share_of_what_was_held_at_the_onset_and_only_once() -> None:
    memory = step(Memory(), situation(usdc=20_000 * USD, drop=Fraction(6, 100)), DEFAULTS)
    worse = situation(usdc=20_000 * USD, drop=Fraction(9, 100), now=later(1))
    found = due(worse, memory)
    # (9 - 5) / 20 of 20,000.
    assert (found.rule, found.direction, int(found.usdc)) == (Rule.DAMPER, Direction.BUY_SOL, 4_000 * USD)
    memory = step(memory, worse, DEFAULTS)
    for drop in (9, 7, 4, 9):
        less = situation(usdc=16_000 * USD, drop=Fraction(drop, 100), now=later(2))
        memory = step(memory, less, DEFAULTS)
        assert isinstance(next_conversion(less, memory, DEFAULTS), Hold)


@pytest.mark.parametrize(("share", "acts"), [(319, False), (320, False), (321, True)])
def test_sol_is_injected_when_its_share_is_more_than_the_margin_short(share: int, acts: bool) -> None:
    usdc = 100_000 * USD * share // 1_000
    found = after(situation(sol=(100_000 * USD - usdc) * 10, usdc=usdc))
    assert isinstance(found, Conversion) is acts
    if isinstance(found, Conversion):
        # Back up to 70 %: 2.1 points of 100,000 dollars.
        assert (found.rule, int(found.usdc)) == (Rule.INJECTION, 2_100 * USD)


def test_injection_goes_on_until_the_reserve_is_full_again() -> None:
    sol, usdc, memory, steps = 500 * SOL, 50_000 * USD, Memory(), []
    for number in range(10):
        seen = situation(sol=sol, usdc=usdc, now=later(number * 600_000))
        memory = step(memory, seen, DEFAULTS)
        found = next_conversion(seen, memory, DEFAULTS)
        if isinstance(found, Conversion):
            memory = asked(memory, seen.now)
            sol, usdc = sol + int(found.sol), usdc - int(found.usdc)
            steps.append(int(found.usdc) // USD)
    assert steps == [5_000] * 4
    assert (sol, usdc, memory.injecting) == (700 * SOL, 30_000 * USD, False)


# All together


def test_one_rule_speaks_and_the_order_is_injection_damper_lower_upper() -> None:
    low = Position(850, 1_000, 1_000, 850, 1_300)
    memory = step(Memory(), situation(usdc=50_000 * USD), DEFAULTS)
    poor = situation(sol=500 * SOL, usdc=50_000 * USD, place=low, drop=Fraction(9, 100))
    assert due(poor, memory).rule is Rule.INJECTION
    rich = situation(sol=5_000 * SOL, usdc=50_000 * USD, place=low, drop=Fraction(9, 100))
    assert due(rich, memory).rule is Rule.DAMPER
    assert due(replace(rich, drop=Fraction(5, 100)), memory).rule is Rule.LOWER
    high = situation(sol=5_000 * SOL, usdc=100 * USD, place=position(1_300), proceeds=5_000 * SOL)
    assert due(high).rule is Rule.UPPER
    damped = replace(high, drop=Fraction(6, 100))
    assert isinstance(after(damped), Hold)


def test_a_rule_with_too_little_to_do_lets_the_next_one_speak() -> None:
    low = Position(850, 1_000, 1_000, 850, 1_300)
    memory = step(Memory(), situation(usdc=10_000 * USD), DEFAULTS)
    # The damper has 10,000 x 0.01 % / 20 % = 5 dollars to do.
    seen = situation(usdc=10_000 * USD, place=low, drop=Fraction(501, 10_000))
    assert due(seen, memory).rule is Rule.LOWER
    alone = after(replace(seen, position=position(1_000)), memory)
    assert alone == Hold("the damper has less than MIN_CONVERSION_USD to do")


def test_nothing_is_converted_too_soon_after_the_last_time_or_at_a_stale_price() -> None:
    seen = situation(sol=500 * SOL, usdc=50_000 * USD)
    memory = asked(step(Memory(), seen, DEFAULTS), START)
    for wait, rests in ((0, True), (599_999, True), (600_000, False)):
        found = next_conversion(replace(seen, now=later(wait), oracle=told(later(wait))), memory, DEFAULTS)
        assert isinstance(found, Hold) is rests
    for age, stale in ((0, False), (90_000, False), (90_001, True)):
        found = next_conversion(replace(seen, now=later(age)), replace(memory, asked_at=None), DEFAULTS)
        assert (found == Hold("the oracle's price is stale")) is stale


def told(at: Millis) -> Oracle:
    """Return an oracle heard at ``at``."""
    return Oracle(UsdPerSol(100 * USD), at)


def test_an_empty_treasury_wants_nothing() -> None:
    for place in (position(1_300), position(850)):
        assert isinstance(after(situation(sol=0, usdc=0, place=place, drop=Fraction(1, 2))), Hold)


def test_sol_that_rises_alone_sells_nothing() -> None:
    memory = Memory()
    for sol_usd in range(100, 400, 10):
        seen = situation(usdc=20_000 * USD, sol_usd=sol_usd * USD, drop=Fraction(-1, 10))
        memory = step(memory, seen, DEFAULTS)
        assert isinstance(next_conversion(seen, memory, DEFAULTS), Hold)


WORLDS = st.lists(
    st.tuples(
        st.integers(0, 3 * HOUR // 2),
        POSITIONS,
        st.integers(5, 500),
        DROPS,
        st.integers(0, 400 * SOL),
        st.sampled_from([0, 0, 0, 5_000 * USD]),
    ),
    min_size=1,
    max_size=25,
)


@given(WORLDS, st.integers(0, 10_000 * SOL), MONEY, st.integers(0, 100))
def test_every_step_equals_the_definitions(
    world: list[tuple[int, Position, int, Fraction, int, int]], sol: int, usdc: int, free_percent: int
) -> None:
    memory, paper, now, proceeds = Memory(), Paper(), int(START), 0
    for wait, place, dollars, drop, earned, put_in in world:
        now += wait
        sol, usdc, proceeds = sol + earned, usdc + put_in, proceeds + earned
        locked = sol * (100 - free_percent) // 100
        seen = situation(
            sol=sol,
            usdc=usdc,
            sol_usd=dollars * USD,
            locked=locked,
            proceeds=proceeds,
            place=place,
            drop=drop,
            now=Millis(now),
        )
        memory = step(memory, seen, DEFAULTS)
        found = next_conversion(seen, memory, DEFAULTS)
        held, coins, price = Fraction(usdc, USD), Fraction(sol, SOL), Fraction(dollars)
        free = Fraction(min(proceeds, sol - locked), SOL)
        paper.see(held, coins, price, place, drop)
        expected = paper.due(now, held, coins, free, price, place, drop)
        if isinstance(found, Hold):
            # A want of 20 dollars exactly may fall short by rounding to whole atoms.
            assert expected is None or expected[1] < 20 + Fraction(1, 100)
            continue
        assert expected is not None
        assert found.rule is expected[0]
        assert 0 <= expected[1] - Fraction(int(found.usdc), USD) < Fraction(1, 1_000)
        assert found.usdc >= MicroUsd(20 * USD)
        assert int(found.usdc) <= seen.reserve.total * Fraction(5, 100)
        memory, paper.last_at = asked(memory, Millis(now)), now
        if found.direction is Direction.SELL_SOL:
            assert int(found.sol) <= min(proceeds, sol - locked)
            sol, usdc = sol - int(found.sol), usdc + int(found.usdc)
            proceeds -= int(found.sol)
        else:
            assert int(found.usdc) <= usdc
            sol, usdc = sol + int(found.sol), usdc - int(found.usdc)


# The week in which SOL fell from 36 to 12 dollars


@cache
def recorded(first: str, last: str) -> list[tuple[int, int]]:
    """Return (ms, micro-USD) of half an hour each, from the open of ``first`` to that of ``last``."""
    pl = pytest.importorskip("polars")
    path = next(iter(sorted(RECORDED.glob("sol_usdt_binance_spot_30m*"))), None)
    if path is None:
        pytest.skip("the recorded SOL/USD prices are not here")
    rows = pl.read_parquet(path, columns=["ts", "open"]).rows()
    return [
        (int(ts.timestamp() * 1000), round(price * USD))
        for ts, price in rows
        if first <= ts.strftime("%Y-%m-%d") < last
    ]


@dataclass
class Path30:
    """A treasury carried along a recorded SOL price, P at the Pivot, beside the paper one."""

    sol: int
    usdc: int
    memory: Memory = Memory()

    def __post_init__(self) -> None:
        self.paper, self.oracle = Paper(), Oracle()
        self.prices: list[tuple[int, int]] = []
        self.done: list[tuple[int, Conversion]] = []

    def live(self, at: int, sol_usd: int) -> None:
        """Hear a price, convert what is due at it, and check both against the definition."""
        self.prices = [*self.prices[-50:], (at, sol_usd)]
        now = Millis(at)
        self.oracle.on_price(now, UsdPerSol(sol_usd))
        drop = sol_drop(self.oracle, now, DEFAULTS)
        assert drop == 1 - sol_usd / self.average()
        reserve = Reserve(
            Lamports(self.sol), Lamports(0), Lamports(0), MicroUsd(self.usdc), UsdPerSol(sol_usd)
        )
        place = position(PIVOT)
        seen = Situation(now, self.oracle, reserve, place, drop)
        self.memory = step(self.memory, seen, DEFAULTS)
        found = next_conversion(seen, self.memory, DEFAULTS)
        held, coins, price = Fraction(self.usdc, USD), Fraction(self.sol, SOL), Fraction(sol_usd, USD)
        self.paper.see(held, coins, price, place, drop)
        expected = self.paper.due(at, held, coins, Fraction(0), price, place, drop)
        assert isinstance(found, Conversion) is (expected is not None)
        if isinstance(found, Conversion) and expected is not None:
            assert found.rule is expected[0]
            assert abs(Fraction(int(found.usdc), USD) - expected[1]) < Fraction(1, 1_000)
            self.memory, self.paper.last_at = asked(self.memory, now), at
            self.sol, self.usdc = self.sol + int(found.sol), self.usdc - int(found.usdc)
            self.done.append((at, found))

    def average(self) -> Fraction:
        """Average the last day's prices, each as long as it held."""
        now = self.prices[-1][0]
        held = [
            (max(0, end - max(at, now - 24 * HOUR)), price)
            for (at, price), (end, _) in zip(self.prices, self.prices[1:], strict=False)
        ]
        length = sum(each for each, _ in held)
        worth = sum(each * price for each, price in held)
        return Fraction(worth, length) if length else Fraction(self.prices[-1][1])


def test_in_the_week_of_ftx_the_damper_spends_the_dollars_step_by_step() -> None:
    prices = recorded("2022-11-04", "2022-11-14")
    assert len(prices) > 450
    # 70 % SOL, 30 % USDC: 100,000 dollars.
    treasury = Path30(sol=70_000 * USD * SOL // prices[0][1], usdc=30_000 * USD)
    for at, sol_usd in prices:
        treasury.live(at, sol_usd)
    rules = {conversion.rule for _, conversion in treasury.done}
    assert rules == {Rule.DAMPER}
    assert 0 <= treasury.usdc < 10_000 * USD
    # SOL fell by more than DROP + FULL, so nothing is left, in steps spread over the days of the fall.
    assert treasury.usdc < 20 * USD
    assert 10 <= len(treasury.done) <= 30
    assert len({at // (24 * HOUR) for at, _ in treasury.done}) <= 5


def test_in_flat_weeks_nothing_is_converted_and_in_no_week_more_than_a_few_times_a_day() -> None:
    prices, week = recorded("2023-05-01", "2023-11-01"), 7 * 48
    flat = 0
    for start in range(0, len(prices) - week, week):
        part = prices[start : start + week]
        treasury = Path30(sol=70_000 * USD * SOL // part[0][1], usdc=30_000 * USD)
        for at, sol_usd in part:
            treasury.live(at, sol_usd)
        assert len(treasury.done) <= 3 * 7
        levels = [price for _, price in part]
        if max(levels) * 100 < min(levels) * 110:
            flat += 1
            assert treasury.done == []
    assert flat >= 5
