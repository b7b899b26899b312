"""The report as one HTML file: first what holders ask, then what an exchange asks, then how it came about."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from bmv.core.decay import FINE
from bmv.core.ledger import Part
from bmv.observe.sheet import document, figure, plots, table, tiles
from bmv.report.material import DAY_MS, Material
from bmv.report.money import courses
from bmv.report.quoting import SIDES
from bmv.report.telling import moment
from bmv.units import LAMPORTS_PER_SOL, Ticks

MOST_POINTS = 2_000
DAYS_NAMED = 7
DAY_HEAD = [
    "day",
    "equity, SOL",
    "change, SOL",
    "bids",
    "asks",
    "both",
    "spread",
    "bids within 2 %, SOL",
    "asks within 2 %, SOL",
    "fills",
    "own, SOL",
    "market, SOL",
]
COLOURS = {"bid": "#2f9e6b", "ask": "#d9534f"}


def page(report: dict[str, Any], material: Material) -> str:
    """Return the file for a report and what it was made of."""
    period = report["period"]
    drawn = plots(_plots(report, material))
    equity, parts, price, presence, depth, markouts = drawn
    runs = f"{period['runs']} run{'' if period['runs'] == 1 else 's'}"
    body = (
        f"<h1>Market making report</h1><p>{escape(period['from'])} to {escape(period['to'])}, {runs}. "
        f"Market {escape(report['market'])}.</p>"
        f"{tiles(_first(report))}"
        f"<h2>What came of it</h2>{_parts(report)}{_against(report)}{equity}{parts}"
        f"<h2>How the market was quoted</h2>{_quotes(report)}{_depth(report)}{presence}{depth}{price}"
        f"<h2>What traded</h2>{_fills(report)}{_ratios(report)}{markouts}{_markouts(report)}"
        f"<h2>Inventory, conversions, rent, costs</h2>{_rest(report)}"
        f"<h2>Day by day (UTC)</h2>{_days(report)}"
        '<p class="note">Own wallets never trade with one another: self-trades are counted and must be 0. '
        "Presence counts a side that stands with enough within 2 % of the price while the engine quotes.</p>"
    )
    return document("Market making report", body)


def _first(report: dict[str, Any]) -> list[tuple[str, object]]:
    quotes, fills = report["quotes"], report["fills"]
    near = quotes["depth"]["2%"]
    return [
        ("Change of equity, SOL", _short(report["pnl"]["change_lamports"])),
        ("Against holding, SOL", _short(float(report["benchmarks"]["ours_against_hold_sol"]) * 1e9)),
        ("Bids present", _percent(quotes["uptime"]["bid"])),
        ("Asks present", _percent(quotes["uptime"]["ask"])),
        ("Both at once", _percent(quotes["uptime"]["both"])),
        ("Mean spread", _bps(quotes["spread_bps"])),
        ("Own bids within 2 %, SOL", _rough(near["bid"]["own_sol"])),
        ("Own asks within 2 %, SOL", _rough(near["ask"]["own_sol"])),
        ("Own part of volume", _percent(fills["share_of_market"])),
        ("Fills", fills["count"]),
        ("Self-trades", fills["self_trades"]),
    ]


def _parts(report: dict[str, Any]) -> str:
    pnl = report["pnl"]
    rows: list[tuple[object, ...]] = [
        (name.replace("_", " "), _sol9(amount)) for name, amount in pnl["parts_lamports"].items()
    ]
    total = sum(pnl["parts_lamports"].values())
    rows += [
        ("sum of the parts", _sol9(total)),
        ("change of equity, by the accounts", _sol9(pnl["change_lamports"])),
        ("difference", _sol9(pnl["residual_lamports"])),
        ("changed while no engine ran", _sol9(pnl["between_runs_lamports"])),
        ("equity at the start", pnl["equity_start_sol"]),
        ("equity at the end", pnl["equity_end_sol"]),
    ]
    return table(["profit and loss", "SOL"], rows)


def _against(report: dict[str, Any]) -> str:
    told = report["benchmarks"]
    rows = [
        ("what we did", told["ours_sol"], _percent(told["drawdown_ours"])),
        ("holding what there was", told["hold_sol"], _percent(told["drawdown_hold"])),
        ("all in SOL", told["sol_sol"], "-"),
        ("all in tokens", told["tokens_sol"], "-"),
    ]
    return table(["against", "change, SOL", "largest drawdown"], rows)


def _quotes(report: dict[str, Any]) -> str:
    told = report["quotes"]
    names = {"bid": "bids", "ask": "asks", "both": "both at once"}
    rows = [
        (name, _percent(told["uptime"][sides]), _percent(told["uptime_of_all"][sides]))
        for sides, name in names.items()
    ]
    rows.append(("engine quoting", "-", _percent(told["quoting_share"])))
    return (
        table(["presence within 2 % of the price", "of the time it quoted", "of all the time"], rows)
        + f"<p>Mean spread of the book, weighed by time: {_bps(told['spread_bps'])}.</p>"
    )


def _depth(report: dict[str, Any]) -> str:
    rows = [
        (f"{band} {side}s", _rough(of["own_sol"]), _rough(of["all_sol"]), _percent(of["own_share"]))
        for band, sides in report["quotes"]["depth"].items()
        for side, of in sides.items()
    ]
    return table(["mean depth within", "ours, SOL", "everybody's, SOL", "our part"], rows)


def _fills(report: dict[str, Any]) -> str:
    told = report["fills"]
    rows = [
        ("fills", f"{told['count']} ({told['bids']} bids, {told['asks']} asks)"),
        ("bought / sold, SOL", f"{told['bought_sol']} / {told['sold_sol']}"),
        ("different counterparties", told["counterparties"]),
        ("trades with ourselves", told["self_trades"]),
        ("all trades of the market", f"{told['market_trades']}, {told['market_sol']} SOL"),
        ("our part of the volume", _percent(told["share_of_market"])),
        ("rebates / fees, SOL", f"{told['rebates_sol']} / {told['fees_sol']}"),
    ]
    return table(["trading", ""], rows)


def _ratios(report: dict[str, Any]) -> str:
    rows = []
    for side, told in report["fill_ratio"].items():
        endings = ", ".join(f"{count} {name}" for name, count in told["endings"].items())
        rows.append((f"{side}s", told["orders"], endings, _percent(told["filled_share"])))
    return table(["orders that ended", "orders", "how", "filled part of their size"], rows)


def _markouts(report: dict[str, Any]) -> str:
    levels = report["markouts"]["by_level"]
    horizons = list(report["markouts"]["by_side"]["bid"])
    rows = [
        (f"{side}s, level {level}", curve[horizons[0]]["fills"], *(told["bps"] for told in curve.values()))
        for side, curves in levels.items()
        for level, curve in curves.items()
        if any(one["fills"] for one in curve.values())
    ]
    return table(["markout, basis points", "fills", *horizons], rows)


def _rest(report: dict[str, Any]) -> str:
    held, turned, costs = report["inventory"], report["conversions"], report["costs"]
    share, rent = held["share_of_equity"], report["rent"]
    rows = [
        ("tokens at the start / end", f"{held['start_tokens']} / {held['end_tokens']}"),
        ("tokens' part of equity: mean", _percent(share["mean"])),
        ("tokens' part of equity: least / most", f"{_percent(share['least'])} / {_percent(share['most'])}"),
        ("turnover, SOL", held["turnover_sol"]),
        ("turnover of equity a day", held["turnover_of_equity_per_day"]),
        ("conversions", turned["count"]),
        ("SOL bought / sold in them", f"{turned['bought_sol']} / {turned['sold_sol']}"),
        ("their cost against the oracle's price, SOL", turned["cost_against_oracle_sol"]),
        ("their tips and network fees, SOL", turned["network_cost_sol"]),
        ("USDC held at the end", turned["usdc_held"]),
        ("rent locked / recovered, SOL", f"{rent['locked_sol']} / {rent['recovered_sol']}"),
        ("bundles", ", ".join(f"{count} {name}" for name, count in costs["bundles"].items())),
        ("tips / network fees, SOL", f"{costs['tips_sol']} / {costs['network_fees_sol']}"),
        ("spread that pays for them", _bps(costs["breakeven_spread_bps"])),
    ]
    return table(["", ""], rows)


def _days(report: dict[str, Any]) -> str:
    rows = [
        (
            day["day"],
            _rough(day["equity_sol"]),
            _sol9(day["change_lamports"]),
            _percent(day["uptime_bid"]),
            _percent(day["uptime_ask"]),
            _percent(day["uptime_both"]),
            _bps(day["spread_bps"]),
            _rough(day["depth_2pct_bid_own_sol"]),
            _rough(day["depth_2pct_ask_own_sol"]),
            day["fills"],
            _rough(day["own_sol"]),
            _rough(day["market_sol"]),
        )
        for day in report["days"]
    ]
    return table(DAY_HEAD, rows)


def _plots(report: dict[str, Any], material: Material) -> list[go.Figure]:
    return [
        _equity_plot(material),
        _parts_plot(report),
        _price_plot(material),
        _presence_plot(report),
        _depth_plot(report),
        _markout_plot(report),
    ]


def _equity_plot(material: Material) -> go.Figure:
    own, held = courses(material)
    chosen = range(0, len(own), max(1, len(own) // MOST_POINTS))
    at = [moment(material.settled[index].at) for index in chosen]
    plot = figure("Equity, SOL", hovermode="x unified")
    for name, course in (("ours", own), ("holding", held)):
        plot.add_scatter(x=at, y=[course[index] / LAMPORTS_PER_SOL for index in chosen], name=name)
    return plot


def _parts_plot(report: dict[str, Any]) -> go.Figure:
    days = [day["day"] for day in report["days"]]
    plot = _by_day(figure("Profit and loss by day, SOL", barmode="relative"), days)
    for part in Part:
        amounts = [day[f"{part.value}_lamports"] / LAMPORTS_PER_SOL for day in report["days"]]
        if any(amounts):
            plot.add_bar(x=days, y=amounts, name=part.value.replace("_", " "))
    return plot


def _by_day(plot: go.Figure, days: Sequence[str]) -> go.Figure:
    """Name whole days below a plot, few enough for a telephone."""
    every = -(-len(days) // DAYS_NAMED)
    return plot.update_xaxes(type="date", tickformat="%b %-d", tick0=days[0], dtick=DAY_MS * every)


def _price_plot(material: Material) -> go.Figure:
    told = [one for one in material.samples if one.price_fine is not None]
    told = told[:: max(1, len(told) // MOST_POINTS)]
    tick = float(material.spec.price(Ticks(1))) / FINE
    plot = figure("Price and Pivot, SOL per token", hovermode="x unified")
    at = [moment(one.at) for one in told]
    for name, values in (
        ("price", [one.price_fine for one in told]),
        ("Pivot", [one.pivot_fine for one in told]),
    ):
        plot.add_scatter(x=at, y=[None if value is None else value * tick for value in values], name=name)
    return plot


def _presence_plot(report: dict[str, Any]) -> go.Figure:
    days = [day["day"] for day in report["days"]]
    plot = _by_day(figure("Presence by day, share of the time it quoted"), days)
    plot.update_yaxes(range=[0, 1.02], tickformat=".0%")
    for side in SIDES:
        values = [day[f"uptime_{side}"] for day in report["days"]]
        plot.add_bar(x=days, y=values, name=f"{side}s", marker={"color": COLOURS[side]})
    return plot


def _depth_plot(report: dict[str, Any]) -> go.Figure:
    plot = figure("Mean depth, SOL: ours before everybody's", barmode="group")
    for side in SIDES:
        bands = report["quotes"]["depth"]
        for who, opacity in (("own", ""), ("all", "73")):
            values = [float(of[side][f"{who}_sol"] or 0) for of in bands.values()]
            name = f"{side}s, {'ours' if who == 'own' else 'everybody'}"
            plot.add_bar(x=list(bands), y=values, name=name, marker={"color": COLOURS[side] + opacity})
    return plot


def _markout_plot(report: dict[str, Any]) -> go.Figure:
    plot = figure("Markout: what fills were worth later, basis points")
    for side, curve in report["markouts"]["by_side"].items():
        values = [told["bps"] for told in curve.values()]
        plot.add_scatter(x=list(curve), y=values, name=f"{side}s", line={"color": COLOURS[side]})
    return plot


def _sol9(lamports: int) -> str:
    return f"{lamports / LAMPORTS_PER_SOL:+.9f}"


def _short(lamports: float) -> str:
    return f"{lamports / LAMPORTS_PER_SOL:+.4f}"


def _rough(sol: str | None) -> str:
    return "-" if sol is None else f"{float(sol):,.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.2f} %"


def _bps(bps: float | None) -> str:
    return "-" if bps is None else f"{bps / 100:.3f} %"
