"""The diff of target and book: everything is counted, staged, and fits one change."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.plan import MAX_CHANGE, OwnRange, Plan, diff, own_range
from bmv.model import LiveOrder, Placement, Quote, Side, WalletView
from bmv.units import BaseLots, Ticks
from tests.core.belongings import order, quote, settings, wallet

SETTINGS = Settings()


class World(NamedTuple):
    """What ``diff`` is asked."""

    target: list[Quote]
    views: list[WalletView]
    flying: dict[int, list[Placement]]
    settings: Settings


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw targets around one price and books left behind around others, doubles and strange ids included."""
    middle = draw(st.integers(40, 60))
    count = draw(st.integers(1, 4))
    target, views, flying = [], [], {}
    for index in range(count):
        below = draw(st.sets(st.integers(30, middle - 1), max_size=8))
        above = draw(st.sets(st.integers(middle, 70), max_size=8))
        wants = [(Side.BID, price) for price in sorted(below, reverse=True)]
        wants += [(Side.ASK, price) for price in sorted(above)]
        target += [quote(index, side, price, draw(st.integers(1, 100))) for side, price in wants]
        # What stands never crosses itself either: the exchange would have matched it.
        old = draw(st.integers(40, 60))
        prices = draw(st.lists(st.integers(30, 70), max_size=12))
        orders = [
            order(
                index,
                Side.BID if price < old else Side.ASK,
                price,
                draw(st.integers(1, 100)),
                order_id=number + 1_000 * index + 1,
                client_id=draw(st.integers(0, 130)),
            )
            for number, price in enumerate(prices)
        ]
        slots = draw(st.integers(0, 20))
        views.append(wallet(index, orders=orders, slots=slots, sol=10**15, lots=10**9))
        if draw(st.integers(0, 4)) == 0:
            flying[index] = [
                Placement(index, Side.BID, 1, Ticks(draw(st.integers(30, 50))), BaseLots(1), client_id=1)
            ]
    chosen = settings(
        ORDERS_PER_WALLET=draw(st.integers(2, 20)), SIZE_TOLERANCE_PCT=draw(st.sampled_from([0, 25, 100]))
    )
    return World(target, views, flying, chosen)


def planned(world: World) -> Plan:
    return diff(world.target, world.views, world.flying, world.settings)


def tolerated(have: LiveOrder, want: Quote, chosen: Settings) -> bool:
    return abs(int(have.size) - int(want.size)) <= int(want.size) * int(chosen.size_tolerance) / 10_000


@given(worlds())
def test_every_wanted_quote_is_kept_placed_or_deferred_with_a_reason(world: World) -> None:
    plan = planned(world)
    outcomes: Counter[tuple[int, Side, Ticks]] = Counter()
    for change in plan.wallets:
        outcomes.update((p.wallet, p.side, p.price) for p in change.places)
    outcomes.update((d.quote.wallet, d.quote.side, d.quote.price) for d in plan.deferred)
    assert all(deferred.reason for deferred in plan.deferred)
    wanted = [q for q in world.target if q.wallet not in world.flying]
    assert set(outcomes) <= {(q.wallet, q.side, q.price) for q in wanted}
    assert all(times == 1 for times in outcomes.values())
    assert plan.kept == len(wanted) - len(outcomes)


@given(worlds())
def test_every_order_is_kept_for_a_quote_of_about_its_size_or_withdrawn_now_or_with_the_next_change(
    world: World,
) -> None:
    plan = planned(world)
    withdrawn = {cancel.order_id for change in plan.wallets for cancel in change.cancels}
    assert len(withdrawn) == sum(len(change.cancels) for change in plan.wallets)
    deferred = {(d.quote.wallet, d.quote.side, d.quote.price) for d in plan.deferred}
    wanted = {(q.wallet, q.side, q.price): q for q in world.target}
    for view in world.views:
        if view.wallet in world.flying:
            assert not withdrawn & {o.order_id for o in view.orders}
            continue
        kept = [live for live in view.orders if live.order_id not in withdrawn]
        keys = [(live.wallet, live.side, live.price) for live in kept]
        assert len(set(keys)) == len(keys)
        for live, key in zip(kept, keys, strict=True):
            assert tolerated(live, wanted[key], world.settings)
            assert key not in deferred
        # Nothing is withdrawn and wanted again at one price while an order of about the size stands there.
        for live in view.orders:
            key = (live.wallet, live.side, live.price)
            if key in wanted and tolerated(live, wanted[key], world.settings):
                assert key in keys


