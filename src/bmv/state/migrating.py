"""The schema of the history: which version a database has, and how it gets the newest.

Everything lives in a PostgreSQL schema named ``bmv``, so a database shared with others stays theirs. The
versions are alembic's; it writes the SQL, and the one connection of the history runs it in one transaction.
"""

import io
from importlib.resources import files

from asyncpg import Connection

from bmv.errors import UnsafeState
from bmv.observe.log import get_logger

SCHEMA = "bmv"
NEWEST = "r0007"
KNOWN = ("r0001", "r0002", "r0003", "r0004", "r0005", "r0006", NEWEST)
LOCK = 0x626D76
"""Number of the advisory lock under which one process migrates."""
PATIENCE_S = 3_600.0
"""How long that may take, here or in another process: what a large history needs is no outage."""


async def version_of(connection: Connection) -> str | None:
    """Return the schema's version, None where there is no schema; UnsafeState where it is not ours."""
    found = None
    if await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.alembic_version"):
        found = await connection.fetchval(f"SELECT version_num FROM {SCHEMA}.alembic_version")
    if found is None:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = $1 LIMIT 1"
        stranger = await connection.fetchval(query, SCHEMA)
        if stranger is not None:
            why = f"its schema {SCHEMA!r} holds {stranger!r} and is not the history of this product"
            raise UnsafeState(f"DATABASE_URL: {why}; give the history a database of its own")
        return None
    if found not in KNOWN:
        why = f"its schema is version {found}, made by a newer program; this one knows up to {NEWEST}"
        raise UnsafeState(f"DATABASE_URL: {why}; use that program, or another database")
    return str(found)


async def migrate(connection: Connection, target: str = NEWEST) -> tuple[str | None, str]:
    """Bring the schema up to ``target``; return the version before and after. All or nothing."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=PATIENCE_S)
        before = await version_of(connection)
        if before is not None and KNOWN.index(before) >= KNOWN.index(target):
            return before, before
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(f"SET LOCAL search_path = {SCHEMA}")
        await connection.execute(upgrade_sql(before, target), timeout=PATIENCE_S)
    get_logger("history").info("HISTORY_MIGRATED", before=before or "nothing", after=target)
    return before, target


def upgrade_sql(before: str | None, target: str) -> str:
    """Return the SQL that leads from one version to another, as alembic writes it."""
    # Imported where it is needed: an engine whose database is up to date never pays for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(files("bmv.state") / "schema"))
    command.upgrade(config, f"{before}:{target}" if before else target, sql=True)
    return written.getvalue()
