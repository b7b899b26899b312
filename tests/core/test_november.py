"""Thirty days of SPEC 3.7 through November 2022: the engine's treasury, step by step, against the paper one.

The engine's part is real from the rules to the errands: what it asks for is carried out by a plain world,
which swaps a tenth of a percent below the price, and told back as events. P goes its own way, up by a quarter
and down by a third, beside the recorded price of SOL. Each time the treasury is looked at, the paper one
(exact fractions, the definition's words) says first what is due.
"""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import pairwise

import msgspec
import pytest

from bmv.core.absorb import absorb
from bmv.core.channel import following
from bmv.core.financing import watch_treasury
from bmv.core.price import PriceReading
from bmv.core.state import InFlight
from bmv.core.treasury import Position
from bmv.events import (
    AnyAction,
    BundleResolved,
    Collect,
    Convert,
    Converted,
    Fund,
    MarketSeen,
    OracleSeen,
    TreasuryAction,
    TreasurySeen,
)
from bmv.model import Direction, ForeignBook, Outcome, Rule, Side
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Slot, UsdPerSol
from tests.core.belongings import SOL, quoting_state, settings, wallet
from tests.core.test_treasury import HOUR, USD, Paper, recorded

STEP = 600_000
DAY = 24 * HOUR
DEFAULTS = settings()
FINE = 12 << 24
"""One thousandth of the Pivot, in fine ticks."""
COST = Fraction(1, 1_000)
Corners = tuple[tuple[int, int], ...]
WILD: Corners = (
    (0, 1_000), (6, 1_000), (9, 1_250), (13, 800), (18, 1_000), (20, 1_100), (22, 1_100), (25, 850),
)  # fmt: skip
FLAT: Corners = ((0, 1_000), (30, 1_000))
"""P in thousandths of the Pivot, by day."""


def p_of(day: Fraction, corners: Corners) -> int:
    """Return P in fine ticks."""
    for (start, low), (end, high) in pairwise(corners):
        if day < end:
            return int((low + (high - low) * (day - start) / (end - start)) * FINE)
    return corners[-1][1] * FINE


