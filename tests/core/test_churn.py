"""What ten successive moves of price and Pivot make the engine write, through the real functions.

Zones slide as a whole (F follows at once: the worst case), or F lags with its half-life. Every change lands
at once. Written are orders placed and orders withdrawn; a level that leaves or enters is a lattice point in
whose place an order stood or stands. A move of exactly REBALANCE_THRESHOLD does not rebuild, so with the
default every second one does, with half of it each.
"""

from math import log
from typing import NamedTuple

import pytest

from bmv.config import Settings
from bmv.core.channel import channel
from bmv.core.decay import FINE, ema_step
from bmv.core.plan import Plan, diff
from bmv.core.price import PriceReading
from bmv.core.rebuilding import rebuild_if_due
from bmv.core.state import State
from bmv.model import TOUCH, Clip, LiveOrder, Side
from bmv.units import Millis
from tests.core.belongings import SOL, START, market, order, quoting_state, settings, wallet

P = 2_000_000
SOL_EACH, LOTS_EACH = 1_000 * SOL, 20_000_000
TEN_MINUTES = 600_000


class Churn(NamedTuple):
    """What moves made the engine do."""

    written: int
    cancelled: int
    crossed: int
    standing: int


def moved(levels: int, step_bps: int, *, rigid: bool, **keys: object) -> Churn:
    """Move price and Pivot ten times by ``step_bps``; count after the first ladder stands."""
    chosen = settings(**{"GRID_LEVELS": levels, "TARGET_CONTROL_PCT": 0, **keys})
    views = [wallet(n, sol=SOL_EACH, lots=LOTS_EACH) for n in range(max(4, levels // 25))]
    state = quoting_state(views, spec=market(1_600, 1_600))
    price = average = pivot = P * FINE
    look(state, chosen, price, average, pivot)
    written = cancelled = crossed = 0
    for number in range(1, 11):
        before = places(state)
        state.now = state.seen_at = START + Millis(number * TEN_MINUTES)
        state.market.presence.on_trade(state.now)
        price, pivot = price * (10_000 + step_bps) // 10_000, pivot * (10_000 + step_bps) // 10_000
        average = price if rigid else ema_step(average, price, Millis(TEN_MINUTES), chosen.channel_inertia)
        placed, withdrawn = look(state, chosen, price, average, pivot)
        written, cancelled = written + placed, cancelled + withdrawn
        crossed += len(before ^ places(state))
        assert sum(len(view.orders) for view in state.views.values()) <= levels
    return Churn(written, cancelled, crossed, len(state.target.quotes))


def look(state: State, chosen: Settings, price: int, average: int, pivot: int) -> tuple[int, int]:
    """Rebuild if due and land changes until nothing is left to do; count placements and cancels."""
    state.market.reading = PriceReading(price, "trades", True, price)
    state.market.channel = channel(price, average, pivot, chosen)
    rebuild_if_due(state, chosen)
    placed = withdrawn = 0
    while plan := planned(state, chosen):
        for change in plan.wallets:
            leaving = {cancel.order_id for cancel in change.cancels}
            kept = [each for each in state.views[change.wallet].orders if each.order_id not in leaving]
            kept += [
                order(p.wallet, p.side, int(p.price), int(p.size), client_id=p.client_id)
                for p in change.places
            ]
            state.views[change.wallet] = wallet(change.wallet, sol=SOL_EACH, lots=LOTS_EACH, orders=kept)
            placed, withdrawn = placed + len(change.places), withdrawn + len(leaving)
    assert standing(state) == {(q.wallet, q.side, q.price) for q in state.target.quotes}
    return placed, withdrawn


def planned(state: State, chosen: Settings) -> Plan | None:
    plan = diff(state.target.quotes, [view for _, view in sorted(state.views.items())], {}, chosen)
    return plan if plan.wallets else None


def standing(state: State) -> set[object]:
    orders: list[LiveOrder] = [each for view in state.views.values() for each in view.orders]
    return {(each.wallet, each.side, each.price) for each in orders}


def places(state: State) -> set[tuple[Side, int]]:
    return {(quote.side, quote.why.point) for quote in state.target.quotes if quote.why}


@pytest.mark.parametrize("rigid", [True, False], ids=["sliding", "lagging"])
@pytest.mark.parametrize("step_bps", [100, -100])
@pytest.mark.parametrize("levels", [100, 800])
@pytest.mark.parametrize("control", [0, 70], ids=["density 2", "density 4"])
@pytest.mark.parametrize("mode", ["follow", "pivot"])
@pytest.mark.parametrize("threshold", ["1", "0.5"])
def test_ten_moves_write_no_more_than_twice_what_crossed_the_borders_and_one_new_binding(
    levels: int, step_bps: int, rigid: bool, control: int, mode: str, threshold: str
) -> None:
    keys = {"CHANNEL_MODE": mode, "TARGET_CONTROL_PCT": control, "REBALANCE_THRESHOLD_PCT": threshold}
    churn = moved(levels, step_bps, rigid=rigid, **keys)
    assert churn.crossed > 0
    # A replaced order counts twice, withdrawn and placed; the binding counts each level once.
    assert churn.written + churn.cancelled <= 2 * churn.crossed + churn.standing
    # Whatever is written anew was withdrawn before: nothing piles up.
    assert churn.cancelled >= churn.written - levels


def test_moves_too_small_for_threshold_and_clock_write_nothing() -> None:
    # Ten times 0.02 %: less than the 0.3 % of a best price that a forced rebuild would be sent for.
    churn = moved(100, 2, rigid=True)
    assert (churn.written, churn.cancelled) == (0, 0)


def bend(state: State) -> float:
    """Return by which factor bids with enough funds differ from growing eightfold over 15 % of price."""
    bids = [
        quote
        for quote in state.target.quotes
        if quote.side is Side.BID and quote.point != TOUCH and quote.why and quote.why.clip is not Clip.FUNDS
    ]
    ways = [log(int(bids[0].price) / int(bid.price)) / log(1 / 0.85) for bid in bids]
    shape = [int(bid.size) / 8**way for bid, way in zip(bids, ways, strict=True)]
    return max(shape) / min(shape)


def test_what_a_fall_has_bent_is_straight_again_once_the_price_has_rested() -> None:
    chosen = settings(GRID_LEVELS=100, TARGET_CONTROL_PCT=0)
    state = quoting_state(
        [wallet(n, sol=SOL_EACH, lots=LOTS_EACH) for n in range(4)], spec=market(1_600, 1_600)
    )
    price = P * FINE
    look(state, chosen, price, price, price)
    assert bend(state) < 1.05
    for number in range(1, 11):
        state.now = state.seen_at = START + Millis(number * TEN_MINUTES)
        state.market.presence.on_trade(state.now)
        price = price * 9_900 // 10_000
        look(state, chosen, price, price, price)
    rests, written = state.now, []
    for hour in range(1, 26):
        state.now = state.seen_at = rests + Millis(hour * int(chosen.forced_sync))
        state.market.presence.on_trade(state.now)
        written.append(look(state, chosen, price, price, price)[0])
        # Each size within SIZE_BAND of what its level asks for, and in the end within REANCHOR.
        assert bend(state) < 1.3**2 if hour >= 12 else 2 < bend(state) < 2**2
    assert written[11] > 0
    assert sum(written[1:11] + written[12:]) == 0
