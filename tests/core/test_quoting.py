"""How the start goes, what is repaired, and when things are left alone, seen through ``decide``."""

import msgspec
import pytest

from bmv.core.decay import FINE
from bmv.core.eviction import Resting, rest_level
from bmv.core.lattice import ORIGIN
from bmv.core.pricing import NO_PRICE
from bmv.core.quoting import placeable
from bmv.core.state import Phase
from bmv.events import (
    BundleResolved,
    Execute,
    MarketSeen,
    Prepare,
    Reclaim,
    RentAction,
    Report,
    Tick,
    Withdraw,
)
from bmv.model import ForeignBook, Leftover, LiveOrder, Outcome, Side, Trade
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import SOL, order, settings, wallet
from tests.core.desk import MINUTE, Desk, P, quoting

# Starting


def test_the_start_opens_what_is_missing_then_quotes() -> None:
    desk = Desk()
    desk.views[1] = wallet(1, ready=False)
    actions = desk.see(P).actions
    assert [action for action in actions if not isinstance(action, Report)] == [
        Prepare(1, 1, Lamports(SOL - int(desk.chosen.gas_floor)))
    ]
    assert not any(isinstance(action, Prepare) for action in desk.see().actions)
    desk.resolve(1)
    desk.see(views=[wallet(1)])
    assert desk.state.phase is Phase.QUOTING
    assert "STARTED" in [report.name for report in desk.reports]


def test_the_start_waits_for_the_first_reading_of_every_wallet() -> None:
    desk = Desk()
    missing = desk.views.pop(1)
    phases = []
    for views in ([], [missing]):
        desk.see(P, views=views)
        phases.append(desk.state.phase)
    assert phases == [Phase.STARTING, Phase.QUOTING]


def test_without_any_price_the_start_is_refused_with_a_reason_after_a_minute() -> None:
    desk = Desk()
    desk.see()
    desk.wait(MINUTE - 1)
    assert (desk.state.halt_reason, desk.done) == ("", [])
    desk.wait(1)
    desk.see()
    assert desk.state.phase in {Phase.HALTING, Phase.DONE}
    assert desk.state.halt_reason == NO_PRICE


