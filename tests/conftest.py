"""What tests of every room may ask for: the two servers, started once for all of them."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from bmv.secret import Secret
from bmv.state.folder import temporary_state
from bmv.state.postgres import PostgresServer
from bmv.state.servers import Servers
from bmv.state.valkey import ValkeyServer


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Give PostgreSQL and Valkey as the demo starts them; tests share both, so each names what is its own."""
    with temporary_state() as state:
        postgres, valkey = PostgresServer(state), ValkeyServer(state)
        try:
            postgres.start()
            valkey.start()
            yield Servers(postgres.url, valkey.url)
        finally:
            postgres.stop()
            valkey.stop()


@pytest.fixture
def database_url(servers: Servers) -> Secret:
    """Give the database without any history in it."""

    async def emptied() -> None:
        connection = await asyncpg.connect(servers.database_url.reveal())
        await connection.execute("DROP SCHEMA IF EXISTS bmv CASCADE")
        await connection.close()

    asyncio.run(emptied())
    return servers.database_url
