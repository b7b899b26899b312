"""The public face of a market: its pair, trades and depth, as listing sites and aggregators ask for them.

Rules of this file
- Read from the chain alone: book sides and the event queue, nobody's engine is asked.
- Real trades only: one account on both sides, or two accounts of the operator, is no trade.
- A day's figures cover what was seen; ``since`` says from when on that is.

Shapes: the ticker, order book and trade endpoints that CoinGecko and CoinMarketCap publish for exchanges;
amounts are decimal strings, times milliseconds.
"""

from collections import deque
from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from bmv.model import MarketSpec, Side, Trade
from bmv.services.fills import Matches, half_of_event
from bmv.units import BaseLots, Millis, Ticks
from bmv.venue.openbook_v1.codec import decode_event_queue
from bmv.venue.openbook_v1.slab import BookOrder, decode_book_side

DAY = Millis(86_400_000)
MOST_TRADES = 100_000
MOST_TOLD = 1_000
_TYPES = {Side.BID: "buy", Side.ASK: "sell"}


class MarketTicker:
    """What is known of one market; ``own`` are the operator's OpenOrders accounts."""

    def __init__(
        self, spec: MarketSpec, base: str, target: str, names: tuple[str, str], own: Collection[str] = ()
    ) -> None:
        self._spec, self._base, self._target, self._own = spec, base, target, frozenset(own)
        self.ticker_id = "_".join(names)
        self._matches = Matches(spec, {})
        self._next: int | None = None
        self._trades: deque[Trade] = deque(maxlen=MOST_TRADES)
        self._levels: dict[Side, list[tuple[Ticks, BaseLots]]] = {Side.BID: [], Side.ASK: []}
        self.since = self.seen_at = Millis(0)

    def see(self, bids: bytes, asks: bytes, events: bytes, at: Millis) -> None:
        """Take the bytes of both sides and the event queue at a moment; BadBytes: none of them is taken."""
        sides = {Side.BID: decode_book_side(bids).orders(), Side.ASK: decode_book_side(asks).orders()}
        queue = decode_event_queue(events)
        if self._next is None:
            # What the ring holds from before has no time.
            self._next, self.since = queue.next_seq, at
        halves = [half_of_event(event) for event in queue.since(self._next) if event.is_fill]
        trades, _ = self._matches.told(halves, at)
        self._trades.extend(trade for trade in trades if self._is_real(trade))
        self._next, self.seen_at = queue.next_seq, at
        self._levels = {side: _levels(orders) for side, orders in sides.items()}
        while self._trades and self._trades[0].at < at - DAY:
            self._trades.popleft()

    def _is_real(self, trade: Trade) -> bool:
        return trade.maker != trade.taker and not {trade.maker, trade.taker} <= self._own

    def pairs(self) -> list[dict[str, Any]]:
        """Return the one pair."""
        pair = {"base": self._base, "target": self._target, "pool_id": self._spec.address}
        return [{"ticker_id": self.ticker_id, **pair}]

    def tickers(self) -> list[dict[str, Any]]:
        """Return the day's figures of the pair; a price is null while there is none."""
        prices = [trade.price for trade in self._trades]
        best = {side: levels[0][0] if levels else None for side, levels in self._levels.items()}
        base = sum((self._spec.size(trade.size) for trade in self._trades), Decimal(0))
        return [
            {
                "ticker_id": self.ticker_id,
                "base_currency": self._base,
                "target_currency": self._target,
                "pool_id": self._spec.address,
                "last_price": self._price(prices[-1] if prices else None),
                "base_volume": f"{base:f}",
                "target_volume": f"{sum((self._value(trade) for trade in self._trades), Decimal(0)):f}",
                "bid": self._price(best[Side.BID]),
                "ask": self._price(best[Side.ASK]),
                "high": self._price(max(prices, default=None)),
                "low": self._price(min(prices, default=None)),
                "since": int(self.since),
            }
        ]

    def order_book(self, depth: int) -> dict[str, Any]:
        """Return ``depth`` levels, half of them of each side; 0: all."""
        wanted = depth // 2 if depth else None
        sides = {
            name: [
                [self._price(price), f"{self._spec.size(size):f}"]
                for price, size in self._levels[side][:wanted]
            ]
            for name, side in (("bids", Side.BID), ("asks", Side.ASK))
        }
        return {"ticker_id": self.ticker_id, "timestamp": int(self.seen_at), **sides}

    def trades(self, limit: int, kind: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Return the newest trades, newest first, by what the taker did; ``kind``: buy or sell alone."""
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in ("buy", "sell") if kind in (None, name)}
        for trade in reversed(self._trades):
            into = told.get(_TYPES[trade.taker_side])
            if into is not None and len(into) < min(limit or MOST_TOLD, MOST_TOLD):
                into.append(self._told(trade))
        return told

    def _told(self, trade: Trade) -> dict[str, Any]:
        return {
            "trade_id": trade.seq,
            "price": self._price(trade.price),
            "base_volume": f"{self._spec.size(trade.size):f}",
            "target_volume": f"{self._value(trade):f}",
            "trade_timestamp": int(trade.at),
            "type": _TYPES[trade.taker_side],
        }

    def _price(self, ticks: Ticks | None) -> str | None:
        return None if ticks is None else f"{self._spec.price(ticks):f}"

    def _value(self, trade: Trade) -> Decimal:
        return self._spec.price(trade.price) * self._spec.size(trade.size)


def _levels(orders: Sequence[BookOrder]) -> list[tuple[Ticks, BaseLots]]:
    """Return price and sum of size for each price, best first."""
    return [
        (Ticks(price), BaseLots(sum(order.size_lots for order in level)))
        for price, level in groupby(orders, key=lambda order: order.price_ticks)
    ]
