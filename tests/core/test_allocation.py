"""Sharing one ladder over wallets: properties over random wallets, and segments on fresh ladders."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.allocation import Waiting, assign, cost, largest_order, spendable
from bmv.core.segments import fitted
from bmv.model import Clip, Level, MarketSpec, Quote, Side, WalletView, Why
from bmv.units import BaseLots, Ticks
from tests.core.belongings import BASE_LOT, QUOTE_LOT, SOL, market, order, settings, wallet

SPEC = market()
MIDDLE = 10_000


class World(NamedTuple):
    """What ``assign`` is asked."""

    levels: list[Level]
    views: list[WalletView]
    settings: Settings


def ladder(bids: int, asks: int, bid_size: int = 1_000, ask_size: int = 1_000) -> list[Level]:
    """Return levels from the inside outwards, bids first."""
    down = [Level(Side.BID, n, Ticks(MIDDLE - 10 * (n + 1)), BaseLots(bid_size)) for n in range(bids)]
    up = [Level(Side.ASK, n, Ticks(MIDDLE + 10 * (n + 1)), BaseLots(ask_size)) for n in range(asks)]
    return down + up


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw rich, poor and empty wallets, some of whose orders stand at the ladder's prices already."""
    sizes = st.integers(1, 50_000)
    levels = [
        Level(each.side, each.point, each.price, BaseLots(draw(sizes)))
        for each in ladder(draw(st.integers(0, 12)), draw(st.integers(0, 12)))
    ]
    count = draw(st.integers(1, 5))
    owners = [draw(st.none() | st.integers(0, count - 1)) for _ in levels]
    views = []
    for index in range(count):
        standing = [
            order(index, level.side, int(level.price), draw(sizes))
            for level, owner in zip(levels, owners, strict=True)
            if owner == index
        ]
        locked = sum(cost(o.side, o.price, o.size, SPEC) for o in standing if o.side is Side.BID)
        sold = sum(int(o.size) for o in standing if o.side is Side.ASK)
        sol = locked + draw(st.just(0) | st.integers(0, 1_000 * SOL))
        views.append(wallet(index, sol=sol, lots=sold + draw(st.integers(0, 300_000)), orders=standing))
    chosen = settings(
        ORDERS_PER_WALLET=draw(st.integers(2, 12)), MAX_ORDER_PCT_OF_WALLET=draw(st.integers(1, 100))
    )
    return World(levels, views, chosen)


Shared = tuple[tuple[Quote, ...], tuple[Waiting, ...]]
both_ways = pytest.mark.parametrize("share", [assign, fitted])
"""What holds of segments holds of those that were re-shaped."""


class Share(Protocol):
    """How levels come to wallets."""

    def __call__(
        self, levels: Sequence[Level], views: Sequence[WalletView], spec: MarketSpec, settings: Settings
    ) -> Shared: ...


def shared(world: World, share: Share = assign) -> Shared:
    return share(world.levels, world.views, SPEC, world.settings)


def locked_beyond(view: WalletView, mine: list[Quote], side: Side, chosen: Settings) -> int:
    """Return what orders that are kept as they stand spend beyond the quotes they are kept for."""
    wanted = {quote.price: quote for quote in mine if quote.side is side}
    total = 0
    for there in view.orders:
        if there.side is side and (quote := wanted.get(there.price)) is not None:
            more = int(there.size - quote.size)
            if 0 < more * 10_000 <= int(quote.size) * int(chosen.size_tolerance):
                total += cost(side, there.price, BaseLots(more), SPEC)
    return total


@both_ways
@given(worlds())
def test_quotes_and_what_waits_add_up_to_the_levels_to_the_last_lot(share: Share, world: World) -> None:
    quotes, waiting = shared(world, share)
    out: Counter[Side] = Counter()
    for quote in quotes:
        assert quote.size > BaseLots(0)
        out[quote.side] += cost(quote.side, quote.price, quote.size, SPEC)
    for each in waiting:
        assert each.amount > 0
        out[each.side] += each.amount
    asked: Counter[Side] = Counter()
    for level in world.levels:
        asked[level.side] += cost(level.side, level.price, level.size, SPEC)
    assert out == asked
    places = {(level.side, level.price): level.point for level in world.levels}
    assert all(places[quote.side, quote.price] == quote.point for quote in quotes)
    assert len({(quote.side, quote.price) for quote in quotes}) == len(quotes)


@both_ways
@given(worlds())
def test_as_many_levels_wait_whole_as_have_no_quote(share: Share, world: World) -> None:
    quotes, waiting = shared(world, share)
    for side in Side:
        asked = sum(level.side is side for level in world.levels)
        found = sum(quote.side is side for quote in quotes)
        assert sum(each.levels for each in waiting if each.side is side) == asked - found


