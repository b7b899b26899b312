"""What the ladder would come to: the room of a cheap token, wallets seen as opened, what stands already."""

from msgspec.structs import replace

from bmv.core.decay import FINE
from bmv.core.outlook import as_opened, best, plan_cost, side_rooms, whole_plan
from bmv.core.state import Phase
from bmv.events import Execute, Prepare
from bmv.model import ForeignBook, Side
from bmv.units import Lamports, Ticks
from tests.core.belongings import SOL, wallet
from tests.core.desk import STEADY, Desk, quoting


def test_a_price_of_few_ticks_gives_a_level_to_each_tick_and_says_how_many_there_are() -> None:
    desk = Desk(STEADY)
    desk.settle_down(40)
    state = desk.state
    for room in side_rooms(state, STEADY):
        prices = {quote.price for quote in state.target.quotes if quote.side is room.side}
        assert 0 < len(prices) <= room.ticks < room.levels
    bids, asks = side_rooms(state, STEADY)
    assert state.market.channel is not None
    low, _ = state.market.channel.borders(Side.BID)
    _, high = state.market.channel.borders(Side.ASK)
    assert bids.ticks == len([tick for tick in range(1, 40) if tick * FINE >= low])
    assert asks.ticks == len([tick for tick in range(41, 100) if tick * FINE <= high])


def test_a_foreign_order_takes_ticks_away() -> None:
    desk = quoting()
    free = side_rooms(desk.state, STEADY)
    desk.book = ForeignBook(best_bid=Ticks(20_100))
    desk.see()
    assert side_rooms(desk.state, STEADY)[Side.ASK].ticks < free[Side.ASK].ticks


def test_a_ladder_that_stands_needs_no_change_and_costs_nothing() -> None:
    desk = quoting()
    plan = whole_plan(desk.state, STEADY)
    assert (plan.kept, plan.wallets, plan.deferred) == (len(desk.wanted()), [], [])
    assert plan_cost(plan, desk.state, STEADY).cost == Lamports(0)
    bid, ask = (best(desk.state.target.quotes, side) for side in Side)
    assert bid is not None
    assert ask is not None
    assert bid < ask


def test_wallets_that_are_being_opened_are_planned_with_what_they_will_have_wrapped() -> None:
    desk = Desk(STEADY, lands=False)
    bare = wallet(0, sol=0, ready=False)
    desk.views = {n: replace(bare, wallet=n, gas=Lamports(20 * SOL)) for n in range(2)}
    opening = desk.see(20_000).actions
    assert [action.wallet for action in opening if isinstance(action, Prepare)] == [0, 1]
    assert desk.state.phase is Phase.STARTING
    approved = as_opened(desk.state, STEADY)
    placed = [place for each in approved.actions if isinstance(each, Execute) for place in each.places]
    worth = sum(
        int(place.price) * int(place.size) * desk.state.spec.quote_lot_size
        for place in placed
        if place.side is Side.BID
    )
    wrapped = sum(int(view.gas) - int(STEADY.gas_floor) for view in desk.views.values())
    assert 0 < worth <= wrapped
    assert {place.side for place in placed} == set(Side)
