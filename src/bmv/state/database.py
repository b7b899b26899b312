"""The one connection to PostgreSQL: opened when needed, opened again after it broke, its errors mapped.

| what happened | error | what the caller does |
|---|---|---|
| no connection, timeout, shutdown, disk full | Unreachable | keep the rows, try again later |
| password, rights, database name | Refused | tell the user, and try again later |
| a row that does not fit | BadRows | set the batch aside |
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import asyncpg
from asyncpg import Connection
from asyncpg.exceptions import (
    DataError,
    InsufficientPrivilegeError,
    IntegrityConstraintViolationError,
    InvalidAuthorizationSpecificationError,
    InvalidCatalogNameError,
    ReadOnlySQLTransactionError,
)

from bmv.errors import Refused, Unreachable
from bmv.ports import Clock
from bmv.secret import Secret
from bmv.state.migrating import SCHEMA

TIMEOUT_S = 30.0
BROKEN = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection that was cut is told with; the last one where it happens between two steps of a call."""
BAD_ROWS = (DataError, IntegrityConstraintViolationError)
NOT_ALLOWED = (
    InsufficientPrivilegeError,
    InvalidAuthorizationSpecificationError,
    InvalidCatalogNameError,
    ReadOnlySQLTransactionError,
)


class BadRows(Refused):
    """The database says that rows do not fit; they never will."""


class Database:
    """Hold at most one connection, used by one task at a time; ``timeout_s`` is by the loop's clock."""

    def __init__(self, url: Secret, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._clock, self._timeout_s = url, clock, timeout_s
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Give the connection while the block runs; the next use after it broke opens another."""
        async with self._turn:
            with self._clock.hold(), _mapped():
                try:
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._connected()
                    yield self._connection
                except BROKEN:
                    await self._drop()
                    raise

    async def _connected(self) -> Connection:
        return await asyncpg.connect(
            self._url.reveal(),
            timeout=self._timeout_s,
            command_timeout=self._timeout_s,
            server_settings={"search_path": SCHEMA, "application_name": "bmv"},
        )

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection; what fails then does not matter any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with (
                self._clock.hold(),
                contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError),
            ):
                await connection.close(timeout=self._timeout_s)


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except NOT_ALLOWED as error:
        raise Refused("postgres", str(error)) from error
    except BAD_ROWS as error:
        raise BadRows("postgres", str(error)) from error
    except (asyncpg.PostgresError, *BROKEN) as error:
        # TimeoutError is an OSError; a disk that is full or a server that shuts down are PostgresErrors.
        raise Unreachable("postgres", str(error) or type(error).__name__) from error