@dataclass
class World:
    """Wallets and treasury as they really are, and the paper treasury beside the engine's."""

    start: int
    price: int
    corners: Corners = WILD
    paper: Paper = field(default_factory=Paper)
    usdc: int = 33_000 * USD
    own: int = 100 * SOL
    done: list[tuple[int, Rule, int, int]] = field(default_factory=list)
    """When, by which rule, for how many micro-USD, and what it cost against the price."""
    errands: Counter[str] = field(default_factory=Counter)
    slot: int = 200

    def __post_init__(self) -> None:
        self.held = {0: 1_500 * SOL, 1: 1_000 * SOL}
        self.state = quoting_state([wallet(0), wallet(1)])
        self.now, self.p = self.start, p_of(Fraction(0), self.corners)
        self.known = [(self.start, self.price)]

    @property
    def at(self) -> Millis:
        return Millis(self.now)

    def average(self) -> Fraction:
        """Return the time average of SOL over the last day, as far as it is known."""
        begin, total, length = max(self.now - DAY, self.known[0][0]), 0, 0
        ends = [*(at for at, _ in self.known[1:]), self.now]
        for (since, price), until in zip(self.known, ends, strict=True):
            part = max(0, until - max(since, begin))
            total, length = total + part * price, length + part
        return Fraction(total, length) if length else Fraction(self.price)

    def live(self, now: int, price: int) -> None:
        """Let time pass, the price of SOL and P move, and orders fill on the way."""
        self.now, self.price = now, price
        self.known = [each for each in self.known if each[0] > now - 2 * DAY]
        if price != self.known[-1][1]:
            self.known.append((now, price))
        before, self.p = self.p, p_of(Fraction(now - self.start, DAY), self.corners)
        # Asks are hit on the way up, bids on the way down: 5 SOL for each percent.
        moved = (self.p - before) * 500 * SOL // (1_000 * FINE)
        self.held[0] += moved
        if moved > 0:
            self.state.flow.record(Side.ASK, BaseLots(1), Lamports(moved), self.at)
        self.tell()
        while self.look():
            pass

    def tell(self) -> None:
        """Tell the engine everything it would read."""
        state = self.state
        absorb(state, OracleSeen(at=self.at, sol_usd=UsdPerSol(self.price)), DEFAULTS)
        absorb(
            state,
            TreasurySeen(at=self.at, sol=Lamports(self.own), usdc=MicroUsd(self.usdc), acts=True),
            DEFAULTS,
        )
        for index, lamports in self.held.items():
            locked = lamports * 3 // 10
            held = {"quote_held": Lamports(lamports - locked), "quote_locked": Lamports(locked)}
            state.views[index] = msgspec.structs.replace(state.views[index], **held)
        market = state.market
        market.reading = PriceReading(self.p, "trades", True, self.p)
        pivot = market.capped_pivot.step(1_000 * FINE, self.at, DEFAULTS.pivot_max_daily_move)
        average = market.inertia.step(self.p, self.at, DEFAULTS.channel_inertia)
        market.channel = following(self.p, average, pivot, DEFAULTS)

    def look(self) -> bool:
        """Let the paper say what is due and the engine act; say whether it did anything."""
        expected = self.due()
        actions = [one for one in watch_treasury(self.state, DEFAULTS) if isinstance(one, TreasuryAction)]
        converts = [one for one in actions if isinstance(one, Convert)]
        if not actions or converts:
            assert [one.conversion.rule for one in converts] == ([expected[0]] if expected else [])
        for convert in converts:
            assert expected is not None
            assert abs(Fraction(int(convert.conversion.usdc), USD) - expected[1]) <= Fraction(2, USD)
            self.paper.last_at = self.now
        for action in actions:
            self.carry_out(action)
        return bool(actions)

    def due(self) -> tuple[Rule, Fraction] | None:
        """Return what the definition asks for now."""
        channel, sol = self.state.market.channel, sum(self.held.values()) + self.own
        assert channel is not None
        place = Position(self.p, 1_000 * FINE, channel.anchor, channel.buy_low, channel.sell_high)
        usdc, coins, price = Fraction(self.usdc, USD), Fraction(sol, SOL), Fraction(self.price, USD)
        drop = 1 - self.price / self.average()
        self.paper.see(usdc, coins, price, place, drop)
        locked = sum(lamports * 3 // 10 for lamports in self.held.values())
        free = Fraction(min(int(self.state.flow.proceeds), sol - locked), SOL)
        return self.paper.due(self.now, usdc, coins, free, price, place, drop)

    def carry_out(self, action: AnyAction) -> None:
        """Do what is asked for and tell the engine: landed, what it brought, how things stand."""
        assert isinstance(action, Convert | Fund | Collect)
        self.errands[type(action).__name__] += 1
        self.state.in_flight[action.ticket] = InFlight(action.ticket, action, None, self.at)
        brought = self._convert(action) if isinstance(action, Convert) else None
        if isinstance(action, Fund):
            for share in action.shares:
                assert not share.is_gas
                self.held[share.wallet] += int(share.lamports)
                self.own -= int(share.lamports)
        elif isinstance(action, Collect):
            self.held[action.wallet] -= int(action.lamports)
            self.own += int(action.lamports)
        assert min(self.own, self.usdc, *self.held.values()) >= 0
        self.slot += 1
        landed = BundleResolved(
            at=self.at, bundle_id="b", tickets=(action.ticket,), outcome=Outcome.LANDED, slot=Slot(self.slot)
        )
        absorb(self.state, landed, DEFAULTS)
        if brought is not None:
            absorb(self.state, brought, DEFAULTS)
        self.tell()
        absorb(self.state, MarketSeen(at=self.at, slot=Slot(self.slot), book=ForeignBook()), DEFAULTS)
        assert action.ticket not in self.state.in_flight

    def _convert(self, action: Convert) -> Converted:
        conversion = action.conversion
        buys = conversion.direction is Direction.BUY_SOL
        spent = int(conversion.usdc if buys else conversion.sol)
        fair = spent * SOL // self.price if buys else spent * self.price // SOL
        got = int(fair * (1 - COST))
        sol, usdc = (got, -spent) if buys else (-spent, got)
        self.own, self.usdc = self.own + sol, self.usdc + usdc
        cost = int(conversion.usdc) - (got * self.price // SOL if buys else got)
        self.done.append((self.now, conversion.rule, int(conversion.usdc), cost))
        return Converted(at=self.at, ticket=action.ticket, sol=Lamports(sol), usdc=MicroUsd(usdc))


def lived(first: str, last: str, corners: Corners) -> World:
    """Live from the first day to the last, in steps of ten minutes; somebody adds dollars after 19 days."""
    prices = recorded(first, last)
    world = World(*prices[0], corners)
    for number, (at, price) in enumerate(prices):
        world.usdc += 30_000 * USD if number == 19 * 48 else 0
        for late in range(0, 1_800_000, STEP):
            world.live(at + late, price)
    return world


@cache
def november() -> World:
    """Live through the whole of it."""
    return lived("2022-11-01", "2022-12-01", WILD)


def test_thirty_days_follow_the_definition_step_by_step() -> None:
    world = november()
    assert world.now - world.start > 29 * DAY
    rules = Counter(rule for _, rule, _, _ in world.done)
    assert set(rules) == {Rule.INJECTION, Rule.DAMPER, Rule.LOWER, Rule.UPPER}
    assert min(rules.values()) >= 2
    assert world.errands["Fund"] > 3
    assert world.errands["Collect"] > 0


def test_between_two_conversions_lies_the_cooldown_and_none_is_larger_than_a_step() -> None:
    world = november()
    times = [at for at, *_ in world.done]
    assert all(after - before >= 600_000 for before, after in pairwise(times))
    assert all(usdc >= 20 * USD for _, _, usdc, _ in world.done)


def test_what_conversions_cost_is_what_the_world_took() -> None:
    world = november()
    turnover = sum(usdc for _, _, usdc, _ in world.done)
    cost = sum(lost for *_, lost in world.done)
    assert abs(cost - turnover * COST) <= 2 * len(world.done)


@pytest.mark.parametrize(("first", "last"), [("2022-10-15", "2022-10-29"), ("2022-11-16", "2022-11-30")])
def test_in_flat_weeks_fewer_than_two_a_day(first: str, last: str) -> None:
    world = lived(first, last, FLAT)
    days = Fraction(world.now - world.start + STEP, DAY)
    settled = [at for at, *_ in world.done if at - world.start > DAY]
    assert len(settled) < 2 * (days - 1)
