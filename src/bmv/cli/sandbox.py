"""``bmv sandbox``: the simulated outside world as a process of its own."""

import asyncio
import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from solders.pubkey import Pubkey

from bmv.app.assembly import Outside
from bmv.app.world import World
from bmv.cli import options
from bmv.cli.options import MAX_PORT, WHOLE, whole
from bmv.errors import BadInput
from bmv.keys.store import peek
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.state.folder import unwritable

PRICE_KEYS = {
    "hermes": "ORACLE_HERMES_URL",
    "coinbase": "ORACLE_COINBASE_URL",
    "kraken": "ORACLE_KRAKEN_URL",
    "binance": "ORACLE_BINANCE_URL",
    "jupiter": "JUPITER_URL",
}


def sandbox(
    port: Annotated[
        int,
        typer.Option(
            help="Port to answer on; 0 takes a free one.",
            parser=whole("--port", 0, MAX_PORT),
            metavar=WHOLE,
        ),
    ] = 0,
    seed: options.Seed = 1,
    speed: Annotated[str, typer.Option(help="Simulated seconds per real second.")] = "1",
    prices: Annotated[Path | None, typer.Option(help="Reference path: FILE.parquet or FILE.csv.")] = None,
    sol_usd: options.SolUsd = None,
    sol_usd_from: options.SolUsdFrom = None,
    faults: Annotated[str, typer.Option(help="none, standard, or a TOML or JSON file of rates.")] = "none",
    sole_maker: Annotated[bool, typer.Option("--sole-maker", help="Nobody else makes.")] = False,
    takers: Annotated[
        int | None,
        typer.Option(
            help="Takers a day; without it a quiet market's.",
            parser=whole("--takers", 1, 1_000_000),
            metavar=WHOLE,
        ),
    ] = None,
    fund: Annotated[
        list[str] | None,
        typer.Option(help="Give a wallet, or all of a keystore, what an operator has; may be said often."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder to write sandbox.json (the URLs) and sandbox.toml (settings) into."),
    ] = None,
    as_json: options.JsonFirst = True,
) -> None:
    """Serve a simulated chain, market and crowd until Ctrl-C; print one JSON line with the URLs."""
    pace = options.live_speed(speed)
    dollars = sol_usd, sol_usd_from
    world = options.world(seed, prices, "1", faults, None, wallets=4, sole_maker=sole_maker, dollars=dollars)
    if takers is not None:
        world = replace(world, crowd=replace(world.crowd, arrivals_per_day=takers))
    guests = dict.fromkeys(guest for text in fund or () for guest in _wallets(text))
    world = replace(world, guests=tuple(guests))
    folder = options.folder("--state", state)
    loop = SimulatedLoop(pace)
    clock = LoopClock(loop, int(time.time() * 1000))
    configure(clock.now, quiet=True)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_serve(World(world, clock, idle_slots_told=True), port, folder, as_json))


def _wallets(text: str) -> list[Pubkey]:
    """Return the wallet an address names, or those of a keystore, whose addresses are open to read."""
    try:
        return [Pubkey.from_string(text)]
    except ValueError as error:
        if not Path(text).is_file():
            allowed = "an address in base58, or the file of a keystore"
            raise BadInput("--fund", text, allowed, options.SOURCE) from error
    return [wallet.pubkey for wallet in peek(Path(text))]


def settings_text(world: World, outside: Outside) -> str:
    """Return a settings file that names everything of this world."""
    values = {
        "MARKET": str(world.market),
        "RPC_URL": outside.rpc_url,
        "RPC_WS_URL": outside.ws_url,
        "JITO_URLS": ", ".join(outside.jito_urls),
        "JITO_TIP_FLOOR_URL": outside.tip_floor_url,
        "LOCKED_ACCOUNTS": ", ".join(world.locked_accounts),
        **{PRICE_KEYS[name]: url for name, url in outside.prices.items()},
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


async def _serve(world: World, port: int, folder: Path | None, as_json: bool) -> None:
    try:
        outside = await world.start(port=port)
    except OSError as error:
        raise BadInput("--port", port, f"a free port ({error.strerror})", options.SOURCE) from error
    facts = {
        "rpc_url": outside.rpc_url,
        "ws_url": outside.ws_url,
        "jito_urls": list(outside.jito_urls),
        "tip_floor_url": outside.tip_floor_url,
        "market": str(world.market),
        "base_mint": world.spec.base_mint,
        "wallets": [str(keypair.pubkey()) for keypair in world.keypairs],
    }
    if folder is not None:
        try:
            options.write_json(folder / "sandbox.json", facts)
            (folder / "sandbox.toml").write_text(settings_text(world, outside))
        except OSError as error:
            raise unwritable(folder, error) from error
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        options.tell(facts, as_json=False)
    await stopped.wait()
    await world.stop()
