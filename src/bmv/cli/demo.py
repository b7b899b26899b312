"""``bmv demo``: a whole market on this machine."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from aiohttp import ClientSession

from bmv.app.assembly import Assembly
from bmv.app.demo import DemoOptions, run_demo
from bmv.app.observing import alerted, observe
from bmv.app.presenting import PageAt, page_shown
from bmv.app.world import World
from bmv.cli import options
from bmv.cli.leaving import tell_wallets
from bmv.cli.options import MAX_PORT, WHOLE, whole
from bmv.config import Configuration
from bmv.config.sources import Given, Source
from bmv.errors import BadInput
from bmv.services.showing import Showing
from bmv.state.folder import StateFolder
from bmv.web.page import HALT_REASON

DEFAULT_LEVELS = 100
DEFAULT_PORT = 8080
STATUS_EVERY_S = 1.0
LIVELY_ARRIVALS_PER_DAY = 7_200
"""A taker about every twelve seconds: people who look at the page shall see trades."""


def demo(
    headless: Annotated[bool, typer.Option(help="No page: run and print the report.")] = False,
    length: Annotated[str | None, typer.Option("--for", help="Simulated time to run: 30s, 24h, 30d.")] = None,
    speed: Annotated[str, typer.Option(help="Simulated seconds per real second, or max.")] = "1",
    seed: options.Seed = 1,
    wallets: Annotated[
        int, typer.Option(help="Operator wallets.", parser=whole("--wallets", 1, 100), metavar=WHOLE)
    ] = 4,
    levels: Annotated[
        int | None,
        typer.Option(
            help="Levels of the ladder, both sides together.", parser=whole("--levels", 4), metavar=WHOLE
        ),
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Reference path: FILE.parquet or FILE.csv.")] = None,
    sol_usd: options.SolUsd = None,
    sol_usd_from: options.SolUsdFrom = None,
    time_scale: Annotated[str, typer.Option(help="Play recorded paths this many times as fast.")] = "1",
    faults: Annotated[str, typer.Option(help="none, standard, or a TOML or JSON file of rates.")] = "none",
    sole_maker: Annotated[bool, typer.Option("--sole-maker", help="Nobody else makes.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the page (default 8080, else a free one).",
            parser=whole("--port", 0, MAX_PORT),
            metavar=WHOLE,
        ),
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Folder for the journal and the history.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what the engine does to stderr.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Beside the page too: addresses and report as JSON.")
    ] = False,
) -> None:
    """Run a simulated world and the real engine in it; Ctrl-C cancels everything and ends."""
    pace = options.speed(speed)
    if pace is None and not headless:
        allowed = "a number while the page is shown (max needs --headless)"
        raise BadInput("--speed", speed, allowed, options.SOURCE)
    run_s = options.seconds("--for", length)
    dollars = sol_usd, sol_usd_from
    world = options.world(
        seed, prices, time_scale, faults, run_s, wallets=wallets, sole_maker=sole_maker, dollars=dollars
    )
    if not headless:
        world = replace(world, crowd=replace(world.crowd, arrivals_per_day=LIVELY_ARRIVALS_PER_DAY))
    settings, file = options.configured(config, lambda found: with_levels(found, levels, wallets))
    target = options.writable("--report", report)
    folder = options.folder("--state", state)
    chosen = DemoOptions(
        world=world,
        settings=settings,
        speed=pace,
        run_s=run_s,
        state_dir=folder,
        quiet=not verbose,
        file=file,
        recorded=folder is not None or not headless,
    )
    result = run_demo(chosen, None if headless else _Page(port, pace or 1.0, folder, as_json).shown)
    # The book is empty; what is left is to say so, and no impatience may cut that short.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if target is not None:
        options.write_json(target, result)
    elif headless or as_json:
        typer.echo(json.dumps(result, indent=2))
    end(result)


def end(result: dict[str, Any]) -> None:
    """Say how the run ended; exit with 3 where orders are left or the engine halted by itself."""
    left, halted = result["after_drain"]["orders_live"], result["halted"]
    typer.echo(f"done: {result['fills']} fills, {left} orders of ours left on the chain", err=True)
    tell_wallets(result["remaining"], err=True)
    if halted:
        typer.echo(f"halted: {halted}", err=True)
    if left or not result["clean"] or (halted and halted != HALT_REASON):
        raise typer.Exit(3)


def with_levels(found: Configuration, levels: int | None, wallets: int) -> Configuration:
    """Return settings with the number of levels asked for; by default as configured, else about a hundred."""
    settings = found.settings
    seats = wallets * settings.orders_per_wallet
    if levels is None and settings.grid_levels is not None:
        return found
    wanted = min(DEFAULT_LEVELS, seats) if levels is None else levels
    if not 4 <= wanted <= seats:
        allowed = f"4 to {seats} ({wallets} wallets x ORDERS_PER_WALLET {settings.orders_per_wallet})"
        raise BadInput("--levels", wanted, allowed, options.SOURCE)
    source = Source.DEFAULT if levels is None else Source.COMMAND_LINE
    return found.with_value("GRID_LEVELS", Given(wanted, "--levels", source, options.SOURCE))


class _Page:
    """The page and a status line beside a running demo; ``folder`` is told where it is."""

    def __init__(self, port: int | None, pace: float, folder: Path | None, as_json: bool) -> None:
        self._port, self._pace, self._as_json = port, pace, as_json
        self._folder = StateFolder(folder) if folder is not None else None

    @contextlib.asynccontextmanager
    async def shown(self, _world: World, assembly: Assembly) -> AsyncIterator[None]:
        """Serve the page while the block runs."""
        observed = observe(assembly)
        async with (
            page_shown(
                assembly,
                "demo",
                self._folder,
                DEFAULT_PORT if self._port is None else self._port,
                free_port_too=self._port is None,
                pace=self._pace,
                metrics=observed.exposition.text,
            ) as page,
            ClientSession() as session,
            alerted(assembly, session, self._pace) as alerting,
        ):
            self._say(page.place)
            services = (page.note, observed.lag.run, alerting, partial(self._tell, page.showing))
            beside = [asyncio.ensure_future(service()) for service in services]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
        if not self._as_json:
            typer.echo("")

    def _say(self, place: PageAt) -> None:
        addresses = {"live page": f"{place.url}#token={place.token}", "for Prometheus": f"{place.url}metrics"}
        if self._as_json:
            typer.echo(json.dumps(addresses))
        else:
            typer.echo("\n".join(f"{name}: {address}" for name, address in addresses.items()))
            typer.echo("Ctrl-C cancels every order and ends.")
        sys.stdout.flush()

    async def _tell(self, showing: Showing) -> None:
        while sys.stdout.isatty() and not self._as_json:
            await asyncio.sleep(STATUS_EVERY_S * self._pace)
            typer.echo(f"\r{status_line(showing)}\x1b[K", nl=False)


def status_line(showing: Showing) -> str:
    """Return the engine's state in one line."""
    view = showing.view()
    counters = view.counters
    price = view.price.value if view.price else "-"
    return (
        f"{view.state}  price {price} SOL  bid {view.best_bid or '-'}  ask {view.best_ask or '-'}  "
        f"orders {sum(wallet.orders for wallet in view.wallets)}  fills {counters.fills}  "
        f"bundles {counters.bundles_landed}/{counters.bundles_sent}  self-trades {counters.self_trades}"
    )
