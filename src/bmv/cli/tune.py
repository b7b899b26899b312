"""``bmv tune``: try settings on pieces of a tape, from any number of machines against one study."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bmv.cli import options
from bmv.cli.demo import with_levels
from bmv.cli.options import WHOLE, whole
from bmv.cli.tape_options import Stage, on_stage
from bmv.config import Settings, read
from bmv.errors import BadInput

Study = Annotated[str, typer.Option("--study", help="The study's name; the same name goes on with it.")]
Space = Annotated[Path, typer.Option("--space", help="TOML: KEY = \\[a, b] or KEY = {low = 1, high = 9}.")]
Trials = Annotated[int, typer.Option(help="Trials in all.", parser=whole("--trials", 1), metavar=WHOLE)]
Pieces = Annotated[
    int,
    typer.Option(
        help="Pieces of the tape; the last is held out.", parser=whole("--pieces", 2, 50), metavar=WHOLE
    ),
]
Objectives = Annotated[
    list[str] | None, typer.Option("--objective", help="pnl, two_sided, cost or drawdown; several: a front.")
]
Config = Annotated[Path | None, typer.Option("--config", help="Settings the study begins with, TOML.")]
State = Annotated[Path, typer.Option("--state", help="Folder of the local database, without DATABASE_URL.")]
Choices = Annotated[
    int | None,
    typer.Option(help="Seed of this worker's choices.", parser=whole("--choices-seed", 0), metavar=WHOLE),
]
Html = Annotated[Path | None, typer.Option(help="Write the study as one HTML file.")]


@on_stage
def tune(
    stage: Stage,
    study: Study,
    space: Space,
    trials: Trials = 50,
    pieces: Pieces = 4,
    objective: Objectives = None,
    config: Config = None,
    state: State = Path("state"),
    choices_seed: Choices = None,
    html: Html = None,
    as_json: options.JsonFirst = True,
) -> None:
    """Try settings until there are so many trials; the same command elsewhere helps, and Ctrl-C keeps all."""
    options.writable("--html", html)
    given = read(config, os.environ).settings

    def settings(chosen: Mapping[str, str]) -> Settings:
        environ = dict(os.environ) | {f"BMV_{key}": value for key, value in chosen.items()}
        levels = None if "GRID_LEVELS" in chosen else stage.levels
        return with_levels(read(config, environ), levels, stage.assumed.wallets).settings

    try:
        from bmv.cli.studying import Asked, studied  # noqa: PLC0415  (Optuna is an optional extra)
    except ImportError as error:
        allowed = "the extra that searches: pip install 'bmv[research]'"
        raise BadInput("bmv tune", "not installed", allowed, options.SOURCE) from error
    asked = Asked(
        study=study,
        space=space,
        trials=trials,
        pieces=pieces,
        objectives=tuple(objective or ["pnl"]),
        stage=stage,
        given=given,
        state=state,
        seed=secrets.randbits(32) if choices_seed is None else choices_seed,
        html=html,
    )
    found, stopped = studied(asked, settings)
    options.tell(found, as_json)
    if stopped:
        raise typer.Exit(130)
