"""Fill a market's history before an engine runs: from files, and from the chain and the oracle's sources."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from solders.pubkey import Pubkey

from bmv.app.assembly import read_market
from bmv.app.live import outside_of
from bmv.backtest.soundness import dollar_rows, examined, imported_rows
from bmv.backtest.tape import Table
from bmv.chain.candles import Candles
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.errors import BadInput, OutsideError
from bmv.model import MarketSpec
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.services.past import Walk
from bmv.state.folder import StateFolder
from bmv.state.history import History
from bmv.state.past import Cursor, Past
from bmv.state.rows import SolUsdRow
from bmv.state.servers import local_database
from bmv.state.statements import HOUR_MS
from bmv.units import Millis
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.system import CLOCK, decode_clock

RPC_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Market:
    """A market, its chain and its past, open."""

    spec: MarketSpec
    keys: MarketKeys
    rpc: Rpc
    past: Past
    session: aiohttp.ClientSession
    settings: Settings


def filled(
    state: StateFolder, settings: Settings, ask: Callable[[Market], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Return what ``ask`` returns, given the market of the settings and its history.

    Raises OutsideError where the node or the database cannot be reached, UnsafeState where the database is
    not ours, BadInput where this version cannot trade there.
    """
    loop = SimulatedLoop(1.0)
    clock = LoopClock(loop, int(time.time() * 1000))
    configure(clock.now, quiet=True)

    async def asked() -> dict[str, Any]:
        async with opened(state, settings, clock) as market:
            return await ask(market)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(asked())


@contextlib.asynccontextmanager
async def opened(state: StateFolder, settings: Settings, clock: LoopClock) -> AsyncIterator[Market]:
    """Open the market of the settings and its history until the block ends, see ``filled``."""
    outside = outside_of(settings)
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(session, outside.rpc_url, rng=random.Random(), timeout_s=RPC_TIMEOUT_S)
        spec, keys = await read_market(rpc, Pubkey.from_string(settings.market))
        world = await rpc.genesis_hash()
        async with local_database(state, clock, settings.database_url) as url:
            history = History.at(url, spec, world, clock, starts=False)
            try:
                await history.prepare()
                yield Market(spec, keys, rpc, Past(history), session, settings)
            finally:
                await history.close()


async def prices_taken(market: Market, table: Table) -> dict[str, Any]:
    """Take a file of the market's trades or bars; raise BadInput where other rows stand in its time."""
    found = examined(table, with_sizes=True)
    rows = imported_rows(table, found, market.spec)
    if not rows:
        raise BadInput("FILE", table.source, "rows of at least one lot", "command line")
    other = await market.past.overlapping(rows)
    if other is not None:
        allowed = f"a file of {other}, as imported for that time before: none counts twice"
        raise BadInput("FILE", rows[0].kind, allowed, table.source)
    new = await market.past.take(rows)
    return {**found.told, "kind": rows[0].kind, "taken": new, "known": len(rows) - new}


async def dollars_taken(market: Market, table: Table) -> dict[str, Any]:
    """Take a file of what a SOL cost in dollars."""
    found = examined(table, with_sizes=False)
    rows = dollar_rows(found)
    new = await market.past.take_dollars(rows)
    return {**found.told, "kind": "sol/usd by the hour", "taken": new, "known": len(rows) - new}


async def backfilled(market: Market, since: Millis, told: Callable[[Cursor], None]) -> dict[str, Any]:
    """Read the market's trades back from the chain until ``since``, and SOL/USD from Coinbase.

    What cannot be reached for SOL/USD is told, and does not stop the trades. Raises what ``Walk`` raises.
    """
    cursor = await Walk(market.rpc, market.keys, market.spec, market.past, told).run(since)
    found = msgspec.structs.asdict(cursor) if cursor else {"trades": 0, "complete": True}
    return {**found, "sol_usd": await _dollars(market, since)}


async def _dollars(market: Market, since: Millis) -> dict[str, Any]:
    if "coinbase" not in market.settings.oracle_sources:
        return {"hours": 0, "reason": "coinbase is none of ORACLE_SOURCES"}
    (clock,) = (await market.rpc.accounts([CLOCK])).accounts
    if clock is None:
        return {"hours": 0, "reason": "the chain tells no time"}
    first, now = int(since) // HOUR_MS, decode_clock(clock.data) * 1_000 // HOUR_MS
    known = await market.past.dollars()
    missing = [hour for hour in range(first, now) if hour not in known]
    if not missing:
        return {"hours": 0, "reason": ""}
    candles = Candles(market.session, market.settings.oracle_coinbase_url, rng=random.Random())
    try:
        found = await candles.opened(missing[0], missing[-1])
    except OutsideError as error:
        return {"hours": 0, "reason": str(error)}
    rows = [SolUsdRow(hour, found[hour]) for hour in missing if hour in found]
    return {"hours": await market.past.take_dollars(rows), "reason": ""}
