"""What is backed up comes back as it was; what is exported can be read with every digit."""

import asyncio
import csv
import zipfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import polars
import pytest

from bmv.errors import BadInput
from bmv.secret import Secret
from bmv.state import archive
from bmv.state.migrating import KNOWN, NEWEST, migrate, version_of
from tests.state.test_history import everything, opened, run

T = TypeVar("T")


def on(url: Secret, ask: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def asked() -> T:
        connection = await asyncpg.connect(url.reveal())
        try:
            return await ask(connection)
        finally:
            await connection.close()

    return asyncio.run(asked())


def emptied(url: Secret) -> None:
    on(url, lambda connection: connection.execute("DROP SCHEMA bmv CASCADE"))


def filled(url: Secret) -> None:
    run(url, lambda history: history.write(everything()))


def test_a_backup_comes_back_whole_and_goes_on(database_url: Secret, tmp_path: Path) -> None:
    filled(database_url)
    before = run(database_url, opened)
    counts = on(database_url, lambda connection: archive.back_up(connection, tmp_path / "a.zip"))
    emptied(database_url)
    assert on(database_url, lambda connection: archive.restore(connection, tmp_path / "a.zip")) == counts
    assert run(database_url, opened) == before
    assert counts["own_order"] == 2
    # Another market gets a number of its own: the counter was restored too.
    run(database_url, opened, world="another")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_backup_of_an_older_schema_is_migrated_when_it_comes_back(
    database_url: Secret, tmp_path: Path
) -> None:
    async def older(connection: asyncpg.Connection) -> None:
        await migrate(connection, KNOWN[0])
        await connection.execute(
            "INSERT INTO bmv.market (address, world, base_lot_size, quote_lot_size, first_start)"
            " VALUES ('a', 'w', 1, 1, 0); INSERT INTO bmv.trade VALUES (1, 1, 1, 2, 3, 0, false)"
        )
        await archive.back_up(connection, tmp_path / "a.zip")

    async def sums(connection: asyncpg.Connection) -> tuple[object, object]:
        return await version_of(connection), await connection.fetchval("SELECT notional FROM bmv.trade_hour")

    on(database_url, older)
    emptied(database_url)
    on(database_url, lambda connection: archive.restore(connection, tmp_path / "a.zip"))
    assert on(database_url, sums) == (NEWEST, 6)


def test_a_database_in_use_is_not_overwritten(database_url: Secret, tmp_path: Path) -> None:
    filled(database_url)
    on(database_url, lambda connection: archive.back_up(connection, tmp_path / "a.zip"))
    with pytest.raises(BadInput, match="holds one already"):
        on(database_url, lambda connection: archive.restore(connection, tmp_path / "a.zip"))


def test_a_damaged_archive_restores_nothing(database_url: Secret, tmp_path: Path) -> None:
    filled(database_url)
    on(database_url, lambda connection: archive.back_up(connection, tmp_path / "a.zip"))
    emptied(database_url)
    with zipfile.ZipFile(tmp_path / "a.zip") as whole, zipfile.ZipFile(tmp_path / "b.zip", "w") as changed:
        for name in whole.namelist():
            data = whole.read(name)
            changed.writestr(name, data.replace(b"wallet", b"someon") if name == "fill.csv" else data)
    (tmp_path / "c.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-100])
    for name in ("b.zip", "c.zip", "none.zip"):
        with pytest.raises(BadInput, match=r"a whole archive of"):
            on(database_url, partial(archive.restore, path=tmp_path / name))
    assert on(database_url, version_of) is None


@pytest.mark.parametrize("form", archive.FORMATS)
def test_an_export_holds_every_digit(database_url: Secret, tmp_path: Path, form: str) -> None:
    filled(database_url)
    counts = on(database_url, lambda connection: archive.export(connection, tmp_path, form))
    assert (
        {path.stem for path in tmp_path.iterdir()} == set(counts) >= {"trade", "fill", "rebuild", "balance"}
    )
    row = everything().fills[0]
    if form == "csv":
        with (tmp_path / "fill.csv").open() as file:
            found = next(iter(csv.DictReader(file)))
        assert (found["order_id"], found["maker"]) == (str(row.order_id), "t")
    else:
        found = polars.read_parquet(tmp_path / "fill.parquet").to_dicts()[0]
        assert (found["order_id"], found["maker"], found["price"]) == (str(row.order_id), True, row.price)


def test_a_file_that_cannot_be_written_is_told(database_url: Secret, tmp_path: Path) -> None:
    filled(database_url)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can be written"):
        on(database_url, lambda connection: archive.back_up(connection, tmp_path / "file" / "a.zip"))
