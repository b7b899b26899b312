"""What rebuilds the ladder, how much of it, and what does not."""

import msgspec
import pytest

from bmv.core.triggers import BOTH, Trigger, due, worth_sending
from bmv.events import MarketSeen
from bmv.model import TOUCH, ForeignBook, Quote, Rival, Side
from bmv.units import BaseLots, Millis, Slot, Ticks
from tests.core.belongings import order, quote, settings, wallet
from tests.core.desk import MINUTE, STEADY, Desk, P, quoting

STILL = settings(REF_NOTIONAL_SOL="0.001", PRICE_MAX_AGE="30d", ORDERS_PER_WALLET=16)


def causes(desk: Desk) -> list[str]:
    """Return the causes of the rebuilds since the last call."""
    found = [str(report.fields["cause"]) for report in desk.reports if report.name == "GRID_REBUILD"]
    desk.reports.clear()
    return found


def behind(desk: Desk) -> dict[Side, list[Quote]]:
    """Return the wanted quotes behind the first orders."""
    quotes = [quote for quote in desk.state.target.quotes if quote.point != TOUCH]
    return {side: [quote for quote in quotes if quote.side is side] for side in Side}


def test_a_tightening_step_moves_the_first_orders_and_nothing_else() -> None:
    desk = quoting(STILL)
    before = behind(desk)
    for _ in range(4):
        desk.done.clear()
        desk.wait(15 * MINUTE)
        desk.settle_down()
        assert causes(desk)[0] == "inside spread"
        placed = [place for change in desk.done for place in change.places]
        # Both first orders, and on each side at most the level they made room for.
        assert 2 <= len(placed) <= 4
        for side, quotes in behind(desk).items():
            assert quotes[-len(before[side]) :] == before[side] or len(quotes) <= len(before[side])
            assert len(quotes) <= len(before[side]) + 1


def test_tightening_and_widening_again_leaves_the_ladder_as_it_was() -> None:
    desk = quoting(STILL)
    before = {(q.side, q.price, q.size) for q in desk.state.target.quotes}
    for _ in range(4):
        desk.wait(15 * MINUTE)
        desk.settle_down()
    desk.settle_down(P)
    after = {(q.side, q.price, q.size) for q in desk.state.target.quotes}
    assert {(side, price) for side, price, _ in after} == {(side, price) for side, price, _ in before}


def test_a_flat_market_gets_its_tightening_steps_and_nothing_more() -> None:
    desk = quoting(STILL)
    for _ in range(4):
        desk.wait(15 * MINUTE)
        desk.settle_down()
    desk.reports.clear()
    desk.done.clear()
    for _ in range(24 * 4):
        desk.wait(15 * MINUTE)
        desk.settle_down()
    assert causes(desk) == []
    assert desk.done == []


def rival(desk: Desk, side: Side, ticks: int) -> ForeignBook:
    """Return a book in which a large order stands so many ticks in front of our first one."""
    ahead = ticks if side is Side.BID else -ticks
    best = (Rival(desk.best(side).price + Ticks(ahead), BaseLots(10**6)),)
    return ForeignBook(bid_rivals=best) if side is Side.BID else ForeignBook(ask_rivals=best)


@pytest.mark.parametrize("side", list(Side))
def test_a_rival_moves_the_first_order_of_its_side_alone_and_only_so_often(side: Side) -> None:
    desk = quoting(STILL)
    before, other = behind(desk), desk.best(side.opposite)
    for _ in range(4):
        touch = desk.best(side)
        desk.book = rival(desk, side, 3)
        desk.done.clear()
        desk.settle_down()
        assert causes(desk) == ["penny"]
        assert abs(int(desk.best(side).price - touch.price)) == 4
        assert sum(len(change.places) for change in desk.done) == 1
    assert behind(desk) == before
    assert desk.best(side.opposite) == other
    leapt = rival(desk, side, 3)
    desk.book = leapt
    desk.settle_down()
    assert causes(desk) == []
    desk.now += 60 * MINUTE
    desk.settle_down(P)
    assert "penny" in causes(desk) or desk.best(side).price != leapt