@both_ways
@given(worlds())
def test_what_is_cut_waits_only_where_the_outer_levels_of_its_wallet_are_full_or_its_money_is_spent(
    share: Share, world: World
) -> None:
    quotes, _ = shared(world, share)
    asked = {(level.side, level.price): level.size for level in world.levels}
    for view in world.views:
        for side in Side:
            mine = [quote for quote in quotes if (quote.wallet, quote.side) == (view.wallet, side)]
            mine.sort(key=lambda quote: -int(quote.price) if side is Side.BID else int(quote.price))
            largest = largest_order(view, side, SPEC, world.settings)
            left = spendable(view, side, SPEC) - sum(cost(side, q.price, q.size, SPEC) for q in mine)
            left -= locked_beyond(view, mine, side, world.settings)
            carried = 0
            for quote in mine:
                lot = cost(side, quote.price, BaseLots(1), SPEC)
                carried += lot * int(asked[side, quote.price] - quote.size)
                assert carried >= 0
                room = min(left, largest - cost(side, quote.price, quote.size, SPEC))
                assert min(carried, room) < lot or quote.size < asked[side, quote.price]


@both_ways
@given(worlds())
def test_no_wallet_is_given_more_than_its_money_its_seats_or_its_largest_order(
    share: Share, world: World
) -> None:
    quotes, _ = shared(world, share)
    spent: Counter[tuple[int, Side]] = Counter()
    for quote in quotes:
        price = cost(quote.side, quote.price, quote.size, SPEC)
        assert price <= largest_order(world.views[quote.wallet], quote.side, SPEC, world.settings)
        spent[quote.wallet, quote.side] += price
    for (index, side), total in spent.items():
        assert total <= spendable(world.views[index], side, SPEC)
    assert all(n <= world.settings.orders_per_wallet for n in Counter(q.wallet for q in quotes).values())


@given(worlds())
def test_a_level_stays_with_the_wallet_whose_order_stands_there_while_that_can_place_it(world: World) -> None:
    quotes, _ = shared(world)
    given_to = {(quote.side, quote.price): quote for quote in quotes}
    for view in world.views:
        wanted = [(o.side, o.price) for o in view.orders]
        if len(wanted) > world.settings.orders_per_wallet:
            continue
        for key in wanted:
            mine = sum(q.wallet == view.wallet for q in quotes if (q.side, q.price) in set(wanted))
            moved = key not in given_to or given_to[key].wallet != view.wallet
            # It may only move where money ran out: for levels of one wallet that cost more than it owns.
            levels = [each for each in world.levels if (each.side, each.price) in set(wanted)]
            price = sum(cost(e.side, e.price, e.size, SPEC) for e in levels if e.side is key[0])
            one_lot = cost(key[0], key[1], BaseLots(1), SPEC)
            largest = largest_order(view, key[0], SPEC, world.settings)
            assert not moved or price > spendable(view, key[0], SPEC) or one_lot > largest
            assert mine <= world.settings.orders_per_wallet


@both_ways
@given(worlds())
def test_nothing_waits_whole_while_a_wallet_has_a_seat_and_money_for_a_lot_of_it(
    share: Share, world: World
) -> None:
    quotes, _ = shared(world, share)
    placed = {(quote.side, quote.price) for quote in quotes}
    for level in world.levels:
        if (level.side, level.price) in placed:
            continue
        for view in world.views:
            mine = [quote for quote in quotes if quote.wallet == view.wallet]
            spent = sum(cost(q.side, q.price, q.size, SPEC) for q in mine if q.side is level.side)
            left = spendable(view, level.side, SPEC) - spent
            left -= locked_beyond(view, mine, level.side, world.settings)
            largest = largest_order(view, level.side, SPEC, world.settings)
            full = len(mine) >= world.settings.orders_per_wallet
            assert full or min(left, largest) < cost(level.side, level.price, BaseLots(1), SPEC)


@both_ways
@given(worlds())
def test_the_same_question_has_the_same_answer_and_levels_keep_their_order(
    share: Share, world: World
) -> None:
    quotes, waiting = shared(world, share)
    assert shared(world, share) == (quotes, waiting)
    order_asked = [(level.side, level.price) for level in world.levels]
    answered = [(quote.side, quote.price) for quote in quotes]
    assert answered == [key for key in order_asked if key in set(answered)]


@given(st.integers(1, 8), st.integers(1, 24), st.integers(0, 24), st.data())
def test_a_fresh_ladder_is_cut_into_contiguous_segments_in_wallet_order(
    count: int, bids: int, asks: int, data: st.DataObject
) -> None:
    views = [
        wallet(n, sol=data.draw(st.integers(20 * SOL, 500 * SOL)), lots=data.draw(st.integers(10**6, 10**8)))
        for n in range(count)
    ]
    # Small orders and seats for all: nothing but the segments decides.
    levels = ladder(bids, asks, bid_size=10, ask_size=100)
    quotes, waiting = assign(levels, views, SPEC, settings(ORDERS_PER_WALLET=96))
    assert not waiting
    for side in Side:
        runs = [index for index, _ in groupby(quote.wallet for quote in quotes if quote.side is side)]
        assert runs == sorted(set(runs))


