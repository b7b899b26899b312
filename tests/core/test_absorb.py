"""Events become belief: whatever leaves the book or never comes to stand is accounted for, once."""

from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.eviction import EVICTED_MEMORY_MS, FLOOD_LEVELS
from bmv.core.limits import standstill
from bmv.core.plan import cancel_of
from bmv.core.state import InFlight, Phase, State
from bmv.events import (
    AnyEvent,
    BundleResolved,
    Execute,
    FeedLost,
    HaltRequested,
    MarketSeen,
    Prepare,
    Report,
    Settle,
    Tick,
)
from bmv.model import BundleCost, Fill, ForeignBook, LiveOrder, Outcome, Placement, Side, Trade, WalletView
from bmv.observe.catalogue import problems
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import (
    QUOTE_LOT,
    START,
    later,
    market,
    order,
    quote,
    quoting_state,
    settings,
    wallet,
)

SETTINGS = Settings()
BID = order(0, Side.BID, 90, 10, order_id=1, client_id=3)


def seen(
    slot: int,
    views: Sequence[WalletView] = (),
    fills: Sequence[Fill] = (),
    *,
    at: int = int(START),
    book: ForeignBook | None = None,
) -> MarketSeen:
    return MarketSeen(
        at=Millis(at), slot=Slot(slot), book=book or ForeignBook(), wallets=tuple(views), fills=tuple(fills)
    )


def fill(live: LiveOrder, size: int, *, maker: bool = True, self_trade: bool = False) -> Fill:
    return Fill(
        seq=1,
        at=START,
        wallet=live.wallet,
        side=live.side,
        price=live.price,
        size=BaseLots(size),
        maker=maker,
        rebate=Lamports(0),
        fee=Lamports(0),
        order_id=live.order_id,
        client_id=live.client_id,
        self_trade=self_trade,
    )


def told(state: State, event: AnyEvent, chosen: Settings = SETTINGS) -> list[str]:
    reports = absorb(state, event, chosen)
    assert all(isinstance(report, Report) for report in reports)
    names = [report.name for report in reports if isinstance(report, Report)]
    # Balances stand still in these tests: what fills say of them is for test_witness.
    return [name for name in names if name != "FILLS_DISAGREE"]


def resolved(
    outcome: Outcome, slot: int = 0, ticket: int = 7, cost: int = 0, at: int = int(START)
) -> BundleResolved:
    return BundleResolved(
        at=Millis(at),
        bundle_id="b",
        tickets=(ticket,),
        outcome=outcome,
        slot=Slot(slot),
        cost=BundleCost(Lamports(cost), Lamports(0)),
    )


def sent(state: State, *, cancels: Sequence[LiveOrder] = (), places: Sequence[Placement] = ()) -> InFlight:
    action = Execute(7, 0, tuple(cancel_of(each) for each in cancels), tuple(places))
    state.in_flight[7] = InFlight(7, action, 0, state.now)
    return state.in_flight[7]


def placement(live: LiveOrder) -> Placement:
    return Placement(live.wallet, live.side, 5, live.price, live.size, live.client_id)


# Orders that leave


def test_an_order_that_vanishes_without_a_reason_was_evicted_and_its_level_rests() -> None:
    state = quoting_state([wallet(0, orders=[BID])])
    assert told(state, seen(101, [wallet(0)])) == ["WALLET_ORDER_EVICTED"]
    assert state.evicted[Side.BID, Ticks(90)].until == START + SETTINGS.evict_backoff


def test_an_order_that_was_filled_was_not_evicted() -> None:
    state = quoting_state([wallet(0, orders=[BID])], [quote(0, Side.BID, 90, 10)])
    assert told(state, seen(101, [wallet(0)], [fill(BID, 4), fill(BID, 6)])) == ["ORDER_FILL"] * 2
    assert state.target.quotes == ()
    assert not state.evicted


def test_an_order_filled_in_part_whose_rest_vanished_was_evicted() -> None:
    state = quoting_state([wallet(0, orders=[BID])])
    assert told(state, seen(101, [wallet(0)], [fill(BID, 4)])) == ["ORDER_FILL", "WALLET_ORDER_EVICTED"]


