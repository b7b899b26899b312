"""The choke point: each rule bites and lets pass; nothing else makes an Approved."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from bmv.config import Settings
from bmv.core.channel import channel
from bmv.core.decay import FINE
from bmv.core.failures import Backoff
from bmv.core.limits import Approved, approve, gas_reserve, standstill
from bmv.core.plan import cancel_of
from bmv.core.price import PriceReading
from bmv.core.state import InFlight, Phase, State
from bmv.errors import OwnCross, UnsafeState
from bmv.events import AnyAction, Crank, Execute, Prepare, Report, Settle
from bmv.model import Cancel, ForeignBook, Leftover, LiveOrder, Placement, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import (
    BASE_LOT,
    QUOTE_LOT,
    SOL,
    later,
    market,
    order,
    quoting_state,
    settings,
    unconfirmed,
    wallet,
)

SETTINGS = Settings()
BID = Placement(0, Side.BID, 5, Ticks(100), BaseLots(10), client_id=9)
ASK = Placement(0, Side.ASK, 5, Ticks(110), BaseLots(10), client_id=10)


def passed(
    state: State, *places: Placement, cancels: tuple[Cancel, ...] = (), chosen: Settings = SETTINGS
) -> tuple[list[int], list[str]]:
    """Ask for placements of wallet 0 and return the client ids that pass and the reasons of the others."""
    approved = approve([Execute(1, 0, cancels, places)], state, chosen)
    kept = [p.client_id for a in approved.actions if isinstance(a, Execute) for p in a.places]
    assert len(kept) + len(approved.refusals) == len(places)
    return kept, [refusal.reason for refusal in approved.refusals]


def standing(*orders: LiveOrder, sol: int = 100 * SOL) -> WalletView:
    return wallet(0, orders=orders, sol=sol)


def test_a_placement_that_breaks_nothing_passes() -> None:
    assert passed(quoting_state([wallet(0)]), BID, ASK) == ([9, 10], [])


def test_only_approve_makes_an_approved() -> None:
    with pytest.raises(TypeError, match="only"):
        Approved(object(), (), ())
    assert approve([], quoting_state([wallet(0)]), SETTINGS).actions == ()


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.HALTING, Phase.DONE])
def test_nothing_is_placed_in_any_phase_but_quoting(phase: Phase) -> None:
    state = quoting_state([wallet(0)])
    state.phase = phase
    assert passed(state, BID) == ([], [f"the engine is {phase.value}"])
    assert standstill(state, SETTINGS)


@pytest.mark.parametrize(("silent_ms", "passes"), [(30_000, True), (30_001, False)])
def test_nothing_is_placed_when_the_chain_was_not_seen_lately(silent_ms: int, passes: bool) -> None:
    state = quoting_state([wallet(0)])
    state.now = later(silent_ms)
    assert bool(passed(state, BID)[0]) == passes


def test_nothing_is_placed_while_the_feed_is_down() -> None:
    state = quoting_state([wallet(0)])
    state.feed_up = False
    assert passed(state, BID) == ([], ["the chain has not been seen lately"])


@pytest.mark.parametrize(("below", "passes"), [(1, True), (0, False)])
def test_the_days_cost_budget_stops_placements_until_the_next_day(below: int, passes: bool) -> None:
    state = quoting_state([wallet(0)])
    state.spend(Lamports(int(SETTINGS.daily_cost_budget) - below), state.now)
    # Another hour of the same day, or the hour's budget would stop them first.
    state.now = state.seen_at = later(3_600_000)
    assert bool(passed(state, BID)[0]) == passes
    state.now = state.seen_at = later(86_400_000)
    assert passed(state, BID)[0]


@pytest.mark.parametrize(("below", "passes"), [(1, True), (0, False)])
def test_the_hours_cost_budget_stops_placements_until_the_next_hour(below: int, passes: bool) -> None:
    chosen = settings(HOURLY_COST_BUDGET_SOL="0.1")
    state = quoting_state([wallet(0)])
    state.spend(Lamports(10**8 - below), state.now)
    approved = approve([Execute(1, 0, (), (BID,))], state, chosen)
    assert bool(approved.actions) == passes
    assert [each.reason for each in approved.refusals] == (
        [] if passes else ["the hour's cost budget is spent"]
    )
    state.now = state.seen_at = later(3_600_000)
    assert approve([Execute(1, 0, (), (BID,))], state, chosen).actions


def test_cancels_and_everything_that_places_nothing_pass_whatever_happens() -> None:
    state = quoting_state([standing(order(0, Side.BID, 90, 5))])
    state.phase, state.feed_up = Phase.HALTING, False
    (live,) = state.views[0].orders
    execute = Execute(1, 0, (cancel_of(live),), (BID,))
    others: list[AnyAction] = [
        Crank(2),
        Settle(3, 0),
        Prepare(4, 0, Lamports(5)),
        Report("HELLO", {}),
    ]
    approved = approve([execute, *others, Execute(5, 7, (), ())], state, SETTINGS)
    assert approved.actions[0] == Execute(1, 0, (cancel_of(live),), ())
    assert approved.actions[1:] == tuple(others)
    assert [refusal.place for refusal in approved.refusals] == [BID]


@pytest.mark.parametrize(("price", "passes"), [(99, True), (100, False), (101, False)])
def test_a_bid_may_not_reach_the_best_foreign_ask(price: int, passes: bool) -> None:
    state = quoting_state([wallet(0)], book=ForeignBook(best_ask=Ticks(100)))
    place = msgspec.structs.replace(BID, price=Ticks(price))
    assert passed(state, place) == (([9], []) if passes else ([], ["would cross a foreign ask"]))


@pytest.mark.parametrize(("price", "passes"), [(111, True), (110, False), (109, False)])
def test_an_ask_may_not_reach_the_best_foreign_bid(price: int, passes: bool) -> None:
    state = quoting_state([wallet(0)], book=ForeignBook(best_bid=Ticks(110)))
    place = msgspec.structs.replace(ASK, price=Ticks(price))
    assert passed(state, place) == (([10], []) if passes else ([], ["would cross a foreign bid"]))


@pytest.mark.parametrize(
    ("place", "fine", "passes"),
    [
        (BID, 100 * FINE + 1, True),
        (BID, 100 * FINE, False),
        (ASK, 110 * FINE - 1, True),
        (ASK, 110 * FINE, False),
    ],
)
def test_nothing_is_placed_on_the_wrong_side_of_p(place: Placement, fine: int, passes: bool) -> None:
    state = quoting_state([wallet(0)])
    state.market.reading = PriceReading(fine, "last", True, fine)
    assert passed(state, place) == (([place.client_id], []) if passes else ([], ["P has passed its price"]))


@pytest.mark.parametrize(
    ("pivot", "mode", "passes"), [(110, "pivot", True), (111, "pivot", False), (111, "follow", True)]
)
def test_in_pivot_mode_an_ask_may_not_lie_below_the_pivot(pivot: int, mode: str, passes: bool) -> None:
    state = quoting_state([wallet(0)])
    state.market.channel = channel(105 * FINE, 105 * FINE, pivot * FINE, settings(CHANNEL_MODE=mode))
    told = ["on the wrong side of the Pivot, in pivot mode"]
    assert passed(state, BID, ASK) == (([9, 10], []) if passes else ([9], told))


def test_a_wallet_without_its_accounts_places_nothing() -> None:
    state = quoting_state([wallet(0, ready=False)])
    assert passed(state, BID) == ([], ["the wallet's accounts are not open"])
    state.views.clear()
    assert passed(state, BID) == ([], ["the wallet's accounts are not open"])


@pytest.mark.parametrize(("short_by", "passes"), [(0, True), (1, False)])
def test_the_last_gas_of_a_wallet_is_kept_for_its_cancels(short_by: int, passes: bool) -> None:
    view = msgspec.structs.replace(wallet(0), gas=gas_reserve(SETTINGS) - Lamports(short_by))
    reason = "the wallet's last gas is kept for its cancels"
    assert passed(quoting_state([view]), BID) == (([9], []) if passes else ([], [reason]))


def test_a_wallet_has_one_change_under_way_at_a_time() -> None:
    state = quoting_state([wallet(0), wallet(1)])
    twice = [Execute(1, 0, (), (BID,)), Execute(2, 0, (), (ASK,))]
    approved = approve(twice, state, SETTINGS)
    assert [action.ticket for action in approved.actions if isinstance(action, Execute)] == [1]
    assert len(approved.refusals) == 1
    state.in_flight[7] = InFlight(7, Execute(7, 0, (), ()), 0, state.now)
    assert not passed(state, BID)[0]


def test_a_wallet_whose_change_failed_a_moment_ago_waits() -> None:
    state = quoting_state([wallet(0)])
    state.failed[0] = Backoff(later(1_000), Millis(1_000))
    assert not passed(state, BID)[0]
    state.now = later(1_000)
    assert passed(state, BID)[0]


def test_a_wallet_spends_what_it_holds_free_and_what_the_same_change_frees_and_no_more() -> None:
    one = 100 * 10 * QUOTE_LOT
    live = order(0, Side.BID, 90, 10)
    locked = 90 * 10 * QUOTE_LOT
    rich = standing(live, sol=10 * one)
    exactly = msgspec.structs.replace(rich, quote_held=Lamports(one), quote_free=Lamports(0))
    short = msgspec.structs.replace(rich, quote_held=Lamports(one - 1), quote_locked=Lamports(50 * one))
    exactly = msgspec.structs.replace(exactly, quote_locked=Lamports(50 * one))
    assert passed(quoting_state([exactly]), BID)[0]
    assert passed(quoting_state([short]), BID) == ([], ["not enough free funds in the wallet"])
    assert passed(quoting_state([short]), BID, cancels=(cancel_of(live),))[0]
    freed = msgspec.structs.replace(rich, quote_held=Lamports(one - locked), quote_locked=Lamports(50 * one))
    assert passed(quoting_state([freed]), BID, cancels=(cancel_of(live),))[0]
    lacking = msgspec.structs.replace(freed, quote_held=Lamports(one - locked - 1))
    assert not passed(quoting_state([lacking]), BID, cancels=(cancel_of(live),))[0]


def test_placements_of_one_change_share_the_money() -> None:
    view = msgspec.structs.replace(
        wallet(0), base_held=lots_atoms(15), base_free=lots_atoms(4), base_locked=lots_atoms(1_000)
    )
    second = msgspec.structs.replace(ASK, price=Ticks(111), client_id=11)
    assert passed(quoting_state([view]), ASK, second) == ([10], ["not enough free funds in the wallet"])
    view = msgspec.structs.replace(view, base_free=lots_atoms(5))
    assert passed(quoting_state([view]), ASK, second) == ([10, 11], [])


def lots_atoms(lots: int) -> BaseAtoms:
    return BaseAtoms(lots * BASE_LOT)


@pytest.mark.parametrize(("owned", "passes"), [(40, True), (39, False)])
def test_no_order_is_larger_than_a_quarter_of_what_the_wallet_owns(owned: int, passes: bool) -> None:
    kept, reasons = passed(quoting_state([wallet(0, lots=owned)]), ASK)
    assert bool(kept) == passes
    assert passes or reasons == ["larger than MAX_ORDER_% of what the wallet owns"]


def test_a_wallet_never_holds_more_than_its_seats() -> None:
    full = [order(0, Side.BID, price, 1) for price in range(1, 32)]
    state = quoting_state([standing(*full)])
    second = msgspec.structs.replace(BID, price=Ticks(99), client_id=120)
    assert passed(state, BID, second) == ([9], ["the wallet holds ORDERS_PER_WALLET orders"])
    assert passed(state, BID, second, cancels=(cancel_of(full[0]),))[0] == [9, 120]


def test_a_side_is_filled_up_to_its_room_and_a_change_may_use_the_seats_it_gives_up() -> None:
    # Five orders of the side less one of headroom: room for four.
    live = [order(0, Side.BID, price, 1) for price in (10, 11, 12)]
    spec = market(bids=5, asks=5)
    state = quoting_state([standing(*live)], spec=spec)
    second = msgspec.structs.replace(BID, price=Ticks(99), client_id=8)
    refused = ["the book has no room left beside the headroom for others"]
    assert passed(state, BID, second) == ([9], refused)
    assert passed(state, BID, second, cancels=(cancel_of(live[0]),)) == ([9, 8], [])
    assert passed(state, ASK)[0]
    crowded = quoting_state([standing(*live)], spec=spec, book=ForeignBook(bid_orders=2))
    assert passed(crowded, BID) == ([], refused)


def test_what_flies_counts_against_the_room_as_far_as_it_adds() -> None:
    spec = market(bids=5, asks=5)
    live = [order(0, Side.BID, price, 1) for price in (10, 11)]
    flying = Execute(7, 1, (), (Placement(1, Side.BID, 1, Ticks(13), BaseLots(1), 1),) * 2)
    state = quoting_state([standing(*live), wallet(1)], spec=spec)
    state.in_flight[7] = InFlight(7, flying, 1, state.now)
    assert not passed(state, BID)[0]
    other = order(1, Side.BID, 9, 1)
    state.views[1] = wallet(1, orders=[other])
    swap = Execute(7, 1, (cancel_of(other),), flying.places[:1])
    state.in_flight[7] = InFlight(7, swap, 1, state.now)
    assert passed(state, BID)[0]


def test_a_cancel_of_what_does_not_stand_any_more_makes_no_room() -> None:
    live = [order(0, Side.BID, price, 1) for price in (10, 11, 12)]
    state = quoting_state([standing(*live), wallet(1)], spec=market(bids=5, asks=5))
    filled = order(1, Side.BID, 9, 1)
    place = Placement(1, Side.BID, 1, Ticks(13), BaseLots(1), 1)
    state.in_flight[7] = InFlight(7, Execute(7, 1, (cancel_of(filled),), (place,)), 1, state.now)
    assert not passed(state, BID)[0]
    state.in_flight[7].arrived.add(1)
    assert passed(state, BID)[0]


def test_no_order_is_worth_more_than_the_largest_allowed() -> None:
    worth = Decimal(100 * 10 * QUOTE_LOT) / SOL
    for most, passes in ((worth, True), (worth - Decimal(1) / SOL, False)):
        kept, reasons = passed(quoting_state([wallet(0)]), BID, chosen=settings(MAX_ORDER_SOL=most))
        assert bool(kept) == passes
        assert passes or reasons == ["worth more than MAX_ORDER_SOL"]


def test_a_wallets_side_is_worth_no_more_than_allowed_what_the_change_withdraws_not_counted() -> None:
    live = order(0, Side.ASK, 200, 5)
    limit = settings(MAX_WALLET_EXPOSURE_SOL=Decimal((110 * 10 + 200 * 5) * QUOTE_LOT - 1) / SOL)
    state = quoting_state([standing(live)])
    assert passed(state, BID, ASK, chosen=limit)[0] == [9]
    assert passed(state, BID, ASK, chosen=limit, cancels=(cancel_of(live),))[0] == [9, 10]


@pytest.mark.parametrize("key", ["MAX_BID_EXPOSURE_SOL", "MAX_ASK_EXPOSURE_SOL"])
def test_a_side_comes_to_no_more_than_its_cap_whatever_lands_of_what_flies(key: str) -> None:
    side = Side.BID if "BID" in key else Side.ASK
    price = Ticks(100)
    live = order(0, side, 100, 5)
    flying = Placement(1, side, 1, Ticks(100), BaseLots(5), 1)
    place = Placement(0, side, 1, price, BaseLots(10), 9)
    state = quoting_state([standing(live), wallet(1)])
    state.target.prices = {side: 100 << 24}
    outside = (101 if side is Side.BID else 99) << 24
    state.market.reading = PriceReading(outside, "trades", True, outside)
    state.in_flight[7] = InFlight(7, Execute(7, 1, (), (flying,)), 1, state.now)
    for lots, passes in ((20, True), (19, False)):
        cap = settings(**{key: Decimal(100 * lots * QUOTE_LOT) / SOL})
        kept, reasons = passed(state, place, chosen=cap)
        assert bool(kept) == passes
        assert passes or reasons == ["the side would come to more than its exposure cap"]
    swapped = settings(**{key: Decimal(100 * 15 * QUOTE_LOT) / SOL})
    assert passed(state, place, chosen=swapped, cancels=(cancel_of(live),))[0] == [9]


@pytest.mark.parametrize(
    ("side", "key"), [(Side.BID, "MAX_BID_EXPOSURE_SOL"), (Side.ASK, "MAX_ASK_EXPOSURE_SOL")]
)
def test_what_one_change_gives_up_makes_no_room_for_another_that_may_land_alone(side: Side, key: str) -> None:
    live = order(0, side, 100, 10)
    state = quoting_state([standing(live), wallet(1)])
    state.target.prices = {side: 100 << 24}
    outside = (101 if side is Side.BID else 99) << 24
    state.market.reading = PriceReading(outside, "trades", True, outside)
    smaller, more = (Placement(n, side, 1, Ticks(100), BaseLots(lots), 9) for n, lots in ((0, 4), (1, 6)))
    cap = settings(**{key: Decimal(100 * 10 * QUOTE_LOT) / SOL})
    changes = [Execute(1, 0, (cancel_of(live),), (smaller,)), Execute(2, 1, (), (more,))]
    refused = [refusal.place for refusal in approve(changes, state, cap).refusals]
    assert refused == [more]


def test_the_share_of_base_bought_binds_placements_too() -> None:
    # 10 SOL in all and a share of 80 %: bids of 8 SOL at most, whatever the plan says, and exact sizes.
    lots = 8 * SOL // (100 * QUOTE_LOT)
    chosen = settings(MAX_ORDER_PCT_OF_WALLET=100, SIZE_TOLERANCE_PCT=0)
    for size, passes in ((lots, True), (lots + 1, False)):
        place = msgspec.structs.replace(BID, size=BaseLots(size))
        assert bool(passed(quoting_state([wallet(0, sol=10 * SOL)]), place, chosen=chosen)[0]) == passes
    state = quoting_state([wallet(0, sol=10 * SOL)])
    state.flow.net_base = BaseLots(lots)
    state.target.prices = {Side.BID: 100 << 24}
    assert not passed(state, BID, chosen=settings(MAX_BASE_SHARE_PCT=40, MIN_BASE_SHARE_PCT=0))[0]


def test_a_stopped_side_a_wallet_set_aside_and_a_price_beyond_its_band_are_refused() -> None:
    state = quoting_state([wallet(0)])
    state.guards.stopped[Side.BID] = "drawdown"
    assert passed(state, BID, ASK) == ([10], ["the side is stopped: drawdown"])
    state.guards.stopped.clear()
    state.guards.aside[0] = "its token account is frozen"
    assert passed(state, BID) == ([], ["the wallet is set aside: its token account is frozen"])
    state.guards.aside.clear()
    dearest = state.spec.price(Ticks(100))
    banded = settings(MAX_PRICE=dearest, MIN_PRICE=state.spec.price(Ticks(99)))
    dearer, cheaper = (msgspec.structs.replace(p, price=Ticks(t)) for p, t in ((BID, 101), (ASK, 98)))
    assert passed(state, BID, ASK, chosen=banded)[0] == [9, 10]
    assert passed(state, dearer, cheaper, chosen=banded) == ([], ["beyond the price band"] * 2)


def test_while_a_jump_is_not_confirmed_nothing_is_bid_higher_or_asked_lower_than_what_stands() -> None:
    live = order(0, Side.BID, 100, 5), order(0, Side.ASK, 110, 5)
    state = unconfirmed(quoting_state([standing(*live)]), 105 << 24)
    assert passed(state, BID, ASK)[0] == [9, 10]
    higher = msgspec.structs.replace(BID, price=Ticks(101))
    lower = msgspec.structs.replace(ASK, price=Ticks(109))
    reason = "a price jump is not confirmed: no bid is raised, no ask lowered"
    assert passed(state, higher, lower) == ([], [reason, reason])
    assert passed(unconfirmed(quoting_state([wallet(0)]), 105 << 24), BID) == ([], [reason])


def _target(state: State) -> list[Execute]:
    return [Execute(1, 0, (), (BID,)), Execute(2, 1, (), (msgspec.structs.replace(ASK, price=Ticks(100)),))]


def _live(state: State) -> list[Execute]:
    state.views[1] = wallet(1, orders=[order(1, Side.ASK, 100, 5)])
    return [Execute(1, 0, (), (BID,))]


def _flying(state: State) -> list[Execute]:
    place = Placement(1, Side.ASK, 5, Ticks(99), BaseLots(1), 1)
    state.in_flight[7] = InFlight(7, Execute(7, 1, (), (place,)), 1, state.now)
    return [Execute(1, 0, (), (BID,))]


def _landed_but_not_seen(state: State) -> list[Execute]:
    actions = _flying(state)
    state.in_flight[7].landed = Slot(200)
    return actions


def _leaving(state: State) -> list[Execute]:
    ask = order(1, Side.ASK, 100, 5)
    state.views[1] = wallet(1, orders=[ask])
    return [Execute(1, 0, (), (BID,)), Execute(2, 1, (cancel_of(ask),), ())]


@pytest.mark.parametrize("corrupt", [_target, _live, _flying, _landed_but_not_seen, _leaving])
def test_a_plan_in_which_two_of_our_orders_could_meet_is_never_approved(
    corrupt: Callable[[State], list[Execute]],
) -> None:
    state = quoting_state([wallet(0), wallet(1)])
    with pytest.raises(OwnCross, match="nothing was sent") as caught:
        approve(corrupt(state), state, SETTINGS)
    assert isinstance(caught.value, UnsafeState)


def test_no_new_order_may_meet_one_in_a_left_over_account() -> None:
    state = quoting_state([wallet(0)])
    for side, price, place in ((Side.ASK, 100, BID), (Side.BID, 110, ASK)):
        state.leftovers = (Leftover("left", 0, Lamports(1), orders=(order(0, side, price, 1),)),)
        with pytest.raises(OwnCross, match="left-over"):
            approve([Execute(1, 0, (), (place,))], state, SETTINGS)


def test_what_was_left_behind_may_cross_what_flew_before_it_was_found() -> None:
    state = quoting_state([wallet(0), wallet(1)])
    state.in_flight[7] = InFlight(
        7, Execute(7, 1, (), (msgspec.structs.replace(ASK, wallet=1),)), 1, state.now
    )
    state.leftovers = (Leftover("left", 0, Lamports(1), orders=(order(0, Side.BID, 115, 1),)),)
    assert approve([Execute(1, 0, (), (BID,))], state, SETTINGS).refusals == ()


def test_refused_placements_do_not_make_a_cross() -> None:
    state = quoting_state([wallet(0), wallet(1, ready=False)])
    actions = _target(state)
    wrong = msgspec.structs.replace(actions[1], wallet=1)
    assert len(approve([actions[0], wrong], state, SETTINGS).refusals) == 1
