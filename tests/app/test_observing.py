"""The metrics of a real run: all of them are there, true, and not constant."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bmv.app.assembly import Assembly
from bmv.app.observing import observe
from bmv.app.truth import standing_orders
from bmv.app.world import World
from bmv.core.decay import FINE
from bmv.core.state import Phase, State
from bmv.model import LiveOrder, Side, Trade
from bmv.observe.metrics import CATALOGUE
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.units import LAMPORTS_PER_SOL
from tests.app.recorded_run import run

Shown = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SECONDS = 1_500
LIVE_ONLY = {"bmv_loop_lag_seconds"}
"""Virtual time is never late."""
WITH_TROUBLE = {"bmv_errors"}


@dataclass
class Seen:
    """What the metrics said, scrape by scrape, and every belief with its time."""

    scrapes: list[Shown] = field(default_factory=list)
    beliefs: list[tuple[int, Phase, tuple[LiveOrder, ...], int | None]] = field(default_factory=list)
    assembly: Assembly | None = None
    depths: list[dict[tuple[str, str], int]] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)

    @property
    def last(self) -> Shown:
        return self.scrapes[-1]


@pytest.fixture(scope="module")
def seen() -> Seen:
    found = Seen()

    @contextlib.asynccontextmanager
    async def look(world: World, assembly: Assembly) -> AsyncIterator[None]:
        observed, found.assembly = observe(assembly), assembly

        def note(state: State) -> None:
            orders = tuple(order for view in state.views.values() for order in view.orders)
            price = state.market.reading.price_fine if state.market.reading else None
            found.beliefs.append((int(state.now), state.phase, orders, price))

        def scrape() -> None:
            found.scrapes.append(shown(observed.exposition.text()))
            found.depths.append(true_depth(world, assembly))

        async def scraping() -> None:
            while True:
                await asyncio.sleep(100)
                scrape()

        assembly.engine.followers.append(note)
        assembly.engine.record.economics.followers.append(found.trades.append)
        scrape()
        task = asyncio.create_task(scraping())
        try:
            yield
        finally:
            scrape()
            task.cancel()

    run(SECONDS, look=look, levels=40, crowd=CrowdOptions(arrivals_per_day=7_200))
    return found


def shown(text: bytes) -> Shown:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def true_depth(world: World, assembly: Assembly) -> dict[tuple[str, str], int]:
    """Return lamports within 2 % of the middle of the book on the chain, by side and owner."""
    orders = standing_orders(world.chain, assembly.market, assembly.wallets)
    bids = [order.price for order in orders if order.side is Side.BID]
    asks = [order.price for order in orders if order.side is Side.ASK]
    found = {(side, whose): 0 for side in ("bid", "ask") for whose in ("own", "all")}
    for order in orders if bids and asks else ():
        if abs(Fraction(2 * order.price, max(bids) + min(asks)) - 1) <= Fraction(2, 100):
            value = order.price * order.size * assembly.spec.quote_lot_size
            found[order.side.name.lower(), "all"] += value
            found[order.side.name.lower(), "own"] += value if order.wallet is not None else 0
    return found


def by_name(scrape: Shown) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for (name, labels), value in scrape.items():
        found[name.removesuffix("_total").removesuffix("_count")][labels] = value
    return found


def test_every_metric_of_the_catalogue_has_a_value(seen: Seen) -> None:
    names = by_name(seen.last)
    missing = {named.name for named in CATALOGUE} - set(names)
    assert missing <= LIVE_ONLY | WITH_TROUBLE


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
    present: dict[Side, int] = defaultdict(int)
    quoting = 0
    for (at, phase, orders, price), (later, *_) in zip(seen.beliefs, seen.beliefs[1:], strict=False):
        if phase is not Phase.QUOTING or price is None:
            continue
        quoting += later - at
        for side in Side:
            near = [
                int(order.price) * int(order.size)
                for order in orders
                if order.side is side
                and abs(Fraction(int(order.price) * FINE, price) - 1) <= Fraction(2, 100)
            ]
            assert seen.assembly is not None
            enough = sum(near) * seen.assembly.spec.quote_lot_size >= LAMPORTS_PER_SOL
            present[side] += (later - at) * enough
    found = by_name(seen.last)["bmv_quote_uptime_ratio"]
    for side, name in ((Side.BID, "bid"), (Side.ASK, "ask")):
        assert found[("side", name),] == pytest.approx(present[side] / quoting, abs=0.01)


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
        *("bmv_info", "bmv_synthetic_volume_rate", "bmv_self_trades", "bmv_cost_budget_sol", "bmv_phase"),
        *("bmv_feed_up", "bmv_rent_locked_sol", "bmv_treasury_sol", "bmv_treasury_usdc", "bmv_wallet_aside"),
        *("bmv_market_noise_ratio", "bmv_bundle_landed_ratio", "bmv_sol_usd", "bmv_pnl_residual_sol"),
    }
    moved = set()
    for named in CATALOGUE:
        values = [by_name(scrape).get(named.name) for scrape in seen.scrapes]
        if any(one != values[0] for one in values):
            moved.add(named.name)
    assert {named.name for named in CATALOGUE} - moved - still <= LIVE_ONLY | WITH_TROUBLE