def test_an_order_we_withdraw_was_not_evicted_whatever_the_bundle_is_known_to_have_done() -> None:
    state = quoting_state([wallet(0, orders=[BID])])
    sent(state, cancels=[BID])
    assert told(state, seen(101, [wallet(0)])) == []
    assert 7 in state.in_flight
    assert told(state, resolved(Outcome.LANDED, 101)) == []
    assert not state.in_flight


def test_at_first_sight_nothing_has_vanished() -> None:
    state = quoting_state([])
    assert told(state, seen(101, [wallet(0)])) == []


def test_an_eviction_soon_after_the_last_one_doubles_the_rest() -> None:
    state = quoting_state([wallet(0, orders=[BID])])
    wait = int(SETTINGS.evict_backoff)
    at = int(START)
    for times in (1, 2, 4):
        state.views[0] = wallet(0, orders=[BID])
        told(state, seen(101, [wallet(0)], at=at))
        assert state.evicted[Side.BID, Ticks(90)].until == at + times * wait
        at += times * wait + 5
    state.views[0] = wallet(0, orders=[BID])
    told(state, seen(101, [wallet(0)], at=at + int(EVICTED_MEMORY_MS) - 10))
    assert state.evicted[Side.BID, Ticks(90)].wait == 8 * wait
    state.views[0] = wallet(0, orders=[BID])
    told(state, seen(101, [wallet(0)], at=at + 3 * int(EVICTED_MEMORY_MS)))
    assert state.evicted[Side.BID, Ticks(90)].wait == wait


def test_many_levels_evicted_at_once_are_told_of_once_as_a_flood() -> None:
    bids = [order(0, Side.BID, price, 10) for price in range(90, 90 + FLOOD_LEVELS + 2)]
    state = quoting_state([wallet(0, orders=bids)])
    flood = ForeignBook(bid_orders=440)
    few, all_but_one = wallet(0, orders=bids[FLOOD_LEVELS - 1 :]), wallet(0, orders=bids[FLOOD_LEVELS + 1 :])
    assert told(state, seen(101, [few], book=flood)) == ["WALLET_ORDER_EVICTED"] * (FLOOD_LEVELS - 1)
    assert told(state, seen(102, [all_but_one], book=flood))[2:] == ["BOOK_FLOODED"]
    assert told(state, seen(103, [wallet(0)], book=flood)) == ["WALLET_ORDER_EVICTED"]


# Placements that come to stand, or not


def test_a_placement_that_landed_and_stands_leaves_flight_quietly_in_any_order_of_news() -> None:
    for first_outcome in (True, False):
        state = quoting_state([wallet(0)])
        sent(state, places=[placement(BID)])
        reading, outcome = seen(105, [wallet(0, orders=[BID])]), resolved(Outcome.LANDED, 103)
        order_of_news: list[AnyEvent] = [outcome, reading] if first_outcome else [reading, outcome]
        assert told(state, order_of_news[0]) == []
        assert 7 in state.in_flight
        assert told(state, order_of_news[1]) == []
        assert not state.in_flight


def test_a_landed_change_stays_in_flight_until_a_reading_at_or_after_its_slot() -> None:
    state = quoting_state([wallet(0)])
    sent(state, places=[placement(BID)])
    told(state, resolved(Outcome.LANDED, 103))
    told(state, seen(102))
    assert 7 in state.in_flight
    assert told(state, seen(103, [wallet(0, orders=[BID])])) == []
    assert not state.in_flight


def test_a_placement_that_landed_and_does_not_stand_was_dropped() -> None:
    state = quoting_state([wallet(0)])
    sent(state, places=[placement(BID)])
    told(state, resolved(Outcome.LANDED, 103))
    assert told(state, seen(103)) == ["ORDER_DROPPED"]
    assert not state.evicted


