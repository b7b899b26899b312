"""``bmv db``: look after the history's database."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from asyncpg import Connection

from bmv.app import database
from bmv.cli import options
from bmv.config import Settings
from bmv.errors import BadInput
from bmv.state.archive import FORMATS
from bmv.state.folder import StateFolder

DEFAULT_STATE = Path("state")
db_app = typer.Typer(help="The history's database.", no_args_is_help=True)

State = Annotated[Path, typer.Option("--state", help="Folder of the engine's state.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings, TOML; DATABASE_URL counts.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _asked(
    state: Path, config: Path | None, ask: Callable[[Connection], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    settings, folder = recorded(state, config)
    return database.with_database(folder, settings, ask)


def recorded(state: Path, config: Path | None) -> tuple[Settings, StateFolder]:
    """Return the settings and the folder of an engine that has run; BadInput where none has."""
    settings, _ = options.configured(config)
    if settings.database_url is None and not (state / "servers").is_dir():
        allowed = "a folder in which an engine has run, or DATABASE_URL in the settings"
        raise BadInput("--state", str(state), allowed, options.SOURCE)
    return settings, StateFolder(state)


def _told(result: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(result) if as_json else "\n".join(lines))


def _rows(result: dict[str, Any]) -> list[str]:
    return [f"  {name:14} {rows}" for name, rows in result["rows"].items()]


@db_app.command("status")
def status(state: State = DEFAULT_STATE, config: Config = None, as_json: AsJson = False) -> None:
    """Say what the database holds; exit with 1 where its schema has to be migrated."""
    result = _asked(state, config, database.status)
    result["spool_bytes"] = database.waiting(StateFolder(state))
    lines = [
        f"PostgreSQL {result['server']}, schema {result['schema'] or 'none'} (newest {result['newest']})",
        f"waiting in the spool: {result['spool_bytes']} bytes",
        *(f"market {market['address']} in {market['world']}" for market in result["markets"]),
        *(f"  {name:14} {each['rows']} rows" for name, each in result["tables"].items()),
    ]
    _told(result, as_json, lines)
    if result["schema"] != result["newest"]:
        raise typer.Exit(1)


@db_app.command("migrate")
def migrate(state: State = DEFAULT_STATE, config: Config = None, as_json: AsJson = False) -> None:
    """Bring the schema up to date, all or nothing; the engine does the same when it starts."""
    result = _asked(state, config, database.migrated)
    done = "is up to date" if result["before"] == result["after"] else f"was {result['before'] or 'none'}"
    _told(result, as_json, [f"schema {result['after']} ({done})"])


@db_app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Archive to write.")],
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole history of one moment into an archive, while the engine runs or not."""
    result = _asked(state, config, partial(database.backed_up, path=file))
    _told(result, as_json, [f"{file} holds", *_rows(result)])


@db_app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="Archive of `bmv db backup`.")],
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Fill a database that holds no history from an archive, and migrate it."""
    if config is None:
        options.folder("--state", state / "servers")
    result = _asked(state, config, partial(database.restored, path=file))
    _told(result, as_json, [f"restored from {file}", *_rows(result)])


@db_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Folder for one file per table and view.")],
    form: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    state: State = DEFAULT_STATE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write every table and view as a file of its own, all of one moment."""
    if form not in FORMATS:
        raise BadInput("--format", form, " or ".join(FORMATS), options.SOURCE)
    result = _asked(state, config, partial(database.exported, folder=folder, form=form))
    _told(result, as_json, [f"{folder} holds", *_rows(result)])
