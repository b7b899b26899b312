"""One Valkey for all tests of the hot state; each test begins with it empty."""

from collections.abc import Iterator

import pytest

from tests.state.valkey import Valkey, running


@pytest.fixture(scope="session")
def lasting_valkey() -> Iterator[Valkey]:
    """Return a server that lives as long as the session."""
    with running() as server:
        yield server


@pytest.fixture
def valkey(lasting_valkey: Valkey) -> Valkey:
    """Return an empty server."""
    lasting_valkey.direct.flushall()
    return lasting_valkey
