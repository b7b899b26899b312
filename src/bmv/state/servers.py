"""PostgreSQL and Valkey: those of DATABASE_URL and REDIS_URL, else own ones in the state folder.

Own servers listen on UNIX sockets in a folder of mode 0700 and ask for a random password kept in a file of
mode 0600; no port is open. PostgreSQL has checksums and fsync, Valkey an append-only file.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from bmv.ports import Clock
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.state.postgres import PostgresServer
from bmv.state.server import Server
from bmv.state.valkey import ValkeyServer


class Servers(msgspec.Struct, frozen=True):
    """Where the two servers are."""

    database_url: Secret
    redis_url: Secret


@contextlib.asynccontextmanager
async def local_servers(
    state: StateFolder,
    clock: Clock,
    *,
    database_url: Secret | None = None,
    redis_url: Secret | None = None,
) -> AsyncIterator[Servers]:
    """Give both servers while the block runs; an own one stands in for a URL that is not given.

    Raises BadInput where the folder cannot be written or no program is found, Unreachable where a server
    does not start.
    """
    async with (
        local_database(state, clock, database_url) as database,
        local_redis(state, clock, redis_url) as redis,
    ):
        yield Servers(database, redis)


@contextlib.asynccontextmanager
async def local_database(
    state: StateFolder, clock: Clock, url: Secret | None = None
) -> AsyncIterator[Secret]:
    """Give PostgreSQL alone while the block runs, see ``local_servers``."""
    async with _running(PostgresServer(state), clock, url) as found:
        yield found


@contextlib.asynccontextmanager
async def local_redis(state: StateFolder, clock: Clock, url: Secret | None = None) -> AsyncIterator[Secret]:
    """Give Valkey alone while the block runs, see ``local_servers``."""
    async with _running(ValkeyServer(state), clock, url) as found:
        yield found


@contextlib.asynccontextmanager
async def _running(server: Server, clock: Clock, url: Secret | None) -> AsyncIterator[Secret]:
    if url:
        yield url
        return
    try:
        with clock.hold():
            await asyncio.to_thread(server.start)
        yield server.url
    finally:
        with clock.hold():
            await asyncio.shield(asyncio.to_thread(server.stop))