@given(worlds())
def test_no_other_way_to_keep_orders_writes_less(world: World) -> None:
    plan = planned(world)
    counted = [view for view in world.views if view.wallet not in world.flying]
    orders, quotes, kept = 0, 0, 0
    for view in counted:
        wants = [quote for quote in world.target if quote.wallet == view.wallet]
        orders, quotes = orders + len(view.orders), quotes + len(wants)
        kept += most_kept(list(view.orders), wants, world.settings)
    written = sum(len(change.cancels) + len(change.places) for change in plan.wallets) + len(plan.deferred)
    assert written == orders + quotes - 2 * kept
    assert plan.kept == kept


def most_kept(orders: list[LiveOrder], wants: list[Quote], chosen: Settings) -> int:
    """Return the largest number of orders that can serve a quote each, by trying every way."""
    if not wants:
        return 0
    first, *others = wants
    most = most_kept(orders, others, chosen)
    for number, live in enumerate(orders):
        if (live.side, live.price) == (first.side, first.price) and tolerated(live, first, chosen):
            rest = orders[:number] + orders[number + 1 :]
            most = max(most, 1 + most_kept(rest, others, chosen))
    return most


@given(worlds())
def test_busy_wallets_are_left_alone(world: World) -> None:
    plan = planned(world)
    assert not {change.wallet for change in plan.wallets} & set(world.flying)
    assert not {d.quote.wallet for d in plan.deferred} & set(world.flying)


@given(worlds())
def test_client_ids_are_unique_free_and_within_what_the_account_knows(world: World) -> None:
    for change in planned(world).wallets:
        view = next(view for view in world.views if view.wallet == change.wallet)
        leaving = {cancel.order_id for cancel in change.cancels}
        staying = {o.client_id for o in view.orders if o.order_id not in leaving}
        ids = [place.client_id for place in change.places]
        assert len(set(ids)) == len(ids)
        assert not set(ids) & staying
        assert all(1 <= number <= 128 for number in ids)


@given(worlds())
def test_placements_meet_nothing_that_stands_flies_or_leaves_and_fit_slots_and_seats(world: World) -> None:
    everything: list[LiveOrder | Placement] = [o for view in world.views for o in view.orders]
    everything += [place for places in world.flying.values() for place in places]
    for change in planned(world).wallets:
        view = next(view for view in world.views if view.wallet == change.wallet)
        for place in change.places:
            for other in everything:
                if place.side is not other.side:
                    assert (place.price < other.price) == (place.side is Side.BID)
                    assert place.price != other.price
        after = len(view.orders) - len(change.cancels) + len(change.places)
        assert len(change.places) <= view.order_slots
        assert not change.places or after <= world.settings.orders_per_wallet


@given(worlds())
def test_nothing_changes_when_the_book_already_is_the_target(world: World) -> None:
    standing = {
        view.wallet: [
            order(q.wallet, q.side, int(q.price), int(q.size))
            for q in world.target
            if q.wallet == view.wallet
        ]
        for view in world.views
    }
    views = [wallet(index, orders=orders, sol=10**15, lots=10**9) for index, orders in standing.items()]
    plan = diff(world.target, views, {}, world.settings)
    assert (plan.kept, plan.wallets, plan.deferred) == (len(world.target), [], [])


@pytest.mark.parametrize(("have", "kept"), [(74, False), (75, True), (100, True), (125, True), (126, False)])
def test_a_size_within_the_tolerance_is_kept_on_both_sides_of_it(have: int, kept: bool) -> None:
    plan = diff(
        [quote(0, Side.BID, 50, 100)], [wallet(0, orders=[order(0, Side.BID, 50, have)])], {}, SETTINGS
    )
    assert plan.kept == kept
    assert bool(plan.wallets) != kept


