"""``bmv config``: what the keys are, and what a file comes to."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bmv.cli import options
from bmv.config import KNOWN_KEYS, Configuration, read
from bmv.config.presets import TEXTS, preset_values
from bmv.config.reference import markdown, reference
from bmv.config.settings import said
from bmv.errors import BadInput

config_app = typer.Typer(help="The settings: what there is, what a file comes to.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@config_app.command("reference")
def show_reference(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the text of docs/configuration.md.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List every key: default, range, whether it may change while running, meaning."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
    elif as_json:
        typer.echo(json.dumps(msgspec.to_builtins(reference()), indent=2))
    else:
        _print_reference()


def _print_reference() -> None:
    section = ""
    for entry in reference():
        if entry.section != section:
            section = entry.section
            typer.echo(f"\n{section}")
        change = "" if entry.hot else ", only with a restart"
        typer.echo(f"  {entry.key} = {entry.default}   ({entry.range}{change})\n      {entry.meaning}")


@config_app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Settings, TOML; without it, defaults and environment.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every value and where it comes from; refuse a bad file with all that is wrong with it."""
    try:
        found = read(file, os.environ)
    except BadInput as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": problems_of(error)}, indent=2))
        raise
    if as_json:
        typer.echo(json.dumps({"ok": True, **as_plain(found)}, indent=2))
    else:
        _print_check(found)


def problems_of(error: BadInput) -> list[dict[str, Any]]:
    """Return what is wrong, one entry for each complaint."""
    return [
        {"field": one.field, "value": str(one.value), "allowed": one.allowed, "source": one.source}
        for one in error.problems
    ]


def as_plain(found: Configuration) -> dict[str, Any]:
    """Return settings with their sources as plain values."""
    written = found.settings.written()
    settings = {
        key: {"value": written[key], "source": found.kind_of(key), "where": found.source_of(key)}
        for key in KNOWN_KEYS
    }
    overridden = {key: str(entry.value) for key, entry in found.overridden.items()}
    return {
        "preset": found.settings.preset,
        "settings": settings,
        "overridden": overridden,
        "ignored": list(found.ignored),
    }


@config_app.command("preset")
def preset(
    name: Annotated[str, typer.Argument(help="growth, literal, sla or accumulate.")], as_json: AsJson = False
) -> None:
    """Print a preset as the text of a settings file."""
    if name not in TEXTS:
        raise BadInput("NAME", name, " or ".join(TEXTS), options.SOURCE)
    if as_json:
        values = {key: str(value) for key, value in preset_values(name).items()}
        typer.echo(json.dumps({"preset": name, "values": values}, indent=2))
    else:
        typer.echo(TEXTS[name], nl=False)


def _print_check(found: Configuration) -> None:
    values = found.settings.by_key()
    for key in KNOWN_KEYS:
        typer.echo(f"{key:<26} {said(key, values[key]):<12} {found.source_of(key)}")
    for note in found.notes():
        typer.echo(f"note: {note}")
