"""When the ladder is rebuilt and when it is left alone (SPEC 3.6), seen through ``decide``."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import DAY_MS, Settings
from bmv.core.decay import FINE
from bmv.core.decide import decide
from bmv.core.limits import Approved
from bmv.core.pricing import NO_PIVOT, NO_PRICE, NO_SOL_USD
from bmv.core.quoting import CRANK_APART_MS, CRANK_EVERY_MS, CRANK_PENDING
from bmv.core.state import InFlight, Phase, new_state
from bmv.events import AnyEvent, BundleResolved, Crank, Execute, MarketSeen, OracleSeen, Prepare, Report, Tick
from bmv.model import TOUCH, BundleCost, Fill, ForeignBook, LiveOrder, Outcome, Quote, Side, Trade, WalletView
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks, UsdPerSol
from tests.core.belongings import SOL, START, market, settings, wallet

P = 20_000
MINUTE = 60_000
STEADY = settings(REF_NOTIONAL_SOL="0.001", ORDERS_PER_WALLET=16, IDLE_INTERVAL_MIN=1440, PRICE_MAX_AGE="30d")


@dataclass
class Desk:
    """An engine whose every change lands at once; ``now`` moves by hand."""

    chosen: Settings = STEADY
    wallets: int = 2
    now: int = int(START)
    slot: int = 100
    seq: int = 0
    reports: list[Report] = field(default_factory=list)
    done: list[Execute] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lands: bool = True
    book: ForeignBook = ForeignBook()
    sol: int = 100 * SOL

    def __post_init__(self) -> None:
        self.state = new_state(market(), self.wallets, START)
        self.views = {n: wallet(n, sol=self.sol, lots=1_000_000) for n in range(self.wallets)}

    def happen(self, event: AnyEvent) -> Approved:
        self.state, approved = decide(self.state, event, self.chosen)
        self.reports += [action for action in approved.actions if isinstance(action, Report)]
        self.refused += [refusal.reason for refusal in approved.refusals]
        for action in approved.actions:
            if isinstance(action, Execute) and self.lands:
                self._land(action)
        return approved

    def _land(self, action: Execute) -> None:
        self.done.append(action)
        view = self.views[action.wallet]
        leaving = {cancel.order_id for cancel in action.cancels}
        kept = [o for o in view.orders if o.order_id not in leaving]
        for place in action.places:
            self.seq += 1
            kept.append(
                LiveOrder(place.wallet, place.side, place.price, place.size, self.seq, place.client_id)
            )
        self.views[action.wallet] = wallet(action.wallet, sol=self.sol, lots=1_000_000, orders=kept)
        self.resolve(action.ticket)

    def resolve(self, ticket: int, cost: int = 0) -> None:
        event = BundleResolved(
            at=Millis(self.now),
            bundle_id=f"b{ticket}",
            tickets=(ticket,),
            outcome=Outcome.LANDED,
            slot=Slot(self.slot + 1),
            cost=BundleCost(Lamports(cost)),
        )
        self.happen(event)

    def see(
        self,
        price: int | None = None,
        fills: Sequence[Fill] = (),
        views: Sequence[WalletView] = (),
        size: int = 10**6,
    ) -> Approved:
        """Read the chain; ``price`` is where somebody else traded ``size`` lots just now."""
        self.slot += 2
        trades = []
        if price is not None:
            self.seq += 1
            trades.append(Trade(self.seq, Millis(self.now), Ticks(price), BaseLots(size), Side.BID, False))
        self.views.update({view.wallet: view for view in views})
        return self.happen(
            MarketSeen(
                at=Millis(self.now),
                slot=Slot(self.slot),
                book=self.book,
                wallets=tuple(self.views.values()),
                trades=tuple(trades),
                fills=tuple(fills),
            )
        )

    def settle_down(self, price: int | None = None) -> None:
        """Read until nothing changes any more."""
        self.see(price)
        for _ in range(8):
            self.see()

    def wait(self, ms: int) -> None:
        """Let time pass and look."""
        self.now += ms
        self.see()

    def rebuilds(self) -> list[str]:
        found = [str(report.fields["trigger"]) for report in self.reports if report.name == "GRID_REBUILD"]
        self.reports.clear()
        return found

    def best(self, side: Side) -> Quote:
        return next(quote for quote in self.state.target.quotes if quote.side is side)

    def standing(self) -> set[tuple[int, Side, Ticks]]:
        return {(o.wallet, o.side, o.price) for view in self.views.values() for o in view.orders}

    def wanted(self) -> set[tuple[int, Side, Ticks]]:
        return {(q.wallet, q.side, q.price) for q in self.state.target.quotes}

    def fill(self, side: Side) -> None:
        """Let somebody take our best order of a side whole, at no change of P."""
        self.fill_lots(side, int(self.best(side).size))

    def fill_lots(self, side: Side, lots: int) -> None:
        """Let somebody take some lots of our best order of a side."""
        quote = self.best(side)
        view = self.views[quote.wallet]
        (live,) = [o for o in view.orders if (o.side, o.price) == (side, quote.price)]
        left = msgspec.structs.replace(live, size=live.size - BaseLots(lots))
        rest = [left if o is live else o for o in view.orders if o is not live or left.size > BaseLots(0)]
        self.seq += 1
        one = Fill(
            seq=self.seq,
            at=Millis(self.now),
            wallet=live.wallet,
            side=side,
            price=live.price,
            size=BaseLots(lots),
            maker=True,
            rebate=Lamports(0),
            fee=Lamports(0),
            order_id=live.order_id,
            client_id=live.client_id,
        )
        self.see(fills=[one], views=[wallet(live.wallet, sol=100 * SOL, lots=1_000_000, orders=rest)])


def quoting(chosen: Settings = STEADY, price: int = P) -> Desk:
    """Return a desk whose ladder stands around ``price``."""
    desk = Desk(chosen)
    desk.settle_down(price)
    assert desk.rebuilds() == ["signal"]
    assert desk.standing() == desk.wanted()
    assert not desk.refused
    desk.done.clear()
    return desk


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


def test_without_any_price_the_start_is_refused_with_a_reason() -> None:
    desk = Desk()
    desk.see()
    desk.see()
    assert desk.state.phase in {Phase.HALTING, Phase.DONE}
    assert desk.state.halt_reason == NO_PRICE


def test_orders_found_at_the_start_are_adopted_where_they_fit_and_withdrawn_where_not() -> None:
    first = quoting()
    second = Desk()
    strange = LiveOrder(0, Side.BID, Ticks(3), BaseLots(1), 999_999, 0)
    second.views = dict(first.views)
    second.views[0] = wallet(0, sol=100 * SOL, lots=1_000_000, orders=[*first.views[0].orders, strange])
    second.settle_down(P)
    assert [cancel.order_id for action in second.done for cancel in action.cancels] == [999_999]
    assert not [place for action in second.done for place in action.places]


# Triggers


@pytest.mark.parametrize(("price", "trigger"), [(P + P // 110, []), (P + P // 90, ["threshold"])])
def test_the_ladder_is_rebuilt_when_p_left_where_it_was_built_by_more_than_the_threshold(
    price: int, trigger: list[str]
) -> None:
    desk = quoting()
    desk.settle_down(price)
    assert desk.rebuilds() == trigger
    assert desk.standing() == desk.wanted()


def test_small_moves_add_up_to_the_threshold() -> None:
    desk = quoting()
    for move in (4, 8, 12):
        desk.settle_down(P * (1_000 + move) // 1_000)
    assert desk.rebuilds() == ["threshold"]


def test_a_forced_rebuild_that_changes_too_little_is_not_sent() -> None:
    desk = quoting()
    desk.wait(int(desk.chosen.forced_sync))
    assert desk.rebuilds() == []
    assert desk.state.target.built_at == desk.now
    assert not desk.done


def test_a_forced_rebuild_that_moves_a_best_price_is_sent() -> None:
    desk = quoting()
    desk.settle_down(P * 1_008 // 1_000)
    assert desk.rebuilds() == []
    desk.wait(int(desk.chosen.forced_sync))
    assert desk.rebuilds() == ["forced"]


def test_idle_time_tightens_both_sides_step_by_step_and_a_trade_widens_them() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", ORDERS_PER_WALLET=16, PRICE_MAX_AGE="30d"))
    spreads = []
    for _ in range(6):
        spreads.append(int(desk.best(Side.ASK).price) - int(desk.best(Side.BID).price))
        desk.wait(15 * MINUTE)
        desk.settle_down()
    assert spreads == [200, 176, 150, 126, 100, 100]
    assert desk.rebuilds() == ["local"] * 4
    desk.settle_down(P)
    assert desk.rebuilds() == ["local"]
    assert int(desk.best(Side.ASK).price) - int(desk.best(Side.BID).price) == 200


def test_a_tightening_step_is_not_swallowed_by_a_forced_rebuild_of_the_same_moment() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", FORCED_SYNC="15min", PRICE_MAX_AGE="30d"))
    before = desk.best(Side.ASK).price
    desk.wait(15 * MINUTE)
    assert desk.best(Side.ASK).price < before


def test_the_touch_is_kept_while_p_is_within_a_quarter_percent_of_it() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", REBALANCE_THRESHOLD_PCT="0.1", PRICE_MAX_AGE="30d"))
    touch = desk.best(Side.BID)
    desk.settle_down(P * 10_020 // 10_000)
    assert desk.rebuilds() == ["threshold"]
    assert (desk.best(Side.BID).point, desk.best(Side.BID).price) == (TOUCH, touch.price)
    desk.settle_down(P * 10_040 // 10_000)
    assert desk.best(Side.BID).price > touch.price


def test_a_touch_that_is_gone_is_topped_up_on_its_side_alone_and_not_more_often_than_allowed() -> None:
    desk = quoting()
    asks = [quote for quote in desk.state.target.quotes if quote.side is Side.ASK]
    desk.fill(Side.BID)
    assert desk.rebuilds() == ["local"]
    assert desk.best(Side.BID).point == TOUCH
    assert [quote for quote in desk.state.target.quotes if quote.side is Side.ASK] == asks
    desk.settle_down()
    desk.fill(Side.BID)
    assert desk.rebuilds() == []
    assert desk.best(Side.BID).point != TOUCH
    desk.wait(int(desk.chosen.topup_min_interval) - 1)
    assert desk.rebuilds() == []
    desk.wait(1)
    assert desk.rebuilds() == ["local"]


def test_topping_up_one_side_does_not_put_off_the_forced_sync() -> None:
    desk = quoting()
    built = desk.state.target.built_at
    desk.now += int(desk.chosen.topup_min_interval)
    desk.fill(Side.ASK)
    assert desk.rebuilds() == ["local"]
    assert desk.state.target.built_at == built


def test_a_side_left_behind_is_measured_from_the_price_it_was_built_at() -> None:
    desk = quoting()
    desk.now += int(desk.chosen.topup_min_interval)
    desk.see(P * 993 // 1_000)
    desk.fill(Side.ASK)
    assert desk.rebuilds() == ["local"]
    # A move of 0.7 % from there, 1.4 % from where the bids were built.
    desk.settle_down(P * 986 // 1_000)
    assert desk.rebuilds() == ["threshold"]


def test_a_side_topped_up_where_the_other_still_stands_takes_both_along() -> None:
    # So tight a spread that 0.9 % down the new asks would lie under the bids that were left.
    tight = settings(
        REF_NOTIONAL_SOL="0.001", INSIDE_SPREAD_PCT="0.1", MIN_SPREAD_PCT="0.1", PRICE_MAX_AGE="30d"
    )
    desk = quoting(tight)
    desk.now += int(desk.chosen.topup_min_interval)
    desk.see(P * 991 // 1_000)
    assert desk.rebuilds() == []
    desk.fill(Side.ASK)
    assert desk.rebuilds() == ["local"]
    bid, ask = (int(desk.best(side).price) for side in Side)
    assert bid < P * 991 // 1_000 < ask
    desk.settle_down()
    assert desk.standing() == desk.wanted()


def test_a_fill_in_part_lowers_the_target_and_changes_nothing_else() -> None:
    desk = quoting()
    touch = desk.best(Side.ASK)
    half = BaseLots(int(touch.size) // 2)
    desk.fill_lots(Side.ASK, int(half))
    assert (desk.best(Side.ASK).price, desk.best(Side.ASK).size) == (touch.price, touch.size - half)
    assert desk.rebuilds() == []
    assert not desk.done


def test_a_wallet_that_lost_its_accounts_gives_its_levels_to_the_others() -> None:
    desk = quoting()
    desk.see(views=[wallet(0, sol=0, lots=0, ready=False)])
    assert desk.rebuilds() == ["signal"]
    assert {quote.wallet for quote in desk.state.target.quotes} == {1}


# Pivot mode: the zones stay around the Pivot


def pinned(**keys: object) -> Settings:
    """Return settings whose Pivot stays at P: the seed outweighs every trade."""
    fixed = {"REF_NOTIONAL_SOL": "0.001", "ORDERS_PER_WALLET": 16, "IDLE_INTERVAL_MIN": 1440}
    seed = {"SEED_PRICE": 10 * P, "SEED_DAILY_VOLUME": 10**15, "CHANNEL_MODE": "pivot"}
    return settings(**{**fixed, **seed, **keys})


def far(percent: int) -> int:
    return P * (100 + percent) // 100


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


# The Pivot in dollars


def in_dollars(**keys: object) -> Settings:
    """Return settings whose seed is P where a SOL costs 4 dollars."""
    price = {"SEED_USD_PRICE": 4 * 10 * P, "PIVOT_MODE": "sol_fade_in", "FADE_IN_DAYS": 10}
    return settings(**{"REF_NOTIONAL_SOL": "0.001", "ORDERS_PER_WALLET": 16, **price, **keys})


def told(desk: Desk, dollars: int) -> None:
    desk.happen(OracleSeen(at=Millis(desk.now), sol_usd=UsdPerSol(dollars * 10**6)))


def test_a_fading_pivot_waits_a_minute_for_the_oracle_then_refuses_to_start_with_a_reason() -> None:
    desk = Desk(in_dollars())
    desk.see(P)
    desk.wait(MINUTE - 1)
    assert (desk.state.halt_reason, desk.done) == ("", [])
    desk.wait(1)
    assert desk.state.halt_reason == NO_SOL_USD


def test_a_fading_pivot_starts_once_the_oracle_has_spoken_and_fades_into_the_trades() -> None:
    desk = Desk(in_dollars(PIVOT_MAX_DAILY_MOVE_PCT=100))
    desk.see()
    told(desk, 4)
    desk.settle_down()
    market = desk.state.market
    assert market.reading is not None
    assert (market.reading.source, market.reading.price_fine) == ("last", P * FINE)
    desk.now += 5 * DAY_MS
    told(desk, 8)
    desk.see(far(10))
    # Half faded, and five days at 4 dollars are the whole average yet.
    assert market.capped_pivot.raw_fine == (P + far(10)) * FINE // 2
    desk.now += 5 * DAY_MS
    desk.see()
    assert market.capped_pivot.raw_fine == far(10) * FINE


def test_a_rebuild_tells_the_pivot_with_and_without_its_limit_and_our_share_of_it() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", PIVOT_MODE="pure", MAX_PRICE_JUMP_PCT=100))
    desk.seq += 1
    ours = Trade(desk.seq, Millis(desk.now), Ticks(far(40)), BaseLots(3 * 10**6), Side.BID, True)
    desk.state.market.pivot.add(ours)
    desk.now += DAY_MS
    desk.see(far(2), size=4 * 10**6)
    (told,) = [report.fields for report in desk.reports if report.name == "GRID_REBUILD"]
    assert told["pivot_raw_fine"] == (P + 3 * far(40) + 4 * far(2)) * FINE // 8
    assert told["pivot_fine"] == pytest.approx(P * FINE * 1.05, rel=1e-6)
    assert told["own_share_bps"] == 10_000 * 3 // 8


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


# Cranking


def cranks(own_pending: int, since: int, queue: int, slots: int, flying: bool) -> bool:
    desk = quoting()
    desk.views = {n: msgspec.structs.replace(view, order_slots=slots) for n, view in desk.views.items()}
    if flying:
        desk.state.in_flight[99] = InFlight(99, Crank(99), None, desk.state.now)
    desk.state.cranked_at = Millis(desk.now - since)
    desk.slot += 2
    event = MarketSeen(
        at=Millis(desk.now),
        slot=Slot(desk.slot),
        book=desk.book,
        wallets=tuple(desk.views.values()),
        queue_count=queue,
        own_pending=own_pending,
    )
    return any(isinstance(action, Crank) for action in desk.happen(event).actions)


@pytest.mark.parametrize(
    ("own_pending", "since", "queue", "slots", "flying", "wanted"),
    [
        (CRANK_PENDING, int(CRANK_APART_MS), 50, 100, False, True),
        (CRANK_PENDING, int(CRANK_APART_MS) - 1, 50, 100, False, False),
        (CRANK_PENDING, int(CRANK_APART_MS), 50, 100, True, False),
        (1, int(CRANK_APART_MS), 50, 100, False, False),
        (1, int(CRANK_APART_MS), 50, 39, False, True),
        (1, int(CRANK_EVERY_MS), 50, 100, False, True),
        (0, int(CRANK_EVERY_MS), 50, 100, False, False),
        (0, int(CRANK_APART_MS), 1_489, 100, False, True),
        (0, int(CRANK_APART_MS), 1_488, 100, False, False),
    ],
)
def test_the_queue_is_cranked_when_it_holds_something_of_ours_or_fills_up(
    own_pending: int, since: int, queue: int, slots: int, flying: bool, wanted: bool
) -> None:
    assert cranks(own_pending, since, queue, slots, flying) == wanted