def test_a_book_whose_one_side_is_empty_at_the_start_is_waited_for() -> None:
    desk = Desk(settings(PIVOT_MODE="pure", ORDERS_PER_WALLET=16))
    desk.book = ForeignBook(None, Ticks(P + 1), None, Ticks(P + 1), 0, 1)
    desk.see()
    desk.wait(MINUTE // 2)
    assert (desk.state.halt_reason, desk.done) == ("", [])
    desk.book = ForeignBook(Ticks(P - 1), Ticks(P + 1), Ticks(P - 1), Ticks(P + 1), 1, 1)
    desk.settle_down()
    assert desk.state.phase is Phase.QUOTING
    assert len(desk.standing()) > 16


def test_orders_found_at_the_start_are_adopted_where_they_fit_and_withdrawn_where_not() -> None:
    first = quoting()
    second = Desk()
    strange = LiveOrder(0, Side.BID, Ticks(3), BaseLots(1), 999_999, 0)
    second.views = dict(first.views)
    second.views[0] = wallet(0, sol=100 * SOL, lots=1_000_000, orders=[*first.views[0].orders, strange])
    second.settle_down(P)
    assert [cancel.order_id for action in second.done for cancel in action.cancels] == [999_999]
    assert not [place for action in second.done for place in action.places]


# Repairs, and when to leave things alone


def test_what_gets_lost_between_triggers_is_put_back() -> None:
    desk = quoting()
    lost = desk.views[0].orders[3]
    desk.state.views[0] = desk.views[0] = wallet(
        0, sol=100 * SOL, lots=1_000_000, orders=[o for o in desk.views[0].orders if o is not lost]
    )
    desk.settle_down()
    assert desk.rebuilds() == []
    assert [(p.side, p.price) for action in desk.done for p in action.places] == [(lost.side, lost.price)]


def test_an_evicted_level_is_not_put_back_before_its_time() -> None:
    desk = quoting()
    lost = desk.views[0].orders[3]
    rest = [o for o in desk.views[0].orders if o is not lost]
    desk.see(views=[wallet(0, sol=100 * SOL, lots=1_000_000, orders=rest)])
    assert "WALLET_ORDER_EVICTED" in [report.name for report in desk.reports]
    desk.wait(int(desk.chosen.evict_backoff) - 1)
    assert not desk.done
    desk.wait(1)
    assert [(p.side, p.price) for action in desk.done for p in action.places] == [(lost.side, lost.price)]


def test_an_evicted_level_that_is_asked_for_a_tick_away_waits_as_well() -> None:
    desk = quoting()
    lost = desk.views[0].orders[3]
    lattice = desk.state.market.lattices[lost.side]
    apart = lattice.price_fine(ORIGIN + 1) - lattice.price_fine(ORIGIN)
    rest_level(desk.state, lost.side, lost.price, desk.chosen)
    near, far = int(lost.price) + 1, int(lost.price) + apart // FINE
    assert apart > 4 * FINE
    assert Resting(desk.state).holds(lost.side, Ticks(near))
    assert not Resting(desk.state).holds(lost.side, Ticks(far))
    assert not Resting(desk.state).holds(lost.side.opposite, lost.price)
    rest_level(desk.state, lost.side, Ticks(near), desk.chosen)
    ((key, rest),) = desk.state.evicted.items()
    assert key == (lost.side, lost.price), "evicted again a tick away it is the same level"
    assert rest.wait == 2 * desk.chosen.evict_backoff
    desk.state.target.quotes = tuple(
        msgspec.structs.replace(quote, price=Ticks(near)) if quote.price == lost.price else quote
        for quote in desk.state.target.quotes
    )
    assert near not in {int(quote.price) for quote in placeable(desk.state)}
    assert len(placeable(desk.state)) == len(desk.state.target.quotes) - 1


def test_while_a_jump_waits_for_confirmation_the_ladder_stays_and_the_best_prices_are_not_improved() -> None:
    desk = quoting()
    touch = desk.best(Side.BID)
    view = desk.views[touch.wallet]
    rest = [o for o in view.orders if (o.side, o.price) != (Side.BID, touch.price)]
    desk.state.views[touch.wallet] = wallet(touch.wallet, sol=100 * SOL, lots=1_000_000, orders=rest)
    desk.views[touch.wallet] = desk.state.views[touch.wallet]
    desk.see(P * 2)
    assert desk.rebuilds() == []
    assert not desk.done
    assert set(desk.refused) == {"a price jump is not confirmed: no bid is raised, no ask lowered"}
    desk.now += int(desk.chosen.price_confirm)
    desk.settle_down(P * 2)
    assert desk.rebuilds() == ["threshold"]
    assert int(desk.best(Side.BID).price) > P


def test_with_the_days_budget_spent_only_what_the_price_has_passed_is_withdrawn() -> None:
    desk = quoting()
    passed = {
        o.order_id
        for o in desk.state.views[0].orders
        if o.side is Side.ASK and o.price < Ticks(P * 105 // 100)
    }
    desk.state.spend(desk.chosen.daily_cost_budget, desk.state.now)
    desk.settle_down(P * 105 // 100)
    changes = [action for action in desk.done if isinstance(action, Execute)]
    assert desk.rebuilds() == []
    assert {cancel.order_id for change in changes for cancel in change.cancels} == passed != set()
    assert not any(change.places for change in changes)
    desk.now += 86_400_000
    desk.settle_down(P * 105 // 100)
    assert desk.rebuilds() == ["threshold"]


def test_with_the_days_budget_spent_left_over_orders_are_withdrawn_and_no_rent_is_fetched() -> None:
    desk = quoting()
    rent = Lamports(23_357_760)
    standing = (order(0, Side.BID, P // 2, 1),)
    empty = Leftover("empty", 0, rent)
    desk.state.leftovers = (Leftover("quoting", 0, rent, idle=False, orders=standing), empty)
    desk.state.spend(desk.chosen.daily_cost_budget, desk.state.now)
    desk.now += 6_000
    (action,) = (each for each in desk.see().actions if isinstance(each, RentAction))
    assert isinstance(action, Withdraw)
    assert action.orders == standing
    desk.resolve(action.ticket)
    desk.state.leftovers = (empty,)
    for _ in range(3):
        desk.now += 6_000
        assert not any(isinstance(each, RentAction) for each in desk.see().actions)
    desk.now += 86_400_000
    assert any(isinstance(each, Reclaim) for each in desk.see().actions)


def test_when_the_chain_was_not_seen_lately_nothing_is_taken_down_either() -> None:
    desk = quoting()
    desk.state.target.quotes = ()
    desk.now += 60_000
    desk.happen(Tick(at=Millis(desk.now), slot=Slot(desk.slot)))
    assert not desk.done


def test_a_failing_wallet_is_not_hammered() -> None:
    desk = quoting()
    desk.lands = False
    first, _, *others = desk.state.target.quotes
    desk.state.target.quotes = (first, *others)
    tries = 0
    for _ in range(60):
        for action in desk.see().actions:
            if isinstance(action, Execute):
                tries += action.wallet == first.wallet
                desk.happen(
                    BundleResolved(
                        at=Millis(desk.now),
                        bundle_id="b",
                        tickets=(action.ticket,),
                        outcome=Outcome.FAILED,
                        reason="no",
                    )
                )
        desk.now += 1_000
    assert 3 <= tries <= 8


def test_a_reading_in_which_nothing_is_new_is_not_looked_into() -> None:
    desk = quoting()
    priced = desk.state.market.priced_at
    for ms in (400, 4_400):
        desk.now = int(priced) + ms
        assert not desk.happen(desk_reading(desk)).actions
        assert desk.state.market.priced_at == priced
    desk.now = int(priced) + 5_000
    desk.happen(desk_reading(desk))
    assert desk.state.market.priced_at == desk.now


@pytest.mark.parametrize("what", ["book", "queue", "wallets", "trades"])
def test_whatever_is_new_in_a_reading_is_looked_into_at_once(what: str) -> None:
    desk = quoting()
    desk.now += 400
    news: dict[str, object] = {
        "book": ForeignBook(best_bid=Ticks(1)),
        "queue": 7,
        "wallets": (desk.views[0],),
        "trades": (Trade(10**6, Millis(desk.now), Ticks(P), BaseLots(1), Side.BID, False),),
    }
    field_name = {"queue": "queue_count"}.get(what, what)
    desk.happen(msgspec.structs.replace(desk_reading(desk), **{field_name: news[what]}))
    assert desk.state.market.priced_at == desk.now


def test_a_wallet_that_has_rested_is_tried_again_with_the_next_tick() -> None:
    desk = quoting()
    desk.lands = False
    first, _, *others = desk.state.target.quotes
    desk.state.target.quotes = (first, *others)
    (change,) = [action for action in desk.see().actions if isinstance(action, Execute)]
    failed = BundleResolved(
        at=Millis(desk.now), bundle_id="b", tickets=(change.ticket,), outcome=Outcome.FAILED
    )
    desk.happen(failed)
    times = []
    for ms in range(0, 2_000, 100):
        approved = desk.happen(Tick(at=Millis(desk.now + ms), slot=Slot(desk.slot)))
        times += [ms for action in approved.actions if isinstance(action, Execute)]
    assert times == [1_000]


def desk_reading(desk: Desk) -> MarketSeen:
    """Return a reading in which nothing is new."""
    desk.slot += 1
    return MarketSeen(at=Millis(desk.now), slot=Slot(desk.slot), book=desk.book)


def test_target_and_waiting_are_reported() -> None:
    desk = Desk(settings(REF_NOTIONAL_SOL="0.001", MAX_ORDER_PCT_OF_WALLET="1"))
    desk.see(P)
    (report,) = [report for report in desk.reports if report.name == "GRID_REBUILD"]
    assert report.fields["levels"] == len(desk.state.target.quotes)
    assert report.fields["waiting_for"] == "BID largest order, ASK largest order"
    assert report.fields["waiting"] == 0
    changed = int(report.fields["placed"]) + int(report.fields["cancelled"])
    assert int(report.fields["cost"]) >= int(report.fields["transactions"]) * 5_000 > 0
    assert changed >= int(report.fields["transactions"]) >= int(report.fields["bundles"]) > 0
    assert report.fields["placed"] == sum(len(action.places) for action in desk.done)
