"""The metrics: every name once, with its kind, meaning and labels; and how they are shown to Prometheus.

Nothing is counted here. At a scrape ``read`` says what the values are, so a metric costs the engine nothing
between two scrapes. A value that is not known yet is left out, never shown as 0. Amounts are in SOL, tokens
or dollars, shares are ratios from 0 to 1, times are seconds; floats, as Prometheus knows nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (0.5, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Named:
    """One metric: ``name`` without the ``_total`` of a counter."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()


def _counter(name: str, says: str, *labels: str) -> Named:
    return Named(name, "counter", says, labels)


def _gauge(name: str, says: str, *labels: str) -> Named:
    return Named(name, "gauge", says, labels)


CATALOGUE = (
    _gauge("bmv_info", "Always 1; the version that runs and the market it quotes.", "version", "market"),
    # Integrity
    _gauge("bmv_synthetic_volume_rate", "Share of the turnover that is own against own; must be 0."),
    _counter("bmv_self_trades", "Fills with accounts of ours on both sides; must be 0."),
    _gauge("bmv_market_noise_ratio", "Share of the latest trades of others that look like wash trading."),
    # The market
    _gauge("bmv_price_sol", "P, the current price, in SOL per token."),
    _gauge("bmv_pivot_sol", "The Pivot in SOL per token: used for quoting, and raw.", "kind"),
    _gauge("bmv_pivot_own_ratio", "Share of our own fills in the Pivot."),
    _gauge("bmv_channel_sol", "Borders of the BUY and SELL zones in SOL per token.", "border"),
    _gauge("bmv_out_of_channel", "1 while a side finds no price in its zone (pivot mode).", "side"),
    _counter("bmv_trades", "Trades of the market, anybody's."),
    _counter("bmv_turnover_sol", "Turnover of the market, with us as a maker and between others.", "whose"),
    _gauge("bmv_trade_cadence_seconds", "Mean time between the latest trades."),
    _gauge("bmv_seconds_since_trade", "Time since the last trade."),
    # Quotes
    _gauge("bmv_quote_uptime_ratio", "Share of time with MIN_QUOTE_SOL within 2 % of P.", "side"),
    _gauge("bmv_quote_present_sol", "Our orders within 2 % of P.", "side"),
    _gauge("bmv_spread_ratio", "Spread of the whole book, of its middle."),
    _gauge("bmv_spread_mean_ratio", "The same, averaged over time."),
    _gauge("bmv_depth_sol", "Orders near the middle, ours and everybody's.", "side", "band", "whose"),
    _gauge("bmv_depth_mean_sol", "The same, averaged over time.", "side", "band", "whose"),
    _gauge("bmv_depth_own_ratio", "Our share of that depth over time.", "side", "band"),
    _gauge("bmv_ladder_orders", "Orders of ours: wanted, live, in flight.", "side", "state"),
    _counter("bmv_orders", "Orders placed and cancelled, and kept by rebuilds.", "action"),
    _counter("bmv_rebuilds", "Ladders rebuilt.", "trigger"),
    _counter("bmv_fills", "Fills of our orders.", "side"),
    _counter("bmv_fill_value_sol", "Value of those fills.", "side"),
    _gauge("bmv_markout_ratio", "What fills gained by a horizon, of their value.", "side", "horizon"),
    _gauge("bmv_markout_sol", "What fills gained by a horizon, in sum.", "side", "horizon"),
    # Execution and its cost
    _counter("bmv_bundles", "Bundles sent, and how they ended.", "outcome"),
    _gauge("bmv_bundle_landed_ratio", "Share of the bundles with a known end that landed."),
    Named("bmv_bundle_latency_seconds", "histogram", "From the decision to its confirmation."),
    _gauge("bmv_in_flight", "Actions whose outcome is not known yet."),
    _counter("bmv_cost_sol", "What landed bundles cost.", "part"),
    _counter("bmv_rebuild_cost_sol", "What of that served rebuilds.", "part"),
    _gauge("bmv_cost_today_sol", "Cost of this (UTC) day."),
    _gauge("bmv_cost_budget_sol", "DAILY_COST_BUDGET_SOL."),
    _gauge("bmv_cost_hour_sol", "Cost of this hour by the clock."),
    _gauge("bmv_cost_hour_budget_sol", "HOURLY_COST_BUDGET_SOL; absent where there is no such limit."),
    _gauge("bmv_breakeven_spread_ratio", "Costs over the value of our fills."),
    # Treasury
    _gauge("bmv_equity_sol", "What the wallets own, tokens at the last trade."),
    _gauge("bmv_inventory_tokens", "Tokens of the wallets."),
    _gauge("bmv_inventory_sol", "Their value at P."),
    _gauge("bmv_pnl_sol", "Profit and loss since the start, by part.", "part"),
    _gauge("bmv_pnl_residual_sol", "Change of equity less the parts; 0 with nothing in flight."),
    _gauge("bmv_rent_locked_sol", "Rent held in accounts of ours."),
    _counter("bmv_rent_recovered_sol", "Rent that came back from accounts that were closed."),
    _gauge("bmv_treasury_sol", "SOL of the treasury beside the wallets."),
    _gauge("bmv_treasury_usdc", "USDC of the treasury."),
    _gauge("bmv_sol_usd", "SOL in dollars, by the oracle; absent when ORACLE_QUOTING_MAX_AGE is passed."),
    _gauge("bmv_eur_usd", "A euro in dollars, by the oracle; absent like that of SOL."),
    # Wallets
    _gauge("bmv_wallet_exposure_sol", "What a wallet holds, free and locked, at P.", "wallet", "asset"),
    _gauge("bmv_wallet_gas_sol", "Plain SOL of a wallet.", "wallet"),
    _gauge("bmv_wallet_orders", "Orders of a wallet.", "wallet"),
    _gauge("bmv_wallet_aside", "1 while a wallet is set aside.", "wallet"),
    # Health
    _gauge("bmv_phase", "1 for the phase the engine is in.", "phase"),
    _gauge("bmv_feed_up", "1 while the chain can be read."),
    _gauge("bmv_feed_age_seconds", "Age of the last reading."),
    _gauge("bmv_queue_events", "Events that wait in the market's queue."),
    _gauge("bmv_loop_lag_seconds", "Longest delay of the event loop since the last scrape."),
    _gauge("bmv_history_up", "1 while PostgreSQL takes what is recorded."),
    _gauge("bmv_history_waiting_bytes", "What waits for PostgreSQL on disk."),
    _gauge("bmv_history_waiting_rows", "What waits for it in memory."),
    _counter("bmv_history_lost_rows", "Rows that neither PostgreSQL nor the disk has taken."),
    _gauge("bmv_hot_state_up", "1 while Redis takes the snapshot of what the engine believes."),
    _counter("bmv_errors", "Failures, healed or not.", "kind"),
    _counter("bmv_reports", "Events of the engine, by name.", "name"),
)
_KNOWN = {named.name: named for named in CATALOGUE}