def test_a_placement_dropped_by_a_full_side_rests() -> None:
    state = quoting_state([wallet(0)], spec=market(bids=4, asks=4))
    sent(state, places=[placement(BID)])
    told(state, resolved(Outcome.LANDED, 103))
    assert told(state, seen(103, book=ForeignBook(bid_orders=4))) == ["ORDER_DROPPED"]
    assert (Side.BID, Ticks(90)) in state.evicted


def test_a_placement_filled_before_anybody_saw_it_stand_was_not_dropped() -> None:
    events: list[AnyEvent] = [resolved(Outcome.LANDED, 103), seen(104, [wallet(0)], [fill(BID, 10)])]
    for order_of_news in permutations(events):
        state = quoting_state([wallet(0)], [quote(0, Side.BID, 90, 25)])
        sent(state, places=[placement(BID)])
        assert [name for event in order_of_news for name in told(state, event)] == ["ORDER_FILL"]
        assert [quote.size for quote in state.target.quotes] == [15]


def test_a_placement_seen_standing_and_evicted_before_its_outcome_is_told_of_once() -> None:
    state = quoting_state([wallet(0)])
    sent(state, places=[placement(BID)])
    names = told(state, seen(104, [wallet(0, orders=[BID])])) + told(state, seen(106, [wallet(0)]))
    assert names + told(state, resolved(Outcome.LANDED, 103)) == ["WALLET_ORDER_EVICTED"]


def test_the_order_a_change_replaces_is_not_taken_for_the_one_it_places() -> None:
    # Same price, same client id: only the order id tells them apart.
    state = quoting_state([wallet(0, orders=[BID])])
    sent(state, cancels=[BID], places=[placement(BID)])
    told(state, seen(101, [wallet(0, orders=[BID])]))
    told(state, resolved(Outcome.LANDED, 103))
    assert told(state, seen(103, [wallet(0)])) == ["ORDER_DROPPED"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.EXPIRED])
def test_a_change_that_did_not_land_leaves_flight_at_once_and_its_wallet_rests(outcome: Outcome) -> None:
    state = quoting_state([wallet(0)])
    sent(state, places=[placement(BID)])
    assert told(state, resolved(outcome, cost=5)) == [f"BUNDLE_{outcome.name}"]
    assert not state.in_flight
    assert state.failed[0].until > state.now
    assert state.cost_today(state.now) == 0
    sent(state)
    told(state, resolved(Outcome.LANDED, 105))
    assert not state.failed


def test_an_outcome_is_taken_once_and_strange_tickets_change_nothing() -> None:
    state = quoting_state([wallet(0)])
    assert told(state, resolved(Outcome.LANDED, 105, ticket=99)) == []
    assert told(state, resolved(Outcome.EXPIRED, ticket=99)) == ["BUNDLE_EXPIRED"]
    assert not state.failed


# Fills


def test_a_fill_lowers_the_target_only_at_its_wallet_side_and_price() -> None:
    quotes = [quote(0, Side.BID, 90, 10), quote(1, Side.BID, 90, 10), quote(0, Side.BID, 91, 10)]
    state = quoting_state([wallet(0, orders=[BID]), wallet(1)], quotes)
    rest = msgspec.structs.replace(BID, size=BaseLots(6))
    told(state, seen(101, [wallet(0, orders=[rest])], [fill(BID, 4)]))
    assert [int(each.size) for each in state.target.quotes] == [6, 10, 10]
    assert (int(state.flow.net_base), state.flow.net_paid) == (4, 90 * 4 * QUOTE_LOT)


@pytest.mark.parametrize(("maker", "self_trade"), [(False, False), (True, True), (False, True)])
def test_a_fill_as_taker_or_with_ourselves_halts_the_engine(maker: bool, self_trade: bool) -> None:
    state = quoting_state([wallet(0, orders=[BID])])
    names = told(state, seen(101, (), [fill(BID, 1, maker=maker, self_trade=self_trade)]))
    assert names == ["ORDER_FILL", "INTEGRITY_OWN_TRADE", "KILL_SWITCH"]
    assert state.phase is Phase.HALTING


# The feed, the clock, the budget, the halt


