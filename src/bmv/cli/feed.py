"""``bmv feed``: pair, trades and depth for listing sites and aggregators."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bmv.app.public import FeedOptions, read_feed, serve_feed
from bmv.cli import options
from bmv.cli.options import MAX_PORT, WHOLE, whole
from bmv.errors import BadInput
from bmv.keys.store import peek
from bmv.state.folder import StateFolder

DEFAULT_STATE = Path("state")


def feed(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    port: Annotated[
        int, typer.Option(help="Port to answer on.", parser=whole("--port", 0, MAX_PORT), metavar=WHOLE)
    ] = 8090,
    pair: Annotated[str, typer.Option(help="What the pair is called: BASE_TARGET.")] = "BMV_SOL",
    once: Annotated[
        bool, typer.Option("--once", help="Print pair, figures and book as one JSON object, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Tell of the market as public JSON until Ctrl-C: /pairs, /tickers, /orderbook, /historical_trades."""
    names = tuple(pair.split("_"))
    if len(names) != 2 or not all(name.isalnum() for name in names):
        raise BadInput("--pair", pair, "two names with _ between, such as BMV_SOL", options.SOURCE)
    settings, _ = options.configured(config)
    path = StateFolder(state).keystore_of(settings.keystore)
    # Without a keystore there is nobody whose trades could be with himself.
    wallets = [wallet.pubkey for wallet in peek(path)] if path.exists() else []
    chosen = FeedOptions(settings, wallets, (names[0], names[1]))
    if once:
        typer.echo(json.dumps(read_feed(chosen)))
    else:
        serve_feed(chosen, port, lambda url: typer.echo(_address(f"{url}tickers", as_json)))


def _address(url: str, as_json: bool) -> str:
    return json.dumps({"feed": url}) if as_json else f"public feed: {url}"
