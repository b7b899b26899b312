"""The guards at work, seen through ``decide``: what is held back is withdrawn, told once, and comes back."""

from collections import Counter
from decimal import Decimal

import msgspec
import pytest

from bmv.config import Settings
from bmv.core.decay import FINE
from bmv.core.drawdown import Stage
from bmv.core.guarding import EMPTY, FAILING, FROZEN, GAS, usable
from bmv.core.limits import gas_reserve
from bmv.core.remembering import belief_of
from bmv.core.state import Phase
from bmv.events import BundleResolved, Execute, FeedLost, Prepare, Remembered, Report, Tick
from bmv.model import Outcome, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import SOL, START, settings, wallet
from tests.core.desk import STEADY, Desk, P, quoting


def steady(**keys: object) -> Settings:
    """Return the settings of a desk whose ladder changes for nothing else, with ``keys``."""
    given = {"REF_NOTIONAL_SOL": "0.001", "ORDERS_PER_WALLET": 16, "IDLE_INTERVAL_MIN": 1440}
    return settings(**given, PRICE_MAX_AGE="30d", **keys)


def price_of(ticks: int) -> Decimal:
    return Desk().state.spec.price(Ticks(ticks))


def told(desk: Desk, *names: str) -> list[dict[str, str | int]]:
    """Return the fields of the reports with these names so far, and forget all reports."""
    found = [report.fields for report in desk.reports if report.name in names]
    desk.reports.clear()
    return found


def sides(desk: Desk) -> set[Side]:
    return {side for _, side, _ in desk.standing()}


def calm(desk: Desk) -> None:
    """Let the desk settle and check that it has nothing left to do."""
    for _ in range(6):
        desk.see()
    desk.done.clear()
    desk.see()
    assert not desk.done


# Price bands


@pytest.mark.parametrize(
    ("key", "limit", "beyond", "side"),
    [("MAX_PRICE", P + 300, P + 400, Side.BID), ("MIN_PRICE", P - 300, P - 400, Side.ASK)],
)
def test_a_price_beyond_its_band_empties_the_side_until_it_is_well_back(
    key: str, limit: int, beyond: int, side: Side
) -> None:
    desk = quoting(steady(**{key: price_of(limit)}))
    assert sides(desk) == set(Side)
    desk.settle_down(beyond)
    assert sides(desk) == {side.opposite}
    assert [fields["side"] for fields in told(desk, "SIDE_STOPPED")] == [side.name]
    calm(desk)
    desk.settle_down(limit)
    assert sides(desk) == {side.opposite}, "at the border itself it does not return yet"
    desk.settle_down(P)
    assert sides(desk) == set(Side)
    assert [fields["reason"] for fields in told(desk, "SIDE_RESUMED")] == ["price band"]


def test_while_a_side_is_stopped_the_price_does_not_walk_to_refill_it() -> None:
    desk = quoting(steady(MAX_PRICE=price_of(P + 300), PRICE_DRIFT_PCT_PER_H=10))
    desk.settle_down(P + 400)
    desk.state.market.tracker.last_fine = (P + 400) * FINE
    assert desk.state.market.reading is not None
    before = desk.state.market.reading.price_fine
    for _ in range(40):
        desk.wait(60_000)
    assert desk.state.market.reading.price_fine == before
    assert sides(desk) == {Side.ASK}


