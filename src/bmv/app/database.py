"""What ``bmv db`` does: one connection to the history's database, wherever it is."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from asyncpg import Connection

from bmv.config import Settings
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.state import archive
from bmv.state.database import Database
from bmv.state.folder import StateFolder
from bmv.state.migrating import NEWEST, SCHEMA, migrate, version_of
from bmv.state.servers import local_database

Answer = TypeVar("Answer")
PATIENCE_S = 3_600.0
"""A backup of a large history takes its time."""


def with_database(
    state: StateFolder, settings: Settings, ask: Callable[[Connection], Awaitable[Answer]]
) -> Answer:
    """Return what ``ask`` returns, given a connection to DATABASE_URL or to the state folder's own server."""
    loop = SimulatedLoop(1.0)
    clock = LoopClock(loop, int(time.time() * 1000))

    configure(clock.now, quiet=True)

    async def asked() -> Answer:
        async with local_database(state, clock, settings.database_url) as url:
            database = Database(url, clock, timeout_s=PATIENCE_S)
            try:
                async with database.connection() as connection:
                    return await ask(connection)
            finally:
                await database.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(asked())


async def status(connection: Connection) -> dict[str, Any]:
    """Return the schema's version, the markets, and how many rows and bytes each table has."""
    version = await version_of(connection)
    markets, tables = [], {}
    if version is not None:
        for name in await archive.tables_of(connection):
            rows = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.{name}")
            size = await connection.fetchval("SELECT pg_total_relation_size($1)", f"{SCHEMA}.{name}")
            tables[name] = {"rows": rows, "bytes": size}
        found = await connection.fetch(
            f"SELECT address, world, first_start, min(at) AS first_trade, max(at) AS last_trade "
            f"FROM {SCHEMA}.market LEFT JOIN {SCHEMA}.trade ON trade.market = market.id "
            f"GROUP BY market.id ORDER BY market.id"
        )
        markets = [dict(row) for row in found]
    server = await connection.fetchval("SELECT current_setting('server_version')")
    return {"server": server, "schema": version, "newest": NEWEST, "markets": markets, "tables": tables}


async def migrated(connection: Connection) -> dict[str, Any]:
    """Bring the schema up to date; return the version before and after."""
    before, after = await migrate(connection)
    return {"before": before, "after": after}


async def backed_up(connection: Connection, path: Path) -> dict[str, Any]:
    """Write an archive of the history."""
    return {"file": str(path), "rows": await archive.back_up(connection, path)}


async def restored(connection: Connection, path: Path) -> dict[str, Any]:
    """Fill an empty database from an archive."""
    return {"file": str(path), "rows": await archive.restore(connection, path)}


async def exported(connection: Connection, folder: Path, form: str) -> dict[str, Any]:
    """Write the tables as files for people and their tools."""
    return {"folder": str(folder), "rows": await archive.export(connection, folder, form)}


def waiting(state: StateFolder) -> int:
    """Return how many bytes wait in the spool for the database."""
    return sum(path.stat().st_size for path in state.spool.glob("*.log")) if state.spool.is_dir() else 0
