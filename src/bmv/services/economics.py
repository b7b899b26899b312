"""What the market got from our quotes, and what our fills got from the market, measured over time.

It listens to what the journal gets; nothing of it reaches the strategy.
"""

from collections.abc import Callable, Sequence

from bmv.core.markouts import Judged, Markouts
from bmv.core.over_time import Cadence, TimeWeighted
from bmv.core.quality import Quality, quality
from bmv.core.state import Phase, State
from bmv.events import AnyEvent, EventsFound, MarketSeen
from bmv.model import DEPTH_BANDS, Fill, MarketSpec, Side, Trade
from bmv.units import Lamports, Millis, notional


class Economics:
    """Presence, spread, depth, cadence and markouts since the start.

    ``uptime`` holds 1 while a side quotes enough within 2 % of P, 0 while not, in the time the engine quotes;
    ``both`` 1 while both do.
    ``judged`` are the markouts of the last event.
    """

    def __init__(self, spec: MarketSpec) -> None:
        self._spec = spec
        self.now: Quality | None = None
        self._shown: object = None
        self.uptime = {side: TimeWeighted() for side in Side}
        self.both = TimeWeighted()
        self.spread_bps = TimeWeighted()
        self.own_depth = {(side, band): TimeWeighted() for side in Side for band in DEPTH_BANDS}
        self.all_depth = {(side, band): TimeWeighted() for side in Side for band in DEPTH_BANDS}
        self.cadence = Cadence()
        self.markouts = Markouts(spec.quote_lot_size)
        self.judged: list[Judged] = []
        self.trades = 0
        self.turnover = Lamports(0)
        self.own_turnover = Lamports(0)
        self.self_turnover = Lamports(0)
        self.fills = dict.fromkeys(Side, 0)
        self.filled = {side: Lamports(0) for side in Side}
        self.followers: list[Callable[[Trade], None]] = []
        """Called with every trade of the market."""

    def saw(self, event: AnyEvent, state: State, min_quote: Lamports) -> None:
        """Measure after an event; ``min_quote`` is what a side must quote to count as present."""
        if isinstance(event, MarketSeen):
            self._traded(event.trades, event.fills)
            self._measure(event, state, min_quote)
        elif isinstance(event, EventsFound):
            self._traded(event.trades, event.fills)
        reading = state.market.reading
        self.judged = self.markouts.priced(reading.price_fine, state.now) if reading is not None else []

    def share_of_depth(self, side: Side, band: int, now: Millis) -> float | None:
        """Return our time-weighted share of the depth in a band of basis points."""
        own, _ = self.own_depth[side, band].sums(now)
        everybody, _ = self.all_depth[side, band].sums(now)
        return own / everybody if everybody else None

    def _traded(self, trades: Sequence[Trade], fills: Sequence[Fill]) -> None:
        for trade in trades:
            value = notional(trade.price, trade.size, self._spec.quote_lot_size)
            self.trades += 1
            self.turnover += value
            self.own_turnover += value if trade.own else Lamports(0)
            self.cadence.traded(trade.at)
            for follow in self.followers:
                follow(trade)
        for fill in fills:
            value = notional(fill.price, fill.size, self._spec.quote_lot_size)
            self.fills[fill.side] += 1
            self.filled[fill.side] += value
            # A trade with ourselves is two fills, one of them the maker's.
            self.self_turnover += value if fill.self_trade and fill.maker else Lamports(0)
            self.markouts.filled(fill)

    def _measure(self, event: MarketSeen, state: State, min_quote: Lamports) -> None:
        reading = state.market.reading
        shown = state.book, reading and reading.price_fine, state.phase, min_quote
        if not event.wallets and shown == self._shown:
            return
        self._shown = shown
        orders = (order for view in state.views.values() for order in view.orders)
        price = None if reading is None else reading.price_fine
        self.now = quality(orders, state.book, price, self._spec.quote_lot_size)
        quoting = state.phase is Phase.QUOTING
        at = state.now
        present = {side: self.now.present[side] >= min_quote for side in Side}
        for side in Side:
            self.uptime[side].set(int(present[side]) if quoting else None, at)
        self.both.set(int(all(present.values())) if quoting else None, at)
        self.spread_bps.set(self.now.spread_bps, at)
        for side in Side:
            for band, own, everybody in zip(DEPTH_BANDS, self.now.own[side], self.now.all[side], strict=True):
                self.own_depth[side, band].set(int(own), at)
                self.all_depth[side, band].set(int(everybody), at)
