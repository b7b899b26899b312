"""What people see of the engine: the page's snapshot and its chart series."""

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Generic, TypeVar

from bmv import __version__
from bmv.core.decay import FINE
from bmv.core.ledger import Part
from bmv.core.state import Phase, State
from bmv.events import Report
from bmv.model import Fill, MarketSpec, Side, WalletView
from bmv.observe.figures import crossed, sol
from bmv.observe.view import (
    ChannelView,
    CountersView,
    EngineState,
    EventView,
    FillView,
    HistoryPoint,
    InventoryView,
    Mode,
    PriceView,
    View,
    WalletRow,
)
from bmv.services import tallies
from bmv.services.accounts import WalletAccounts
from bmv.services.engine import Engine
from bmv.services.rungs import SIDES, Rungs
from bmv.services.speaking import described, spoken
from bmv.units import BaseAtoms, Lamports, Millis, Ticks

HISTORY_POINTS = 4_000
HISTORY_EVERY_MS = Millis(2_000)
Kept = TypeVar("Kept")
Shown = TypeVar("Shown")


class _Recent(Generic[Kept, Shown]):
    """What is shown of the newest things, made anew only when there is a newer one."""

    def __init__(self, show: Callable[[Kept], Shown]) -> None:
        self._show = show
        self._newest: Kept | None = None
        self._shown: tuple[Shown, ...] = ()

    def shown(self, kept: Sequence[Kept]) -> tuple[Shown, ...]:
        newest = kept[0] if kept else None
        if newest is not self._newest:
            self._newest, self._shown = newest, tuple(map(self._show, kept))
        return self._shown