def test_a_step_in_front_of_a_rival_that_is_not_sent_is_no_move() -> None:
    desk = quoting(
        settings(
            REF_NOTIONAL_SOL="0.001", PRICE_MAX_AGE="30d", IDLE_INTERVAL_MIN=1440, REBUILD_MIN_CHANGE_PCT=50
        )
    )
    # P fell by less than the threshold, so a new first bid would stand behind this rival, and the old one
    # stands before it.
    desk.settle_down(P * 9_972 // 10_000)
    desk.book = rival(desk, Side.BID, -15)
    desk.wait(int(desk.chosen.forced_sync))
    assert causes(desk) == []
    assert desk.state.target.built_at == desk.now
    assert desk.state.market.pennies == ()


def test_a_penny_stays_while_the_ladder_is_rebuilt_and_ends_when_p_has_left_it() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", PRICE_MAX_AGE="30d", REBALANCE_THRESHOLD_PCT="0.1"))
    desk.book = rival(desk, Side.BID, 5)
    desk.settle_down()
    pennied = desk.best(Side.BID)
    assert pennied.why is not None
    desk.book = ForeignBook()
    desk.settle_down(P * 10_011 // 10_000)
    assert desk.best(Side.BID).price == pennied.price
    desk.settle_down(P * 9_950 // 10_000)
    assert desk.best(Side.BID).price < pennied.price


def test_an_order_nobody_asked_for_is_told_rebuilds_the_ladder_and_is_withdrawn() -> None:
    desk = quoting()
    view = desk.views[0]
    strange = order(0, Side.BID, P - 7_777, 5, order_id=999_999, client_id=120)
    desk.see(views=[wallet(0, sol=desk.sol, lots=1_000_000, orders=[*view.orders, strange])])
    assert [r.fields["price"] for r in desk.reports if r.name == "WALLET_ORDER_UNKNOWN"] == [P - 7_777]
    assert causes(desk) == ["an order nobody asked for stands"]
    desk.settle_down()
    assert desk.standing() == desk.wanted()
    assert causes(desk) == []


def test_an_evicted_order_and_missed_events_rebuild_the_ladder_once() -> None:
    desk = quoting()
    view = desk.views[0]
    desk.see(views=[wallet(0, sol=desk.sol, lots=1_000_000, orders=view.orders[:-1])])
    assert causes(desk) == ["an order was evicted"]
    desk.settle_down()
    desk.slot += 2
    desk.happen(
        MarketSeen(
            at=Millis(desk.now),
            slot=Slot(desk.slot),
            book=desk.book,
            wallets=tuple(desk.views.values()),
            events_missed=3,
        )
    )
    assert causes(desk) == ["events were missed"]
    desk.settle_down()
    assert causes(desk) == []


def test_a_wallet_that_comes_back_takes_levels_again() -> None:
    desk = quoting()
    desk.views[1] = msgspec.structs.replace(desk.views[1], ready=False, orders=())
    desk.settle_down()
    assert {quote.wallet for quote in desk.state.target.quotes} == {0}
    desk.reports.clear()
    desk.views[1] = wallet(1, sol=desk.sol, lots=1_000_000)
    desk.settle_down()
    assert causes(desk) == ["a wallet came or went"]
    assert {quote.wallet for quote in desk.state.target.quotes} == {0, 1}


def test_a_cause_that_waits_for_a_confirmed_price_is_not_forgotten() -> None:
    desk = quoting()
    desk.see(P * 2)
    assert desk.state.market.reading is not None
    assert not desk.state.market.reading.confirmed
    desk.state.signal = "something"
    desk.see(P * 2)
    assert causes(desk) == []
    assert due(desk.state, desk.chosen) == Trigger("signal", "something", BOTH)


def test_a_rebuild_by_the_clock_is_sent_from_five_percent_of_the_value_or_a_third_of_a_percent_on() -> None:
    old = [quote(0, Side.BID, 1_000 - n, 100) for n in range(10)]
    last, first = old[-1], old[0]
    assert not worth_sending(old, old, STEADY)
    for size, worth in ((149, False), (155, True)):
        assert (
            worth_sending(old, [*old[:-1], msgspec.structs.replace(last, size=BaseLots(size))], STEADY)
            == worth
        )
    half = settings(REBUILD_MIN_CHANGE_PCT=50)
    for price, worth in ((1_002, False), (1_003, True), (997, True)):
        assert (
            worth_sending(old, [msgspec.structs.replace(first, price=Ticks(price)), *old[1:]], half) == worth
        )
    assert worth_sending(old, [], STEADY)


@pytest.mark.parametrize(("size", "worth"), [(109, False), (112, True)])
def test_a_small_side_counts_as_half_a_ladder_however_much_the_other_is_worth(size: int, worth: bool) -> None:
    asks = [quote(0, Side.ASK, 1_001 + n, 100_000) for n in range(10)]
    old = [quote(0, Side.BID, 1_000 - n, 100) for n in range(10)]
    new = [msgspec.structs.replace(each, size=BaseLots(size)) for each in old]
    assert worth_sending(old + asks, new + asks, STEADY) == worth
    assert worth_sending(asks + old, asks + new, STEADY) == worth
