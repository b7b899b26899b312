"""A running engine -> the values of its metrics, asked for at each scrape."""

from collections.abc import Callable

from bmv import __version__
from bmv.core.decay import FINE
from bmv.core.ledger import PROFIT
from bmv.core.markouts import HORIZONS_S
from bmv.core.state import Phase, State, hour_budget
from bmv.model import DEPTH_BANDS, MarketSpec, Side, WalletView
from bmv.observe.metrics import Values
from bmv.services.engine import Engine
from bmv.services.record import Record
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Lamports, Ticks

SIDES = {Side.BID: "bid", Side.ASK: "ask"}
RARE = (
    "OUT_OF_CHANNEL",
    "KILL_SWITCH",
    "COST_BUDGET_SPENT",
    "BUNDLE_NEVER_LANDS",
    "INTEGRITY_OWN_TRADE",
    "WITHDRAWAL",
)
"""Shown as 0 before the first one: a counter that begins with 1 has no increase."""


class Measuring:
    """Read an engine; ``noise`` is the suspected share of others' volume, ``lag`` how late the loop is."""

    def __init__(
        self,
        engine: Engine,
        spec: MarketSpec,
        noise: Callable[[], float | None],
        lag: Callable[[], float | None],
    ) -> None:
        self._engine, self._spec, self._noise, self._lag = engine, spec, noise, lag
        self._sol_per_tick = float(spec.price(Ticks(1)))
        self._atoms_per_token = 10**spec.base_decimals

    def values(self) -> Values:
        """Return everything that is known now."""
        values = Values()
        state, record = self._engine.state, self._engine.record
        values.put("bmv_info", 1, __version__, self._spec.address)
        self._market(values, state, record)
        self._integrity(values, record)
        self._quotes(values, state, record)
        self._fills(values, record)
        self._execution(values, state, record)
        self._books(values, state, record)
        for view in state.views.values():
            self._wallet(values, view, state)
        self._health(values, state, record)
        for source in record.sources:
            source(values)
        return values

    def _integrity(self, values: Values, record: Record) -> None:
        turnover = record.economics.turnover
        rate = int(record.economics.self_turnover) / int(turnover) if turnover else 0.0
        values.put("bmv_synthetic_volume_rate", rate)
        values.put("bmv_self_trades", record.self_trades)
        values.put("bmv_market_noise_ratio", self._noise())

    def _market(self, values: Values, state: State, record: Record) -> None:
        market, economics = state.market, record.economics
        for side, name in SIDES.items():
            values.put("bmv_out_of_channel", side in market.closed, name)
        if market.reading is not None:
            values.put("bmv_price_sol", self._fine(market.reading.price_fine))
        values.put("bmv_pivot_sol", self._fine(market.capped_pivot.value_fine), "quoted")
        values.put("bmv_pivot_sol", self._fine(market.capped_pivot.raw_fine), "raw")
        own, everybody = market.pivot.own_share
        values.put("bmv_pivot_own_ratio", own / everybody if everybody else None)
        if (channel := market.channel) is not None:
            for border in ("buy_low", "buy_high", "sell_low", "sell_high"):
                values.put("bmv_channel_sol", self._fine(getattr(channel, border)), border)
        values.put("bmv_trades", economics.trades)
        values.put("bmv_turnover_sol", _sol(economics.own_turnover), "own")
        values.put("bmv_turnover_sol", _sol(economics.turnover - economics.own_turnover), "others")
        values.put("bmv_trade_cadence_seconds", economics.cadence.seconds())
        if economics.cadence.times:
            values.put("bmv_seconds_since_trade", int(state.now - economics.cadence.times[-1]) / 1000)

    def _quotes(self, values: Values, state: State, record: Record) -> None:
        economics = record.economics
        values.put("bmv_spread_mean_ratio", _of(economics.spread_bps.mean(state.now), 10_000))
        values.put("bmv_quote_uptime_ratio", economics.both.mean(state.now), "both")
        for side, name in SIDES.items():
            values.put("bmv_quote_uptime_ratio", economics.uptime[side].mean(state.now), name)
            wanted = sum(quote.side is side for quote in state.target.quotes)
            values.put("bmv_ladder_orders", wanted, name, "wanted")
            flying = sum(place.side is side for place in state.flying_places())
            values.put("bmv_ladder_orders", flying, name, "in_flight")
            live = sum(order.side is side for view in state.views.values() for order in view.orders)
            values.put("bmv_ladder_orders", live, name, "live")
            for band in DEPTH_BANDS:
                own, everybody = economics.own_depth[side, band], economics.all_depth[side, band]
                values.put(
                    "bmv_depth_mean_sol", _of(own.mean(state.now), LAMPORTS_PER_SOL), name, _band(band), "own"
                )
                values.put(
                    "bmv_depth_mean_sol",
                    _of(everybody.mean(state.now), LAMPORTS_PER_SOL),
                    name,
                    _band(band),
                    "all",
                )
                values.put(
                    "bmv_depth_own_ratio", economics.share_of_depth(side, band, state.now), name, _band(band)
                )
        if (now := economics.now) is None:
            return
        values.put("bmv_spread_ratio", _of(now.spread_bps, 10_000))
        for side, name in SIDES.items():
            values.put("bmv_quote_present_sol", _sol(now.present[side]), name)
            for number, band in enumerate(DEPTH_BANDS):
                values.put("bmv_depth_sol", _sol(now.own[side][number]), name, _band(band), "own")
                values.put("bmv_depth_sol", _sol(now.all[side][number]), name, _band(band), "all")

    def _fills(self, values: Values, record: Record) -> None:
        economics = record.economics
        for side, name in SIDES.items():
            values.put("bmv_fills", economics.fills[side], name)
            values.put("bmv_fill_value_sol", _sol(economics.filled[side]), name)
            for horizon in HORIZONS_S:
                markout = economics.markouts.sums[side, horizon]
                values.put("bmv_markout_ratio", _of(markout.bps(), 10_000), name, f"{horizon}s")
                values.put("bmv_markout_sol", _sol(markout.gain), name, f"{horizon}s")

    def _execution(self, values: Values, state: State, record: Record) -> None:
        seen, settings = record.execution, self._engine.settings
        values.put_all("bmv_orders", record.orders)
        values.put_all("bmv_rebuilds", record.rebuilds)
        values.put_all("bmv_bundles", record.bundles)
        values.put("bmv_bundle_landed_ratio", seen.landed_share())
        values.seconds["bmv_bundle_latency_seconds"] = [each / 1000 for each in seen.latencies_ms]
        values.put("bmv_in_flight", len(state.in_flight))
        values.put("bmv_cost_sol", _sol(seen.tips), "tips")
        values.put("bmv_cost_sol", _sol(seen.fees), "network_fees")
        values.put("bmv_rebuild_cost_sol", _sol(seen.rebuild_tips), "tips")
        values.put("bmv_rebuild_cost_sol", _sol(seen.rebuild_fees), "network_fees")
        values.put("bmv_cost_today_sol", _sol(state.cost_today(state.now)))
        values.put("bmv_cost_budget_sol", _sol(settings.daily_cost_budget))
        values.put("bmv_cost_hour_sol", _sol(state.cost_this_hour(state.now)))
        of_hour = hour_budget(settings)
        values.put("bmv_cost_hour_budget_sol", _sol(of_hour) if of_hour else None)
        if record.volume:
            values.put("bmv_breakeven_spread_ratio", int(seen.tips + seen.fees) / int(record.volume))

    def _books(self, values: Values, state: State, record: Record) -> None:
        views = list(state.views.values())
        tokens = sum(int(view.base_total) for view in views)
        values.put("bmv_inventory_tokens", tokens / self._atoms_per_token)
        values.put("bmv_inventory_sol", self._worth(tokens, state))
        values.put("bmv_rent_locked_sol", _sol(sum((view.rent for view in views), Lamports(0))))
        values.put("bmv_rent_recovered_sol", _sol(record.rent_reclaimed))
        values.put("bmv_treasury_sol", _sol(state.treasury.sol))
        values.put("bmv_treasury_usdc", int(state.treasury.usdc) / MICROS_PER_USD)
        rates = state.oracle.rates(state.now, self._engine.settings.oracle_quoting_max_age)
        for name, micros in (("bmv_sol_usd", rates.sol_usd), ("bmv_eur_usd", rates.eur_usd)):
            values.put(name, None if micros is None else int(micros) / MICROS_PER_USD)
        if record.ledger is None or record.equity_start is None:
            return
        equity, parts = record.equity(views), record.ledger.totals()
        values.put("bmv_equity_sol", _sol(equity))
        for part in PROFIT:
            values.put("bmv_pnl_sol", _sol(parts[part]), part.value)
        if not state.in_flight:
            known = sum(parts.values(), Lamports(0))
            values.put("bmv_pnl_residual_sol", _sol(equity - record.equity_start - known))

    def _wallet(self, values: Values, view: WalletView, state: State) -> None:
        wallet = str(view.wallet)
        values.put("bmv_wallet_exposure_sol", _sol(view.quote_total), wallet, "sol")
        values.put("bmv_wallet_exposure_sol", self._worth(int(view.base_total), state), wallet, "token")
        values.put("bmv_wallet_gas_sol", _sol(view.gas), wallet)
        values.put("bmv_wallet_orders", len(view.orders), wallet)
        values.put("bmv_wallet_aside", int(view.wallet in state.guards.aside), wallet)

    def _health(self, values: Values, state: State, record: Record) -> None:
        for phase in Phase:
            values.put("bmv_phase", int(state.phase is phase), phase.value)
        values.put("bmv_feed_up", int(state.feed_up))
        values.put("bmv_feed_age_seconds", int(state.now - state.seen_at) / 1000 if state.seen_at else None)
        values.put("bmv_queue_events", state.queue_count)
        values.put("bmv_loop_lag_seconds", self._lag())
        values.put_all("bmv_errors", record.errors)
        values.put_all("bmv_reports", {**dict.fromkeys(RARE, 0), **record.reports})

    def _fine(self, fine: int | None) -> float | None:
        return None if fine is None else self._sol_per_tick * fine / FINE

    def _worth(self, atoms: int, state: State) -> float | None:
        reading = state.market.reading
        return (
            None if reading is None else atoms / self._atoms_per_token * (self._fine(reading.price_fine) or 0)
        )


def _sol(lamports: Lamports) -> float:
    return int(lamports) / LAMPORTS_PER_SOL


def _of(value: float | None, whole: int) -> float | None:
    return None if value is None else value / whole


def _band(bps: int) -> str:
    return f"{bps / 100:g}%"
