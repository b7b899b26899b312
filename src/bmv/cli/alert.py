"""``bmv alert``: see that alerts arrive."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bmv.app.alerts import try_alerts
from bmv.cli import options

alert_app = typer.Typer(no_args_is_help=True, help="See that alerts arrive.")


@alert_app.callback()
def alert() -> None:
    """See that alerts arrive."""


@alert_app.command("test")
def try_now(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send a test message through every messenger that is configured; exit with 4 where one fails."""
    settings, _ = options.configured(config)
    told = try_alerts(settings)
    if as_json:
        typer.echo(json.dumps({name: {"sent": not error, "error": error} for name, error in told.items()}))
    else:
        for name, error in told.items():
            typer.echo(f"{name}: {error or 'sent; look whether it arrived'}")
    if any(told.values()):
        raise typer.Exit(4)