def test_a_reading_older_than_the_last_one_changes_nothing() -> None:
    state = quoting_state([wallet(0, orders=[BID])], [quote(0, Side.BID, 90, 10)])
    assert told(state, seen(99, [wallet(0)], [fill(BID, 1)], at=int(START) + 5)) == []
    assert state.views[0].orders == (BID,)
    assert (int(state.seen), state.seen_at, int(state.target.quotes[0].size)) == (100, START, 10)


def test_a_node_that_shows_the_same_slot_again_shows_nothing_new() -> None:
    state = quoting_state([wallet(0)])
    told(state, seen(101, at=int(START) + 10))
    told(state, seen(101, [wallet(0, orders=[BID])], at=int(START) + 90_000))
    assert (int(state.seen_at), state.views[0].orders) == (int(START) + 10, (BID,))


def test_the_wallets_of_a_bundle_that_failed_are_tried_again_one_after_the_other() -> None:
    state = quoting_state([wallet(n) for n in range(3)])
    for number in range(3):
        state.in_flight[number] = InFlight(number, Settle(number, number), number, state.now)
    event = BundleResolved(at=START, bundle_id="b", tickets=(0, 1, 2), outcome=Outcome.FAILED)
    told(state, event)
    rests = [int(state.failed[number].until - START) for number in range(3)]
    assert rests == [1_000, 2_000, 3_000]


def test_what_was_lost_goes_together_again_but_every_third_time_one_after_the_other() -> None:
    state = quoting_state([wallet(n) for n in range(3)])
    for row in range(1, 7):
        state.now = later(row * 60_000)
        for number in range(3):
            state.in_flight[number] = InFlight(number, Settle(number, number), number, state.now)
        event = BundleResolved(at=state.now, bundle_id="b", tickets=(0, 1, 2), outcome=Outcome.EXPIRED)
        told(state, event)
        rests = [int(state.failed[number].until - state.now) for number in range(3)]
        assert rests == ([400, 800, 1_200] if row % 3 == 0 else [400, 400, 400])


def test_cycles_that_come_to_nothing_pause_and_what_lands_ends_the_pause() -> None:
    chosen = settings(MAX_FAILED_CYCLES=2, FAILED_CYCLES_PAUSE="1min")
    state = quoting_state([wallet(0)])
    names = []
    for number in range(3):
        state.now = later(number * 10_000)
        sent(state)
        names.append(told(state, resolved(Outcome.EXPIRED, at=int(state.now)), chosen))
    expired, never = "BUNDLE_EXPIRED", "BUNDLE_NEVER_LANDS"
    assert names == [[expired], [expired, "CYCLES_FAILED"], [expired, never]]
    assert standstill(state, chosen) == ""
    state.guards.failures.probed_at = state.now
    assert standstill(state, chosen) == "nothing that was sent lately has landed", "one was tried just now"
    sent(state)
    assert told(state, resolved(Outcome.LANDED, 101, at=int(state.now)), chosen) == ["CYCLES_LAND_AGAIN"]
    assert standstill(state, chosen) == ""


def test_what_was_never_sent_is_nobodys_failure_and_is_tried_again_soon() -> None:
    state = quoting_state([wallet(0), wallet(1)])
    waits = []
    for _ in range(20):
        sent(state)
        assert told(state, resolved(Outcome.UNSENT, at=int(state.now))) == ["BUNDLE_UNSENT"]
        waits.append(int(state.failed[0].until - state.now))
        state.now = state.failed[0].until
    assert waits == [400] * 20
    failures = state.guards.failures
    assert (failures.cycles, failures.pause, failures.wallets) == (0, None, {})


def test_what_is_said_to_have_expired_is_in_doubt_until_the_accounts_of_then_are_seen() -> None:
    state = quoting_state([wallet(0)])
    state.seen = Slot(100)
    sent(state, places=[placement(BID)])
    (place,) = state.flying_places()
    told(state, resolved(Outcome.EXPIRED, 105))
    assert state.flying_places() == [place], "who said so may have followed a fork that died"
    for slot in (104, 105):
        assert state.in_flight
        assert told(state, seen(slot, [wallet(0, orders=[BID])])) == [], "it is nobody else's"
    assert not state.in_flight
    assert state.views[0].orders == (BID,)