def test_segments_are_fitted_to_what_each_wallet_holds() -> None:
    views = [wallet(0, sol=300 * SOL, lots=100), wallet(1, sol=100 * SOL, lots=300)]
    levels = ladder(40, 40, bid_size=100, ask_size=1)
    quotes, _ = assign(levels, views, SPEC, settings(ORDERS_PER_WALLET=96))
    shares: dict[Side, Counter[int]] = defaultdict(Counter)
    for quote in quotes:
        shares[quote.side][quote.wallet] += 1
    assert shares[Side.BID] == {0: 30, 1: 10}
    assert shares[Side.ASK] == {0: 10, 1: 30}


def test_where_seats_run_short_both_sides_keep_their_inner_levels() -> None:
    views = [wallet(0)]
    quotes, waiting = assign(ladder(20, 10), views, SPEC, settings(ORDERS_PER_WALLET=12))
    sides = Counter(quote.side for quote in quotes)
    assert sides == {Side.BID: 8, Side.ASK: 4}
    inner = {level.price for level in ladder(8, 4)}
    assert {quote.price for quote in quotes} == inner
    assert [(each.side, each.clip, each.levels) for each in waiting] == [
        (Side.BID, Clip.SEATS, 12),
        (Side.ASK, Clip.SEATS, 6),
    ]


def test_a_wallet_with_all_the_money_does_not_lose_its_asks_to_its_bids() -> None:
    views = [wallet(0, orders=[order(0, Side.ASK, MIDDLE + 10, 500)]), wallet(1, sol=0, lots=0)]
    quotes, _ = assign(ladder(12, 1), views, SPEC, settings(ORDERS_PER_WALLET=4))
    assert Counter(quote.side for quote in quotes) == {Side.BID: 3, Side.ASK: 1}


def test_what_the_largest_order_cuts_goes_to_the_next_levels_of_the_wallet_and_the_rest_waits() -> None:
    # 25 % of 400 lots: no ask above 100.
    sizes = [150, 60, 60, 60, 50]
    levels = [
        Level(level.side, level.point, level.price, BaseLots(size))
        for level, size in zip(ladder(0, 5), sizes, strict=True)
    ]
    quotes, waiting = assign(levels, [wallet(0, lots=400)], SPEC, settings())
    # The 50 cut off the first fill the second up to 100 and ten of the third.
    assert [int(quote.size) for quote in quotes] == [100, 100, 70, 60, 50]
    assert not waiting


def test_a_level_that_a_limit_cut_names_the_limit_and_so_does_what_waits() -> None:
    why = Why(rank=3, point=7, share_ppm=1_000, budget=600)
    levels = [msgspec.structs.replace(each, why=why) for each in ladder(0, 5, ask_size=150)]
    quotes, waiting = assign(levels, [wallet(0, lots=400)], SPEC, settings())
    assert [quote.why for quote in quotes] == [why.cut_by(Clip.LARGEST_ORDER)] * 4
    assert waiting == (Waiting(Side.ASK, 350, Clip.FUNDS, 1),)
    _, unseated = assign(levels, [wallet(0, lots=4_000)], SPEC, settings(ORDERS_PER_WALLET=2))
    assert unseated == (Waiting(Side.ASK, 450, Clip.SEATS, 3),)
    roomy, cut = assign(levels[:2], [wallet(0, lots=400)], SPEC, settings())
    assert [int(quote.size) for quote in roomy] == [100, 100]
    assert cut == (Waiting(Side.ASK, 100, Clip.LARGEST_ORDER, 0),)


def test_a_wallet_in_debt_is_given_nothing_and_costs_nobody_anything() -> None:
    views = [wallet(0, sol=-5, lots=-5), wallet(1)]
    quotes, waiting = assign(ladder(3, 3, bid_size=10), views, SPEC, settings())
    assert {quote.wallet for quote in quotes} == {1}
    assert not waiting


def test_costs_are_in_lamports_for_bids_and_lots_for_asks() -> None:
    assert cost(Side.BID, Ticks(7), BaseLots(3), SPEC) == 21 * QUOTE_LOT
    assert cost(Side.ASK, Ticks(7), BaseLots(3), SPEC) == 3
    assert spendable(wallet(0, lots=9), Side.ASK, SPEC) == 9
    assert spendable(wallet(0, sol=9), Side.BID, SPEC) == 9
    assert BASE_LOT > 1


def test_what_a_kept_order_locks_beyond_its_quote_is_not_given_away() -> None:
    # Wallet 0's order is larger than wanted, within the tolerance: 200 of its lots pay for nothing else,
    # and what the first level is cut by passes on to what stands there already.
    views = [wallet(0, lots=2_000, orders=[order(0, Side.ASK, 10_020, 1_200)]), wallet(1, lots=10_000)]
    asks = [level for level in ladder(0, 2) if level.side is Side.ASK]
    quotes, _ = assign(asks, views, SPEC, settings(MAX_ORDER_PCT_OF_WALLET=100))
    sizes = {(quote.wallet, int(quote.price)): int(quote.size) for quote in quotes}
    assert sizes == {(0, 10_010): 800, (0, 10_020): 1_200}