@dataclass(slots=True)
class Values:
    """The values of one scrape: by metric and labels; ``seconds`` are those of the histogram."""

    found: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def put(self, name: str, value: float | None, *labels: str) -> None:
        """Note a value; None is not known and left out. KeyError: no such metric."""
        if len(labels) != len(_KNOWN[name].labels):
            raise KeyError(f"{name} has the labels {_KNOWN[name].labels}")
        if value is not None:
            self.found.setdefault(name, {})[labels] = value

    def put_all(self, name: str, values: Mapping[str, float]) -> None:
        """Note the values of a metric with one label."""
        for label, value in values.items():
            self.put(name, value, label)


class Exposition(Collector):
    """All metrics in a registry of their own; ``read`` is asked at each scrape."""

    def __init__(self, read: Callable[[], Values]) -> None:
        self._read = read
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return what Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without values."""
        return iter([_family(named) for named in CATALOGUE])

    def collect(self) -> Iterator[Metric]:
        """Return the metrics that have values now."""
        values = self._read()
        for named in CATALOGUE:
            family = _family(named)
            if isinstance(family, HistogramMetricFamily):
                seconds = values.seconds.get(named.name, [])
                family.add_metric([], buckets=_buckets(seconds), sum_value=sum(seconds))
            else:
                for labels, value in values.found.get(named.name, {}).items():
                    family.add_metric(labels, value)
            if family.samples:
                yield family


def _family(named: Named) -> GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily:
    if named.kind == "histogram":
        return HistogramMetricFamily(named.name, named.says)
    family = CounterMetricFamily if named.kind == "counter" else GaugeMetricFamily
    return family(named.name, named.says, labels=named.labels)


def _buckets(seconds: list[float]) -> list[tuple[str, float]]:
    return [
        *((str(bound), float(sum(one <= bound for one in seconds))) for bound in LATENCY_BUCKETS_S),
        ("+Inf", float(len(seconds))),
    ]