class Showing:
    """Present a running engine; ``note`` is called now and then to add a point to the chart."""

    def __init__(
        self, engine: Engine, spec: MarketSpec, wallets: Sequence[WalletAccounts], mode: Mode
    ) -> None:
        self._engine, self._spec, self._wallets, self._mode = engine, spec, wallets, mode
        self._history: deque[HistoryPoint] = deque(maxlen=HISTORY_POINTS)
        self._seq = 0
        self._rungs = Rungs(spec)
        self._fills, self._events = _Recent(self._fill), _Recent(self._event)
        self._started = engine.state.now

    def history(self, since: int) -> list[HistoryPoint]:
        """Return the points after ``since``, oldest first."""
        return [point for point in self._history if point.seq > since]

    async def halt(self, reason: str) -> None:
        """Ask the engine to stop."""
        self._engine.halt(reason)

    def note(self) -> None:
        """Add a point to the chart if the last one is old enough and there is a price."""
        state = self._engine.state
        market = state.market
        if market.reading is None or market.channel is None:
            return
        if self._history and int(state.now) - self._history[-1].at < int(HISTORY_EVERY_MS):
            return
        self._seq += 1
        best = _best(state)
        channel = market.channel
        self._history.append(
            HistoryPoint(
                seq=self._seq,
                at=int(state.now),
                price=self._float(market.reading.price_fine),
                pivot=self._float(market.capped_pivot.value_fine),
                buy_low=self._float(channel.buy_low),
                buy_high=self._float(channel.buy_high),
                sell_low=self._float(channel.sell_low),
                sell_high=self._float(channel.sell_high),
                best_bid=self._tick_float(best[Side.BID]),
                best_ask=self._tick_float(best[Side.ASK]),
            )
        )

    def view(self) -> View:
        """Return the snapshot of now."""
        state, record = self._engine.state, self._engine.record
        market, best, book = state.market, _best(state), state.book
        equity = None
        if record.equity_start is not None:
            equity = record.equity([state.views[wallet] for wallet in sorted(state.views)])
        return View(
            product="BMV market maker",
            version=__version__,
            market=self._spec.address,
            symbol="BMV",
            mode=self._mode,
            state=_state_name(state),
            started=int(self._started),
            now=int(state.now),
            slot=int(state.slot),
            price=self._price_view(state),
            pivot=self._fine(market.capped_pivot.value_fine),
            pivot_raw=self._fine(market.capped_pivot.raw_fine),
            own_share_pct=_share_pct(market.pivot.own_share),
            channel=self._channel(state),
            best_bid=self._tick(best[Side.BID]),
            best_ask=self._tick(best[Side.ASK]),
            foreign_bid=self._tick(book.best_bid),
            foreign_ask=self._tick(book.best_ask),
            spread_pct=_spread_pct(best),
            ladder=self._rungs.of(state),
            wallets=tuple(self._wallet(view) for _, view in sorted(state.views.items())),
            fills=self._fills.shown(record.recent_fills),
            events=self._events.shown(record.recent_events),
            counters=self._counters(),
            equity_sol=None if equity is None else sol(equity),
            pnl_sol=None
            if equity is None or record.equity_start is None
            else sol(
                equity - record.equity_start - (record.ledger.transfers() if record.ledger else Lamports(0))
            ),
            halt_reason=state.halt_reason,
            treasury=tallies.treasury(state, record),
            inventory=self._inventory(state, equity),
            presence=tallies.presence(record.economics, state),
            bands=tallies.bands(record.economics),
            pnl_parts=tallies.parts(record),
            markouts=tallies.markouts(record.economics),
            bundles=tallies.bundles(record),
            in_flight=len(state.in_flight),
        )

    def _counters(self) -> CountersView:
        record = self._engine.record
        totals = record.ledger.totals() if record.ledger else {}
        return CountersView(
            orders_placed=record.orders["placed"],
            orders_kept=record.orders["kept"],
            orders_cancelled=record.orders["cancelled"],
            bundles_sent=record.bundles["sent"],
            bundles_landed=record.bundles["landed"],
            bundles_failed=record.bundles["failed"],
            bundles_expired=record.bundles["expired"],
            fills=record.fills,
            volume_sol=sol(record.volume),
            self_trades=record.self_trades,
            tips_sol=sol(-totals.get(Part.TIPS, Lamports(0))),
            fees_sol=sol(-totals.get(Part.NETWORK_FEES, Lamports(0))),
            errors=dict(record.errors),
        )

    def _wallet(self, view: WalletView) -> WalletRow:
        return WalletRow(
            index=view.wallet,
            address=str(self._wallets[view.wallet].owner),
            gas_sol=sol(view.gas),
            sol_free=sol(view.quote_held + view.quote_free),
            sol_locked=sol(view.quote_locked),
            tokens_free=self._tokens(view.base_held + view.base_free),
            tokens_locked=self._tokens(view.base_locked),
            orders=len(view.orders),
            state=self._wallet_state(view),
        )

    def _wallet_state(self, view: WalletView) -> str:
        aside = self._engine.state.guards.aside
        if view.wallet in aside:
            return f"set aside: {aside[view.wallet]}"
        return "ready" if view.ready else "opening accounts"

    def _fill(self, fill: Fill) -> FillView:
        return FillView(
            at=int(fill.at),
            side=SIDES[fill.side],
            price=f"{self._spec.price(fill.price):f}",
            size=f"{self._spec.size(fill.size):f}",
            wallet=fill.wallet,
        )

    def _inventory(self, state: State, equity: Lamports | None) -> InventoryView | None:
        """Return what is held in tokens; None while nobody knows what they are worth."""
        reading = state.market.reading
        if reading is None or not equity:
            return None
        atoms = sum((view.base_total for view in state.views.values()), BaseAtoms(0))
        lots = int(atoms) // self._spec.base_lot_size
        worth = lots * reading.price_fine * self._spec.quote_lot_size // FINE
        share = Decimal(worth) * 100 / int(equity)
        return InventoryView(tokens=self._tokens(atoms), worth_sol=sol(worth), share_pct=f"{share:.2f}")

    def _event(self, told: tuple[Millis, Report]) -> EventView:
        at, report = told
        return EventView(at=int(at), name=report.name, text=described(spoken(report, self._spec)))

    def _price_view(self, state: State) -> PriceView | None:
        reading = state.market.reading
        if reading is None:
            return None
        value = self._fine(reading.price_fine) or "0"
        rates = state.oracle.rates(state.now, self._engine.settings.oracle_quoting_max_age)
        usd, eur = crossed(Decimal(value), *rates)
        return PriceView(value=value, source=reading.source, usd=usd, eur=eur)

    def _channel(self, state: State) -> ChannelView | None:
        channel = state.market.channel
        if channel is None:
            return None
        borders = (channel.buy_low, channel.buy_high, channel.sell_low, channel.sell_high)
        low, high, sell_low, sell_high = (self._fine(border) or "" for border in borders)
        return ChannelView(
            buy_low=low,
            buy_high=high,
            sell_low=sell_low,
            sell_high=sell_high,
            closed=tuple(SIDES[side] for side in state.market.closed),
        )

    def _fine(self, fine: int | None) -> str | None:
        return None if fine is None else self._tick(Ticks(fine // FINE))

    def _tick(self, ticks: Ticks | None) -> str | None:
        return None if ticks is None else f"{self._spec.price(ticks):f}"

    def _float(self, fine: int | None) -> float | None:
        return None if fine is None else float(self._spec.price(Ticks(1))) * fine / FINE

    def _tick_float(self, ticks: Ticks | None) -> float | None:
        return None if ticks is None else float(self._spec.price(ticks))

    def _tokens(self, atoms: BaseAtoms) -> str:
        return f"{Decimal(int(atoms)) / Decimal(10) ** self._spec.base_decimals:f}"


def _state_name(state: State) -> EngineState:
    if state.phase is Phase.QUOTING and not state.feed_up:
        return "feed lost"
    names: dict[Phase, EngineState] = {
        Phase.STARTING: "starting",
        Phase.QUOTING: "quoting",
        Phase.HALTING: "halting",
        Phase.DONE: "stopped",
    }
    return names[state.phase]


def _best(state: State) -> dict[Side, Ticks | None]:
    """Return the best prices of the whole book, ours and foreign."""
    bids = [order.price for view in state.views.values() for order in view.orders if order.side is Side.BID]
    asks = [order.price for view in state.views.values() for order in view.orders if order.side is Side.ASK]
    bids += [state.book.best_bid] if state.book.best_bid is not None else []
    asks += [state.book.best_ask] if state.book.best_ask is not None else []
    return {Side.BID: max(bids, default=None), Side.ASK: min(asks, default=None)}


def _spread_pct(best: dict[Side, Ticks | None]) -> str | None:
    bid, ask = best[Side.BID], best[Side.ASK]
    if bid is None or ask is None:
        return None
    return f"{Decimal(int(ask) - int(bid)) * 200 / (int(ask) + int(bid)):.2f}"


def _share_pct(share: tuple[int, int]) -> str | None:
    part, whole = share
    return f"{Decimal(part) * 100 / whole:.2f}" if whole else None