def test_an_order_of_the_wrong_size_is_replaced_within_one_change() -> None:
    plan = diff([quote(0, Side.BID, 50, 100)], [wallet(0, orders=[order(0, Side.BID, 50, 10)])], {}, SETTINGS)
    (change,) = plan.wallets
    assert [cancel.price for cancel in change.cancels] == [place.price for place in change.places] == [50]


def test_of_two_orders_at_one_price_one_is_kept_and_the_other_withdrawn() -> None:
    twice = [order(0, Side.BID, 50, 100, order_id=1), order(0, Side.BID, 50, 100, order_id=2)]
    plan = diff([quote(0, Side.BID, 50, 100)], [wallet(0, orders=twice)], {}, SETTINGS)
    assert plan.kept == 1
    assert [cancel.order_id for change in plan.wallets for cancel in change.cancels] == [2]


def test_a_bid_waits_until_the_ask_it_would_meet_has_left_even_another_wallets() -> None:
    views = [wallet(0), wallet(1, orders=[order(1, Side.ASK, 50, 10)])]
    plan = diff([quote(0, Side.BID, 50, 10), quote(0, Side.BID, 49, 10)], views, {}, SETTINGS)
    assert [(change.wallet, len(change.cancels), len(change.places)) for change in plan.wallets] == [
        (0, 0, 1),
        (1, 1, 0),
    ]
    assert [deferred.quote.price for deferred in plan.deferred] == [50]


def test_a_bid_waits_for_an_ask_that_stands_in_a_left_over_account() -> None:
    behind = [order(1, Side.ASK, 50, 10)]
    target = [quote(0, Side.BID, 50, 10), quote(0, Side.BID, 49, 10)]
    plan = diff(target, [wallet(0), wallet(1)], {}, SETTINGS, behind)
    assert [(change.wallet, [int(place.price) for place in change.places]) for change in plan.wallets] == [
        (0, [49])
    ]
    assert [deferred.quote.price for deferred in plan.deferred] == [50]


def test_a_bid_waits_for_an_ask_in_flight() -> None:
    flying = {1: [Placement(1, Side.ASK, 1, Ticks(50), BaseLots(1), 1)]}
    plan = diff([quote(0, Side.BID, 50, 10)], [wallet(0), wallet(1)], flying, SETTINGS)
    assert not plan.wallets
    assert len(plan.deferred) == 1


def test_a_change_is_bounded_and_a_resize_never_stands_twice() -> None:
    chosen = settings(ORDERS_PER_WALLET=96)
    prices = range(1, 61)
    small = [order(0, Side.BID, price, 1) for price in prices]
    target = [quote(0, Side.BID, price, 100) for price in prices]
    plan = diff(target, [wallet(0, orders=small)], {}, chosen)
    (change,) = plan.wallets
    assert len(change.cancels) == len(change.places) == MAX_CHANGE
    assert {cancel.price for cancel in change.cancels} == {place.price for place in change.places}
    assert len(plan.deferred) == 60 - MAX_CHANGE


def test_a_wallet_above_its_seats_only_withdraws() -> None:
    chosen = settings(ORDERS_PER_WALLET=4)
    old = [order(0, Side.BID, price, 5) for price in range(1, 41)]
    plan = diff([quote(0, Side.BID, 45, 5)], [wallet(0, orders=old)], {}, chosen)
    (change,) = plan.wallets
    assert (len(change.cancels), change.places) == (MAX_CHANGE, [])


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 9)), max_size=8))
def test_the_own_range_is_the_best_of_each_side(found: list[tuple[Side, int]]) -> None:
    span = own_range(order(0, side, price, 1) for side, price in found)
    bids = [Ticks(price) for side, price in found if side is Side.BID]
    asks = [Ticks(price) for side, price in found if side is Side.ASK]
    assert span == OwnRange(max(bids, default=None), min(asks, default=None))
    assert span.crossed == (bool(bids) and bool(asks) and max(bids) >= min(asks))
    for price in range(10):
        assert span.admits(Side.BID, Ticks(price)) == all(Ticks(price) < ask for ask in asks)
        assert span.admits(Side.ASK, Ticks(price)) == all(Ticks(price) > bid for bid in bids)
