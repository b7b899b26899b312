"""Older schemas are brought up with what they hold; newer and foreign ones are refused in clear words."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from bmv.errors import UnsafeState
from bmv.secret import Secret
from bmv.state.migrating import KNOWN, NEWEST, migrate, version_of


def on(url: Secret, told: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    async def connected() -> None:
        connection = await asyncpg.connect(url.reveal())
        try:
            await told(connection)
        finally:
            await connection.close()

    asyncio.run(connected())


def test_the_versions_the_program_names_are_those_that_are_there() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("bmv.state") / "schema"))
    script = ScriptDirectory.from_config(config)
    assert [one.revision for one in script.walk_revisions()] == list(reversed(KNOWN))
    assert script.get_current_head() == NEWEST


def test_trades_recorded_under_the_first_version_are_in_the_hours_of_the_newest(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        assert await migrate(connection, KNOWN[0]) == (None, KNOWN[0])
        await connection.execute(
            "SET search_path = bmv;"
            "INSERT INTO market (address, world, base_lot_size, quote_lot_size, first_start)"
            " VALUES ('a', 'w', 1, 1, 0), ('b', 'w', 1, 1, 0);"
            "INSERT INTO trade SELECT 1 + n % 2, n, n * 1000, n, 9223372036854775807, 0, n % 3 = 0"
            " FROM generate_series(1, 20000) n"
        )
        assert await migrate(connection) == (KNOWN[0], NEWEST)
        wrong = await connection.fetchval(
            "SELECT count(*) FROM trade_hour FULL JOIN ("
            " SELECT market, at / 3600000 AS hour, sum(price::numeric * size) AS notional,"
            " sum(size) AS volume, sum(size * own::int) AS own, count(*) AS trades, max(at) AS last_at"
            " FROM trade GROUP BY 1, 2"
            ") raw USING (market, hour, notional, volume, own, trades, last_at)"
            " WHERE raw.trades IS NULL OR trade_hour.trades IS NULL"
        )
        assert (wrong, await connection.fetchval("SELECT count(*) FROM trade_hour")) == (0, 12)

    on(database_url, told)


def test_fills_whose_orders_nobody_saw_have_them_in_the_newest_version(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        await migrate(connection, KNOWN[1])
        await connection.execute(
            "SET search_path = bmv;"
            "INSERT INTO market (address, world, base_lot_size, quote_lot_size, first_start)"
            " VALUES ('a', 'w', 1, 1, 0), ('b', 'w', 1, 1, 0);"
            "INSERT INTO own_order VALUES (1, 7, 'wallet', 0, 5, 100, 9, 3);"
            "INSERT INTO fill SELECT market, seq, seq, seq, 'wallet', 0, 5, 10, true, 0, 0, 6 + seq / 3,"
            " 9, '', false FROM generate_series(1, 6) AS seq, generate_series(1, 2) AS market"
        )
        assert await migrate(connection) == (KNOWN[1], NEWEST)
        orders = "SELECT market, order_id::int, size, seen_at, ended_at FROM own_order ORDER BY 1, 2"
        assert [tuple(row) for row in await connection.fetch(orders)] == [
            *((1, 6, 20, 1, None), (1, 7, 100, 3, None), (1, 8, 10, 6, None)),
            *((2, 6, 20, 1, None), (2, 7, 30, 3, None), (2, 8, 10, 6, None)),
        ]

    on(database_url, told)


def test_to_migrate_twice_is_to_migrate_once_even_at_the_same_time(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        other = await asyncpg.connect(database_url.reveal())
        found = await asyncio.gather(migrate(connection), migrate(other))
        await other.close()
        assert sorted(found, key=str) == [(NEWEST, NEWEST), (None, NEWEST)]

    on(database_url, told)


def test_a_migration_takes_the_time_it_needs_whatever_the_limit_of_other_calls(database_url: Secret) -> None:
    async def told(other: asyncpg.Connection) -> None:
        hurried = await asyncpg.connect(database_url.reveal(), command_timeout=0.5)
        await migrate(other, KNOWN[0])
        async with other.transaction():
            await other.execute("LOCK TABLE bmv.trade")
            migrating = asyncio.create_task(migrate(hurried))
            await asyncio.sleep(1.0)
            assert not migrating.done()
        assert await migrating == (KNOWN[0], NEWEST)
        await hurried.close()

    on(database_url, told)


def test_a_migration_that_is_cut_off_leaves_what_was_there_and_the_next_one_completes(
    database_url: Secret,
) -> None:
    async def told(other: asyncpg.Connection) -> None:
        first = await asyncpg.connect(database_url.reveal())
        await migrate(first, KNOWN[0])
        async with other.transaction():
            await other.execute("LOCK TABLE bmv.trade")
            migrating = asyncio.create_task(migrate(first))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
            while not await other.fetchval(waiting, first.get_server_pid()):
                await asyncio.sleep(0.01)
            await other.execute(f"SELECT pg_terminate_backend({first.get_server_pid()})")
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await migrating
        assert await version_of(other) == KNOWN[0]
        assert await migrate(other) == (KNOWN[0], NEWEST)

    on(database_url, told)


def test_a_newer_schema_is_refused_and_left_alone(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        await migrate(connection)
        await connection.execute("UPDATE bmv.alembic_version SET version_num = 'r9999'")
        with pytest.raises(UnsafeState, match="version r9999, made by a newer program; this one knows up to"):
            await migrate(connection)

    on(database_url, told)


def test_a_schema_of_somebody_else_is_refused_and_left_alone(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        await connection.execute("CREATE SCHEMA bmv; CREATE TABLE bmv.payroll (salary int)")
        with pytest.raises(UnsafeState, match="holds 'payroll' and is not the history of this product"):
            await migrate(connection)

    on(database_url, told)


def test_tables_of_others_beside_the_history_do_not_matter(database_url: Secret) -> None:
    async def told(connection: asyncpg.Connection) -> None:
        await connection.execute(
            "CREATE TABLE trade (theirs int); CREATE TABLE alembic_version (version_num text)"
        )
        await migrate(connection)
        assert await version_of(connection) == NEWEST
        assert await connection.fetchval("SELECT count(*) FROM public.alembic_version") == 0
        await connection.execute("DROP TABLE public.trade, public.alembic_version")

    on(database_url, told)
