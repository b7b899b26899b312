"""The report as one HTML file that needs nothing else: assumptions, runs side by side, plots."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]
from numpy.typing import NDArray

from bmv.backtest.measure import Columns
from bmv.observe.sheet import document, figure, plots, table

MOST_POINTS = 2_000
"""A plot shows at most so many points of a course."""


def _of_treasury(run: dict[str, Any], *names: str) -> object:
    """Return something of a run's treasury, a dash where it has none."""
    found = run["treasury"]
    for name in names:
        found = found and found[name]
    return "-" if found is None else found


ROWS: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
    ("equity at the start, SOL", lambda run: run["equity_sol"]["start"]),
    ("equity at the end, SOL", lambda run: run["equity_sol"]["end_ours"]),
    ("holding what we began with, SOL", lambda run: run["equity_sol"]["end_hold"]),
    ("constant mix, no costs, SOL", lambda run: run["equity_sol"]["end_constant_mix"]),
    ("largest drawdown: ours", lambda run: run["equity_sol"]["drawdown_ours"]),
    ("largest drawdown: holding", lambda run: run["equity_sol"]["drawdown_hold"]),
    ("both sides within 2 %, share of time", lambda run: run["two_sided"]["within_2pct"]),
    ("both sides within 5 %, share of time", lambda run: run["two_sided"]["within_5pct"]),
    ("mean depth within 2 %: bid, SOL", lambda run: run["depth_sol"]["2pct"]["bid"]),
    ("mean depth within 2 %: ask, SOL", lambda run: run["depth_sol"]["2pct"]["ask"]),
    ("fills", lambda run: run["fills"]["count"]),
    ("volume, SOL", lambda run: run["fills"]["volume_sol"]),
    ("tokens' share of equity: median", lambda run: run["base_share"]["median"]),
    ("tokens' share of equity: most", lambda run: run["base_share"]["max"]),
    ("orders written a day", lambda run: run["writes"]["writes_per_day"]),
    ("bundles a day", lambda run: run["writes"]["bundles_per_day"]),
    ("tips, SOL", lambda run: run["writes"]["tips_sol"]),
    ("fees, SOL", lambda run: run["writes"]["fees_sol"]),
    ("conversions", lambda run: _of_treasury(run, "conversions")),
    ("conversions a day", lambda run: _of_treasury(run, "conversions_per_day")),
    ("converted, USDC", lambda run: _of_treasury(run, "turnover_usdc")),
    ("USDC's share of SOL and USDC: median", lambda run: _of_treasury(run, "usdc_share", "median")),
    ("USDC's share of SOL and USDC: most", lambda run: _of_treasury(run, "usdc_share", "max")),
    ("equity at the end, USD", lambda run: _of_treasury(run, "equity_usd", "end_ours")),
    ("holding what we began with, USD", lambda run: _of_treasury(run, "equity_usd", "end_hold")),
    ("incidents", lambda run: ", ".join(f"{name} {n}" for name, n in run["incidents"].items()) or "none"),
    ("halted", lambda run: run["halted"] or "no"),
)


def page(runs: Sequence[tuple[dict[str, Any], Columns]], assumptions: Sequence[str], unfinished: bool) -> str:
    """Return the page for runs of one tape; ``unfinished`` says that it was stopped before the tape's end."""
    reports = [report for report, _ in runs]
    tape = reports[0]["tape"]
    said = "".join(f"<li>{escape(each)}</li>" for each in assumptions)
    stopped = (
        '<p class="warn">Stopped before the end of the tape: this is the part that was played.</p>'
        if unfinished
        else ""
    )
    facts = (
        f"{escape(tape['source'])}: {tape['prints']} prints ({tape['kind']}), {tape['days']} days, "
        f"{tape['rows_skipped']} rows skipped, {tape['gaps']} gaps."
    )
    body = (
        f"<h1>Backtest</h1><p>{facts}</p>{stopped}<h2>What is assumed</h2><ul>{said}</ul>"
        f"<h2>What came of it</h2>{_table(reports)}<h2>Profit and loss, SOL</h2>{_parts(reports)}"
    )
    return document("Backtest", body + "".join(_plots(runs)))


def _table(reports: Sequence[dict[str, Any]]) -> str:
    rows = [(title, *(value(report) for report in reports)) for title, value in ROWS]
    return table(["", *(report["name"] for report in reports)], rows)


def _parts(reports: Sequence[dict[str, Any]]) -> str:
    rows = [
        (name.replace("_", " "), *(f"{report['pnl_parts_lamports'][name] / 1e9:.6f}" for report in reports))
        for name in reports[0]["pnl_parts_lamports"]
    ]
    return table(["", *(report["name"] for report in reports)], rows)


def _plots(runs: Sequence[tuple[dict[str, Any], Columns]]) -> list[str]:
    shares = [_share_plot(runs)] if any(report["treasury"] for report, _ in runs) else []
    return plots([_equity_plot(runs), *shares, *(_price_plot(report, columns) for report, columns in runs)])


def _equity_plot(runs: Sequence[tuple[dict[str, Any], Columns]]) -> go.Figure:
    plot = figure("Equity, SOL", hovermode="x unified")
    for report, columns in runs:
        at = _thinned(columns.times)
        plot.add_scatter(x=_moments(columns, at), y=columns.equity[at], name=report["name"])
    _, first = runs[0]
    at = _thinned(first.times)
    for name, course in (("hold", first.hold), ("constant mix", first.mix)):
        plot.add_scatter(x=_moments(first, at), y=course[at], name=name, line={"dash": "dot"})
    return plot


def _share_plot(runs: Sequence[tuple[dict[str, Any], Columns]]) -> go.Figure:
    plot = figure("USDC's share of SOL and USDC", hovermode="x unified")
    for report, columns in runs:
        at = _thinned(columns.times)
        plot.add_scatter(x=_moments(columns, at), y=columns.usdc_share[at], name=report["name"])
    return plot


def _price_plot(report: dict[str, Any], columns: Columns) -> go.Figure:
    plot = figure(f"Price and best quotes, ticks: {report['name']}", hovermode="x unified")
    at = _thinned(columns.times)
    for name, course in (("price", columns.prices), ("best bid", columns.bids), ("best ask", columns.asks)):
        values = np.where(course[at] > 0, course[at], np.nan)
        plot.add_scatter(x=_moments(columns, at), y=values, name=name)
    return plot


def _thinned(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(times) - 1, min(len(times), MOST_POINTS)).astype(np.int64))


def _moments(columns: Columns, at: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return columns.times[at].astype("datetime64[ms]")
