"""Handing client ids on, against a program that fails where a wallet cannot pay at some step of the way."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.core.plan import WalletPlan, cancel_of
from bmv.core.replacing import numbered
from bmv.model import LiveOrder, MarketSpec, Placement, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Ticks

SPEC = MarketSpec("market", "mint", 9, 9, 10, 3, 455, 455, 1024)
sides = st.sampled_from(list(Side))
sizes = st.tuples(sides, st.integers(1, 30), st.integers(1, 30))


def view_of(orders: Sequence[LiveOrder], quote: int, base: int) -> WalletView:
    """A wallet with these orders, and funds beside what they lock."""
    return WalletView(
        wallet=0,
        gas=Lamports(10**9),
        quote_held=Lamports(quote // 2),
        quote_free=Lamports(quote - quote // 2),
        quote_locked=Lamports(0),
        base_held=BaseAtoms(base // 2),
        base_free=BaseAtoms(base - base // 2),
        base_locked=BaseAtoms(0),
        rent=Lamports(0),
        rebates=Lamports(0),
        order_slots=128 - len(orders),
        ready=True,
        orders=tuple(orders),
    )


def spent(order: LiveOrder | Placement) -> tuple[Side, int]:
    """What an order locks, in lamports or atoms."""
    lots = int(order.size)
    return order.side, int(order.price) * lots * 3 if order.side is Side.BID else lots * 10


class Program:
    """Funds and orders as the program moves them, one instruction after another."""

    def __init__(self, view: WalletView) -> None:
        self.orders = {order.order_id: order for order in view.orders}
        self.funds = {
            Side.BID: int(view.quote_held + view.quote_free),
            Side.ASK: int(view.base_held + view.base_free),
        }
        self.placed: list[Placement] = []

    def withdraw(self, client_ids: Sequence[int]) -> None:
        """Cancel all live orders with these ids."""
        for order_id, order in list(self.orders.items()):
            if order.client_id in client_ids:
                side, amount = spent(order)
                self.funds[side] += amount
                del self.orders[order_id]

    def replace(self, places: Sequence[Placement]) -> bool:
        """Cancel by the ids, then place; say whether the wallet could pay for all."""
        self.withdraw([place.client_id for place in places])
        for place in places:
            side, amount = spent(place)
            self.funds[side] -= amount
            self.placed.append(place)
        return min(self.funds.values()) >= 0


@st.composite
def changes(draw: st.DrawFn) -> tuple[WalletView, WalletPlan]:
    """A wallet, and a change that it can pay for as a whole."""
    live = [
        LiveOrder(0, side, Ticks(price), BaseLots(size), number + 1000, client_id)
        for number, ((side, price, size), client_id) in enumerate(
            zip(
                draw(st.lists(sizes, max_size=14)),
                draw(st.permutations(range(1, 15))),
                strict=False,
            )
        )
    ]
    leaving = [order for order in live if draw(st.booleans())]
    places = [
        Placement(0, side, 1, Ticks(price), BaseLots(size), 0)
        for side, price, size in draw(st.lists(sizes, max_size=14))
    ]
    needs = dict.fromkeys(Side, 0)
    for place in places:
        side, amount = spent(place)
        needs[side] += amount
    for order in leaving:
        side, amount = spent(order)
        needs[side] -= amount
    extra = draw(st.integers(0, 60)) * 10
    quote, base = (max(0, needs[side]) + extra for side in (Side.BID, Side.ASK))
    plan = WalletPlan(0, [cancel_of(order) for order in leaving], places)
    return view_of(live, quote, base), plan


@settings(max_examples=400, deadline=None)
@given(changes(), st.randoms(use_true_random=False))
def test_however_the_change_is_cut_and_thinned_out_every_step_can_be_paid(
    drawn: tuple[WalletView, WalletPlan], rng: random.Random
) -> None:
    view, plan = drawn
    places = numbered(plan, view, SPEC)
    kept = [place for place in places if rng.random() < 0.8]
    taken = {place.client_id for place in kept}
    program = Program(view)
    program.withdraw([cancel.client_id for cancel in plan.cancels if cancel.client_id not in taken])
    for side in dict.fromkeys(place.side for place in kept):
        of_side = [place for place in kept if place.side is side]
        while of_side:
            count = rng.randint(1, 8)
            assert program.replace(of_side[:count])
            of_side = of_side[count:]
    named = {cancel.order_id for cancel in plan.cancels}
    assert set(program.orders) == {order.order_id for order in view.orders if order.order_id not in named}
    assert program.placed == kept


@settings(max_examples=200, deadline=None)
@given(changes())
def test_ids_are_free_or_handed_on_and_nothing_else_changes(drawn: tuple[WalletView, WalletPlan]) -> None:
    view, plan = drawn
    places = numbered(plan, view, SPEC)
    ids = [place.client_id for place in places]
    named = {cancel.order_id for cancel in plan.cancels}
    staying = {order.client_id for order in view.orders if order.order_id not in named}
    assert len(set(ids)) == len(ids)
    assert all(1 <= number <= 128 for number in ids)
    assert not staying & set(ids)
    for side in Side:
        of_side, wanted = ([p for p in each if p.side is side] for each in (places, plan.places))
        assert [(p.price, p.size) for p in of_side] == [(p.price, p.size) for p in wanted]


def order(number: int, side: Side, price: int, size: int, client_id: int) -> LiveOrder:
    return LiveOrder(0, side, Ticks(price), BaseLots(size), number, client_id)


def place(side: Side, price: int, size: int) -> Placement:
    return Placement(0, side, 1, Ticks(price), BaseLots(size), 0)


def test_an_equal_exchange_hands_every_id_on_within_its_side() -> None:
    orders = [order(1, Side.BID, 10, 4, 7), order(2, Side.ASK, 20, 4, 9), order(3, Side.BID, 9, 4, 5)]
    plan = WalletPlan(
        0,
        [cancel_of(one) for one in orders],
        [place(Side.ASK, 21, 4), place(Side.BID, 9, 4), place(Side.BID, 8, 4)],
    )
    assert [one.client_id for one in numbered(plan, view_of(orders, 0, 0), SPEC)] == [7, 5, 9]


@pytest.mark.parametrize("grows", Side)
def test_orders_that_change_sides_need_no_cancel_and_the_side_that_grows_is_placed_first(grows: Side) -> None:
    shrinks = grows.opposite
    orders = [order(number, shrinks, 10 + number, 4, number) for number in range(1, 5)]
    orders.append(order(5, grows, 20, 4, 5))
    coming = [place(shrinks, 15, 3), *(place(grows, 20 + number, 4) for number in range(4))]
    plan = WalletPlan(0, [cancel_of(one) for one in orders], coming)
    places = numbered(plan, view_of(orders, 1_000, 1_000), SPEC)
    assert {one.client_id for one in places} == {1, 2, 3, 4, 5}
    assert [one.side for one in places] == [grows] * 4 + [shrinks]


def test_the_orders_that_free_most_give_their_ids_first() -> None:
    orders = [order(1, Side.BID, 10, 1, 1), order(2, Side.BID, 9, 9, 2)]
    plan = WalletPlan(0, [cancel_of(one) for one in orders], [place(Side.BID, 9, 9), place(Side.BID, 8, 1)])
    assert [one.client_id for one in numbered(plan, view_of(orders, 0, 0), SPEC)] == [2, 1]


def test_where_the_first_new_order_needs_what_several_free_all_leave_first() -> None:
    orders = [order(1, Side.BID, 10, 1, 1), order(2, Side.BID, 9, 9, 2)]
    plan = WalletPlan(0, [cancel_of(one) for one in orders], [place(Side.BID, 9, 10), place(Side.BID, 1, 1)])
    assert not {1, 2} & {one.client_id for one in numbered(plan, view_of(orders, 0, 0), SPEC)}


def test_an_id_that_two_orders_share_is_not_handed_on() -> None:
    orders = [order(1, Side.BID, 10, 4, 7), order(2, Side.BID, 9, 4, 7)]
    plan = WalletPlan(0, [cancel_of(orders[0])], [place(Side.BID, 8, 4)])
    assert [one.client_id for one in numbered(plan, view_of(orders, 0, 0), SPEC)] == [1]
