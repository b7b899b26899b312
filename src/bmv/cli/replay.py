"""``bmv replay``: decide once more on the events of a journal and say whether the actions are the same."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bmv.cli import options
from bmv.errors import BadInput
from bmv.observe.journal import JOURNAL_FOLDER
from bmv.observe.segments import segments
from bmv.services.replay import Replayed
from bmv.services.replay import replay as replayed


def replay(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="State folder, or its journal folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Replay a journal; exit code 1 where any run decides something else now.

    Actions and digest are those of the last run, the first difference that of any; ``runs`` tells all.
    """
    runs = replayed(_journal(directory))
    differences = [(number, run) for number, run in enumerate(runs) if run.first_difference]
    if as_json:
        first = differences[0][1].first_difference if differences else None
        told = {
            "actions": runs[-1].actions,
            "digest": runs[-1].digest,
            "first_difference": first,
            "runs": runs,
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        for number, run in enumerate(runs):
            typer.echo(_line(number, run))
    if differences:
        raise typer.Exit(1)


def _line(number: int, run: Replayed) -> str:
    found = run.first_difference
    verdict = "same actions" if found is None else f"differs at action {found.index}: {_differs(run)}"
    ended = "" if run.complete else " (killed: recorded up to there)"
    return f"run {number}: {run.events} events, {run.actions} actions{ended}, digest {run.digest}: {verdict}"


def _differs(run: Replayed) -> str:
    found = run.first_difference
    assert found is not None
    return f"recorded {json.dumps(found.expected)}, now {json.dumps(found.got)}"


def _journal(directory: Path) -> Path:
    """Return the folder that holds the segments."""
    for folder in (directory / JOURNAL_FOLDER, directory):
        if folder.is_dir() and segments(folder):
            return folder
    raise BadInput("DIR", str(directory), "a state folder with a journal in it", options.SOURCE)
