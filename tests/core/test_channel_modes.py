"""Follow mode is never one-sided, pivot mode keeps to its zones (SPEC 3.3), seen through ``decide``."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from bmv.config import DAY_MS, Settings
from bmv.core.decay import FINE
from bmv.core.pricing import NO_PIVOT
from bmv.model import TOUCH, ForeignBook, Side
from bmv.units import Millis, Ticks
from tests.core.belongings import settings
from tests.core.desk import MINUTE, Desk, P, far, quoting

# Pivot mode: the zones stay around the Pivot


def pinned(**keys: object) -> Settings:
    """Return settings whose Pivot stays at P: the seed outweighs every trade."""
    fixed = {"REF_NOTIONAL_SOL": "0.001", "ORDERS_PER_WALLET": 16, "IDLE_INTERVAL_MIN": 1440}
    seed = {"SEED_PRICE": 10 * P, "SEED_DAILY_VOLUME": 10**15, "CHANNEL_MODE": "pivot"}
    return settings(**{**fixed, **seed, **keys})


@pytest.mark.parametrize(
    ("price", "bid", "ask"),
    [
        (P, far(0) * 995 // 1_000, far(0) * 1_005 // 1_000),
        (far(20), P, far(20) * 1_005 // 1_000),
        (far(-10), far(-10) * 995 // 1_000, P),
        (far(-15) + 20, far(-15), P),
        (far(30) - 20, P, far(30)),
    ],
)
def test_in_pivot_mode_the_first_orders_stand_at_the_spread_or_where_their_zone_begins(
    price: int, bid: int, ask: int
) -> None:
    desk = quoting(pinned(), price)
    assert [(q.point, int(q.price)) for q in (desk.best(Side.BID), desk.best(Side.ASK))] == [
        (TOUCH, bid),
        (TOUCH, ask),
    ]


def test_asks_that_a_risen_pivot_has_passed_leave_at_once_though_nothing_may_be_placed() -> None:
    desk = quoting(pinned())
    desk.state.spend(desk.chosen.daily_cost_budget, Millis(desk.now))
    asks = sorted(int(quote.price) for quote in desk.state.target.quotes if quote.side is Side.ASK)
    # The seed is another one now, a limit that is wide open lets the Pivot follow it at once.
    desk.chosen = pinned(SEED_PRICE=10 * asks[2], PIVOT_MAX_DAILY_MOVE_PCT=100)
    desk.now += DAY_MS // 2
    desk.state.spend(desk.chosen.daily_cost_budget, Millis(desk.now))
    desk.settle_down()
    left = sorted(int(o.price) for view in desk.views.values() for o in view.orders if o.side is Side.ASK)
    assert left == asks[2:]


def out_of_channel(desk: Desk) -> list[str]:
    found = [str(report.fields["side"]) for report in desk.reports if report.name == "OUT_OF_CHANNEL"]
    desk.reports.clear()
    return found


@pytest.mark.parametrize(("side", "percent", "back"), [(Side.BID, -20, -5), (Side.ASK, 40, 20)])
def test_a_price_outside_the_channel_empties_a_side_and_is_told_once(
    side: Side, percent: int, back: int
) -> None:
    desk = quoting(pinned(MAX_PRICE_JUMP_PCT=100))
    desk.settle_down(far(percent))
    assert out_of_channel(desk) == [side.name]
    assert {quote.side for quote in desk.state.target.quotes} == {side.opposite}
    assert desk.standing() == desk.wanted()
    desk.wait(20 * MINUTE)
    assert desk.rebuilds() == []
    desk.settle_down(far(back))
    assert out_of_channel(desk) == ["none"]
    assert {quote.side for quote in desk.state.target.quotes} == set(Side)


@pytest.mark.parametrize(("percent", "sign"), [(-20, 1), (40, -1)])
def test_outside_the_channel_the_price_walks_back_towards_the_standing_side(percent: int, sign: int) -> None:
    desk = quoting(pinned(MAX_PRICE_JUMP_PCT=100, PRICE_MAX_AGE="1min"))
    desk.settle_down(far(percent))
    desk.wait(2 * MINUTE)
    for _ in range(60):
        desk.wait(MINUTE)
    reading = desk.state.market.reading
    assert reading is not None
    assert reading.source == "last"
    assert reading.price_fine / FINE == pytest.approx(far(percent) * (1 + sign * 0.01), rel=5e-4)


@pytest.mark.parametrize("mode", ["follow", "pivot"])
def test_without_funds_for_bids_the_price_walks_down_to_where_asks_trade(mode: str) -> None:
    desk = Desk(pinned(PRICE_MAX_AGE="1min", CHANNEL_MODE=mode), sol=0)
    desk.settle_down(P)
    for _ in range(61):
        desk.wait(MINUTE)
    reading = desk.state.market.reading
    assert reading is not None
    assert (reading.source, desk.state.market.closed) == ("last", ())
    assert reading.price_fine / FINE == pytest.approx(P * 0.99, rel=5e-4)


def test_while_nothing_may_be_placed_the_price_does_not_walk() -> None:
    desk = Desk(pinned(PRICE_MAX_AGE="1min", CHANNEL_MODE="follow"), sol=0)
    desk.settle_down(P)
    desk.state.spend(desk.chosen.daily_cost_budget, Millis(desk.now))
    for _ in range(61):
        desk.wait(MINUTE)
    reading = desk.state.market.reading
    assert reading is not None
    assert (reading.source, reading.price_fine) == ("last", P * FINE)
    assert {order.side for view in desk.views.values() for order in view.orders} == {Side.ASK}


@pytest.mark.parametrize("mode", ["follow", "pivot"])
def test_pivot_mode_without_a_pivot_refuses_to_start_with_a_reason(mode: str) -> None:
    desk = Desk(settings(PIVOT_MODE="pure", CHANNEL_MODE=mode))
    desk.book = ForeignBook(Ticks(P - 1), Ticks(P + 1), Ticks(P - 1), Ticks(P + 1), 1, 1)
    desk.see()
    desk.see()
    assert desk.state.halt_reason == (NO_PIVOT if mode == "pivot" else "")


def test_pivot_mode_switched_on_before_there_is_a_pivot_takes_hold_with_the_first_one() -> None:
    desk = Desk(settings(PIVOT_MODE="pure", REF_NOTIONAL_SOL="0.001", ORDERS_PER_WALLET=16))
    desk.book = ForeignBook(Ticks(P - 1), Ticks(P + 1), Ticks(P - 1), Ticks(P + 1), 1, 1)
    desk.settle_down()
    assert len(desk.standing()) > 16
    for mode in ({"CHANNEL_MODE": "pivot"}, {"CHANNEL_MODE": "pivot", "PIVOT_MODE": "sol_fade_in"}):
        desk.chosen = settings(**{"PIVOT_MODE": "pure", "SEED_USD_PRICE": 1, **mode})
        desk.settle_down()
        zones = desk.state.market.channel
        assert zones is not None
        assert (desk.state.halt_reason, zones.binding) == ("", False)
    desk.chosen = settings(PIVOT_MODE="pure", CHANNEL_MODE="pivot")
    desk.settle_down(P)
    zones = desk.state.market.channel
    assert zones is not None
    assert (zones.binding, zones.anchor) == (True, P * FINE)


@hypothesis(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-30, 45), st.sampled_from([1, 40, 200]), st.integers(1, 10**4)),
        min_size=2,
        max_size=8,
    )
)
def test_in_pivot_mode_no_ask_ever_stands_below_the_pivot(steps: list[tuple[int, int, int]]) -> None:
    chosen = settings(
        REF_NOTIONAL_SOL="0.001",
        ORDERS_PER_WALLET=6,
        PIVOT_MODE="pure",
        CHANNEL_MODE="pivot",
        PIVOT_MAX_DAILY_MOVE_PCT=100,
        PRICE_CONFIRM_S=0,
    )
    desk = Desk(chosen)
    desk.see(P)
    for percent, minutes, size in steps:
        desk.now += minutes * MINUTE
        desk.done.clear()
        desk.see(far(percent), size=size)
        desk.settle_down()
        pivot = desk.state.market.capped_pivot.value_fine
        assert pivot is not None
        placed = [place for action in desk.done for place in action.places]
        assert all(place.side is Side.BID or int(place.price) * FINE >= pivot for place in placed)
        bids = [quote for quote in desk.state.target.quotes if quote.side is Side.BID]
        assert all(int(bid.price) * FINE <= pivot for bid in bids)
        asks = [quote for quote in desk.state.target.quotes if quote.side is Side.ASK]
        assert all(int(ask.price) * FINE >= pivot for ask in asks)
        assert desk.standing() == desk.wanted()
        assert not desk.state.halt_reason


@hypothesis(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-60, 150), st.sampled_from([0, 40, 3_000, 30_000]), st.integers(1, 10**7)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["0", "1", str(P), str(90 * P)]),
)
def test_in_follow_mode_both_sides_stand_at_the_spread_wherever_price_average_and_pivot_are(
    steps: list[tuple[int, int, int]], seed: str
) -> None:
    chosen = settings(
        REF_NOTIONAL_SOL="0.001",
        ORDERS_PER_WALLET=6,
        SEED_PRICE=seed,
        SEED_DAILY_VOLUME=min(1, int(seed)),
        PRICE_CONFIRM_S=0,
    )
    desk = Desk(chosen)
    for percent, minutes, size in steps:
        desk.now += minutes * MINUTE
        desk.see(far(percent), size=size)
        desk.settle_down()
        reading = desk.state.market.reading
        assert reading is not None
        for side, sign in ((Side.BID, -1), (Side.ASK, 1)):
            touch = desk.best(side)
            assert touch.point == TOUCH
            wanted = reading.price_fine / FINE * (1 + sign * 0.005)
            # Not rebuilt within REBALANCE_THRESHOLD, kept within a quarter percent, whole ticks.
            assert int(touch.price) == pytest.approx(wanted, rel=0.0127, abs=1)
        assert desk.standing() == desk.wanted()
        assert desk.state.market.closed == ()
