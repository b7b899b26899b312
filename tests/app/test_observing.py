"""The metrics of a real run: all of them are there, true, and not constant."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import msgspec
import pytest

from bmv.app.assembly import Assembly
from bmv.core.decay import FINE
from bmv.core.markouts import HORIZONS_S
from bmv.core.state import Phase, Treasury
from bmv.events import MarketSeen
from bmv.model import Side
from bmv.observe.metrics import CATALOGUE
from bmv.services.measuring import Measuring
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Lamports, MicroUsd, Ticks, UsdPerSol
from tests.app.scraped_run import Seen, Shown, scraped, scraping

VIRTUAL = {"bmv_loop_lag_seconds"}
"""Virtual time is never late."""


@pytest.fixture(scope="module")
def seen() -> Seen:
    return scraped()


def by_name(scrape: Shown) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for (name, labels), value in scrape.items():
        found[name.removesuffix("_total").removesuffix("_count")][labels] = value
    return found


def test_every_metric_of_the_catalogue_has_a_value(seen: Seen) -> None:
    names = by_name(seen.last)
    assert {named.name for named in CATALOGUE} <= set(names)


def test_values_are_those_of_the_records(seen: Seen) -> None:
    assert seen.assembly is not None
    record, last = seen.assembly.engine.record, by_name(seen.last)
    assert sum(last["bmv_fills"].values()) == record.fills > 0
    assert sum(last["bmv_fill_value_sol"].values()) == pytest.approx(int(record.volume) / LAMPORTS_PER_SOL)
    assert last["bmv_bundles"][("outcome", "landed"),] == record.bundles["landed"] > 0
    assert last["bmv_bundle_latency_seconds"][()] == len(record.execution.latencies_ms)
    assert last["bmv_self_trades"][()] == last["bmv_synthetic_volume_rate"][()] == 0
    assert last["bmv_pnl_residual_sol"][()] == 0
    totals = last["bmv_turnover_sol"]
    assert totals[("whose", "own"),] == pytest.approx(int(record.volume) / LAMPORTS_PER_SOL)
    assert totals[("whose", "others"),] > 0


def test_uptime_is_the_share_of_quoting_time_with_enough_near_the_price(seen: Seen) -> None:
    # A second computation, from every belief: what stood between two of them stood all that time.
    present: dict[str, int] = defaultdict(int)
    quoting = 0
    assert seen.assembly is not None
    lot = seen.assembly.spec.quote_lot_size
    for (at, phase, orders, price), (later, *_) in zip(seen.beliefs, seen.beliefs[1:], strict=False):
        if phase is not Phase.QUOTING or price is None:
            continue
        quoting += later - at
        near = [o for o in orders if abs(Fraction(int(o.price) * FINE, price) - 1) <= Fraction(2, 100)]
        worth = {side: sum(int(o.price) * int(o.size) * lot for o in near if o.side is side) for side in Side}
        enough = {side: worth[side] >= LAMPORTS_PER_SOL for side in Side}
        present["bid"] += (later - at) * enough[Side.BID]
        present["ask"] += (later - at) * enough[Side.ASK]
        present["both"] += (later - at) * all(enough.values())
    found = by_name(seen.last)["bmv_quote_uptime_ratio"]
    assert len(found) == 3
    for name in ("bid", "ask", "both"):
        assert found[("side", name),] == pytest.approx(present[name] / quoting, abs=0.01)


def test_depth_is_that_of_the_book_on_the_chain(seen: Seen) -> None:
    agree = 0
    for scrape, truth in zip(seen.scrapes[1:], seen.depths[1:], strict=True):
        told = by_name(scrape)["bmv_depth_sol"]
        agree += all(
            told[("band", "2%"), ("side", side), ("whose", whose)]
            == pytest.approx(lamports / LAMPORTS_PER_SOL)
            for (side, whose), lamports in truth.items()
        )
    # The chain may have moved since the last reading, but not often in the same moment.
    assert agree >= 0.8 * (len(seen.scrapes) - 1)


def test_every_trade_names_both_sides(seen: Seen) -> None:
    assert seen.assembly is not None
    own = {str(wallet.open_orders) for wallet in seen.assembly.wallets}
    assert len(seen.trades) > 20
    assert all(trade.maker and trade.taker and trade.maker != trade.taker for trade in seen.trades)
    assert all(trade.own == (trade.maker in own) for trade in seen.trades)
    assert not own & {trade.taker for trade in seen.trades}


def test_what_moves_in_a_market_moves_in_the_metrics(seen: Seen) -> None:
    still = {
        *(
            "bmv_info",
            "bmv_synthetic_volume_rate",
            "bmv_self_trades",
            "bmv_cost_budget_sol",
            "bmv_cost_hour_budget_sol",
            "bmv_phase",
        ),
        *(
            "bmv_feed_up",
            "bmv_out_of_channel",
            "bmv_rent_locked_sol",
            "bmv_rent_recovered_sol",
            "bmv_treasury_sol",
            "bmv_treasury_usdc",
            "bmv_wallet_aside",
        ),
        *("bmv_history_up", "bmv_history_waiting_bytes", "bmv_history_waiting_rows"),
        *("bmv_history_lost_rows", "bmv_hot_state_up"),
        *("bmv_market_noise_ratio", "bmv_bundle_landed_ratio", "bmv_sol_usd", "bmv_pnl_residual_sol"),
    }
    moved = set()
    for named in CATALOGUE:
        values = [by_name(scrape).get(named.name) for scrape in [*seen.scrapes, seen.busy]]
        if any(one != values[0] for one in values):
            moved.add(named.name)
    assert {named.name for named in CATALOGUE} - moved - still <= VIRTUAL


def test_what_stands_still_in_a_healthy_market_moves_with_its_cause() -> None:
    it = scraped(faults="none", seconds=300).assembly
    assert it is not None
    engine = it.engine
    state, record = engine.state, engine.record
    before = Measuring(engine, it.spec, lambda: 0.0, lambda: None).values().found
    state.phase, state.feed_up = Phase.HALTING, not state.feed_up
    state.guards.aside = {1: "rests"}
    state.market.closed = (Side.ASK,)
    state.treasury = Treasury(Lamports(5), MicroUsd(7))
    state.oracle.sol_usd = UsdPerSol(99_000_000)
    record.self_trades += 1
    record.rent_reclaimed += Lamports(5)
    fill = msgspec.structs.replace(record.recent_fills[0], self_trade=True, maker=True)
    seen = MarketSeen(at=state.now, slot=state.slot, book=state.book, fills=(fill,))
    record.economics.saw(seen, state, Lamports(1))
    record.ledger = None
    engine.settings = engine.settings.model_copy(update={"daily_cost_budget": Lamports(4)})
    after = Measuring(engine, it.spec, lambda: 0.5, lambda: 0.1).values().found
    for name in ("synthetic_volume_rate", "self_trades", "market_noise_ratio", "phase", "feed_up"):
        assert after[f"bmv_{name}"] != before[f"bmv_{name}"], name
    for name in (
        "wallet_aside",
        "treasury_sol",
        "treasury_usdc",
        "rent_recovered_sol",
        "sol_usd",
        "cost_budget_sol",
        "cost_hour_budget_sol",
    ):
        assert after[f"bmv_{name}"] != before[f"bmv_{name}"], name
    assert after["bmv_wallet_aside"]["1",] == 1
    assert after["bmv_out_of_channel"] == {("bid",): 0, ("ask",): 1}
    assert after["bmv_loop_lag_seconds"] == {(): 0.1}
    assert "bmv_equity_sol" in before
    assert "bmv_equity_sol" not in after


def test_each_label_of_what_is_rare_moves_with_its_own_cause_alone() -> None:
    it = scraping(120, levels=16, faults="none").assembly
    assert it is not None
    record, state = it.engine.record, it.engine.state
    assert record.ledger is not None
    for outcome in record.bundles:
        moves(it, ("bmv_bundles", outcome), partial(add, record.bundles, outcome))
    for trigger in record.rebuilds:
        moves(it, ("bmv_rebuilds", trigger), partial(add, record.rebuilds, trigger))
    for side, name in ((Side.BID, "bid"), (Side.ASK, "ask")):
        for horizon in HORIZONS_S:
            markout = record.economics.markouts.sums[side, horizon]
            for of, later in (("sol", 6), ("ratio", 9)):
                judged = partial(markout.judge, side, Ticks(5), BaseLots(7), later * FINE, 1_000)
                moves(it, (f"bmv_markout_{of}", name, f"{horizon}s"), judged, ("bmv_markout_",))
        state.market.closed = ()
        moves(it, ("bmv_out_of_channel", name), partial(setattr, state.market, "closed", (side,)))
    for wallet in state.views:
        state.guards.aside = {}
        moves(
            it, ("bmv_wallet_aside", str(wallet)), partial(setattr, state.guards, "aside", {wallet: "rests"})
        )
    at, ledger = state.now, record.ledger
    for part, booked in {
        "conversions": lambda: ledger.record_conversion(at, 1, Lamports(5), MicroUsd(-1)),
        "rent": lambda: ledger.record_reclaimed(at, Lamports(5), BaseLots(0), "test"),
    }.items():
        moves(it, ("bmv_pnl_sol", part), booked, ("bmv_pnl_",))


def add(counts: dict[str, int], what: str) -> None:
    counts[what] += 1


def moves(it: Assembly, one: tuple[str, ...], cause: Callable[[], object], kin: tuple[str, ...] = ()) -> None:
    """Let something happen; one series moves by it, and nothing else but its kin does."""
    measuring = Measuring(it.engine, it.spec, lambda: 0.0, lambda: 0.0)
    before = flat(measuring)
    cause()
    after = flat(measuring)
    moved = {series for series in before | after if before.get(series) != after.get(series)}
    assert one in moved
    assert {series for series in moved if not series[0].startswith((one[0], *kin))} == set()
    assert kin or moved == {one}


def flat(measuring: Measuring) -> dict[tuple[str, ...], float]:
    found = measuring.values().found
    return {(name, *labels): value for name, of in found.items() for labels, value in of.items()}
