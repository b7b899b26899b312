"""``bmv history``: fill a market's history before an engine runs, from files and from the chain."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.app import past
from bmv.backtest.tape import read_table
from bmv.cli import options
from bmv.cli.progress import Tell, progress
from bmv.cli.tape_options import Mapped, columns_of
from bmv.state.folder import StateFolder
from bmv.state.past import Cursor

DEFAULT_STATE = Path("state")
history_app = typer.Typer(help="What was before the engine's own records.", no_args_is_help=True)

State = Annotated[Path, typer.Option("--state", help="Folder of the engine's state.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings, TOML.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@history_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Trades or bars, FILE.parquet or FILE.csv.", metavar="FILE")],
    sol_usd: Annotated[bool, typer.Option("--sol-usd", help="It says what a SOL cost in dollars.")] = False,
    column: Mapped = None,
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take a file of the market's prices for the seed of the Pivot, or of SOL/USD; twice is once."""
    table = read_table(file, columns_of(column or []))
    settings, _ = options.configured(config)
    take = past.dollars_taken if sol_usd else past.prices_taken
    _tell(past.filled(StateFolder(state), settings, partial(take, table=table)), as_json)


@history_app.command("backfill")
def backfill(
    since: Annotated[str, typer.Option("--from", help="How far back, a date: 2026-01-31.")],
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read the market's trades back from the chain, and SOL/USD; Ctrl-C keeps what is read, again goes on."""
    begin = options.date("--from", since)
    settings, _ = options.configured(config)
    try:
        with progress("trades") as tell:
            ask = partial(
                past.backfilled, since=begin, told=shown_by(tell, int(begin), int(time.time() * 1_000))
            )
            found = past.filled(StateFolder(state), settings, ask)
    except KeyboardInterrupt:
        typer.echo("stopped; what was read is kept, the same command goes on", err=True)
        raise typer.Exit(130) from None
    _tell(found, as_json)
    if found.get("cut"):
        raise typer.Exit(1)


def shown_by(tell: Tell, since: int, now: int) -> Callable[[Cursor], None]:
    """Return what shows how much of the time from ``now`` back to ``since`` (ms) has been read."""

    def told(cursor: Cursor) -> None:
        at = datetime.fromtimestamp(cursor.oldest_at / 1000, UTC)
        done = (now - cursor.oldest_at) / max(1, now - since)
        tell(min(1.0, max(0.0, done)), f"{cursor.trades} trades, back to {at:%Y-%m-%d %H:%M}")

    return told


def _tell(found: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(found) if as_json else "\n".join(f"{name:18} {found[name]}" for name in found))
