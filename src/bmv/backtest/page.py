"""The report as one HTML file that needs nothing else: assumptions, runs side by side, plots."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]
from numpy.typing import NDArray

from bmv.backtest.measure import Columns
from bmv.observe.sheet import document, figure, plots, table

MOST_POINTS = 2_000
"""A plot shows at most so many points of a course."""


Run = dict[str, Any]
Row = tuple[str, Callable[[Run], object]]
NOTHING = "-"


def _at(*names: str) -> Callable[[Run], Any]:
    """Return what looks up a value of a run; None where a part of the way is missing."""

    def found(run: Run) -> Any:
        value: Any = run
        for name in names:
            value = value and value[name]
        return value

    return found


def _sol(*names: str) -> Callable[[Run], object]:
    return lambda run: _number(_at(*names)(run), "{:,.4f}")


def _percent(*names: str) -> Callable[[Run], object]:
    found = _at(*names)
    return lambda run: NOTHING if found(run) is None else f"{100 * found(run):.2f}"


def _count(*names: str) -> Callable[[Run], object]:
    return lambda run: _number(_at(*names)(run), "{:,.4g}")


def _money(*names: str) -> Callable[[Run], object]:
    return lambda run: _number(_at(*names)(run), "{:,.2f}")


def _number(value: Any, shape: str) -> str:
    """Return an amount as people read it; whole numbers whole, a dash for none."""
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else shape.format(float(value))


ROWS: tuple[Row, ...] = (
    ("equity at the start, SOL", _sol("equity_sol", "start")),
    ("equity at the end, SOL", _sol("equity_sol", "end_ours")),
    ("holding what we began with, SOL", _sol("equity_sol", "end_hold")),
    ("constant mix, no costs, SOL", _sol("equity_sol", "end_constant_mix")),
    ("largest drawdown: ours, %", _percent("equity_sol", "drawdown_ours")),
    ("largest drawdown: holding, %", _percent("equity_sol", "drawdown_hold")),
    ("both sides within 2 %, % of time", _percent("two_sided", "within_2pct")),
    ("both sides within 5 %, % of time", _percent("two_sided", "within_5pct")),
    ("mean depth within 2 %: bid, SOL", _money("depth_sol", "2pct", "bid")),
    ("mean depth within 2 %: ask, SOL", _money("depth_sol", "2pct", "ask")),
    ("fills", _count("fills", "count")),
    ("volume, SOL", _money("fills", "volume_sol")),
    *(
        (f"{words} a fill: {side}, bps in our favour", _money("markouts_bps", side, after))
        for after, words in (("60s", "1 min after"), ("600s", "10 min after"), ("3600s", "1 h after"))
        for side in ("bids", "asks")
    ),
    ("tokens' share of equity: median, %", _percent("base_share", "median")),
    ("tokens' share of equity: most, %", _percent("base_share", "max")),
    ("orders written a day", _count("writes", "writes_per_day")),
    ("bundles a day", _count("writes", "bundles_per_day")),
    ("tips, SOL", _sol("writes", "tips_sol")),
    ("fees, SOL", _sol("writes", "fees_sol")),
    ("conversions", _count("treasury", "conversions")),
    ("conversions a day", _count("treasury", "conversions_per_day")),
    ("converted, USDC", _money("treasury", "turnover_usdc")),
    ("USDC's share of SOL and USDC: median, %", _percent("treasury", "usdc_share", "median")),
    ("USDC's share of SOL and USDC: most, %", _percent("treasury", "usdc_share", "max")),
    ("equity at the end, USD", _money("treasury", "equity_usd", "end_ours")),
    ("holding what we began with, USD", _money("treasury", "equity_usd", "end_hold")),
    ("halted", lambda run: run["halted"] or "no"),
)


def page(runs: Sequence[tuple[Run, Columns]], assumptions: Sequence[str], unfinished: bool) -> str:
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
        f"{escape(Path(tape['source']).name)}: {tape['prints']:,} prints ({tape['kind']}), "
        f"{tape['days']} days, {tape['rows_skipped']} rows without a price, {tape['gaps']} gaps, "
        f"{tape['bad_ticks']} prices more than three times away from those around them, played as they are."
    )
    body = (
        f"<h1>Backtest</h1><p>{facts}</p>{stopped}<h2>What is assumed</h2><ul>{said}</ul>"
        f"<h2>What came of it</h2>{_table(reports)}<h2>Profit and loss, SOL</h2>{_parts(reports)}"
        f"<h2>Incidents, reports of the engine</h2>{_incidents(reports)}"
    )
    return document("Backtest", body + "".join(_plots(runs)))


def _table(reports: Sequence[Run]) -> str:
    rows = [(title, *(value(report) for report in reports)) for title, value in ROWS]
    return table(["", *(report["name"] for report in reports)], rows)


def _parts(reports: Sequence[Run]) -> str:
    rows = [
        (name.replace("_", " "), *(f"{report['pnl_parts_lamports'][name] / 1e9:.6f}" for report in reports))
        for name in reports[0]["pnl_parts_lamports"]
    ]
    return table(["", *(report["name"] for report in reports)], rows)


def _incidents(reports: Sequence[Run]) -> str:
    names = sorted({name for report in reports for name in report["incidents"]})
    rows = [(name, *(report["incidents"].get(name, 0) for report in reports)) for name in names]
    return table(["", *(report["name"] for report in reports)], rows or [("none", *("" for _ in reports))])


def _plots(runs: Sequence[tuple[Run, Columns]]) -> list[str]:
    shares = [_share_plot(runs)] if any(report["treasury"] for report, _ in runs) else []
    return plots([_equity_plot(runs), *shares, *(_price_plot(report, columns) for report, columns in runs)])


def _equity_plot(runs: Sequence[tuple[Run, Columns]]) -> go.Figure:
    plot = figure("Equity, SOL", hovermode="x unified")
    for report, columns in runs:
        at = _thinned(columns.times)
        plot.add_scatter(x=_moments(columns, at), y=columns.equity[at], name=report["name"])
    _, first = runs[0]
    at = _thinned(first.times)
    for name, course in (("hold", first.hold), ("constant mix", first.mix)):
        plot.add_scatter(x=_moments(first, at), y=course[at], name=name, line={"dash": "dot"})
    return plot


def _share_plot(runs: Sequence[tuple[Run, Columns]]) -> go.Figure:
    plot = figure("USDC's share of SOL and USDC, %", hovermode="x unified")
    for report, columns in runs:
        at = _thinned(columns.times)
        plot.add_scatter(x=_moments(columns, at), y=100 * columns.usdc_share[at], name=report["name"])
    return plot


def _price_plot(report: Run, columns: Columns) -> go.Figure:
    plot = figure(f"{report['name']}: price and best quotes, SOL", hovermode="x unified")
    at, tick = _thinned(columns.times), float(report["tape"]["first_price"]) / columns.prices[0]
    for name, course in (("price", columns.prices), ("best bid", columns.bids), ("best ask", columns.asks)):
        values = np.where(course[at] > 0, course[at] * tick, np.nan)
        plot.add_scatter(x=_moments(columns, at), y=values, name=name)
    return plot


def _thinned(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(times) - 1, min(len(times), MOST_POINTS)).astype(np.int64))


def _moments(columns: Columns, at: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return columns.times[at].astype("datetime64[ms]")
