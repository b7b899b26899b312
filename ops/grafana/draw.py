"""The dashboards, as code: ``python ops/grafana/draw.py`` writes their JSON beside this file.

A panel is a title, a unit and its queries. Everything else about it is the same everywhere, two graphs in a
row, and all figures in one. The data source is a variable of the dashboard, so that any Prometheus will do.
"""

from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, VisibilityMode
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef

HERE = Path(__file__).parent
FULL_WIDTH = 24
SOL, RATIO, SECONDS, COUNT, TOKENS, USD = "suffix: SOL", "percentunit", "s", "short", "short", "currencyUSD"
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True)
class Panel:
    """A graph, or a figure (the last value, large) where ``figure``; queries by legend."""

    title: str
    unit: str
    queries: dict[str, str]
    says: str = ""
    figure: bool = False


def graph(title: str, unit: str, says: str = "", **queries: str) -> Panel:
    """Return a graph of queries; a legend {{label}} is written label__."""
    return Panel(title, unit, {_legend(name): query for name, query in queries.items()}, says)


def figure(title: str, unit: str, query: str, says: str = "") -> Panel:
    """Return a figure."""
    return Panel(title, unit, {title: query}, says, figure=True)


def hourly(counter: str, label: str) -> str:
    """Return how much a counter grows in an hour, by a label."""
    return f"sum by ({label}) (rate({counter}[15m])) * 3600"


def _legend(name: str) -> str:
    """Return ``side_of_band`` as it is, and ``by_side_band`` as {{side}} {{band}}."""
    if not name.startswith("by_"):
        return name.replace("_", " ")
    return " ".join(f"{{{{{label}}}}}" for label in name.removeprefix("by_").split("_"))


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "overview": (
        "Overview",
        (
            figure("Price", SOL, "bmv_price_sol", "P, by which everything is quoted."),
            figure("Profit and loss", SOL, "sum(bmv_pnl_sol)", "Since the start, all parts."),
            figure("Equity", SOL, "bmv_equity_sol"),
            figure("Bid uptime", RATIO, 'bmv_quote_uptime_ratio{side="bid"}'),
            figure("Ask uptime", RATIO, 'bmv_quote_uptime_ratio{side="ask"}'),
            figure("Both sides at once", RATIO, 'bmv_quote_uptime_ratio{side="both"}', "Uptime of the pair."),
            figure("Bundles landed", RATIO, "bmv_bundle_landed_ratio"),
            figure("Trades with ourselves", COUNT, "bmv_self_trades_total", "Must be 0."),
            graph(
                "Price, Pivot and channel",
                SOL,
                price="bmv_price_sol",
                by_kind="bmv_pivot_sol",
                by_border="bmv_channel_sol",
            ),
            graph("Fills", SOL, "Value in an hour.", by_side=hourly("bmv_fill_value_sol_total", "side")),
            graph("Spread", RATIO, now="bmv_spread_ratio", over_time="bmv_spread_mean_ratio"),
            graph("Equity", SOL, equity="bmv_equity_sol", tokens="bmv_inventory_sol"),
        ),
    ),
    "ladder": (
        "Ladder and depth",
        (
            graph("Orders", COUNT, by_side_state="bmv_ladder_orders"),
            graph("Near the price", SOL, "Our orders within 2 % of P.", by_side="bmv_quote_present_sol"),
            graph(
                "Out of the channel",
                COUNT,
                "Sides without a price in their zone.",
                by_side="bmv_out_of_channel",
            ),
            graph("Our depth", SOL, by_side_band='bmv_depth_sol{whose="own"}'),
            graph("Everybody's depth", SOL, by_side_band='bmv_depth_sol{whose="all"}'),
            graph("Our share of depth over time", RATIO, by_side_band="bmv_depth_own_ratio"),
            graph("Depth over time", SOL, by_side_band_whose="bmv_depth_mean_sol"),
            graph("Uptime", RATIO, by_side="bmv_quote_uptime_ratio"),
            graph("Markouts", RATIO, "What fills gained by a horizon.", by_side_horizon="bmv_markout_ratio"),
            graph("Markouts in sum", SOL, by_side_horizon="bmv_markout_sol"),
            graph("Fills in an hour", COUNT, by_side=hourly("bmv_fills_total", "side")),
        ),
    ),
    "execution": (
        "Execution and cost",
        (
            graph("Bundles in an hour", COUNT, by_outcome=hourly("bmv_bundles_total", "outcome")),
            graph("Landed", RATIO, since_the_start="bmv_bundle_landed_ratio"),
            graph(
                "Latency",
                SECONDS,
                "From the decision to its confirmation.",
                median="histogram_quantile(0.5, sum by (le) (rate(bmv_bundle_latency_seconds_bucket[30m])))",
                p95="histogram_quantile(0.95, sum by (le) (rate(bmv_bundle_latency_seconds_bucket[30m])))",
            ),
            graph("In flight", COUNT, actions="bmv_in_flight"),
            graph("Cost of the day", SOL, spent="bmv_cost_today_sol", budget="bmv_cost_budget_sol"),
            graph("Cost of the hour", SOL, spent="bmv_cost_hour_sol", budget="bmv_cost_hour_budget_sol"),
            graph("Cost in an hour", SOL, by_part=hourly("bmv_cost_sol_total", "part")),
            graph("Cost of rebuilds", SOL, by_part="bmv_rebuild_cost_sol_total"),
            graph("Rebuilds in an hour", COUNT, by_trigger=hourly("bmv_rebuilds_total", "trigger")),
            graph("Orders in an hour", COUNT, by_action=hourly("bmv_orders_total", "action")),
            graph("Spread that pays the costs", RATIO, costs_over_turnover="bmv_breakeven_spread_ratio"),
        ),
    ),
    "treasury": (
        "Treasury",
        (
            graph("Equity", SOL, equity="bmv_equity_sol"),
            graph("Profit and loss by part", SOL, by_part="bmv_pnl_sol"),
            graph("Books against accounts", SOL, "Must be 0.", residual="bmv_pnl_residual_sol"),
            graph("Tokens", TOKENS, tokens="bmv_inventory_tokens"),
            graph("Their value", SOL, tokens="bmv_inventory_sol"),
            graph("Treasury", SOL, SOL_beside_the_wallets="bmv_treasury_sol"),
            graph("USDC", USD, USDC="bmv_treasury_usdc"),
            graph("SOL in dollars", USD, by_the_oracle="bmv_sol_usd"),
            graph("A euro in dollars", USD, by_the_oracle="bmv_eur_usd"),
            graph("Rent", SOL, locked="bmv_rent_locked_sol", recovered="bmv_rent_recovered_sol_total"),
        ),
    ),
    "wallets": (
        "Wallets",
        (
            graph("Exposure", SOL, by_wallet_asset="bmv_wallet_exposure_sol"),
            graph("Plain SOL", SOL, "What fees and tips are paid from.", by_wallet="bmv_wallet_gas_sol"),
            graph("Orders", COUNT, by_wallet="bmv_wallet_orders"),
            graph("Set aside", COUNT, by_wallet="bmv_wallet_aside"),
        ),
    ),
    "health": (
        "Health",
        (
            graph("Phase", COUNT, by_phase="bmv_phase"),
            graph("Feed", SECONDS, age_of_the_last_reading="bmv_feed_age_seconds"),
            graph("Chain readable", COUNT, up="bmv_feed_up"),
            graph("Loop", SECONDS, "Longest delay between two scrapes.", late="bmv_loop_lag_seconds"),
            graph("Errors in an hour", COUNT, by_kind=hourly("bmv_errors_total", "kind")),
            graph("Events in an hour", COUNT, by_name=hourly("bmv_reports_total", "name")),
            graph("Market's event queue", COUNT, events="bmv_queue_events"),
            graph("Databases", COUNT, history="bmv_history_up", hot_state="bmv_hot_state_up"),
            graph(
                "History that waits",
                COUNT,
                "For PostgreSQL: rows in memory, bytes on disk; rows that were lost.",
                rows="bmv_history_waiting_rows",
                bytes="bmv_history_waiting_bytes",
                lost="bmv_history_lost_rows_total",
            ),
        ),
    ),
    "integrity": (
        "Integrity",
        (
            figure("Trades with ourselves", COUNT, "bmv_self_trades_total", "Must be 0."),
            figure("Synthetic volume", RATIO, "bmv_synthetic_volume_rate", "Own against own; must be 0."),
            figure("Market noise", RATIO, "bmv_market_noise_ratio", "Others' trades that look like it."),
            figure("Own share of the Pivot", RATIO, "bmv_pivot_own_ratio"),
            figure("Time between trades", SECONDS, "bmv_trade_cadence_seconds"),
            figure("Since the last trade", SECONDS, "bmv_seconds_since_trade"),
            graph("Turnover in an hour", SOL, by_whose=hourly("bmv_turnover_sol_total", "whose")),
            graph("Noise of the market", RATIO, suspected="bmv_market_noise_ratio"),
            graph("Trades in an hour", COUNT, trades="rate(bmv_trades_total[15m]) * 3600"),
            graph(
                "Cadence",
                SECONDS,
                between_trades="bmv_trade_cadence_seconds",
                since_the_last="bmv_seconds_since_trade",
            ),
        ),
    ),
}


