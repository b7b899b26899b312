"""What was before records begin: trades read back from the chain, files of prices, SOL/USD by the hour.

Rules of this file
- Trades read back are trades like any other, numbered downwards from -1; how far the reading has come is
  written in the same transaction, so that a killed one goes on and none counts twice.
- Rows of a file are no trades: they make the seed of the Pivot. Taking a file again changes nothing.
"""

from collections.abc import Sequence

import msgspec
from asyncpg import Connection

from bmv.belief import QueueMark
from bmv.errors import UnsafeState
from bmv.model import Trade
from bmv.state import statements
from bmv.state.history import History
from bmv.state.rows import ImportedRow, SolUsdRow
from bmv.state.statements import Statement

ROWS = 50_000
"""So many go to the database at once."""


class Cursor(msgspec.Struct, frozen=True):
    """How far the chain was read back: signatures ``newest`` and ``oldest`` are the ends of what is done.

    ``trades`` were found, logs of ``cut`` transactions were cut short by the node. ``joined``: it has reached
    the engine's own records; ``complete``: there is nothing older.
    """

    newest: str
    oldest: str
    oldest_at: int
    trades: int = 0
    cut: int = 0
    joined: bool = False
    complete: bool = False


class Past:
    """The past of one market; every call raises Unreachable while the database is away."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def known(self) -> tuple[Cursor | None, QueueMark | None]:
        """Return how far the chain was read back, and where the engine's own records begin.

        Raises UnsafeState where they do not say that.
        """
        async with self._history.opened() as (connection, market):
            columns = ", ".join(Cursor.__struct_fields__)
            row = await connection.fetchrow(f"SELECT {columns} FROM backfill WHERE market = $1", market)
            live = await connection.fetchval("SELECT live_from::text FROM market WHERE id = $1", market)
            if live is None and await connection.fetchval(
                "SELECT EXISTS (SELECT FROM trade WHERE market = $1 AND seq >= 0)", market
            ):
                why = "it was recorded by an older program, which did not note where it began"
                raise UnsafeState(f"the history cannot be filled: {why}; fill a new database")
        mark = msgspec.json.decode(live, type=QueueMark) if live else None
        return (Cursor(**dict(row)) if row else None), mark

    async def advance(self, trades: Sequence[Trade], cursor: Cursor) -> None:
        """Write trades and how far they reach, both or neither."""
        values = msgspec.structs.asdict(cursor)
        names = ", ".join(values)
        places = ", ".join(f"${number}" for number in range(2, len(values) + 2))
        changed = ", ".join(f"{name} = excluded.{name}" for name in values)
        async with self._history.opened() as (connection, market), connection.transaction():
            if trades:
                await connection.execute(statements.TRADES.sql, market, *statements.TRADES.arguments(trades))
            await connection.execute(
                f"INSERT INTO backfill (market, {names}) VALUES ($1, {places}) "
                f"ON CONFLICT (market) DO UPDATE SET {changed}",
                *(market, *values.values()),
            )

    async def overlapping(self, rows: Sequence[ImportedRow]) -> str | None:
        """Return what other kind of rows is there already for the time of these; None for none."""
        async with self._history.opened() as (connection, market):
            found: str | None = await connection.fetchval(
                "SELECT kind FROM imported WHERE market = $1 AND kind <> $2 AND at BETWEEN $3 AND $4 LIMIT 1",
                *(market, rows[0].kind, rows[0].at, rows[-1].at),
            )
        return found

    async def take(self, rows: Sequence[ImportedRow]) -> int:
        """Write rows of a file, all or none; return how many were not there yet."""
        async with self._history.opened() as (connection, market), connection.transaction():
            return await _inserted(connection, market, statements.IMPORTED, rows)

    async def take_dollars(self, rows: Sequence[SolUsdRow]) -> int:
        """Write prices of SOL, all or none; return how many were not there yet."""
        async with self._history.opened() as (connection, market), connection.transaction():
            return await _inserted(connection, market, statements.SOL_USD, rows)

    async def dollars(self) -> set[int]:
        """Return the hours of which it is known what a SOL cost."""
        async with self._history.opened() as (connection, market):
            found = await connection.fetch("SELECT hour FROM sol_usd WHERE market = $1", market)
        return {row["hour"] for row in found}


async def _inserted(
    connection: Connection, market: int, statement: Statement, rows: Sequence[msgspec.Struct]
) -> int:
    count = 0
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        done = await connection.execute(statement.sql, market, *statement.arguments(part))
        count += int(done.split()[-1])
    return count
