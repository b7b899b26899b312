"""When the ladder is rebuilt, and what of it (SPEC 3.6), seen through ``decide``."""

import pytest

from bmv.model import TOUCH, Side
from bmv.units import BaseLots
from tests.core.belongings import SOL, settings, wallet
from tests.core.desk import MINUTE, STEADY, P, quoting


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


def test_an_empty_ladder_that_stays_empty_is_not_told_again() -> None:
    desk = quoting()
    desk.see(views=[wallet(n, sol=0, lots=0) for n in desk.views])
    assert desk.rebuilds() == ["signal"]
    assert desk.wanted() == set()
    for _ in range(9):
        desk.wait(int(desk.chosen.topup_min_interval))
    assert desk.rebuilds() == []
    desk.see(views=[wallet(0, sol=100 * SOL, lots=1_000_000)])
    assert "signal" in desk.rebuilds()


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


def test_what_stands_grows_in_calm_but_not_while_the_price_moves() -> None:
    # The asks are worth so much that what the bids gain is little beside them.
    desk = quoting()
    desk.see(
        views=[wallet(n, sol=300 * SOL, lots=1_000_000, orders=desk.views[n].orders) for n in desk.views]
    )
    desk.sol = 300 * SOL
    small = {(o.side, o.price): o.size for view in desk.views.values() for o in view.orders}
    desk.settle_down(P * 102 // 100)
    assert desk.rebuilds() == ["threshold"]
    moving = {(o.side, o.price): o.size for view in desk.views.values() for o in view.orders}
    bids = [key for key in small.keys() & moving.keys() if key[0] is Side.BID]
    assert len(bids) > 5
    assert all(moving[key] <= small[key] for key in bids)
    desk.wait(int(desk.chosen.forced_sync))
    desk.settle_down()
    assert desk.rebuilds() == ["forced"]
    calm = {(o.side, o.price): o.size for view in desk.views.values() for o in view.orders}
    grown = [key for key in bids if key in calm and int(calm[key]) > 2 * int(small[key])]
    assert len(grown) > 5


@pytest.mark.parametrize(("syncs", "at"), [(12, [12]), (4, [4, 4, 4, 4]), (0, [1] + [0] * 18)])
def test_a_market_that_never_rests_lets_orders_grow_after_so_many_syncs(syncs: int, at: list[int]) -> None:
    desk = quoting(STEADY.model_copy(update={"grow_after_syncs": syncs}))
    sync, price = int(desk.chosen.forced_sync), P
    desk.sol = 300 * SOL
    began, grew = desk.now, []
    for step in range(20):
        price = P * (102 if step % 2 else 100) // 100
        desk.now += sync * 9 // 10
        desk.settle_down(price)
        if int(desk.state.target.grown_at) > began:
            grew.append((desk.now - began) // sync)
            began = desk.now
    assert set(desk.rebuilds()) == {"threshold"}
    assert grew == at