def test_the_relative_band_moves_with_the_average() -> None:
    chosen = steady(PRICE_BAND_PCT=10, CHANNEL_INERTIA_HOURS=1)
    desk = quoting(chosen)
    desk.settle_down(P * 115 // 100)
    assert sides(desk) == {Side.ASK}
    for _ in range(6):
        desk.wait(1_800_000)
    desk.settle_down()
    assert sides(desk) == set(Side)


# Drawdown


def bought(desk: Desk, lots: int) -> None:
    """Let the engine have bought so many lots at P."""
    desk.state.flow.net_base = BaseLots(lots)


def test_the_stages_widen_then_stop_the_bids_then_halt() -> None:
    # 2 x 100 SOL and 2 of gas; 10,000 lots at 20,000 ticks of 1,000 lamports are 200 SOL more.
    desk = quoting(steady(MAX_PRICE_JUMP_PCT=100, PRICE_CONFIRM_S=0))
    bought(desk, 10_000)
    tight = int(desk.best(Side.ASK).price) - int(desk.best(Side.BID).price)
    desk.settle_down(P * 79 // 100)
    (stage,) = told(desk, "DRAWDOWN")
    assert stage == {"stage": "WIDEN", "lost_bps": 200 * 2100 // 402}
    wide = int(desk.best(Side.ASK).price) - int(desk.best(Side.BID).price)
    assert wide * 100 > 2 * tight * 78
    assert sides(desk) == set(Side)
    desk.settle_down(P * 59 // 100)
    assert [fields["stage"] for fields in told(desk, "DRAWDOWN")] == ["ONE_SIDE"]
    assert sides(desk) == {Side.ASK}
    calm(desk)
    desk.settle_down(P * 39 // 100)
    assert desk.state.phase in {Phase.HALTING, Phase.DONE}
    assert "DRAWDOWN_HALT_%" in desk.state.halt_reason
    assert not desk.standing()
    assert [fields.get("stage", "") for fields in told(desk, "DRAWDOWN", "KILL_SWITCH")] == ["HALT", ""]


def test_a_run_after_a_halt_begins_its_count_at_zero() -> None:
    chosen, low = steady(MAX_PRICE_JUMP_PCT=100, PRICE_CONFIRM_S=0), P * 39 // 100
    desk = quoting(chosen)
    bought(desk, 10_000)
    desk.settle_down(low)
    assert "DRAWDOWN_HALT_%" in desk.state.halt_reason
    again = Desk(chosen)
    start = again.state.now
    again.happen(Remembered(at=start, first_start=start, recorded_from=start, belief=belief_of(desk.state)))
    assert again.state.flow.net_base == BaseLots(10_000)
    again.settle_down(low)
    assert again.state.phase is Phase.QUOTING
    assert sides(again) == set(Side)
    again.settle_down(low * 64 // 100)
    assert again.state.guards.drawdown.stage is Stage.WIDEN


def test_a_recovery_puts_the_stopped_side_back() -> None:
    desk = quoting(steady(MAX_PRICE_JUMP_PCT=100, PRICE_CONFIRM_S=0))
    bought(desk, 10_000)
    desk.settle_down(P * 59 // 100)
    assert sides(desk) == {Side.ASK}
    desk.settle_down(P * 95 // 100)
    assert sides(desk) == set(Side)
    assert desk.state.guards.drawdown.stage is Stage.NONE


def test_a_fall_of_the_teams_own_stock_is_no_drawdown() -> None:
    desk = quoting(steady(MAX_PRICE_JUMP_PCT=100, PRICE_CONFIRM_S=0))
    desk.settle_down(P * 39 // 100)
    assert not told(desk, "DRAWDOWN")
    assert sides(desk) == set(Side)


# Wallets


def with_frozen(view: WalletView) -> WalletView:
    return msgspec.structs.replace(view, frozen=True)


def with_gas(view: WalletView, gas: int) -> WalletView:
    return msgspec.structs.replace(view, gas=Lamports(gas))


def test_the_levels_of_a_frozen_wallet_move_to_the_others_and_its_orders_are_withdrawn() -> None:
    desk = quoting()
    before = Counter(side for _, side, _ in desk.standing())
    desk.see(views=[with_frozen(desk.views[0])])
    assert told(desk, "WALLET_SET_ASIDE") == [{"wallet": 0, "reason": FROZEN}]
    (withdrawal,) = [action for action in desk.done if action.wallet == 0]
    assert withdrawal.cancels
    assert not withdrawal.places
    for _ in range(8):
        desk.see(views=[with_frozen(desk.views[0])])
    assert {owner for owner, _, _ in desk.standing()} == {1}
    after = Counter(side for _, side, _ in desk.standing())
    assert all(0 < after[side] <= before[side] for side in Side)
    desk.settle_down()
    desk.see(views=[msgspec.structs.replace(desk.views[0], frozen=False)])
    desk.settle_down()
    assert told(desk, "WALLET_RETURNED") == [{"wallet": 0, "reason": FROZEN}]
    assert {owner for owner, _, _ in desk.standing()} == {0, 1}


def test_a_wallet_without_gas_is_set_aside_until_it_was_topped_up() -> None:
    desk = Desk()
    reserve = int(gas_reserve(desk.chosen))
    for gas, aside in ((reserve, False), (reserve - 1, True), (2 * reserve - 1, True), (2 * reserve, False)):
        desk.see(P, views=[with_gas(wallet(0), gas), wallet(1)])
        assert (desk.state.guards.aside.get(0) == GAS) == aside
    assert [report.name for report in desk.reports if "WALLET" in report.name] == [
        "WALLET_LOW_GAS",
        "WALLET_SET_ASIDE",
        "WALLET_RETURNED",
    ]


def test_an_empty_wallet_is_told_of_and_does_not_keep_the_others_from_starting() -> None:
    desk = Desk()
    nothing = wallet(0, sol=0, lots=0)
    no_gas = with_gas(wallet(0, ready=False), 5)
    for view, reason in ((nothing, EMPTY), (no_gas, GAS)):
        desk = Desk()
        desk.see(P, views=[view, wallet(1)])
        assert desk.state.guards.aside == {0: reason}
        assert desk.state.phase is Phase.QUOTING
        assert [each.wallet for each in usable(desk.state)] == [1]


def test_with_no_wallet_fit_to_quote_the_engine_waits() -> None:
    desk = Desk(wallets=1)
    phases = []
    for view in (wallet(0, sol=0, lots=0), wallet(0)):
        desk.see(P, views=[view])
        phases.append(desk.state.phase)
    assert phases == [Phase.STARTING, Phase.QUOTING]


def test_a_wallet_that_becomes_fit_later_is_opened_then() -> None:
    desk = Desk()
    desk.see(P, views=[with_gas(wallet(0, ready=False), 5), wallet(1)])
    topped_up = with_gas(wallet(0, ready=False), 3 * SOL)
    asked = [action for action in desk.see(views=[topped_up]).actions if isinstance(action, Prepare)]
    assert asked == [Prepare(asked[0].ticket, 0, Lamports(2 * SOL))]
    desk.resolve(asked[0].ticket)
    desk.see(views=[wallet(0)])
    desk.settle_down()
    assert {owner for owner, _, _ in desk.standing()} == {0, 1}


def test_a_wallet_whose_placements_are_rejected_again_and_again_rests_while_the_others_take_its_levels() -> (
    None
):
    desk = quoting(steady(WALLET_MAX_FAILURES=3, WALLET_REST="10min"))
    desk.lands = False
    refused: list[int] = []
    for turn in range(400):
        desk.now += 5_000
        # P wanders by more than the threshold, so that there is always something to place.
        for action in desk.see(P + (turn // 20 % 2) * 250).actions:
            if not isinstance(action, Execute):
                continue
            if action.wallet == 0 and action.places:
                refused.append(desk.now)
                desk.happen(
                    BundleResolved(
                        at=Millis(desk.now),
                        bundle_id="b",
                        tickets=(action.ticket,),
                        outcome=Outcome.FAILED,
                        reason="custom program error",
                    )
                )
            else:
                desk._land(action)
        if told(desk, "WALLET_SET_ASIDE"):
            break
    else:
        pytest.fail("it was never set aside")
    assert desk.state.guards.aside == {0: FAILING}
    assert len(refused) >= 3
    desk.lands = True
    desk.settle_down()
    assert {owner for owner, _, _ in desk.standing()} == {1}
    desk.now += 600_000
    desk.settle_down()
    assert told(desk, "WALLET_RETURNED") == [{"wallet": 0, "reason": FAILING}]
    assert {owner for owner, _, _ in desk.standing()} == {0, 1}
    assert not desk.state.guards.failures.wallets


# Nothing lands; nothing is seen


def test_when_nothing_lands_placing_pauses_longer_and_longer_and_then_the_engine_halts() -> None:
    desk = quoting(steady(MAX_FAILED_CYCLES=3, FAILED_CYCLES_PAUSE="1min", FAILED_CYCLES_HALT="1h"))
    desk.lands = False
    desk.state.target.quotes = desk.state.target.quotes[1:]
    tried: list[int] = []
    while desk.state.phase is Phase.QUOTING:
        desk.now += 5_000
        assert desk.now < int(START) + 20 * 3_600_000
        desk.state.failed.clear()
        desk.state.target.quotes = tuple(
            q if q.side is Side.BID else msgspec.structs.replace(q, size=q.size * 2)
            for q in desk.state.target.quotes
        )
        for action in desk.see().actions:
            if isinstance(action, Execute):
                tried.append(desk.now)
                event = BundleResolved(
                    at=Millis(desk.now), bundle_id="b", tickets=(action.ticket,), outcome=Outcome.EXPIRED
                )
                desk.happen(event)
    pauses = [int(fields["pause_ms"]) // 60_000 for fields in told(desk, "CYCLES_FAILED")]
    assert pauses == [2**n for n in range(len(pauses))]
    assert 5 <= len(pauses) <= 8
    assert not desk.state.guards.aside, "where nothing lands no wallet is to blame"
    assert "landed" in desk.state.halt_reason


def test_when_the_chain_was_not_seen_for_long_all_that_is_known_to_stand_is_withdrawn_once() -> None:
    desk = quoting(steady(STALE_AFTER="10s", STALE_WITHDRAW_AFTER="2min"))
    desk.lands = False
    known = {(wallet_, o.order_id) for wallet_, view in desk.views.items() for o in view.orders}
    gone: list[tuple[int, int]] = []
    for second in range(1, 300):
        desk.now += 1_000
        for action in desk.happen(FeedLost(at=Millis(desk.now), reason="no node")).actions:
            if isinstance(action, Execute):
                assert second > 120
                assert not action.places
                gone += [(action.wallet, cancel.order_id) for cancel in action.cancels]
    assert set(gone) == known
    assert len(gone) == len(known), "what flies is not asked for twice"
    assert len([report for report in desk.reports if report.name == "STALE_WITHDRAWAL"]) == 1


def test_a_node_that_stands_still_is_as_blind_as_none() -> None:
    desk = quoting(steady(STALE_AFTER="10s", STALE_WITHDRAW_AFTER="2min"))
    desk.lands = False
    desk.slot -= 2
    for _ in range(125):
        desk.now += 1_000
        desk.slot -= 2
        desk.see()
    assert desk.reports[-1].name == "STALE_WITHDRAWAL"


def test_a_view_that_returns_puts_the_ladder_back() -> None:
    desk = quoting(steady(STALE_AFTER="10s", STALE_WITHDRAW_AFTER="2min"))
    before = desk.standing()
    for _ in range(4):
        desk.now += 60_000
        desk.happen(Tick(at=Millis(desk.now), slot=Slot(desk.slot)))
    assert not desk.standing()
    desk.settle_down()
    assert desk.standing() == before


# Exposure


@pytest.mark.parametrize("lamports", [SOL, 7 * SOL, 50 * SOL])
def test_the_ladder_is_built_within_the_exposure_limits_and_nothing_of_it_is_refused(lamports: int) -> None:
    sol = Decimal(lamports) / SOL
    desk = Desk(
        steady(
            MAX_BID_EXPOSURE_SOL=sol,
            MAX_ASK_EXPOSURE_SOL=sol,
            MAX_WALLET_EXPOSURE_SOL=sol * 3 / 4,
            MAX_ORDER_SOL=sol / 10,
        )
    )
    desk.settle_down(P)
    assert not desk.refused
    assert desk.standing() == desk.wanted()
    lot = desk.state.spec.quote_lot_size
    bids = sum(int(o.price) * int(o.size) for v in desk.views.values() for o in v.orders if not o.side)
    asks = sum(int(o.size) for v in desk.views.values() for o in v.orders if o.side)
    assert 0.6 * lamports < bids * lot <= lamports
    assert asks * P * lot <= lamports
    for view in desk.views.values():
        worth = [int(o.price) * int(o.size) * lot for o in view.orders]
        assert max(worth) <= lamports // 10
        for side in Side:
            total = sum(w for w, o in zip(worth, view.orders, strict=True) if o.side is side)
            assert total <= lamports * 3 // 4


def test_what_a_wallet_cannot_sell_is_counted_as_owned_but_not_offered() -> None:
    desk = Desk(STEADY)
    desk.see(P, views=[msgspec.structs.replace(wallet(0), base_held=BaseAtoms(0)), wallet(1)])
    desk.settle_down()
    assert {owner for owner, side, _ in desk.standing() if side is Side.ASK} == {1}
    assert not [report for report in desk.reports if isinstance(report, Report) and "ASIDE" in report.name]
