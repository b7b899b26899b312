"""The history as files: an archive to restore from, and tables for people to read.

An archive is a zip file: ``manifest.json`` (version of the schema, rows and SHA-256 of every table) and one
``<table>.csv`` each, as PostgreSQL's COPY writes them, all of one moment. It is restored into the version of
the schema it was made with and migrated from there. No program of PostgreSQL is needed, and no password
leaves this process.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from asyncpg import Connection

from bmv.errors import BadInput
from bmv.state.migrating import KNOWN, NEWEST, SCHEMA, migrate, version_of

MANIFEST = "manifest.json"
FORMATS = ("csv", "parquet")


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashed:
    """Pass bytes on and keep their hash."""

    def __init__(self, sink: _Sink) -> None:
        self._sink, self.hash = sink, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self._sink.write(data)


async def tables_of(connection: Connection, kind: str = "BASE TABLE") -> list[str]:
    """Return the history's tables (or views: kind ``VIEW``), those first that others refer to."""
    found = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = $1 AND table_type = $2 "
        "AND table_name <> 'alembic_version' ORDER BY table_name <> 'market', table_name",
        *(SCHEMA, kind),
    )
    return [row["table_name"] for row in found]


async def back_up(connection: Connection, path: Path) -> dict[str, int]:
    """Write an archive, whole or not at all; return how many rows of each table are in it."""
    partial = path.with_name(path.name + ".partial")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        version = await version_of(connection)
        if version is None:
            raise BadInput("DATABASE_URL", "an empty database", "one that holds a history", "settings")
        tables: dict[str, dict[str, Any]] = {}
        with _written(path, partial), zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for table in await tables_of(connection):
                with archive.open(f"{table}.csv", "w", force_zip64=True) as file:
                    hashed = _Hashed(file)
                    done = await _copied(connection, f"SELECT * FROM {SCHEMA}.{table}", hashed)
                tables[table] = {"rows": done, "sha256": hashed.hash.hexdigest()}
            manifest = {"product": "bmv history", "version": version, "tables": tables}
            archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
    return {name: table["rows"] for name, table in tables.items()}


async def restore(connection: Connection, path: Path) -> dict[str, int]:
    """Fill an empty database from an archive, all or nothing; return how many rows each table got."""
    with _opened(path) as (archive, manifest):
        async with connection.transaction():
            if await version_of(connection) is not None:
                if await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.market"):
                    allowed = "a database without a history; this one holds one already"
                    raise BadInput("DATABASE_URL", "in use", allowed, "settings")
                await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
            await migrate(connection, manifest["version"])
            for table in await tables_of(connection):
                with archive.open(f"{table}.csv") as file:
                    await connection.copy_to_table(
                        table, schema_name=SCHEMA, source=file, format="csv", header=True
                    )
            await connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{SCHEMA}.market', 'id'), max(id)) "
                f"FROM {SCHEMA}.market"
            )
            await migrate(connection)
    return {name: table["rows"] for name, table in manifest["tables"].items()}


async def export(connection: Connection, folder: Path, form: str) -> dict[str, int]:
    """Write every table and view as one file each, ``csv`` or ``parquet``; return their rows.

    What may exceed 64 bits (order ids, sums) is text in parquet, so that nothing is rounded.
    """
    counts = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        names = await tables_of(connection) + await tables_of(connection, "VIEW")
        for name in names:
            path = folder / f"{name}.{form}"
            partial = path.with_name(path.name + ".partial")
            with _written(path, partial):
                with partial.open("wb") as file:
                    counts[name] = await _copied(connection, f"SELECT * FROM {SCHEMA}.{name}", file)
                if form == "parquet":
                    _to_parquet(partial, await _types(connection, name))
    return counts


async def _copied(connection: Connection, query: str, sink: _Sink | BinaryIO) -> int:
    done = await connection.copy_from_query(query, output=sink, format="csv", header=True)
    return int(done.split()[-1])


async def _types(connection: Connection, name: str) -> dict[str, str]:
    found = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
        *(SCHEMA, name),
    )
    return {row["column_name"]: row["data_type"] for row in found}


def _to_parquet(path: Path, types: dict[str, str]) -> None:
    try:
        import polars  # noqa: PLC0415 - of the extra, and slow to import
    except ImportError as error:
        allowed = "csv, or install the extra `research` of this package"
        raise BadInput("--format", "parquet", allowed, "command line") from error
    whole = dict.fromkeys(("bigint", "integer", "smallint"), polars.Int64)
    schema = {name: whole.get(kind, polars.String) for name, kind in types.items()}
    frame = polars.read_csv(path, schema=schema)
    truths = [polars.col(name) == "t" for name, kind in types.items() if kind == "boolean"]
    frame.with_columns(truths).write_parquet(path)


@contextmanager
def _written(path: Path, partial: Path) -> Iterator[None]:
    """Put a file in place once all of it is there; BadInput where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        allowed = f"a file that can be written ({error.strerror or error})"
        raise BadInput("FILE", str(path), allowed, "command line") from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """Open an archive that is whole, of a version this program knows; else BadInput."""
    allowed = f"a whole archive of `bmv db backup`, of schema {NEWEST} or older"
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            if manifest["version"] not in KNOWN:
                raise ValueError(f"it is of schema {manifest['version']}")
            for name, table in manifest["tables"].items():
                if _hash_of(archive, f"{name}.csv") != table["sha256"]:
                    raise ValueError(f"{name} is damaged")
            yield archive, manifest
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise BadInput("FILE", str(path), f"{allowed} ({error})", "command line") from error


def _hash_of(archive: zipfile.ZipFile, name: str) -> str:
    found = hashlib.sha256()
    with archive.open(name) as file:
        while data := file.read(1 << 20):
            found.update(data)
    return found.hexdigest()
