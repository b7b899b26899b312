"""What tests of every room may ask for: the two servers, started once for all of them."""

from collections.abc import Iterator

import pytest

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
