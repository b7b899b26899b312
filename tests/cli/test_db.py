"""``bmv db`` on a database that is there, empty, somebody else's, newer, and not there at all."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from bmv.cli.main import main
from bmv.secret import Secret
from bmv.state.migrating import NEWEST


def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, *words: str
) -> tuple[int, str]:
    """Return the exit code of a call and what it said."""
    monkeypatch.setenv("BMV_DATABASE_URL", url)
    monkeypatch.setattr("sys.argv", ["bmv", "db", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert url not in said.out + said.err
    return int(ended.value.code or 0), said.out + said.err


def execute(url: Secret, query: str) -> None:
    async def executed() -> None:
        connection = await asyncpg.connect(url.reveal())
        await connection.execute(query)
        await connection.close()

    asyncio.run(executed())


def test_an_empty_database_is_migrated_backed_up_restored_and_exported(
    database_url: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database_url.reveal()
    code, said = called(monkeypatch, capsys, url, "status", "--json")
    assert (code, json.loads(said)["schema"]) == (1, None)
    code, said = called(monkeypatch, capsys, url, "migrate", "--json")
    assert (code, json.loads(said)) == (0, {"before": None, "after": NEWEST})
    code, said = called(monkeypatch, capsys, url, "migrate")
    assert (code, said) == (0, f"schema {NEWEST} (is up to date)\n")
    code, said = called(monkeypatch, capsys, url, "status", "--json")
    assert (code, json.loads(said)["tables"]["fill"]["rows"]) == (0, 0)
    archive = str(tmp_path / "a.zip")
    assert called(monkeypatch, capsys, url, "backup", archive)[0] == 0
    assert called(monkeypatch, capsys, url, "restore", archive)[0] == 0
    assert called(monkeypatch, capsys, url, "export", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out" / "rebuild.csv").read_text().startswith("market,run,number,at,name,trigger")


def test_what_cannot_be_used_is_told_with_its_own_exit_code(
    database_url: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database_url.reveal()
    nowhere = f"postgresql://bmv:secret@/postgres?host={tmp_path}"
    code, said = called(monkeypatch, capsys, nowhere, "status")
    assert (code, "postgres" in said) == (4, True)
    execute(database_url, "CREATE SCHEMA bmv; CREATE TABLE bmv.payroll (salary int)")
    code, said = called(monkeypatch, capsys, url, "migrate")
    assert (code, "not the history of this product" in said) == (3, True)
    execute(database_url, "DROP SCHEMA bmv CASCADE")
    called(monkeypatch, capsys, url, "migrate")
    execute(database_url, "UPDATE bmv.alembic_version SET version_num = 'r9999'")
    code, said = called(monkeypatch, capsys, url, "status")
    assert (code, "made by a newer program" in said) == (3, True)
    code, said = called(monkeypatch, capsys, url, "export", str(tmp_path), "--format", "xls")
    assert (code, "csv or parquet" in said) == (2, True)


def test_a_folder_in_which_nothing_has_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bmv", "db", "status", "--state", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "a folder in which an engine has run" in capsys.readouterr().err
