"""``bmv report``: what the market making came to, from the history of a real or a simulated run."""

import datetime
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.app.database import with_database
from bmv.cli import options
from bmv.cli.db import AsJson, Config, State, recorded
from bmv.cli.run import DEFAULT_STATE
from bmv.errors import BadInput
from bmv.report.files import write_csv
from bmv.report.material import read
from bmv.report.telling import report as told_of

Moment = "2026-01-31 or 2026-01-31T12:00"


def report(
    since: Annotated[
        str | None, typer.Option("--from", help=f"Begin here, UTC: {Moment}; else with the first sample.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="End before this, UTC; else with the last sample.")
    ] = None,
    market: Annotated[
        str | None, typer.Option("--market", help="Its address; else the market that was sampled last.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page that needs nothing else.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Folder for the tables as CSV files.")] = None,
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Report profit and loss by cause, presence, spread, depth, fills, markouts and costs."""
    begin, end = _moment("--from", since), _moment("--to", until)
    options.writable("--html", html)
    folder = options.folder("--csv", csv)
    settings, place = recorded(state, config)
    material = with_database(place, settings, partial(read, address=market, start=begin, end=end))
    told = told_of(material)
    if html is not None:
        from bmv.report.page import page  # noqa: PLC0415  (the plotting library takes long to load)

        html.write_text(page(told, material), encoding="utf-8")
    if folder is not None:
        write_csv(told, folder)
    typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines(told)))


def lines(told: dict[str, Any]) -> list[str]:
    """Return the most of a report that fits on a screen."""
    pnl, quotes, fills = told["pnl"], told["quotes"], told["fills"]
    period, near, present = told["period"], quotes["depth"]["2%"], quotes["uptime"]
    parts, against = pnl["parts_lamports"].items(), told["benchmarks"]
    return [
        f"{period['from']} to {period['to']}, {period['runs']} runs, market {told['market']}",
        f"equity {pnl['equity_start_sol']} to {pnl['equity_end_sol']} SOL; of that by cause:",
        *(f"  {name.replace('_', ' '):14} {amount / 1e9:+.9f}" for name, amount in parts),
        f"  {'not explained':14} {pnl['residual_lamports'] / 1e9:+.9f}",
        f"  {'between runs':14} {pnl['between_runs_lamports'] / 1e9:+.9f}",
        f"holding would have brought {against['hold_sol']} SOL, this brought {against['ours_sol']}",
        f"bids present {_percent(present['bid'])} of the time it quoted, asks {_percent(present['ask'])}, "
        f"both at once {_percent(present['both'])}",
        f"mean spread {quotes['spread_bps']} bps; within 2 %: bids {near['bid']['own_sol']} SOL "
        f"({_percent(near['bid']['own_share'])} of all), asks {near['ask']['own_sol']} SOL "
        f"({_percent(near['ask']['own_share'])})",
        f"{fills['count']} fills, {fills['bought_sol']} SOL bought, {fills['sold_sol']} SOL sold, "
        f"{_percent(fills['share_of_market'])} of the market, {fills['self_trades']} with ourselves",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.2f} %"


def _moment(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(option, text, f"a time such as {Moment}", options.SOURCE) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp()) * 1000
