"""``bmv status``: what an engine believes, while it runs or after it has died."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.live import Live

from bmv.app.looking import last_seen, redis_of, told
from bmv.app.presenting import shown_at
from bmv.cli import options
from bmv.cli.run import DEFAULT_STATE
from bmv.cli.watching import followed, screen
from bmv.config import Settings
from bmv.errors import BadInput
from bmv.state.folder import StateFolder

WATCH_EVERY_S = 1.0
CLEAR = "\x1b[H\x1b[2J"


def status(
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings, TOML; with REDIS_URL an engine is seen from other machines."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object (a line each to watch).")
    ] = False,
) -> None:
    """Tell what the engine last believed and how old that is; --watch shows its live page in the terminal."""
    settings, _ = options.configured(config)
    folder = StateFolder(state)
    while True:
        if watch and not as_json:
            asyncio.run(_follow(folder))
        facts = asyncio.run(_look(folder, settings))
        if watch and not as_json:
            typer.echo(CLEAR, nl=False)
        typer.echo(json.dumps(facts, indent=None if watch else 2) if as_json else "\n".join(lines(facts)))
        if not watch:
            return
        time.sleep(WATCH_EVERY_S)


async def _follow(folder: StateFolder) -> None:
    """Draw what the page of a running engine is told, for as long as there is one."""
    place = shown_at(folder)
    if place is None:
        return
    with (
        contextlib.suppress(aiohttp.ClientError, TimeoutError),
        Live(screen=True, auto_refresh=False) as live,
    ):
        async for view in followed(place.url):
            live.update(screen(view), refresh=True)


async def _look(folder: StateFolder, settings: Settings) -> dict[str, Any]:
    async with redis_of(settings) as hot:
        seen = await last_seen(folder, hot)
    if seen is None:
        allowed = "the folder of an engine that has run, or settings with the REDIS_URL of one"
        raise BadInput("--state", str(folder.root), allowed, options.SOURCE)
    return told(folder, seen, settings.oracle_quoting_max_age)


def lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts of ``told`` as people read them."""
    life = "runs" if facts["alive"] else "does not run"
    latch, zones = facts["latched"], facts["zones"] or ["-"] * 4
    found = [
        f"engine {facts['pid']} on {facts['host']} {life}; last heard of {facts['age_s']} s ago",
        f"{facts['phase']}{': ' + facts['halt_reason'] if facts['halt_reason'] else ''}"
        + ("" if facts["feed_up"] else "; the chain is not seen"),
        f"price {facts['price'] or '-'} SOL ({facts['price_source'] or 'none'}), "
        f"{facts['price_usd'] or '-'} USD, {facts['price_eur'] or '-'} EUR, "
        f"pivot {facts['pivot'] or '-'}",
        f"BUY zone {zones[0]} to {zones[1]}, SELL zone {zones[2]} to {zones[3]}",
        f"{facts['orders']} orders stand, {facts['levels']} levels are wanted, "
        f"{len(facts['in_flight'])} actions are in flight",
    ]
    if latch is not None:
        found.insert(2, f"kill switch latched by {latch['by']}: {latch['reason']}")
    for wallet in facts["wallets"]:
        found.append(
            f"wallet {wallet['index']} {wallet['address']}: {len(wallet['orders'])} orders, "
            f"{wallet['sol']} + {wallet['sol_in_market']} SOL, {wallet['tokens']} + "
            f"{wallet['tokens_in_market']} tokens, gas {wallet['gas_sol']}"
            + (f", set aside: {wallet['aside']}" if wallet["aside"] else "")
        )
    return found