def test_what_is_said_to_have_expired_before_the_last_reading_is_out_of_flight_at_once() -> None:
    state = quoting_state([wallet(0)])
    state.seen = Slot(100)
    sent(state)
    told(state, resolved(Outcome.EXPIRED, 100))
    assert not state.in_flight


def test_a_wallet_that_cannot_open_its_accounts_is_at_fault_once_another_has() -> None:
    chosen = settings(WALLET_MAX_FAILURES=2)
    for others_ready in (False, True):
        state = quoting_state([wallet(0, ready=False), wallet(1, ready=False), wallet(2, ready=others_ready)])
        state.phase = Phase.STARTING
        for number in range(6):
            state.now, owner = later(number), number % 2
            state.in_flight[7] = InFlight(7, Prepare(7, owner, Lamports(1)), owner, state.now)
            told(state, resolved(Outcome.FAILED, at=int(state.now)), chosen)
        assert bool(state.guards.failures.rests) == others_ready


def test_the_feed_going_down_and_coming_up_is_told_once_each() -> None:
    state = quoting_state([wallet(0)])
    lost = FeedLost(at=START, reason="no node")
    assert [told(state, lost), told(state, lost)] == [["FEED_LOST"], []]
    assert not state.feed_up
    assert [told(state, seen(101)), told(state, seen(102))] == [["FEED_UP"], []]
    assert state.feed_up


def test_events_nobody_could_read_are_told() -> None:
    state = quoting_state([wallet(0)])
    event = msgspec.structs.replace(seen(103), events_missed=7)
    assert told(state, event)[-1:] == ["EVENTS_MISSED"]
    assert told(state, seen(104)) == []


def test_time_and_slots_never_run_back() -> None:
    state = quoting_state([wallet(0)])
    told(state, Tick(at=later(50), slot=Slot(500)))
    told(state, Tick(at=later(10), slot=Slot(400)))
    told(state, seen(450, at=int(START) + 20))
    assert (state.now, int(state.slot)) == (later(50), 500)


def test_a_trade_of_anybody_widens_the_quotes_again() -> None:
    state = quoting_state([wallet(0)])
    trade = Trade(1, START, Ticks(100), BaseLots(1), Side.BID, False)
    event = msgspec.structs.replace(seen(101, at=int(START) + 7), trades=(trade,))
    told(state, event)
    assert state.market.presence.since == later(7)


def test_the_budget_of_the_day_being_spent_is_told_once() -> None:
    state, chosen = (
        quoting_state([wallet(0)]),
        settings(DAILY_COST_BUDGET_SOL="0.00001", HOURLY_COST_BUDGET_SOL=0),
    )
    events = [resolved(Outcome.LANDED, 1, cost=4_000) for _ in range(5)]
    assert [told(state, event, chosen) for event in events] == [[], [], ["COST_BUDGET_SPENT"], [], []]
    assert state.cost_today(state.now) == 20_000


@pytest.mark.parametrize("budget", ["day", "hour"])
def test_which_budget_is_spent_is_told_as_the_catalogue_says(budget: str) -> None:
    name = {"day": "DAILY_COST_BUDGET_SOL", "hour": "HOURLY_COST_BUDGET_SOL"}[budget]
    chosen = settings(**{name: "0.000004"})
    (report,) = absorb(quoting_state([wallet(0)]), resolved(Outcome.LANDED, 1, cost=4_000), chosen)
    assert isinstance(report, Report)
    assert report.fields == {"budget": budget, "lamports": 4_000}
    assert problems(report.name, report.fields) == []


def test_a_halt_is_begun_once_and_keeps_its_first_reason() -> None:
    state = quoting_state([wallet(0)])
    assert told(state, HaltRequested(at=START, reason="first")) == ["KILL_SWITCH"]
    assert told(state, HaltRequested(at=START, reason="second")) == []
    assert (state.phase, state.halt_reason) == (Phase.HALTING, "first")
