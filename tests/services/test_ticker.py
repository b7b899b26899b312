"""The public face of a market against the simulated chain and what the engine saw of it."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import cache

import msgspec

from bmv.app.assembly import Assembly
from bmv.app.truth import standing_orders
from bmv.app.world import World
from bmv.core.state import State
from bmv.model import Side, Trade
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.services.ticker import DAY, MarketTicker
from bmv.units import Millis, Ticks
from tests.app.recorded_run import run

BASE, TARGET = "base-mint", "target-mint"


@cache
def played() -> tuple[MarketTicker, list[Trade], dict[tuple[Side, int], int], Assembly]:
    """Run a market and let a ticker read the chain's bytes beside the engine."""
    trades: list[Trade] = []
    levels: dict[tuple[Side, int], int] = defaultdict(int)
    found: list[tuple[MarketTicker, Assembly]] = []

    @contextlib.asynccontextmanager
    async def look(world: World, assembly: Assembly) -> AsyncIterator[None]:
        ticker = MarketTicker(assembly.spec, BASE, TARGET, ("BMV", "SOL"))
        keys = [assembly.market.bids, assembly.market.asks, assembly.market.event_queue]

        def read(at: Millis) -> None:
            bids, asks, events = (
                bytes(image.data) if image else b""
                for image in (world.chain.account(bytes(key)) for key in keys)
            )
            ticker.see(bids, asks, events, at)

        def follow(state: State) -> None:
            read(state.now)

        assembly.engine.followers.append(follow)
        assembly.engine.record.economics.followers.append(trades.append)
        read(assembly.engine.state.now)
        try:
            yield
        finally:
            read(assembly.engine.state.now)
            for order in standing_orders(world.chain, assembly.market, assembly.wallets):
                levels[order.side, order.price] += order.size
            found.append((ticker, assembly))

    run(900, look=look, levels=24, crowd=CrowdOptions(arrivals_per_day=7_200))
    ((ticker, assembly),) = found
    return ticker, trades, levels, assembly


def test_every_trade_is_told_once_with_what_the_taker_did() -> None:
    ticker, trades, _, assembly = played()
    told = ticker.trades(0)
    by_id = {row["trade_id"]: row for rows in told.values() for row in rows}
    assert len(by_id) == sum(map(len, told.values()))
    assert {trade.seq for trade in trades} <= set(by_id)
    for trade in trades:
        row = by_id[trade.seq]
        assert Decimal(row["price"]) == assembly.spec.price(trade.price)
        assert Decimal(row["base_volume"]) == assembly.spec.size(trade.size)
        assert Decimal(row["target_volume"]) == Decimal(row["price"]) * Decimal(row["base_volume"])
        assert row["type"] == ("buy" if trade.taker_side is Side.BID else "sell")
    assert {*map(len, ticker.trades(2).values())} == {2}
    assert list(ticker.trades(2, "buy")) == ["buy"]


def test_the_day_s_figures_are_sums_and_ends_of_its_trades() -> None:
    ticker, _, _, _ = played()
    (figures,) = ticker.tickers()
    rows = [row for rows in ticker.trades(0).values() for row in rows]
    assert Decimal(figures["base_volume"]) == sum(Decimal(row["base_volume"]) for row in rows)
    assert Decimal(figures["target_volume"]) == sum(Decimal(row["target_volume"]) for row in rows)
    assert Decimal(figures["high"]) == max(Decimal(row["price"]) for row in rows)
    assert Decimal(figures["low"]) == min(Decimal(row["price"]) for row in rows)
    assert figures["last_price"] == max(rows, key=lambda row: row["trade_id"])["price"]
    (pair,) = ticker.pairs()
    assert (pair["ticker_id"], pair["base"], pair["target"]) == ("BMV_SOL", BASE, TARGET)


def test_the_book_is_that_of_the_chain_price_by_price() -> None:
    ticker, _, levels, assembly = played()
    book = ticker.order_book(0)
    for name, side in (("bids", Side.BID), ("asks", Side.ASK)):
        prices = sorted((price for each, price in levels if each is side), reverse=side is Side.BID)
        assert [Decimal(price) for price, _ in book[name]] == [
            assembly.spec.price(Ticks(price)) for price in prices
        ]
        sizes = [levels[side, price] for price in prices]
        assert [Decimal(size) * 10**assembly.spec.base_decimals for _, size in book[name]] == [
            size * assembly.spec.base_lot_size for size in sizes
        ]
    assert len(ticker.order_book(4)["bids"]) == min(2, len(book["bids"]))


def test_trades_with_oneself_are_no_trades_and_a_day_is_a_day() -> None:
    _, trades, _, assembly = played()
    trade = trades[0]
    own = MarketTicker(assembly.spec, BASE, TARGET, ("BMV", "SOL"), {"us", "us too"})
    kept = {
        sides: own._is_real(msgspec.structs.replace(trade, maker=sides[0], taker=sides[1]))
        for sides in (("a", "a"), ("us", "us too"), ("us", "a"), ("a", "us"), ("a", "b"))
    }
    assert kept == {
        ("a", "a"): False, ("us", "us too"): False, ("us", "a"): True, ("a", "us"): True, ("a", "b"): True
    }  # fmt: skip
    assert int(DAY) == 24 * 3600 * 1000