def dashboard(name: str) -> Dashboard:
    """Return a dashboard; its panels fill rows from left to right."""
    title, panels = DASHBOARDS[name]
    found = (
        Dashboard(f"BMV · {title}")
        .uid(f"bmv-{name}")
        .tags(["bmv"])
        .readonly()
        .refresh("15s")
        .time("now-6h", "now")
        .timezone("utc")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(DashboardLink("BMV").type(DashboardLinkType.DASHBOARDS).tags(["bmv"]).as_dropdown(True))
    )
    width = FULL_WIDTH // (sum(panel.figure for panel in panels) or 1)
    for number, panel in enumerate(panels, 1):
        found = found.with_panel(_panel(panel, width).id(number))
    return found


def _panel(panel: Panel, figure_width: int) -> stat.Panel | timeseries.Panel:
    drawn: stat.Panel | timeseries.Panel
    if panel.figure:
        last = ReduceDataOptions().calcs(["lastNotNull"])
        drawn = stat.Panel().reduce_options(last).span(figure_width).height(4)
    else:
        legend = VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.RIGHT)
        drawn = timeseries.Panel().legend(legend.show_legend(True).calcs(["lastNotNull"]))
        drawn = drawn.fill_opacity(8).show_points(VisibilityMode.NEVER).span(12).height(8)
    drawn.title(panel.title).description(panel.says).unit(panel.unit).datasource(DATASOURCE)
    for place, (legend_format, query) in enumerate(panel.queries.items()):
        asked = Dataquery().ref_id(chr(ord("A") + place)).expr(query).legend_format(legend_format)
        drawn.with_target(asked.datasource(DATASOURCE))
    return drawn


def written(name: str) -> str:
    """Return a dashboard's file, as Grafana imports it."""
    return JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False).encode(dashboard(name).build()) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        (HERE / f"{each}.json").write_text(written(each), encoding="utf-8")
