"""``bmv events``: what the engine tells, event by event."""

import json
from typing import Annotated

import typer

from bmv.observe.catalogue import EVENTS
from bmv.observe.reference import markdown, schema


def events(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the text of docs/events.md.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON Schema of each event.")] = False,
) -> None:
    """List every event with its fields: in the journal, the database, the log, on the page."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
    elif as_json:
        typer.echo(json.dumps({name: schema(name) for name in EVENTS}, indent=2))
    else:
        for name, known in EVENTS.items():
            typer.echo(f"{name}: {known.says}\n    {', '.join(known.fields)}")
