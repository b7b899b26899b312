"""Re-shaped segments: nothing waits for funds where another cut pays, and little is rewritten."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.allocation import Waiting, assign, cost, largest_order, spendable
from bmv.core.segments import fitted
from bmv.model import Clip, Level, Quote, Side, WalletView
from bmv.units import BaseLots, Ticks
from tests.core.belongings import QUOTE_LOT, SOL, market, order, settings, wallet

SPEC = market()
MIDDLE = 10_000


class World(NamedTuple):
    """What ``fitted`` is asked."""

    levels: list[Level]
    views: list[WalletView]
    settings: Settings

    @property
    def plain(self) -> tuple[tuple[Quote, ...], tuple[Waiting, ...]]:
        """Return what is made of it without re-shaping."""
        return assign(self.levels, self.views, SPEC, self.settings)

    @property
    def shared(self) -> tuple[tuple[Quote, ...], tuple[Waiting, ...]]:
        """Return what is made of it."""
        return fitted(self.levels, self.views, SPEC, self.settings)

    def standing(self, quotes: Sequence[Quote]) -> "World":
        """Return the same with ``quotes`` standing on the book."""
        views = [
            wallet(
                view.wallet,
                sol=int(view.quote_total),
                lots=spendable(view, Side.ASK, SPEC),
                orders=[
                    order(view.wallet, q.side, int(q.price), int(q.size))
                    for q in quotes
                    if q.wallet == view.wallet
                ],
            )
            for view in self.views
        ]
        return World(self.levels, views, self.settings)


@cache
def limits(seats: int, largest_pct: int = 100) -> Settings:
    """Return settings with these limits; they are asked for over and over."""
    return settings(ORDERS_PER_WALLET=seats, MAX_ORDER_PCT_OF_WALLET=largest_pct)


def ladder(bids: Sequence[int], asks: Sequence[int]) -> list[Level]:
    """Return levels of these sizes from the inside outwards, bids first."""
    down = [Level(Side.BID, n, Ticks(MIDDLE - 10 * (n + 1)), BaseLots(size)) for n, size in enumerate(bids)]
    up = [Level(Side.ASK, n, Ticks(MIDDLE + 10 * (n + 1)), BaseLots(size)) for n, size in enumerate(asks)]
    return down + up


def growing(bids: int, asks: int, wallets: int, seats: int, slack: float = 1.25) -> World:
    """Return bids that grow eightfold and flat asks over equal wallets that own ``slack`` times as much."""
    levels = ladder([int(100 * 8 ** (n / (bids - 1))) for n in range(bids)], [100] * asks)
    sol = sum(cost(each.side, each.price, each.size, SPEC) for each in levels if each.side is Side.BID)
    views = [
        wallet(n, sol=int(sol * slack / wallets), lots=int(100 * asks * slack / wallets))
        for n in range(wallets)
    ]
    return World(levels, views, limits(seats))


def needs(world: World, side: Side) -> list[int]:
    return [cost(side, each.price, each.size, SPEC) for each in world.levels if each.side is side]


def can_be_cut(world: World) -> bool:
    """Say whether whole levels can be cut into segments that every wallet can pay for, by trying all cuts."""
    bids, asks = needs(world, Side.BID), needs(world, Side.ASK)

    def pays(view: WalletView, side: Side, part: list[int]) -> bool:
        largest = largest_order(view, side, SPEC, world.settings)
        return sum(part) <= spendable(view, side, SPEC) and max(part, default=0) <= largest

    @cache
    def rest_can(number: int, bid: int, ask: int) -> bool:
        if number == len(world.views):
            return (bid, ask) == (len(bids), len(asks))
        view, seats = world.views[number], world.settings.orders_per_wallet
        return any(
            more + extra <= seats
            and pays(view, Side.BID, bids[bid : bid + more])
            and pays(view, Side.ASK, asks[ask : ask + extra])
            and rest_can(number + 1, bid + more, ask + extra)
            for more in range(min(seats, len(bids) - bid) + 1)
            for extra in range(min(seats, len(asks) - ask) + 1)
        )

    return rest_can(0, 0, 0)


@st.composite
def tight_worlds(draw: st.DrawFn) -> World:
    """Draw ladders cut at random, and wallets that can pay for about that cut; nothing stands yet."""
    count, seats = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    sizes = st.integers(1, 20_000)
    bids: list[int] = []
    asks: list[int] = []
    parts: list[tuple[int, int]] = []
    for _ in range(count):
        parts.append((more := draw(st.integers(0, seats)), draw(st.integers(0, seats - more))))
        bids += [draw(sizes) for _ in range(parts[-1][0])]
        asks += [draw(sizes) for _ in range(parts[-1][1])]
    levels = ladder(bids, asks)
    costs = [cost(each.side, each.price, each.size, SPEC) for each in levels]
    views, bid, ask = [], 0, len(bids)
    for index, (more, extra) in enumerate(parts):
        spare = draw(st.sampled_from([95, 100, 100, 110, 150]))
        sol, lots = (sum(costs[bid : bid + more]), sum(costs[ask : ask + extra]))
        views.append(wallet(index, sol=sol * spare // 100, lots=lots * spare // 100))
        bid, ask = bid + more, ask + extra
    return World(levels, views, limits(seats, draw(st.sampled_from([40, 100, 100]))))


@st.composite
def standing_worlds(draw: st.DrawFn) -> World:
    """Draw such worlds with some of the levels standing with wallets that can pay for them."""
    world = draw(tight_worlds())
    quotes = []
    seats = Counter({view.wallet: world.settings.orders_per_wallet for view in world.views})
    left = {(view.wallet, side): spendable(view, side, SPEC) for view in world.views for side in Side}
    for each in world.levels:
        index = draw(st.integers(0, len(world.views)))
        need = cost(each.side, each.price, each.size, SPEC)
        if index < len(world.views) and seats[index] and left[index, each.side] >= need:
            seats[index] -= 1
            left[index, each.side] -= need
            quotes.append(Quote(index, each.side, each.point, each.price, each.size))
    return world.standing(quotes)


@st.composite
def rough_worlds(draw: st.DrawFn) -> World:
    """Draw worlds in which money, seats and the largest order all run short, some orders standing."""
    count, seats, sizes = draw(st.integers(1, 4)), draw(st.integers(2, 6)), st.integers(1, 20_000)
    most = count * seats
    levels = ladder(*(draw(st.lists(sizes, min_size=most // 2, max_size=most)) for _ in Side))
    share = st.integers(0, 20_000 * seats)
    views = [wallet(n, sol=draw(share) * SOL // 100, lots=draw(share)) for n in range(count)]
    return World(levels, views, limits(seats, draw(st.sampled_from([15, 25, 40, 100]))))


@st.composite
def rough_standing_worlds(draw: st.DrawFn) -> World:
    """Draw such worlds in which most of an earlier ladder stands."""
    world = draw(rough_worlds())
    standing = [quote for quote in world.plain[0] if draw(st.integers(0, 4))]
    factors = st.integers(70, 130)
    levels = ladder(
        *(
            [max(1, int(each.size) * draw(factors) // 100) for each in world.levels if each.side is side]
            for side in Side
        )
    )
    return World(levels, world.views, world.settings).standing(standing)


ROUGH = rough_worlds() | rough_standing_worlds()


def lacking(waiting: Sequence[Waiting], side: Side | None = None) -> int:
    return sum(each.amount for each in waiting if each.clip is Clip.FUNDS and side in (None, each.side))


def moved(before: Sequence[Quote], after: Sequence[Quote]) -> int:
    """Return how many orders another wallet has now."""
    homes = {(quote.side, quote.price): quote.wallet for quote in before}
    return sum(homes.get((quote.side, quote.price), quote.wallet) != quote.wallet for quote in after)


@effort(deadline=None)
@given(tight_worlds())
def test_nothing_of_a_new_ladder_waits_for_funds_where_trying_all_cuts_finds_one(world: World) -> None:
    if can_be_cut(world):
        assert not lacking(world.shared[1])


@effort(deadline=None)
@given(standing_worlds())
def test_beside_what_stands_less_waits_for_funds_than_is_worth_a_rewrite_where_a_cut_exists(
    world: World,
) -> None:
    if can_be_cut(world):
        for side in Side:
            waits = lacking(world.shared[1], side) * 10_000
            assert waits <= int(world.settings.rebuild_min_change) * sum(needs(world, side))


@effort(deadline=None)
@given(ROUGH)
def test_nothing_is_given_otherwise_than_at_first_but_for_less_that_waits_for_funds(world: World) -> None:
    if world.shared != world.plain:
        assert lacking(world.shared[1]) < lacking(world.plain[1])


@effort(deadline=None)
@given(ROUGH)
def test_reshaping_leaves_no_side_with_more_waiting(world: World) -> None:
    plain, shared = world.plain[1], world.shared[1]
    for side in Side:
        assert lacking(shared, side) <= lacking(plain, side)
        total, before = (sum(w.amount for w in waits if w.side is side) for waits in (shared, plain))
        assert total <= before


@effort(deadline=None)
@given(tight_worlds() | standing_worlds())
def test_what_was_reshaped_stands_with_its_wallets_from_then_on(world: World) -> None:
    quotes, waiting = world.shared
    if not lacking(waiting):
        again, still = world.standing(quotes).shared
        assert not moved(quotes, again)
        assert not lacking(still)


@pytest.mark.parametrize(("wallets", "bids"), [(2, 31), (4, 62), (8, 124), (12, 186)])
def test_a_ladder_that_grows_downwards_is_paid_for_by_equal_wallets_in_segments(
    wallets: int, bids: int
) -> None:
    world = growing(bids, 32 * wallets - bids - wallets, wallets, seats=32)
    assert lacking(world.plain[1]) * 100 > 5 * sum(needs(world, Side.BID))
    quotes, waiting = world.shared
    assert lacking(waiting) * 100 < sum(needs(world, Side.BID))
    assert not any(each.levels for each in waiting)
    for side in Side:
        homes = [quote.wallet for quote in quotes if quote.side is side]
        assert waiting or homes == sorted(homes)


def test_for_one_level_that_waits_one_order_moves_to_where_there_is_a_seat() -> None:
    # Wallet 0 has money left and no seat, wallet 1 a seat and money for a small bid alone.
    world = World(
        ladder([10, 10, 10, 5_000], []),
        [wallet(0, sol=60 * SOL), wallet(1, sol=1 * SOL)],
        limits(3),
    )
    small = [Quote(0, Side.BID, n, each.price, each.size) for n, each in enumerate(world.levels[:3])]
    for standing in (small, small[:2]):
        stood = world.standing(standing)
        assert lacking(stood.plain[1]) > 40 * SOL
        quotes, waiting = stood.shared
        assert not waiting
        assert quotes[-1].wallet == 0
        # The third does not stand in the second case: then it is the one that moves.
        assert [quote.wallet for quote in quotes].count(1) == 1
        assert moved(standing, quotes) == (1 if standing == small else 0)


def test_as_a_standing_ladder_slides_no_more_orders_change_wallets_than_levels_are_new() -> None:
    world = growing(62, 60, 4, seats=32)
    quotes, _ = world.shared
    for step in range(1, 8):
        bids = [each for each in world.levels if each.side is Side.BID]
        outer = bids[-1]
        below = Level(Side.BID, outer.point + 1, Ticks(int(outer.price) - 10), outer.size)
        world = World([*bids[1:], below, *world.levels[len(bids) :]], world.views, world.settings)
        again, waiting = world.standing(quotes).shared
        assert moved(quotes, again) <= 1, step
        quotes = again
        assert lacking(waiting) * 100 < 5 * sum(needs(world, Side.BID))


def test_a_little_that_waits_does_not_move_orders_that_stand() -> None:
    # The second bid lacks a tenth of its size; the other wallet could pay for it.
    levels = ladder([1_000, 1_100], [])
    world = World(levels, [wallet(0, sol=11 * SOL), wallet(1, sol=10 * SOL)], limits(2))
    stood = world.standing([Quote(n, Side.BID, n, levels[n].price, BaseLots(1_000)) for n in (0, 1)])
    assert lacking(stood.plain[1]) > 0
    assert stood.shared == stood.plain
    assert not lacking(world.shared[1])


@pytest.mark.parametrize(("large", "rewritten"), [(100, True), (10_000, False)])
def test_what_stands_is_cut_anew_only_for_more_than_is_worth_a_rewrite(large: int, rewritten: bool) -> None:
    # Two wallets hold four bids of 50 each and money for two more: for one of 200 two must move.
    levels = ladder([50] * 8 + [200, large], [])
    per_lot = MIDDLE * QUOTE_LOT
    views = [wallet(n, sol=lots * per_lot) for n, lots in enumerate((300, 300, large))]
    world = World(levels, views, limits(8))
    homes = [0, 0, 0, 0, 1, 1, 1, 1, None, 2]
    standing = [
        Quote(home, Side.BID, each.point, each.price, each.size)
        for home, each in zip(homes, levels, strict=True)
        if home is not None
    ]
    stood = world.standing(standing)
    assert lacking(stood.plain[1]) > 90 * per_lot
    quotes, waiting = stood.shared
    assert bool(moved(standing, quotes)) is rewritten
    assert bool(lacking(waiting)) is not rewritten
